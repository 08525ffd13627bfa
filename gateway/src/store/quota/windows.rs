//! Limits whose every request is remembered: at most so many in any span of time, exactly.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::Duration;

use dashmap::DashMap;
use jiff::Timestamp;
use policies::quota::{BucketId, Left};

use super::buckets::Taken;
use super::clock::OneWayClock;

/// The instants of the requests that still count, oldest first, in nanoseconds.
#[derive(Debug)]
pub(in crate::store) struct Windows {
    requests: DashMap<BucketId, VecDeque<u64>>,
    keys_max: usize,
    clock: OneWayClock,
}

impl Windows {
    pub(in crate::store) fn holding(keys_max: usize) -> Self {
        Windows { requests: DashMap::new(), keys_max, clock: OneWayClock::default() }
    }

    /// Takes one request, if fewer than `requests` came in the last `period`.
    pub(in crate::store) fn take(
        &self,
        key: &BucketId,
        (requests, period): (NonZeroU32, Duration),
        now: Timestamp,
    ) -> Taken {
        let now = self.clock.read(now).as_u64();
        // Counted before the bucket is locked: the count locks every part of the table.
        if self.requests.len() >= self.keys_max && !self.requests.contains_key(key) {
            return Taken::NoRoom;
        }
        let mut taken = self.requests.entry(*key).or_default();
        forget(&mut taken, period, now);
        let (before, allowed) = (taken.len(), requests.get() as usize);
        if let Some(wait) = wait(&taken, (requests, period), now) {
            return Taken::Wait(wait);
        }
        taken.push_back(now);
        let left = u32::try_from(allowed.saturating_sub(before + 1)).unwrap_or(u32::MAX);
        Taken::Granted(Left { requests: left, full_in: period })
    }

    /// How long a request would have to wait.
    pub(in crate::store) fn wait(
        &self,
        key: &BucketId,
        rule: (NonZeroU32, Duration),
        now: Timestamp,
    ) -> Duration {
        let now = self.clock.read(now).as_u64();
        let Some(mut taken) = self.requests.get_mut(key) else { return Duration::ZERO };
        forget(&mut taken, rule.1, now);
        wait(&taken, rule, now).unwrap_or_default()
    }

    /// Drops the buckets whose last request was so long ago.
    pub(in crate::store) fn sweep(&self, now: Timestamp, period_max: Duration) {
        let now = self.clock.read(now).as_u64();
        self.requests.retain(|_, taken| {
            taken.back().is_some_and(|last| now.saturating_sub(*last) < nanoseconds(period_max))
        });
    }

    pub(in crate::store) fn len(&self) -> usize {
        self.requests.len()
    }
}

fn forget(taken: &mut VecDeque<u64>, period: Duration, now: u64) {
    while taken.front().is_some_and(|first| now.saturating_sub(*first) >= nanoseconds(period)) {
        taken.pop_front();
    }
}

fn wait(
    taken: &VecDeque<u64>,
    (requests, period): (NonZeroU32, Duration),
    now: u64,
) -> Option<Duration> {
    // Of a rule that has shrunk, more than the first must be over before the next may come.
    let over = taken.len().checked_sub(requests.get() as usize)?;
    let until = taken.get(over)?.saturating_add(nanoseconds(period));
    Some(Duration::from_nanos(until.saturating_sub(now)))
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
