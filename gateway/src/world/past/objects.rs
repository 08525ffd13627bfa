//! What worlds are made of, each in one file named by a hash.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use certs::{Anchors, Leaf, OcspAnswer, RevocationList};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clock;

/// A directory of objects.
#[derive(Clone, Debug)]
pub struct Objects {
    directory: PathBuf,
}

/// A revocation list or an OCSP answer, with the certificates that it takes to verify it once more.
#[derive(Serialize, Deserialize)]
struct Answer {
    /// `crl` or `ocsp`.
    kind: String,
    /// When it was taken in.
    taken: Timestamp,
    /// In DER and Base64.
    answer: String,
    /// The certificate that it is about, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    /// Who signed it, or whom the signer speaks for; none: one of the anchors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issuer: Option<String>,
}

/// An answer as it was.
#[derive(Clone)]
pub(super) enum Read {
    List(Arc<RevocationList>),
    Status(Arc<OcspAnswer>),
}

impl Objects {
    /// A directory that need not be there yet.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// Those beside the log in `directory`.
    #[must_use]
    pub fn beside(directory: &Path) -> Self {
        Self::new(directory.join(super::WORLDS).join("objects"))
    }

    /// Where an object is.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Whether it is kept already. Then it counts as kept now: whoever asks is about to name it.
    pub(super) fn holds(&self, name: &str) -> bool {
        let Ok(directory) = File::open(&self.directory) else { return false };
        let held = directory.lock_shared();
        let now = SystemTime::from(clock::now());
        held.and_then(|()| File::open(self.path(name))?.set_modified(now)).is_ok()
    }

    /// Until it is dropped nobody is told that one is kept; nothing where there are none.
    pub(super) fn hold(&self) -> io::Result<Option<File>> {
        let directory = match File::open(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        directory.lock()?;
        Ok(Some(directory))
    }

    /// Keeps `bytes` under the hash of them and `.<extension>`.
    pub(super) fn keep(&self, bytes: &[u8], extension: &str) -> io::Result<String> {
        let name = format!("{}.{extension}", hex::encode(certs::sha256(bytes)));
        self.write(&name, bytes)?;
        Ok(name)
    }

    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        if self.holds(name) {
            return Ok(());
        }
        fs::create_dir_all(&self.directory)?;
        let new = self.path(&format!("{name}.{}.new", std::process::id()));
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o640).open(&new)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        fs::rename(&new, self.path(name))
    }

    /// What is kept under the hash that `name` begins with.
    pub(super) fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let bytes = fs::read(self.path(name))?;
        let hash = hex::encode(certs::sha256(&bytes));
        match name.split('.').next() == Some(hash.as_str()) {
            true => Ok(bytes),
            false => {
                Err(io::Error::other("its content is not what it is named by: it was changed"))
            }
        }
    }

    /// Keeps a revocation list, as published; `issuer` signed it, or one of the anchors did.
    ///
    /// # Errors
    /// The file system's.
    pub fn keep_list(
        &self,
        list: &RevocationList,
        published: &[u8],
        issuer: Option<&Leaf>,
        taken: Timestamp,
    ) -> io::Result<()> {
        let answer = STANDARD.encode(published);
        let issuer = issuer.map(encoded);
        let kept = Answer { kind: "crl".to_owned(), taken, answer, subject: None, issuer };
        self.keep_answer(list.fingerprint(), &kept)
    }

    /// Keeps what a responder said about `subject`, which `issuer` issued.
    ///
    /// # Errors
    /// The file system's.
    pub fn keep_status(
        &self,
        published: &[u8],
        (subject, issuer): (&Leaf, &Leaf),
        taken: Timestamp,
    ) -> io::Result<()> {
        let kept = Answer {
            kind: "ocsp".to_owned(),
            taken,
            answer: STANDARD.encode(published),
            subject: Some(encoded(subject)),
            issuer: Some(encoded(issuer)),
        };
        self.keep_answer(&certs::sha256(published), &kept)
    }

    fn keep_answer(&self, fingerprint: &[u8; 32], kept: &Answer) -> io::Result<()> {
        let bytes = serde_json::to_vec(kept).map_err(io::Error::other)?;
        self.write(&answer_name(fingerprint), &bytes)
    }

    /// An answer, verified once more.
    pub(super) fn answer(&self, name: &str, anchors: &Anchors) -> io::Result<Read> {
        let bytes = fs::read(self.path(name))?;
        let kept: Answer = serde_json::from_slice(&bytes).map_err(io::Error::other)?;
        let published = STANDARD.decode(&kept.answer).map_err(io::Error::other)?;
        let certificate = |text: &Option<String>| -> io::Result<Option<Leaf>> {
            let Some(text) = text else { return Ok(None) };
            let der = STANDARD.decode(text).map_err(io::Error::other)?;
            Leaf::from_der(&der).map(Some).map_err(io::Error::other)
        };
        let (subject, issuer) = (certificate(&kept.subject)?, certificate(&kept.issuer)?);
        let (fingerprint, read) = match (kept.kind.as_str(), subject, issuer) {
            ("crl", _, issuer) => {
                let issuer = issuer.map(Arc::new);
                let known = anchors.iter().map(|anchor| anchor.certificate());
                let known = issuer.iter().chain(known).chain(anchors.intermediates());
                let list = RevocationList::read("it", &published, known);
                let list = list.map_err(io::Error::other)?;
                (*list.fingerprint(), Read::List(Arc::new(list)))
            }
            ("ocsp", Some(subject), Some(issuer)) => {
                let answer = OcspAnswer::read(&published, &subject, &issuer, kept.taken);
                let answer = answer.map_err(io::Error::other)?;
                (answer.fingerprint, Read::Status(Arc::new(answer)))
            }
            _ => return Err(io::Error::other("it lacks a certificate")),
        };
        match answer_name(&fingerprint) == name {
            true => Ok(read),
            false => Err(io::Error::other("it is another answer than it is named by")),
        }
    }
}

/// The name of an answer: the hash of what was published, not of its file.
pub(super) fn answer_name(fingerprint: &[u8; 32]) -> String {
    format!("{}.answer.json", hex::encode(fingerprint))
}

fn encoded(certificate: &Leaf) -> String {
    STANDARD.encode(certificate.der())
}
