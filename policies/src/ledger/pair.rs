//! What the steps share: the pair of tokens of a grant, how it is written and how it ends.

use std::collections::BTreeSet;

use certs::OrganisationId;
use jiff::{SignedDuration, Timestamp};

use super::grant::{GrantFault, Issued};
use super::records::{GrantRecord, Standing};
use super::{Book, Changes, Kind, Pause, Place, Step};
use crate::scope::Scope;
use crate::token::{AccountDigest, Granted, Psu, TokenDigest, TokenKind, TokenRecord};

/// How long the second use of a code is recognised.
pub(super) const SPENT_KEPT: SignedDuration = SignedDuration::from_hours(24);
/// How long a record stays beyond the end of what it stands for: whoever comes late learns that it
/// has ended, and not that it never was.
pub(super) const ENDED_KEPT: SignedDuration = SignedDuration::from_hours(24);

/// Reads whether a TPP may hold tokens.
///
/// # Errors
/// It was not read yet, or cannot be.
pub fn read_standing(book: &Book<'_>, organisation_id: &OrganisationId) -> Result<Standing, Pause> {
    Ok(Standing::from_json(book.read(standing_place(organisation_id))?)?)
}

/// Where the standing of a TPP lies.
pub(crate) fn standing_place(organisation_id: &OrganisationId) -> Place {
    Place::named(Kind::Standing, organisation_id.as_str())
}

/// A second use: what the first one gave has been in two hands (RFC 6749 §4.1.2, RFC 9700 §4.14.2).
/// A later consent has tokens that were never in doubt, and keeps them. So does everybody when a
/// stranger says it: a used code lies about in logs and histories, and whoever finds one could
/// otherwise end other people's consents.
pub(super) fn replayed(
    book: &Book<'_>,
    digest: TokenDigest,
    owner: &[u8; 32],
) -> Step<Result<Issued, GrantFault>> {
    let mut changes = Changes::default();
    let spent = Place::new(Kind::Spent, digest);
    let Some(page) = book.read(spent)? else { return Ok((Err(GrantFault::Unknown), changes)) };
    let ([grant, lineage, spender], []) = page.as_chunks::<32>() else {
        return Err(Pause::Damaged(Kind::Spent));
    };
    if spender != owner {
        return Ok((Err(GrantFault::OtherClient), changes));
    }
    let grant = Place::new(Kind::Grant, *grant);
    let pair = book.read(grant)?.map(GrantRecord::from_json).transpose()?;
    if pair.is_some_and(|pair| pair.lineage == *lineage) {
        end(book, grant, &mut changes)?;
    }
    Ok((Err(GrantFault::Replayed), changes))
}

/// Remembers that a secret was used, which grant and lineage came of it, and whose it was.
pub(super) fn spend(changes: &mut Changes, spent: Place, page: [[u8; 32]; 3], until: Timestamp) {
    changes.put(spent, page.concat(), until);
}

/// Who used a secret.
pub(super) fn owner(organisation_id: &OrganisationId, client_id: &str) -> [u8; 32] {
    digest_of(&[organisation_id.as_str(), client_id])
}

/// Ends the pair of a grant, if there is one.
pub(super) fn end(book: &Book<'_>, grant: Place, changes: &mut Changes) -> Result<(), Pause> {
    let Some(page) = book.read(grant)? else { return Ok(()) };
    let pair = GrantRecord::from_json(page)?;
    for token in [Some(pair.access), pair.refresh].into_iter().flatten() {
        changes.remove(Place::new(Kind::Token, token));
    }
    changes.remove(grant);
    Ok(())
}

pub(super) struct Issuing<'a> {
    pub(super) organisation_id: &'a OrganisationId,
    pub(super) client_id: &'a str,
    pub(super) scope: Scope,
    pub(super) codetab: &'a str,
    pub(super) psu: Option<&'a Psu>,
    pub(super) consent_id: Option<&'a str>,
    pub(super) accounts: Option<&'a BTreeSet<AccountDigest>>,
    pub(super) strong_authentication_at: Timestamp,
    pub(super) epoch: u64,
    pub(super) grant: [u8; 32],
}

impl Issuing<'_> {
    pub(super) fn record(
        &self,
        kind: TokenKind,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> TokenRecord {
        TokenRecord {
            kind,
            organisation_id: self.organisation_id.clone(),
            client_id: self.client_id.to_owned(),
            scopes: BTreeSet::from([self.scope.name().to_owned()]),
            codetab: self.codetab.to_owned(),
            psu: self.psu.cloned(),
            consent_id: self.consent_id.map(str::to_owned),
            issued_at: now,
            expires_at,
            strong_authentication_at: self.strong_authentication_at,
            certificate: None,
            granted: Some(Granted {
                grant: self.grant,
                epoch: self.epoch,
                accounts: self.accounts.cloned(),
            }),
        }
    }
}

pub(super) fn put_token(changes: &mut Changes, digest: TokenDigest, record: &TokenRecord) {
    let until = later(record.expires_at, ENDED_KEPT);
    changes.put(Place::new(Kind::Token, digest), record.to_json(), until);
}

pub(super) fn grant_place(
    codetab: &str,
    psu: Option<&Psu>,
    organisation_id: &OrganisationId,
    scope: Scope,
) -> Place {
    let psu = psu.map(Psu::expose).unwrap_or_default();
    Place::new(Kind::Grant, grant_id(codetab, psu, organisation_id, scope.name()))
}

pub(super) fn grant_id(
    codetab: &str,
    psu: &str,
    organisation_id: &OrganisationId,
    scope: &str,
) -> [u8; 32] {
    digest_of(&[codetab, psu, organisation_id.as_str(), scope])
}

/// Each part stands behind its length, so that no two lists of parts read the same.
pub(super) fn digest_of(parts: &[&str]) -> [u8; 32] {
    let mut digest = certs::Sha256::default();
    for part in parts {
        digest.update(&(part.len() as u64).to_be_bytes());
        digest.update(part.as_bytes());
    }
    digest.finish()
}

pub(super) fn later(instant: Timestamp, by: SignedDuration) -> Timestamp {
    instant.checked_add(by).unwrap_or(Timestamp::MAX)
}
