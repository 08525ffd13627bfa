//! The dossier of a TPP that is refused: the evidence, frozen, and drafts of what the law asks the bank
//! to say.
//!
//! Directive (EU) 2015/2366 art. 68(5) and (6): access may be denied "for objectively justified and duly
//! evidenced reasons"; the customer is informed, the competent authority is told immediately, and access
//! is given again once the reasons no longer exist. In France (code monétaire et financier, art.
//! L. 133-17-1) the notification goes to the Banque de France.

mod case;
mod drafts;
mod evidence;

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use policies::register::Snapshot;
use serde::{Deserialize, Serialize};

use crate::audit::chain::{Chain, SignatureFault, SigningKey};
use crate::replay::StreamError;

pub use case::{BLOCKING, Case, Count, Earlier};
pub use drafts::Language;
pub use evidence::{Evidence, Gathering};

/// The file that names all others with their hashes.
pub const MANIFEST: &str = "manifest.json";
/// The gateway's word on it.
pub const SIGNATURE: &str = "manifest.signature.json";

/// Why no dossier can be made.
#[derive(Debug, thiserror::Error)]
pub enum DossierError {
    /// The log.
    #[error(transparent)]
    Log(#[from] StreamError),
    /// A file of the dossier, or of the log.
    #[error("{file}: {error}", file = file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The key.
    #[error("the gateway's signing key: {0}")]
    Key(#[from] SignatureFault),
    /// A draft.
    #[error("a draft cannot be written: {0}")]
    Draft(#[from] askama::Error),
}

/// What stands in the manifest.
#[derive(Serialize)]
struct Manifest<'a> {
    /// When it was made.
    made: Timestamp,
    /// By what.
    software: String,
    /// What it is about.
    case: &'a Case,
    /// Every other file but the signature.
    files: Vec<Listed>,
}

/// What is read again of a manifest.
#[derive(Deserialize)]
struct Made {
    made: Timestamp,
    case: About,
}

#[derive(Deserialize)]
struct About {
    organisation_id: String,
    since: Timestamp,
}

impl Earlier {
    /// The dossier in `directory`.
    ///
    /// # Errors
    /// There is none.
    pub fn read(directory: &Path) -> Result<Self, DossierError> {
        let file = directory.join(MANIFEST);
        let failed = |error| DossierError::File { file: file.clone(), error };
        let bytes = std::fs::read(&file).map_err(failed)?;
        let Made { made, case } =
            serde_json::from_slice(&bytes).map_err(|error| failed(error.into()))?;
        let manifest_sha256 = hex::encode(certs::sha256(&bytes));
        let About { organisation_id, since } = case;
        Ok(Self { made, manifest_sha256, organisation_id, since })
    }
}

/// One file.
#[derive(Clone, Serialize)]
struct Listed {
    name: String,
    bytes: u64,
    sha256: String,
}

/// Adds what the register that is in force says now.
///
/// # Errors
/// The file system's.
pub fn add_register(
    folder: &mut Folder,
    name: &str,
    snapshot: &Snapshot,
    organisation_id: &str,
) -> Result<(), DossierError> {
    let said = drafts::said(name, snapshot, organisation_id);
    folder.add_json(&format!("evidence/registers/now-{name}.json"), &said)
}

/// Adds the drafts.
///
/// # Errors
/// The file system's.
pub fn add_drafts(
    folder: &mut Folder,
    case: &Case,
    language: Language,
    made: Timestamp,
) -> Result<(), DossierError> {
    drafts::write(folder, case, language, made)
}

/// The files of a dossier while it is made.
pub struct Folder {
    directory: PathBuf,
    files: Vec<Listed>,
}

impl Folder {
    /// A directory that is not there yet, or empty: nothing is frozen over something else.
    ///
    /// # Errors
    /// It holds something.
    pub fn new(directory: &Path) -> Result<Self, DossierError> {
        let failed = |error| DossierError::File { file: directory.to_owned(), error };
        std::fs::create_dir_all(directory).map_err(failed)?;
        if std::fs::read_dir(directory).map_err(failed)?.next().is_some() {
            let why = "it is not empty; name another, so that nothing frozen is written over";
            return Err(failed(io::Error::other(why)));
        }
        Ok(Self { directory: directory.to_owned(), files: Vec::new() })
    }

    /// Adds a file.
    ///
    /// # Errors
    /// The file system's.
    pub fn add(&mut self, name: &str, bytes: &[u8]) -> Result<(), DossierError> {
        self.write(name, bytes)?;
        self.files.push(Listed {
            name: name.to_owned(),
            bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            sha256: hex::encode(certs::sha256(bytes)),
        });
        Ok(())
    }

    /// Adds a value as JSON.
    ///
    /// # Errors
    /// The file system's.
    pub fn add_json(&mut self, name: &str, value: &impl Serialize) -> Result<(), DossierError> {
        let mut bytes =
            serde_json::to_vec_pretty(value).map_err(|error| self.failed(name, error))?;
        bytes.push(b'\n');
        self.add(name, &bytes)
    }

    /// Closes it: the manifest, and the gateway's signature over its hash where `key` is at hand.
    ///
    /// # Errors
    /// The file system's, or OpenSSL's.
    pub fn close(
        self,
        case: &Case,
        made: Timestamp,
        key: Option<&SigningKey>,
    ) -> Result<PathBuf, DossierError> {
        let software = concat!("octroi ", env!("CARGO_PKG_VERSION")).to_owned();
        let manifest = Manifest { made, software, case, files: self.files.clone() };
        let mut bytes =
            serde_json::to_vec_pretty(&manifest).map_err(|error| self.failed(MANIFEST, error))?;
        bytes.push(b'\n');
        self.write(MANIFEST, &bytes)?;
        if let Some(key) = key {
            let chain = Chain::after(0, certs::sha256(&bytes));
            // No file of a log is called so: the signature is good for this alone.
            let name = format!("dossier/{MANIFEST}");
            if let Some(word) = key.sign(&name, &chain, made)? {
                let text = serde_json::to_vec_pretty(&word)
                    .map_err(|error| self.failed(SIGNATURE, error))?;
                self.write(SIGNATURE, &text)?;
            }
        }
        Ok(self.directory)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), DossierError> {
        let file = self.directory.join(name);
        let failed = |error| DossierError::File { file: file.clone(), error };
        if let Some(parent) = file.parent() {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        std::fs::write(&file, bytes).map_err(failed)
    }

    fn failed(&self, name: &str, error: impl Into<io::Error>) -> DossierError {
        DossierError::File { file: self.directory.join(name), error: error.into() }
    }
}
