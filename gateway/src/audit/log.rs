//! The log as the rest of the program sees it.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::chain::SignatureFault;
use super::metrics::AuditMetrics;
use super::probed::Probed;
use super::pseudonyms::Pseudonyms;
use super::record::{Event, Permitted, Record};
use super::room::{Held, Hold, Seat, Slot, State};
use super::{author, writer};
use crate::config::AuditSettings;

/// How long a permit waits for its line; then the request is refused.
const PERMITTED_WAIT_MAX: Duration = Duration::from_millis(150);

/// The log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The directory, or a file in it.
    #[error("audit.directory {path}: {source}; make it a directory that this user can write")]
    Open {
        /// What was tried.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The HMAC key.
    #[error("audit.key_file: not usable as an HMAC key")]
    Key,
    /// The key that signs.
    #[error("{place}: {source}")]
    SigningKey {
        /// The setting or the file that it is from.
        place: String,
        /// What is wrong with it.
        source: SignatureFault,
    },
    /// No thread for the writer.
    #[error("the audit writer's thread does not start: {0}")]
    Thread(io::Error),
}

/// A line of a permit was not written in time, or not at all: the request must not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the access log did not take the line of a permit")]
pub struct Unwritten;

/// The log as the rest of the program sees it.
pub struct Audit {
    shared: Arc<Shared>,
    pseudonyms: Pseudonyms,
    metrics: AuditMetrics,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// What waits to be written. The lock is held for as long as it takes to move one line.
pub(super) struct Shared {
    queue: Mutex<Vec<Entry>>,
    /// The writer sleeps until somebody wakes it.
    pub(super) asleep: AtomicBool,
    pub(super) stopping: AtomicBool,
    pub(super) state: Arc<State>,
}

impl Shared {
    pub(super) fn queue(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One line of the log, on its way.
// Nearly all are requests: a box for each would cost them an allocation.
#[allow(clippy::large_enum_variant)]
pub(super) enum Entry {
    Request(Record, Held, #[allow(dead_code)] Slot),
    Permitted(Permitted, Arc<Seat>),
    Event(Event),
    Probed(Probed),
    /// Where the chain stands, signed.
    Checkpoint,
}

impl Entry {
    /// It is written.
    pub(super) fn written(&mut self) {
        match self {
            Self::Request(_, held, _) => held.release(),
            Self::Permitted(_, seat) => seat.tell(true),
            Self::Event(_) | Self::Probed(_) | Self::Checkpoint => {}
        }
    }

    /// It cannot be written for now. Whoever waits for it goes on where that is `loose`, and never
    /// where it is not.
    pub(super) fn give_up(&mut self, loose: bool) {
        match self {
            Self::Request(_, held, _) if loose => held.release(),
            Self::Request(_, held, _) => held.refuse(),
            Self::Permitted(_, seat) => seat.tell(loose),
            Self::Event(_) | Self::Probed(_) | Self::Checkpoint => {}
        }
    }
}

impl Audit {
    /// Opens the log and starts its writer.
    ///
    /// # Errors
    /// When no file can be begun: nothing may run unrecorded.
    pub fn open(settings: &AuditSettings, metrics: AuditMetrics) -> Result<Self, AuditError> {
        let pseudonyms = Pseudonyms::new(settings.key.expose())?;
        let author = author::of(settings, &pseudonyms)?;
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            asleep: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            state: Arc::new(State::new(settings.queue_records_max, settings.when_unwritable)),
        });
        let writer = writer::start(
            settings.clone(),
            author,
            pseudonyms.clone(),
            Arc::clone(&shared),
            metrics.clone(),
        )?;
        Ok(Self { shared, pseudonyms, metrics, writer: Mutex::new(Some(writer)) })
    }

    /// Room for the lines of one request, or `None` when the log is full or cannot be written: then
    /// the request must be refused.
    #[must_use]
    pub fn reserve(&self) -> Option<Slot> {
        let slot = Slot::reserve(&self.shared.state);
        if slot.is_none() {
            self.metrics.unrecorded.inc();
        }
        slot
    }

    /// Writes down that a request may go to the bank, and comes back when that is on its way to the
    /// disk.
    ///
    /// # Errors
    /// The request must not go on.
    pub async fn permitted(&self, line: Permitted, slot: &Slot) -> Result<(), Unwritten> {
        if self.is_failing() || slot.is_spare() {
            // Where requests go on all the same, its record is counted as lost.
            return if self.shared.state.is_loose() { Ok(()) } else { Err(Unwritten) };
        }
        let seat = Arc::clone(&slot.0);
        self.push(Entry::Permitted(line, Arc::clone(&seat)));
        match tokio::time::timeout(PERMITTED_WAIT_MAX, seat.word()).await {
            Ok(true) => Ok(()),
            Err(_) if self.shared.state.is_loose() => Ok(()),
            Ok(false) | Err(_) => Err(Unwritten),
        }
    }

    /// Hands a record over. It cannot be refused: its room was reserved. Nothing leaves on the
    /// connection of `hold` until it is written.
    pub fn write(&self, record: Record, slot: Slot, hold: Option<&Arc<Hold>>) {
        if slot.is_spare() {
            self.metrics.lost.inc();
            return;
        }
        self.push(Entry::Request(record, Held::new(hold), slot));
    }

    /// What stands for people and accounts in records.
    #[must_use]
    pub fn pseudonyms(&self) -> &Pseudonyms {
        &self.pseudonyms
    }

    /// Writes down something that is no request.
    pub fn event(&self, event: Event) {
        self.push(Entry::Event(event));
    }

    /// Writes down what the gateway's own probe found.
    pub fn probed(&self, probed: Probed) {
        self.push(Entry::Probed(probed));
    }

    fn push(&self, mut entry: Entry) {
        let state = &self.shared.state;
        let mut queue = self.shared.queue();
        // Under the lock: the writer says that it fails before it looks who waits.
        if state.has_failed() {
            entry.give_up(state.is_loose());
        }
        queue.push(entry);
        drop(queue);
        if self.shared.asleep.swap(false, Ordering::AcqRel) {
            self.wake();
        }
    }

    fn wake(&self) {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(writer) = &*writer {
            writer.thread().unpark();
        }
    }

    /// Whether the last write failed, or has not come back.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.shared.state.is_failing()
    }

    /// Records that wait to be written.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.shared.state.outstanding()
    }

    /// Writes what is left and ends the writer; for the end of the process.
    pub fn close(&self) {
        self.shared.stopping.store(true, Ordering::Release);
        self.wake();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            let _ = writer.join();
        }
    }
}
