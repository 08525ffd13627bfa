//! The ladder of every dependency that is kept in memory: fresh → tolerated → expired.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::limits::CLOCK_SKEW_SECONDS_MAX;

/// How long something may serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// Until here it is as good as new.
    pub fresh_for: Duration,
    /// Until here it still serves, with an alarm.
    pub tolerated_for: Duration,
}

/// Where on the ladder something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(clippy::exhaustive_enums)]
pub enum Step {
    /// As good as new.
    Fresh,
    /// Old; it serves, and somebody should look.
    Tolerated,
    /// Too old to allow anything.
    Expired,
}

impl Step {
    /// As metrics and health write it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Tolerated => "tolerated",
            Self::Expired => "expired",
        }
    }
}

impl Freshness {
    /// The step of something that was true at `as_of`.
    ///
    /// A time in the future beyond clock skew proves nothing and is expired.
    #[must_use]
    pub fn step(&self, as_of: Timestamp, now: Timestamp) -> Step {
        let age = now.duration_since(as_of);
        if age < SignedDuration::from_secs(-CLOCK_SKEW_SECONDS_MAX) {
            return Step::Expired;
        }
        let age = Duration::try_from(age).unwrap_or(Duration::ZERO);
        if age <= self.fresh_for {
            Step::Fresh
        } else if age <= self.tolerated_for {
            Step::Tolerated
        } else {
            Step::Expired
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_ends_to_the_second_and_the_future_is_expired() {
        let ladder = Freshness {
            fresh_for: Duration::from_secs(10),
            tolerated_for: Duration::from_secs(20),
        };
        let as_of = Timestamp::from_second(1_000_000).unwrap();
        let at =
            |seconds: i64| ladder.step(as_of, Timestamp::from_second(1_000_000 + seconds).unwrap());
        assert_eq!(
            [at(0), at(10), at(11), at(20), at(21)],
            [Step::Fresh, Step::Fresh, Step::Tolerated, Step::Tolerated, Step::Expired]
        );
        assert_eq!(at(-60), Step::Fresh, "clocks may differ a little");
        assert_eq!(at(-61), Step::Expired);
    }
}
