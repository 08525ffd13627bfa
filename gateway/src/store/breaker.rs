//! The circuit breaker before Redis: after a run of failures requests are answered at once from
//! what is known here, and one request a second finds out whether Redis is back.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::limits::{BREAKER_FAILURES_MAX, BREAKER_PROBE_PERIOD, jittered};

/// Counts serial failures and decides who may ask. Time is passed in.
#[derive(Debug)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Debug, Clone, Copy)]
enum State {
    Closed { failures: u32, last: Option<Instant> },
    Open { since: Instant, probe_at: Instant },
}

/// A change of state, told to the one caller who caused it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    Same,
    Opened,
    Closed,
}

impl Breaker {
    pub(super) fn new() -> Self {
        Breaker(Mutex::new(State::Closed { failures: 0, last: None }))
    }

    /// May this caller ask Redis? While open, true for one caller in a probe period. The next
    /// probe is scheduled as this one is granted, so that a caller who goes away in between
    /// neither blocks recovery nor lets a second one through.
    pub(super) fn admits(&self, now: Instant) -> bool {
        let mut state = self.state();
        match *state {
            State::Closed { .. } => true,
            State::Open { since, probe_at } if now >= probe_at => {
                *state = State::Open { since, probe_at: now + jittered(BREAKER_PROBE_PERIOD) };
                true
            }
            State::Open { .. } => false,
        }
    }

    /// Would [`Breaker::admits`] say no? Takes no probe.
    pub(super) fn refuses(&self, now: Instant) -> bool {
        matches!(*self.state(), State::Open { probe_at, .. } if now < probe_at)
    }

    pub(super) fn is_open(&self) -> bool {
        self.open_since().is_some()
    }

    pub(super) fn open_since(&self) -> Option<Instant> {
        match *self.state() {
            State::Closed { .. } => None,
            State::Open { since, .. } => Some(since),
        }
    }

    pub(super) fn succeeded(&self) -> Turn {
        let mut state = self.state();
        let turn = match *state {
            State::Closed { .. } => Turn::Same,
            State::Open { .. } => Turn::Closed,
        };
        *state = State::Closed { failures: 0, last: None };
        turn
    }

    /// A question that was asked at `asked` has failed. All that were under way when one connection broke
    /// or one answer was late failed for one reason, and count once.
    pub(super) fn failed(&self, asked: Instant, now: Instant) -> Turn {
        let mut state = self.state();
        match *state {
            State::Closed { last: Some(last), .. } if asked < last => Turn::Same,
            State::Closed { failures, .. } if failures + 1 >= BREAKER_FAILURES_MAX => {
                *state = State::Open { since: now, probe_at: now + BREAKER_PROBE_PERIOD };
                Turn::Opened
            }
            State::Closed { failures, .. } => {
                *state = State::Closed { failures: failures + 1, last: Some(now) };
                Turn::Same
            }
            State::Open { .. } => Turn::Same,
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn opened(now: Instant) -> Breaker {
        let breaker = Breaker::new();
        for _ in 1..BREAKER_FAILURES_MAX {
            assert_eq!(breaker.failed(now, now), Turn::Same);
        }
        assert_eq!(breaker.failed(now, now), Turn::Opened);
        breaker
    }

    #[test]
    fn the_circuit_opens_after_the_last_allowed_serial_failure() {
        let now = Instant::now();
        let breaker = opened(now);
        assert!(breaker.is_open());
        assert!(!breaker.admits(now));
        assert!(breaker.refuses(now));
    }

    #[test]
    fn a_success_between_failures_keeps_the_circuit_closed() {
        let now = Instant::now();
        let breaker = Breaker::new();
        for _ in 0..10 * BREAKER_FAILURES_MAX {
            breaker.failed(now, now);
            breaker.succeeded();
        }
        assert!(breaker.admits(now));
    }

    #[test]
    fn while_open_one_caller_in_a_period_or_a_little_more_is_let_through() {
        let start = Instant::now();
        let breaker = opened(start);
        let mut admitted = 0;
        for millisecond in 0..10_000 {
            let now = start + Duration::from_millis(millisecond);
            let refused = breaker.refuses(now);
            let admits = breaker.admits(now);
            assert_ne!(refused, admits);
            admitted += u32::from(admits);
        }
        assert!((7..=9).contains(&admitted), "{admitted} probes in ten seconds");
    }

    #[test]
    fn a_failed_probe_leaves_the_circuit_open_and_a_good_one_closes_it() {
        let start = Instant::now();
        let breaker = opened(start);
        let probe = start + BREAKER_PROBE_PERIOD * 5 / 4;
        assert!(breaker.admits(probe));
        assert_eq!(breaker.failed(probe, probe), Turn::Same);
        assert!(!breaker.admits(probe));
        assert!(breaker.admits(probe + BREAKER_PROBE_PERIOD * 5 / 4));
        assert_eq!(breaker.succeeded(), Turn::Closed);
        assert!(breaker.admits(probe));
        assert!(!breaker.is_open());
    }

    #[test]
    fn questions_that_fail_together_are_one_failure() {
        let (asked, now) = (Instant::now(), Instant::now() + Duration::from_millis(100));
        let breaker = Breaker::new();
        for _ in 0..10 * BREAKER_FAILURES_MAX {
            assert_eq!(breaker.failed(asked, now), Turn::Same);
        }
        for round in 2..BREAKER_FAILURES_MAX {
            let later = now + Duration::from_millis(100) * round;
            assert_eq!(breaker.failed(later, later), Turn::Same);
        }
        let last = now + Duration::from_secs(1);
        assert_eq!(breaker.failed(last, last), Turn::Opened);
    }
}
