//! The roll-ups of one directory: those that are kept, and those that are made because none is, or the log has
//! changed since.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::Date;
use policies::statistics::Day;
use tempfile::TempDir;

use super::calendar::{self, Calendar};
use super::gathering::{Gathering, GatheringError};
use super::rollup::{self, FOLDER, Rollup, RollupError};
use crate::audit::shelf;

/// Every day of a directory that there is anything about.
#[derive(Debug)]
pub struct Books {
    /// Of the log.
    pub directory: PathBuf,
    /// The roll-ups and where they are.
    pub days: BTreeMap<Date, (PathBuf, Rollup)>,
    /// The hashes of the lines that kept roll-ups end with, as the log has them now.
    pub hashes: BTreeMap<String, Option<String>>,
    /// Days that were kept by this.
    pub kept: usize,
    /// Why days could not be kept, where they could not.
    pub not_kept: Option<String>,
    /// Where the others are; they go with this.
    aside: Vec<TempDir>,
}

/// How to open the books.
#[derive(Clone, Copy, Debug)]
pub struct Opening<'a> {
    /// What is asked about.
    pub days: &'a [Day],
    /// By its name: part of what a roll-up is.
    pub time_zone: &'a str,
    /// Days are over by it.
    pub now: Timestamp,
    /// Believe no roll-up that is kept, and keep none.
    pub anew: bool,
}

/// Why there are no books.
#[derive(Debug, thiserror::Error)]
pub enum BooksError {
    /// The log.
    #[error(transparent)]
    Gathering(#[from] GatheringError),
    /// A roll-up.
    #[error(transparent)]
    Rollup(#[from] RollupError),
    /// Room for days that cannot be kept.
    #[error("no temporary directory: {0}")]
    Aside(io::Error),
}

impl Books {
    /// Opens the books of `directory`, and makes what is missing of them. `begin` is told how many bytes will be
    /// read, `progress` as they are.
    ///
    /// # Errors
    /// The log or a roll-up cannot be read.
    pub fn open(
        directory: &Path,
        opening: Opening<'_>,
        begin: &dyn Fn(u64),
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Self, BooksError> {
        let folder = directory.join(FOLDER);
        let mut books = Self {
            directory: directory.to_owned(),
            days: BTreeMap::new(),
            hashes: BTreeMap::new(),
            kept: 0,
            not_kept: None,
            aside: Vec::new(),
        };
        let aside = tempfile::tempdir().map_err(BooksError::Aside)?;
        let kept = kept(directory, opening)?;
        let mut wanted = BTreeMap::new();
        if opening.anew {
            let files = kept.values().flat_map(|(_, rollup)| &rollup.files);
            wanted.extend(files.map(|file| (file.name.clone(), file.sequence)));
        } else {
            books.days = kept;
        }
        let missing = |day: &&Day| !books.days.contains_key(&day.date);
        let missing: Vec<Day> = opening.days.iter().filter(missing).copied().collect();
        let gathering = Gathering {
            directory,
            calendar: Calendar::new(missing),
            now: opening.now,
            wanted: &wanted,
        };
        begin(gathering.files()?.1);
        gathering.run(progress, |gathered| {
            let date = gathered.day.date;
            let may_keep = !opening.anew && calendar::is_over(&gathered.day, opening.now);
            let keep = |folder: &Path| Rollup::keep(&gathered, opening.time_zone, folder);
            let path = match may_keep.then(|| keep(&folder)) {
                Some(Ok(path)) => {
                    books.kept += 1;
                    remove_others(&folder, date, &path);
                    Ok(path)
                }
                Some(Err(error)) => {
                    books.not_kept = Some(error.to_string());
                    keep(aside.path())
                }
                None => keep(aside.path()),
            };
            let path = path.map_err(|error| GatheringError::Keep(error.to_string()))?;
            let rollup =
                Rollup::read(&path).map_err(|error| GatheringError::Keep(error.to_string()))?;
            books.hashes.extend(gathered.hashes.clone());
            books.days.insert(date, (path, rollup));
            Ok(())
        })?;
        books.aside.push(aside);
        Ok(books)
    }

    /// Takes the days of other books of the same directory.
    pub fn absorb(&mut self, other: Self) {
        self.days.extend(other.days);
        self.hashes.extend(other.hashes);
        self.aside.extend(other.aside);
        self.kept += other.kept;
        self.not_kept = other.not_kept.or(self.not_kept.take());
    }

    /// The roll-ups that are kept, whether or not they are true.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn kept(directory: &Path, days: &[Day]) -> Result<Vec<(PathBuf, Rollup)>, BooksError> {
        let dates: BTreeSet<Date> = days.iter().map(|day| day.date).collect();
        let names = rollup::names(&directory.join(FOLDER))?;
        let names = names.into_iter().filter(|(date, _)| dates.contains(date));
        names.map(|(_, path)| Ok((path.clone(), Rollup::read(&path)?))).collect()
    }
}

/// Those that fit the days, the zone, and the files of the log as far as these are still there.
fn kept(
    directory: &Path,
    opening: Opening<'_>,
) -> Result<BTreeMap<Date, (PathBuf, Rollup)>, BooksError> {
    let fault = |source| GatheringError::Directory { path: directory.to_owned(), source };
    let files = shelf::files(directory).map_err(fault)?;
    let days: BTreeMap<Date, &Day> = opening.days.iter().map(|day| (day.date, day)).collect();
    let mut found = BTreeMap::new();
    let mut twice = BTreeSet::new();
    for (date, path) in rollup::names(&directory.join(FOLDER))? {
        let Some(day) = days.get(&date) else { continue };
        // One that cannot be read is as good as none.
        let Ok(rollup) = Rollup::read(&path) else { continue };
        let fits = rollup.date == date
            && rollup.time_zone == opening.time_zone
            && (rollup.begins, rollup.ends) == (day.begins, day.ends);
        let known = |name: &str| rollup.files.iter().any(|file| file.name == name);
        let complete = files
            .iter()
            .filter(|file| calendar::may_hold(file, day))
            .all(|file| known(&file.name()));
        if fits && complete && found.insert(date, (path, rollup)).is_some() {
            twice.insert(date);
        }
    }
    // The gateway has another name now; nobody can tell which is true.
    found.retain(|date, _| !twice.contains(date));
    Ok(found)
}

fn remove_others(folder: &Path, date: Date, path: &Path) {
    for (other, stale) in rollup::names(folder).unwrap_or_default() {
        if other == date && stale != path {
            let _ = std::fs::remove_file(stale.with_extension("replies"));
            let _ = std::fs::remove_file(stale);
        }
    }
}
