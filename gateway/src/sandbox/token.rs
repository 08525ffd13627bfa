//! Access tokens of the sandbox, minted without a browser: the record that the authorization server
//! would write after the PSU's strong authentication (RFC 6749 §5.1, RFC 6750).

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use certs::OrganisationId;
use jiff::{SignedDuration, Timestamp};
use policies::{Psu, TokenKind, TokenName, TokenRecord};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use super::persona::{Persona, UnknownPersona};
use crate::store::{Store, StoreError};

/// How long an access token lives.
pub const TOKEN_LIFE: SignedDuration = SignedDuration::from_secs(3600);
/// Entropy of a token: 256 bits.
const TOKEN_BYTES: usize = 32;

/// What `octroi sandbox token` posts to the admin listener.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// Whose token it will be, as its certificate writes it.
    pub organisation_id: String,
    /// The key of the persona who consents.
    pub persona: String,
    /// Scopes, separated by blanks (RFC 6749 §3.3).
    pub scope: String,
    /// The bank that the token opens; without it the bank of the persona's accounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codetab: Option<String>,
}

/// The answer, in the shape of RFC 6749 §5.1. It holds a secret, so it has no `Debug`.
#[derive(Serialize, Deserialize)]
pub struct TokenResponse {
    /// The bearer token.
    pub access_token: String,
    /// Always `Bearer`.
    pub token_type: String,
    /// Seconds from now.
    pub expires_in: u64,
    /// The scopes that were granted.
    pub scope: String,
}

impl TokenRequest {
    /// Mints the token that is asked for. The route that calls this has checked the admin key.
    ///
    /// # Errors
    /// A member of the request says nothing sensible, or the store does not keep the record.
    pub async fn mint(
        &self,
        store: &dyn Store,
        now: Timestamp,
    ) -> Result<TokenResponse, MintError> {
        let persona: Persona = self.persona.parse()?;
        let organisation_id = OrganisationId::new(&self.organisation_id)?;
        let scopes = scopes(&self.scope)?;
        let codetab = self.codetab.as_deref().unwrap_or_else(|| persona.codetab());
        let (token, record) = mint(store, persona, &organisation_id, scopes, codetab, now).await?;
        Ok(TokenResponse {
            access_token: token,
            token_type: "Bearer".to_owned(),
            expires_in: TOKEN_LIFE.unsigned_abs().as_secs(),
            scope: record.scopes.iter().map(String::as_str).collect::<Vec<_>>().join(" "),
        })
    }
}

/// Mints an access token for `organisation_id`, as if `persona` had just authenticated strongly at
/// the bank `codetab` and consented. Only the SHA-256 of the token is kept.
///
/// # Errors
/// There are no random numbers, or the store does not keep the record.
pub async fn mint(
    store: &dyn Store,
    persona: Persona,
    organisation_id: &OrganisationId,
    scopes: BTreeSet<String>,
    codetab: &str,
    now: Timestamp,
) -> Result<(String, TokenRecord), MintError> {
    let mut bytes = [0; TOKEN_BYTES];
    openssl::rand::rand_bytes(&mut bytes).map_err(|_| MintError::NoRandomness)?;
    let token = URL_SAFE_NO_PAD.encode(bytes);
    let record = TokenRecord {
        kind: TokenKind::Access,
        organisation_id: organisation_id.clone(),
        client_id: organisation_id.as_str().to_owned(),
        scopes,
        codetab: codetab.to_owned(),
        psu: Some(Psu::new(persona.key().to_owned())),
        consent_id: Some(Uuid::new_v4().to_string()),
        issued_at: now,
        // At the end of time a token is born expired.
        expires_at: now.checked_add(TOKEN_LIFE).unwrap_or(now),
        strong_authentication_at: now,
        granted: None,
    };
    store.put_token(&TokenName::of(token.as_bytes()), &record).await?;
    Ok((token, record))
}

/// `scope = scope-token *( SP scope-token )` of RFC 6749 §3.3.
fn scopes(text: &str) -> Result<BTreeSet<String>, MintError> {
    let token = |token: &str| {
        let character = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        (!token.is_empty() && token.bytes().all(character)).then(|| token.to_owned())
    };
    text.split(' ').map(token).collect::<Option<_>>().ok_or(MintError::Scope)
}

/// Why there is no token.
#[derive(Debug, Error)]
pub enum MintError {
    /// Nobody of this name lives in the sandbox.
    #[error("persona: {0}")]
    Persona(#[from] UnknownPersona),
    /// No TPP can have this name.
    #[error("organisation_id: {0}")]
    OrganisationId(#[from] certs::OrganisationIdError),
    /// Not a list of scopes.
    #[error(
        "scope: not a list of scope tokens (RFC 6749 §3.3). To mend: write, for example, cbpii"
    )]
    Scope,
    /// The system gives no random numbers.
    #[error("the system gives no random numbers, and a token without them could be guessed")]
    NoRandomness,
    /// The record was not kept, so the token would not be known.
    #[error(transparent)]
    Store(#[from] StoreError),
}
