//! Which calls other limits would have refused: the arithmetic of the limits over the times of the
//! records.
//!
//! What is not known is not simulated: limits by account (the log holds no account that a limit could
//! count by), limits by attendance (whether the customer was present is not recorded), limits on requests
//! at once. Buckets are full where the log begins; all gateways share them at once.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use policies::quota::{Attendance, BucketId, Charge, Measure};
use policies::{Admitted, Quota, Routes};
use serde::Serialize;

/// The limits that are simulated, and those that are not.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// Those that are new or changed, and can be.
    simulated: Vec<Arc<Quota>>,
    /// The names of changed ones that cannot, with why.
    left_out: Vec<(String, &'static str)>,
}

/// What one limit would have done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LimitOutcome {
    /// Calls that it would have counted.
    pub counted: u64,
    /// Of these: calls that were let pass and that it would have refused.
    pub refused: u64,
}

/// One call that reached the limits, small: all of a log are held at once.
#[derive(Clone, Copy)]
pub(super) struct Taking {
    /// Microseconds of the epoch.
    pub(super) time: i64,
    /// Which bucket.
    pub(super) bucket: u32,
    /// Which limit.
    pub(super) limit: u16,
    /// It was let pass by the limits of then.
    pub(super) passed: bool,
    /// Which record, for examples.
    pub(super) file: u32,
    /// Its line.
    pub(super) line: u32,
}

impl Limits {
    /// The limits of `new` that are not the same in `old`. Without `old`, all of them.
    #[must_use]
    pub fn changed(new: &Routes, old: Option<&Routes>) -> Self {
        let before: Vec<(&str, &Arc<Quota>)> = old.map_or_else(Vec::new, |routes| {
            routes
                .apis()
                .flat_map(|api| api.quotas.iter().map(|quota| (api.name.as_str(), quota)))
                .collect()
        });
        let mut limits = Self::default();
        for api in new.apis() {
            for quota in &api.quotas {
                let same = before.iter().any(|(name, old)| *name == api.name && *old == quota);
                let known = limits.simulated.contains(quota)
                    || limits.left_out.iter().any(|(name, _)| *name == quota.name);
                if same || known {
                    continue;
                }
                match untold(quota) {
                    Some(why) => limits.left_out.push((quota.name.clone(), why)),
                    None => limits.simulated.push(Arc::clone(quota)),
                }
            }
        }
        limits
    }

    /// Whether there is nothing to simulate.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.simulated.is_empty()
    }

    /// The names of those that are simulated.
    pub fn simulated(&self) -> impl Iterator<Item = &str> {
        self.simulated.iter().map(|quota| quota.name.as_str())
    }

    /// The names of those that are not, with why.
    #[must_use]
    pub fn left_out(&self) -> &[(String, &'static str)] {
        &self.left_out
    }

    /// What these limits charge an admitted call.
    pub(super) fn charges(&self, admitted: &Admitted) -> Vec<(u16, BucketId)> {
        let charges = admitted.charges_ahead();
        let ours = charges.iter().filter_map(|Charge { quota, bucket, .. }| {
            let place = self.simulated.iter().position(|known| known == *quota)?;
            Some((u16::try_from(place).ok()?, *bucket))
        });
        ours.collect()
    }

    /// Counts `takings`, which are sorted by time. `refused` is told each call that was let pass and
    /// would have been refused.
    pub(super) fn count(
        &self,
        takings: &[Taking],
        mut refused: impl FnMut(&Taking, &str),
    ) -> Vec<(String, LimitOutcome)> {
        let mut outcomes: Vec<(String, LimitOutcome)> =
            self.simulated().map(|name| (name.to_owned(), LimitOutcome::default())).collect();
        let mut buckets: HashMap<(u16, u32), Bucket> = HashMap::new();
        for taking in takings {
            let place = usize::from(taking.limit);
            let (Some(quota), Some((name, outcome))) =
                (self.simulated.get(place), outcomes.get_mut(place))
            else {
                continue;
            };
            outcome.counted += 1;
            let bucket = buckets.entry((taking.limit, taking.bucket)).or_default();
            if !bucket.take(quota.measure, taking.time) && taking.passed {
                outcome.refused += 1;
                refused(taking, name);
            }
        }
        outcomes
    }
}

fn untold(quota: &Quota) -> Option<&'static str> {
    match quota.measure {
        _ if quota.per.account => Some("it counts by accounts, which the log does not hold"),
        _ if quota.counts != Attendance::All => {
            Some("it counts by the customer's presence, which is not recorded")
        }
        Measure::Concurrent(_) => Some("it counts requests at once"),
        Measure::Rate { .. } | Measure::Window { .. } => None,
    }
}

/// What was taken of one bucket, in microseconds.
#[derive(Default)]
struct Bucket {
    /// Of a rate: when it is full again (the theoretical arrival time of GCRA).
    full_at: i64,
    /// Of a window: what lies in it.
    taken: VecDeque<i64>,
}

impl Bucket {
    fn take(&mut self, measure: Measure, now: i64) -> bool {
        match measure {
            Measure::Rate { requests, period, burst, .. } => {
                let cell = micros(period) / i64::from(requests.get());
                let full_at = self.full_at.max(now) + cell;
                let room = full_at - now <= cell * i64::from(burst.get());
                if room {
                    self.full_at = full_at;
                }
                room
            }
            Measure::Window { requests, period } => {
                let since = now - micros(period);
                while self.taken.front().is_some_and(|taken| *taken <= since) {
                    self.taken.pop_front();
                }
                let room = self.taken.len() < usize::try_from(requests.get()).unwrap_or(usize::MAX);
                if room {
                    self.taken.push_back(now);
                }
                room
            }
            Measure::Concurrent(_) => true,
        }
    }
}

fn micros(period: Duration) -> i64 {
    i64::try_from(period.as_micros()).unwrap_or(i64::MAX / 1_000_000)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    const SECOND: i64 = 1_000_000;

    #[test]
    fn a_rate_gives_its_burst_and_then_one_per_cell() {
        let measure = Measure::Rate {
            requests: NonZeroU32::new(2).unwrap(),
            period: Duration::from_secs(1),
            burst: NonZeroU32::new(3).unwrap(),
            lease: None,
        };
        let mut bucket = Bucket::default();
        let start = 1_800_000_000 * SECOND;
        let given: Vec<bool> = [0, 0, 0, 0, SECOND / 2, SECOND / 2, 10 * SECOND]
            .iter()
            .map(|after| bucket.take(measure, start + after))
            .collect();
        assert_eq!(given, [true, true, true, false, true, false, true]);
    }

    #[test]
    fn a_window_holds_no_more_than_its_requests_in_any_span() {
        let requests = NonZeroU32::new(2).unwrap();
        let measure = Measure::Window { requests, period: Duration::from_secs(1) };
        let mut bucket = Bucket::default();
        let start = 1_800_000_000 * SECOND;
        let given: Vec<bool> = [0, SECOND / 2, SECOND - 1, SECOND, SECOND + SECOND / 2 - 1]
            .iter()
            .map(|after| bucket.take(measure, start + after))
            .collect();
        assert_eq!(given, [true, true, false, true, false]);
    }
}
