//! From a list of lists, or single lists, to a snapshot. A list that is bad keeps the old one of its
//! territory, and says so.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use certs::{ListKind, Pointer, TrustedList};
use jiff::Timestamp;

use super::Store;
use super::snapshot::Snapshot;
use super::verify::{VerifyError, verified};
use crate::archive::ArchiveError;
use crate::fetch::{FetchBounds, FetchFault, Fetched, Fetcher};

/// One list, fetched.
const LIST: FetchBounds =
    FetchBounds { time: Duration::from_secs(60), bytes_max: certs::limits::LIST_BYTES_MAX };

/// Where a document comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// An http or https URL.
    Url(String),
}

impl Source {
    /// What contains `://` is a URL.
    #[must_use]
    pub fn of(text: &str) -> Self {
        if text.contains("://") { Self::Url(text.to_owned()) } else { Self::File(text.into()) }
    }

    fn name(&self) -> String {
        match self {
            Self::File(file) => file.display().to_string(),
            Self::Url(url) => url.clone(),
        }
    }
}

/// What to import.
pub struct Import {
    /// The list of lists, if there is one.
    pub list_of_lists: Option<Source>,
    /// National lists that are not fetched from where the list of lists says.
    pub lists: Vec<Source>,
    /// The certificates (DER) that may sign the list of lists; without one, the single lists.
    pub signers: Vec<Vec<u8>>,
    /// The territories that matter; none: all.
    pub territories: Vec<String>,
    /// Asks for what is at a URL.
    pub fetcher: Fetcher,
}

/// What became of one list.
#[derive(Debug)]
pub struct Told {
    /// Its territory, or where it came from.
    pub list: String,
    /// Why it was refused, if it was.
    pub fault: Option<ImportError>,
    /// Whether the services of an older list of the territory stay.
    pub kept: bool,
}

/// What came of it.
#[derive(Debug)]
pub struct Imported {
    /// The new snapshot, not yet current.
    pub snapshot: Snapshot,
    /// What became of each list.
    pub told: Vec<Told>,
}

/// Why a list, or all of them, could not be imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// A file.
    #[error("{error}")]
    File {
        /// Why.
        error: std::io::Error,
    },
    /// A URL.
    #[error("{0}")]
    Fetch(#[from] FetchFault),
    /// The list itself.
    #[error("{0}")]
    List(#[from] VerifyError),
    /// The snapshot that is there.
    #[error("{0}")]
    Snapshot(#[from] ArchiveError),
    /// A national list where the list of lists should be, or the reverse.
    #[error("it is not the kind of list that it should be")]
    Kind,
    /// A list of another territory than announced.
    #[error("it is the list of {0}")]
    Territory(String),
    /// An older list than the one that is there.
    #[error(
        "its sequence number {new} is lower than {old}, which is there: it would turn back time"
    )]
    Older {
        /// Of the list.
        new: u64,
        /// Of the one that is there.
        old: u64,
    },
    /// Nobody announced it.
    #[error("the list of lists names no list in XML for it")]
    NotAnnounced,
}

type Verified = (TrustedList, String, String);

impl Import {
    /// Reads and verifies everything as of `at`, beside what `store` holds.
    ///
    /// # Errors
    /// The list of lists cannot be believed. A national list that cannot is told, and no error.
    pub async fn run(&self, store: &Store, at: Timestamp) -> Result<Imported, ImportError> {
        let older = match store.current() {
            Ok((_, snapshot)) => Some(snapshot),
            Err(ArchiveError::Nothing(..)) => None,
            Err(error) => return Err(error.into()),
        };
        let (mut good, mut told) = (Vec::new(), Vec::new());
        let mut announced = None;
        if let Some(source) = &self.list_of_lists {
            let (list, name, hash) = self.read(source, &self.signers, at).await?;
            if list.kind != ListKind::ListOfLists {
                return Err(ImportError::Kind);
            }
            not_older(&list, older.as_ref())?;
            let pointers = list.pointers.clone();
            announced = Some(pointers.iter().map(|pointer| pointer.territory.clone()).collect());
            good.push((list, name, hash));
            self.pointed(&pointers, older.as_ref(), at, &mut good, &mut told).await;
        } else {
            for source in &self.lists {
                let read = self.read(source, &self.signers, at).await;
                let read = read.and_then(|read| national(read, None, older.as_ref()));
                tell(source.name(), read, &mut good, &mut told);
            }
        }
        let mut snapshot = Snapshot::of(&good, at);
        if let Some(older) = &older {
            // A territory that the list of lists does not name any more is gone.
            let named = |territory: &String| {
                announced
                    .as_ref()
                    .is_none_or(|announced: &HashSet<String>| announced.contains(territory))
            };
            for list in older.lists.iter().filter(|list| named(&list.territory)) {
                if snapshot.list(&list.territory).is_none() && self.wants(&list.territory) {
                    let kept = snapshot.keep(older, &list.territory);
                    for told in told.iter_mut().filter(|told| told.list == list.territory) {
                        told.kept = kept;
                    }
                }
            }
        }
        Ok(Imported { snapshot, told })
    }

    fn wants(&self, territory: &str) -> bool {
        self.territories.is_empty() || self.territories.iter().any(|wanted| wanted == territory)
    }

    /// The national lists that a list of lists announces, each with its own signers.
    async fn pointed(
        &self,
        pointers: &[Pointer],
        older: Option<&Snapshot>,
        at: Timestamp,
        good: &mut Vec<Verified>,
        told: &mut Vec<Told>,
    ) {
        let mut given = Vec::new();
        for source in &self.lists {
            // A file may be of any territory: its own word is enough to find its pointer.
            match self.document(source).await {
                Ok(xml) => {
                    let territory = TrustedList::read(&xml).map(|list| list.territory);
                    given.push((source.name(), territory.ok(), xml));
                }
                Err(error) => {
                    told.push(Told { list: source.name(), fault: Some(error), kept: false })
                }
            }
        }
        for (name, territory, xml) in &given {
            let announced = pointers.iter().any(|pointer| {
                pointer.is_xml && territory.as_deref() == Some(pointer.territory.as_str())
            });
            if !announced {
                let fault = match verified(xml, &[], at) {
                    Err(fault @ VerifyError::Unreadable(_)) => fault.into(),
                    _ => ImportError::NotAnnounced,
                };
                told.push(Told { list: name.clone(), fault: Some(fault), kept: false });
            }
        }
        let national_xml = pointers.iter().filter(|pointer| {
            pointer.is_xml && pointer.kind == ListKind::National && self.wants(&pointer.territory)
        });
        for pointer in national_xml {
            let own = given
                .iter()
                .find(|(_, territory, _)| territory.as_deref() == Some(pointer.territory.as_str()));
            let read = match own {
                Some((name, _, xml)) => {
                    judge(xml.clone(), name.clone(), &pointer.signers, at).await
                }
                // With files given, nothing is fetched beside them.
                None if !self.lists.is_empty() => continue,
                None => {
                    let source = Source::Url(pointer.location.clone());
                    self.read(&source, &pointer.signers, at).await
                }
            };
            let read = read.and_then(|read| national(read, Some(&pointer.territory), older));
            tell(pointer.territory.clone(), read, good, told);
        }
    }

    async fn read(
        &self,
        source: &Source,
        signers: &[Vec<u8>],
        at: Timestamp,
    ) -> Result<Verified, ImportError> {
        judge(self.document(source).await?, source.name(), signers, at).await
    }

    async fn document(&self, source: &Source) -> Result<Vec<u8>, ImportError> {
        match source {
            Source::File(file) => read_file(file).map_err(|error| ImportError::File { error }),
            Source::Url(url) => match self.fetcher.get(url, None, LIST).await? {
                Fetched::Body(body, _) => Ok(body),
                Fetched::Unchanged => Err(FetchFault::Unreachable.into()),
            },
        }
    }
}

/// One octet more than is allowed is enough to be refused by.
fn read_file(file: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;

    let limit = u64::try_from(certs::limits::LIST_BYTES_MAX).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    fs::File::open(file)?.take(limit + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

async fn judge(
    xml: Vec<u8>,
    name: String,
    signers: &[Vec<u8>],
    at: Timestamp,
) -> Result<Verified, ImportError> {
    let signers = signers.to_vec();
    let judged = tokio::task::spawn_blocking(move || {
        let hash = hex::encode(certs::sha256(&xml));
        verified(&xml, &signers, at).map(|list| (list, hash))
    });
    let (list, hash) = judged
        .await
        .map_err(|error| ImportError::File { error: std::io::Error::other(error) })??;
    Ok((list, name, hash))
}

fn national(
    read: Verified,
    territory: Option<&str>,
    older: Option<&Snapshot>,
) -> Result<Verified, ImportError> {
    if read.0.kind != ListKind::National {
        return Err(ImportError::Kind);
    }
    if territory.is_some_and(|territory| territory != read.0.territory) {
        return Err(ImportError::Territory(read.0.territory));
    }
    not_older(&read.0, older)?;
    Ok(read)
}

fn not_older(list: &TrustedList, older: Option<&Snapshot>) -> Result<(), ImportError> {
    let known = older.and_then(|older| older.list(&list.territory)).map(|list| list.sequence);
    match known.filter(|known| *known > list.sequence) {
        Some(old) => Err(ImportError::Older { new: list.sequence, old }),
        None => Ok(()),
    }
}

fn tell(
    list: String,
    read: Result<Verified, ImportError>,
    good: &mut Vec<Verified>,
    told: &mut Vec<Told>,
) {
    let fault = match read {
        Ok(read) => {
            good.push(read);
            None
        }
        Err(fault) => Some(fault),
    };
    told.push(Told { list, fault, kept: false });
}
