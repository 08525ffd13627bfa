//! The registers that have a URL: fetched whole or not at all, gone on with where a connection broke,
//! and only when they changed.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::HeaderValue;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::config::{EbaMetadata, EbaPlace, RegisterSettings};
use crate::fetch::{Downloaded, FetchBounds, FetchFault, Fetched, Fetcher};

/// Bounds of the question what is published.
const METADATA: FetchBounds = FetchBounds { time: Duration::from_secs(30), bytes_max: 64 * 1024 };
/// Bounds of a register: ten times the EBA's archive of 2026, in half an hour.
const REGISTER: FetchBounds =
    FetchBounds { time: Duration::from_secs(1800), bytes_max: 256 * 1024 * 1024 };

/// Who hears how far a download is: octets so far, and of how many.
pub type Progress<'a> = &'a (dyn Fn(u64, Option<u64>) + Send + Sync);

/// Why a register was not fetched.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DownloadError {
    /// Nobody gave it.
    #[error("{url}: {fault}")]
    Fetch {
        /// What was asked for.
        url: String,
        /// Why.
        fault: FetchFault,
    },
    /// What the EBA says about its archive cannot be understood.
    #[error(
        "{0}: not the metadata of the EBA's register: timestamp, path and SHA-256 of its archive are expected"
    )]
    Metadata(String),
    /// Other octets than were published.
    #[error("{url}: its SHA-256 is {found}, and {expected} was published")]
    Hash {
        /// What was asked for.
        url: String,
        /// What came.
        found: String,
        /// What was published.
        expected: String,
    },
    /// The file system.
    #[error("{file}: {error}", file = file.display())]
    File {
        /// Which file.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// What is known about a file that was fetched.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Known {
    url: String,
    file: String,
    as_of: Timestamp,
    /// SHA-256 as it was published, where it was.
    published: Option<String>,
    tag: Option<String>,
}

/// What was fetched, below the directory of the registers.
#[derive(Clone, Debug)]
pub struct Downloads {
    directory: PathBuf,
}

impl Downloads {
    /// Below the directory of the registers.
    #[must_use]
    pub fn below(directory: &Path) -> Self {
        Self { directory: directory.join("downloads") }
    }

    /// The file that was fetched from `url`, and when it was published.
    #[must_use]
    pub fn find(&self, url: &str) -> Option<(PathBuf, Timestamp)> {
        let known = self.known(url)?;
        let file = self.directory.join(&known.file);
        file.exists().then_some((file, known.as_of))
    }

    /// Fetches everything that has a URL. Tells whether anything is new.
    ///
    /// # Errors
    /// The first that could not be had; what was fetched before stays.
    pub async fn fetch(
        &self,
        settings: &RegisterSettings,
        fetcher: &Fetcher,
        now: Timestamp,
        progress: Progress<'_>,
    ) -> Result<bool, DownloadError> {
        fs::create_dir_all(&self.directory)
            .map_err(|error| DownloadError::File { file: self.directory.clone(), error })?;
        let mut new = false;
        for url in settings.urls() {
            let is_eba = matches!(&settings.eba, Some(EbaPlace::Url(eba)) if eba == url);
            new |= if is_eba {
                self.eba(url, fetcher, progress).await?
            } else {
                self.export(url, fetcher, now, progress).await?
            };
        }
        Ok(new)
    }

    /// The metadata say which archive is the newest.
    async fn eba(
        &self,
        url: &str,
        fetcher: &Fetcher,
        progress: Progress<'_>,
    ) -> Result<bool, DownloadError> {
        let failed = |url: &str| {
            let url = url.to_owned();
            move |fault| DownloadError::Fetch { url, fault }
        };
        let unclear = || DownloadError::Metadata(url.to_owned());
        let bytes = match fetcher.get(url, None, METADATA).await.map_err(failed(url))? {
            Fetched::Body(bytes, _) => bytes,
            Fetched::Unchanged => return Ok(false),
        };
        let metadata = EbaMetadata::read(&bytes).ok_or_else(unclear)?;
        let as_of = metadata.as_of().ok_or_else(unclear)?;
        let expected = metadata.sha256_hash.to_ascii_lowercase();
        let is_hash = expected.len() == 64 && expected.bytes().all(|b| b.is_ascii_hexdigit());
        if !is_hash || metadata.latest_version_relative_zip_path.is_empty() {
            return Err(unclear());
        }
        let before = self.known(url);
        let same = |known: &Known| {
            known.published.as_deref() == Some(expected.as_str())
                && known.as_of == as_of
                && self.directory.join(&known.file).exists()
        };
        if before.as_ref().is_some_and(same) {
            return Ok(false);
        }
        let (context, path) =
            (&metadata.golden_copy_path_context, &metadata.latest_version_relative_zip_path);
        let archive = format!("{}/{}", context.trim_end_matches('/'), path.trim_start_matches('/'));
        let part = self.part(url);
        let got = fetcher.download(&archive, None, &part, REGISTER, progress).await;
        got.map_err(failed(&archive))?;
        let found = self.sha256(&part)?;
        if found != expected {
            let _ = fs::remove_file(&part);
            return Err(DownloadError::Hash { url: archive, found, expected });
        }
        let file = format!("{}.zip", name(url));
        let known =
            Known { url: url.to_owned(), file, as_of, published: Some(expected), tag: None };
        self.settle(&part, &known)?;
        Ok(true)
    }

    /// A table is exported anew at each question; it is as old as the answer.
    async fn export(
        &self,
        url: &str,
        fetcher: &Fetcher,
        now: Timestamp,
        progress: Progress<'_>,
    ) -> Result<bool, DownloadError> {
        let before = self.known(url).filter(|known| self.directory.join(&known.file).exists());
        let tag = before.as_ref().and_then(|known| known.tag.as_deref());
        let tag = tag.and_then(|tag| HeaderValue::from_str(tag).ok());
        let part = self.part(url);
        let got = fetcher.download(url, tag.as_ref(), &part, REGISTER, progress).await;
        let got = got.map_err(|fault| DownloadError::Fetch { url: url.to_owned(), fault })?;
        let known = match (got, before) {
            (Downloaded::Unchanged, Some(before)) => {
                let known = Known { as_of: now, ..before };
                self.remember(&known)?;
                return Ok(true);
            }
            (Downloaded::File(tag), _) => Known {
                url: url.to_owned(),
                file: format!("{}.csv", name(url)),
                as_of: now,
                published: None,
                tag: tag.and_then(|tag| tag.to_str().ok().map(str::to_owned)),
            },
            (Downloaded::Unchanged, None) => return Ok(false),
        };
        self.settle(&part, &known)?;
        Ok(true)
    }

    /// The new file takes the place of the old one; then it is known by its new date.
    fn settle(&self, part: &Path, known: &Known) -> Result<(), DownloadError> {
        let file = self.directory.join(&known.file);
        fs::rename(part, &file).map_err(|error| DownloadError::File { file, error })?;
        self.remember(known)
    }

    fn remember(&self, known: &Known) -> Result<(), DownloadError> {
        let file = self.directory.join(format!("{}.json", name(&known.url)));
        let new = file.with_extension("new");
        let bytes = serde_json::to_vec(known).unwrap_or_default();
        let written = fs::write(&new, bytes).and_then(|()| fs::rename(&new, &file));
        written.map_err(|error| DownloadError::File { file, error })
    }

    fn known(&self, url: &str) -> Option<Known> {
        let file = self.directory.join(format!("{}.json", name(url)));
        let known: Known = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
        (known.url == url).then_some(known)
    }

    fn part(&self, url: &str) -> PathBuf {
        self.directory.join(format!("{}.part", name(url)))
    }

    fn sha256(&self, file: &Path) -> Result<String, DownloadError> {
        let hashed = || -> io::Result<String> {
            let mut reader = BufReader::new(File::open(file)?);
            let (mut hash, mut chunk) = (certs::Sha256::default(), vec![0; 64 * 1024]);
            loop {
                match reader.read(&mut chunk)? {
                    0 => return Ok(hex::encode(hash.finish())),
                    read => hash.update(chunk.get(..read).unwrap_or_default()),
                }
            }
        };
        hashed().map_err(|error| DownloadError::File { file: file.to_owned(), error })
    }
}

/// A file name for a URL.
fn name(url: &str) -> String {
    hex::encode(certs::sha256(url.as_bytes())).chars().take(16).collect()
}
