//! The TPPs that have been let in, by the certificates that they have shown: what ends when, and
//! what will keep them out once their issuer's habits meet a stricter bank.

use std::collections::BTreeMap;
use std::path::Path;

use certs::{
    Anchors, ClientAuthEku, Finding, Leaf, Lint, OrganisationId, ProfilePolicy, Qsealc, Qwac,
    Revocations, RoleSet,
};
use jiff::Timestamp;

use crate::register::Known;
use crate::store::{Holders, StoreError};
use crate::world::{CertifiedPath, Kept};

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(clippy::exhaustive_enums)]
pub enum Kind {
    /// To be known by in TLS.
    Qwac,
    /// To sign requests with.
    Qsealc,
}

impl Kind {
    /// As tables and metrics write it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Qwac => "qwac",
            Self::Qsealc => "qsealc",
        }
    }
}

/// One certificate of one TPP.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Shown {
    /// Whose it is.
    pub organisation_id: OrganisationId,
    /// organizationName of its subject.
    pub name: Option<String>,
    /// What it is for.
    pub kind: Kind,
    /// The payment roles in it.
    pub roles: RoleSet,
    /// When it ends.
    pub not_after: Timestamp,
    /// SHA-256.
    pub fingerprint: [u8; 32],
    /// The CA that its path ends at.
    pub anchor: String,
    /// What is wrong with its extKeyUsage: `clientAuth` missing, no extKeyUsage, or "any".
    pub purpose: Vec<Lint>,
}

impl Shown {
    /// Reads what a path's leaf says; nothing, for a certificate that names no TPP.
    #[must_use]
    pub fn read(path: &CertifiedPath) -> Option<Self> {
        let leaf = path.certificates.first()?;
        let anchor = path.certificates.last()?.subject().to_owned();
        let any_purpose = ProfilePolicy { client_auth_eku: ClientAuthEku::Ignore };
        let (kind, organisation_id, roles) = match Qwac::read(leaf, &any_purpose) {
            Ok(qwac) => (Kind::Qwac, qwac.organisation_id, qwac.roles),
            Err(_) => {
                let seal = Qsealc::read(leaf).ok()?;
                (Kind::Qsealc, seal.organisation_id, seal.roles)
            }
        };
        Some(Self {
            organisation_id,
            name: leaf.subject_organisation().map(str::to_owned),
            kind,
            roles,
            not_after: leaf.not_after(),
            fingerprint: *leaf.fingerprint(),
            anchor,
            purpose: if kind == Kind::Qwac { purpose(leaf) } else { Vec::new() },
        })
    }

    /// Whole days until it ends at `now`; negative when it has ended.
    #[must_use]
    pub fn days_left(&self, now: Timestamp) -> i64 {
        self.not_after.duration_since(now).as_hours().div_euclid(24)
    }
}

fn purpose(leaf: &Leaf) -> Vec<Lint> {
    let strict = ProfilePolicy { client_auth_eku: ClientAuthEku::Require };
    let refused = Qwac::read(leaf, &strict).err().map(|fault| Lint::of_fault(&fault));
    let warned = Finding::warnings(leaf).into_iter().map(|finding| finding.lint);
    let about_purpose = |lint: &Lint| {
        matches!(lint, Lint::ClientAuth | Lint::ExtKeyUsageMissing | Lint::ExtKeyUsageAny)
    };
    refused.into_iter().chain(warned).filter(about_purpose).collect()
}

/// Of each organisation and kind the certificate that ends last: when that ends, the TPP is out.
/// The first to end stands first.
pub fn lasting<'a>(shown: impl Iterator<Item = &'a Shown>) -> Vec<&'a Shown> {
    let mut last: BTreeMap<(&str, Kind), &Shown> = BTreeMap::new();
    for one in shown {
        let kept = last.entry((one.organisation_id.as_str(), one.kind)).or_insert(one);
        if one.not_after > kept.not_after {
            *kept = one;
        }
    }
    let mut lasting: Vec<&Shown> = last.into_values().collect();
    lasting.sort_by_key(|one| one.not_after);
    lasting
}

/// The TPPs that are known: those that were let in, as `seen` keeps their certificates, and those
/// that hold live tokens. Tells whether the tokens could be counted.
pub fn known(
    seen: Option<&Path>,
    anchors: &Anchors,
    holders: Result<Holders, StoreError>,
    now: Timestamp,
) -> (Known, bool) {
    let mut known = Known::new();
    if let Some(directory) = seen {
        let paths = Kept::new(directory).load(anchors, &mut Revocations::empty(), now);
        for shown in paths.iter().filter_map(Shown::read) {
            known.entry(shown.organisation_id).or_default();
        }
    }
    match holders {
        Ok(holders) => {
            for (id, tokens) in holders {
                *known.entry(id).or_default() += tokens;
            }
            (known, true)
        }
        Err(error) => {
            tracing::warn!(%error, "live tokens cannot be counted");
            (known, false)
        }
    }
}
