//! One open file of the log: begun with a header that ties it to the file before it, only ever
//! appended to, and cut back to its last whole line where a write failed.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::chain::{Chain, SigningKey, split};
use super::shelf::{self, LINE_BYTES_MAX, LogFile};

/// `event.action` of the first line of a file.
const OPENED: &str = "audit_opened";
/// The version of the Elastic Common Schema whose names are used.
const ECS_VERSION: &str = "8.17.0";
/// The version of the log's own format.
const FORMAT: u32 = 1;
/// Held while a file is begun, so that no number is given twice.
const LOCK: &str = "lock";
/// How long another process may hold it.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(2);
const LOCK_PAUSE: Duration = Duration::from_millis(5);
/// Other processes of its group may read the log, nobody else.
pub(super) const MODE: u32 = 0o640;

/// Who writes.
pub(super) struct Author {
    /// Host name and instance.
    pub(super) gateway: String,
    /// Signs the checkpoints.
    pub(super) key: SigningKey,
    /// The key of the pseudonyms.
    pub(super) hmac_key: String,
}

/// The last line of another file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Link {
    pub(super) file: String,
    pub(super) sequence: u64,
    pub(super) hash: String,
}

/// The first line of a file.
#[derive(Serialize)]
struct Opened<'a> {
    #[serde(rename = "@timestamp")]
    time: Timestamp,
    #[serde(rename = "event.action")]
    action: &'static str,
    #[serde(rename = "ecs.version")]
    ecs: &'static str,
    #[serde(rename = "octroi.format")]
    format: u32,
    #[serde(rename = "octroi.file")]
    file: &'a str,
    #[serde(rename = "octroi.gateway")]
    gateway: &'a str,
    #[serde(rename = "octroi.software")]
    software: &'static str,
    #[serde(rename = "octroi.public_key")]
    public_key: String,
    #[serde(rename = "octroi.hmac_key")]
    hmac_key: &'a str,
    #[serde(rename = "octroi.previous")]
    previous: Option<&'a Link>,
}

/// The file that is written to.
pub(super) struct OpenFile {
    file: File,
    name: String,
    path: PathBuf,
    day: Date,
    bytes: u64,
    chain: Chain,
    /// The checkpoint over the first line, as it goes to the list of all.
    oath: Vec<u8>,
}

impl OpenFile {
    /// Begins the next file in `directory`; `previous` is our own last one, where there was one.
    ///
    /// # Errors
    /// The operating system's. Nothing is left behind.
    pub(super) fn begin(
        directory: &Path,
        author: &Author,
        previous: Option<Link>,
        now: Timestamp,
    ) -> io::Result<Self> {
        let _lock = lock(directory)?;
        let files = shelf::files(directory)?;
        let previous = match previous {
            Some(previous) => Some(previous),
            None => files.iter().rev().find_map(known_link),
        };
        // Also behind our own last one, which somebody may have taken away: no number comes back.
        let own = previous.as_ref().and_then(|link| LogFile::of(Path::new(&link.file)));
        let number = files.last().max(own.as_ref()).map_or(0, |file| file.number).checked_add(1);
        let number = number.ok_or_else(|| io::Error::other("no number is left for a file"))?;
        let day = day(now);
        let name = LogFile::name_of(day, number);
        let path = directory.join(&name);
        let file =
            OpenOptions::new().create_new(true).append(true).read(true).mode(MODE).open(&path)?;
        let mut begun =
            Self { file, name, path, day, bytes: 0, chain: Chain::default(), oath: Vec::new() };
        // Held for as long as this file is written to: whoever gets it knows that nobody writes any more.
        let locked = begun.file.lock();
        if let Err(error) = locked.and_then(|()| begun.head(author, previous.as_ref(), now)) {
            let _ = std::fs::remove_file(&begun.path);
            return Err(error);
        }
        Ok(begun)
    }

    fn head(&mut self, author: &Author, previous: Option<&Link>, now: Timestamp) -> io::Result<()> {
        let public = author.key.public().map_err(io::Error::other)?;
        let mut line = serde_json::to_vec(&Opened {
            time: now,
            action: OPENED,
            ecs: ECS_VERSION,
            format: FORMAT,
            file: &self.name,
            gateway: &author.gateway,
            software: concat!("octroi ", env!("CARGO_PKG_VERSION")),
            public_key: STANDARD.encode(public),
            hmac_key: &author.hmac_key,
            previous,
        })?;
        let mut chain = self.chain.clone();
        chain.seal(&mut line, 0);
        // Signed at once, in the same write: a file of which no line is signed is none of ours.
        let signed = author.key.sign(&self.name, &chain, now).map_err(io::Error::other)?;
        if let Some(checkpoint) = signed {
            let start = line.len();
            self.oath = serde_json::to_vec(&checkpoint)?;
            line.extend_from_slice(&self.oath);
            chain.seal(&mut line, start);
            self.oath.push(b'\n');
        }
        self.append(&line, chain)
    }

    /// Appends sealed `lines`, whole or not at all; `chain` is where they lead to.
    ///
    /// # Errors
    /// The operating system's. Where not even what was written of them could be cut off again, the
    /// error is of the kind [`io::ErrorKind::InvalidData`], and the file must be left.
    pub(super) fn append(&mut self, lines: &[u8], chain: Chain) -> io::Result<()> {
        if let Err(error) = self.file.write_all(lines) {
            self.cut_back()?;
            return Err(error);
        }
        self.bytes += lines.len() as u64;
        self.chain = chain;
        Ok(())
    }

    fn cut_back(&self) -> io::Result<()> {
        let torn = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        self.file.set_len(self.bytes).map_err(torn)
    }

    /// Cuts off the last `bytes`, which may not have reached the disk; the chain stands at `chain` again.
    ///
    /// # Errors
    /// As of [`OpenFile::append`].
    pub(super) fn forget(&mut self, bytes: u64, chain: Chain) -> io::Result<()> {
        self.bytes = self.bytes.saturating_sub(bytes);
        self.chain = chain;
        self.cut_back()
    }

    /// Has the disk keep what was appended.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// The checkpoint that it begins with, and a line feed.
    pub(super) fn oath(&self) -> &[u8] {
        &self.oath
    }

    /// Whether it is still what its name stands for: not removed, not moved away, nothing put in its place.
    pub(super) fn stands(&self) -> bool {
        let same = |named: &Metadata, mine: &Metadata| {
            (named.dev(), named.ino()) == (mine.dev(), mine.ino())
        };
        let (named, mine) = (std::fs::symlink_metadata(&self.path), self.file.metadata());
        named.is_ok_and(|named| mine.is_ok_and(|mine| same(&named, &mine)))
    }

    /// Where its chain stands.
    pub(super) fn chain(&self) -> &Chain {
        &self.chain
    }

    /// How it is called in checkpoints.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The UTC day on which it was begun.
    pub(super) fn day(&self) -> Date {
        self.day
    }

    /// How long it is.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Its last line, for the header of the next file.
    pub(super) fn link(&self) -> Option<Link> {
        let sequence = self.chain.next().checked_sub(1)?;
        Some(Link { file: self.name.clone(), sequence, hash: hex::encode(self.chain.hash()) })
    }
}

impl std::fmt::Debug for OpenFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenFile").field("path", &self.path).finish_non_exhaustive()
    }
}

/// [`last_link`]; a file that cannot be read keeps nobody from starting, and is missed by those who
/// verify.
fn known_link(file: &LogFile) -> Option<Link> {
    last_link(file).unwrap_or_else(|error| {
        let file = file.path.display();
        tracing::warn!(%file, %error, "a file of the access log cannot be read");
        None
    })
}

/// The last whole line of a file; nothing where it has none.
pub(super) fn last_link(file: &LogFile) -> io::Result<Option<Link>> {
    let last = match file.compressed {
        true => last_of_all(file)?,
        false => last_of_tail(&file.path)?,
    };
    let link = last.as_deref().and_then(split).map(|(_, sequence, hash)| Link {
        file: file.name(),
        sequence,
        hash: hex::encode(hash),
    });
    Ok(link)
}

fn last_of_all(file: &LogFile) -> io::Result<Option<Vec<u8>>> {
    let (mut reader, mut line, mut last) = (file.open()?, Vec::new(), None);
    while shelf::read_line(&mut *reader, &mut line)? == shelf::Line::Whole {
        last = Some(line.clone());
    }
    Ok(last)
}

fn last_of_tail(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut file = File::open(path)?;
    let length = file.seek(SeekFrom::End(0))?;
    // A torn line, and the whole one before it.
    let from = length.saturating_sub(2 * LINE_BYTES_MAX as u64);
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(from))?;
    file.read_to_end(&mut tail)?;
    let Some(end) = tail.iter().rposition(|byte| *byte == b'\n') else { return Ok(None) };
    tail.truncate(end);
    let begin = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |before| before + 1);
    Ok(Some(tail.split_off(begin)))
}

/// Keeps other processes from beginning a file, or making a key, at the same time. One that does not
/// let go is not waited for: names are never taken twice in any case.
pub(super) fn lock(directory: &Path) -> io::Result<File> {
    let lock = lock_file(directory)?;
    let deadline = Instant::now() + LOCK_WAIT_MAX;
    while lock.try_lock().is_err() && Instant::now() < deadline {
        std::thread::sleep(LOCK_PAUSE);
    }
    Ok(lock)
}

/// As [`lock`]; nothing where another one has it.
pub(super) fn lock_now(directory: &Path) -> io::Result<Option<File>> {
    let lock = lock_file(directory)?;
    Ok(lock.try_lock().is_ok().then_some(lock))
}

fn lock_file(directory: &Path) -> io::Result<File> {
    let options = OpenOptions::new().create(true).truncate(false).write(true).mode(MODE).clone();
    options.open(directory.join(LOCK))
}

/// The UTC day of an instant.
pub(super) fn day(now: Timestamp) -> Date {
    now.to_zoned(TimeZone::UTC).date()
}
