//! Into which bucket a request goes.

use std::fmt;

use certs::{OrganisationId, PspRole, RoleSet, Sha256};

use super::Per;
use crate::token::AccountDigest;

/// A bucket: SHA-256 of the limit's name and of what it counts apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BucketId([u8; 32]);

impl BucketId {
    /// The digest.
    #[must_use]
    pub const fn digest(&self) -> &[u8; 32] {
        &self.0
    }

    /// Names a bucket of the limit `name`. Each part is counted out, so that no two callers' parts run
    /// together into one text.
    pub(super) fn of(name: &str, per: Per, caller: &Caller<'_>) -> Self {
        let mut digest = Sha256::default();
        let mut part = |kind: u8, bytes: &[u8]| {
            let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes();
            digest.update(&[kind]);
            digest.update(&length);
            digest.update(bytes);
        };
        part(b'n', name.as_bytes());
        if per.tpp {
            part(b't', caller.organisation_id.as_str().as_bytes());
        }
        if per.api {
            part(b'a', caller.api.as_bytes());
        }
        if per.role {
            part(b'r', caller.role.map_or("", PspRole::code).as_bytes());
        }
        if per.codetab {
            part(b'b', caller.codetab.as_bytes());
        }
        if per.account {
            part(b'k', caller.account.as_ref().map_or(&[], |account| account.as_slice()));
        }
        Self(digest.finish())
    }
}

impl fmt::Debug for BucketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BucketId(_)")
    }
}

/// Who asks, and for what: all that limits count by.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    /// The TPP.
    pub organisation_id: &'a OrganisationId,
    /// The API's name.
    pub api: &'a str,
    /// The role that opens the API to it, the first of several.
    pub role: Option<PspRole>,
    /// All roles that do.
    pub roles: RoleSet,
    /// The bank.
    pub codetab: &'a str,
    /// The keyed digest of the account, or of the consent where no account is named.
    pub account: Option<AccountDigest>,
    /// Whether the customer is present.
    pub attended: bool,
}
