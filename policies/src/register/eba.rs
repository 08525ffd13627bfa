//! The EBA's registers, as published in JSON: `[[{disclaimer}], [entity, …]]`, that of payment and
//! electronic money institutions (PSD2 art. 15), and that of credit institutions, whose interface
//! gives its entities as a list, each perhaps within `_payload`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Read;
use std::marker::PhantomData;

use jiff::civil::Date;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::RegisterError;
use super::account::{Account, Fate, OnRejection};
use super::authority::derive;
use super::country::CountryCode;
use super::life::Life;
use super::record::{Listed, Origin, Record, Services, Status, Unclear, day, shortened};
use super::service::{ServiceCode, ServiceSet};

/// Unknown service codes of one row that are told.
const UNKNOWN_SERVICES_MAX: usize = 8;

/// What the kind of an entity means here.
enum Kind {
    /// A licence of the payment institutions' register.
    Payment,
    /// A licence of the credit institutions' register.
    Credit,
    /// Nobody who could call: agents, branches, exclusions.
    NotRelevant(Origin),
    Unknown,
}

impl Kind {
    fn of(code: &str) -> Self {
        match code {
            "PSD_PI" | "PSD_EPI" | "PSD_EMI" | "PSD_EEMI" | "PSD_AISP" | "PSD_ENL" => Self::Payment,
            // Outside PSD2 (art. 37), and whoever acts in another's name.
            "PSD_EXC" | "PSD_AG" | "PSD_BR" => Self::NotRelevant(Origin::EbaPayment),
            "CRD_CRE_INS" => Self::Credit,
            // A branch has its head office's organisation id, or its host's permission only.
            "CRD_EEA_BRA" | "CRD_NON_EEA_BRA" => Self::NotRelevant(Origin::EbaCredit),
            _ => Self::Unknown,
        }
    }
}

/// Reads one of the EBA's registers; `told` hears of each row that is rejected.
///
/// # Errors
/// It is not of that shape, is cut, or names nobody.
pub(super) fn read(
    file: &str,
    origin: Origin,
    reader: impl Read,
    told: OnRejection<'_>,
) -> Result<(Vec<Record>, Account), RegisterError> {
    let mut rows = super::rows::Rows::open(file, reader)?;
    let (mut records, mut account) = (Vec::new(), Account::default());
    while let Some(text) = rows.next()? {
        let (fate, code) = match Row::read(text) {
            Some(row) => (enter(&row, origin, &mut records), Some(row.code)),
            None => (Fate::Rejected("not an entity of the register's shape"), None),
        };
        account.enter(fate, code.as_deref(), told);
    }
    if account.used == 0 {
        return Err(RegisterError::empty(file, &account));
    }
    Ok((records, account))
}

fn enter(row: &Row<'_>, origin: Origin, records: &mut Vec<Record>) -> Fate {
    let elsewhere = Fate::Rejected("EntityType is of another register");
    match Kind::of(&row.kind) {
        Kind::Payment if origin == Origin::EbaPayment => {}
        Kind::Credit if origin == Origin::EbaCredit => {}
        Kind::NotRelevant(of) if of == origin => return Fate::NotRelevant,
        Kind::Unknown => return Fate::Rejected("EntityType is not one that is known"),
        _ => return elsewhere,
    }
    match record(row, origin) {
        Ok(record) => {
            records.push(record);
            Fate::Used
        }
        Err(why) => Fate::Rejected(why),
    }
}

fn record(row: &Row<'_>, origin: Origin) -> Result<Record, &'static str> {
    let properties = Properties::read(row.properties)?;
    let ids = derive(&row.owner, &properties.reference)?;
    let (services, unknown_services) = match origin {
        Origin::EbaCredit => (Services::All, Vec::new()),
        _ => {
            let (listed, unknown) = services(row.services)?;
            (Services::Listed(listed), unknown)
        }
    };
    Ok(Record {
        origin,
        code: shortened(&row.code),
        kind: (*row.kind).into(),
        authority: (*row.owner).into(),
        reference: properties.reference.into(),
        name: properties.name,
        ids,
        status: properties.status,
        services,
        unknown_services,
    })
}

/// Services by country, and the codes among them that nobody knows.
fn services(list: Option<&RawValue>) -> Result<(Listed, Vec<Box<str>>), &'static str> {
    let (mut listed, mut unknown) = (Listed::default(), BTreeSet::new());
    let Some(list) = list else { return Ok((listed, Vec::new())) };
    let list: Option<Vec<ByCountry<'_>>> = serde_json::from_str(list.get())
        .map_err(|_| "Services is not a list of countries, each once, with their services")?;
    for (country, codes) in list.into_iter().flatten().flat_map(|object| object.0) {
        let country: CountryCode =
            country.parse().map_err(|_| "a country of Services is not two capitals")?;
        let mut set = ServiceSet::EMPTY;
        for code in codes.iter() {
            match ServiceCode::from_code(code) {
                Some(service) => set.insert(service),
                None => {
                    unknown.insert(shortened(code));
                }
            }
        }
        listed.add(country, set);
    }
    Ok((listed, unknown.into_iter().take(UNKNOWN_SERVICES_MAX).collect()))
}

#[derive(Deserialize)]
struct Row<'a> {
    #[serde(rename = "CA_OwnerID", borrow)]
    owner: Cow<'a, str>,
    #[serde(rename = "EntityCode", borrow, default)]
    code: Cow<'a, str>,
    #[serde(rename = "EntityType", borrow)]
    kind: Cow<'a, str>,
    #[serde(rename = "Properties", borrow, default)]
    properties: Option<&'a RawValue>,
    /// One object per country, its codes a text or a list.
    #[serde(rename = "Services", borrow, default)]
    services: Option<&'a RawValue>,
}

/// One object of `Services`. A key that stands twice in it is not quietly dropped.
struct ByCountry<'a>(BTreeMap<Cow<'a, str>, Words>);

impl<'de: 'a, 'a> Deserialize<'de> for ByCountry<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<'a>(PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for Members<'a> {
            type Value = ByCountry<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("services by country")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<ByCountry<'a>, M::Error> {
                let mut members = BTreeMap::new();
                while let Some((country, words)) = map.next_entry()? {
                    if members.insert(country, words).is_some() {
                        return Err(de::Error::custom("a country stands twice"));
                    }
                }
                Ok(ByCountry(members))
            }
        }
        deserializer.deserialize_map(Members(PhantomData))
    }
}

#[derive(Deserialize)]
struct Wrapped<'a> {
    #[serde(rename = "_payload", borrow)]
    row: Row<'a>,
}

impl<'a> Row<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let bare = serde_json::from_str(text);
        bare.or_else(|_| serde_json::from_str(text).map(|wrapped: Wrapped<'a>| wrapped.row)).ok()
    }
}

#[derive(Deserialize)]
struct Property {
    #[serde(rename = "ENT_NAT_REF_COD")]
    reference: Option<Words>,
    #[serde(rename = "ENT_AUT")]
    authorisation: Option<Words>,
    #[serde(rename = "ENT_NAM")]
    name: Option<Words>,
}

/// Text, or a list of texts: the register writes both.
#[derive(Deserialize)]
#[serde(untagged)]
enum Words {
    One(String),
    Many(Vec<String>),
}

impl Words {
    fn iter(&self) -> impl Iterator<Item = &str> {
        let words = match self {
            Self::One(word) => std::slice::from_ref(word),
            Self::Many(words) => words.as_slice(),
        };
        words.iter().map(String::as_str)
    }
}

struct Properties {
    reference: String,
    name: Box<str>,
    status: Status,
}

impl Properties {
    fn read(list: Option<&RawValue>) -> Result<Self, &'static str> {
        let list = list.ok_or("there are no Properties")?;
        let list: Vec<Property> = serde_json::from_str(list.get())
            .map_err(|_| "Properties is not a list of texts by their keys")?;
        let (mut reference, mut dates, mut name) = (None, None, None);
        for property in list {
            if let Some(words) = property.reference
                && reference.replace(words).is_some()
            {
                return Err("ENT_NAT_REF_COD stands twice");
            }
            if let Some(words) = property.authorisation
                && dates.replace(words).is_some()
            {
                return Err("ENT_AUT stands twice");
            }
            name = name.or(property.name);
        }
        let Some(Words::One(reference)) = reference else {
            return Err("ENT_NAT_REF_COD is not one text");
        };
        let dates = dates.and_then(|words| words.iter().map(day).collect::<Option<Vec<Date>>>());
        let life = dates.and_then(Life::new);
        let name = name.as_ref().and_then(|words| words.iter().next()).unwrap_or_default();
        Ok(Self {
            reference,
            name: shortened(name),
            status: life.map_or(Status::Unclear(Unclear::Dates), Status::Dated),
        })
    }
}
