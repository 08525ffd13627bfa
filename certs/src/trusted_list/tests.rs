//! Shapes are judged on a list written out here; whether signatures hold is a matter of the
//! importer's tests.

use proptest::prelude::*;

use super::*;

/// A signature of the accepted shape around nothing.
const SIGNATURE: &str = r##"<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:SignedInfo><ds:CanonicalizationMethod Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/><ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"/><ds:Reference URI=""><ds:Transforms><ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/><ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/></ds:Transforms><ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><ds:DigestValue>AA==</ds:DigestValue></ds:Reference></ds:SignedInfo><ds:SignatureValue>AA==</ds:SignatureValue><ds:KeyInfo><ds:X509Data><ds:X509Certificate>MAA=</ds:X509Certificate></ds:X509Data></ds:KeyInfo></ds:Signature>"##;

fn service(status: &str, since: &str, extensions: &str) -> String {
    format!(
        r#"<ServiceTypeIdentifier>http://uri.etsi.org/TrstSvc/Svctype/CA/QC</ServiceTypeIdentifier><ServiceName><Name xml:lang="fr">CA</Name><Name xml:lang="en">A CA</Name></ServiceName><ServiceDigitalIdentity><DigitalId><X509Certificate>
MAA= </X509Certificate></DigitalId><DigitalId><X509Certificate>MAE=</X509Certificate></DigitalId></ServiceDigitalIdentity><ServiceStatus>http://uri.etsi.org/TrstSvc/TrustedList/Svcstatus/{status}</ServiceStatus><StatusStartingTime>{since}</StatusStartingTime><ServiceInformationExtensions>{extensions}</ServiceInformationExtensions>"#
    )
}

fn extension(critical: bool, content: &str) -> String {
    format!(r#"<Extension Critical="{critical}">{content}</Extension>"#)
}

fn information(uri: &str) -> String {
    extension(
        true,
        &format!(
            "<AdditionalServiceInformation><URI>http://uri.etsi.org/TrstSvc/TrustedList/SvcInfoExt/{uri}</URI></AdditionalServiceInformation>"
        ),
    )
}

fn list_with(services: &str, signature: &str) -> String {
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><TrustServiceStatusList xmlns="http://uri.etsi.org/02231/v2#" Id="L" TSLTag="http://uri.etsi.org/19612/TSLTag"><SchemeInformation><TSLVersionIdentifier>6</TSLVersionIdentifier><TSLSequenceNumber>7</TSLSequenceNumber><TSLType>http://uri.etsi.org/TrstSvc/TrustedList/TSLType/EUgeneric</TSLType><SchemeTerritory>IE</SchemeTerritory><ListIssueDateTime>2026-11-01T00:00:00Z</ListIssueDateTime><NextUpdate><dateTime>2027-05-01T00:00:00Z</dateTime></NextUpdate></SchemeInformation><TrustServiceProviderList><TrustServiceProvider><TSPInformation><TSPName><Name xml:lang="en">A &amp; B</Name></TSPName></TSPInformation><TSPServices>{services}</TSPServices></TrustServiceProvider></TrustServiceProviderList>{signature}</TrustServiceStatusList>"#
    )
}

fn one(information: &str, history: &str) -> String {
    let history: String = history.to_owned();
    let service = format!(
        "<TSPService><ServiceInformation>{information}</ServiceInformation><ServiceHistory>{history}</ServiceHistory></TSPService>"
    );
    list_with(&service, SIGNATURE)
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn a_service_is_what_its_newest_period_says_at_each_instant() {
    let now = service("granted", "2020-01-01T00:00:00Z", &information("ForWebSiteAuthentication"));
    let past = service("withdrawn", "2018-01-01T00:00:00Z", "");
    let xml = one(&now, &format!("<ServiceHistoryInstance>{past}</ServiceHistoryInstance>"));
    let list = TrustedList::read(xml.as_bytes()).unwrap();
    assert_eq!((list.version, list.sequence, list.territory.as_str()), (6, 7, "IE"));
    assert_eq!(list.kind, ListKind::National);
    assert_eq!(list.signer, [0x30, 0]);
    let service = &list.services[0];
    assert_eq!((service.provider.as_str(), service.name.as_str()), ("A & B", "A CA"));
    assert_eq!(service.certificates, [vec![0x30, 0], vec![0x30, 1]], "all, not the first");
    assert!(service.issues(Use::Web, at("2026-01-01T00:00:00Z")));
    assert!(!service.issues(Use::Seals, at("2026-01-01T00:00:00Z")));
    assert!(!service.issues(Use::Web, at("2019-01-01T00:00:00Z")));
    assert!(service.at(at("2017-01-01T00:00:00Z")).is_none());
}

#[test]
fn withdrawn_opaque_and_unspecified_services_issue_nothing() {
    let now = at("2026-01-01T00:00:00Z");
    let web = information("ForWebSiteAuthentication");
    let critical = extension(true, "<Riddle xmlns=\"urn:x\"/>");
    let harmless = extension(false, "<Riddle xmlns=\"urn:x\"/>");
    for (status, extensions, issues) in [
        ("granted", web.clone(), true),
        ("granted", format!("{web}{harmless}"), true),
        ("granted", format!("{web}{critical}"), false),
        ("granted", String::new(), false),
        ("granted", information("ForeSignatures"), false),
        ("withdrawn", web.clone(), false),
        ("granted/", web, false),
    ] {
        let xml = one(&service(status, "2020-01-01T00:00:00Z", &extensions), "");
        let list = TrustedList::read(xml.as_bytes()).unwrap();
        assert_eq!(list.services[0].issues(Use::Web, now), issues, "{status} {extensions}");
    }
}

#[test]
fn a_signature_of_another_shape_is_refused() {
    let good = list_with("", SIGNATURE);
    assert!(TrustedList::read(good.as_bytes()).is_ok());
    let enveloped =
        "<ds:Transform Algorithm=\"http://www.w3.org/2000/09/xmldsig#enveloped-signature\"/>";
    for (what, xml) in [
        ("none", list_with("", "")),
        ("two", list_with("", &SIGNATURE.repeat(2))),
        ("not under the root", list_with(&format!("<TSPService><ServiceInformation>{SIGNATURE}</ServiceInformation></TSPService>"), "")),
        ("to an element", good.replace("URI=\"\"", "URI=\"#X\"")),
        ("to another document", good.replace("URI=\"\"", "URI=\"http://x.example/\"")),
        ("without URI", good.replace(" URI=\"\"", "")),
        ("without transforms", good.replace(enveloped, "")),
        ("XPath", good.replace("http://www.w3.org/2000/09/xmldsig#enveloped-signature", "http://www.w3.org/2002/06/xmldsig-filter2")),
        ("SHA-1", good.replace("xmlenc#sha256", "xmldsig#sha1").replace("2001/04/xmldsig#sha1", "2000/09/xmldsig#sha1")),
        ("HMAC", good.replace("#rsa-sha256", "#hmac-sha256")),
        ("with comments", good.replace("<ds:CanonicalizationMethod Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"", "<ds:CanonicalizationMethod Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#WithComments\"")),
        ("one Id twice", good.replace("<SchemeInformation>", "<SchemeInformation Id=\"L\">")),
        ("no certificate", good.replace("MAA=", "*")),
    ] {
        let read = TrustedList::read(xml.as_bytes());
        assert!(
            matches!(read, Err(TrustedListError::Signature(_) | TrustedListError::Element { .. })),
            "{what}: {read:?}"
        );
    }
    let by_id = good.replace("URI=\"\"", "URI=\"#L\"");
    assert!(TrustedList::read(by_id.as_bytes()).is_ok(), "the root by its Id");
}

#[test]
fn bombs_and_foreign_documents_are_refused_within_bounds() {
    let good = list_with("", SIGNATURE);
    let refused = |xml: &str| TrustedList::read(xml.as_bytes()).unwrap_err();
    let entity = "<!DOCTYPE x [<!ENTITY a \"b\">]><TrustServiceStatusList/>";
    assert!(matches!(refused(entity), TrustedListError::DocumentType { .. }));
    let external = "<!DOCTYPE x SYSTEM \"file:///etc/passwd\"><x/>";
    assert!(matches!(refused(external), TrustedListError::DocumentType { .. }));
    assert!(matches!(refused(&good.replace("A &amp; B", "&a;")), TrustedListError::Entity { .. }));
    assert!(matches!(refused("<x/>"), TrustedListError::NotAList { .. }));
    assert!(matches!(refused(&good.replace(">6<", ">4<")), TrustedListError::Version { .. }));
    let cut = good.get(..good.len() - 5).unwrap();
    assert!(matches!(refused(cut), TrustedListError::NotWellFormed { .. }));
    assert_eq!(refused(&good.replace("UTF-8", "UTF-16")), TrustedListError::Encoding);
    assert_eq!(TrustedList::read(&[0xff, 0xfe, 0x3c, 0]), Err(TrustedListError::Encoding));
    let long = vec![b' '; LIST_BYTES_MAX + 1];
    assert_eq!(TrustedList::read(&long), Err(TrustedListError::TooLong { bytes: long.len() }));
    let deep = "<a>".repeat(LIST_DEPTH_MAX + 1);
    assert_eq!(refused(&deep), TrustedListError::TooMuch);
    let wide = format!("<a>{}</a>", "<b/>".repeat(LIST_ELEMENTS_MAX));
    assert_eq!(refused(&wide), TrustedListError::TooMuch);
    let attributes: String = (0..70).map(|number| format!(" a{number}=\"\"")).collect();
    assert_eq!(refused(&format!("<a{attributes}/>")), TrustedListError::TooMuch);
    let declarations = "<b xmlns:x=\"urn:x\"/>".repeat(LIST_NAMESPACES_MAX + 1);
    assert_eq!(refused(&format!("<a>{declarations}</a>")), TrustedListError::TooMuch);
}

proptest! {
    #[test]
    fn a_bent_list_is_read_or_refused_without_a_panic(
        at in any::<prop::sample::Index>(), octet in any::<u8>(), cut in any::<bool>(),
    ) {
        let web = information("ForWebSiteAuthentication");
        let xml = one(&service("granted", "2020-01-01T00:00:00Z", &web), "");
        let mut octets = xml.into_bytes();
        let at = at.index(octets.len());
        if cut { octets.truncate(at) } else { octets[at] = octet }
        let _ = TrustedList::read(&octets);
    }
}
