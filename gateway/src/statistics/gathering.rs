//! The days of one directory, from its files: each file is read once, several at a time, and a day is given
//! out as soon as no later file can hold any of it. So memory holds the days at hand, not the quarter.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use jiff::{SignedDuration, Timestamp};
use policies::statistics::{Day, Fate, RequestId};

use super::calendar::{self, Calendar};
use super::reading::{self, FileRead, Heard, Kind, LineFault, SeenFile};
use crate::audit::shelf::{self, LogFile};

/// Threads at most.
const READERS_MAX: usize = 16;
/// What a gateway without a name is called.
const NAMELESS: &str = "gateway";

/// Reads the files of one directory.
#[derive(Debug)]
pub(super) struct Gathering<'a> {
    /// Of the log.
    pub directory: &'a Path,
    /// What to count.
    pub calendar: Calendar,
    /// Up to when anything can have been recorded.
    pub now: Timestamp,
    /// Lines whose hashes are wanted, by file.
    pub wanted: &'a BTreeMap<String, u64>,
}

/// Why a directory cannot be counted.
#[derive(Debug, thiserror::Error)]
pub enum GatheringError {
    /// It cannot be listed.
    #[error("{}: {source}; name a directory with access-….jsonl files", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// A file of it.
    #[error(transparent)]
    Line(#[from] LineFault),
    /// What comes of a day cannot be kept.
    #[error("{0}")]
    Keep(String),
}

/// A day of a directory.
#[derive(Debug)]
pub struct Gathered {
    /// Which.
    pub day: Day,
    /// What was heard, in order.
    pub heard: Heard,
    /// The files that may hold records of it.
    pub files: Vec<SeenFile>,
    /// The gateway, as its newest file names it.
    pub gateway: String,
    /// The hashes that were wanted.
    pub hashes: BTreeMap<String, Option<String>>,
}

impl Gathering<'_> {
    /// The files that have to be read, and their bytes on disk.
    ///
    /// # Errors
    /// The directory cannot be listed.
    pub(super) fn files(&self) -> Result<(Vec<LogFile>, u64), GatheringError> {
        let fault = |source| GatheringError::Directory { path: self.directory.to_owned(), source };
        let mut files = shelf::files(self.directory).map_err(fault)?;
        files.retain(|file| self.calendar.meets(file));
        let length = |file: &LogFile| std::fs::metadata(&file.path).map_or(0, |data| data.len());
        let bytes = files.iter().map(length).sum();
        Ok((files, bytes))
    }

    /// Reads the files and gives the days out, in order; also one on which nothing was recorded, as long as there
    /// is a file of it. `progress` hears of files that are done, by bytes on disk.
    ///
    /// # Errors
    /// A file cannot be read, or `keep` fails.
    pub(super) fn run(
        &self,
        progress: &(dyn Fn(u64) + Sync),
        mut keep: impl FnMut(Gathered) -> Result<(), GatheringError>,
    ) -> Result<(), GatheringError> {
        let (files, _) = self.files()?;
        let readers = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(READERS_MAX);
        let next = AtomicUsize::new(0);
        thread::scope(|scope| {
            // A reader that is ahead of the others waits.
            let (to, from) = mpsc::sync_channel(readers);
            for _ in 0..readers.min(files.len()) {
                let (to, next, files) = (to.clone(), &next, &files);
                scope.spawn(move || {
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        let Some(file) = files.get(index) else { return };
                        let read = self.read(file);
                        progress(std::fs::metadata(&file.path).map_or(0, |data| data.len()));
                        if to.send((index, read)).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(to);
            self.assemble(&files, &from, &mut keep)
        })
    }

    fn read(&self, file: &LogFile) -> Result<FileRead, LineFault> {
        let wanted = self.wanted.get(&file.name()).copied();
        let ended = file.day.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|day| day.timestamp());
        let ended = ended.and_then(|day| day.checked_add(SignedDuration::from_hours(25)).ok());
        let is_live = ended.is_none_or(|ended| ended > self.now);
        reading::read(file, &self.calendar, (wanted, is_live), &|_| {})
    }

    fn assemble(
        &self,
        files: &[LogFile],
        from: &Receiver<(usize, Result<FileRead, LineFault>)>,
        keep: &mut dyn FnMut(Gathered) -> Result<(), GatheringError>,
    ) -> Result<(), GatheringError> {
        let mut early = BTreeMap::new();
        let mut at_hand = AtHand::default();
        let mut given = 0;
        for (index, file) in files.iter().enumerate() {
            // Days that neither this file nor a later one can hold.
            while let Some(day) = self.calendar.days().get(given)
                && !files
                    .get(index..)
                    .unwrap_or_default()
                    .iter()
                    .any(|file| calendar::may_hold(file, day))
            {
                at_hand.give(given, day, files, keep)?;
                given += 1;
            }
            let read = loop {
                if let Some(read) = early.remove(&index) {
                    break read;
                }
                match from.recv() {
                    Ok((other, read)) => drop(early.insert(other, read)),
                    // A reader that is gone without a word has panicked, and so will the scope.
                    Err(_) => return Ok(()),
                }
            };
            at_hand.take(file, read?, &self.calendar);
        }
        for (index, day) in self.calendar.days().iter().enumerate().skip(given) {
            at_hand.give(index, day, files, keep)?;
        }
        Ok(())
    }
}

/// What has been read and not given out.
#[derive(Default)]
struct AtHand {
    days: BTreeMap<usize, Heard>,
    cut_off: BTreeMap<RequestId, (Timestamp, Kind)>,
    begun_before: BTreeSet<RequestId>,
    seen: BTreeMap<String, SeenFile>,
    hashes: BTreeMap<String, Option<String>>,
    gateway: Option<String>,
}

impl AtHand {
    fn take(&mut self, file: &LogFile, read: FileRead, calendar: &Calendar) {
        for (day, heard) in read.days {
            self.days.entry(day).or_default().merge(heard);
        }
        let counted =
            |(_, (time, _)): &(RequestId, (Timestamp, Kind))| calendar.place(*time).is_some();
        self.cut_off.extend(read.cut_off.into_iter().filter(counted));
        self.begun_before.extend(read.begun_before);
        self.hashes.insert(file.name(), read.hash_at);
        self.seen.insert(file.name(), read.seen);
        self.gateway = read.gateway.filter(|name| !name.is_empty()).or(self.gateway.take());
    }

    fn give(
        &mut self,
        index: usize,
        day: &Day,
        files: &[LogFile],
        keep: &mut dyn FnMut(Gathered) -> Result<(), GatheringError>,
    ) -> Result<(), GatheringError> {
        let of_day = |file: &&LogFile| calendar::may_hold(file, day);
        let names: Vec<String> = files.iter().filter(of_day).map(LogFile::name).collect();
        if names.is_empty() {
            return Ok(());
        }
        let mut heard = self.days.remove(&index).unwrap_or_default();
        let of_day = |time: &Timestamp| (day.begins..day.ends).contains(time);
        for (id, (time, kind)) in self.cut_off.extract_if(.., |_, (time, _)| of_day(time)) {
            if self.begun_before.contains(&id) {
                continue;
            }
            let at_ms = u32::try_from(time.as_millisecond() - day.begins_ms()).unwrap_or_default();
            heard.kinds.entry(kind).or_default().note(Fate::CUT_OFF, at_ms, 0, id);
        }
        heard.settle();
        let hash = |name: &String| Some((name.clone(), self.hashes.get(name)?.clone()));
        keep(Gathered {
            day: *day,
            heard,
            hashes: names.iter().filter_map(hash).collect(),
            files: names.iter().filter_map(|name| self.seen.get(name).cloned()).collect(),
            gateway: self.gateway.clone().unwrap_or_else(|| NAMELESS.to_owned()),
        })
    }
}
