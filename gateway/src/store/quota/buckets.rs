//! Rates in this process: governor's GCRA over buckets.
//!
//! The limiter is made anew for each decision, with "now" as its origin: the rule is an argument
//! like the time, so a changed rule counts from the next request on and nothing that was used is
//! forgotten. Only the buckets last.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::{DashMapStateStore, ShrinkableKeyedStateStore};
use governor::{Quota, RateLimiter};
use jiff::Timestamp;
use policies::quota::{BucketId, Left};
use std::convert::Infallible;

use super::clock::OneWayClock;
use super::limit::Limit;

/// What one bucket gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Taken {
    Granted(Left),
    Wait(Duration),
    /// There are more buckets than are kept: nothing was counted.
    NoRoom,
}

/// The buckets of this process.
#[derive(Debug)]
pub(in crate::store) struct Buckets {
    states: DashMapStateStore<BucketId>,
    /// At least the number of buckets, corrected by each sweep.
    keys: AtomicUsize,
    keys_max: usize,
    clock: OneWayClock,
}

impl Buckets {
    pub(in crate::store) fn holding(keys_max: usize) -> Self {
        Buckets {
            states: DashMapStateStore::default(),
            keys: AtomicUsize::new(0),
            keys_max,
            clock: OneWayClock::default(),
        }
    }

    /// The instant as the buckets count it.
    pub(in crate::store) fn instant(&self, now: Timestamp) -> Nanos {
        self.clock.read(now)
    }

    /// Takes one request out of the bucket.
    pub(in crate::store) fn take(
        &self,
        key: &BucketId,
        limit: Limit,
        now: Timestamp,
        unseen: Unseen,
    ) -> Taken {
        let now = self.instant(now);
        let Some(quota) = Quota::with_period(limit.cell).filter(|_| self.has_room_for(key, now))
        else {
            return Taken::NoRoom;
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
            Ok(left) => {
                let requests = left.remaining_burst_capacity();
                let used = limit.burst.get().saturating_sub(requests);
                Taken::Granted(Left { requests, full_in: limit.cell.saturating_mul(used) })
            }
            Err(refused) => Taken::Wait(refused.wait_time_from(Origin.now())),
        }
    }

    /// How long it takes until the bucket is full again; zero for a bucket that is full.
    pub(in crate::store) fn ahead(&self, key: &BucketId, now: Timestamp) -> Duration {
        if !self.states.contains_key(key) {
            return Duration::ZERO;
        }
        match self.states.measure_and_replace(key, Err::<(Infallible, Nanos), _>) {
            Err(Some(tat)) => tat.saturating_sub(self.instant(now)).into(),
            Err(None) => Duration::ZERO,
        }
    }

    /// How long a request would have to wait, by what is known here.
    pub(in crate::store) fn wait(&self, key: &BucketId, limit: Limit, now: Timestamp) -> Duration {
        let ahead = self.ahead(key, now).min(limit.refill());
        (ahead + limit.cell).saturating_sub(limit.refill())
    }

    /// Drops every bucket.
    pub(in crate::store) fn clear(&self) {
        self.states.retain_recent(Nanos::from(u64::MAX));
        self.keys.store(self.states.len(), Ordering::Relaxed);
    }

    /// Drops the buckets that have been full for so long.
    pub(in crate::store) fn sweep(&self, now: Timestamp, full_for: Duration) {
        self.drop_full_since(self.instant(now).saturating_sub(full_for.into()));
    }

    fn drop_full_since(&self, instant: Nanos) {
        self.states.retain_recent(instant);
        self.keys.store(self.states.len(), Ordering::Relaxed);
    }

    pub(in crate::store) fn len(&self) -> usize {
        self.states.len()
    }

    fn has_room_for(&self, key: &BucketId, now: Nanos) -> bool {
        if self.states.contains_key(key) {
            return true;
        }
        if self.keys.load(Ordering::Relaxed) >= self.keys_max {
            self.drop_full_since(now);
        }
        let has_room = self.keys.load(Ordering::Relaxed) < self.keys_max;
        if has_room {
            self.keys.fetch_add(1, Ordering::Relaxed);
        }
        has_room
    }
}

/// What a bucket that is not in this process is taken for.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) enum Unseen {
    /// This process grants every request of the bucket, so one that it does not know is unused.
    Full,
    /// Others grant requests too: it may have been used up until this instant.
    EmptySince(Nanos),
}

/// The buckets as the limiter of one instant sees them: filled relative to that instant.
#[derive(Debug)]
struct View<'a> {
    states: &'a DashMapStateStore<BucketId>,
    now: Nanos,
    /// A bucket is never more than empty, however the rule has shrunk.
    full: Nanos,
    unseen: Nanos,
}

impl StateStore for View<'_> {
    type Key = BucketId;

    fn measure_and_replace<T, F, E>(&self, key: &BucketId, measure: F) -> Result<T, E>
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
