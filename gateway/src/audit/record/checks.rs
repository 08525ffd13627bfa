//! What of the checks stands in a record.

use std::fmt;

use jiff::Timestamp;
use policies::{CheckName, CheckOutcome, Trail};
use serde::{Serialize, Serializer};

use super::line::Shown;

/// The checks that looked at something with an age or a version, and the one that failed. Which
/// others passed follows from the fixed order: all before the failed one, or simply all.
pub(super) struct Checks<'a>(pub(super) &'a Trail);

impl Serialize for Checks<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let tell = |check: &&policies::Check| match check.name {
            // These look at the same record as the token check before them.
            CheckName::Scope | CheckName::Consent => check.outcome != CheckOutcome::Passed,
            _ => {
                check.outcome != CheckOutcome::Passed
                    || check.looked_at.version != 0
                    || check.looked_at.as_of.is_some()
            }
        };
        serializer.collect_seq(self.0.iter().filter(tell).map(CheckLine::of))
    }
}

/// One check of the trail.
#[derive(Serialize)]
struct CheckLine {
    check: &'static str,
    passed: bool,
    /// The reason of a check that does not hold and was let pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<&'static str>,
    source: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<Shown<Version>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    as_of: Option<Timestamp>,
}

/// The short content hash of what a check looked at.
struct Version(u64);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl CheckLine {
    fn of(check: &policies::Check) -> Self {
        Self {
            check: check.name.code(),
            passed: !matches!(check.outcome, CheckOutcome::Failed(_)),
            warning: match check.outcome {
                CheckOutcome::Warned(reason) => Some(reason.code()),
                CheckOutcome::Passed | CheckOutcome::Failed(_) => None,
            },
            source: check.looked_at.source.code(),
            version: (check.looked_at.version != 0)
                .then_some(Shown(Version(check.looked_at.version))),
            as_of: check.looked_at.as_of,
        }
    }
}
