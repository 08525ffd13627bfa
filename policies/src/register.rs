//! The registers in which competent authorities list who may do what: the EBA's and REGAFI's,
//! read into one snapshot that is asked by organisation id.
//!
//! "Not in the register" is not "withdrawn": banks that act as TPPs are not in the EBA's register
//! of payment institutions, and registers contradict themselves. So there are four answers.

mod account;
mod authority;
mod country;
mod diff;
mod eba;
mod finding;
mod judgement;
mod life;
mod overrides;
mod record;
mod regafi;
mod rows;
mod service;
mod snapshot;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use certs::OrganisationId;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use thiserror::Error;

pub use account::{Account, OnRejection, Rejection};
pub use authority::{AUTHORITIES, Authority, Reference};
pub use country::CountryCode;
pub use diff::Difference;
pub use finding::{Finding, FindingKind};
pub use life::Life;
pub use overrides::{Decision, Override, OverrideError, Overrides};
pub use record::{Listed, Origin, Record, Services, Status, Unclear};
pub use regafi::Columns;
pub use service::{ServiceCode, ServiceSet};
pub use snapshot::{Published, SNAPSHOT_FORMAT, Snapshot, SourceFile};

use crate::check::{Evidence, Source};
use crate::freshness::{Freshness, Step};
use judgement::Statement;

/// What the registers say about one organisation on one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum Standing {
    /// It may provide these services.
    Authorised {
        /// In any country of the EEA.
        services: ServiceSet,
        /// In the bank's country.
        here: ServiceSet,
        /// Since when.
        since: Date,
    },
    /// It may no longer.
    Withdrawn {
        /// Since when, where the register says it.
        since: Option<Date>,
    },
    /// The registers cannot tell; a sentence says why.
    Undetermined(&'static str),
    /// No register lists it.
    Unknown,
}

impl Standing {
    /// As reports write it.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Authorised { .. } => "authorised",
            Self::Withdrawn { .. } => "withdrawn",
            Self::Undetermined(_) => "undetermined",
            Self::Unknown => "unknown",
        }
    }
}

/// Whether a service must be passported to the bank's country. Authorities do not ask banks to look
/// (EBA Q&A 2018_4432).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum Passport {
    /// It is not looked at.
    Off,
    /// It is looked at, and what is missing is recorded.
    Warn,
    /// A TPP whose service is not listed for the country is refused.
    Enforce,
}

/// What becomes of a TPP about which the registers cannot tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum WhenUndetermined {
    /// It is refused.
    Refuse,
    /// It passes on its certificate alone, and that is recorded.
    Warn,
}

/// How the registers are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)]
pub struct RegisterPolicy {
    /// How old they may become.
    pub freshness: Freshness,
    /// The bank's country.
    pub country: CountryCode,
    /// Whether services must be listed for it.
    pub passport: Passport,
    /// What becomes of the third answer.
    pub undetermined: WhenUndetermined,
}

impl RegisterPolicy {
    /// What is done unless a bank decides otherwise: France, a warning without a passport, no
    /// passage in doubt.
    #[must_use]
    pub const fn usual(freshness: Freshness) -> Self {
        Self {
            freshness,
            country: CountryCode::FRANCE,
            passport: Passport::Warn,
            undetermined: WhenUndetermined::Refuse,
        }
    }
}

/// Why no snapshot can be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// No register at all.
    #[error("there is no register: configure the EBA's, REGAFI's, or both")]
    None,
    /// The EBA's file is not JSON of its shape.
    #[error("{file}: octet {octet}, after row {row}: not the EBA's register: {why}")]
    Json {
        /// The file.
        file: String,
        /// From 0.
        octet: u64,
        /// Rows read before.
        row: usize,
        /// What is wrong.
        why: String,
    },
    /// It cannot be read to its end.
    #[error("{file}: cannot be read: {why}")]
    Unreadable {
        /// The file.
        file: String,
        /// The system's reason.
        why: String,
    },
    /// A REGAFI file without its header.
    #[error(
        "{file}: line 1: not a REGAFI export: a header line with columns apart by semicolons is expected"
    )]
    Header {
        /// The file.
        file: String,
    },
    /// A column that the mapping names is not there.
    #[error("{file}: line 1: there is no column {column:?}; it has: {header}")]
    Column {
        /// The file.
        file: String,
        /// What was looked for.
        column: String,
        /// What there is.
        header: String,
    },
    /// Nobody could be found in it: a cut or foreign file.
    #[error("{file}: no usable institution among {read} rows{}", first(.rejection))]
    Empty {
        /// The file.
        file: String,
        /// Rows read.
        read: usize,
        /// The first row that was rejected.
        rejection: Option<Rejection>,
    },
}

impl RegisterError {
    fn empty(file: &str, account: &Account) -> Self {
        let rejection = account.rejections.first().cloned();
        Self::Empty { file: file.to_owned(), read: account.read, rejection }
    }
}

fn first(rejection: &Option<Rejection>) -> String {
    rejection.as_ref().map_or_else(String::new, |rejection| format!("; {rejection}"))
}

/// One snapshot of the registers, ready to be asked.
pub struct Register {
    policy: RegisterPolicy,
    by_id: HashMap<Box<str>, Box<[Statement]>>,
    /// Organisation ids by what is left without spaces and hyphens.
    alike: HashMap<Box<str>, u32>,
    overrides: Overrides,
    sources: Vec<SourceFile>,
    version: u64,
    kept: Option<KeptAs>,
}

/// Where what a register was made of is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)]
pub struct KeptAs {
    /// The name of the snapshot: SHA-256 of its content, in hexadecimal.
    pub snapshot: String,
    /// How many lines of the overrides counted: made ones, and ones taken back.
    pub override_lines: usize,
}

impl Register {
    /// Indexes a snapshot.
    ///
    /// # Errors
    /// It holds no register.
    pub fn of(
        snapshot: &Snapshot,
        overrides: Overrides,
        policy: RegisterPolicy,
    ) -> Result<Self, RegisterError> {
        if snapshot.sources.is_empty() || snapshot.records.is_empty() {
            return Err(RegisterError::None);
        }
        let by_id = judgement::by_id(&snapshot.records, policy.country);
        let mut alike: HashMap<Box<str>, u32> = HashMap::with_capacity(by_id.len());
        for id in by_id.keys() {
            *alike.entry(authority::squeezed(id).into()).or_default() += 1;
        }
        let sources = snapshot.sources.clone();
        let hashes: Vec<u8> = sources.iter().flat_map(|source| source.sha256.bytes()).collect();
        let version = short(&certs::sha256(&hashes));
        Ok(Self { policy, by_id, alike, overrides, sources, version, kept: None })
    }

    /// The same, with where it comes from.
    #[must_use]
    pub fn kept_as(self, kept: KeptAs) -> Self {
        Self { kept: Some(kept), ..self }
    }

    /// Where what it was made of is kept, where that was said.
    #[must_use]
    pub fn kept(&self) -> Option<&KeptAs> {
        self.kept.as_ref()
    }

    /// How the registers are used.
    #[must_use]
    pub fn policy(&self) -> &RegisterPolicy {
        &self.policy
    }

    /// The files that it was read from.
    #[must_use]
    pub fn sources(&self) -> &[SourceFile] {
        &self.sources
    }

    /// The organisation ids that are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Nobody is known; cannot be.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// The worst step of all sources.
    #[must_use]
    pub fn freshness(&self, now: Timestamp) -> Step {
        let steps = self.sources.iter().map(|source| self.policy.freshness.step(source.as_of, now));
        steps.max().unwrap_or(Step::Expired)
    }

    /// What the registers say about `id` at `now` (its UTC day), and which of them said it.
    ///
    /// Nothing is allocated where the answer is that it is authorised.
    #[must_use]
    pub fn standing(&self, id: &OrganisationId, now: Timestamp) -> (Standing, Evidence) {
        let id = id.as_str();
        if let Some(decided) = self.overrides.of(id, now) {
            return judgement::of_override(decided, now);
        }
        let day = now.to_zoned(TimeZone::UTC).date();
        if let Some(statements) = self.by_id.get(id) {
            let (standing, origin) = judgement::combined(statements, day);
            return (standing, self.evidence(origin));
        }
        let evidence = self.evidence(self.default_origin(id));
        if id.starts_with("PSDFR-ACPR-") && !self.has(Origin::Regafi) {
            let why = "French identifiers can only be found with the REGAFI register";
            return (Standing::Undetermined(why), evidence);
        }
        (Standing::Unknown, evidence)
    }

    /// Whether a register lists another id than `id` that differs from it only in spaces, hyphens or
    /// case. It opens nothing: a person should look.
    #[must_use]
    pub fn lists_alike(&self, id: &OrganisationId) -> bool {
        let others = self.alike.get(authority::squeezed(id.as_str()).as_str());
        let itself = u32::from(self.by_id.contains_key(id.as_str()));
        others.is_some_and(|others| *others > itself)
    }

    /// The override that stands above the registers about `id` at `now`.
    #[must_use]
    pub fn override_of(&self, id: &OrganisationId, now: Timestamp) -> Option<&Override> {
        self.overrides.of(id.as_str(), now)
    }

    /// The organisation ids about which two registers contradict each other at `now`.
    pub fn disagreements(&self, now: Timestamp) -> impl Iterator<Item = &str> {
        let day = now.to_zoned(TimeZone::UTC).date();
        let all = self.by_id.iter().map(|(id, statements)| (&**id, &**statements));
        let contradicted =
            move |(id, statements)| judgement::disagree(statements, day).then_some(id);
        all.filter_map(contradicted)
    }

    /// Every organisation id, in no order.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.by_id.keys().map(|id| &**id)
    }

    fn has(&self, origin: Origin) -> bool {
        self.sources.iter().any(|source| source.origin == origin)
    }

    /// Who would have listed it.
    fn default_origin(&self, id: &str) -> Origin {
        let french = id.starts_with("PSDFR-") && self.has(Origin::Regafi);
        if french || !self.has(Origin::EbaPayment) { Origin::Regafi } else { Origin::EbaPayment }
    }

    fn evidence(&self, origin: Origin) -> Evidence {
        let of_it = self.sources.iter().filter(|source| source.origin == origin);
        let source = match origin {
            Origin::EbaPayment => Source::EbaRegister,
            Origin::EbaCredit => Source::EbaCreditRegister,
            Origin::Regafi => Source::RegafiRegister,
        };
        Evidence { source, version: self.version, as_of: of_it.map(|source| source.as_of).min() }
    }
}

/// The beginning of a digest, as evidence holds it.
fn short(digest: &[u8; 32]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *digest;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}
