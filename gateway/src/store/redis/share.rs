//! Rates while Redis is away: this gateway's share of each.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::nanos::Nanos;
use jiff::Timestamp;
use policies::QuotaFact;
use policies::quota::{AllLeft, BucketId, Charge};

use super::quotas;
use crate::store::limits::QUOTA_KEYS_MAX;
use crate::store::quota::{Buckets, Limit, Taken, Unseen};

/// The limit divided by the gateways that share it. Nobody knows here what others granted last, so a
/// share begins empty.
#[derive(Debug)]
pub(super) struct LocalShare {
    buckets: Buckets,
    owed: Mutex<HashMap<BucketId, Owed>>,
    /// When the shares last began anew, by the clock of the buckets.
    began: AtomicU64,
}

/// Requests that Redis does not know of.
#[derive(Debug, Clone)]
struct Owed {
    key: String,
    whole: Limit,
    shares: NonZeroU32,
    granted: u32,
}

/// What Redis is to be told.
#[derive(Debug, Clone)]
pub(super) struct Debt {
    pub(super) key: String,
    pub(super) whole: Limit,
    /// The time that the requests cost.
    pub(super) ahead: Duration,
}

impl LocalShare {
    pub(super) fn new() -> Self {
        LocalShare {
            buckets: Buckets::holding(QUOTA_KEYS_MAX),
            owed: Mutex::default(),
            began: AtomicU64::new(0),
        }
    }

    /// Takes one request of each charge, in a gateway that has been alone for so long.
    pub(super) fn charge(
        &self,
        charges: &[Charge<'_>],
        shares: NonZeroU32,
        alone_for: Duration,
        now: Timestamp,
    ) -> QuotaFact {
        let mut all = AllLeft::new();
        let since = self.buckets.instant(now).saturating_sub(alone_for.into());
        let since = since.max(Nanos::from(self.began.load(Ordering::Relaxed)));
        for charge in charges {
            let whole = Limit::of(charge.quota);
            let Some((whole, share)) = whole.and_then(|whole| Some((whole, whole.share(shares)?)))
            else {
                return QuotaFact::Unavailable;
            };
            let owed = self.owed();
            if owed.len() >= QUOTA_KEYS_MAX && !owed.contains_key(&charge.bucket) {
                return QuotaFact::Unavailable;
            }
            drop(owed);
            match self.buckets.take(&charge.bucket, share, now, Unseen::EmptySince(since)) {
                Taken::Granted(left) => all.push(left),
                // The share is not the limit: the TPP may well be within its rights.
                Taken::Wait(_) | Taken::NoRoom => return QuotaFact::Unavailable,
            }
            let mut owed = self.owed();
            let owed = owed.entry(charge.bucket).or_insert_with(|| Owed {
                key: quotas::key(charge),
                whole,
                shares,
                granted: 0,
            });
            owed.granted = owed.granted.saturating_add(1);
        }
        QuotaFact::Granted(all)
    }

    /// All that was granted here and still counts.
    pub(super) fn debts(&self, now: Timestamp) -> Vec<Debt> {
        let mut debts = Vec::new();
        self.owed().retain(|bucket, owed| {
            let Owed { key, whole, shares, granted } = owed;
            let cell = whole.cell.saturating_mul(shares.get()).as_micros().max(1);
            let level = self.buckets.ahead(bucket, now).as_micros().div_ceil(cell);
            let requests = u32::try_from(level).unwrap_or(u32::MAX).min(*granted);
            let ahead = whole.cell.saturating_mul(requests);
            if requests > 0 {
                debts.push(Debt { key: key.clone(), whole: *whole, ahead });
            }
            requests > 0
        });
        debts
    }

    /// Everything was told: nothing is owed, and the shares are empty again.
    pub(super) fn begin_anew(&self, now: Timestamp) {
        self.owed().clear();
        self.began.store(self.buckets.instant(now).as_u64(), Ordering::Relaxed);
        self.buckets.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.buckets.len()
    }

    fn owed(&self) -> MutexGuard<'_, HashMap<BucketId, Owed>> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
