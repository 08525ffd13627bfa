//! How often, and how many at once: the limits, whom each counts, and what was found.
//!
//! A limit counts in buckets. Whose request goes into which bucket is said by [`Per`]; the bucket is
//! named by a digest, so that neither an organisation id nor an account stands in a store's key.

mod bucket;
mod charges;
mod exceeded;

use std::num::NonZeroU32;
use std::time::Duration;

use arrayvec::ArrayVec;
use certs::RoleSet;

use crate::limits::QUOTAS_PER_API_MAX;

pub use bucket::{BucketId, Caller};
pub use charges::{Charge, Charges};
pub(crate) use charges::{Step, charges, limits};
pub use exceeded::Exceeded;
pub(crate) use exceeded::refusal;

/// One limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Its name in the configuration; a bucket keeps it, so what was used survives a changed rule.
    pub name: String,
    /// How it counts.
    pub measure: Measure,
    /// Whom it counts apart.
    pub per: Per,
    /// Which requests it counts.
    pub counts: Attendance,
    /// It counts only requests made in one of these roles; empty: in any.
    pub roles: RoleSet,
}

/// How a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum Measure {
    /// `requests` per `period`, of which up to `burst` may come at once: the generic cell rate
    /// algorithm (ITU-T I.371). Any span of time holds at most `burst`, and one more for each
    /// `period / requests` of it.
    Rate {
        /// Requests in a period.
        requests: NonZeroU32,
        /// The period.
        period: Duration,
        /// Requests that may come at once after a pause.
        burst: NonZeroU32,
        /// For how long a gateway that shares the limit with others may keep what it took in advance.
        lease: Option<Duration>,
    },
    /// At most `requests` in any span of `period`, exactly.
    Window {
        /// Requests in a period; at most [`WINDOW_REQUESTS_MAX`](crate::limits::WINDOW_REQUESTS_MAX).
        requests: NonZeroU32,
        /// The period.
        period: Duration,
    },
    /// At most so many at once, in one gateway.
    Concurrent(NonZeroU32),
}

/// Whom a limit counts apart. What is not named here shares one bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Per {
    /// Each TPP, by its organisation id.
    pub tpp: bool,
    /// Each API.
    pub api: bool,
    /// Each role in which a request is made.
    pub role: bool,
    /// Each bank.
    pub codetab: bool,
    /// Each account that is asked about; where the request names none, each consent.
    pub account: bool,
}

/// Which requests a limit counts: RTS (EU) 2018/389 art. 36(5) tells apart whether the customer
/// actively asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum Attendance {
    /// Every request.
    #[default]
    All,
    /// Those with the customer present.
    Attended,
    /// Those without.
    Unattended,
}

impl Attendance {
    /// As the configuration writes it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Attended => "attended",
            Self::Unattended => "unattended",
        }
    }

    const fn counts(self, attended: bool) -> bool {
        match self {
            Self::All => true,
            Self::Attended => attended,
            Self::Unattended => !attended,
        }
    }
}

impl Quota {
    /// The requests that it allows: in a period, or at once.
    #[must_use]
    pub const fn requests(&self) -> NonZeroU32 {
        match self.measure {
            Measure::Rate { requests, .. }
            | Measure::Window { requests, .. }
            | Measure::Concurrent(requests) => requests,
        }
    }

    /// The period in which it allows them.
    #[must_use]
    pub const fn period(&self) -> Option<Duration> {
        match self.measure {
            Measure::Rate { period, .. } | Measure::Window { period, .. } => Some(period),
            Measure::Concurrent(_) => None,
        }
    }
}

/// What is left of one limit after a request was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Requests that would pass right now.
    pub requests: u32,
    /// After so long without a request all of it is there again.
    pub full_in: Duration,
}

/// What is left of each charge, in their order.
pub type AllLeft = ArrayVec<Left, QUOTAS_PER_API_MAX>;

/// What the store answered about the limits of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum QuotaFact {
    /// There was room in each, and it has been taken.
    Granted(AllLeft),
    /// One had none, and nothing was taken from it.
    Exhausted {
        /// Which of the charges; the one with the longest wait.
        charge: usize,
        /// When it will have room.
        retry_after: Duration,
    },
    /// The store did not answer, and no local share is left to serve from.
    Unavailable,
}

impl QuotaFact {
    /// As if there were room for all of `charges`: for a judgement that nothing is counted by.
    #[must_use]
    pub fn assumed(charges: &[Charge<'_>]) -> Self {
        let full = |_| Left { requests: u32::MAX, full_in: Duration::ZERO };
        Self::Granted(charges.iter().map(full).collect())
    }
}
