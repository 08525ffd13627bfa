//! The stored form of a token record: one JSON object, of two versions.

use std::collections::BTreeSet;

use certs::OrganisationId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Granted, Psu, TokenKind, TokenRecord};
use crate::limits::{TOKEN_RECORD_BYTES_MAX, TOKEN_TEXT_BYTES_MAX};

/// The version of a record that any authorization server may write.
const FORMAT: u8 = 1;
/// The version of a record that our own authorization server writes: it belongs to a grant.
const FORMAT_OF_GRANTS: u8 = 2;

/// Why stored bytes are no token record. Says where, never what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenRecordError {
    /// More than [`TOKEN_RECORD_BYTES_MAX`].
    #[error("larger than {TOKEN_RECORD_BYTES_MAX} bytes")]
    TooLarge,
    /// Not JSON of this shape.
    #[error("not a token record: wrong at line {line}, column {column}")]
    Shape {
        /// 1-based.
        line: usize,
        /// 1-based.
        column: usize,
    },
    /// Another format version.
    #[error(
        "format version {0} is not known here; this gateway reads {FORMAT} and {FORMAT_OF_GRANTS}"
    )]
    Version(u8),
    /// A member holds what it must not; the name is one of ours.
    #[error("the member \"{0}\" is not usable")]
    Member(&'static str),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    v: u8,
    kind: TokenKind,
    organisation_id: String,
    client_id: String,
    scopes: BTreeSet<String>,
    codetab: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    psu: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    consent_id: Option<String>,
    issued_at: i64,
    expires_at: i64,
    strong_authentication_at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    grant: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    epoch: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    accounts: Option<BTreeSet<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
}

impl Wire {
    /// Only the second version knows it.
    fn certificate(&self) -> Result<Option<[u8; 32]>, TokenRecordError> {
        let fault = TokenRecordError::Member("certificate");
        match &self.certificate {
            None => Ok(None),
            Some(_) if self.v != FORMAT_OF_GRANTS => Err(fault),
            Some(text) => {
                let mut digest = [0; 32];
                hex::decode_to_slice(text, &mut digest).map_err(|_| fault)?;
                Ok(Some(digest))
            }
        }
    }

    /// Whether all members are there that belong to the version, and no other.
    fn granted(&self) -> Result<Option<Granted>, TokenRecordError> {
        match (self.v, &self.grant, self.epoch, &self.accounts) {
            (FORMAT, None, None, None) => Ok(None),
            (FORMAT_OF_GRANTS, Some(grant), Some(epoch), accounts) => {
                let digest = |name, text: &String| {
                    let mut digest = [0; 32];
                    hex::decode_to_slice(text, &mut digest)
                        .map(|()| digest)
                        .map_err(|_| TokenRecordError::Member(name))
                };
                let accounts = accounts.as_ref().map(|accounts| {
                    accounts.iter().map(|account| digest("accounts", account)).collect()
                });
                let accounts = accounts.transpose()?;
                Ok(Some(Granted { grant: digest("grant", grant)?, epoch, accounts }))
            }
            _ => Err(TokenRecordError::Member("grant")),
        }
    }
}

#[derive(Deserialize)]
struct Version {
    v: u8,
}

impl TokenRecord {
    /// Reads the stored form.
    ///
    /// # Errors
    /// Anything that is not exactly a record: what cannot be read allows nothing.
    pub fn from_json(bytes: &[u8]) -> Result<Self, TokenRecordError> {
        if bytes.len() > TOKEN_RECORD_BYTES_MAX {
            return Err(TokenRecordError::TooLarge);
        }
        let shape = |error: serde_json::Error| TokenRecordError::Shape {
            line: error.line(),
            column: error.column(),
        };
        let version: Version = serde_json::from_slice(bytes).map_err(shape)?;
        if !matches!(version.v, FORMAT | FORMAT_OF_GRANTS) {
            return Err(TokenRecordError::Version(version.v));
        }
        let wire: Wire = serde_json::from_slice(bytes).map_err(shape)?;
        let instant = |name, seconds| {
            Timestamp::from_second(seconds).map_err(|_| TokenRecordError::Member(name))
        };
        let text = |name, text: &str| {
            let usable = !text.is_empty()
                && text.len() <= TOKEN_TEXT_BYTES_MAX
                && !text.chars().any(char::is_control);
            if usable { Ok(()) } else { Err(TokenRecordError::Member(name)) }
        };
        text("client_id", &wire.client_id)?;
        text("codetab", &wire.codetab)?;
        wire.psu.as_deref().map_or(Ok(()), |psu| text("psu", psu))?;
        wire.consent_id.as_deref().map_or(Ok(()), |id| text("consent_id", id))?;
        wire.scopes.iter().try_for_each(|scope| text("scopes", scope))?;
        let (granted, certificate) = (wire.granted()?, wire.certificate()?);
        Ok(Self {
            granted,
            certificate,
            kind: wire.kind,
            organisation_id: OrganisationId::new(&wire.organisation_id)
                .map_err(|_| TokenRecordError::Member("organisation_id"))?,
            client_id: wire.client_id,
            scopes: wire.scopes,
            codetab: wire.codetab,
            psu: wire.psu.map(Psu),
            consent_id: wire.consent_id,
            issued_at: instant("issued_at", wire.issued_at)?,
            expires_at: instant("expires_at", wire.expires_at)?,
            strong_authentication_at: instant(
                "strong_authentication_at",
                wire.strong_authentication_at,
            )?,
        })
    }

    /// The stored form.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let granted = self.granted.as_ref();
        let accounts = granted.and_then(|granted| granted.accounts.as_ref());
        let wire = Wire {
            v: if granted.is_some() { FORMAT_OF_GRANTS } else { FORMAT },
            kind: self.kind,
            organisation_id: self.organisation_id.as_str().to_owned(),
            client_id: self.client_id.clone(),
            scopes: self.scopes.clone(),
            codetab: self.codetab.clone(),
            psu: self.psu.as_ref().map(|psu| psu.0.clone()),
            consent_id: self.consent_id.clone(),
            issued_at: self.issued_at.as_second(),
            expires_at: self.expires_at.as_second(),
            strong_authentication_at: self.strong_authentication_at.as_second(),
            grant: granted.map(|granted| hex::encode(granted.grant)),
            certificate: self.certificate.map(hex::encode),
            epoch: granted.map(|granted| granted.epoch),
            accounts: accounts.map(|accounts| accounts.iter().map(hex::encode).collect()),
        };
        // A struct of strings and integers always serialises.
        serde_json::to_vec(&wire).unwrap_or_default()
    }
}
