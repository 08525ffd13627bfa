//! The directory of the registers: snapshots by their hashes, which of them was in force when, what
//! the gate holds, and what people have decided. Each change of it is one file written whole, or one
//! line appended.

#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use policies::Register;
use policies::register::{
    KeptAs, Override, RegisterError, RegisterPolicy, SNAPSHOT_FORMAT, Snapshot,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::gate::{Hold, Impact};
use crate::archive::{Archive, ArchiveError, Archived, Stamp};

const HISTORY: &str = "history.jsonl";
const OVERRIDES: &str = "overrides.jsonl";
const HELD: &str = "held.json";
/// Octets of one of these files, at most.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

impl Archived for Snapshot {
    const VERB: &'static str = "octroi register";
    const FIRST: &'static str = "octroi register fetch --config FILE";

    fn foreign(&self) -> Option<String> {
        (self.format != SNAPSHOT_FORMAT).then(|| format!("its format is {:?}", self.format))
    }

    fn dated(&self) -> Timestamp {
        self.as_of().unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

/// Why the directory cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// A snapshot.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// Another file of it.
    #[error("{file}: {error}", file = file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A line that nobody of us wrote.
    #[error("{file}: line {line}: {why}", file = file.display())]
    Line {
        /// Which file.
        file: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// A snapshot that holds no register.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// Nothing was in force, or published, by then.
    #[error("no snapshot of the registers was published by {0}")]
    NothingThen(Timestamp),
}

/// When a snapshot was put in force, and by whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// When.
    pub at: Timestamp,
    /// Its name.
    pub snapshot: String,
    /// "gateway", or the person who accepted it.
    pub by: String,
}

/// A snapshot that the gate holds until a person accepts it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Held {
    /// Its name.
    pub snapshot: String,
    /// Since when.
    pub at: Timestamp,
    /// Why.
    pub why: Vec<Hold>,
    /// What it would do.
    pub impact: Impact,
}

/// A line of the overrides' file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OverrideLine {
    Made(Override),
    Revoked { number: u64, at: Timestamp, by: String },
}

/// The directory.
#[derive(Clone, Debug)]
pub struct Directory {
    archive: Archive<Snapshot>,
}

impl Directory {
    /// A directory that need not be there yet.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { archive: Archive::new(directory) }
    }

    /// The snapshots.
    #[must_use]
    pub fn archive(&self) -> &Archive<Snapshot> {
        &self.archive
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.archive.directory()
    }

    /// What changes when another snapshot or decision comes into force.
    #[must_use]
    pub fn stamp(&self) -> (Stamp, Option<u64>) {
        let overrides = fs::metadata(self.path().join(OVERRIDES)).ok();
        (self.archive.stamp(), overrides.map(|metadata| metadata.len()))
    }

    /// Puts a snapshot that is there in force, and writes down who did.
    ///
    /// # Errors
    /// It is not there, was changed, or the file system's.
    pub fn take(&self, name: &str, by: &str, at: Timestamp) -> Result<Taken, DirectoryError> {
        let snapshot = self.archive.make_current(name)?;
        let taken = Taken { at, snapshot, by: by.to_owned() };
        self.append(HISTORY, &taken)?;
        if self.held()?.is_some_and(|held| held.snapshot == taken.snapshot) {
            self.release()?;
        }
        Ok(taken)
    }

    /// Keeps what the gate holds.
    ///
    /// # Errors
    /// The file system's.
    pub fn hold(&self, held: &Held) -> Result<(), DirectoryError> {
        // What was held before and never in force is of no use to anybody.
        if let Some(before) = self.held()?
            && before.snapshot != held.snapshot
            && !self.history()?.iter().any(|taken| taken.snapshot == before.snapshot)
        {
            let _ = self.archive.remove(&before.snapshot);
        }
        let bytes = serde_json::to_vec_pretty(held)
            .map_err(|error| self.failed(HELD, io::Error::other(error)))?;
        Ok(self.archive.write(HELD, &bytes)?)
    }

    /// What the gate holds.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn held(&self) -> Result<Option<Held>, DirectoryError> {
        let Some(text) = self.text(HELD)? else { return Ok(None) };
        let held = serde_json::from_str(&text);
        held.map(Some).map_err(|error| self.failed(HELD, io::Error::other(error)))
    }

    /// Nothing is held any more.
    ///
    /// # Errors
    /// The file system's.
    pub fn release(&self) -> Result<(), DirectoryError> {
        match fs::remove_file(self.path().join(HELD)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.failed(HELD, error)),
            _ => Ok(()),
        }
    }

    /// Every change of the snapshot in force, in order.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn history(&self) -> Result<Vec<Taken>, DirectoryError> {
        self.lines(HISTORY)
    }

    /// The snapshot that was in force at `at`; where nothing is known about then, the newest one that
    /// had been published.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn at(&self, at: Timestamp) -> Result<(String, Snapshot), DirectoryError> {
        let history = self.history()?;
        let in_force = history.iter().rev().find(|taken| taken.at <= at);
        if let Some(taken) = in_force {
            let snapshot = self.archive.read(&taken.snapshot)?;
            return Ok((taken.snapshot.clone(), snapshot));
        }
        let all = self.archive.all()?;
        let published = all.into_iter().find(|(_, snapshot)| snapshot.dated() <= at);
        published.ok_or(DirectoryError::NothingThen(at))
    }

    /// Every decision, in the order in which they were made.
    ///
    /// # Errors
    /// The file cannot be read, or somebody wrote into it.
    pub fn overrides(&self) -> Result<Vec<Override>, DirectoryError> {
        Ok(self.first_overrides(usize::MAX)?.0)
    }

    /// What the first `lines` lines of the decisions come to, and how many lines there were of these.
    ///
    /// # Errors
    /// As [`Directory::overrides`].
    pub fn first_overrides(&self, lines: usize) -> Result<(Vec<Override>, usize), DirectoryError> {
        let mut made: Vec<Override> = Vec::new();
        let all = self.lines(OVERRIDES)?;
        let count = all.len().min(lines);
        for (place, line) in all.into_iter().take(lines).enumerate() {
            match line {
                OverrideLine::Made(one) => {
                    // Whoever writes here by hand is held to the same rules.
                    one.check().map_err(|error| DirectoryError::Line {
                        file: self.path().join(OVERRIDES),
                        line: place + 1,
                        why: error.to_string(),
                    })?;
                    made.push(one);
                }
                OverrideLine::Revoked { number, at, .. } => {
                    let known = made.iter_mut().find(|one| one.number == number);
                    if let Some(one) = known {
                        one.revoked_at = Some(one.revoked_at.map_or(at, |before| before.min(at)));
                    }
                }
            }
        }
        Ok((made, count))
    }

    /// The register that snapshot `name` makes with the first `lines` lines of the decisions.
    ///
    /// # Errors
    /// The decisions cannot be read, or the snapshot holds no register.
    pub fn register(
        &self,
        (name, snapshot): (String, &Snapshot),
        lines: usize,
        policy: RegisterPolicy,
    ) -> Result<Register, DirectoryError> {
        let (overrides, override_lines) = self.first_overrides(lines)?;
        let register = Register::of(snapshot, overrides.into_iter().collect(), policy);
        Ok(register?.kept_as(KeptAs { snapshot: name, override_lines }))
    }

    /// Writes a decision down.
    ///
    /// # Errors
    /// The file system's.
    pub fn decide(&self, made: &Override) -> Result<(), DirectoryError> {
        self.append(OVERRIDES, &OverrideLine::Made(made.clone()))
    }

    /// Takes a decision back; false where there is none of that number.
    ///
    /// # Errors
    /// The file system's.
    pub fn revoke(&self, number: u64, by: &str, at: Timestamp) -> Result<bool, DirectoryError> {
        if !self.overrides()?.iter().any(|one| one.number == number) {
            return Ok(false);
        }
        self.append(OVERRIDES, &OverrideLine::Revoked { number, at, by: by.to_owned() })?;
        Ok(true)
    }

    /// Forgets snapshots that were replaced longer than `kept_for` ago. Tells how many.
    ///
    /// # Errors
    /// The file system's.
    pub fn prune(&self, kept_for: Duration, now: Timestamp) -> Result<usize, DirectoryError> {
        let history = self.history()?;
        let current = self.archive.current_name()?;
        let held = self.held()?.map(|held| held.snapshot);
        let kept_for = SignedDuration::try_from(kept_for).unwrap_or(SignedDuration::MAX);
        let mut pruned = 0;
        for (place, taken) in history.iter().enumerate() {
            let name = &taken.snapshot;
            let again = history.iter().skip(place + 1).any(|later| later.snapshot == *name);
            let Some(replaced) = history.get(place + 1) else { continue };
            let old = now.duration_since(replaced.at) > kept_for;
            let needed = current.as_ref() == Some(name) || held.as_ref() == Some(name) || again;
            if old && !needed && self.archive.remove(name).is_ok() {
                pruned += 1;
            }
        }
        Ok(pruned)
    }

    /// Whoever holds it is the only one of several gateways that fetches and judges.
    ///
    /// # Errors
    /// The file system's.
    pub fn lock(&self) -> Result<Option<File>, DirectoryError> {
        let name = "lock";
        fs::create_dir_all(self.path()).map_err(|error| self.failed(name, error))?;
        let mut options = OpenOptions::new();
        let file = options.create(true).append(true).open(self.path().join(name));
        let file = file.map_err(|error| self.failed(name, error))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(self.failed(name, error)),
        }
    }

    fn append(&self, name: &str, line: &impl Serialize) -> Result<(), DirectoryError> {
        let mut text = serde_json::to_string(line)
            .map_err(|error| self.failed(name, io::Error::other(error)))?;
        text.push('\n');
        let written = || {
            fs::create_dir_all(self.path())?;
            let mut options = OpenOptions::new();
            let mut file = options.create(true).append(true).open(self.path().join(name))?;
            file.write_all(text.as_bytes())?;
            file.sync_data()
        };
        written().map_err(|error| self.failed(name, error))
    }

    fn lines<T: DeserializeOwned>(&self, name: &str) -> Result<Vec<T>, DirectoryError> {
        let Some(text) = self.text(name)? else { return Ok(Vec::new()) };
        let read = |(place, line): (usize, &str)| {
            serde_json::from_str(line).map_err(|error| DirectoryError::Line {
                file: self.path().join(name),
                line: place + 1,
                why: error.to_string(),
            })
        };
        text.lines().enumerate().map(read).collect()
    }

    fn text(&self, name: &str) -> Result<Option<String>, DirectoryError> {
        let file = self.path().join(name);
        match fs::metadata(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Ok(metadata) if metadata.len() > FILE_BYTES_MAX => {
                return Err(self.failed(name, io::ErrorKind::FileTooLarge.into()));
            }
            _ => {}
        }
        fs::read_to_string(&file).map(Some).map_err(|error| self.failed(name, error))
    }

    fn failed(&self, name: &str, error: io::Error) -> DirectoryError {
        DirectoryError::File { file: self.path().join(name), error }
    }
}
