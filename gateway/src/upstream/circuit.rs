//! The circuit breaker before an adapter: an address that has failed several requests in a row gets
//! no more of them but one in a period, which finds out whether it serves again.
//!
//! The health check sees that a port accepts; this sees that nobody answers behind it. It goes by
//! what became of requests, so it costs the adapter nothing.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Requests in a row that an address fails before it is left alone.
const FAILURES_MAX: u32 = 5;
/// While an address is left alone, one request in this time tries it.
const PROBE_PERIOD: Duration = Duration::from_secs(1);

/// The addresses of one adapter that have failed lately. Time is passed in.
#[derive(Debug, Default)]
pub(super) struct Circuit(Mutex<HashMap<SocketAddr, State>>);

#[derive(Debug, Clone, Copy)]
enum State {
    Closed { failures: u32 },
    Open { probe_at: Instant },
}

impl Circuit {
    /// May a request go there? While the address is left alone, true for one caller in a period: the
    /// next probe is due a period after this one is granted, whatever becomes of it.
    pub(super) fn admits(&self, address: &SocketAddr, now: Instant) -> bool {
        match self.states().get_mut(address) {
            None | Some(State::Closed { .. }) => true,
            Some(State::Open { probe_at }) => {
                let due = now >= *probe_at;
                if due {
                    *probe_at = now + PROBE_PERIOD;
                }
                due
            }
        }
    }

    /// An answer came whole. True when the address was left alone until now.
    pub(super) fn succeeded(&self, address: &SocketAddr) -> bool {
        matches!(self.states().remove(address), Some(State::Open { .. }))
    }

    /// No connection came about, or no whole answer. True when the address is left alone from now on.
    pub(super) fn failed(&self, address: SocketAddr, now: Instant) -> bool {
        let mut states = self.states();
        let state = states.entry(address).or_insert(State::Closed { failures: 0 });
        let State::Closed { failures } = state else { return false };
        *failures += 1;
        let opens = *failures >= FAILURES_MAX;
        if opens {
            *state = State::Open { probe_at: now + PROBE_PERIOD };
        }
        opens
    }

    /// Whether the address is left alone.
    pub(super) fn leaves_alone(&self, address: &SocketAddr) -> bool {
        matches!(self.states().get(address), Some(State::Open { .. }))
    }

    /// How many addresses are left alone.
    pub(super) fn open(&self) -> usize {
        self.states().values().filter(|state| matches!(state, State::Open { .. })).count()
    }

    /// Forgets the addresses that the adapter no longer has.
    pub(super) fn retain(&self, known: impl Fn(&SocketAddr) -> bool) {
        self.states().retain(|address, _| known(address));
    }

    fn states(&self) -> MutexGuard<'_, HashMap<SocketAddr, State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn opened(now: Instant) -> Circuit {
        let circuit = Circuit::default();
        for _ in 1..FAILURES_MAX {
            assert!(!circuit.failed(address(1), now));
        }
        assert!(circuit.failed(address(1), now));
        circuit
    }

    #[test]
    fn an_address_is_left_alone_after_the_last_allowed_failure_in_a_row_and_no_other_is() {
        let now = Instant::now();
        let circuit = opened(now);
        assert!(!circuit.admits(&address(1), now));
        assert!(circuit.admits(&address(2), now));
        assert_eq!(circuit.open(), 1);
    }

    #[test]
    fn an_answer_between_failures_starts_the_count_again() {
        let now = Instant::now();
        let circuit = Circuit::default();
        for _ in 0..10 * FAILURES_MAX {
            circuit.failed(address(1), now);
            assert!(!circuit.succeeded(&address(1)));
        }
        assert!(circuit.admits(&address(1), now));
    }

    #[test]
    fn while_left_alone_an_address_gets_one_request_in_a_period() {
        let start = Instant::now();
        let circuit = opened(start);
        let admitted = (0..10_000)
            .filter(|ms| circuit.admits(&address(1), start + Duration::from_millis(*ms)))
            .count();
        assert_eq!(admitted, 9, "seconds 1 to 9, one each");
    }

    #[test]
    fn a_failed_probe_changes_nothing_and_an_answer_ends_it() {
        let start = Instant::now();
        let circuit = opened(start);
        let probe = start + PROBE_PERIOD;
        assert!(circuit.admits(&address(1), probe));
        assert!(!circuit.failed(address(1), probe));
        assert!(!circuit.admits(&address(1), probe));
        assert!(circuit.succeeded(&address(1)));
        assert!(circuit.admits(&address(1), probe));
        assert_eq!(circuit.open(), 0);
    }

    #[test]
    fn an_address_that_is_gone_is_forgotten() {
        let circuit = opened(Instant::now());
        circuit.retain(|known| *known != address(1));
        assert_eq!(circuit.open(), 0);
    }
}
