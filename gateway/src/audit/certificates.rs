//! Every client certificate that was ever judged, kept once: records name it by its digest, and who
//! judges again needs all of it.

use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use openssl::x509::X509;
use prometheus::IntCounterVec;

use super::file::MODE;

/// Below the directory of the log: `<SHA-256 of the leaf>.pem`, the leaf and then what was sent with it.
const DIRECTORY: &str = "certificates";
/// Certificates that may wait for the disk.
const QUEUE_MAX: usize = 256;
const MINUTE: Duration = Duration::from_secs(60);
/// New ones of trusted issuers in a minute: far more than there are TPPs.
const TRUSTED_PER_MINUTE_MAX: u32 = 600;
/// New ones of anybody: whoever makes certificates by the thousand fills no disk.
const OTHERS_PER_MINUTE_MAX: u32 = 20;
const OTHERS_MAX: usize = 10_000;

/// Keeps certificates, off the path of their connections.
pub(super) struct Certificates {
    seen: Mutex<Seen>,
    queue: SyncSender<Kept>,
    counts: IntCounterVec,
}

struct Seen {
    known: HashSet<[u8; 32]>,
    minute: Instant,
    trusted: u32,
    others: u32,
    others_ever: usize,
}

struct Kept {
    digest: [u8; 32],
    ders: Vec<Vec<u8>>,
}

impl Certificates {
    /// Reads which are known, and starts the thread that writes new ones. It ends when this is dropped.
    pub(super) fn open(log: &Path, counts: IntCounterVec) -> io::Result<(Self, JoinHandle<()>)> {
        let directory = log.join(DIRECTORY);
        std::fs::create_dir_all(&directory)?;
        let mut known = HashSet::new();
        for entry in std::fs::read_dir(&directory)? {
            known.extend(digest_of(&entry?.path()));
        }
        let (queue, kept) = sync_channel(QUEUE_MAX);
        let written = counts.with_label_values(&["kept"]);
        let failed = counts.with_label_values(&["failed"]);
        let thread = std::thread::Builder::new().name("audit-certs".to_owned());
        let thread = thread.spawn(move || {
            write(&directory, &kept, |fault| match fault {
                None => written.inc(),
                Some(error) => {
                    failed.inc();
                    tracing::warn!(%error, "a client certificate could not be kept");
                }
            })
        })?;
        let seen = Seen { known, minute: Instant::now(), trusted: 0, others: 0, others_ever: 0 };
        Ok((Self { seen: Mutex::new(seen), queue, counts }, thread))
    }

    /// Keeps one that was not seen before, as far as the bounds allow.
    pub(super) fn keep(&self, digest: &[u8; 32], is_trusted: bool, leaf: &[u8], sent: &[Vec<u8>]) {
        let mut seen = self.seen();
        if seen.known.contains(digest) {
            return;
        }
        let fits = seen.fits(is_trusted);
        let others = sent.iter().filter(|der| *der != leaf).cloned();
        let ders = std::iter::once(leaf.to_vec()).chain(others).collect();
        // One that does not fit is kept when it comes again.
        if fits && self.queue.try_send(Kept { digest: *digest, ders }).is_ok() {
            seen.known.insert(*digest);
        } else {
            self.counts.with_label_values(&["skipped"]).inc();
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn fits(&mut self, is_trusted: bool) -> bool {
        if self.minute.elapsed() >= MINUTE {
            (self.minute, self.trusted, self.others) = (Instant::now(), 0, 0);
        }
        if is_trusted {
            self.trusted += 1;
            return self.trusted <= TRUSTED_PER_MINUTE_MAX;
        }
        self.others += 1;
        let fits = self.others <= OTHERS_PER_MINUTE_MAX && self.others_ever < OTHERS_MAX;
        self.others_ever += usize::from(fits);
        fits
    }
}

fn digest_of(path: &Path) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    let name = path.file_name()?.to_str()?.strip_suffix(".pem")?;
    hex::decode_to_slice(name, &mut digest).ok()?;
    Some(digest)
}

fn write(directory: &Path, kept: &Receiver<Kept>, told: impl Fn(Option<io::Error>)) {
    for Kept { digest, ders } in kept {
        let path = directory.join(hex::encode(digest)).with_extension("pem");
        told(write_one(&path, &ders).err());
    }
}

/// Whole or not at all.
fn write_one(path: &Path, ders: &[Vec<u8>]) -> io::Result<()> {
    let mut pem = Vec::new();
    for der in ders {
        pem.extend(X509::from_der(der).and_then(|certificate| certificate.to_pem())?);
    }
    let part: PathBuf = path.with_extension("pem.part");
    let options = OpenOptions::new().create(true).truncate(true).write(true).mode(MODE).clone();
    let mut file = options.open(&part)?;
    file.write_all(&pem)?;
    file.sync_all()?;
    std::fs::rename(part, path)
}
