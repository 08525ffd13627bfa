//! The records of the authorization server: versioned JSON, bounded, whole seconds.

use std::collections::BTreeSet;

use certs::OrganisationId;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Kind, Pause};
use crate::limits::LEDGER_RECORD_BYTES_MAX;
use crate::scope::Scope;
use crate::token::{AccountDigest, Psu, TokenDigest};

/// Why stored bytes are no record. Says where, never what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a stored {} record cannot be read", .0.code())]
#[non_exhaustive]
pub struct RecordError(pub Kind);

impl From<RecordError> for Pause {
    fn from(RecordError(kind): RecordError) -> Self {
        Self::Damaged(kind)
    }
}

const FORMAT: u8 = 1;

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    v: u8,
    #[serde(flatten)]
    record: T,
}

fn read<T: DeserializeOwned>(kind: Kind, bytes: &[u8]) -> Result<T, RecordError> {
    if bytes.len() > LEDGER_RECORD_BYTES_MAX {
        return Err(RecordError(kind));
    }
    let versioned: Versioned<T> = serde_json::from_slice(bytes).map_err(|_| RecordError(kind))?;
    if versioned.v == FORMAT { Ok(versioned.record) } else { Err(RecordError(kind)) }
}

fn write<T: Serialize>(record: &T) -> Vec<u8> {
    // Plain values always serialise.
    serde_json::to_vec(&Versioned { v: FORMAT, record }).unwrap_or_default()
}

/// An authorization code that waits for its TPP (RFC 6749 §4.1.2).
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)]
pub struct CodeRecord {
    /// The TPP that asked for it.
    pub organisation_id: OrganisationId,
    /// Its application.
    pub client_id: String,
    /// The call-back that the code was sent to.
    pub redirect_uri: String,
    /// The PKCE challenge, by S256 (RFC 7636 §4.2).
    pub code_challenge: Option<String>,
    /// What the customer consented to.
    pub scope: Scope,
    /// At which bank.
    pub codetab: String,
    /// Who consented.
    pub psu: Psu,
    /// The consent.
    pub consent_id: String,
    /// The accounts that were chosen.
    pub accounts: Option<BTreeSet<AccountDigest>>,
    /// When the customer was strongly authenticated.
    pub strong_authentication_at: Timestamp,
    /// When the code dies.
    pub expires_at: Timestamp,
    /// The TPP's epoch when the code was given.
    pub epoch: u64,
}

#[derive(Serialize, Deserialize)]
struct CodeWire {
    organisation_id: String,
    client_id: String,
    redirect_uri: String,
    code_challenge: Option<String>,
    scope: String,
    codetab: String,
    psu: String,
    consent_id: String,
    accounts: Option<BTreeSet<String>>,
    strong_authentication_at: i64,
    expires_at: i64,
    epoch: u64,
}

impl CodeRecord {
    /// Reads the stored form.
    ///
    /// # Errors
    /// Anything else.
    pub fn from_json(bytes: &[u8]) -> Result<Self, RecordError> {
        let fault = RecordError(Kind::Code);
        let wire: CodeWire = read(Kind::Code, bytes)?;
        Ok(Self {
            organisation_id: OrganisationId::new(&wire.organisation_id).map_err(|_| fault)?,
            client_id: wire.client_id,
            redirect_uri: wire.redirect_uri,
            code_challenge: wire.code_challenge,
            scope: Scope::from_name(&wire.scope).ok_or(fault)?,
            codetab: wire.codetab,
            psu: Psu::new(wire.psu),
            consent_id: wire.consent_id,
            accounts: wire.accounts.map(|all| digests(&all)).transpose().map_err(|()| fault)?,
            strong_authentication_at: instant(wire.strong_authentication_at).ok_or(fault)?,
            expires_at: instant(wire.expires_at).ok_or(fault)?,
            epoch: wire.epoch,
        })
    }

    /// The stored form.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        write(&CodeWire {
            organisation_id: self.organisation_id.as_str().to_owned(),
            client_id: self.client_id.clone(),
            redirect_uri: self.redirect_uri.clone(),
            code_challenge: self.code_challenge.clone(),
            scope: self.scope.name().to_owned(),
            codetab: self.codetab.clone(),
            psu: self.psu.expose().to_owned(),
            consent_id: self.consent_id.clone(),
            accounts: self.accounts.as_ref().map(|all| all.iter().map(hex::encode).collect()),
            strong_authentication_at: self.strong_authentication_at.as_second(),
            expires_at: self.expires_at.as_second(),
            epoch: self.epoch,
        })
    }
}

/// The pair of tokens that a consent stands behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)]
pub struct GrantRecord {
    /// The access token that is live, or was last.
    pub access: TokenDigest,
    /// The refresh token; none for a grant without a customer.
    pub refresh: Option<TokenDigest>,
    /// What it began with: the code. Its second use ends the grant, and no later one.
    pub lineage: TokenDigest,
}

#[derive(Serialize, Deserialize)]
struct GrantWire {
    access: String,
    refresh: Option<String>,
    lineage: String,
}

impl GrantRecord {
    /// Reads the stored form.
    ///
    /// # Errors
    /// Anything else.
    pub fn from_json(bytes: &[u8]) -> Result<Self, RecordError> {
        let fault = RecordError(Kind::Grant);
        let wire: GrantWire = read(Kind::Grant, bytes)?;
        let refresh = wire.refresh.map(|text| digest(&text).ok_or(fault)).transpose()?;
        Ok(Self {
            access: digest(&wire.access).ok_or(fault)?,
            refresh,
            lineage: digest(&wire.lineage).ok_or(fault)?,
        })
    }

    /// The stored form.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        write(&GrantWire {
            access: hex::encode(self.access),
            refresh: self.refresh.map(hex::encode),
            lineage: hex::encode(self.lineage),
        })
    }
}

/// Whether a TPP may hold tokens. Without a record: it may, and its epoch is 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)]
pub struct Standing {
    /// Whose it is.
    pub organisation_id: Option<OrganisationId>,
    /// Grows with each cut; a token of an earlier epoch is dead.
    pub epoch: u64,
    /// When the last cut was, for tokens of other authorization servers, which know no epochs.
    pub cut_at: Option<Timestamp>,
    /// It gets none.
    pub suspended: Option<Suspension>,
}

/// Who suspended a TPP, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs)]
pub struct Suspension {
    /// Who did it.
    pub by: String,
    /// Why.
    pub because: String,
}

#[derive(Serialize, Deserialize)]
struct StandingWire {
    organisation_id: Option<String>,
    epoch: u64,
    cut_at: Option<i64>,
    suspended: Option<Suspension>,
}

impl Standing {
    /// Reads the stored form; no record is the standing of a TPP of which nothing is known.
    ///
    /// # Errors
    /// Anything else.
    pub fn from_json(bytes: Option<&[u8]>) -> Result<Self, RecordError> {
        let fault = RecordError(Kind::Standing);
        let Some(bytes) = bytes else { return Ok(Self::default()) };
        let wire: StandingWire = read(Kind::Standing, bytes)?;
        let organisation_id = wire.organisation_id.map(|id| OrganisationId::new(&id));
        Ok(Self {
            organisation_id: organisation_id.transpose().map_err(|_| fault)?,
            epoch: wire.epoch,
            cut_at: wire.cut_at.map(|at| instant(at).ok_or(fault)).transpose()?,
            suspended: wire.suspended,
        })
    }

    /// The stored form.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        write(&StandingWire {
            organisation_id: self.organisation_id.as_ref().map(|id| id.as_str().to_owned()),
            epoch: self.epoch,
            cut_at: self.cut_at.map(|at| at.as_second()),
            suspended: self.suspended.clone(),
        })
    }

    /// Whether a token that was issued so is still one.
    #[must_use]
    pub fn allows(&self, record: &crate::TokenRecord) -> bool {
        let current = match &record.granted {
            Some(granted) => granted.epoch == self.epoch,
            None => self.cut_at.is_none_or(|cut_at| record.issued_at > cut_at),
        };
        current && self.suspended.is_none()
    }
}

fn instant(seconds: i64) -> Option<Timestamp> {
    Timestamp::from_second(seconds).ok()
}

fn digest(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    hex::decode_to_slice(text, &mut digest).ok().map(|()| digest)
}

fn digests(texts: &BTreeSet<String>) -> Result<BTreeSet<AccountDigest>, ()> {
    texts.iter().map(|text| digest(text).ok_or(())).collect()
}
