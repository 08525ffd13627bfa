//! The EBA's register of payment and electronic money institutions, as published in JSON:
//! `[[{disclaimer}], [entity, …]]`.
//!
//! Rows carry no organisation id; it is derived as TS 119 495 §5.2.1 composes it, from the
//! authority that owns the record and the national reference.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

use jiff::civil::Date;
use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::account::{Account, Fate};
use super::life::Life;
use super::{RegisterError, ServiceCode, ServiceSet};

/// The authority whose records carry a SIREN where French certificates carry a CIB.
const FRENCH_AUTHORITY: &str = "FR_ACPR";

/// What one institution's record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entity {
    /// `None`: the dates are missing or contradict themselves.
    pub(super) life: Option<Life>,
    pub(super) services: ServiceSet,
}

/// Institutions by derived organisation id; French ones by SIREN as well.
#[derive(Debug, Default)]
pub(super) struct Eba {
    pub(super) by_id: HashMap<Box<str>, Entity>,
    pub(super) by_siren: HashMap<Box<str>, Entity>,
    pub(super) account: Account,
}

impl Eba {
    pub(super) fn read(file: &str, bytes: &[u8]) -> Result<Self, RegisterError> {
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let document = Document::deserialize(&mut json)
            .and_then(|document| json.end().map(|()| document))
            .map_err(|error| RegisterError::Json {
                file: file.to_owned(),
                line: error.line(),
                column: error.column(),
            })?;
        let eba = document.0;
        if eba.account.accepted == 0 {
            return Err(RegisterError::Empty {
                file: file.to_owned(),
                read: eba.account.read,
                rejection: eba.account.rejections.first().cloned(),
            });
        }
        Ok(eba)
    }

    fn enter(&mut self, row: &RawValue) -> Fate {
        let Ok(row) = serde_json::from_str::<Row>(row.get()) else {
            return Fate::Rejected("not an entity of the register's shape");
        };
        if !matches!(
            row.kind.as_str(),
            "PSD_PI" | "PSD_EMI" | "PSD_AISP" | "PSD_EPI" | "PSD_EEMI" | "PSD_ENL"
        ) {
            return Fate::SetAside;
        }
        let properties = match Properties::of(row.properties) {
            Ok(properties) => properties,
            Err(why) => return Fate::Rejected(why),
        };
        let Some(services) = services(&row.services) else {
            return Fate::Rejected("a service code is not one of the register's");
        };
        let Some((country, authority)) = row.owner.split_once('_') else {
            return Fate::Rejected("CA_OwnerID is not a country and an authority");
        };
        let letters: String = authority.chars().filter(char::is_ascii_alphabetic).collect();
        let reference: String =
            properties.reference.chars().filter(|character| !character.is_whitespace()).collect();
        if country.len() != 2 || letters.is_empty() || reference.is_empty() {
            return Fate::Rejected("no organisation id can be derived from it");
        }
        let entity = Entity { life: properties.life, services };
        if row.owner == FRENCH_AUTHORITY {
            insert(&mut self.by_siren, reference.clone().into(), entity.clone());
        }
        insert(&mut self.by_id, format!("PSD{country}-{letters}-{reference}").into(), entity);
        Fate::Accepted
    }
}

/// Two records under one id that do not agree say nothing together.
fn insert(entities: &mut HashMap<Box<str>, Entity>, key: Box<str>, entity: Entity) {
    match entities.entry(key) {
        Entry::Vacant(place) => {
            place.insert(entity);
        }
        Entry::Occupied(mut place) => {
            if *place.get() != entity {
                place.get_mut().life = None;
            }
        }
    }
}

fn services(list: &[BTreeMap<String, Words>]) -> Option<ServiceSet> {
    let codes = list.iter().flat_map(BTreeMap::values).flat_map(Words::iter);
    codes.map(ServiceCode::from_code).collect()
}

#[derive(Deserialize)]
struct Row {
    #[serde(rename = "CA_OwnerID")]
    owner: String,
    #[serde(rename = "EntityType")]
    kind: String,
    #[serde(rename = "Properties")]
    properties: Vec<Property>,
    /// One object per country, its codes a text or a list.
    #[serde(rename = "Services", default)]
    services: Vec<BTreeMap<String, Words>>,
}

#[derive(Deserialize)]
struct Property {
    #[serde(rename = "ENT_NAT_REF_COD")]
    reference: Option<Words>,
    #[serde(rename = "ENT_AUT")]
    authorisation: Option<Words>,
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
    life: Option<Life>,
}

impl Properties {
    fn of(list: Vec<Property>) -> Result<Self, &'static str> {
        let (mut reference, mut dates) = (None, None);
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
        }
        let Some(Words::One(reference)) = reference else {
            return Err("ENT_NAT_REF_COD is not one text");
        };
        let dates =
            dates.map(|words| words.iter().map(str::parse).collect::<Result<Vec<Date>, _>>());
        let life = match dates {
            Some(Ok(dates)) => Life::new(dates),
            Some(Err(_)) | None => None,
        };
        Ok(Self { reference, life })
    }
}

/// Reads entity by entity: the published file has hundreds of megabytes.
struct Document(Eba);

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(DocumentVisitor)
    }
}

struct DocumentVisitor;

impl<'de> Visitor<'de> for DocumentVisitor {
    type Value = Document;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of the disclaimer and the entities")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Document, A::Error> {
        let _disclaimer: Vec<IgnoredAny> =
            list.next_element()?.ok_or_else(|| de::Error::invalid_length(0, &self))?;
        let entities: Entities =
            list.next_element()?.ok_or_else(|| de::Error::invalid_length(1, &self))?;
        if list.next_element::<IgnoredAny>()?.is_some() {
            return Err(de::Error::invalid_length(3, &self));
        }
        Ok(Document(entities.0))
    }
}

struct Entities(Eba);

impl<'de> Deserialize<'de> for Entities {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(EntitiesVisitor)
    }
}

struct EntitiesVisitor;

impl<'de> Visitor<'de> for EntitiesVisitor {
    type Value = Entities;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of entities")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Entities, A::Error> {
        let mut eba = Eba::default();
        while let Some(row) = list.next_element::<&'de RawValue>()? {
            let fate = eba.enter(row);
            eba.account.enter(fate);
        }
        Ok(Entities(eba))
    }
}
