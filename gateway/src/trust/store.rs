//! Snapshots on disk, each in one file named by the hash of its content.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::snapshot::{FORMAT, Snapshot, SnapshotError};

/// Octets of a snapshot, at most.
const SNAPSHOT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The current snapshot's name, and its file's length and time.
pub(super) type Stamp = (Option<String>, Option<(u64, Option<std::time::SystemTime>)>);

/// A directory of snapshots, of which one is current.
#[derive(Clone, Debug)]
pub struct Store {
    directory: PathBuf,
}

impl Store {
    /// A directory that need not be there yet.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
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
    pub fn current_name(&self) -> Result<Option<String>, SnapshotError> {
        let file = self.directory.join("current");
        match fs::read_to_string(&file) {
            Ok(name) => Ok(Some(name.trim().to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(SnapshotError::File { file, error }),
        }
    }

    /// What changes when another snapshot becomes current, or somebody touches its file.
    pub(super) fn stamp(&self) -> Stamp {
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
    pub fn current(&self) -> Result<(String, Snapshot), SnapshotError> {
        let none = || SnapshotError::Nothing(self.directory.display().to_string());
        let name = self.current_name()?.ok_or_else(none)?;
        let snapshot = self.read(&name)?;
        Ok((name, snapshot))
    }

    /// The snapshot `name`, or the only one whose name begins so.
    ///
    /// # Errors
    /// There is none, or it was changed.
    pub fn read(&self, name: &str) -> Result<Snapshot, SnapshotError> {
        let full = self.full_name(name)?;
        let file = self.directory.join(format!("{full}.json"));
        let failed = |error| SnapshotError::File { file: file.clone(), error };
        let size = fs::metadata(&file).map_err(failed)?.len();
        if size > SNAPSHOT_BYTES_MAX {
            let why = format!("it has {size} octets");
            return Err(SnapshotError::Malformed(full, why));
        }
        let bytes = fs::read(&file).map_err(failed)?;
        if hex::encode(certs::sha256(&bytes)) != full {
            return Err(SnapshotError::Changed(file.display().to_string()));
        }
        let snapshot: Snapshot = serde_json::from_slice(&bytes)
            .map_err(|error| SnapshotError::Malformed(full.clone(), error.to_string()))?;
        if snapshot.format == FORMAT {
            Ok(snapshot)
        } else {
            Err(SnapshotError::Malformed(full, format!("its format is {}", snapshot.format)))
        }
    }

    /// Keeps `snapshot` and makes it current; gives its name.
    ///
    /// # Errors
    /// The file system's; then the old one stays current.
    pub fn put(&self, snapshot: &Snapshot) -> Result<String, SnapshotError> {
        let bytes = serde_json::to_vec(snapshot)
            .map_err(|error| SnapshotError::Malformed("new".to_owned(), error.to_string()))?;
        let name = hex::encode(certs::sha256(&bytes));
        self.write(&format!("{name}.json"), &bytes)?;
        self.make_current(&name)?;
        Ok(name)
    }

    /// Makes a snapshot that is there current.
    ///
    /// # Errors
    /// It is not there, or was changed.
    pub fn make_current(&self, name: &str) -> Result<String, SnapshotError> {
        let full = self.full_name(name)?;
        self.read(&full)?;
        self.write("current", full.as_bytes())?;
        Ok(full)
    }

    /// Every snapshot, the newest first.
    ///
    /// # Errors
    /// The file system's.
    pub fn all(&self) -> Result<Vec<(String, Snapshot)>, SnapshotError> {
        let mut all = Vec::new();
        for name in self.names()? {
            if let Ok(snapshot) = self.read(&name) {
                all.push((name, snapshot));
            }
        }
        all.sort_by_key(|(_, snapshot)| std::cmp::Reverse(snapshot.made_at));
        Ok(all)
    }

    fn names(&self) -> Result<Vec<String>, SnapshotError> {
        let failed = |error| SnapshotError::File { file: self.directory.clone(), error };
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

    fn full_name(&self, name: &str) -> Result<String, SnapshotError> {
        let unknown = || SnapshotError::Unknown(name.to_owned());
        if name.is_empty() || !name.bytes().all(|octet| octet.is_ascii_hexdigit()) {
            return Err(unknown());
        }
        let mut found = self.names()?.into_iter().filter(|full| full.starts_with(name));
        let first = found.next().ok_or_else(unknown)?;
        if found.next().is_none() { Ok(first) } else { Err(unknown()) }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), SnapshotError> {
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
        written().map_err(|error| SnapshotError::File { file: file.clone(), error })
    }
}
