//! The one thread that writes the log: lines come to it one by one, leave it in batches, and whoever
//! waits for one is told when it is written.

mod list;
mod trouble;

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::chain::Chain;
use super::file::{self, Author, Link, OpenFile};
use super::log::{AuditError, Entry, Shared};
use super::metrics::AuditMetrics;
use super::pseudonyms::Pseudonyms;
use super::record::{Event, Outcome};
use crate::clock;
use crate::config::{AuditSettings, Durability};
use trouble::Trouble;

/// Lines that one write to the file may carry.
const BATCH_LINES_MAX: usize = 512;
/// Pause before a failed write is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(200);
/// Longest wait for a disk that fails at the end of the process.
const FLUSH_LIMIT: Duration = Duration::from_secs(5);
/// Every checkpoint, beside the files.
const CHECKPOINTS: &str = "checkpoints.jsonl";
/// Checkpoints that wait for their own file to be written to.
const CHECKPOINT_BYTES_MAX: usize = 64 * 1024;
/// `event.action` of the line that ends a file in order.
const CLOSED: &str = "audit_closed";
/// `event.action` of the line that tells of a file that was taken away while it was written.
const GONE: &str = "audit_file_gone";
/// How often the file is looked for under its name.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(1);

/// Begins the first file and starts the thread.
pub(super) fn start(
    settings: AuditSettings,
    (author, people): (Author, Pseudonyms),
    shared: Arc<Shared>,
    bell: SyncSender<()>,
    metrics: AuditMetrics,
) -> Result<JoinHandle<()>, AuditError> {
    let directory = settings.directory.clone();
    let begun = OpenFile::begin(&directory, &author, None, clock::now());
    let file = begun.map_err(|source| AuditError::Open { path: directory, source })?;
    let mut writer = Writer {
        settings,
        author,
        people,
        shared,
        bell,
        metrics,
        file: Some(file),
        previous: None,
        lines: Vec::new(),
        checkpoints: Vec::new(),
        unsigned: 0,
        unsigned_since: None,
        trouble: None,
        has_given_up: false,
        looked_at: Instant::now(),
    };
    let oath = writer.file.as_ref().map(|file| file.oath().to_vec());
    writer.copy_checkpoints(&oath.unwrap_or_default());
    let _ = writer.keep_reserve();
    let thread = std::thread::Builder::new().name("audit".to_owned());
    thread.spawn(move || writer.run()).map_err(AuditError::Thread)
}

struct Writer {
    settings: AuditSettings,
    author: Author,
    people: Pseudonyms,
    shared: Arc<Shared>,
    /// Rung when there is a closed file to look after.
    bell: SyncSender<()>,
    metrics: AuditMetrics,
    /// None after one that had to be left; the next attempt begins another.
    file: Option<OpenFile>,
    /// The last line of our last file.
    previous: Option<Link>,
    /// The batch, as it goes to the file.
    lines: Vec<u8>,
    /// Checkpoints that are in the file, and not yet in their own.
    checkpoints: Vec<u8>,
    /// Lines since the last checkpoint.
    unsigned: u64,
    unsigned_since: Option<Instant>,
    trouble: Option<Trouble>,
    /// The process ends, and the disk was waited for long enough.
    has_given_up: bool,
    /// When the file was last looked for under its name.
    looked_at: Instant,
}

impl Writer {
    fn run(mut self) {
        let mut entries = Vec::new();
        loop {
            // Read before the queue: what came before the end is written before the end.
            let stopping = self.shared.stopping.load(Ordering::Acquire);
            std::mem::swap(&mut *self.shared.queue(), &mut entries);
            self.rotate();
            if entries.is_empty() {
                if stopping {
                    self.close();
                    return;
                }
                if !self.checkpoint() {
                    self.sleep();
                }
            }
            for batch in entries.chunks_mut(BATCH_LINES_MAX) {
                self.persist(batch);
                self.checkpoint();
            }
            // Only now is there room for others, and only then is all well.
            entries.clear();
            self.recovered();
        }
    }

    /// Until there is a line, a checkpoint is due, the day ends, or it is time to say once more that trouble
    /// is over.
    fn sleep(&self) {
        self.shared.asleep.store(true, Ordering::Release);
        // Whoever pushed before seeing the flag does not wake anybody.
        if self.shared.queue().is_empty() && !self.shared.stopping.load(Ordering::Acquire) {
            let due = self.unsigned_since.map(|since| since + self.settings.checkpoint_every);
            let due = due.map(|due| due.saturating_duration_since(Instant::now()));
            let midnight = until_midnight(clock::now());
            let again = if self.trouble.is_some() { RETRY_AFTER } else { midnight };
            std::thread::park_timeout(due.map_or(midnight, |due| due.min(midnight)).min(again));
        }
        self.shared.asleep.store(false, Ordering::Release);
    }

    /// Writes `batch` whole, trying again for as long as it takes: the slots stay taken meanwhile.
    /// Only at the end of the process there is a limit.
    fn persist(&mut self, batch: &mut [Entry]) {
        let mut leaving_since: Option<Instant> = None;
        loop {
            let written = match self.has_room() {
                true => self.attempt(batch),
                false => Err(io::ErrorKind::StorageFull.into()),
            };
            match written {
                Ok(()) => {
                    batch.iter_mut().for_each(Entry::written);
                    return;
                }
                Err(error) => self.failed(&error, batch),
            }
            if self.shared.stopping.load(Ordering::Acquire) {
                let since = *leaving_since.get_or_insert_with(Instant::now);
                self.has_given_up |= since.elapsed() > FLUSH_LIMIT;
                if self.has_given_up {
                    return;
                }
            }
            std::thread::sleep(RETRY_AFTER);
        }
    }

    /// Formats and seals the batch, and writes it in one piece.
    fn attempt(&mut self, batch: &[Entry]) -> io::Result<()> {
        let now = clock::now();
        let mut file = match self.file.take() {
            Some(file) => file,
            None => {
                let previous = self.previous.clone();
                let directory = &self.settings.directory;
                let begun = OpenFile::begin(directory, &self.author, previous, now)?;
                self.copy_checkpoints(begun.oath());
                begun
            }
        };
        let (mut chain, mut checkpoints) = (file.chain().clone(), Vec::new());
        self.lines.clear();
        for entry in batch {
            self.line(entry, &file, &mut chain, &mut checkpoints, now);
        }
        match self.put(&mut file, chain) {
            Ok(()) => {}
            Err(error) => {
                self.previous = file.link();
                // A file whose end is unknown, or that will not grow, is left as it is.
                if trouble::is_want_of_room(&error) {
                    self.file = Some(file);
                }
                return Err(error);
            }
        }
        self.file = Some(file);
        self.metrics.records.inc_by(batch.len() as u64);
        self.metrics.bytes.inc_by(self.lines.len() as u64);
        self.unsigned += batch.len() as u64;
        self.unsigned_since.get_or_insert_with(Instant::now);
        if !checkpoints.is_empty() {
            (self.unsigned, self.unsigned_since) = (0, None);
            self.metrics.checkpoint.set(now.as_second());
            self.copy_checkpoints(&checkpoints);
        }
        Ok(())
    }

    fn put(&self, file: &mut OpenFile, chain: Chain) -> io::Result<()> {
        let state = &self.shared.state;
        state.goes_to_disk();
        let timer = self.metrics.write.start_timer();
        let before = file.chain().clone();
        let mut put = file.append(&self.lines, chain);
        timer.observe_duration();
        if put.is_ok() && self.settings.durability == Durability::Fsync {
            let timer = self.metrics.sync.start_timer();
            put = file.sync();
            timer.observe_duration();
            if let Err(error) = put {
                // Nobody knows what the disk has of it.
                put = Err(file.forget(self.lines.len() as u64, before).err().unwrap_or(error));
            }
        }
        state.is_back();
        put
    }

    fn line(
        &mut self,
        entry: &Entry,
        file: &OpenFile,
        chain: &mut Chain,
        checkpoints: &mut Vec<u8>,
        now: Timestamp,
    ) {
        let lines = &mut self.lines;
        let before = lines.len();
        let written = match entry {
            Entry::Request(record, held, _) => {
                let mut line = record.line(&self.people);
                if held.is_refused() {
                    // The answer was kept from leaving for want of this very record.
                    line.turn_into(Outcome::Aborted);
                }
                serde_json::to_writer(&mut *lines, &line).map_err(|error| error.to_string())
            }
            Entry::Permitted(line, _) => {
                serde_json::to_writer(&mut *lines, &line.line()).map_err(|error| error.to_string())
            }
            Entry::Event(event) => {
                serde_json::to_writer(&mut *lines, event).map_err(|error| error.to_string())
            }
            Entry::Probed(probed) => {
                serde_json::to_writer(&mut *lines, probed).map_err(|error| error.to_string())
            }
            Entry::Checkpoint(_) => match self.author.key.sign(file.name(), chain, now) {
                Ok(None) => return,
                Ok(Some(checkpoint)) => serde_json::to_writer(&mut *lines, &checkpoint)
                    .map(|()| {
                        checkpoints.extend_from_slice(lines.get(before..).unwrap_or_default());
                        checkpoints.push(b'\n');
                    })
                    .map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            },
        };
        if let Err(error) = written {
            // Cannot happen for these shapes; a line is still better than none.
            lines.truncate(before);
            tracing::error!(%error, "a line of the access log could not be written down");
            let unwritable = match entry {
                Entry::Request(record, ..) => record.request_id.to_string(),
                Entry::Permitted(line, _) => line.request_id.to_string(),
                Entry::Event(event) => event.event.to_owned(),
                Entry::Probed(_) | Entry::Checkpoint(_) => String::new(),
            };
            let line = format!(
                "{{\"@timestamp\":\"{now}\",\"event.action\":\"unwritable\",\"octroi.subject\":\"{unwritable}\"}}"
            );
            lines.extend_from_slice(line.as_bytes());
        }
        chain.seal(lines, before);
    }

    /// Signs where the chain stands, when that is due.
    fn checkpoint(&mut self) -> bool {
        let waited = self.unsigned_since.is_some_and(|since| {
            self.unsigned > 0 && since.elapsed() >= self.settings.checkpoint_every
        });
        let due = waited || self.unsigned >= self.settings.checkpoint_records;
        if due {
            self.persist(&mut [Entry::Checkpoint(None)]);
        }
        due
    }

    /// Appends to the file of all checkpoints what the log has already.
    fn copy_checkpoints(&mut self, fresh: &[u8]) {
        if self.checkpoints.len() < CHECKPOINT_BYTES_MAX {
            self.checkpoints.extend_from_slice(fresh);
        }
        let path = self.settings.directory.join(CHECKPOINTS);
        let keep = self.settings.durability == Durability::Fsync;
        match list::append(&path, &self.checkpoints, keep) {
            Ok(()) => self.checkpoints.clear(),
            Err(error) => tracing::warn!(%error, "checkpoints.jsonl cannot be written"),
        }
    }

    /// Goes on in a new file, when the day is over, this one is long enough, or it was taken away.
    fn rotate(&mut self) {
        let now = clock::now();
        let Some(file) = &self.file else { return };
        let gone = self.looked_at.elapsed() >= LOOKED_AT_EVERY && !file.stands();
        if self.looked_at.elapsed() >= LOOKED_AT_EVERY {
            self.looked_at = Instant::now();
        }
        let (name, lines) = (file.name().to_owned(), file.chain().next());
        let due =
            gone || file.day() != file::day(now) || file.bytes() >= self.settings.file_bytes_max;
        if !due {
            return;
        }
        self.close();
        let told = gone.then(|| {
            tracing::error!(file = name, lines, "the access log's file was removed or moved away");
            let detail =
                format!("removed or moved away while it was written; it had {lines} lines");
            Entry::Event(Event {
                time: now,
                event: GONE,
                subject: Some(name),
                detail,
                by: Vec::new(),
            })
        });
        if let Err(error) = self.attempt(told.as_slice()) {
            // The next line tries again, and for as long as it takes.
            tracing::warn!(%error, "the next file of the access log cannot be begun yet");
        }
        let _ = self.bell.try_send(());
    }

    /// Ends the file in order. One that cannot be ended is left as after a crash.
    fn close(&mut self) {
        if self.file.is_none() {
            return;
        }
        let closed = Event {
            time: clock::now(),
            event: CLOSED,
            subject: self.file.as_ref().map(|file| file.name().to_owned()),
            detail: "this file is complete".to_owned(),
            by: Vec::new(),
        };
        let ended = self.attempt(&[Entry::Event(closed), Entry::Checkpoint(None)]);
        let Some(file) = self.file.take() else { return };
        self.previous = file.link();
        if let Err(error) = ended.and_then(|()| file.sync()) {
            tracing::warn!(file = file.name(), %error, "a file of the access log could not be closed in order");
        }
    }
}

fn until_midnight(now: Timestamp) -> Duration {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let tomorrow = file::day(now).checked_add(1.day());
    let midnight = tomorrow.and_then(|day| day.to_zoned(TimeZone::UTC));
    let left = midnight.ok().map(|midnight| now.duration_until(midnight.timestamp()));
    left.and_then(|left| Duration::try_from(left).ok()).unwrap_or(DAY)
}
