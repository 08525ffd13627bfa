//! What happens to files of the log that nobody writes to any more: they are compressed, and when
//! their time is over they are removed, which the log itself tells first.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::file::{self, MODE};
use super::log::{Entry, Shared};
use super::record::Event;
use super::shelf::{self, LogFile};
use crate::clock;
use crate::config::AuditSettings;

/// How often files are looked for whose time is over, or whose process has ended.
const TIDIED_EVERY: Duration = Duration::from_secs(60);
/// The second look, after the start.
const TIDIED_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Lines of one frame: a reader that looks for one of them unpacks no more.
const FRAME_LINES: usize = 4096;
/// For each second of work so many of rest: requests come first.
const RESTS: u32 = 3;
/// How long the line of a removal may take to be written.
const TOLD_MAX: Duration = Duration::from_secs(10);
const REMOVED: &str = "audit_removed";

/// Starts the thread. It ends when the sender of its bell is dropped.
pub(super) fn start(
    settings: AuditSettings,
    shared: Arc<Shared>,
) -> io::Result<(SyncSender<()>, JoinHandle<()>)> {
    let (bell, rung) = sync_channel(1);
    let thread = std::thread::Builder::new().name("audit-keeper".to_owned());
    let keeper = Keeper { settings, shared };
    Ok((bell, thread.spawn(move || keeper.run(&rung))?))
}

struct Keeper {
    settings: AuditSettings,
    shared: Arc<Shared>,
}

impl Keeper {
    fn run(&self, rung: &Receiver<()>) {
        // At the start the directory may still be somebody's who begins a file.
        let mut wait = TIDIED_AGAIN_AFTER;
        loop {
            if let Err(error) = self.tidy() {
                tracing::warn!(%error, "closed files of the access log could not be tidied");
            }
            match rung.recv_timeout(wait) {
                Ok(()) | Err(RecvTimeoutError::Timeout) => wait = TIDIED_EVERY,
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn tidy(&self) -> io::Result<()> {
        let mut files = shelf::files(&self.settings.directory)?;
        // The newest one gives the next its number and its link.
        files.pop();
        for file in files {
            if self.is_ending() {
                return Ok(());
            }
            // Held until this file is done with: no other process works at it meanwhile.
            let Some(_mine) = self.nobody_writes(&file)? else { continue };
            if self.is_over(&file) {
                self.remove(&file)?;
            } else if self.settings.compress && !file.compressed {
                self.compress(&file.path)?;
            }
        }
        Ok(())
    }

    fn is_ending(&self) -> bool {
        self.shared.stopping.load(Ordering::Acquire)
    }

    /// The file, locked; nothing while its process lives. That begins files under the lock of the
    /// directory, and holds theirs from their first line on.
    fn nobody_writes(&self, file: &LogFile) -> io::Result<Option<File>> {
        let Some(_begins) = file::lock_now(&self.settings.directory)? else { return Ok(None) };
        let opened = match File::open(&file.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        Ok(opened.try_lock().is_ok().then_some(opened))
    }

    /// A file ends with its day at the latest.
    fn is_over(&self, file: &LogFile) -> bool {
        self.settings.keep_for.is_some_and(|keep_for| ended(file, clock::now()) > Some(keep_for))
    }

    /// The log tells of it before it happens: what is missing later was removed by the rule.
    fn remove(&self, file: &LogFile) -> io::Result<()> {
        let (told, written) = sync_channel(1);
        let last = match file::last_link(file)? {
            Some(last) => {
                format!("its last line was number {} with the hash {}", last.sequence, last.hash)
            }
            None => "it held no line".to_owned(),
        };
        let event = Event {
            time: clock::now(),
            event: REMOVED,
            subject: Some(file.name()),
            detail: format!("removed because audit.keep_for is over; {last}"),
            by: Vec::new(),
        };
        self.shared.push(Entry::Event(event));
        // A removal that is not signed is believed by nobody.
        self.shared.push(Entry::Checkpoint(Some(told)));
        if written.recv_timeout(TOLD_MAX).is_ok() {
            std::fs::remove_file(&file.path)?;
        }
        Ok(())
    }

    /// Independent frames under another name first, so that whoever reads meets one whole file or the
    /// other.
    fn compress(&self, plain: &Path) -> io::Result<()> {
        let done = plain.with_extension("jsonl.zst");
        let part = plain.with_extension("jsonl.zst.part");
        let mut reader = BufReader::new(File::open(plain)?);
        let options = OpenOptions::new().create(true).truncate(true).write(true).mode(MODE).clone();
        let mut packed = options.open(&part)?;
        let mut lines = Vec::new();
        loop {
            let began = Instant::now();
            lines.clear();
            for _ in 0..FRAME_LINES {
                if reader.read_until(b'\n', &mut lines)? == 0 {
                    break;
                }
            }
            if lines.is_empty() {
                break;
            }
            packed.write_all(&shelf::packed(&lines)?)?;
            if self.is_ending() {
                return std::fs::remove_file(part);
            }
            std::thread::sleep(began.elapsed() * RESTS);
        }
        packed.sync_all()?;
        std::fs::rename(part, done)?;
        std::fs::remove_file(plain)
    }
}

/// How long ago the day of a file ended; nothing while it lasts.
fn ended(file: &LogFile, now: Timestamp) -> Option<Duration> {
    let end = file.day.checked_add(1.day()).ok()?.to_zoned(TimeZone::UTC).ok()?;
    Duration::try_from(now.duration_since(end.timestamp())).ok()
}
