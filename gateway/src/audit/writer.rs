//! The one thread that writes the log: records come to it whole, leave it in batches.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use sha2::Sha256;

use super::record::{Event, Record};

/// Keyed once; each use clones the state after the key.
type Key = Hmac<Sha256>;

/// How long records gather for one write: the most that a crash of the machine or a kill without
/// warning can lose of the log.
const GATHERED_FOR: Duration = Duration::from_millis(10);
/// Records that one write to the file may carry.
const BATCH_RECORDS_MAX: usize = 512;
/// Pause before a failed write is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(200);
/// Longest wait for the queue to empty at the end.
const FLUSH_LIMIT: Duration = Duration::from_secs(5);

/// The log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The directory or the file of today.
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
    /// No thread for the writer.
    #[error("the audit writer's thread does not start: {0}")]
    Thread(io::Error),
}

/// The log as the rest of the program sees it.
pub struct Audit {
    shared: Arc<Shared>,
    records_max: usize,
    pseudonyms: Pseudonyms,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// What waits to be written. The lock is held for as long as it takes to move one record.
struct Shared {
    queue: Mutex<Vec<Entry>>,
    /// The writer sleeps until somebody wakes it.
    asleep: AtomicBool,
    stopping: AtomicBool,
    state: Arc<State>,
}

/// Turns the name of a person or an account into what records may hold: HMAC-SHA-256 (RFC 2104)
/// under the configured key. Whoever has the key may compare, nobody can read.
#[derive(Clone)]
pub struct Pseudonyms(Key);

impl Pseudonyms {
    /// Pseudonyms under `key`.
    ///
    /// # Errors
    /// The key is no key.
    pub fn new(key: &[u8]) -> Result<Self, AuditError> {
        Key::new_from_slice(key).map(Self).map_err(|_| AuditError::Key)
    }

    /// The pseudonym of `name`.
    #[must_use]
    pub fn of(&self, name: &str) -> [u8; 32] {
        let mut hmac = self.0.clone();
        hmac.update(name.as_bytes());
        hmac.finalize().into_bytes().into()
    }
}

impl std::fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pseudonyms([redacted])")
    }
}

/// One line of the log.
// Nearly all are requests: a box for each would cost them an allocation.
#[allow(clippy::large_enum_variant)]
enum Entry {
    Request(Record, #[allow(dead_code)] Slot),
    Event(Event),
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct State {
    outstanding: AtomicUsize,
    failing: AtomicBool,
}

/// Room for one record, held from before the judgement until the record is on its way to disk.
#[derive(Debug)]
pub struct Slot(Arc<State>);

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("audit::State")
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.outstanding.fetch_sub(1, Ordering::Release);
    }
}

impl Audit {
    /// Opens the log in `directory` and starts its writer.
    ///
    /// `key` makes the HMACs of PSUs and IBANs; `records_max` bounds what may wait to be written.
    ///
    /// # Errors
    /// When today's file cannot be opened for appending: nothing may run unrecorded.
    pub fn open(directory: &Path, key: &[u8], records_max: usize) -> Result<Self, AuditError> {
        let pseudonyms = Pseudonyms::new(key)?;
        let file = DayFile::open(directory, today())?;
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            asleep: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            state: Arc::new(State {
                outstanding: AtomicUsize::new(0),
                failing: AtomicBool::new(false),
            }),
        });
        let writer = Writer { shared: Arc::clone(&shared), pseudonyms: pseudonyms.clone(), file };
        let writer = std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || writer.run())
            .map_err(AuditError::Thread)?;
        Ok(Self { shared, records_max, pseudonyms, writer: Mutex::new(Some(writer)) })
    }

    /// Room for one record, or `None` when the log is full or cannot be written: then the request
    /// must be refused.
    #[must_use]
    pub fn reserve(&self) -> Option<Slot> {
        if self.shared.state.failing.load(Ordering::Acquire) {
            return None;
        }
        let before = self.shared.state.outstanding.fetch_add(1, Ordering::AcqRel);
        let slot = Slot(Arc::clone(&self.shared.state));
        (before < self.records_max).then_some(slot)
    }

    /// Hands a record over. It cannot be refused: its room was reserved. It reaches the file within
    /// [`GATHERED_FOR`]; while records keep coming, nobody has to be woken for one.
    pub fn write(&self, record: Record, slot: Slot) {
        self.push(Entry::Request(record, slot));
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

    fn push(&self, entry: Entry) {
        self.shared.queue().push(entry);
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

    /// Whether the last write failed.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.shared.state.failing.load(Ordering::Acquire)
    }

    /// Records that wait to be written.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.shared.state.outstanding.load(Ordering::Relaxed)
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

struct Writer {
    shared: Arc<Shared>,
    pseudonyms: Pseudonyms,
    file: DayFile,
}

impl Writer {
    fn run(mut self) {
        let (mut records, mut lines) = (Vec::new(), Vec::new());
        loop {
            // Read before the queue: what came before the end is written before the end.
            let stopping = self.shared.stopping.load(Ordering::Acquire);
            std::mem::swap(&mut *self.shared.queue(), &mut records);
            if records.is_empty() {
                if stopping {
                    return;
                }
                self.sleep();
                continue;
            }
            for batch in records.chunks(BATCH_RECORDS_MAX) {
                lines.clear();
                for entry in batch {
                    self.append(entry, &mut lines);
                }
                self.persist(&lines, stopping);
            }
            // Only now is there room for others.
            records.clear();
            if !stopping {
                std::thread::park_timeout(GATHERED_FOR);
            }
        }
    }

    fn sleep(&self) {
        self.shared.asleep.store(true, Ordering::Release);
        // Whoever pushed before seeing the flag does not wake anybody.
        if self.shared.queue().is_empty() && !self.shared.stopping.load(Ordering::Acquire) {
            std::thread::park();
        }
        self.shared.asleep.store(false, Ordering::Release);
    }

    fn append(&self, entry: &Entry, batch: &mut Vec<u8>) {
        let before = batch.len();
        let written = match entry {
            Entry::Request(record, _) => {
                serde_json::to_writer(&mut *batch, &record.line(|value| self.pseudonyms.of(value)))
            }
            Entry::Event(event) => serde_json::to_writer(&mut *batch, event),
        };
        if written.is_err() {
            // Cannot happen for these shapes; a line is still better than none.
            batch.truncate(before);
            let id = match entry {
                Entry::Request(record, _) => record.request_id.to_string(),
                Entry::Event(event) => event.event.to_owned(),
            };
            batch.extend_from_slice(
                format!("{{\"request_id\":\"{id}\",\"outcome\":\"unwritable\"}}").as_bytes(),
            );
        }
        batch.push(b'\n');
    }

    /// Writes `batch` whole, trying again for as long as it takes: the slots stay taken meanwhile
    /// and nothing is admitted. Only at the end of the process there is a limit.
    fn persist(&mut self, batch: &[u8], stopping: bool) {
        let mut waited = Duration::ZERO;
        let mut rest = batch;
        while !rest.is_empty() {
            match self.file.append(rest, today()) {
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(error) => {
                    if !self.shared.state.failing.swap(true, Ordering::AcqRel) {
                        tracing::error!(%error, "the audit log cannot be written; requests are refused until it can");
                    }
                    if stopping && waited >= FLUSH_LIMIT {
                        return;
                    }
                    std::thread::sleep(RETRY_AFTER);
                    waited += RETRY_AFTER;
                }
            }
        }
        if self.shared.state.failing.swap(false, Ordering::AcqRel) {
            tracing::warn!("the audit log can be written again");
        }
    }
}

/// One file a day (UTC), `access-2026-11-21.jsonl`, only ever appended to.
struct DayFile {
    directory: PathBuf,
    day: Date,
    file: File,
}

impl DayFile {
    fn open(directory: &Path, day: Date) -> Result<Self, AuditError> {
        let path = directory.join(format!("access-{day}.jsonl"));
        let file = std::fs::create_dir_all(directory)
            .and_then(|()| OpenOptions::new().create(true).append(true).mode(0o640).open(&path))
            .map_err(|source| AuditError::Open { path, source })?;
        Ok(Self { directory: directory.to_owned(), day, file })
    }

    fn append(&mut self, bytes: &[u8], day: Date) -> io::Result<usize> {
        if day != self.day {
            *self = Self::open(&self.directory, day).map_err(|error| match error {
                AuditError::Open { source, .. } => source,
                other => io::Error::other(other.to_string()),
            })?;
        }
        match self.file.write(bytes) {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            other => other,
        }
    }
}

fn today() -> Date {
    crate::clock::now().to_zoned(TimeZone::UTC).date()
}
