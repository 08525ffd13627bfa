//! Dated decisions of the bank's own people that stand above the registers for a while: made by two,
//! with a reason and an end.

use std::collections::HashMap;
use std::fmt;

use certs::OrganisationId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::service::ServiceSet;

/// What is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::exhaustive_enums)]
pub enum Decision {
    /// It may provide these services, whatever the registers say.
    Authorised(ServiceSet),
    /// It may not, whatever the registers say.
    Withdrawn,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authorised(services) => write!(f, "authorised for {services}"),
            Self::Withdrawn => f.write_str("withdrawn"),
        }
    }
}

/// One decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Override {
    /// Counts the overrides of a bank, from 1.
    pub number: u64,
    /// About whom.
    pub organisation_id: String,
    /// What is decided.
    pub decision: Decision,
    /// From then.
    pub from: Timestamp,
    /// Until then, and no longer.
    pub until: Timestamp,
    /// Why.
    pub because: String,
    /// The two who decided.
    pub by: [String; 2],
    /// When it was taken back, if it was.
    pub revoked_at: Option<Timestamp>,
}

/// Why a decision is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OverrideError {
    /// No organisation id.
    #[error("the organisation id cannot be one")]
    OrganisationId,
    /// It would begin after its end.
    #[error("--until is not after its beginning")]
    Period,
    /// An override that nobody would look at again.
    #[error("--until is more than a year away: decide again by then")]
    TooLong,
    /// Nobody says why.
    #[error("--because is empty, or longer than 500 characters")]
    Because,
    /// One person, or none.
    #[error("--by needs two different names")]
    By,
    /// An authorisation for nothing.
    #[error("no service is named: --service PS_05A, for example")]
    NoService,
}

/// Longest time between a decision and its end.
const DAYS_MAX: i64 = 366;
const BECAUSE_CHARS_MAX: usize = 500;

impl Override {
    /// Makes a decision that begins at `from`.
    ///
    /// # Errors
    /// It lacks something that every decision must have.
    pub fn new(
        number: u64,
        organisation_id: &str,
        decision: Decision,
        (from, until): (Timestamp, Timestamp),
        because: &str,
        by: &[String],
    ) -> Result<Self, OverrideError> {
        let plain = |name: &String| name.split_whitespace().collect::<Vec<_>>().join(" ");
        let by: Vec<String> = by.iter().map(plain).collect();
        let [first, second] = by.as_slice() else { return Err(OverrideError::By) };
        let made = Self {
            number,
            organisation_id: organisation_id.to_owned(),
            decision,
            from,
            until,
            because: because.trim().to_owned(),
            by: [first.clone(), second.clone()],
            revoked_at: None,
        };
        made.check().map(|()| made)
    }

    /// Whether it has all that a decision must have, wherever it was written down.
    ///
    /// # Errors
    /// What it lacks.
    pub fn check(&self) -> Result<(), OverrideError> {
        OrganisationId::new(&self.organisation_id).map_err(|_| OverrideError::OrganisationId)?;
        if self.until <= self.from {
            return Err(OverrideError::Period);
        }
        if self.until.duration_since(self.from).as_hours() > 24 * DAYS_MAX {
            return Err(OverrideError::TooLong);
        }
        if self.because.trim().is_empty() || self.because.chars().count() > BECAUSE_CHARS_MAX {
            return Err(OverrideError::Because);
        }
        if self.decision == Decision::Authorised(ServiceSet::EMPTY) {
            return Err(OverrideError::NoService);
        }
        let [first, second] = self.by.each_ref().map(|name| name.trim().to_lowercase());
        if first == second || first.is_empty() || second.is_empty() {
            return Err(OverrideError::By);
        }
        Ok(())
    }

    /// Whether it stands at `now`.
    #[must_use]
    pub fn stands(&self, now: Timestamp) -> bool {
        self.from <= now
            && now < self.until
            && self.revoked_at.is_none_or(|revoked_at| now < revoked_at)
    }
}

/// All decisions, those that are over as well: a past instant is judged by those of that time.
#[derive(Clone, Debug, Default)]
pub struct Overrides(HashMap<Box<str>, Vec<Override>>);

impl Overrides {
    /// The one that stands at `now`; the last made, where several do.
    #[must_use]
    pub fn of(&self, organisation_id: &str, now: Timestamp) -> Option<&Override> {
        self.0.get(organisation_id)?.iter().rev().find(|one| one.stands(now))
    }
}

impl FromIterator<Override> for Overrides {
    fn from_iter<I: IntoIterator<Item = Override>>(overrides: I) -> Self {
        let mut all: HashMap<Box<str>, Vec<Override>> = HashMap::new();
        for one in overrides {
            all.entry(one.organisation_id.as_str().into()).or_default().push(one);
        }
        for of_one in all.values_mut() {
            of_one.sort_by_key(|one| one.number);
        }
        Self(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::register::ServiceCode;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn made(until: &str, because: &str, by: &[&str]) -> Result<Override, OverrideError> {
        let by: Vec<String> = by.iter().map(|name| (*name).to_owned()).collect();
        let services = [ServiceCode::IssuingInstruments].into_iter().collect();
        let period = (at("2026-11-01T00:00:00Z"), at(until));
        Override::new(1, "PSDIE-CBI-C1", Decision::Authorised(services), period, because, &by)
    }

    #[test]
    fn a_decision_has_an_end_a_reason_and_two_people() {
        let until = "2026-12-01T00:00:00Z";
        assert!(made(until, "the register is late", &["Ada", "Bob"]).is_ok());
        for (until, because, by, error) in [
            ("2026-11-01T00:00:00Z", "late", &["Ada", "Bob"][..], OverrideError::Period),
            ("2028-11-01T00:00:00Z", "late", &["Ada", "Bob"], OverrideError::TooLong),
            (until, "  ", &["Ada", "Bob"], OverrideError::Because),
            (until, "late", &["Ada"], OverrideError::By),
            (until, "late", &["Ada", " ada "], OverrideError::By),
            (until, "late", &["Ada", ""], OverrideError::By),
            (until, "late", &["Ada", "Bob", "Eve"], OverrideError::By),
        ] {
            assert_eq!(made(until, because, by).err(), Some(error), "{until} {because} {by:?}");
        }
    }

    #[test]
    fn it_stands_from_its_beginning_until_its_end_or_its_revocation() {
        let mut one = made("2026-12-01T00:00:00Z", "late", &["Ada", "Bob"]).unwrap();
        let stands = |one: &Override, now: &str| {
            let all: Overrides = [one.clone()].into_iter().collect();
            all.of("PSDIE-CBI-C1", at(now)).is_some()
        };
        assert!(!stands(&one, "2026-10-31T23:59:59Z"));
        assert!(stands(&one, "2026-11-01T00:00:00Z"));
        assert!(stands(&one, "2026-11-30T23:59:59Z"));
        assert!(!stands(&one, "2026-12-01T00:00:00Z"));
        one.revoked_at = Some(at("2026-11-10T00:00:00Z"));
        assert!(stands(&one, "2026-11-09T00:00:00Z"));
        assert!(!stands(&one, "2026-11-10T00:00:00Z"));
    }
}
