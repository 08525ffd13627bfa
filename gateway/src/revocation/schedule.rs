//! When which source is asked again: regularly, before an answer ends, and with growing pauses
//! while there is none.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::ask::{Key, Question};

/// The first pause after a failure.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// With nothing to ask, the next look.
const NOTHING: Duration = Duration::from_secs(3600);

struct Entry {
    question: Question,
    at: Instant,
    failures: u32,
    asking: bool,
}

pub(super) struct Schedule {
    refresh: Duration,
    entries: HashMap<Key, Entry>,
}

impl Schedule {
    pub(super) fn new(refresh: Duration) -> Self {
        Self { refresh, entries: HashMap::new() }
    }

    /// Has `question` asked at once, unless it is asked regularly already.
    pub(super) fn add(&mut self, question: Question, now: Instant) {
        let entry = || Entry { question: question.clone(), at: now, failures: 0, asking: false };
        self.entries.entry(question.key()).or_insert_with(entry);
    }

    /// The question that has waited longest, now being asked.
    pub(super) fn due(&mut self, now: Instant) -> Option<Question> {
        let waiting = self.entries.values_mut().filter(|entry| !entry.asking && entry.at <= now);
        let entry = waiting.min_by_key(|entry| entry.at)?;
        entry.asking = true;
        Some(entry.question.clone())
    }

    /// When the next question is due.
    pub(super) fn next_at(&self) -> Instant {
        let waiting = self.entries.values().filter(|entry| !entry.asking).map(|entry| entry.at);
        waiting.min().unwrap_or_else(|| Instant::now() + NOTHING)
    }

    /// It was answered; the answer counts for `left`.
    pub(super) fn answered(&mut self, question: Question, left: Option<Duration>, now: Instant) {
        // Half of what is left leaves time for a source that is down.
        let soon = left.map_or(self.refresh, |left| (left / 2).min(self.refresh));
        self.again(question, now + jittered(soon.max(PAUSE_MIN.min(self.refresh))), 0);
    }

    /// It was not.
    pub(super) fn failed(&mut self, question: Question, now: Instant) {
        let key = question.key();
        let failures = self.entries.get(&key).map_or(0, |entry| entry.failures) + 1;
        let pause = PAUSE_MIN.saturating_mul(1 << failures.min(10).saturating_sub(1));
        self.again(question, now + jittered(pause.min(self.refresh)), failures);
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(&Question) -> bool) {
        self.entries.retain(|_, entry| keep(&entry.question));
    }

    /// A question that nobody has any more was dropped while it was being asked.
    fn again(&mut self, question: Question, at: Instant, failures: u32) {
        if let Some(entry) = self.entries.get_mut(&question.key()) {
            (entry.at, entry.failures, entry.asking) = (at, failures, false);
        }
    }
}

/// A tenth less at most, so that replicas do not ask in step and nothing is asked too late.
fn jittered(duration: Duration) -> Duration {
    duration.mul_f64(rand::random_range(0.9..=1.0))
}
