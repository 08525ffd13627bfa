//! The registers in which competent authorities list who may do what: the EBA's and REGAFI's,
//! read into one snapshot that is asked by organisation id.
//!
//! "Not in the register" is not "withdrawn": banks that act as TPPs are not in the EBA's register
//! of payment institutions, and registers contradict themselves. So there are four answers.

mod account;
mod eba;
mod life;
mod regafi;
mod service;
#[cfg(test)]
mod tests;

use certs::OrganisationId;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use thiserror::Error;

pub use account::{Account, Rejection};
pub use service::{ServiceCode, ServiceSet};

use crate::check::{Evidence, Source};
use crate::freshness::{Freshness, Step};
use eba::{Eba, Entity};
use life::Stage;
use regafi::{Firm, Regafi, State};

/// What the registers say about one organisation on one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum Standing {
    /// It may provide these services.
    Authorised {
        /// In any country of the EEA; passports are not looked at.
        services: ServiceSet,
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

/// One register file as published.
#[derive(Clone, Copy, Debug)]
pub struct Published<'a> {
    /// Its name, for errors.
    pub file: &'a str,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// What a snapshot is read from. At least one register must be there.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    /// The EBA's register, and when it was published.
    pub eba: Option<(Published<'a>, Timestamp)>,
    /// REGAFI's entities and authorisations, and when they were exported.
    pub regafi: Option<(Published<'a>, Published<'a>, Timestamp)>,
    /// How old they may become.
    pub freshness: Freshness,
}

/// Why no snapshot can be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// No register at all.
    #[error("there is no register: configure the EBA's, REGAFI's, or both")]
    None,
    /// The EBA file is not JSON of its shape.
    #[error(
        "{file}:{line}:{column}: not the EBA's register: [[disclaimer], [entities]] is expected"
    )]
    Json {
        /// The file.
        file: String,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// A REGAFI file without its header.
    #[error(
        "{file}:1: not a REGAFI export: a header line with columns apart by semicolons is expected"
    )]
    Header {
        /// The file.
        file: String,
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

fn first(rejection: &Option<Rejection>) -> String {
    rejection.as_ref().map_or_else(String::new, |rejection| format!("; {rejection}"))
}

struct Dated<T> {
    register: T,
    as_of: Timestamp,
    version: u64,
}

/// One snapshot of the registers.
pub struct Register {
    eba: Option<Dated<Eba>>,
    regafi: Option<Dated<Regafi>>,
    freshness: Freshness,
}

impl Register {
    /// Reads the published files.
    ///
    /// # Errors
    /// A file that is not what it should be, or in which nobody can be found.
    pub fn read(sources: &Sources<'_>) -> Result<Self, RegisterError> {
        let eba = match sources.eba {
            Some((published, as_of)) => {
                let register = Eba::read(published.file, published.bytes)?;
                Some(Dated { register, as_of, version: version(&[published.bytes]) })
            }
            None => None,
        };
        let regafi = match sources.regafi {
            Some((entities, authorisations, as_of)) => {
                let register = Regafi::read(
                    (entities.file, entities.bytes),
                    (authorisations.file, authorisations.bytes),
                )?;
                let version = version(&[entities.bytes, authorisations.bytes]);
                Some(Dated { register, as_of, version })
            }
            None => None,
        };
        if eba.is_none() && regafi.is_none() {
            return Err(RegisterError::None);
        }
        Ok(Self { eba, regafi, freshness: sources.freshness })
    }

    /// The worst step of all sources.
    #[must_use]
    pub fn freshness(&self, now: Timestamp) -> Step {
        let step = |as_of| self.freshness.step(as_of, now);
        let eba = self.eba.as_ref().map(|dated| step(dated.as_of));
        let regafi = self.regafi.as_ref().map(|dated| step(dated.as_of));
        eba.max(regafi).unwrap_or(Step::Expired)
    }

    /// What became of the rows, by source.
    pub fn accounts(&self) -> impl Iterator<Item = (&'static str, &Account)> {
        let eba = self.eba.iter().map(|dated| ("eba", &dated.register.account));
        let regafi = self.regafi.iter().flat_map(|dated| {
            [
                ("regafi entities", &dated.register.entities),
                ("regafi authorisations", &dated.register.authorisations),
            ]
        });
        eba.chain(regafi)
    }

    /// What the registers say about `id` at `now` (its UTC day), and which of them said it.
    #[must_use]
    pub fn standing(&self, id: &OrganisationId, now: Timestamp) -> (Standing, Evidence) {
        let day = now.to_zoned(TimeZone::UTC).date();
        let id = id.as_str();
        if let Some(regafi) = &self.regafi
            && let Some(firm) = regafi.register.by_id.get(id)
        {
            return self.french(regafi, firm, day);
        }
        if let Some(eba) = &self.eba {
            let evidence = evidence(Source::EbaRegister, eba.as_of, eba.version);
            if let Some(entity) = eba.register.by_id.get(id) {
                return (of_entity(entity, day), evidence);
            }
            if self.regafi.is_none() && id.starts_with("PSDFR-ACPR-") {
                let why = "French identifiers can only be found with the REGAFI register";
                return (Standing::Undetermined(why), evidence);
            }
            return (Standing::Unknown, evidence);
        }
        let evidence = self.regafi.as_ref().map_or(Evidence::of(Source::RegafiRegister), |dated| {
            evidence(Source::RegafiRegister, dated.as_of, dated.version)
        });
        (Standing::Unknown, evidence)
    }

    /// REGAFI says who it is and whether it stands; the EBA's record says for which services.
    fn french(&self, regafi: &Dated<Regafi>, firm: &Firm, day: Date) -> (Standing, Evidence) {
        let said = evidence(Source::RegafiRegister, regafi.as_of, regafi.version);
        let standing = match firm.state {
            State::Withdrawn => Standing::Withdrawn { since: None },
            State::Unclear => Standing::Undetermined("REGAFI's own tables do not agree about it"),
            State::CreditInstitution(since) | State::Other(since) if since > day => {
                Standing::Undetermined("its authorisation begins later")
            }
            State::CreditInstitution(since) => {
                Standing::Authorised { services: ServiceSet::all(), since }
            }
            State::Other(_) => {
                let entity = self
                    .eba
                    .as_ref()
                    .and_then(|eba| Some((eba, eba.register.by_siren.get(&firm.siren)?)));
                let Some((eba, entity)) = entity else {
                    let why = "REGAFI lists it without services, and the EBA's register does not \
                               list its SIREN";
                    return (Standing::Undetermined(why), said);
                };
                let evidence = evidence(Source::EbaRegister, eba.as_of, eba.version);
                return (of_entity(entity, day), evidence);
            }
        };
        (standing, said)
    }
}

fn of_entity(entity: &Entity, day: Date) -> Standing {
    match entity.life.as_ref().and_then(|life| life.on(day)) {
        Some(Stage::Authorised(since)) => Standing::Authorised { services: entity.services, since },
        Some(Stage::Withdrawn(since)) => Standing::Withdrawn { since: Some(since) },
        Some(Stage::NotYet(_)) => Standing::Undetermined("its authorisation begins later"),
        None => Standing::Undetermined("the dates of its authorisation contradict themselves"),
    }
}

fn evidence(source: Source, as_of: Timestamp, version: u64) -> Evidence {
    Evidence { source, version, as_of: Some(as_of) }
}

fn version(parts: &[&[u8]]) -> u64 {
    let digests: Vec<u8> = parts.iter().flat_map(|part| certs::sha256(part)).collect();
    let [a, b, c, d, e, f, g, h, ..] = certs::sha256(&digests);
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}
