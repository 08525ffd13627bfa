//! What the trusted lists say at one time, in one file named by its hash.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use certs::{Anchors, Leaf, ServicePeriod, TrustedList, Use};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The layout of a snapshot.
const FORMAT: u32 = 1;
/// Octets of a snapshot, at most.
const SNAPSHOT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Everything that the lists said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    format: u32,
    /// When it was made.
    pub made_at: Timestamp,
    /// What it was made from, by territory.
    pub lists: Vec<SnapshotList>,
    /// Services that issue, or once issued, certificates for websites or seals.
    pub services: Vec<ListedService>,
}

/// One list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotList {
    /// Its territory.
    pub territory: String,
    /// Where it came from.
    pub source: String,
    /// SHA-256 of the document.
    pub sha256: String,
    /// TSLSequenceNumber.
    pub sequence: u64,
    /// ListIssueDateTime.
    pub issued: Timestamp,
    /// NextUpdate.
    pub next_update: Option<Timestamp>,
    /// SHA-256 of the certificate that signed it.
    pub signer: String,
}

/// One service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListedService {
    /// Of which list.
    pub territory: String,
    /// TSPName.
    pub provider: String,
    /// ServiceName.
    pub name: String,
    /// Its CAs, in DER and base64.
    pub certificates: Vec<String>,
    /// What it was, the newest first.
    pub periods: Vec<Period>,
}

/// What a service was from an instant on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Period {
    since: Timestamp,
    web: bool,
    seals: bool,
    /// Some of its certificates are not what they claim (Qualifications).
    downgrades: bool,
}

impl Period {
    fn of(period: &ServicePeriod) -> Self {
        Self {
            since: period.since,
            web: period.issues(Use::Web),
            seals: period.issues(Use::Seals),
            downgrades: period.downgrades,
        }
    }
}

/// One CA of a snapshot, as it is at an instant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ListedCa {
    /// Of which list.
    pub territory: String,
    /// TSPName.
    pub provider: String,
    /// The CA's subject.
    pub subject: String,
    /// SHA-256 of its certificate.
    pub sha256: String,
    /// For QWACs.
    pub web: bool,
    /// For QSEALCs.
    pub seals: bool,
    /// Since when.
    pub since: Timestamp,
    /// Whether Qualifications take some of its certificates out.
    pub downgrades: bool,
}

/// A difference between two snapshots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// `added` or `removed`.
    pub change: &'static str,
    /// Which CA.
    pub ca: ListedCa,
    /// How many TPPs that we know would come, or come, over it.
    pub known_tpps: usize,
}

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The file system.
    #[error("{file}: {error}", file = file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Its octets are not those that it is named by.
    #[error("{0}: its content is not what it is named by: it was changed")]
    Changed(String),
    /// Not a snapshot of this format.
    #[error("{0}: it is no snapshot: {1}")]
    Malformed(String, String),
    /// Nothing was imported yet.
    #[error("{0}: nothing was imported yet. To mend: run `octroi trust import --dir {0} …`")]
    Nothing(String),
    /// No snapshot of this name.
    #[error("there is no snapshot {0}; `octroi trust list --all` names them")]
    Unknown(String),
}

impl Snapshot {
    /// Puts verified lists together, each with where it came from and its document's hash.
    #[must_use]
    pub fn of(lists: &[(TrustedList, String, String)], made_at: Timestamp) -> Self {
        let mut snapshot =
            Self { format: FORMAT, made_at, lists: Vec::new(), services: Vec::new() };
        for (list, source, sha256) in lists {
            snapshot.lists.push(SnapshotList {
                territory: list.territory.clone(),
                source: source.clone(),
                sha256: sha256.clone(),
                sequence: list.sequence,
                issued: list.issued,
                next_update: list.next_update,
                signer: hex::encode(certs::sha256(&list.signer)),
            });
            for service in &list.services {
                let periods: Vec<Period> = service.periods.iter().map(Period::of).collect();
                if periods.iter().any(|period| period.web || period.seals) {
                    snapshot.services.push(ListedService {
                        territory: list.territory.clone(),
                        provider: service.provider.clone(),
                        name: service.name.clone(),
                        certificates: service
                            .certificates
                            .iter()
                            .map(|c| STANDARD.encode(c))
                            .collect(),
                        periods,
                    });
                }
            }
        }
        snapshot
    }

    /// Takes the list and services of `territory` from an older snapshot: what came now was bad.
    pub fn keep(&mut self, older: &Self, territory: &str) -> bool {
        let lists = older.lists.iter().filter(|list| list.territory == territory);
        let services = older.services.iter().filter(|service| service.territory == territory);
        let before = self.lists.len();
        self.lists.extend(lists.cloned());
        self.services.extend(services.cloned());
        self.lists.len() > before
    }

    /// The list of a territory.
    #[must_use]
    pub fn list(&self, territory: &str) -> Option<&SnapshotList> {
        self.lists.iter().find(|list| list.territory == territory)
    }

    /// Whether the list of `territory` has not ended at `at`. One without an end is closed.
    fn counts(&self, territory: &str, at: Timestamp) -> bool {
        let end = self.list(territory).and_then(|list| list.next_update);
        end.is_some_and(|end| at <= end)
    }

    /// Every CA that issues for websites or seals at `at`, of the lists that have not ended then.
    #[must_use]
    pub fn cas(&self, at: Timestamp) -> Vec<ListedCa> {
        let mut cas: Vec<ListedCa> = self.believed(at).into_values().map(|(ca, _)| ca).collect();
        cas.sort();
        cas
    }

    /// The same by SHA-256, each with its certificate in DER.
    fn believed(&self, at: Timestamp) -> BTreeMap<String, (ListedCa, Vec<u8>)> {
        let mut cas = BTreeMap::new();
        for service in self.services.iter().filter(|service| self.counts(&service.territory, at)) {
            let started = service.periods.iter().filter(|period| period.since <= at);
            let Some(period) = started.max_by_key(|period| period.since) else { continue };
            if !(period.web || period.seals) {
                continue;
            }
            for der in service.certificates.iter().filter_map(|text| STANDARD.decode(text).ok()) {
                let sha256 = hex::encode(certs::sha256(&der));
                let subject = Leaf::from_der(&der).map_or_else(
                    |error| format!("(unreadable: {error})"),
                    |leaf| leaf.subject().to_owned(),
                );
                let listed = || ListedCa {
                    territory: service.territory.clone(),
                    provider: service.provider.clone(),
                    subject,
                    sha256: sha256.clone(),
                    web: false,
                    seals: false,
                    since: period.since,
                    downgrades: period.downgrades,
                };
                let (ca, _) = cas.entry(sha256.clone()).or_insert_with(|| (listed(), der));
                ca.web |= period.web;
                ca.seals |= period.seals;
            }
        }
        cas
    }

    /// Adds to `anchors` the CAs that issue for `wanted` at `at`. One that cannot be an anchor (an
    /// end-entity certificate, an unreadable one) is passed over; the names of those come back.
    pub fn add_anchors(&self, anchors: &mut Anchors, wanted: Use, at: Timestamp) -> Vec<String> {
        let fits = |ca: &ListedCa| match wanted {
            Use::Web => ca.web,
            Use::Seals => ca.seals,
        };
        let mut passed_over = Vec::new();
        for (ca, der) in self.believed(at).values().filter(|(ca, _)| fits(ca)) {
            if let Err(error) = anchors.add(&ca.territory, 1, der) {
                passed_over.push(error.to_string());
            }
        }
        passed_over
    }

    /// What changes from `older` to this one at `at`; `known` counts TPPs by the SHA-256 of their
    /// anchor.
    #[must_use]
    pub fn changes_since(
        &self,
        older: &Self,
        at: Timestamp,
        known: &BTreeMap<String, usize>,
    ) -> Vec<Change> {
        let by_hash = |snapshot: &Self| -> BTreeMap<(String, bool, bool), ListedCa> {
            let cas = snapshot.cas(at).into_iter();
            cas.map(|ca| ((ca.sha256.clone(), ca.web, ca.seals), ca)).collect()
        };
        let (before, after) = (by_hash(older), by_hash(self));
        let change = |change, ca: &ListedCa| Change {
            change,
            ca: ca.clone(),
            known_tpps: known.get(&ca.sha256).copied().unwrap_or_default(),
        };
        let removed = before.iter().filter(|(key, _)| !after.contains_key(key));
        let added = after.iter().filter(|(key, _)| !before.contains_key(key));
        let removed = removed.map(|(_, ca)| change("removed", ca));
        removed.chain(added.map(|(_, ca)| change("added", ca))).collect()
    }
}

/// The current snapshot's name, and its file's length and time.
pub(super) type Stamp = (Option<String>, Option<(u64, Option<std::time::SystemTime>)>);

/// A directory of snapshots, of which one is current.
#[derive(Clone, Debug)]
pub struct Store {
    directory: PathBuf,
}

impl Store {
    /// A directory that need not be there yet.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// Where it is.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The name of the current snapshot, if anything was imported.
    ///
    /// # Errors
    /// The file system's.
    pub fn current_name(&self) -> Result<Option<String>, SnapshotError> {
        let file = self.directory.join("current");
        match fs::read_to_string(&file) {
            Ok(name) => Ok(Some(name.trim().to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(SnapshotError::File { file, error }),
        }
    }

    /// What changes when another snapshot becomes current, or somebody touches its file.
    pub(super) fn stamp(&self) -> Stamp {
        let name = self.current_name().ok().flatten();
        let file = name.as_ref().map(|name| self.directory.join(format!("{name}.json")));
        let meta = file.and_then(|file| fs::metadata(file).ok());
        let touched = meta.map(|meta| (meta.len(), meta.modified().ok()));
        (name, touched)
    }

    /// The current snapshot with its name.
    ///
    /// # Errors
    /// There is none, or it was changed.
    pub fn current(&self) -> Result<(String, Snapshot), SnapshotError> {
        let none = || SnapshotError::Nothing(self.directory.display().to_string());
        let name = self.current_name()?.ok_or_else(none)?;
        let snapshot = self.read(&name)?;
        Ok((name, snapshot))
    }

    /// The snapshot `name`, or the only one whose name begins so.
    ///
    /// # Errors
    /// There is none, or it was changed.
    pub fn read(&self, name: &str) -> Result<Snapshot, SnapshotError> {
        let full = self.full_name(name)?;
        let file = self.directory.join(format!("{full}.json"));
        let failed = |error| SnapshotError::File { file: file.clone(), error };
        let size = fs::metadata(&file).map_err(failed)?.len();
        if size > SNAPSHOT_BYTES_MAX {
            let why = format!("it has {size} octets");
            return Err(SnapshotError::Malformed(full, why));
        }
        let bytes = fs::read(&file).map_err(failed)?;
        if hex::encode(certs::sha256(&bytes)) != full {
            return Err(SnapshotError::Changed(file.display().to_string()));
        }
        let snapshot: Snapshot = serde_json::from_slice(&bytes)
            .map_err(|error| SnapshotError::Malformed(full.clone(), error.to_string()))?;
        if snapshot.format == FORMAT {
            Ok(snapshot)
        } else {
            Err(SnapshotError::Malformed(full, format!("its format is {}", snapshot.format)))
        }
    }

    /// Keeps `snapshot` and makes it current; gives its name.
    ///
    /// # Errors
    /// The file system's; then the old one stays current.
    pub fn put(&self, snapshot: &Snapshot) -> Result<String, SnapshotError> {
        let bytes = serde_json::to_vec(snapshot)
            .map_err(|error| SnapshotError::Malformed("new".to_owned(), error.to_string()))?;
        let name = hex::encode(certs::sha256(&bytes));
        self.write(&format!("{name}.json"), &bytes)?;
        self.make_current(&name)?;
        Ok(name)
    }

    /// Makes a snapshot that is there current.
    ///
    /// # Errors
    /// It is not there, or was changed.
    pub fn make_current(&self, name: &str) -> Result<String, SnapshotError> {
        let full = self.full_name(name)?;
        self.read(&full)?;
        self.write("current", full.as_bytes())?;
        Ok(full)
    }

    /// Every snapshot, the newest first.
    ///
    /// # Errors
    /// The file system's.
    pub fn all(&self) -> Result<Vec<(String, Snapshot)>, SnapshotError> {
        let mut all = Vec::new();
        for name in self.names()? {
            if let Ok(snapshot) = self.read(&name) {
                all.push((name, snapshot));
            }
        }
        all.sort_by_key(|(_, snapshot)| std::cmp::Reverse(snapshot.made_at));
        Ok(all)
    }

    fn names(&self) -> Result<Vec<String>, SnapshotError> {
        let failed = |error| SnapshotError::File { file: self.directory.clone(), error };
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let names = entries.flatten().filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            name.strip_suffix(".json").filter(|name| name.len() == 64).map(str::to_owned)
        });
        Ok(names.collect())
    }

    fn full_name(&self, name: &str) -> Result<String, SnapshotError> {
        let unknown = || SnapshotError::Unknown(name.to_owned());
        if name.is_empty() || !name.bytes().all(|octet| octet.is_ascii_hexdigit()) {
            return Err(unknown());
        }
        let mut found = self.names()?.into_iter().filter(|full| full.starts_with(name));
        let first = found.next().ok_or_else(unknown)?;
        if found.next().is_none() { Ok(first) } else { Err(unknown()) }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), SnapshotError> {
        let file = self.directory.join(name);
        let written = || -> io::Result<()> {
            fs::create_dir_all(&self.directory)?;
            let new = self.directory.join(format!("{name}.new"));
            let mut options = fs::OpenOptions::new();
            let mut open =
                options.write(true).create(true).truncate(true).mode(0o644).open(&new)?;
            open.write_all(bytes)?;
            open.sync_all()?;
            fs::rename(&new, &file)
        };
        written().map_err(|error| SnapshotError::File { file: file.clone(), error })
    }
}
