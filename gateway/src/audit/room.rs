//! How requests and the writer of the log wait for each other: room for a record before the
//! judgement, and word when a line is written.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;

use crate::config::WhenUnwritable;

/// A disk that has not come back for so long counts as failing.
const STALLED_AFTER: Duration = Duration::from_secs(1);

/// What requests and the writer know of each other.
pub(super) struct State {
    started: Instant,
    outstanding: AtomicUsize,
    records_max: usize,
    when_unwritable: WhenUnwritable,
    failing: AtomicBool,
    /// When the writer went to the disk, in milliseconds and at least 1; 0 while it is not there.
    at_disk_since: AtomicU64,
    unrecorded: AtomicU64,
}

impl State {
    pub(super) fn new(records_max: usize, when_unwritable: WhenUnwritable) -> Self {
        Self {
            started: Instant::now(),
            outstanding: AtomicUsize::new(0),
            records_max,
            when_unwritable,
            failing: AtomicBool::new(false),
            at_disk_since: AtomicU64::new(0),
            unrecorded: AtomicU64::new(0),
        }
    }

    /// The last write failed, or has not come back.
    pub(super) fn is_failing(&self) -> bool {
        self.has_failed() || self.is_stalled()
    }

    /// The last write failed.
    pub(super) fn has_failed(&self) -> bool {
        self.failing.load(Ordering::Acquire)
    }

    fn is_stalled(&self) -> bool {
        let since = self.at_disk_since.load(Ordering::Relaxed);
        let spent = Duration::from_millis(self.elapsed_ms().saturating_sub(since));
        since != 0 && spent > STALLED_AFTER
    }

    /// Notes that the last write failed; tells whether the one before had not.
    pub(super) fn fails(&self) -> bool {
        !self.failing.swap(true, Ordering::AcqRel)
    }

    pub(super) fn works_again(&self) {
        self.failing.store(false, Ordering::Release);
    }

    pub(super) fn goes_to_disk(&self) {
        self.at_disk_since.store(self.elapsed_ms().max(1), Ordering::Relaxed);
    }

    pub(super) fn is_back(&self) {
        self.at_disk_since.store(0, Ordering::Relaxed);
    }

    pub(super) fn outstanding(&self) -> usize {
        self.outstanding.load(Ordering::Relaxed)
    }

    /// Whether requests go on while the log cannot be written.
    pub(super) fn is_loose(&self) -> bool {
        self.when_unwritable == WhenUnwritable::ContinueAndAlarm
    }

    /// How many requests went without a record since this was last asked.
    pub(super) fn take_unrecorded(&self) -> u64 {
        self.unrecorded.swap(0, Ordering::AcqRel)
    }

    pub(super) fn leave_unrecorded(&self) {
        self.unrecorded.fetch_add(1, Ordering::AcqRel);
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Room for the lines of one request, held from before the judgement until its record is written.
#[derive(Debug)]
pub struct Slot(pub(super) Arc<Seat>);

/// Where one request waits for the line of its permit. The room comes back when the last line of the
/// request is written.
pub(super) struct Seat {
    state: Arc<State>,
    /// Without room of its own, where requests go on all the same.
    is_spare: bool,
    word: AtomicU8,
    waker: AtomicWaker,
}

const NO_WORD: u8 = 0;
const WRITTEN: u8 = 1;
const REFUSED: u8 = 2;

impl std::fmt::Debug for Seat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seat").field("word", &self.word).finish_non_exhaustive()
    }
}

impl Slot {
    /// Room for the lines of one request; `None` when there is none and the request must be refused.
    pub(super) fn reserve(state: &Arc<State>) -> Option<Self> {
        let spare = |is_spare| {
            let (word, waker) = (AtomicU8::new(NO_WORD), AtomicWaker::new());
            Some(Self(Arc::new(Seat { state: Arc::clone(state), is_spare, word, waker })))
        };
        if !state.is_loose() && state.is_failing() {
            state.leave_unrecorded();
            return None;
        }
        let before = state.outstanding.fetch_add(1, Ordering::AcqRel);
        if before < state.records_max {
            return spare(false);
        }
        state.outstanding.fetch_sub(1, Ordering::AcqRel);
        if state.is_loose() {
            return spare(true);
        }
        state.leave_unrecorded();
        None
    }

    /// Whether its record has no room, and is lost.
    pub(super) fn is_spare(&self) -> bool {
        self.0.is_spare
    }
}

impl Seat {
    pub(super) fn tell(&self, written: bool) {
        self.word.store(if written { WRITTEN } else { REFUSED }, Ordering::Release);
        self.waker.wake();
    }

    /// Whether the line was written.
    pub(super) async fn word(&self) -> bool {
        poll_fn(|cx| {
            self.waker.register(cx.waker());
            match self.word.load(Ordering::Acquire) {
                NO_WORD => Poll::Pending,
                word => Poll::Ready(word == WRITTEN),
            }
        })
        .await
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if !self.is_spare {
            self.state.outstanding.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// What a connection waits for: while a record of one of its requests is not written, no byte leaves
/// on it.
#[derive(Debug, Default)]
pub struct Hold {
    waiting: AtomicU32,
    refused: AtomicBool,
    waker: AtomicWaker,
}

/// A record could not be written, and the answer must not leave without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the access log did not take the record of this answer")]
pub struct Unrecorded;

impl Hold {
    /// Whether what was answered so far may leave.
    pub fn poll(&self, cx: &Context<'_>) -> Poll<Result<(), Unrecorded>> {
        if let Some(word) = self.word() {
            return Poll::Ready(word);
        }
        self.waker.register(cx.waker());
        // The last record may have been written before there was anybody to wake.
        self.word().map_or(Poll::Pending, Poll::Ready)
    }

    fn word(&self) -> Option<Result<(), Unrecorded>> {
        if self.is_refused() {
            return Some(Err(Unrecorded));
        }
        (self.waiting.load(Ordering::Acquire) == 0).then_some(Ok(()))
    }

    /// Nothing leaves on this connection any more.
    pub fn refuse(&self) {
        self.refused.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Whether an answer of this connection was refused its record: none leaves any more.
    pub(super) fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Acquire)
    }
}

/// One record that a connection waits for. Dropped without a word, it is refused.
pub(super) struct Held(Option<Arc<Hold>>);

impl Held {
    pub(super) fn new(hold: Option<&Arc<Hold>>) -> Self {
        if let Some(hold) = hold {
            hold.waiting.fetch_add(1, Ordering::AcqRel);
        }
        Self(hold.cloned())
    }

    /// The answer may leave.
    pub(super) fn release(&mut self) {
        if let Some(hold) = self.0.take()
            && hold.waiting.fetch_sub(1, Ordering::AcqRel) == 1
        {
            hold.waker.wake();
        }
    }

    /// The answer must not leave; the record is still to be written.
    pub(super) fn refuse(&self) {
        if let Some(hold) = &self.0 {
            hold.refuse();
        }
    }

    /// Whether the answer was kept from leaving.
    pub(super) fn is_refused(&self) -> bool {
        self.0.as_ref().is_some_and(|hold| hold.is_refused())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.refuse();
    }
}
