//! What was fetched about revocations, on disk: certified paths of TPPs, lists and answers.
//!
//! Everything is verified again when it is read, so that whoever can write here can at most make us
//! forget. Names of files are fingerprints.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use certs::{Anchors, Leaf, OcspAnswer, RevocationList, Revocations, Trusted};
use jiff::Timestamp;

use super::Objects;

/// Paths of TPPs that are kept, and watched, at most.
const PATHS_MAX: usize = 10_000;
/// Files of one kind that are looked at.
const FILES_MAX: usize = 20_000;

/// A certificate of a TPP with the CAs above it, up to the anchor.
#[derive(Clone, Debug)]
pub struct Path {
    /// The leaf first, the anchor last.
    pub certificates: Vec<Arc<Leaf>>,
}

impl Path {
    /// The path that `trusted` proves for `leaf`.
    #[must_use]
    pub fn of(leaf: &Leaf, trusted: &Trusted) -> Self {
        let above = trusted.links().iter().map(|link| Arc::clone(&link.issuer_certificate));
        Self { certificates: std::iter::once(Arc::new(leaf.clone())).chain(above).collect() }
    }

    /// Each certificate below the anchor with its issuer.
    pub fn pairs(&self) -> impl Iterator<Item = (&Arc<Leaf>, &Arc<Leaf>)> {
        self.certificates.iter().zip(self.certificates.iter().skip(1))
    }

    /// SHA-256 of the leaf.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        self.certificates.first().map(|leaf| *leaf.fingerprint()).unwrap_or_default()
    }
}

/// The directory.
#[derive(Clone, Debug)]
pub struct Kept {
    directory: PathBuf,
    objects: Option<Objects>,
}

impl Kept {
    /// A directory that need not be there yet.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), objects: None }
    }

    /// The same, and everything that comes in is kept beside the log for good.
    #[must_use]
    pub fn remembering(self, objects: Objects) -> Self {
        Self { objects: Some(objects), ..self }
    }

    /// Reads all that is there and still holds into `revocations`; gives the paths back. What
    /// cannot be used is left alone: it will be fetched again.
    pub fn load(
        &self,
        anchors: &Anchors,
        revocations: &mut Revocations,
        now: Timestamp,
    ) -> Vec<Path> {
        let mut paths = Vec::new();
        for bytes in self.files("path-").take(PATHS_MAX) {
            let Ok((leaf, sent)) = Leaf::from_pem(&bytes) else { continue };
            if let Ok(trusted) = anchors.find_path(&leaf, &sent, now) {
                paths.push(Path::of(&leaf, &trusted));
            }
        }
        let issuers = || {
            let known = anchors.iter().map(|anchor| anchor.certificate());
            let known = known.chain(anchors.intermediates());
            known.chain(paths.iter().flat_map(|path| path.certificates.iter().skip(1)))
        };
        for bytes in self.files("crl-") {
            if let Ok(list) = RevocationList::read("kept", &bytes, issuers()) {
                let issuer = issuers().find(|issuer| {
                    RevocationList::read("kept", &bytes, std::iter::once(*issuer)).is_ok()
                });
                self.remember(|objects| {
                    objects.keep_list(&list, &bytes, issuer.map(AsRef::as_ref), now)
                });
                revocations.add_list(list);
            }
        }
        for (subject, issuer) in paths.iter().flat_map(Path::pairs) {
            let Ok(bytes) = fs::read(self.answer_file(subject)) else { continue };
            if let Ok(answer) = OcspAnswer::read(&bytes, subject, issuer, now) {
                self.remember(|objects| objects.keep_status(&bytes, (subject, issuer), now));
                revocations.add_answer(answer);
            }
        }
        paths
    }

    /// Keeps a path.
    ///
    /// # Errors
    /// The file system's.
    pub fn keep_path(&self, path: &Path) -> io::Result<()> {
        let blocks = path.certificates.iter().map(|certificate| {
            let text = openssl::x509::X509::from_der(certificate.der())
                .and_then(|certificate| certificate.to_pem());
            text.map_err(io::Error::other)
        });
        let pem = blocks.collect::<io::Result<Vec<_>>>()?.concat();
        write(&self.directory, &format!("path-{}.pem", hex::encode(path.fingerprint())), &pem)
    }

    /// Forgets a path, and the answer about its leaf.
    pub fn drop_path(&self, fingerprint: &[u8; 32]) {
        let name = hex::encode(fingerprint);
        for file in [format!("path-{name}.pem"), format!("ocsp-{name}.der")] {
            let _ = fs::remove_file(self.directory.join(file));
        }
    }

    /// Keeps a list as its issuer published it.
    ///
    /// # Errors
    /// The file system's.
    pub fn keep_list(
        &self,
        list: &RevocationList,
        bytes: &[u8],
        issuer: &Leaf,
        now: Timestamp,
    ) -> io::Result<()> {
        self.remember(|objects| objects.keep_list(list, bytes, Some(issuer), now));
        write(&self.directory, &format!("crl-{}.crl", hex::encode(list.issuer())), bytes)
    }

    /// Keeps a responder's answer about `subject`.
    ///
    /// # Errors
    /// The file system's.
    pub fn keep_answer(
        &self,
        subject: &Leaf,
        bytes: &[u8],
        issuer: &Leaf,
        now: Timestamp,
    ) -> io::Result<()> {
        self.remember(|objects| objects.keep_status(bytes, (subject, issuer), now));
        write(&self.directory, &format!("ocsp-{}.der", hex::encode(subject.fingerprint())), bytes)
    }

    fn remember(&self, keep: impl FnOnce(&Objects) -> io::Result<()>) {
        if let Some(objects) = &self.objects
            && let Err(error) = keep(objects)
        {
            tracing::error!(%error, "an answer about revocations could not be kept beside the log; verdicts by it cannot be replayed");
        }
    }

    fn answer_file(&self, subject: &Leaf) -> PathBuf {
        self.directory.join(format!("ocsp-{}.der", hex::encode(subject.fingerprint())))
    }

    fn files(&self, prefix: &'static str) -> impl Iterator<Item = Vec<u8>> {
        let entries = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let named = entries.filter(move |entry| {
            let name = entry.file_name();
            name.to_str().is_some_and(|name| name.starts_with(prefix) && !name.ends_with(".new"))
        });
        named.take(FILES_MAX).filter_map(|entry| fs::read(entry.path()).ok())
    }
}

/// Writes `name` in `directory`, whole or not at all.
pub(super) fn write(directory: &std::path::Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let new = directory.join(format!("{name}.new"));
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    fs::rename(&new, directory.join(name))
}
