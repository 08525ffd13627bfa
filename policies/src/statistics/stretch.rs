//! What one day of one kind of request adds up to.

use super::fate::Fate;
use super::replies::Reply;

/// The 128 bits of a request id.
pub type RequestId = u128;

/// A request that was not replied to. Orders by receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Silence {
    /// Milliseconds from the beginning of the day to its receipt.
    pub at_ms: u32,
    /// Which it was.
    pub id: RequestId,
}

/// The sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// [`Fate::Answered`].
    pub answered: u64,
    /// [`Fate::Failed`].
    pub failed: u64,
    /// [`Fate::Silent`].
    pub silent: u64,
    /// [`Fate::Refused`]: shown, in no denominator.
    pub refused: u64,
    /// [`Fate::Abandoned`]: shown, in no denominator.
    pub abandoned: u64,
    /// Microseconds that those answered took together, from receipt to the last byte.
    pub took_us: u64,
}

impl Tally {
    /// The requests received: the denominator of Guideline 2.3(d).
    #[must_use]
    pub const fn requests(&self) -> u64 {
        self.answered + self.failed + self.silent
    }

    /// Errors that the bank answers for: the numerator of Guideline 2.3(d).
    #[must_use]
    pub const fn errors(&self) -> u64 {
        self.failed + self.silent
    }

    /// Mean time to the last byte in milliseconds, of the requests answered without an error of the bank's:
    /// Guideline 2.3(a) to (c). Nothing where there was none.
    #[must_use]
    pub fn mean_ms(&self) -> Option<f64> {
        (self.answered > 0).then(|| self.took_us as f64 / 1000.0 / self.answered as f64)
    }

    /// Errors as a share of requests, 0 to 1. Nothing where there was no request.
    #[must_use]
    pub fn error_rate(&self) -> Option<f64> {
        (self.requests() > 0).then(|| self.errors() as f64 / self.requests() as f64)
    }

    /// Adds another one.
    pub fn add(&mut self, other: &Self) {
        self.answered += other.answered;
        self.failed += other.failed;
        self.silent += other.silent;
        self.refused += other.refused;
        self.abandoned += other.abandoned;
        self.took_us = self.took_us.saturating_add(other.took_us);
    }
}

/// One day of one kind of request: the sums, and each request that tells when the interface was down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stretch {
    /// The sums.
    pub tally: Tally,
    /// What was replied to.
    pub replies: Vec<Reply>,
    /// What was not.
    pub silences: Vec<Silence>,
}

impl Stretch {
    /// Counts a request that was received `at_ms` after the day began and ended `took_us` later.
    pub fn note(&mut self, fate: Fate, at_ms: u32, took_us: u64, id: RequestId) {
        let took_ms = u32::try_from(took_us / 1000).unwrap_or(u32::MAX);
        let tally = &mut self.tally;
        match fate {
            Fate::Answered => {
                tally.answered += 1;
                tally.took_us = tally.took_us.saturating_add(took_us);
                self.replies.push(Reply::new(at_ms, took_ms, true));
            }
            Fate::Failed => {
                tally.failed += 1;
                self.replies.push(Reply::new(at_ms, took_ms, false));
            }
            Fate::Silent => {
                tally.silent += 1;
                self.silences.push(Silence { at_ms, id });
            }
            Fate::Refused => tally.refused += 1,
            Fate::Abandoned => tally.abandoned += 1,
        }
    }

    /// Adds what another one has heard of the same day.
    pub fn merge(&mut self, other: Self) {
        self.tally.add(&other.tally);
        self.replies.extend(other.replies);
        self.silences.extend(other.silences);
    }

    /// Brings both lists into the order of receipt. Two stretches that heard the same are then equal.
    pub fn settle(&mut self) {
        // Logs are nearly in order, and merged ones are runs in order: that is what this sort is good at.
        self.replies.sort();
        self.silences.sort();
    }
}
