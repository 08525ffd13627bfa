//! Quotas in this process: governor's GCRA over buckets keyed by organisation id and route.
//!
//! The limiter is made anew for each decision, with "now" as its origin: the rule is an argument
//! like the time, so a changed rule counts from the next request on and nothing that was used is
//! forgotten. Only the buckets last.

use std::convert::Infallible;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use certs::OrganisationId;
use governor::clock::Clock;
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::{DashMapStateStore, ShrinkableKeyedStateStore};
use governor::{Quota, RateLimiter};
use jiff::Timestamp;
use policies::{QuotaFact, QuotaRule};

use super::limits::{CLOCK_CROSSING_MAX, QUOTA_KEYS_MAX, QUOTA_REFILL_MAX};

/// Whose bucket: the TPP and the position of the route's rule in the configuration.
pub(super) type BucketKey = (OrganisationId, u16);

/// A rule as GCRA counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limit {
    /// The time that one request costs: whole microseconds, rounded up, so that both engines
    /// count alike and neither admits more than the rule.
    pub(super) cell: Duration,
    pub(super) burst: NonZeroU32,
}

impl Limit {
    /// `None` when the rule cannot be counted: such a rule admits nothing.
    pub(super) fn of(rule: &QuotaRule) -> Option<Limit> {
        Limit::new(rule.period, rule.requests, rule.burst)
    }

    /// One of `shares` equal parts of the rule, so that all parts together stay within it. `None`
    /// when the burst is too small to be shared.
    pub(super) fn share_of(rule: &QuotaRule, shares: NonZeroU32) -> Option<Limit> {
        let burst = NonZeroU32::new(rule.burst.get() / shares.get())?;
        Limit::new(rule.period.checked_mul(shares.get())?, rule.requests, burst)
    }

    fn new(period: Duration, requests: NonZeroU32, burst: NonZeroU32) -> Option<Limit> {
        let nanoseconds = period.as_nanos().div_ceil(u128::from(requests.get()));
        let cell = Duration::from_micros(u64::try_from(nanoseconds.div_ceil(1_000)).ok()?);
        let limit = Limit { cell, burst };
        let refill = cell.checked_mul(burst.get())?;
        (!cell.is_zero() && refill <= QUOTA_REFILL_MAX).then_some(limit)
    }

    /// The time in which an empty bucket fills.
    pub(super) fn refill(&self) -> Duration {
        self.cell.saturating_mul(self.burst.get())
    }
}

/// The buckets of this process.
#[derive(Debug)]
pub(super) struct Buckets {
    states: DashMapStateStore<BucketKey>,
    /// At least the number of buckets, corrected by each sweep.
    keys: AtomicUsize,
    clock: OneWayClock,
}

impl Buckets {
    pub(super) fn new() -> Self {
        Buckets {
            states: DashMapStateStore::default(),
            keys: AtomicUsize::new(0),
            clock: OneWayClock::default(),
        }
    }

    /// The instant as the buckets count it.
    pub(super) fn instant(&self, now: Timestamp) -> Nanos {
        self.clock.read(now)
    }

    /// Takes one request out of the bucket.
    pub(super) fn take(
        &self,
        key: &BucketKey,
        limit: Limit,
        now: Timestamp,
        unseen: Unseen,
    ) -> QuotaFact {
        let now = self.instant(now);
        let Some(quota) = Quota::with_period(limit.cell).filter(|_| self.has_room_for(key, now))
        else {
            return QuotaFact::Unavailable;
        };
        let full = Nanos::from(limit.refill());
        let unseen = match unseen {
            Unseen::Full => Nanos::from(0),
            Unseen::EmptySince(instant) => instant + full,
        };
        let view = View { states: &self.states, now, full, unseen };
        let limiter = RateLimiter::<_, _, _, StateInformationMiddleware>::new(
            quota.allow_burst(limit.burst),
            view,
            Origin,
        );
        match limiter.check_key(key) {
            Ok(left) => QuotaFact::Granted { remaining: Some(left.remaining_burst_capacity()) },
            Err(refused) => {
                QuotaFact::Exhausted { retry_after: refused.wait_time_from(Origin.now()) }
            }
        }
    }

    /// Notes how far the bucket is from full, as another authority has told it.
    pub(super) fn note(&self, key: &BucketKey, now: Timestamp, ahead: Duration) {
        let now = self.instant(now);
        if self.has_room_for(key, now) {
            let tat = now + Nanos::from(ahead.min(QUOTA_REFILL_MAX));
            let noted = self.states.measure_and_replace(key, |_| Ok::<_, Infallible>(((), tat)));
            let Ok(()) = noted;
        }
    }

    /// How long it takes until the bucket is full again; zero for a bucket that is full.
    pub(super) fn ahead(&self, key: &BucketKey, now: Timestamp) -> Duration {
        if !self.states.contains_key(key) {
            return Duration::ZERO;
        }
        match self.states.measure_and_replace(key, Err::<(Infallible, Nanos), _>) {
            Err(Some(tat)) => tat.saturating_sub(self.instant(now)).into(),
            Err(None) => Duration::ZERO,
        }
    }

    /// Drops the buckets that have been full for so long.
    pub(super) fn sweep(&self, now: Timestamp, full_for: Duration) {
        self.drop_full_since(self.instant(now).saturating_sub(full_for.into()));
    }

    fn drop_full_since(&self, instant: Nanos) {
        self.states.retain_recent(instant);
        self.keys.store(self.states.len(), Ordering::Relaxed);
    }

    pub(super) fn len(&self) -> usize {
        self.states.len()
    }

    fn has_room_for(&self, key: &BucketKey, now: Nanos) -> bool {
        if self.states.contains_key(key) {
            return true;
        }
        if self.keys.load(Ordering::Relaxed) >= QUOTA_KEYS_MAX {
            self.drop_full_since(now);
        }
        let has_room = self.keys.load(Ordering::Relaxed) < QUOTA_KEYS_MAX;
        if has_room {
            self.keys.fetch_add(1, Ordering::Relaxed);
        }
        has_room
    }
}

/// What a bucket that is not in this process is taken for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Unseen {
    /// This process grants every request of the bucket, so one that it does not know is unused.
    Full,
    /// Others grant requests too: it may have been used up until this instant.
    EmptySince(Nanos),
}

/// The buckets as the limiter of one instant sees them: filled relative to that instant.
#[derive(Debug)]
struct View<'a> {
    states: &'a DashMapStateStore<BucketKey>,
    now: Nanos,
    /// A bucket is never more than empty, however the rule has shrunk.
    full: Nanos,
    unseen: Nanos,
}

impl StateStore for View<'_> {
    type Key = BucketKey;

    fn measure_and_replace<T, F, E>(&self, key: &BucketKey, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.states.measure_and_replace(key, |tat| {
            let ahead = tat.unwrap_or(self.unseen).saturating_sub(self.now).min(self.full);
            measure(Some(ahead)).map(|(outcome, next)| (outcome, self.now + next))
        })
    }
}

/// A clock that always says "now": the origin of the limiter that is made for one instant.
#[derive(Debug, Clone, Copy)]
struct Origin;

impl Clock for Origin {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(0)
    }
}

/// The wall clock without its steps back: they would make every TPP wait for as long as the clock
/// was wrong. Counts nanoseconds.
#[derive(Debug, Default)]
struct OneWayClock {
    latest: AtomicU64,
    set_back: AtomicU64,
}

impl OneWayClock {
    fn read(&self, now: Timestamp) -> Nanos {
        let set_back = self.set_back.load(Ordering::Relaxed);
        let now = u64::try_from(now.as_nanosecond()).unwrap_or(0).saturating_add(set_back);
        let latest = self.latest.fetch_max(now, Ordering::Relaxed);
        if latest.saturating_sub(now) <= CLOCK_CROSSING_MAX.as_nanos() as u64 {
            return Nanos::from(now);
        }
        // Of several who notice, one corrects: a correction made twice would be a step forward.
        let corrected = set_back + (latest - now);
        let _ = self.set_back.compare_exchange(
            set_back,
            corrected,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        Nanos::from(latest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_jumps_to_and_fro_for_ever_counts_no_further_than_it_can() {
        let clock = OneWayClock::default();
        let mut latest = Nanos::from(0);
        for _ in 0..10 {
            for date in ["1970-01-01T00:00:00Z", "2200-01-01T00:00:00Z"] {
                let now = clock.read(date.parse().unwrap());
                assert!(now >= latest);
                latest = now;
            }
        }
    }
}
