//! How often a TPP may ask: the rule, what was found, and the arithmetic of GCRA.

use std::num::NonZeroU32;
use std::time::Duration;

/// `requests` per `period` and organisation, of which up to `burst` may come at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaRule {
    /// Its name in the configuration.
    pub name: String,
    /// Requests in a period.
    pub requests: NonZeroU32,
    /// The period.
    pub period: Duration,
    /// Requests that may come at once after a pause.
    pub burst: NonZeroU32,
}

/// What the store answered about a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum QuotaFact {
    /// There was room, and it has been taken.
    Granted {
        /// What is left, where the store knows.
        remaining: Option<u32>,
    },
    /// There was none.
    Exhausted {
        /// When there will be.
        retry_after: Duration,
    },
    /// The store did not answer, and no local share is left to serve from.
    Unavailable,
}

/// The generic cell rate algorithm (ITU-T I.371), pure: the same arithmetic that the Redis script
/// does and that governor does in process.
pub mod gcra {
    use std::time::Duration;

    use super::QuotaRule;

    /// The answer to one request.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[allow(clippy::exhaustive_enums)]
    pub enum Decision {
        /// Take it; `tat` is the new theoretical arrival time.
        Conforming {
            /// To be stored, in microseconds of the clock that `now` came from.
            tat_us: u64,
            /// Requests that would conform right after this one.
            remaining: u32,
        },
        /// Do not; nothing changes.
        Exceeding {
            /// Wait this long.
            retry_after: Duration,
        },
    }

    /// Microseconds between two requests of a steady stream. At least one, so that a rule faster
    /// than a request a microsecond is slower than it says, never faster.
    #[must_use]
    pub fn interval_us(rule: &QuotaRule) -> u64 {
        let period = u64::try_from(rule.period.as_micros()).unwrap_or(u64::MAX);
        period.div_ceil(u64::from(rule.requests.get())).max(1)
    }

    /// Decides one request at `now_us` given the stored `tat_us`.
    #[must_use]
    pub fn decide(tat_us: Option<u64>, now_us: u64, rule: &QuotaRule) -> Decision {
        let interval = interval_us(rule);
        let tolerance = interval.saturating_mul(u64::from(rule.burst.get()));
        let tat = tat_us.unwrap_or(now_us).max(now_us);
        let next = tat.saturating_add(interval);
        let used = next - now_us;
        if used > tolerance {
            return Decision::Exceeding { retry_after: Duration::from_micros(used - tolerance) };
        }
        let remaining = u32::try_from((tolerance - used) / interval).unwrap_or(u32::MAX);
        Decision::Conforming { tat_us: next, remaining }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::gcra::{Decision, decide};
    use super::*;

    fn rule(requests: u32, period_ms: u64, burst: u32) -> QuotaRule {
        QuotaRule {
            name: "test".to_owned(),
            requests: NonZeroU32::new(requests).unwrap(),
            period: Duration::from_millis(period_ms),
            burst: NonZeroU32::new(burst).unwrap(),
        }
    }

    #[test]
    fn a_burst_is_taken_and_the_next_request_waits_one_interval() {
        let rule = rule(10, 1000, 3);
        let mut tat = None;
        for left in [2, 1, 0] {
            let Decision::Conforming { tat_us, remaining } = decide(tat, 5_000_000, &rule) else {
                panic!("the burst must conform");
            };
            assert_eq!(remaining, left);
            tat = Some(tat_us);
        }
        assert_eq!(
            decide(tat, 5_000_000, &rule),
            Decision::Exceeding { retry_after: Duration::from_millis(100) }
        );
        assert!(matches!(decide(tat, 5_100_000, &rule), Decision::Conforming { remaining: 0, .. }));
    }

    proptest! {
        #[test]
        fn no_window_ever_admits_more_than_burst_plus_rate(
            requests in 1_u32..50, period_ms in 1_u64..2000, burst in 1_u32..20,
            gaps in prop::collection::vec(0_u64..300_000, 1..200),
        ) {
            let rule = rule(requests, period_ms, burst);
            let (mut now, mut tat, mut admitted) = (1_000_000_u64, None, Vec::new());
            for gap in gaps {
                now += gap;
                if let Decision::Conforming { tat_us, .. } = decide(tat, now, &rule) {
                    tat = Some(tat_us);
                    admitted.push(now);
                }
            }
            let interval = gcra::interval_us(&rule);
            for (start, from) in admitted.iter().enumerate() {
                for (end, to) in admitted.iter().enumerate().skip(start) {
                    let count = u64::try_from(end - start + 1).unwrap();
                    prop_assert!(count <= u64::from(burst) + (to - from) / interval);
                }
            }
        }
    }
}
