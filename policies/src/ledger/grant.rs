//! The steps of a consent's life: a code is kept, exchanged, and its refresh token used.
//!
//! What always holds, whoever runs which steps at once: of one customer, TPP, scope and bank at most
//! one access and one refresh token live; ending either ends both; a refresh ends the access token
//! before it; nothing outlives the strong authentication by more than the consent's days; a TPP that
//! was cut off has no token of before.

use certs::OrganisationId;
use jiff::{SignedDuration, Timestamp};

use super::pair::{
    ENDED_KEPT, Issuing, SPENT_KEPT, end, grant_id, grant_place, later, owner, put_token,
    read_standing, replayed, spend, standing_place,
};
use super::records::{CodeRecord, GrantRecord};
use super::{Book, Changes, Kind, Pause, Place, Step};
use crate::scope::Scope;
use crate::token::{Granted, TokenDigest, TokenKind, TokenRecord};

/// How long things live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)]
pub struct Lives {
    /// An access token, seconds.
    pub access_seconds: i64,
    /// A consent, days after the strong authentication (RTS art. 10 as amended: 180).
    pub consent_days: i64,
}

impl Lives {
    fn consent_ends(&self, strong_authentication_at: Timestamp) -> Timestamp {
        later(strong_authentication_at, SignedDuration::from_hours(24 * self.consent_days))
    }

    fn access_ends(&self, now: Timestamp, consent_ends: Timestamp) -> Timestamp {
        later(now, SignedDuration::from_secs(self.access_seconds)).min(consent_ends)
    }
}

/// Why a code or a refresh token gives nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(clippy::exhaustive_enums)]
pub enum GrantFault {
    /// There is no such code or token, or it was revoked.
    #[error("it is not known here: never issued, revoked, or replaced by a later consent")]
    Unknown,
    /// It was used before; what was issued for it has been revoked.
    #[error("it was used before; for safety every token issued from it has been revoked")]
    Replayed,
    /// The code is too old.
    #[error("the code has expired; ask for the consent again")]
    Expired,
    /// It belongs to somebody else.
    #[error("it was issued to another client")]
    OtherClient,
    /// It belongs to another bank.
    #[error("it was issued for another bank; use that bank's host")]
    OtherBank,
    /// The call-back is not the one of the authorization request.
    #[error("redirect_uri is not the one of the authorization request")]
    RedirectUri,
    /// PKCE.
    #[error("code_verifier does not fit the code_challenge of the authorization request")]
    Verifier,
    /// PKCE was not used before and is now: somebody stripped the challenge (RFC 9700 §2.1.1).
    #[error("code_verifier was sent, but the authorization request had no code_challenge")]
    Downgrade,
    /// The strong authentication is too old.
    #[error("the customer's strong authentication is too old; ask for the consent again")]
    ConsentOver,
    /// A refresh for more than the customer consented to (RFC 6749 §6).
    #[error("the scope is not the one of the consent; name that one, or leave scope out")]
    Scope,
    /// The bank suspended the TPP.
    #[error("the bank has suspended this TPP")]
    Suspended,
}

/// A code that a TPP brings (RFC 6749 §4.1.3).
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs)]
pub struct Exchange<'a> {
    /// SHA-256 of the code.
    pub code: TokenDigest,
    /// Who brings it.
    pub organisation_id: &'a OrganisationId,
    /// The client that it says it is.
    pub client_id: &'a str,
    /// At which bank's host.
    pub codetab: &'a str,
    /// The call-back that it names.
    pub redirect_uri: Option<&'a str>,
    /// The S256 challenge of the verifier that it sent.
    pub challenge: Option<&'a str>,
    /// SHA-256 of the certificate that the access token is bound to, where tokens are.
    pub certificate: Option<[u8; 32]>,
    /// SHA-256 of the tokens that it will get.
    pub access: TokenDigest,
    /// See `access`.
    pub refresh: TokenDigest,
}

/// A refresh token that a TPP brings (RFC 6749 §6).
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs)]
pub struct Refresh<'a> {
    /// SHA-256 of the refresh token.
    pub refresh: TokenDigest,
    /// Who brings it.
    pub organisation_id: &'a OrganisationId,
    /// The client that it says it is.
    pub client_id: &'a str,
    /// At which bank's host.
    pub codetab: &'a str,
    /// SHA-256 of the certificate that the access token is bound to, where tokens are. A refresh binds
    /// anew: a TPP that renewed its certificate goes on with its consents.
    pub certificate: Option<[u8; 32]>,
    /// SHA-256 of the access token that it will get.
    pub access: TokenDigest,
    /// SHA-256 of the refresh token that replaces this one, where they rotate.
    pub rotated: Option<TokenDigest>,
    /// The scope that it names: none, or that of the consent.
    pub scope: Option<&'a str>,
}

/// What was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)]
pub struct Issued {
    /// The access token's record.
    pub record: TokenRecord,
    /// When the consent ends, and the refresh token with it.
    pub consent_ends: Timestamp,
}

/// Keeps a code, of the TPP's present epoch.
///
/// # Errors
/// See [`Pause`].
pub fn keep_code(
    book: &Book<'_>,
    digest: TokenDigest,
    mut code: CodeRecord,
) -> Step<Result<(), GrantFault>> {
    let standing = read_standing(book, &code.organisation_id)?;
    if standing.suspended.is_some() {
        return Ok((Err(GrantFault::Suspended), Changes::default()));
    }
    code.epoch = standing.epoch;
    let mut changes = Changes::default();
    let until = later(code.expires_at, ENDED_KEPT);
    changes.put(Place::new(Kind::Code, digest), code.to_json(), until);
    Ok((Ok(()), changes))
}

/// Gives a pair of tokens for a code, once.
///
/// A wrong call-back or verifier of the right client burns the code: it is in wrong hands. What
/// another client says about it changes nothing, or anybody could end other people's consents.
///
/// # Errors
/// See [`Pause`].
pub fn exchange(
    book: &Book<'_>,
    asked: &Exchange<'_>,
    lives: &Lives,
    now: Timestamp,
) -> Step<Result<Issued, GrantFault>> {
    let place = Place::new(Kind::Code, asked.code);
    let spent = Place::new(Kind::Spent, asked.code);
    book.need(&[place, spent, standing_place(asked.organisation_id)])?;
    let Some(code) = book.read(place)? else {
        return replayed(book, asked.code, &owner(asked.organisation_id, asked.client_id));
    };
    let code = CodeRecord::from_json(code)?;
    if code.organisation_id != *asked.organisation_id || code.client_id != asked.client_id {
        return Ok((Err(GrantFault::OtherClient), Changes::default()));
    }
    let standing = read_standing(book, asked.organisation_id)?;
    let mut changes = Changes::default();
    changes.remove(place);
    let consent_ends = lives.consent_ends(code.strong_authentication_at);
    let fault = if standing.suspended.is_some() {
        Some(GrantFault::Suspended)
    } else if code.epoch != standing.epoch {
        Some(GrantFault::Unknown)
    } else if code.expires_at <= now {
        Some(GrantFault::Expired)
    } else if code.codetab != asked.codetab {
        Some(GrantFault::OtherBank)
    } else if asked.redirect_uri != Some(&code.redirect_uri) {
        Some(GrantFault::RedirectUri)
    } else if let Some(fault) = pkce(code.code_challenge.as_deref(), asked.challenge) {
        Some(fault)
    } else if consent_ends <= now {
        Some(GrantFault::ConsentOver)
    } else {
        None
    };
    if let Some(fault) = fault {
        return Ok((Err(fault), changes));
    }
    let grant = grant_place(&code.codetab, Some(&code.psu), &code.organisation_id, code.scope);
    end(book, grant, &mut changes)?;
    let issued = Issuing {
        organisation_id: &code.organisation_id,
        client_id: &code.client_id,
        scope: code.scope,
        codetab: &code.codetab,
        psu: Some(&code.psu),
        consent_id: Some(&code.consent_id),
        accounts: code.accounts.as_ref(),
        strong_authentication_at: code.strong_authentication_at,
        epoch: standing.epoch,
        grant: grant.id,
    };
    let record = TokenRecord {
        certificate: asked.certificate,
        ..issued.record(TokenKind::Access, now, lives.access_ends(now, consent_ends))
    };
    put_token(&mut changes, asked.access, &record);
    put_token(&mut changes, asked.refresh, &issued.record(TokenKind::Refresh, now, consent_ends));
    let pair =
        GrantRecord { access: asked.access, refresh: Some(asked.refresh), lineage: asked.code };
    changes.put(grant, pair.to_json(), later(consent_ends, ENDED_KEPT));
    let owner = owner(&code.organisation_id, &code.client_id);
    let until = later(now, SPENT_KEPT);
    spend(&mut changes, spent, [grant.id, asked.code, owner], until);
    Ok((Ok(Issued { record, consent_ends }), changes))
}

/// Gives a new access token for a refresh token; the one before dies.
///
/// # Errors
/// See [`Pause`].
pub fn refresh(
    book: &Book<'_>,
    asked: &Refresh<'_>,
    lives: &Lives,
    now: Timestamp,
) -> Step<Result<Issued, GrantFault>> {
    let place = Place::new(Kind::Token, asked.refresh);
    let spent = Place::new(Kind::Spent, asked.refresh);
    book.need(&[place, spent, standing_place(asked.organisation_id)])?;
    let Some(token) = book.read(place)? else {
        return replayed(book, asked.refresh, &owner(asked.organisation_id, asked.client_id));
    };
    let old = TokenRecord::from_json(token).map_err(|_| Pause::Damaged(Kind::Token))?;
    let nothing = Changes::default;
    let (TokenKind::Refresh, Some(granted)) = (old.kind, &old.granted) else {
        return Ok((Err(GrantFault::Unknown), nothing()));
    };
    if old.organisation_id != *asked.organisation_id || old.client_id != asked.client_id {
        return Ok((Err(GrantFault::OtherClient), nothing()));
    }
    let standing = read_standing(book, asked.organisation_id)?;
    if standing.suspended.is_some() {
        return Ok((Err(GrantFault::Suspended), nothing()));
    }
    if granted.epoch != standing.epoch {
        return Ok((Err(GrantFault::Unknown), nothing()));
    }
    if old.codetab != asked.codetab {
        return Ok((Err(GrantFault::OtherBank), nothing()));
    }
    // A consent is of one scope, so that within it there is no narrower one.
    if asked.scope.is_some_and(|scope| !scope.split(' ').all(|one| old.scopes.contains(name(one))))
    {
        return Ok((Err(GrantFault::Scope), nothing()));
    }
    let grant = Place::new(Kind::Grant, granted.grant);
    let Some(pair) = book.read(grant)? else { return Ok((Err(GrantFault::Unknown), nothing())) };
    let pair = GrantRecord::from_json(pair)?;
    if pair.refresh != Some(asked.refresh) {
        return Ok((Err(GrantFault::Unknown), nothing()));
    }
    let mut changes = Changes::default();
    let consent_ends = lives.consent_ends(old.strong_authentication_at).min(old.expires_at);
    if consent_ends <= now {
        end(book, grant, &mut changes)?;
        return Ok((Err(GrantFault::ConsentOver), changes));
    }
    changes.remove(Place::new(Kind::Token, pair.access));
    let record = TokenRecord {
        kind: TokenKind::Access,
        certificate: asked.certificate,
        issued_at: now,
        expires_at: lives.access_ends(now, consent_ends),
        ..old.clone()
    };
    put_token(&mut changes, asked.access, &record);
    if let Some(rotated) = asked.rotated {
        changes.remove(place);
        let owner = owner(&old.organisation_id, &old.client_id);
        // For as long as its family may live.
        spend(&mut changes, spent, [grant.id, pair.lineage, owner], consent_ends);
        put_token(&mut changes, rotated, &TokenRecord { issued_at: now, ..old });
    }
    let pair = GrantRecord {
        access: asked.access,
        refresh: asked.rotated.or(pair.refresh),
        lineage: pair.lineage,
    };
    changes.put(grant, pair.to_json(), later(consent_ends, ENDED_KEPT));
    Ok((Ok(Issued { record, consent_ends }), changes))
}

/// Gives an access token without a customer (RFC 6749 §4.4), in place of the one before.
///
/// # Errors
/// See [`Pause`].
pub fn give(
    book: &Book<'_>,
    record: &TokenRecord,
    scope_key: &str,
    access: TokenDigest,
) -> Step<Result<Issued, GrantFault>> {
    let id = &record.organisation_id;
    let standing = read_standing(book, id)?;
    if standing.suspended.is_some() {
        return Ok((Err(GrantFault::Suspended), Changes::default()));
    }
    let grant = Place::new(Kind::Grant, grant_id(&record.codetab, "", id, scope_key));
    let mut changes = Changes::default();
    end(book, grant, &mut changes)?;
    let granted = Granted { grant: grant.id, epoch: standing.epoch, accounts: None };
    let record = TokenRecord { granted: Some(granted), ..record.clone() };
    put_token(&mut changes, access, &record);
    let pair = GrantRecord { access, refresh: None, lineage: access };
    changes.put(grant, pair.to_json(), later(record.expires_at, ENDED_KEPT));
    let consent_ends = record.expires_at;
    Ok((Ok(Issued { record, consent_ends }), changes))
}

/// A scope by the name that records have: `piisp` is an older one.
fn name(scope: &str) -> &str {
    match Scope::from_name(scope) {
        Some(known) => known.name(),
        None => scope,
    }
}

/// RFC 7636 §4.6 and RFC 9700 §2.1.1: a verifier exactly where there was a challenge, and the right one.
fn pkce(expected: Option<&str>, sent: Option<&str>) -> Option<GrantFault> {
    match (expected, sent) {
        (None, None) => None,
        (Some(expected), Some(sent)) if expected == sent => None,
        (None, Some(_)) => Some(GrantFault::Downgrade),
        (Some(_), _) => Some(GrantFault::Verifier),
    }
}
