//! Whether Redis tells us of every change at this moment, in one atomic word for each of its servers:
//! warm tokens read them on the path of every request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;

use crate::store::cache::Generation;
use crate::store::limits::TRACKING_LIVE_MAX;

/// Milliseconds that fit beside the generation: 34 years.
const ASKED_BITS: u32 = 40;
const ASKED_MASK: u64 = (1 << ASKED_BITS) - 1;
/// Generations before the first comes again: at ten connections a second, half a month without one
/// that lives, while no record is kept for longer than its `tolerated_for`.
const GENERATIONS: u64 = 1 << (u64::BITS - ASKED_BITS);

/// The pulses of all servers that have keys. All must be felt for a record to be used without asking:
/// a token and what else decides about it may lie on two of them.
pub(super) struct Pulses {
    /// Counts whatever may have been missed: a server that comes or goes, a connection that ends.
    era: AtomicU32,
    pulses: ArcSwap<Vec<Arc<Pulse>>>,
}

impl Pulses {
    pub(super) fn new() -> Self {
        Pulses { era: AtomicU32::new(1), pulses: ArcSwap::default() }
    }

    /// The generation under which records may be used without asking, if there is one now.
    pub(super) fn live(&self, now: Instant) -> Option<Generation> {
        let era = Generation::new(self.era.load(Ordering::Acquire));
        let pulses = self.pulses.load();
        let live = !pulses.is_empty() && pulses.iter().all(|pulse| pulse.live(now).is_some());
        if live { era } else { None }
    }

    /// From now on these count. What was read before does not, any more.
    pub(super) fn replace(&self, pulses: Vec<Arc<Pulse>>) {
        // In this order: nothing that is read in the new era is vouched for by those before.
        self.pulses.store(Arc::new(pulses));
        self.turn();
    }

    /// Something may have been missed: what was read before counts no more.
    pub(super) fn turn(&self) {
        // Zero is left out: it stands for "none".
        if self.era.fetch_add(1, Ordering::AcqRel) == u32::MAX {
            self.era.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Have all been felt since this instant?
    #[cfg(test)]
    pub(super) fn have_beaten_since(&self, instant: Instant) -> bool {
        let pulses = self.pulses.load();
        !pulses.is_empty() && pulses.iter().all(|pulse| pulse.has_beaten_since(instant))
    }
}

/// The generation of the connection, and the instant at which the last heartbeat that has an answer
/// was asked. The answer came behind every invalidation that Redis had sent by then.
#[derive(Debug)]
pub(super) struct Pulse {
    base: Instant,
    word: AtomicU64,
}

impl Pulse {
    pub(super) fn new() -> Self {
        Pulse { base: Instant::now(), word: AtomicU64::new(word(1, 0)) }
    }

    /// The generation under which records may be used without asking, if there is one now.
    pub(super) fn live(&self, now: Instant) -> Option<Generation> {
        let (generation, asked) = split(self.word.load(Ordering::Acquire));
        let live_max = u64::try_from(TRACKING_LIVE_MAX.as_millis()).unwrap_or_default();
        let live = asked != 0 && self.millis(now).saturating_sub(asked) < live_max;
        if live { generation } else { None }
    }

    /// A new connection: nothing that was read before it counts, and it does not live yet.
    pub(super) fn begin(&self) -> Option<Generation> {
        let next = |current| Some(word(following(current), 0));
        let before = self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
        let (Ok(before) | Err(before)) = before;
        split(word(following(before), 0)).0
    }

    /// A heartbeat was answered. False when its connection has ended meanwhile: an answer that was
    /// on its way does not bring it back.
    pub(super) fn beat(&self, ours: Generation, asked: Instant) -> bool {
        let asked = self.millis(asked);
        self.change(ours, |generation| word(generation, asked))
    }

    /// The connection is gone, and nothing that was read under it counts any more.
    pub(super) fn end(&self, ours: Generation) {
        self.change(ours, |generation| word(following(word(generation, 0)), 0));
    }

    /// Has a heartbeat that was asked after this instant been answered?
    #[cfg(test)]
    pub(super) fn has_beaten_since(&self, instant: Instant) -> bool {
        split(self.word.load(Ordering::Acquire)).1 > self.millis(instant)
    }

    fn change(&self, ours: Generation, to: impl Fn(u64) -> u64) -> bool {
        let changed = self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, |current| {
            let (generation, _) = split(current);
            (generation == Some(ours)).then(|| to(u64::from(ours.get())))
        });
        changed.is_ok()
    }

    /// Never zero, which says "no heartbeat yet".
    fn millis(&self, instant: Instant) -> u64 {
        let elapsed = instant.saturating_duration_since(self.base).as_millis();
        u64::try_from(elapsed).unwrap_or(u64::MAX).saturating_add(1).min(ASKED_MASK)
    }
}

fn word(generation: u64, asked: u64) -> u64 {
    generation << ASKED_BITS | asked
}

fn split(word: u64) -> (Option<Generation>, u64) {
    let generation = u32::try_from(word >> ASKED_BITS).unwrap_or_default();
    (Generation::new(generation), word & ASKED_MASK)
}

/// Zero is left out: it stands for "none".
fn following(current: u64) -> u64 {
    ((current >> ASKED_BITS) + 1) % GENERATIONS
        + u64::from((current >> ASKED_BITS) + 1 == GENERATIONS)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_lives_from_the_first_heartbeat_until_one_is_missed() {
        let pulse = Pulse::new();
        let start = Instant::now();
        assert_eq!(pulse.live(start), None);
        let generation = pulse.begin().unwrap();
        assert_eq!(pulse.live(start), None);
        assert!(pulse.beat(generation, start));
        assert_eq!(pulse.live(start), Some(generation));
        assert_eq!(
            pulse.live(start + TRACKING_LIVE_MAX - Duration::from_millis(2)),
            Some(generation)
        );
        assert_eq!(pulse.live(start + TRACKING_LIVE_MAX + Duration::from_millis(1)), None);
        assert!(pulse.beat(generation, start + TRACKING_LIVE_MAX));
        assert_eq!(pulse.live(start + TRACKING_LIVE_MAX), Some(generation));
    }

    #[test]
    fn a_late_answer_does_not_bring_a_connection_back() {
        let pulse = Pulse::new();
        let now = Instant::now();
        let first = pulse.begin().unwrap();
        assert!(pulse.beat(first, now));
        pulse.end(first);
        assert_eq!(pulse.live(now), None);
        assert!(!pulse.beat(first, now));
        assert_eq!(pulse.live(now), None);

        let second = pulse.begin().unwrap();
        assert_ne!(first, second);
        assert!(pulse.beat(second, now));
        pulse.end(first);
        assert_eq!(pulse.live(now), Some(second), "what ended before does not end the next one");
    }

    #[test]
    fn no_generation_is_zero() {
        let last = word(GENERATIONS - 1, 7);
        assert_eq!(following(last), 1);
        assert_eq!(following(word(1, 7)), 2);
    }
}
