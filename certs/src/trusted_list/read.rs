//! From the tree to the list.

use jiff::Timestamp;

use super::service::{Service, ServicePeriod, Use};
use super::shape;
use super::xml::{Element, Namespace};
use super::{ListKind, Pointer, TrustedList, TrustedListError};
use crate::limits::{LIST_POINTERS_MAX, LIST_SERVICES_MAX};

const TAG: &str = "http://uri.etsi.org/19612/TSLTag";
const NATIONAL: &str = "http://uri.etsi.org/TrstSvc/TrustedList/TSLType/EUgeneric";
const LIST_OF_LISTS: &str = "http://uri.etsi.org/TrstSvc/TrustedList/TSLType/EUlistofthelists";
const XML: &str = "application/vnd.etsi.tsl+xml";
const QUALIFIED_CA: &str = "http://uri.etsi.org/TrstSvc/Svctype/CA/QC";
const GRANTED: &str = "http://uri.etsi.org/TrstSvc/TrustedList/Svcstatus/granted";
const WEB: &str = "http://uri.etsi.org/TrstSvc/TrustedList/SvcInfoExt/ForWebSiteAuthentication";
const SEALS: &str = "http://uri.etsi.org/TrstSvc/TrustedList/SvcInfoExt/ForeSeals";
const NOT_QUALIFIED: &str = "http://uri.etsi.org/TrstSvc/TrustedList/SvcInfoExt/NotQualified";

pub(super) fn list(root: &Element) -> Result<TrustedList, TrustedListError> {
    let is_list = root.is(Namespace::List, "TrustServiceStatusList");
    if !is_list || root.attribute("TSLTag") != Some(TAG) {
        return Err(TrustedListError::NotAList { root: root.name.chars().take(100).collect() });
    }
    let missing = |element: &str| TrustedListError::Element { element: element.to_owned() };
    let scheme = root.at(&["SchemeInformation"]).ok_or_else(|| missing("SchemeInformation"))?;
    let text = |name: &'static str| {
        let element = scheme.at(&[name]).ok_or_else(|| missing(name))?;
        Ok::<_, TrustedListError>(element.trimmed())
    };
    let version = match text("TSLVersionIdentifier")? {
        "5" => 5,
        "6" => 6,
        other => {
            return Err(TrustedListError::Version { version: other.chars().take(20).collect() });
        }
    };
    let sequence = text("TSLSequenceNumber")?;
    let sequence = sequence.parse().map_err(|_| missing("TSLSequenceNumber"))?;
    let kind = kind(text("TSLType")?).ok_or_else(|| missing("TSLType"))?;
    let issued = text("ListIssueDateTime")?;
    let issued = issued.parse().map_err(|_| missing("ListIssueDateTime"))?;
    let next_update = scheme.at(&["NextUpdate"]).ok_or_else(|| missing("NextUpdate"))?;
    let next_update = match next_update.at(&["dateTime"]) {
        Some(instant) => {
            Some(instant.trimmed().parse().map_err(|_| missing("NextUpdate/dateTime"))?)
        }
        None => None,
    };
    Ok(TrustedList {
        version,
        sequence,
        territory: territory(text("SchemeTerritory")?).ok_or_else(|| missing("SchemeTerritory"))?,
        issued,
        next_update,
        kind,
        pointers: pointers(scheme)?,
        services: services(root)?,
        signer: shape::signer(root)?,
    })
}

fn kind(uri: &str) -> Option<ListKind> {
    match uri {
        NATIONAL => Some(ListKind::National),
        LIST_OF_LISTS => Some(ListKind::ListOfLists),
        _ => None,
    }
}

fn territory(text: &str) -> Option<String> {
    let code = text.len() == 2 && text.bytes().all(|octet| octet.is_ascii_uppercase());
    code.then(|| text.to_owned())
}

/// A pointer that cannot be read is an error: a list that silently points at fewer lists than it
/// says would take their CAs away.
fn pointers(scheme: &Element) -> Result<Vec<Pointer>, TrustedListError> {
    let Some(list) = scheme.at(&["PointersToOtherTSL"]) else { return Ok(Vec::new()) };
    let mut pointers = Vec::new();
    for (position, element) in (1..).zip(list.all(Namespace::List, "OtherTSLPointer")) {
        if pointers.len() == LIST_POINTERS_MAX {
            return Err(TrustedListError::TooMuch);
        }
        let fault = || TrustedListError::Element { element: format!("OtherTSLPointer {position}") };
        pointers.push(pointer(element).ok_or_else(fault)?);
    }
    Ok(pointers)
}

fn pointer(element: &Element) -> Option<Pointer> {
    let identities = element.at(&["ServiceDigitalIdentities"])?;
    let identities = identities.all(Namespace::List, "ServiceDigitalIdentity");
    let signers = identities.map(certificates).collect::<Option<Vec<_>>>()?.concat();
    let information = element.at(&["AdditionalInformation"])?;
    let others = || information.all(Namespace::List, "OtherInformation");
    let said = |namespace, name: &'static str| {
        others().find_map(move |other| other.only(namespace, name)).map(Element::trimmed)
    };
    Some(Pointer {
        territory: territory(said(Namespace::List, "SchemeTerritory")?)?,
        location: element.at(&["TSLLocation"])?.trimmed().to_owned(),
        kind: kind(said(Namespace::List, "TSLType")?)?,
        is_xml: said(Namespace::ListTypes, "MimeType")? == XML,
        signers,
    })
}

/// The certificates of an identity; none where it is told by name and key id only.
fn certificates(identity: &Element) -> Option<Vec<Vec<u8>>> {
    let ids = identity.all(Namespace::List, "DigitalId");
    let found = ids.flat_map(|id| id.all(Namespace::List, "X509Certificate"));
    found.map(shape::der).collect()
}

fn services(root: &Element) -> Result<Vec<Service>, TrustedListError> {
    let Some(list) = root.at(&["TrustServiceProviderList"]) else { return Ok(Vec::new()) };
    let mut services = Vec::new();
    for provider in list.all(Namespace::List, "TrustServiceProvider") {
        let names = provider.at(&["TSPInformation", "TSPName"]);
        let provider_name = names.map(english).unwrap_or_default();
        let Some(list) = provider.at(&["TSPServices"]) else { continue };
        for element in list.all(Namespace::List, "TSPService") {
            if services.len() == LIST_SERVICES_MAX {
                return Err(TrustedListError::TooMuch);
            }
            let fault = || TrustedListError::Element {
                element: format!("TSPService {} of {provider_name:?}", services.len() + 1),
            };
            let service = service(&provider_name, element).ok_or_else(fault)?;
            services.push(service);
        }
    }
    Ok(services)
}

fn service(provider: &str, element: &Element) -> Option<Service> {
    let information = element.at(&["ServiceInformation"])?;
    let mut periods = vec![period(information)?];
    if let Some(history) = element.at(&["ServiceHistory"]) {
        for instance in history.all(Namespace::List, "ServiceHistoryInstance") {
            periods.push(period(instance)?);
        }
    }
    periods.sort_by_key(|period| std::cmp::Reverse(period.since));
    Some(Service {
        provider: provider.to_owned(),
        name: information.at(&["ServiceName"]).map(english).unwrap_or_default(),
        certificates: certificates(information.at(&["ServiceDigitalIdentity"])?)?,
        periods,
    })
}

/// The name in English, else in any language.
fn english(names: &Element) -> String {
    let mut all = names.all(Namespace::List, "Name");
    let first = names.all(Namespace::List, "Name").next();
    let chosen = all.find(|name| name.attribute("xml:lang") == Some("en")).or(first);
    let text = chosen.map(Element::trimmed).unwrap_or_default();
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

fn period(information: &Element) -> Option<ServicePeriod> {
    let text = |name: &str| information.at(&[name]).map(Element::trimmed);
    let since: Timestamp = text("StatusStartingTime")?.parse().ok()?;
    let mut period = ServicePeriod {
        since,
        is_qualified_ca: text("ServiceTypeIdentifier")? == QUALIFIED_CA,
        granted: text("ServiceStatus")? == GRANTED,
        uses: Vec::new(),
        opaque: false,
        downgrades: false,
    };
    let Some(list) = information.at(&["ServiceInformationExtensions"]) else { return Some(period) };
    for extension in list.all(Namespace::List, "Extension") {
        let understood = read_extension(extension, &mut period);
        let critical = matches!(extension.attribute("Critical"), Some("true" | "1"));
        period.opaque |= critical && !understood;
    }
    Some(period)
}

/// Whether the whole extension was understood.
fn read_extension(extension: &Element, period: &mut ServicePeriod) -> bool {
    let mut understood = !extension.children.is_empty();
    for child in &extension.children {
        if child.is(Namespace::List, "AdditionalServiceInformation") {
            let uri = child.at(&["URI"]).map(Element::trimmed);
            match uri {
                Some(WEB) => period.uses.push(Use::Web),
                Some(SEALS) => period.uses.push(Use::Seals),
                // Signatures, roots: of no use here, and no restriction of the others.
                Some(_) => {}
                None => understood = false,
            }
        } else if child.is(Namespace::Extensions, "Qualifications") {
            let uris = child.every();
            period.downgrades |=
                uris.iter().any(|element| element.attribute("uri") == Some(NOT_QUALIFIED));
        } else {
            // TakenOverBy, ExpiredCertsRevocationInfo and what comes later.
            understood &= matches!(&*child.name, "TakenOverBy" | "ExpiredCertsRevocationInfo");
        }
    }
    understood
}
