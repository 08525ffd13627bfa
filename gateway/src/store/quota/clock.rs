//! The clock that limits count by.

use std::sync::atomic::{AtomicU64, Ordering};

use governor::nanos::Nanos;
use jiff::Timestamp;

use crate::store::limits::CLOCK_CROSSING_MAX;

/// The wall clock without its steps back: they would make every TPP wait for as long as the clock
/// was wrong. Counts nanoseconds.
#[derive(Debug, Default)]
pub(super) struct OneWayClock {
    latest: AtomicU64,
    set_back: AtomicU64,
}

impl OneWayClock {
    pub(super) fn read(&self, now: Timestamp) -> Nanos {
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
