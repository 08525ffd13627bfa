//! The log as the rest of the program sees it.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

use certs::Identity;

use super::certificates::Certificates;
use super::chain::SignatureFault;
use super::metrics::AuditMetrics;
use super::probed::Probed;
use super::pseudonyms::Pseudonyms;
use super::record::{Event, Permitted, Record};
use super::room::{Held, Hold, Seat, Slot, State};
use super::{author, keeper, writer};
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
    /// Until the log is closed.
    open: Mutex<Option<Open>>,
}

/// What runs for as long as the log is open.
struct Open {
    writer: JoinHandle<()>,
    keeper: JoinHandle<()>,
    certificates: Certificates,
    certificates_writer: JoinHandle<()>,
}

/// What waits to be written. The lock is held for as long as it takes to move one line.
pub(super) struct Shared {
    queue: Mutex<Vec<Entry>>,
    /// The writer sleeps until somebody wakes it.
    pub(super) asleep: AtomicBool,
    pub(super) stopping: AtomicBool,
    pub(super) state: Arc<State>,
    /// The writer's, once it runs.
    thread: OnceLock<Thread>,
}

impl Shared {
    pub(super) fn queue(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, mut entry: Entry) {
        let mut queue = self.queue();
        // Under the lock: the writer says that it fails before it looks who waits.
        if self.state.has_failed() {
            entry.give_up(self.state.is_loose());
        }
        queue.push(entry);
        drop(queue);
        if self.asleep.swap(false, Ordering::AcqRel) {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
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
    /// Where the chain stands, signed. And who is to be told when it is written.
    Checkpoint(Option<SyncSender<()>>),
}

impl Entry {
    /// It is written.
    pub(super) fn written(&mut self) {
        match self {
            Self::Request(_, held, _) => held.release(),
            Self::Permitted(_, seat) => seat.tell(true),
            Self::Checkpoint(Some(told)) => drop(told.try_send(())),
            Self::Event(_) | Self::Probed(_) | Self::Checkpoint(None) => {}
        }
    }

    /// It cannot be written for now. Whoever waits for it goes on where that is `loose`, and never
    /// where it is not.
    pub(super) fn give_up(&mut self, loose: bool) {
        match self {
            Self::Request(_, held, _) if loose => held.release(),
            Self::Request(_, held, _) => held.refuse(),
            Self::Permitted(_, seat) => seat.tell(loose),
            Self::Event(_) | Self::Probed(_) | Self::Checkpoint(_) => {}
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
            thread: OnceLock::new(),
        });
        let (bell, keeper) =
            keeper::start(settings.clone(), Arc::clone(&shared)).map_err(AuditError::Thread)?;
        let (certificates, certificates_writer) =
            Certificates::open(&settings.directory, metrics.certificates.clone())
                .map_err(|source| AuditError::Open { path: settings.directory.clone(), source })?;
        let writer = writer::start(
            settings.clone(),
            (author, pseudonyms.clone()),
            Arc::clone(&shared),
            bell,
            metrics.clone(),
        )?;
        let _ = shared.thread.set(writer.thread().clone());
        let open = Open { writer, keeper, certificates, certificates_writer };
        Ok(Self { shared, pseudonyms, metrics, open: Mutex::new(Some(open)) })
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
        self.shared.push(Entry::Permitted(line, Arc::clone(&seat)));
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
        self.shared.push(Entry::Request(record, Held::new(hold), slot));
    }

    /// What stands for people and accounts in records.
    #[must_use]
    pub fn pseudonyms(&self) -> &Pseudonyms {
        &self.pseudonyms
    }

    /// Writes down something that is no request.
    pub fn event(&self, event: Event) {
        self.shared.push(Entry::Event(event));
    }

    /// Writes down what the gateway's own probe found.
    pub fn probed(&self, probed: Probed) {
        self.shared.push(Entry::Probed(probed));
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

    /// Keeps a client certificate that was not seen before: records name it by its digest.
    pub fn certificate(&self, identity: &Identity, leaf: &[u8], sent: &[Vec<u8>]) {
        if let Some(open) = &*self.open.lock().unwrap_or_else(PoisonError::into_inner) {
            let is_trusted = identity.trust().is_ok();
            open.certificates.keep(identity.fingerprint(), is_trusted, leaf, sent);
        }
    }

    /// Writes what is left and ends the writer; for the end of the process.
    pub fn close(&self) {
        self.shared.stopping.store(true, Ordering::Release);
        self.shared.wake();
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Open { writer, keeper, certificates, certificates_writer }) = open {
            drop(certificates);
            for thread in [writer, keeper, certificates_writer] {
                let _ = thread.join();
            }
        }
    }
}
