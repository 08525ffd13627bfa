//! What the trusted lists say at one time.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use certs::{Anchors, Leaf, ServicePeriod, TrustedList, Use};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::archive::Archived;

/// The layout of a snapshot.
const FORMAT: u32 = 1;

/// Everything that the lists said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    pub(super) format: u32,
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

impl Archived for Snapshot {
    const VERB: &'static str = "octroi trust";
    const FIRST: &'static str = "octroi trust import --dir DIR …";

    fn foreign(&self) -> Option<String> {
        (self.format != FORMAT).then(|| format!("its format is {}", self.format))
    }

    fn dated(&self) -> Timestamp {
        self.made_at
    }
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
