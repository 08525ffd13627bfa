//! Downloads that broke, and are gone on with.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use reqwest::Response;
use reqwest::header::{CONTENT_RANGE, HeaderValue};

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

    /// Whether an answer begins where this ends (RFC 9110 §14.4).
    pub(super) fn goes_on_with(&self, response: &Response) -> bool {
        let range = response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
        range.is_some_and(|range| range.starts_with(&format!("bytes {}-", self.octets)))
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
