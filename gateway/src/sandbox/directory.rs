//! The directory of a sandbox: known by its marker, held by one process at a time, and emptied only
//! of what the sandbox itself put there.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::SandboxError;
use super::files;

/// The file that says "this directory is a sandbox". The process that runs the sandbox holds a lock
/// on it.
const MARKER: &str = ".octroi-sandbox";
const MARKER_TEXT: &str = "This directory belongs to `octroi sandbox`. \
    `octroi sandbox --reset` removes what the sandbox wrote here.\n";

/// Everything that a sandbox writes at the top of its directory: what `--reset` removes.
const CONTENTS: [&str; 11] = [
    "admin.key",
    "audit",
    "audit.key",
    "octroi.toml",
    "qtsp",
    "ready.json",
    "register",
    "server",
    "server-ca.pem",
    "store.redb",
    "tpp",
];

/// A sandbox directory that this process holds until the value is dropped.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    _lock: File,
}

impl Directory {
    /// Takes the directory, making it where there is none; `reset` empties it first.
    ///
    /// A directory that has files of these names without the marker is somebody else's, and stays
    /// as it is.
    pub(super) fn take(path: &Path, reset: bool) -> Result<Self, SandboxError> {
        let marker = path.join(MARKER);
        if !marker.exists() {
            let foreign = CONTENTS.iter().map(|name| path.join(name)).find(|file| file.exists());
            if let Some(file) = foreign {
                return Err(SandboxError::Foreign { dir: path.to_owned(), file });
            }
            files::directory(path)?;
        }
        let fault = |source| SandboxError::File { doing: "opened", file: marker.clone(), source };
        let mut options = OpenOptions::new();
        let mut lock = options.read(true).append(true).create(true).open(&marker).map_err(fault)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(SandboxError::InUse { dir: path.to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(fault(source)),
        }
        if lock.metadata().map_err(fault)?.len() == 0 {
            lock.write_all(MARKER_TEXT.as_bytes()).map_err(fault)?;
        }
        // Keys and certificates of a sandbox are made, never committed.
        let ignore = path.join(".gitignore");
        if !ignore.exists() {
            files::write(&ignore, b"*\n", files::Access::Public)?;
        }
        let path = path.canonicalize().map_err(fault)?;
        if reset {
            CONTENTS.iter().try_for_each(|name| files::remove(&path.join(name)))?;
        }
        Ok(Self { path, _lock: lock })
    }

    /// Absolute, without links.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_directory_with_somebody_elses_files_is_refused_and_left_alone() {
        for reset in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join("octroi.toml"), "production").unwrap();
            let refused = Directory::take(dir.path(), reset);
            assert!(matches!(refused, Err(SandboxError::Foreign { .. })), "{refused:?}");
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn a_reset_removes_what_the_sandbox_wrote_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        drop(Directory::take(dir.path(), false).unwrap());
        for name in ["tpp", "notes"] {
            fs::create_dir(dir.path().join(name)).unwrap();
            fs::write(dir.path().join(name).join("file"), "text").unwrap();
        }
        drop(Directory::take(dir.path(), true).unwrap());
        assert!(!dir.path().join("tpp").exists());
        assert!(dir.path().join("notes/file").exists());
    }

    #[test]
    fn two_sandboxes_do_not_share_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        let first = Directory::take(dir.path(), false).unwrap();
        let second = Directory::take(dir.path(), true);
        assert!(matches!(second, Err(SandboxError::InUse { .. })), "{second:?}");
        drop(first);
        Directory::take(dir.path(), false).unwrap();
    }

    #[test]
    fn a_directory_that_is_not_there_yet_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let taken = Directory::take(&dir.path().join("a/b"), true).unwrap();
        assert!(taken.path().is_absolute() && taken.path().is_dir());
    }
}
