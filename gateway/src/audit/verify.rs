//! Whether a log is what the gateway wrote: each line by the chain of its file, each file by the
//! checkpoints that the gateway signed and by the file behind it.
//!
//! It finds what was changed, removed, added or re-ordered, says where, and goes on behind it. What it
//! cannot find: lines behind the last checkpoint that were made anew together with all their hashes, a
//! log that was made anew as a whole by somebody with the signing key, and newest files that were taken
//! away together with their lines in `checkpoints.jsonl`. A checkpoint that was kept elsewhere finds the
//! last; a public key that was kept elsewhere finds a log with another key.

mod claims;
mod fault;
mod trace;
mod walk;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::Serialize;

use super::chain::{Checkpoint, VerifyingKeys, key_id};
use super::shelf::{self, LogFile};
use claims::{Claim, Claims, Listed, Source};
use fault::Faults;
use walk::{Header, Walk};

pub use claims::CHECKPOINTS;
pub use fault::{FAULTS_MAX, Fault, FaultKind, Note};

/// What is to be verified.
#[derive(Debug, Default)]
pub struct Set {
    /// In the order of their numbers.
    pub files: Vec<LogFile>,
    /// `checkpoints.jsonl`, if there is one.
    pub checkpoints: Option<PathBuf>,
    /// It is a whole log: a file that is not in it is missing.
    pub whole: bool,
}

/// With what it is verified.
#[derive(Debug, Default)]
pub struct Trust {
    /// The keys that were given; without any, those in the headers are believed.
    pub keys: VerifyingKeys,
    /// Checkpoints that were kept elsewhere, and what each is called.
    pub heads: Vec<(String, Checkpoint)>,
    /// At once.
    pub threads: usize,
}

/// What was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// How many files were read.
    pub files: usize,
    /// Lines in them.
    pub lines: u64,
    /// Octets in them, decompressed.
    pub bytes: u64,
    /// Records of requests among the lines.
    pub requests: u64,
    /// The earliest and latest time in a line.
    pub span: Option<(Timestamp, Timestamp)>,
    /// Checkpoints within the files that hold.
    pub checkpoints: u64,
    /// Checkpoints beside them, in `checkpoints.jsonl`, whose signature holds.
    pub listed: u64,
    /// The ids of the keys in the headers.
    pub keys: Vec<String>,
    /// Whether the keys were given, not only read from the log itself.
    pub keys_given: bool,
    /// Lines that no checkpoint covers yet.
    pub unsworn: u64,
    /// How many faults there are.
    pub fault_count: u64,
    /// The first [`FAULTS_MAX`] of them.
    pub faults: Vec<Fault>,
    /// What else to know.
    pub notes: Vec<Note>,
}

impl Set {
    /// The log in `directory`.
    ///
    /// # Errors
    /// The operating system's.
    pub fn of_directory(directory: &Path) -> io::Result<Self> {
        let checkpoints = Some(directory.join(CHECKPOINTS)).filter(|path| path.exists());
        Ok(Self { files: shelf::files(directory)?, checkpoints, whole: true })
    }

    /// How many octets its files have on disk.
    #[must_use]
    pub fn stored_bytes(&self) -> u64 {
        self.files.iter().filter_map(|file| Some(file.path.metadata().ok()?.len())).sum()
    }

    /// Reads all of it.
    ///
    /// `progress` is told of octets that were read from disk, from several threads.
    ///
    /// # Errors
    /// `checkpoints.jsonl` cannot be read. What is wrong with the log itself stands in the report.
    pub fn verify(&self, trust: Trust, progress: &(dyn Fn(u64) + Sync)) -> io::Result<Report> {
        let headers: Vec<Option<Header>> = self.files.iter().map(walk::header).collect();
        let keys_given = !trust.keys.is_empty();
        let mut keys = trust.keys;
        let mut ids = BTreeSet::new();
        for header in headers.iter().flatten() {
            let Ok(raw) = STANDARD.decode(&header.public_key) else { continue };
            ids.insert(key_id(&raw));
            if !keys_given {
                // A key that is none is told where its header is read.
                let _ = keys.add_raw(&raw);
            }
        }
        let mut report = Report::empty(self.files.len(), ids, keys_given);
        let mut faults = Faults::default();
        let claims = self.claims(&headers, &keys, &trust.heads, &mut report, &mut faults)?;
        let walks = self.walks(&claims, &keys, trust.threads.max(1), progress);
        let removed: BTreeSet<String> =
            walks.iter().flat_map(|walk| &walk.removed).cloned().collect();
        for (file, walk) in self.files.iter().zip(walks) {
            report.add(&file.name(), walk, self.checkpoints.is_some(), &mut faults);
        }
        if self.whole && self.checkpoints.is_none() && report.checkpoints > 0 {
            let detail = "the files have checkpoints, and it is not there".to_owned();
            faults.add(Fault::of_file(CHECKPOINTS, FaultKind::Missing, detail));
        }
        if self.whole {
            self.missing(&headers, &claims, &removed, &mut faults);
        }
        report.fault_count = faults.count;
        report.faults = faults.kept;
        Ok(report)
    }

    fn claims(
        &self,
        headers: &[Option<Header>],
        keys: &VerifyingKeys,
        heads: &[(String, Checkpoint)],
        report: &mut Report,
        faults: &mut Faults,
    ) -> io::Result<Claims> {
        let mut claims = Claims::default();
        for (file, header) in self.files.iter().zip(headers) {
            let previous = header.as_ref().and_then(|header| header.previous.as_ref());
            if let Some(previous) = previous
                && let Some(claim) = previous.claim(&file.name())
            {
                claims.add(&previous.file, claim);
            }
        }
        if let Some(path) = &self.checkpoints {
            let listed = Listed::read(path, keys, &mut claims)?;
            report.listed = listed.good;
            report.notes.extend(listed.notes);
            faults.extend(listed.faults);
        }
        for (name, head) in heads {
            let claim = Claim::of(head, Source::Head(name.clone()));
            match (keys.verify(head), claim) {
                (Ok(()), Some(claim)) => claims.add(&head.file, claim),
                (Err(error), _) => {
                    let fault = Fault::of_file(name, FaultKind::Forged, error.to_string());
                    faults.add(fault);
                }
                (Ok(()), None) => {
                    let detail = "its hash is none".to_owned();
                    faults.add(Fault::of_file(name, FaultKind::Forged, detail));
                }
            }
        }
        claims.sort();
        Ok(claims)
    }

    fn walks(
        &self,
        claims: &Claims,
        keys: &VerifyingKeys,
        threads: usize,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Vec<Walk> {
        let next = AtomicUsize::new(0);
        let done: Mutex<Vec<(usize, Walk)>> = Mutex::default();
        std::thread::scope(|scope| {
            for _ in 0..threads.min(self.files.len()) {
                scope.spawn(|| {
                    loop {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let Some(file) = self.files.get(at) else { return };
                        let walk = walk::walk(file, claims.of(&file.name()), keys, progress);
                        done.lock().unwrap_or_else(PoisonError::into_inner).push((at, walk));
                    }
                });
            }
        });
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_by_key(|(at, _)| *at);
        done.into_iter().map(|(_, walk)| walk).collect()
    }

    /// Files that are named somewhere, or jumped over, and not there, unless the log says who removed
    /// them.
    fn missing(
        &self,
        headers: &[Option<Header>],
        claims: &Claims,
        removed: &BTreeSet<String>,
        faults: &mut Faults,
    ) {
        // By name: another file with the number of one that is gone does not stand for it.
        let there: BTreeSet<String> = self.files.iter().map(LogFile::name).collect();
        let gone = |name: &str| !there.contains(name) && !removed.contains(name);
        let named = |name: &String| Some(LogFile::of(Path::new(name))?.number);
        let numbers: BTreeSet<u64> = self.files.iter().map(|file| file.number).collect();
        let accounted: BTreeSet<u64> =
            numbers.iter().copied().chain(removed.iter().filter_map(named)).collect();
        let mut told = BTreeSet::new();
        let (first, last) = (numbers.first().copied(), numbers.last().copied());
        for (file, header) in self.files.iter().zip(headers) {
            let previous = header.as_ref().and_then(|header| header.previous.as_ref());
            let Some(previous) = previous else { continue };
            let Some(number) = previous.number() else { continue };
            if gone(&previous.file) && told.insert(number) {
                let detail = format!(
                    "{} goes on from it; it is not there, and no signed audit_removed names it",
                    file.name()
                );
                faults.add(Fault::of_file(&previous.file, FaultKind::Missing, detail));
            }
        }
        for (name, claim) in claims.signed() {
            let Some(number) = LogFile::of(Path::new(name)).map(|file| file.number) else {
                continue;
            };
            // What was removed long ago is named by nothing but old checkpoints.
            let old = first.is_some_and(|first| number < first) && claim.is_listed();
            if gone(name) && !old && told.insert(number) {
                let detail = format!(
                    "{} is about it; it is not there, and no signed audit_removed names it",
                    claim.source
                );
                faults.add(Fault::of_file(name, FaultKind::Missing, detail));
            }
        }
        for number in first.into_iter().zip(last).flat_map(|(first, last)| first..last) {
            if !accounted.contains(&number) && told.insert(number) {
                let detail =
                    "no file has this number, and no signed audit_removed names it".to_owned();
                let name = format!("access-….{number:06}.jsonl");
                faults.add(Fault::of_file(&name, FaultKind::Missing, detail));
                if told.len() > FAULTS_MAX {
                    break;
                }
            }
        }
    }
}

impl Report {
    fn empty(files: usize, ids: BTreeSet<String>, keys_given: bool) -> Self {
        Self {
            files,
            lines: 0,
            bytes: 0,
            requests: 0,
            span: None,
            checkpoints: 0,
            listed: 0,
            keys: ids.into_iter().collect(),
            keys_given,
            unsworn: 0,
            fault_count: 0,
            faults: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn add(&mut self, name: &str, walk: Walk, lists: bool, faults: &mut Faults) {
        self.lines += walk.lines;
        self.bytes += walk.bytes;
        self.requests += walk.requests;
        self.checkpoints += walk.checkpoints;
        self.unsworn += walk.unsworn;
        self.span = match (self.span, walk.span) {
            (Some((first, last)), Some((from, to))) => Some((first.min(from), last.max(to))),
            (one, other) => one.or(other),
        };
        faults.extend(walk.faults);
        self.notes.extend(walk.notes);
        let Some((count, lowest)) = walk.unlisted.filter(|_| lists) else { return };
        let detail = format!(
            "{count} of its checkpoints, from that over number {lowest} on, are not in {CHECKPOINTS}"
        );
        // A crash may come between the two writes of the last one.
        if count == 1 && walk.listed_until.is_none_or(|until| until < lowest) {
            self.notes.push(Note { file: name.to_owned(), detail });
        } else {
            faults.add(Fault::of_file(name, FaultKind::Removed, detail));
        }
    }
}
