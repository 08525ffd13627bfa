//! Snapshots on disk, each in one file named by the hash of its content; one of them is current.

use std::fs;
use std::io::{self, Write};
use std::marker::PhantomData;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// Octets of a snapshot, at most.
const SNAPSHOT_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// What can be kept so.
pub trait Archived: Serialize + DeserializeOwned {
    /// The verb that deals with it, as errors name it: `octroi trust`.
    const VERB: &'static str;
    /// How the first of them comes about.
    const FIRST: &'static str;

    /// Why it is not of the format that is read here.
    fn foreign(&self) -> Option<String>;

    /// By which they are ordered.
    fn dated(&self) -> Timestamp;
}

/// Why a snapshot cannot be had.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The file system.
    #[error("{file}: {error}", file = file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Its octets are not those that it is named by.
    #[error("{0}: its content is not what it is named by: it was changed")]
    Changed(String),
    /// Not a snapshot of this format.
    #[error("{0}: it is no snapshot: {1}")]
    Malformed(String, String),
    /// There is none yet.
    #[error("{0}: nothing was imported yet. To mend: run `{1}`")]
    Nothing(String, &'static str),
    /// No snapshot of this name, or several.
    #[error("there is no snapshot {0}, or several begin so; `{1} list --all` names them")]
    Unknown(String, &'static str),
}

/// The current snapshot's name, and its file's length and time.
pub type Stamp = (Option<String>, Option<(u64, Option<std::time::SystemTime>)>);

/// A directory of snapshots, of which one is current.
#[derive(Debug)]
pub struct Archive<T> {
    directory: PathBuf,
    holds: PhantomData<fn() -> T>,
}

impl<T> Clone for Archive<T> {
    fn clone(&self) -> Self {
        Self { directory: self.directory.clone(), holds: PhantomData }
    }
}

impl<T: Archived> Archive<T> {
    /// A directory that need not be there yet.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), holds: PhantomData }
    }

    /// Where it is.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The name of the current snapshot, if anything was imported.
    ///
    /// # Errors
    /// The file system's.
    pub fn current_name(&self) -> Result<Option<String>, ArchiveError> {
        let file = self.directory.join("current");
        match fs::read_to_string(&file) {
            Ok(name) => Ok(Some(name.trim().to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ArchiveError::File { file, error }),
        }
    }

    /// What changes when another snapshot becomes current, or somebody touches its file.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        let name = self.current_name().ok().flatten();
        let file = name.as_ref().map(|name| self.directory.join(format!("{name}.json")));
        let meta = file.and_then(|file| fs::metadata(file).ok());
        let touched = meta.map(|meta| (meta.len(), meta.modified().ok()));
        (name, touched)
    }

    /// The current snapshot with its name.
    ///
    /// # Errors
    /// There is none, or it was changed.
    pub fn current(&self) -> Result<(String, T), ArchiveError> {
        let none = || ArchiveError::Nothing(self.directory.display().to_string(), T::FIRST);
        let name = self.current_name()?.ok_or_else(none)?;
        let snapshot = self.read(&name)?;
        Ok((name, snapshot))
    }

    /// The snapshot `name`, or the only one whose name begins so.
    ///
    /// # Errors
    /// There is none, or it was changed.
    pub fn read(&self, name: &str) -> Result<T, ArchiveError> {
        let full = self.full_name(name)?;
        let file = self.directory.join(format!("{full}.json"));
        let failed = |error| ArchiveError::File { file: file.clone(), error };
        let size = fs::metadata(&file).map_err(failed)?.len();
        if size > SNAPSHOT_BYTES_MAX {
            let why = format!("it has {size} octets");
            return Err(ArchiveError::Malformed(full, why));
        }
        let bytes = fs::read(&file).map_err(failed)?;
        if hex::encode(certs::sha256(&bytes)) != full {
            return Err(ArchiveError::Changed(file.display().to_string()));
        }
        let snapshot: T = serde_json::from_slice(&bytes)
            .map_err(|error| ArchiveError::Malformed(full.clone(), error.to_string()))?;
        match snapshot.foreign() {
            None => Ok(snapshot),
            Some(why) => Err(ArchiveError::Malformed(full, why)),
        }
    }

    /// Keeps `snapshot` and makes it current; gives its name.
    ///
    /// # Errors
    /// The file system's; then the old one stays current.
    pub fn put(&self, snapshot: &T) -> Result<String, ArchiveError> {
        let name = self.keep(snapshot)?;
        self.make_current(&name)?;
        Ok(name)
    }

    /// Keeps `snapshot`; gives its name.
    ///
    /// # Errors
    /// The file system's.
    pub fn keep(&self, snapshot: &T) -> Result<String, ArchiveError> {
        let bytes = octets(snapshot)?;
        let name = hex::encode(certs::sha256(&bytes));
        let file = format!("{name}.json");
        self.write(&file, &bytes)?;
        Ok(name)
    }

    /// How it would call `snapshot`.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn name_of(snapshot: &T) -> Result<String, ArchiveError> {
        Ok(hex::encode(certs::sha256(&octets(snapshot)?)))
    }

    /// Forgets a snapshot that is not current.
    ///
    /// # Errors
    /// It is current, or not there.
    pub fn remove(&self, name: &str) -> Result<(), ArchiveError> {
        let full = self.full_name(name)?;
        if self.current_name()?.as_deref() == Some(full.as_str()) {
            return Err(ArchiveError::Malformed(full, "it is current".to_owned()));
        }
        let file = self.directory.join(format!("{full}.json"));
        fs::remove_file(&file).map_err(|error| ArchiveError::File { file, error })
    }

    /// Makes a snapshot that is there current.
    ///
    /// # Errors
    /// It is not there, or was changed.
    pub fn make_current(&self, name: &str) -> Result<String, ArchiveError> {
        let full = self.full_name(name)?;
        self.read(&full)?;
        self.write("current", full.as_bytes())?;
        Ok(full)
    }

    /// Every snapshot, the newest first.
    ///
    /// # Errors
    /// The file system's.
    pub fn all(&self) -> Result<Vec<(String, T)>, ArchiveError> {
        let mut all = Vec::new();
        for name in self.names()? {
            if let Ok(snapshot) = self.read(&name) {
                all.push((name, snapshot));
            }
        }
        all.sort_by_key(|(_, snapshot)| std::cmp::Reverse(snapshot.dated()));
        Ok(all)
    }

    fn names(&self) -> Result<Vec<String>, ArchiveError> {
        let failed = |error| ArchiveError::File { file: self.directory.clone(), error };
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let names = entries.flatten().filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            name.strip_suffix(".json").filter(|name| name.len() == 64).map(str::to_owned)
        });
        Ok(names.collect())
    }

    /// The whole name of the only snapshot whose name begins so.
    ///
    /// # Errors
    /// There is none, or there are several.
    pub fn full_name(&self, name: &str) -> Result<String, ArchiveError> {
        let unknown = || ArchiveError::Unknown(name.to_owned(), T::VERB);
        if name.is_empty() || !name.bytes().all(|octet| octet.is_ascii_hexdigit()) {
            return Err(unknown());
        }
        let mut found = self.names()?.into_iter().filter(|full| full.starts_with(name));
        let first = found.next().ok_or_else(unknown)?;
        if found.next().is_none() { Ok(first) } else { Err(unknown()) }
    }

    /// Writes a file of the directory, whole or not at all.
    ///
    /// # Errors
    /// The file system's.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), ArchiveError> {
        let file = self.directory.join(name);
        let written = || -> io::Result<()> {
            fs::create_dir_all(&self.directory)?;
            let new = self.directory.join(format!("{name}.new"));
            let mut options = fs::OpenOptions::new();
            let mut open =
                options.write(true).create(true).truncate(true).mode(0o644).open(&new)?;
            open.write_all(bytes)?;
            open.sync_all()?;
            fs::rename(&new, &file)
        };
        written().map_err(|error| ArchiveError::File { file: file.clone(), error })
    }
}

fn octets(snapshot: &impl Serialize) -> Result<Vec<u8>, ArchiveError> {
    serde_json::to_vec(snapshot)
        .map_err(|error| ArchiveError::Malformed("new".to_owned(), error.to_string()))
}
