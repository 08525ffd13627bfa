//! What the log comes to about one TPP: since when it is refused, for what, how often, and until when.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use policies::Reason;
use serde::Serialize;

/// The reasons for which a TPP as such is refused: who it is, or what it may do. A token that ended or a
/// limit that was reached refuses a call, and no TPP.
pub const BLOCKING: [Reason; 9] = [
    Reason::CertificateRevoked,
    Reason::CertificateUntrusted,
    Reason::RoleMissing,
    Reason::RegisterUnknown,
    Reason::RegisterWithdrawn,
    Reason::RegisterUndetermined,
    Reason::RegisterRoleMissing,
    Reason::RegisterPassportMissing,
    Reason::TppSuspended,
];

/// Calls of one day, refused for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Count {
    /// The UTC day.
    pub day: Date,
    /// The code of the reason.
    pub reason: String,
    /// How many.
    pub calls: u64,
}

/// What the log comes to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Case {
    /// Who.
    pub organisation_id: String,
    /// The name that the registers give it, where they list it.
    pub name: Option<String>,
    /// Instants of the log that were looked at.
    pub from: Option<Timestamp>,
    /// Before then.
    pub to: Option<Timestamp>,
    /// Calls of it, of every end.
    pub calls: u64,
    /// Calls that were let pass.
    pub allowed: u64,
    /// Calls refused for a reason that stands against the TPP itself.
    pub refused: u64,
    /// Calls refused for other reasons.
    pub refused_otherwise: u64,
    /// Of the calls refused for a reason against the TPP: by day and reason.
    pub by_day: Vec<Count>,
    /// The last call that was let pass before.
    pub last_allowed: Option<Timestamp>,
    /// The first call of the refusals that last.
    pub since: Option<Timestamp>,
    /// The last refused call.
    pub last_refused: Option<Timestamp>,
    /// The first call that was let pass again afterwards: the reason has ended.
    pub ended: Option<Timestamp>,
    /// What the registers and the bank's own decisions say of it now.
    pub standing: Option<String>,
    /// Records whose hash does not fit: they were changed, or what stood before them.
    pub not_intact: u64,
    /// The dossier that was made while it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closes: Option<Earlier>,
}

/// A dossier that was made before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Earlier {
    /// When.
    pub made: Timestamp,
    /// SHA-256 of its manifest.
    pub manifest_sha256: String,
    /// Whom it is about.
    pub organisation_id: String,
    /// Since when that was refused.
    pub since: Timestamp,
}

impl Case {
    /// Takes in one call of the TPP, in the order of the log. Tells whether it is evidence: refused for a
    /// reason against the TPP.
    pub fn call(&mut self, time: Timestamp, refused: Option<&str>, counts: &mut Counts) -> bool {
        self.calls += 1;
        let Some(reason) = refused else {
            self.allowed += 1;
            if self.since.is_none() {
                self.last_allowed = self.last_allowed.max(Some(time));
            } else if self.last_refused.is_some_and(|last| time > last) {
                self.ended = self.ended.or(Some(time));
            }
            return false;
        };
        if !BLOCKING.iter().any(|blocking| blocking.code() == reason) {
            self.refused_otherwise += 1;
            return false;
        }
        self.refused += 1;
        // Refused again after it had been let pass: what was before is another story.
        if let Some(ended) = self.ended.take() {
            self.last_allowed = Some(ended);
            self.since = None;
        }
        self.since = Some(self.since.map_or(time, |since| since.min(time)));
        self.last_refused = self.last_refused.max(Some(time));
        let day = time.to_zoned(TimeZone::UTC).date();
        *counts.0.entry((day, reason.to_owned())).or_default() += 1;
        true
    }

    /// Whether it is refused as far as the log knows.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.since.is_some() && self.ended.is_none()
    }

    /// Whether `earlier` was made of the refusal that this is about: nothing was let pass between its beginning
    /// and the last refused call.
    #[must_use]
    pub fn continues(&self, earlier: &Earlier) -> bool {
        self.organisation_id == earlier.organisation_id
            && self.last_allowed.is_none_or(|allowed| allowed < earlier.since)
            && self.last_refused.is_some_and(|refused| refused >= earlier.since)
    }

    /// The reasons that occur, each with its calls, the most frequent first.
    #[must_use]
    pub fn reasons(&self) -> Vec<(&str, u64)> {
        let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
        for count in &self.by_day {
            *reasons.entry(&count.reason).or_default() += count.calls;
        }
        let mut reasons: Vec<_> = reasons.into_iter().collect();
        reasons.sort_by_key(|(_, calls)| std::cmp::Reverse(*calls));
        reasons
    }
}

/// Refused calls by day and reason.
#[derive(Debug, Default)]
pub struct Counts(BTreeMap<(Date, String), u64>);

impl From<Counts> for Vec<Count> {
    fn from(counts: Counts) -> Self {
        let count = |((day, reason), calls)| Count { day, reason, calls };
        counts.0.into_iter().map(count).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minute * 60).unwrap()
    }

    #[test]
    fn a_refusal_lasts_from_its_first_call_until_one_is_let_pass_again() {
        let (mut case, mut counts) = (Case::default(), Counts::default());
        assert!(!case.call(at(0), None, &mut counts));
        assert!(!case.call(at(1), Some("quota_exceeded"), &mut counts));
        assert!(case.call(at(2), Some("register_withdrawn"), &mut counts));
        assert!(case.call(at(3), Some("register_withdrawn"), &mut counts));
        assert!(case.is_refused());
        assert_eq!((case.last_allowed, case.since), (Some(at(0)), Some(at(2))));
        case.call(at(4), None, &mut counts);
        assert!(!case.is_refused());
        assert_eq!(case.ended, Some(at(4)));
        // And once more.
        case.call(at(5), Some("tpp_suspended"), &mut counts);
        assert!(case.is_refused());
        assert_eq!((case.last_allowed, case.since), (Some(at(4)), Some(at(5))));
        let earlier = |minute| Earlier {
            made: at(9),
            manifest_sha256: String::new(),
            organisation_id: String::new(),
            since: at(minute),
        };
        assert!(case.continues(&earlier(5)));
        assert!(!case.continues(&earlier(2)), "that one had ended");
        assert!(!case.continues(&earlier(7)), "that one begins later");
        assert_eq!((case.calls, case.allowed, case.refused, case.refused_otherwise), (6, 2, 3, 1));
        case.by_day = counts.into();
        assert_eq!(case.reasons(), [("register_withdrawn", 2), ("tpp_suspended", 1)]);
    }
}
