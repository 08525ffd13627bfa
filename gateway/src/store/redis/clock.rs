//! The clock of a server, by which it is told how long ago something happened there.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// The clock of Redis, by ours: no step of our wall clock counts. Off by half a round trip at most.
pub(super) struct ServerClock {
    base: Instant,
    /// Microseconds since 1970 that Redis showed at `base`; zero until it has been asked.
    at_base: AtomicU64,
}

impl ServerClock {
    pub(super) fn new() -> Self {
        ServerClock { base: Instant::now(), at_base: AtomicU64::new(0) }
    }

    /// Redis is taken to have looked at its clock halfway between question and answer.
    pub(super) fn set(
        &self,
        asked: Instant,
        answered: Instant,
        (seconds, microseconds): (u64, u64),
    ) {
        let shown = seconds.saturating_mul(1_000_000).saturating_add(microseconds);
        let halfway = asked + answered.saturating_duration_since(asked) / 2;
        let elapsed = self.elapsed(halfway);
        self.at_base.store(shown.saturating_sub(elapsed), Ordering::Relaxed);
    }

    /// How long ago Redis showed this time. What seems to be yet to come was just now.
    pub(super) fn since(&self, shown: u64, now: Instant) -> Option<Duration> {
        let at_base = self.at_base.load(Ordering::Relaxed);
        let here = at_base.saturating_add(self.elapsed(now));
        (at_base > 0).then(|| Duration::from_micros(here.saturating_sub(shown)))
    }

    fn elapsed(&self, instant: Instant) -> u64 {
        let elapsed = instant.saturating_duration_since(self.base);
        u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_is_timed_by_the_clock_of_redis() {
        let clock = ServerClock::new();
        let asked = clock.base + Duration::from_millis(100);
        assert_eq!(clock.since(1_000_000, asked), None, "not before that clock has been seen");
        clock.set(asked, asked + Duration::from_millis(20), (7_000, 500_000));
        let halfway = asked + Duration::from_millis(10);
        assert_eq!(clock.since(7_000_500_000, halfway), Some(Duration::ZERO));
        let later = halfway + Duration::from_millis(30);
        assert_eq!(clock.since(7_000_500_000, later), Some(Duration::from_millis(30)));
        assert_eq!(clock.since(7_001_000_000, later), Some(Duration::ZERO), "from the future");
    }
}
