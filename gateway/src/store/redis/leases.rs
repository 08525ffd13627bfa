//! What this gateway has taken in advance, and what it knows to be used up: both answer without a
//! round trip.
//!
//! Requests are taken out of a bucket of Redis some at a time and must be used within the limit's
//! lease; Redis counts such a limit with twice the lease less of what may come at once. So any span of
//! time holds no more than the limit says: what is used in it was taken in it, or up to a lease before.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dashmap::DashMap;
use policies::quota::{BucketId, Left};

use crate::store::limits::{DENIED_FOR_MAX, LEASES_MAX};
use crate::store::quota::Limit;

/// The buckets of which something is known here.
#[derive(Debug)]
pub(super) struct Leases(DashMap<BucketId, Lease>);

#[derive(Debug, Clone)]
struct Lease {
    /// As it was when this was learnt: another rule makes it worth nothing.
    limit: Limit,
    cells: u32,
    used_until: Instant,
    /// The bucket in Redis, where something was taken out of it.
    key: Option<Arc<str>>,
    lease: Duration,
    /// By the clock of Redis, in microseconds.
    taken_at: u64,
    left: Left,
    denied: Option<Denied>,
    /// How much is used up in how much time, to know how much to take.
    asked: Instant,
    used: u32,
}

#[derive(Debug, Clone, Copy)]
struct Denied {
    /// Nobody is asked before.
    until: Instant,
    /// There is room again.
    room: Instant,
}

/// What is known here of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    Taken(Left),
    Wait(Duration),
    /// Redis must be asked, for so many.
    Ask(u32),
}

/// What Redis gave.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given {
    pub(super) cells: u32,
    pub(super) wanted: u32,
    pub(super) left: Left,
    pub(super) taken_at: u64,
    /// Before the question.
    pub(super) asked: Instant,
}

/// What is left of a lease that is not needed any more.
#[derive(Debug, Clone)]
pub(super) struct Rest {
    pub(super) key: String,
    pub(super) limit: Limit,
    pub(super) lease: Duration,
    pub(super) cells: u32,
    pub(super) taken_at: u64,
}

impl Leases {
    pub(super) fn new() -> Self {
        Leases(DashMap::new())
    }

    /// Takes one request of what is here.
    pub(super) fn take(
        &self,
        bucket: &BucketId,
        limit: Limit,
        lease: Option<Duration>,
        now: Instant,
    ) -> Known {
        let Some(mut held) = self.0.get_mut(bucket).filter(|held| held.limit == limit) else {
            return Known::Ask(1);
        };
        if held.cells > 0 && now < held.used_until {
            held.cells -= 1;
            held.used = held.used.saturating_add(1);
            let requests = held.left.requests.saturating_add(held.cells);
            return Known::Taken(Left { requests, ..held.left });
        }
        if let Some(denied) = held.denied.filter(|denied| now < denied.until) {
            return Known::Wait(denied.room.saturating_duration_since(now).max(MOMENT));
        }
        Known::Ask(lease.map_or(1, |lease| held.demand(lease, now)))
    }

    /// Puts back what was taken here at `taken` for a request that another limit refused. Beside what
    /// was leased since then it would be used too late.
    pub(super) fn put_back(&self, bucket: &BucketId, taken: Instant) {
        if let Some(mut held) = self.0.get_mut(bucket).filter(|held| held.asked <= taken) {
            held.cells = held.cells.saturating_add(1);
            held.used = held.used.saturating_sub(1);
        }
    }

    /// Keeps what Redis gave for `lease`.
    pub(super) fn keep(
        &self,
        (bucket, key): (&BucketId, String),
        limit: Limit,
        lease: Duration,
        given: Given,
    ) {
        if !self.has_room_for(bucket) {
            return;
        }
        // When it gave less than was wanted it has no more: to ask again at once would cost a round trip
        // for each request that comes in. Meanwhile what comes in there is kept there.
        let short = given.cells < given.wanted;
        let denied = short.then(|| {
            let until = given.asked + lease / 4;
            Denied { until, room: until }
        });
        let used_until = given.asked + lease;
        let mut held = self.0.entry(*bucket).or_insert_with(|| Lease::unknown(limit, given.asked));
        // Of what was here and is not used up yet, the older date counts for all.
        let (cells, used_until, taken_at) = if held.cells > 0 && given.asked < held.used_until {
            (held.cells.saturating_add(given.cells), held.used_until.min(used_until), held.taken_at)
        } else {
            (given.cells, used_until, given.taken_at)
        };
        *held = Lease {
            limit,
            cells,
            used_until,
            key: Some(held.key.take().unwrap_or_else(|| key.into())),
            lease,
            taken_at,
            left: given.left,
            denied,
            asked: given.asked,
            used: 0,
        };
    }

    /// Redis has none, and will have one after `wait`.
    pub(super) fn deny(
        &self,
        bucket: &BucketId,
        limit: Limit,
        lease: Option<Duration>,
        (wait, asked): (Duration, Instant),
    ) {
        // Half of the room is for what was taken in advance.
        if self.0.len() >= LEASES_MAX / 2 && !self.0.contains_key(bucket) {
            return;
        }
        let room = asked + wait;
        let pause = lease.map_or(wait, |lease| wait.max(lease / 4)).min(DENIED_FOR_MAX);
        let mut held = self.0.entry(*bucket).or_insert_with(|| Lease::unknown(limit, asked));
        held.limit = limit;
        held.denied = Some(Denied { until: asked + pause, room: room.max(asked + pause) });
    }

    /// Forgets what says nothing any more.
    pub(super) fn sweep(&self, now: Instant) {
        self.0.retain(|_, held| {
            let denies = held.denied.is_some_and(|denied| now < denied.until);
            denies || now < held.used_until
        });
    }

    /// Takes everything out that could still be used.
    pub(super) fn drain(&self, now: Instant) -> Vec<Rest> {
        let mut rest = Vec::new();
        self.0.retain(|_, held| {
            if let Some(key) = held.key.take().filter(|_| held.cells > 0 && now < held.used_until) {
                let Lease { limit, lease, cells, taken_at, .. } = *held;
                rest.push(Rest { key: key.to_string(), limit, lease, cells, taken_at });
            }
            false
        });
        rest
    }

    fn has_room_for(&self, bucket: &BucketId) -> bool {
        self.0.len() < LEASES_MAX || self.0.contains_key(bucket)
    }
}

/// Nobody is told to come back at once.
const MOMENT: Duration = Duration::from_millis(1);

impl Lease {
    fn unknown(limit: Limit, now: Instant) -> Self {
        let left = Left { requests: 0, full_in: Duration::ZERO };
        Lease {
            limit,
            cells: 0,
            used_until: now,
            key: None,
            lease: Duration::ZERO,
            taken_at: 0,
            left,
            denied: None,
            asked: now,
            used: 0,
        }
    }

    /// What half a lease is likely to need, by what was needed since the last question; at most what
    /// the limit allows in a whole one.
    fn demand(&self, lease: Duration, now: Instant) -> u32 {
        let most = lease.as_micros() / self.limit.cell.as_micros().max(1);
        let since = now.saturating_duration_since(self.asked).as_micros().max(1);
        let expected = u128::from(self.used) * lease.as_micros() / since / 2;
        u32::try_from((expected + 1).min(most.max(1))).unwrap_or(u32::MAX)
    }
}
