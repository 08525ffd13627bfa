//! A rate as the generic cell rate algorithm counts it.

use std::num::NonZeroU32;
use std::time::Duration;

use policies::Quota;
use policies::quota::Measure;

use crate::store::limits::QUOTA_REFILL_MAX;

/// A rate as GCRA counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Limit {
    /// The time that one request costs: whole microseconds, rounded up, so that both engines
    /// count alike and neither admits more than the rule.
    pub(in crate::store) cell: Duration,
    pub(in crate::store) burst: NonZeroU32,
}

impl Limit {
    /// `None` when it is no rate, or cannot be counted: such a rule admits nothing.
    pub(in crate::store) fn of(quota: &Quota) -> Option<Limit> {
        let Measure::Rate { requests, period, burst, .. } = quota.measure else { return None };
        Limit::new(period, requests, burst)
    }

    fn new(period: Duration, requests: NonZeroU32, burst: NonZeroU32) -> Option<Limit> {
        let nanoseconds = period.as_nanos().div_ceil(u128::from(requests.get()));
        let cell = Duration::from_micros(u64::try_from(nanoseconds.div_ceil(1_000)).ok()?);
        let limit = Limit { cell, burst };
        let refill = cell.checked_mul(burst.get())?;
        (!cell.is_zero() && refill <= QUOTA_REFILL_MAX).then_some(limit)
    }

    /// One of `shares` equal parts, so that all parts together stay within it. `None` when the burst
    /// is too small to be shared: each part must hold two requests.
    pub(in crate::store) fn share(self, shares: NonZeroU32) -> Option<Limit> {
        let burst = NonZeroU32::new(self.burst.get() / shares.get())?;
        let cell = self.cell.checked_mul(shares.get())?;
        let share = Limit { cell, burst };
        let countable = cell.checked_mul(burst.get())? <= QUOTA_REFILL_MAX;
        (burst.get() >= 2 && countable).then_some(share)
    }

    /// The time in which an empty bucket fills.
    pub(in crate::store) fn refill(&self) -> Duration {
        self.cell.saturating_mul(self.burst.get())
    }
}
