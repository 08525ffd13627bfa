//! Indexes that were made are kept for the next search, in a directory of whoever searches: not beside
//! the log, where whoever can write the log could hide lines from a search by a false index.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::shelf::LogFile;
use super::index::Index;

/// Changes with everything that an index means.
const FORMAT: u32 = 2;
/// Octets at the end of a file that its stamp looks at.
const TAIL_BYTES: u64 = 4096;
/// Octets of an index, unpacked: one of a file of 100 M lines has fewer.
const INDEX_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Anybody but the owner may write.
const OTHERS_WRITE: u32 = 0o022;

/// A directory of indexes.
#[derive(Clone, Debug)]
pub struct Kept {
    directory: PathBuf,
}

/// What a file was when its index was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    format: u32,
    path: PathBuf,
    bytes: u64,
    /// Nanoseconds since 1970, of its last change.
    changed: i64,
    /// SHA-256 of its last octets, where the last hash of its chain stands.
    tail: String,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    stamp: Stamp,
    index: Index,
}

impl Kept {
    /// In `directory`, which is made if it is not there; nothing where that cannot be, or where others may
    /// write into it.
    #[must_use]
    pub fn open(directory: &Path) -> Option<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).ok()?;
        let mode = directory.metadata().ok()?.mode();
        (mode & OTHERS_WRITE == 0).then(|| Self { directory: directory.to_owned() })
    }

    fn path(&self, file: &LogFile) -> Option<PathBuf> {
        use std::os::unix::ffi::OsStrExt;
        let path = fs::canonicalize(&file.path).ok()?;
        let name = hex::encode(openssl::sha::sha256(path.as_os_str().as_bytes()));
        Some(self.directory.join(format!("{}.idx", name.get(..32)?)))
    }

    /// The index of `file`, if there is one that fits it.
    pub(super) fn read(&self, file: &LogFile) -> Option<Index> {
        let stored = File::open(self.path(file)?).ok()?;
        let stored = unpack(stored)?;
        (Stamp::of(file).ok()? == stored.stamp).then_some(stored.index)
    }

    /// Keeps it, if that can be done: a search works without.
    pub(super) fn write(&self, file: &LogFile, stamp: &Stamp, index: &Index) {
        // Whoever wrote meanwhile made another file of it.
        if Stamp::of(file).is_ok_and(|now| now == *stamp)
            && let Some(path) = self.path(file)
        {
            let _ = self.store(&path, stamp, index);
        }
    }

    fn store(&self, path: &Path, stamp: &Stamp, index: &Index) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.directory)?;
        let mut packed = zstd::Encoder::new(Vec::new(), 1)?;
        serde_json::to_writer(&mut packed, &Stored { stamp: stamp.clone(), index: index.clone() })?;
        let packed = packed.finish()?;
        file.write_all(&openssl::sha::sha256(&packed))?;
        file.write_all(&packed)?;
        file.persist(path)?;
        Ok(())
    }
}

impl Stamp {
    pub(super) fn of(file: &LogFile) -> io::Result<Self> {
        let path = fs::canonicalize(&file.path)?;
        let mut open = File::open(&path)?;
        let metadata = open.metadata()?;
        let bytes = metadata.len();
        open.seek(SeekFrom::Start(bytes.saturating_sub(TAIL_BYTES)))?;
        let mut tail = Vec::new();
        open.take(TAIL_BYTES).read_to_end(&mut tail)?;
        Ok(Self {
            format: FORMAT,
            path,
            bytes,
            changed: metadata
                .mtime()
                .saturating_mul(1_000_000_000)
                .saturating_add(metadata.mtime_nsec()),
            tail: hex::encode(openssl::sha::sha256(&tail)),
        })
    }
}

/// Reads what [`Kept::store`] wrote; nothing where it is something else.
fn unpack(mut stored: impl Read) -> Option<Stored> {
    let mut packed = Vec::new();
    stored.by_ref().take(INDEX_BYTES_MAX).read_to_end(&mut packed).ok()?;
    let (sum, packed) = packed.split_at_checked(32)?;
    if openssl::sha::sha256(packed) != *sum {
        return None;
    }
    let unpacked = zstd::Decoder::new(packed).ok()?.take(INDEX_BYTES_MAX);
    serde_json::from_reader(io::BufReader::new(unpacked)).ok()
}

/// Reads an index that was kept, whatever stands there: for those who try to break it.
#[must_use]
pub fn is_index(stored: &[u8]) -> bool {
    unpack(stored).is_some()
}
