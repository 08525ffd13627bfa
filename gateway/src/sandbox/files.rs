//! Files that are there whole or not at all: written beside their place, then renamed into it.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::SandboxError;

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Everybody on the machine.
    Public,
    /// The owner alone: it holds a key.
    Owner,
}

impl Access {
    fn mode(self) -> u32 {
        match self {
            Self::Public => 0o644,
            Self::Owner => 0o600,
        }
    }
}

/// Puts `bytes` at `path`. Whoever reads it meanwhile sees the old file or the new one. The caller
/// holds the sandbox directory, so nobody else writes there.
pub(super) fn write(path: &Path, bytes: &[u8], access: Access) -> Result<(), SandboxError> {
    let place = |source| SandboxError::File { doing: "written", file: path.to_owned(), source };
    let unfinished = unfinished(path);
    remove(&unfinished)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(access.mode());
    let mut file = options.open(&unfinished).map_err(place)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(place)?;
    fs::rename(&unfinished, path).map_err(place)
}

/// The bytes of a file; `None` when there is none.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, SandboxError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(SandboxError::File { doing: "read", file: path.to_owned(), source }),
    }
}

/// Makes a directory and those above it, where they are missing.
pub(super) fn directory(path: &Path) -> Result<(), SandboxError> {
    fs::create_dir_all(path).map_err(|source| SandboxError::File {
        doing: "made as a directory",
        file: path.to_owned(),
        source,
    })
}

/// Removes a file, or a directory with all that is in it; links are removed, not followed.
pub(super) fn remove(path: &Path) -> Result<(), SandboxError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(SandboxError::File { doing: "removed", file: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

fn unfinished(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".unfinished");
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_with_its_own_mode() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.key");
        write(&path, b"open", Access::Public).unwrap();
        write(&path, b"closed", Access::Owner).unwrap();
        assert_eq!(read(&path).unwrap().as_deref(), Some(&b"closed"[..]));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_crash_left_half_written_is_not_in_the_way() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("octroi.toml");
        fs::write(dir.path().join(".octroi.toml.unfinished"), b"[lis").unwrap();
        write(&path, b"[listen]", Access::Public).unwrap();
        assert_eq!(read(&path).unwrap().as_deref(), Some(&b"[listen]"[..]));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_is_removed_and_what_it_points_at_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (target, link) = (dir.path().join("home"), dir.path().join("tpp"));
        fs::create_dir(&target).unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        remove(&link).unwrap();
        assert!(target.is_dir() && !link.exists());
    }
}
