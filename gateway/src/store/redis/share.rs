//! Quotas while Redis is away: this replica's share of each rule, starting from what Redis said
//! last.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::nanos::Nanos;
use jiff::Timestamp;
use policies::{QuotaFact, QuotaRule};

use crate::store::quota::{BucketKey, Buckets, Limit, Unseen};

/// The rule divided by the number of replicas. A bucket of the share is as full, in proportion, as
/// Redis said the whole one was; one that this replica has never heard of is taken to be empty.
#[derive(Debug)]
pub(super) struct LocalShare {
    shares: NonZeroU32,
    buckets: Buckets,
    away: Mutex<Away>,
}

#[derive(Debug, Default)]
struct Away {
    since: Option<Nanos>,
    /// Buckets out of which requests were granted here that Redis does not know of.
    owed: HashSet<BucketKey>,
}

impl LocalShare {
    pub(super) fn new(shares: NonZeroU32) -> Self {
        LocalShare { shares, buckets: Buckets::new(), away: Mutex::default() }
    }

    /// Redis does not answer.
    pub(super) fn take(&self, key: &BucketKey, rule: &QuotaRule, now: Timestamp) -> QuotaFact {
        let Some(limit) = Limit::share_of(rule, self.shares) else {
            return QuotaFact::Unavailable;
        };
        let now_here = self.buckets.instant(now);
        let since = *self.away().since.get_or_insert(now_here);
        match self.buckets.take(key, limit, now, Unseen::EmptySince(since)) {
            QuotaFact::Granted { remaining } => {
                self.away().owed.insert(key.clone());
                QuotaFact::Granted { remaining }
            }
            // The share is not the rule: the TPP may well be within its rights.
            QuotaFact::Exhausted { .. } if self.shares.get() > 1 => QuotaFact::Unavailable,
            fact => fact,
        }
    }

    /// The use that Redis has yet to hear of, as time until the bucket is full. The share refills
    /// as slowly as the whole bucket, so the fullest share never says less than the truth.
    pub(super) fn settle(&self, key: &BucketKey, now: Timestamp) -> Option<Duration> {
        self.away().owed.remove(key).then(|| self.buckets.ahead(key, now))
    }

    /// Redis did not hear of it after all.
    pub(super) fn owe(&self, key: &BucketKey) {
        self.away().owed.insert(key.clone());
    }

    /// Redis has answered: the bucket is so far from full.
    ///
    /// Rounded up to whole requests of the share: otherwise a share that is used up would still
    /// look as if the whole had room, and Redis would be told so when it comes back.
    pub(super) fn note(&self, key: &BucketKey, limit: Limit, now: Timestamp, ahead: Duration) {
        self.away().since = None;
        let cell = limit.cell.saturating_mul(self.shares.get());
        let requests = ahead.as_nanos().div_ceil(cell.as_nanos().max(1));
        let requests = u32::try_from(requests).unwrap_or(u32::MAX);
        self.buckets.note(key, now, cell.saturating_mul(requests));
    }

    /// Forgets the buckets that have been full for so long.
    pub(super) fn sweep(&self, now: Timestamp, full_for: Duration) {
        self.buckets.sweep(now, full_for);
        self.away().owed.retain(|key| self.buckets.ahead(key, now) > Duration::ZERO);
    }

    pub(super) fn len(&self) -> usize {
        self.buckets.len()
    }

    fn away(&self) -> MutexGuard<'_, Away> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
