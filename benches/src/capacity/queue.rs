//! The cores of one machine and the work that queues for them, one event after the other: Poisson
//! arrivals, one queue, several cores (M/G/c).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;

/// Jobs of one simulation; the first tenth, which finds the machine empty, is not counted.
const JOBS: u32 = 120_000;

/// The work of one machine.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Cores that take it.
    pub cores: u32,
    /// The share of them that is used.
    pub utilisation: f64,
    /// A request, in CPU microseconds, at the mean.
    pub request_us: f64,
    /// A handshake, at the mean.
    pub handshake_us: f64,
    /// Handshakes among all jobs.
    pub handshake_share: f64,
}

/// How long jobs waited for a core.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Waits {
    /// Microseconds, on average.
    pub mean_us: f64,
    /// Microseconds that one in a hundred waits for or longer.
    pub p99_us: f64,
}

impl Work {
    /// Lets jobs arrive and counts how long they wait. The time of each is exponentially distributed
    /// around its kind's mean: some requests are much dearer than others.
    #[must_use]
    pub fn waits(&self, seed: u64) -> Waits {
        let mut random = SmallRng::seed_from_u64(seed);
        let mean = self.handshake_share * self.handshake_us
            + (1.0 - self.handshake_share) * self.request_us;
        let gap = mean / (self.utilisation * f64::from(self.cores));
        // When each core is free again, in nanoseconds: whole numbers have an order.
        let mut free: BinaryHeap<Reverse<u64>> = (0..self.cores).map(|_| Reverse(0)).collect();
        let mut now = 0.0;
        let mut waits = Vec::new();
        for job in 0..JOBS {
            now += gap * exponential(&mut random);
            let is_handshake = random.random::<f64>() < self.handshake_share;
            let kind = if is_handshake { self.handshake_us } else { self.request_us };
            let lasts = kind * exponential(&mut random);
            let arrived = nanoseconds(now);
            let Some(Reverse(first)) = free.pop() else { break };
            let starts = first.max(arrived);
            free.push(Reverse(starts + nanoseconds(lasts)));
            if job >= JOBS / 10 {
                waits.push(starts - arrived);
            }
        }
        waits.sort_unstable();
        let sum: f64 = waits.iter().map(|wait| *wait as f64).sum();
        let p99 = waits.get(waits.len() * 99 / 100).copied().unwrap_or_default();
        Waits { mean_us: sum / waits.len().max(1) as f64 / 1e3, p99_us: p99 as f64 / 1e3 }
    }
}

/// Exponentially distributed with the mean 1.
pub(super) fn exponential(random: &mut SmallRng) -> f64 {
    -(1.0 - random.random::<f64>()).ln()
}

fn nanoseconds(microseconds: f64) -> u64 {
    (microseconds * 1e3) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_core(utilisation: f64) -> Work {
        let (request_us, handshake_us) = (100.0, 100.0);
        Work { cores: 1, utilisation, request_us, handshake_us, handshake_share: 0.0 }
    }

    #[test]
    fn one_core_and_one_kind_of_job_wait_as_the_formula_of_m_m_1_says() {
        // Mean wait = utilisation / (1 - utilisation) × 100 µs; p99 = ln(100 × utilisation) × 100 µs
        // / (1 - utilisation).
        let waits = one_core(0.5).waits(1);
        assert!((waits.mean_us - 100.0).abs() < 5.0, "{waits:?}");
        assert!((waits.p99_us - 200.0 * 50_f64.ln()).abs() < 60.0, "{waits:?}");
    }

    #[test]
    fn eight_cores_wait_less_than_one_and_a_fuller_machine_more() {
        let one = one_core(0.7).waits(1);
        let eight = Work { cores: 8, ..one_core(0.7) }.waits(1);
        assert!(eight.p99_us < one.p99_us, "{eight:?} {one:?}");
        assert!(one_core(0.9).waits(1).p99_us > one.p99_us);
    }

    #[test]
    fn the_same_seed_has_the_same_answer() {
        assert_eq!(one_core(0.6).waits(7), one_core(0.6).waits(7));
        assert_ne!(one_core(0.6).waits(7), one_core(0.6).waits(8));
    }
}
