//! Limits that are counted in this process, in buckets that are named by digests.

mod buckets;
mod clock;
mod limit;
mod windows;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use policies::QuotaFact;
use policies::quota::{AllLeft, Charge, Measure};

pub(super) use self::buckets::{Buckets, Taken, Unseen};
pub(super) use self::limit::Limit;
use self::windows::Windows;
use super::limits::{ACCOUNT_KEYS_MAX, QUOTA_KEYS_MAX};

/// Every limit of this process. Accounts have tables of their own: whoever asks about many cannot
/// crowd the TPPs' buckets out.
#[derive(Debug)]
pub(super) struct Counters {
    callers: Table,
    accounts: Table,
}

#[derive(Debug)]
struct Table {
    rates: Buckets,
    windows: Windows,
    /// The longest period that any of the windows counts in, in seconds.
    period_max: AtomicU64,
}

impl Counters {
    pub(super) fn new() -> Self {
        Counters {
            callers: Table::holding(QUOTA_KEYS_MAX),
            accounts: Table::holding(ACCOUNT_KEYS_MAX),
        }
    }

    /// Takes one request out of every bucket, or out of none where one has no room; of several that
    /// have none, the one that has longest to wait is named.
    ///
    /// Of requests that come together and race for the last place of one bucket, those that lose it
    /// have paid for the others: fewer pass, never more.
    pub(super) fn charge(&self, charges: &[Charge<'_>], now: Timestamp) -> QuotaFact {
        let waits = charges.iter().map(|charge| self.table(charge).wait(charge, now));
        let longest =
            waits.enumerate().filter(|(_, wait)| !wait.is_zero()).max_by_key(|(_, wait)| *wait);
        if let Some((charge, retry_after)) = longest {
            return QuotaFact::Exhausted { charge, retry_after };
        }
        let mut all = AllLeft::new();
        for (place, charge) in charges.iter().enumerate() {
            match self.table(charge).take(charge, now) {
                Taken::Granted(left) => all.push(left),
                Taken::Wait(retry_after) => {
                    return QuotaFact::Exhausted { charge: place, retry_after };
                }
                Taken::NoRoom => return QuotaFact::Unavailable,
            }
        }
        QuotaFact::Granted(all)
    }

    /// Drops the buckets that say no more than a missing one.
    pub(super) fn sweep(&self, now: Timestamp) {
        for table in [&self.callers, &self.accounts] {
            table.rates.sweep(now, Duration::ZERO);
            table.windows.sweep(now, Duration::from_secs(table.period_max.load(Ordering::Relaxed)));
        }
    }

    pub(super) fn len(&self) -> usize {
        let tables = [&self.callers, &self.accounts].into_iter();
        tables.map(|table| table.rates.len() + table.windows.len()).sum()
    }

    fn table(&self, charge: &Charge<'_>) -> &Table {
        if charge.quota.per.account { &self.accounts } else { &self.callers }
    }
}

impl Table {
    fn holding(keys_max: usize) -> Self {
        Table {
            rates: Buckets::holding(keys_max),
            windows: Windows::holding(keys_max),
            period_max: AtomicU64::new(0),
        }
    }

    fn wait(&self, charge: &Charge<'_>, now: Timestamp) -> Duration {
        match charge.quota.measure {
            Measure::Window { requests, period } => {
                self.windows.wait(&charge.bucket, (requests, period), now)
            }
            _ => Limit::of(charge.quota)
                .map_or(Duration::ZERO, |limit| self.rates.wait(&charge.bucket, limit, now)),
        }
    }

    fn take(&self, charge: &Charge<'_>, now: Timestamp) -> Taken {
        match (charge.quota.measure, Limit::of(charge.quota)) {
            (Measure::Window { requests, period }, _) => {
                self.period_max.fetch_max(period.as_secs() + 1, Ordering::Relaxed);
                self.windows.take(&charge.bucket, (requests, period), now)
            }
            (_, Some(limit)) => self.rates.take(&charge.bucket, limit, now, Unseen::Full),
            (_, None) => Taken::NoRoom,
        }
    }
}
