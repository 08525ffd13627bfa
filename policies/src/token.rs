//! What an access token says, and what it allows.
//!
//! Tokens are opaque; what is stored under their SHA-256 is a [`TokenRecord`], a documented JSON
//! object that a bank's own authorization server may write too.

mod name;
mod wire;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use certs::OrganisationId;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::check::Source;
use crate::limits::CLOCK_SKEW_SECONDS_MAX;
use crate::reason::Reason;
use crate::routes::Api;
use crate::verdict::Refusal;

/// The SHA-256 of a bearer token: the only form in which it is ever kept or compared.
pub type TokenDigest = [u8; 32];

pub use name::{Partition, SECRET_BYTES, SecretKind, TokenName};
pub use wire::TokenRecordError;

/// The keyed HMAC of an IBAN.
pub type AccountDigest = [u8; 32];

/// What a token may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(clippy::exhaustive_enums)]
pub enum TokenKind {
    /// To call an API.
    Access,
    /// To get another access token.
    Refresh,
}

impl TokenKind {
    /// As records and tables write it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Refresh => "refresh",
        }
    }
}

/// The customer whom a token speaks for. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Psu(String);

impl Psu {
    /// The bank's reference of a customer.
    #[must_use]
    pub fn new(reference: String) -> Self {
        Self(reference)
    }

    /// For the adapter's header and the audit's HMAC, nowhere else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Psu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Psu([redacted])")
    }
}

/// What is stored of a token. Instants are whole seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRecord {
    /// Access or refresh.
    pub kind: TokenKind,
    /// The TPP that it was issued to.
    pub organisation_id: OrganisationId,
    /// The client id that it was issued under.
    pub client_id: String,
    /// Its scopes.
    pub scopes: BTreeSet<String>,
    /// The bank that issued it.
    pub codetab: String,
    /// The customer who consented.
    pub psu: Option<Psu>,
    /// The consent behind it.
    pub consent_id: Option<String>,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it dies.
    pub expires_at: Timestamp,
    /// When the customer was last strongly authenticated (RTS art. 10); the age is computed.
    pub strong_authentication_at: Timestamp,
    /// SHA-256 of the only certificate that may present it (RFC 8705 §3); none: any of its TPP.
    pub certificate: Option<[u8; 32]>,
    /// What our own authorization server keeps beside it.
    pub granted: Option<Granted>,
}

/// What ties a token to the grant that it was issued by.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)]
pub struct Granted {
    /// The grant.
    pub grant: [u8; 32],
    /// The TPP's epoch when it was issued: with the next one it is dead.
    pub epoch: u64,
    /// The accounts that the customer chose; none: the adapter knows them.
    pub accounts: Option<BTreeSet<AccountDigest>>,
}

impl TokenRecord {
    /// Where it lies: what our own authorization server issued lies in its TPP's part.
    #[must_use]
    pub fn partition(&self) -> Option<Partition> {
        self.granted.as_ref().map(|_| Partition::of(&self.organisation_id))
    }
}

/// What the store answered about a token: facts, never errors that someone may swallow.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_enums)]
pub enum TokenFact {
    /// There is such a token.
    Live {
        /// What it says.
        record: Arc<TokenRecord>,
        /// When the store said so.
        as_of: Timestamp,
        /// Whether it was asked just now.
        source: Source,
    },
    /// There is none.
    Unknown,
    /// There may be one, but the bank suspended its TPP.
    Suspended,
    /// There is something, and it is no record.
    Unreadable,
    /// The store did not answer, and nothing recent enough is at hand.
    Unavailable,
}

/// RFC 6750 §2.1: `Bearer`, one space, one b64token.
///
/// # Errors
/// `token_malformed`.
pub(crate) fn bearer(authorization: &[u8]) -> Result<&[u8], Refusal> {
    const TOKEN_BYTES_MIN: usize = 16;
    // A JWT with its claims; an opaque token has a tenth of it.
    const TOKEN_BYTES_MAX: usize = 4096;
    let malformed = || Refusal::new(Reason::TokenMalformed);
    let (scheme, token) = authorization.split_at_checked(7).ok_or_else(malformed)?;
    let body = token.trim_ascii_end().len() == token.len();
    let unpadded = token.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    let alphabet = token.get(..unpadded).unwrap_or_default().iter().all(|byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/')
    });
    let fits = (TOKEN_BYTES_MIN..=TOKEN_BYTES_MAX).contains(&token.len());
    if scheme.eq_ignore_ascii_case(b"bearer ") && body && alphabet && fits {
        Ok(token)
    } else {
        Err(malformed())
    }
}

/// Whether a live record is an access token of this TPP for this bank, and not expired.
///
/// # Errors
/// The first rule that does not hold.
pub(crate) fn belongs(
    record: &TokenRecord,
    organisation_id: &OrganisationId,
    certificate: &[u8; 32],
    codetab: &str,
    now: Timestamp,
) -> Result<(), Refusal> {
    if record.kind != TokenKind::Access {
        return Err(Refusal::because(Reason::TokenUnknown, "a refresh token opens no API"));
    }
    if record.organisation_id != *organisation_id {
        return Err(Refusal::new(Reason::TokenOtherTpp));
    }
    if record.certificate.is_some_and(|bound| bound != *certificate) {
        return Err(Refusal::new(Reason::TokenOtherCertificate));
    }
    if record.expires_at <= now {
        return Err(Refusal::new(Reason::TokenExpired));
    }
    if record.codetab != codetab {
        return Err(Refusal::new(Reason::TokenOtherBank));
    }
    Ok(())
}

/// The scope of the token that the API accepts, by its place in the API's list.
///
/// # Errors
/// `token_scope`, naming what would do.
pub(crate) fn scope(record: &TokenRecord, api: &Api) -> Result<usize, Refusal> {
    api.scopes.iter().position(|scope| record.scopes.contains(scope)).ok_or_else(|| {
        Refusal::because(
            Reason::TokenScope,
            format!("this API needs one of the scopes: {}", api.scopes.join(", ")),
        )
    })
}

/// Whether the customer's strong authentication is recent enough, to the second.
///
/// # Errors
/// `consent_expired`, also for an authentication that lies in the future beyond clock skew.
pub(crate) fn consent(record: &TokenRecord, api: &Api, now: Timestamp) -> Result<(), Refusal> {
    let age = now.duration_since(record.strong_authentication_at);
    let age_max = SignedDuration::from_hours(24 * i64::from(api.consent_days_max));
    if age < SignedDuration::from_secs(-CLOCK_SKEW_SECONDS_MAX) || age > age_max {
        return Err(Refusal::because(
            Reason::ConsentExpired,
            format!(
                "the customer's strong authentication must be at most {} days old",
                api.consent_days_max
            ),
        ));
    }
    Ok(())
}
