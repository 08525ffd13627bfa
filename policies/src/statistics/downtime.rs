//! When the interface was down: EBA/GL/2018/07, Guideline 2.4.
//!
//! Requests stand in the order of their receipt; of those of one millisecond, the unanswered first. Five in
//! a row that were not replied to, the last received at most 30 s after the first, make a downtime. A reply
//! of any kind ends the row. The downtime begins with the receipt of the first of the five and ends with the earliest
//! reply, other than an error of the bank's side, to a request that was received after the fifth.

use arrayvec::ArrayVec;

use super::replies::Reply;
use super::stretch::{RequestId, Silence};

/// Unanswered requests in a row that make a downtime.
pub const DOWN_AFTER: usize = 5;
/// They are received within so many milliseconds, the bound included.
pub const DOWN_WITHIN_MS: i64 = 30_000;

/// One downtime. Two may overlap where a slow reply ended the first: [`union`] counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Downtime {
    /// The receipt of the first of the five, in milliseconds of Unix time.
    pub from_ms: i64,
    /// The five.
    pub five: [RequestId; DOWN_AFTER],
    /// The receipt of the fifth.
    pub fifth_ms: i64,
    /// What ended it; nothing while it is open.
    pub ended: Option<Ended>,
}

/// The reply that ended a downtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// When its request was received.
    pub received_ms: i64,
    /// When it was given.
    pub replied_ms: i64,
}

/// Hears requests in the order of their receipt and tells the downtimes.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    row: ArrayVec<(i64, RequestId), DOWN_AFTER>,
    /// No successful request has been received since.
    down: Option<Downtime>,
    /// One has, but is not replied to yet: another may be replied to before.
    closing: Vec<Downtime>,
    done: Vec<Downtime>,
}

impl Watch {
    /// Hears a day, both lists sorted.
    pub fn hear(&mut self, begins_ms: i64, silences: &[Silence], replies: &[Reply]) {
        let mut replies = replies.iter().copied().peekable();
        for silence in silences {
            while let Some(reply) = replies.next_if(|reply| reply.at_ms() < silence.at_ms) {
                self.reply(begins_ms, reply);
            }
            self.silence(begins_ms + i64::from(silence.at_ms), silence.id);
        }
        for reply in replies {
            self.reply(begins_ms, reply);
        }
    }

    /// What comes next may depend on replies: they have to be heard.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.down.is_some() || !self.closing.is_empty()
    }

    /// All downtimes, in order; one may still be open.
    #[must_use]
    pub fn finish(mut self) -> Vec<Downtime> {
        self.done.append(&mut self.closing);
        self.done.extend(self.down);
        self.done.sort_by_key(|downtime| (downtime.from_ms, downtime.fifth_ms));
        self.done
    }

    fn silence(&mut self, at_ms: i64, id: RequestId) {
        if self.down.is_some() {
            return;
        }
        if self.row.is_full() {
            self.row.remove(0);
        }
        self.row.push((at_ms, id));
        let (Some((from_ms, _)), true) = (self.row.first().copied(), self.row.is_full()) else {
            return;
        };
        if at_ms - from_ms <= DOWN_WITHIN_MS {
            let mut five = [0; DOWN_AFTER];
            five.iter_mut().zip(&self.row).for_each(|(place, (_, id))| *place = *id);
            self.down = Some(Downtime { from_ms, five, fifth_ms: at_ms, ended: None });
            self.row.clear();
        }
    }

    fn reply(&mut self, begins_ms: i64, reply: Reply) {
        self.row.clear();
        if !reply.is_successful() || !self.is_open() {
            return;
        }
        let received_ms = begins_ms + i64::from(reply.at_ms());
        let ended = Ended { received_ms, replied_ms: received_ms + i64::from(reply.took_ms()) };
        self.done.extend(self.closing.extract_if(.., |one| {
            one.ended.is_some_and(|before| before.replied_ms <= received_ms)
        }));
        for closing in &mut self.closing {
            if closing.ended.is_some_and(|before| ended.replied_ms < before.replied_ms) {
                closing.ended = Some(ended);
            }
        }
        if let Some(down) = self.down.take() {
            self.closing.push(Downtime { ended: Some(ended), ..down });
        }
    }
}

/// Whether any five of these, sorted by receipt, came within the time: without that there is no downtime,
/// whatever was replied to in between.
#[must_use]
pub fn may_be_down(received_ms: &[i64]) -> bool {
    received_ms.windows(DOWN_AFTER).any(|row| match row {
        [first, .., last] => last - first <= DOWN_WITHIN_MS,
        _ => false,
    })
}

/// The time that the downtimes cover together, as intervals apart in order, `until_ms` for one that is open.
#[must_use]
pub fn union(downtimes: &[Downtime], until_ms: i64) -> Vec<(i64, i64)> {
    let mut covered: Vec<(i64, i64)> = Vec::new();
    let end = |downtime: &Downtime| downtime.ended.map_or(until_ms, |ended| ended.replied_ms);
    let mut intervals: Vec<_> = downtimes.iter().map(|one| (one.from_ms, end(one))).collect();
    intervals.sort_unstable();
    for (from, to) in intervals {
        match covered.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => covered.push((from, to)),
        }
    }
    covered
}
