//! An enrolled application of a TPP.

use std::collections::BTreeSet;
use std::fmt;

use certs::OrganisationId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{EnrolledCertificate, RedirectUri, Setting};
use crate::limits::CLIENT_RECORD_BYTES_MAX;

/// How a client may come by tokens (RFC 6749 §1.3 and §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::exhaustive_enums)]
pub enum GrantType {
    /// With a code, after the customer's consent.
    AuthorizationCode,
    /// With a refresh token.
    RefreshToken,
    /// With its certificate alone.
    ClientCredentials,
}

impl GrantType {
    /// Every one.
    pub const ALL: [Self; 3] =
        [Self::AuthorizationCode, Self::RefreshToken, Self::ClientCredentials];

    /// As RFC 6749 writes it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::RefreshToken => "refresh_token",
            Self::ClientCredentials => "client_credentials",
        }
    }

    /// The one that `code` names, in small letters.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|grant| grant.code() == code)
    }
}

/// By which door a client came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(clippy::exhaustive_enums)]
pub enum EnrolmentSource {
    /// The portal, where a person enrolled it.
    Portal,
    /// The registration API.
    Register,
}

/// Whom to ask about a client. Never printed.
#[derive(Clone, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)]
pub struct Contact {
    /// A person or a desk.
    pub name: Option<String>,
    /// Its e-mail address.
    pub email: Option<String>,
    /// Its telephone number.
    pub phone: Option<String>,
}

impl Contact {
    /// Nothing is known.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.name.is_none() && self.email.is_none() && self.phone.is_none()
    }
}

impl fmt::Debug for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Contact([redacted])")
    }
}

/// An enrolled application (RFC 6749 §2, RFC 7591 §2). Instants are whole seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)]
pub struct Client {
    /// Under which id it asks for tokens. Not always its organisation id.
    pub client_id: String,
    /// Whose it is: what its QWAC must say.
    pub organisation_id: OrganisationId,
    /// The name that customers are shown.
    pub name: String,
    /// What it does.
    pub description: Option<String>,
    /// Where it was enrolled.
    pub setting: Setting,
    /// Where its customers may be sent; at least one.
    pub redirect_uris: Vec<RedirectUri>,
    /// How it may come by tokens.
    pub grant_types: BTreeSet<GrantType>,
    /// Which scopes it may ask for: `aisp`, `cbpii`. Having them here opens nothing: the roles in
    /// its certificate and the customer's consent do.
    pub scopes: BTreeSet<String>,
    /// Whom to ask about it.
    pub contact: Contact,
    /// Its logo; never fetched.
    pub logo_uri: Option<String>,
    /// Its page; never fetched.
    pub client_uri: Option<String>,
    /// Its terms of service; never fetched.
    pub tos_uri: Option<String>,
    /// Its policy; never fetched.
    pub policy_uri: Option<String>,
    /// The agent that uses it (`client_legal_id`, `AGT…`).
    pub agent_id: Option<String>,
    /// Which software it is.
    pub software_id: Option<String>,
    /// Which version of it.
    pub software_version: Option<String>,
    /// Its certificates.
    pub certificates: Vec<EnrolledCertificate>,
    /// When it was enrolled.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
    /// By which door it came in.
    pub source: EnrolmentSource,
}

impl Client {
    /// An application that a person enrolled: every grant, and nothing else yet, neither a scope nor a
    /// call-back.
    #[must_use]
    pub fn by_a_person(
        client_id: String,
        organisation_id: OrganisationId,
        name: String,
        setting: Setting,
        now: Timestamp,
    ) -> Self {
        Self {
            client_id,
            organisation_id,
            name,
            description: None,
            setting,
            redirect_uris: Vec::new(),
            grant_types: BTreeSet::from(GrantType::ALL),
            scopes: BTreeSet::new(),
            contact: Contact::default(),
            logo_uri: None,
            client_uri: None,
            tos_uri: None,
            policy_uri: None,
            agent_id: None,
            software_id: None,
            software_version: None,
            certificates: Vec::new(),
            created_at: now,
            updated_at: now,
            source: EnrolmentSource::Portal,
        }
    }
}

/// Why stored bytes are no client record. Says where, never what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientRecordError {
    /// More than [`CLIENT_RECORD_BYTES_MAX`].
    #[error("larger than {CLIENT_RECORD_BYTES_MAX} bytes")]
    TooLarge,
    /// Not JSON of this shape.
    #[error("not a client record: wrong at line {line}, column {column}")]
    Shape {
        /// 1-based.
        line: usize,
        /// 1-based.
        column: usize,
    },
    /// Another format version.
    #[error("format version {0} is not known here; this gateway reads version {known}", known = super::wire::FORMAT)]
    Version(u8),
    /// A member holds what it must not; the name is one of ours.
    #[error("the member \"{0}\" is not usable")]
    Member(&'static str),
}

/// The scope that `text` names here (STET calls `cbpii` `piisp` before 1.5), if it names any.
pub(super) fn scope(text: &str) -> Option<&'static str> {
    match text {
        "aisp" => Some("aisp"),
        "cbpii" | "piisp" => Some("cbpii"),
        _ => None,
    }
}
