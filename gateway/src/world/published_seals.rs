//! QSEALCs that were fetched from where TPPs publish them, on disk. They are judged anew whenever
//! they are read; names of files are hashes of addresses.

use std::fs;
use std::io;
use std::path::PathBuf;

use certs::http_signature::Seal;

use super::kept;

/// The directory.
#[derive(Clone, Debug)]
pub struct PublishedSeals {
    directory: PathBuf,
}

impl PublishedSeals {
    /// A directory that need not be there yet.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// What was fetched from `url` last, if it can still be read.
    #[must_use]
    pub fn get(&self, url: &str) -> Option<Seal> {
        let bytes = fs::read(self.directory.join(Self::name(url))).ok()?;
        Seal::read(&bytes).ok().filter(|seal| seal.is_named_by(url))
    }

    /// Keeps what was fetched from `url`.
    ///
    /// # Errors
    /// The file system's.
    pub fn keep(&self, url: &str, bytes: &[u8]) -> io::Result<()> {
        kept::write(&self.directory, &Self::name(url), bytes)
    }

    fn name(url: &str) -> String {
        format!("seal-{}", hex::encode(certs::sha256(url.as_bytes())))
    }
}
