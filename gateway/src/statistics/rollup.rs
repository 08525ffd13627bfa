//! The roll-up of a day of a directory: what the log says about the day, a thousandth of its size.
//!
//! `statistics/<date>.<gateway>.json` holds the sums, the requests that were not replied to, and the files that it was
//! made of; `statistics/<date>.<gateway>.replies` holds what was replied to, which only a day with a downtime
//! needs: for each kind of request one zstd frame of `policies::statistics::encode`.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::Date;
use policies::statistics::{Reply, Silence, Stretch, Tally, decode, encode};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::gathering::Gathered;
use super::reading::{Kind, SeenFile};

/// The version of the format: another one is made anew.
pub(super) const FORMAT: u32 = 1;
/// Where the roll-ups of a log are, below its directory.
pub(super) const FOLDER: &str = "statistics";
const LEVEL: i32 = 3;
/// A list of replies is never larger: a day of all the world's.
const REPLIES_BYTES_MAX: u64 = 1 << 32;

/// The content of the JSON file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollup {
    /// [`FORMAT`].
    pub format: u32,
    /// The day.
    pub date: Date,
    /// Whose midnight.
    pub time_zone: String,
    /// Its first instant.
    pub begins: Timestamp,
    /// The first instant of the next day.
    pub ends: Timestamp,
    /// As the log names it.
    pub gateway: String,
    /// What it was made of.
    pub files: Vec<SeenFile>,
    /// The requests.
    pub kinds: Vec<KindOfDay>,
    /// The gateway's own probes.
    pub probes: Vec<ProbesOfDay>,
    /// Requests that went to the fallback.
    pub fallback: Vec<FallbackOfDay>,
    /// SHA-256 of the other file.
    pub replies_sha256: String,
}

/// The requests of one kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KindOfDay {
    /// Which.
    #[serde(flatten)]
    pub kind: Kind,
    /// The sums.
    #[serde(flatten)]
    pub tally: Sums,
    /// What was not replied to: milliseconds after midnight, and the request id.
    pub unanswered: Vec<(u32, Uuid)>,
    /// Where its replies are.
    pub replies: Frame,
}

/// [`Tally`] as it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    answered: u64,
    failed: u64,
    silent: u64,
    refused: u64,
    abandoned: u64,
    took_us: u64,
}

/// Bytes of the other file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    at: u64,
    bytes: u64,
}

/// The probes of one bank.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProbesOfDay {
    /// Which.
    pub codetab: String,
    /// How many.
    pub sent: u64,
    /// How many of them failed.
    pub failed: u64,
    /// Where they are.
    replies: Frame,
}

/// The fallback of one bank.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FallbackOfDay {
    /// Which.
    pub codetab: String,
    /// How many.
    pub requests: u64,
}

/// A roll-up that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RollupError {
    /// The operating system's.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is none, or another version's.
    #[error("{}: {why}; remove it, and it is made anew from the log", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

impl From<&Tally> for Sums {
    fn from(tally: &Tally) -> Self {
        let Tally { answered, failed, silent, refused, abandoned, took_us } = *tally;
        Self { answered, failed, silent, refused, abandoned, took_us }
    }
}

impl From<Sums> for Tally {
    fn from(sums: Sums) -> Self {
        let Sums { answered, failed, silent, refused, abandoned, took_us } = sums;
        Self { answered, failed, silent, refused, abandoned, took_us }
    }
}

impl KindOfDay {
    /// Without its replies.
    #[must_use]
    pub fn stretch(&self) -> Stretch {
        let silence = |(at_ms, id): &(u32, Uuid)| Silence { at_ms: *at_ms, id: id.as_u128() };
        Stretch {
            tally: self.tally.into(),
            replies: Vec::new(),
            silences: self.unanswered.iter().map(silence).collect(),
        }
    }
}

impl Rollup {
    /// Writes the roll-up of a day below `folder`, whole or not at all, and says where.
    ///
    /// # Errors
    /// The operating system's.
    pub fn keep(
        gathered: &Gathered,
        time_zone: &str,
        folder: &Path,
    ) -> Result<PathBuf, RollupError> {
        std::fs::create_dir_all(folder).map_err(|source| io_fault(folder, source))?;
        let mut replies = Vec::new();
        let mut frame = |list: &[Reply]| -> io::Result<Frame> {
            let at = replies.len() as u64;
            if !list.is_empty() {
                zstd::stream::copy_encode(encode(list).as_slice(), &mut replies, LEVEL)?;
            }
            Ok(Frame { at, bytes: replies.len() as u64 - at })
        };
        let heard = &gathered.heard;
        let (mut kinds, mut probes) = (Vec::new(), Vec::new());
        for (kind, stretch) in &heard.kinds {
            kinds.push(KindOfDay {
                kind: kind.clone(),
                tally: (&stretch.tally).into(),
                unanswered: stretch
                    .silences
                    .iter()
                    .map(|silence| (silence.at_ms, Uuid::from_u128(silence.id)))
                    .collect(),
                replies: frame(&stretch.replies).map_err(|source| io_fault(folder, source))?,
            });
        }
        for (codetab, list) in &heard.probes {
            probes.push(ProbesOfDay {
                codetab: codetab.clone(),
                sent: list.len() as u64,
                failed: list.iter().filter(|probe| !probe.is_successful()).count() as u64,
                replies: frame(list).map_err(|source| io_fault(folder, source))?,
            });
        }
        let fallback = heard.fallback.iter().map(|(codetab, requests)| FallbackOfDay {
            codetab: codetab.clone(),
            requests: *requests,
        });
        let rollup = Self {
            format: FORMAT,
            date: gathered.day.date,
            time_zone: time_zone.to_owned(),
            begins: gathered.day.begins,
            ends: gathered.day.ends,
            gateway: gathered.gateway.clone(),
            files: gathered.files.clone(),
            kinds,
            probes,
            fallback: fallback.collect(),
            replies_sha256: hex::encode(openssl::sha::sha256(&replies)),
        };
        let path = folder.join(name(rollup.date, &rollup.gateway));
        write(&replies_path(&path), &replies)?;
        let mut text = serde_json::to_vec(&rollup).map_err(|error| content(&path, &error))?;
        text.push(b'\n');
        write(&path, &text)?;
        Ok(path)
    }

    /// Reads one.
    ///
    /// # Errors
    /// It cannot be read, or is no roll-up of this format.
    pub fn read(path: &Path) -> Result<Self, RollupError> {
        let bytes = std::fs::read(path).map_err(|source| io_fault(path, source))?;
        let rollup: Self = serde_json::from_slice(&bytes).map_err(|error| content(path, &error))?;
        if rollup.format == FORMAT {
            return Ok(rollup);
        }
        Err(content(path, &format!("format {} is not {FORMAT}", rollup.format)))
    }

    /// Reads the replies of a kind. `path` is that of the JSON file.
    ///
    /// # Errors
    /// The other file is not what was written with this one.
    pub fn replies(&self, path: &Path, frame: Frame) -> Result<Vec<Reply>, RollupError> {
        if frame.bytes == 0 {
            return Ok(Vec::new());
        }
        let path = replies_path(path);
        let read = || -> io::Result<Vec<u8>> {
            let mut file = File::open(&path)?;
            file.seek(SeekFrom::Start(frame.at))?;
            let mut bytes = Vec::new();
            zstd::Decoder::new(file.take(frame.bytes))?
                .take(REPLIES_BYTES_MAX)
                .read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().map_err(|source| io_fault(&path, source))?;
        decode(&bytes).map_err(|error| content(&path, &error))
    }

    /// The probes of a bank.
    ///
    /// # Errors
    /// As [`Rollup::replies`].
    pub fn probes(&self, path: &Path, codetab: &str) -> Result<Vec<Reply>, RollupError> {
        let found = self.probes.iter().find(|probes| probes.codetab == codetab);
        found.map_or(Ok(Vec::new()), |probes| self.replies(path, probes.replies))
    }
}

/// `<date>.<gateway>.json`; of the gateway's name, what every file system takes.
fn name(date: Date, gateway: &str) -> String {
    const LENGTH_MAX: usize = 100;
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' };
    let gateway: String = gateway.chars().map(plain).take(LENGTH_MAX).collect();
    format!("{date}.{gateway}.json")
}

fn replies_path(path: &Path) -> PathBuf {
    path.with_extension("replies")
}

/// The roll-ups in `folder`, by day. There is none where there is no folder.
///
/// # Errors
/// The operating system's.
pub(super) fn names(folder: &Path) -> Result<Vec<(Date, PathBuf)>, RollupError> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(io_fault(folder, source)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|source| io_fault(folder, source))?.path();
        let is_json = path.extension().is_some_and(|extension| extension == "json");
        let date = path.file_name().and_then(|name| name.to_str()?.split('.').next()?.parse().ok());
        found.extend(date.filter(|_| is_json).map(|date| (date, path)));
    }
    found.sort();
    Ok(found)
}

/// Whole or not at all, also after a loss of power.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), RollupError> {
    let written = || -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new().prefix(".statistics").tempfile_in(folder)?;
        file.write_all(bytes)?;
        let readable = std::os::unix::fs::PermissionsExt::from_mode(0o640);
        file.as_file().set_permissions(readable)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    written().map_err(|source| io_fault(path, source))
}

fn io_fault(path: &Path, source: io::Error) -> RollupError {
    RollupError::Io { path: path.to_owned(), source }
}

fn content(path: &Path, why: &impl ToString) -> RollupError {
    RollupError::Content { path: path.to_owned(), why: why.to_string() }
}
