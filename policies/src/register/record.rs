//! One row of a register, as far as it matters for who may call.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::country::CountryCode;
use super::life::Life;
use super::service::ServiceSet;

/// Which register a record is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::exhaustive_enums)]
pub enum Origin {
    /// The EBA's register of payment and electronic money institutions (PSD2 art. 15).
    EbaPayment,
    /// The EBA's register of credit institutions (directive 2013/36/EU art. 20).
    EbaCredit,
    /// REGAFI, the French register of financial agents.
    Regafi,
}

impl Origin {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::EbaPayment, Self::EbaCredit, Self::Regafi];

    /// As files, metrics and tables write it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::EbaPayment => "eba_payment",
            Self::EbaCredit => "eba_credit",
            Self::Regafi => "regafi",
        }
    }
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Record {
    /// Whose row it is.
    pub origin: Origin,
    /// The register's own name of it: `EntityCode`, `id_referentiel`.
    pub code: Box<str>,
    /// The kind of licence: `PSD_PI`, `CRD_CRE_INS`, REGAFI's `categorie`.
    pub kind: Box<str>,
    /// Who keeps the row: `CA_OwnerID`.
    pub authority: Box<str>,
    /// The number that the authority knows the firm by: `ENT_NAT_REF_COD`, the SIREN.
    pub reference: Box<str>,
    /// The firm's name.
    pub name: Box<str>,
    /// The organisation ids that are derived from it; none where it leads to one only through
    /// another register.
    pub ids: Vec<Box<str>>,
    /// Since when it may act, and until when.
    pub status: Status,
    /// For what.
    pub services: Services,
    /// Codes among its services that nobody knows: they open nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown_services: Vec<Box<str>>,
}

/// Whether and when a firm is authorised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::exhaustive_enums)]
pub enum Status {
    /// As these dates say.
    Dated(Life),
    /// No longer, since a day that the register does not say.
    Withdrawn,
    /// Nobody can tell.
    Unclear(Unclear),
}

impl PartialOrd for Status {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Status {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let key = |status: &Self| match status {
            Self::Dated(life) => (0, life.dates().to_vec(), None),
            Self::Withdrawn => (1, Vec::new(), None),
            Self::Unclear(why) => (2, Vec::new(), Some(*why)),
        };
        key(self).cmp(&key(other))
    }
}

/// Why nobody can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::exhaustive_enums)]
pub enum Unclear {
    /// Its dates are missing, unreadable or out of order.
    Dates,
    /// Two rows of one kind contradict each other.
    Rows,
    /// REGAFI's tables do not agree, or an end is under way.
    Tables,
}

impl Unclear {
    /// A sentence.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Dates => "the dates of its authorisation are missing or contradict themselves",
            Self::Rows => "two rows of the register contradict each other about it",
            Self::Tables => "REGAFI's own tables do not agree about it",
        }
    }
}

/// For what a firm is authorised.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::exhaustive_enums)]
pub enum Services {
    /// Every payment service, wherever it is passported: a credit institution (directive 2013/36/EU,
    /// annex I point 4). Its register does not list countries.
    All,
    /// The register does not list services.
    Unlisted,
    /// By country where they may be provided.
    Listed(Listed),
}

/// Services by country. As data, countries with the same services stand together.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "Vec<(ServiceSet, Vec<CountryCode>)>", into = "Vec<(ServiceSet, Vec<CountryCode>)>")]
pub struct Listed(BTreeMap<CountryCode, ServiceSet>);

impl Listed {
    /// Adds services in a country.
    pub fn add(&mut self, country: CountryCode, services: ServiceSet) {
        let known = self.0.entry(country).or_default();
        *known = known.union(services);
    }

    /// Wherever.
    #[must_use]
    pub fn anywhere(&self) -> ServiceSet {
        self.0.values().fold(ServiceSet::EMPTY, |all, services| all.union(*services))
    }

    /// In one country.
    #[must_use]
    pub fn within(&self, country: CountryCode) -> ServiceSet {
        self.0.get(&country).copied().unwrap_or(ServiceSet::EMPTY)
    }

    /// Each country with its services.
    pub fn iter(&self) -> impl Iterator<Item = (CountryCode, ServiceSet)> {
        self.0.iter().map(|(country, services)| (*country, *services))
    }
}

impl From<Vec<(ServiceSet, Vec<CountryCode>)>> for Listed {
    fn from(groups: Vec<(ServiceSet, Vec<CountryCode>)>) -> Self {
        let mut listed = Self::default();
        for (services, countries) in groups {
            countries.into_iter().for_each(|country| listed.add(country, services));
        }
        listed
    }
}

impl From<Listed> for Vec<(ServiceSet, Vec<CountryCode>)> {
    fn from(listed: Listed) -> Self {
        let mut groups: BTreeMap<ServiceSet, Vec<CountryCode>> = BTreeMap::new();
        for (country, services) in listed.0 {
            groups.entry(services).or_default().push(country);
        }
        groups.into_iter().collect()
    }
}

/// A firm's name, or a register's own name of a row, characters.
const NAME_CHARS_MAX: usize = 200;

/// A name as tables and terminals may show it.
pub(super) fn shortened(name: &str) -> Box<str> {
    let plain = name.trim().chars().filter(|character| !character.is_control());
    plain.take(NAME_CHARS_MAX).collect::<String>().into()
}

/// A day as registers write it: `2019-01-10`, perhaps with a time behind it.
pub(super) fn day(text: &str) -> Option<Date> {
    let date = match text.split_once(['T', ' ']) {
        Some((date, _)) => date,
        None => text,
    };
    date.parse().ok()
}
