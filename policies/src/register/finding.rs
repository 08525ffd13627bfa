//! What a person should look at in a snapshot, though every row of it was read.

use std::collections::HashMap;

use serde::Serialize;

use super::authority::{Authority, carries_siren, squeezed};
use super::record::{Origin, Record, Status};
use super::snapshot::Snapshot;

/// What there is to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::exhaustive_enums)]
pub enum FindingKind {
    /// Its reference holds white space: certificates may leave it out.
    ReferenceSpaces,
    /// Another firm's id differs from its own only in spaces, hyphens or case.
    Alike,
    /// Its authority's code is not the one of TS 119 495: its id is derived with both.
    AuthorityCode,
    /// A French firm whose SIREN leads to no CIB: no organisation id is known.
    NoCib,
    /// One of its services has a code that nobody knows.
    UnknownService,
    /// Nobody can tell whether it may act.
    Unclear,
}

impl FindingKind {
    /// A sentence.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::ReferenceSpaces => "its reference holds white space",
            Self::Alike => "another id differs only in spaces, hyphens or case",
            Self::AuthorityCode => "its authority's code is not the one of TS 119 495",
            Self::NoCib => "its SIREN leads to no CIB",
            Self::UnknownService => "one of its services has a code that nobody knows",
            Self::Unclear => "nobody can tell whether it may act",
        }
    }
}

/// One thing to look at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// What.
    pub kind: FindingKind,
    /// Which register.
    pub origin: Origin,
    /// The register's name of the row.
    pub code: Box<str>,
    /// Its organisation ids, or its reference where there is none.
    pub about: String,
}

impl Snapshot {
    /// Everything that a person should look at: derivations that could be wrong are listed, never
    /// guessed silently.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let mut squeezed_ids: HashMap<String, &str> = HashMap::new();
        let mut twice: Vec<String> = Vec::new();
        for id in self.records.iter().flat_map(|record| &record.ids) {
            let key = squeezed(id);
            match squeezed_ids.get(&key) {
                Some(known) if *known != &**id => twice.push(key),
                _ => {
                    squeezed_ids.insert(key, id);
                }
            }
        }
        twice.sort_unstable();
        let is_alike = |id: &str| twice.binary_search(&squeezed(id)).is_ok();
        let of_regafi = self.records.iter().filter(|record| record.origin == Origin::Regafi);
        let mut sirens: Vec<&str> = of_regafi.map(|record| &*record.reference).collect();
        sirens.sort_unstable();
        let mut findings = Vec::new();
        for record in &self.records {
            let mut find = |kind| findings.push(Finding::of(kind, record));
            if record.reference.chars().any(char::is_whitespace) {
                find(FindingKind::ReferenceSpaces);
            }
            if record.ids.iter().any(|id| is_alike(id)) {
                find(FindingKind::Alike);
            }
            let known = record.authority.split_once('_').and_then(|(c, _)| Authority::of(c));
            if record.ids.len() > known.map_or(1, |authority| authority.codes.len())
                && record.origin != Origin::Regafi
            {
                find(FindingKind::AuthorityCode);
            }
            if carries_siren(record.origin, &record.authority)
                && record.ids.is_empty()
                && sirens.binary_search(&&*record.reference).is_err()
            {
                find(FindingKind::NoCib);
            }
            if !record.unknown_services.is_empty() {
                find(FindingKind::UnknownService);
            }
            if matches!(record.status, Status::Unclear(_)) {
                find(FindingKind::Unclear);
            }
        }
        findings.sort();
        findings
    }
}

impl Finding {
    fn of(kind: FindingKind, record: &Record) -> Self {
        let ids = record.ids.join(", ");
        let about = if ids.is_empty() { record.reference.to_string() } else { ids };
        Self { kind, origin: record.origin, code: record.code.clone(), about }
    }
}
