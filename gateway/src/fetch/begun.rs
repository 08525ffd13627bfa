//! Downloads that broke, and are gone on with.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use reqwest::header::HeaderValue;

use super::FetchFault;

/// What an attempt that broke left behind.
pub(super) struct Begun {
    pub(super) octets: u64,
    pub(super) tag: String,
}

impl Begun {
    pub(super) fn tag_file(part: &Path) -> PathBuf {
        part.with_extension("part-tag")
    }

    /// Only a strong entity tag says that octets are the same (RFC 9110 §13.1.5).
    pub(super) fn of(part: &Path) -> Option<Self> {
        let octets = std::fs::metadata(part).ok()?.len();
        let tag = std::fs::read_to_string(Self::tag_file(part)).ok()?;
        (octets > 0 && tag.starts_with('"')).then_some(Self { octets, tag })
    }

    /// The file, with what is kept of it, and the tag of what it will be.
    pub(super) fn open(
        part: &Path,
        octets: u64,
        tag: Option<&HeaderValue>,
    ) -> Result<File, FetchFault> {
        let open = || -> io::Result<File> {
            let mut file =
                OpenOptions::new().create(true).write(true).truncate(false).open(part)?;
            file.set_len(octets)?;
            file.seek(SeekFrom::Start(octets))?;
            match tag.and_then(|tag| tag.to_str().ok()) {
                Some(tag) => std::fs::write(Self::tag_file(part), tag)?,
                None => {
                    let _ = std::fs::remove_file(Self::tag_file(part));
                }
            }
            Ok(file)
        };
        open().map_err(FetchFault::File)
    }
}
