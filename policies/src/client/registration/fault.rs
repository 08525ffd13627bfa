//! What can be wrong with a registration, and what to write instead.

use certs::{LeafError, OrganisationIdError, ProfileFault};
use jiff::Timestamp;
use thiserror::Error;

use super::super::{RedirectUriFault, TextFault};
use crate::limits::{
    CLIENT_CERTIFICATES_MAX, CLIENT_CHAIN_CERTIFICATES_MAX, CLIENT_RECORD_BYTES_MAX,
    LOGO_BYTES_MAX, REDIRECT_URIS_MAX, REGISTRATION_BYTES_MAX, REGISTRATION_DEPTH_MAX,
};

/// What is wrong with a registration. Says where, never what stands there.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RegistrationFault {
    /// Somebody has sent us what nobody may have.
    #[error(
        "the body holds a private key ({member}); it must be treated as compromised: revoke the \
         certificate and make a new key; nothing was stored"
    )]
    PrivateKey {
        /// Where, such as `jwks.keys[0].d`.
        member: String,
    },
    /// Over the bound.
    #[error("the body is larger than the {REGISTRATION_BYTES_MAX} bytes accepted here")]
    TooLarge,
    /// Not JSON.
    #[error("the body is not JSON: wrong at line {line}, column {column}")]
    Json {
        /// From 1.
        line: usize,
        /// From 1, in bytes.
        column: usize,
    },
    /// One name twice in one object: two readers would see two values.
    #[error("a member stands twice in one object, the second time at line {line}, column {column}")]
    Duplicate {
        /// From 1.
        line: usize,
        /// From 1, in bytes.
        column: usize,
    },
    /// Nested too deeply.
    #[error("the body is nested more than {REGISTRATION_DEPTH_MAX} levels deep")]
    TooDeep,
    /// Another JSON type.
    #[error("{member} must be {shape}")]
    Shape {
        /// Which.
        member: &'static str,
        /// What it must be.
        shape: &'static str,
    },
    /// A member that must be there is not.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A text that cannot be kept.
    #[error("{member} {fault}")]
    Text {
        /// Which.
        member: &'static str,
        /// Why.
        fault: TextFault,
    },
    /// One value is possible, and it is another.
    #[error("{member} must be {wanted}, the only one here")]
    Only {
        /// Which.
        member: &'static str,
        /// The value.
        wanted: &'static str,
    },
    /// None or too many.
    #[error("redirect_uris must have 1 to {REDIRECT_URIS_MAX} addresses")]
    RedirectUris,
    /// One that cannot be enrolled.
    #[error("redirect_uris[{index}] cannot be enrolled: {fault}")]
    RedirectUri {
        /// From 0.
        index: usize,
        /// Why.
        fault: RedirectUriFault,
    },
    /// The same twice.
    #[error("redirect_uris[{index}] stands in the list before; leave it out")]
    RedirectUriTwice {
        /// From 0.
        index: usize,
    },
    /// A grant that is not offered.
    #[error(
        "grant_types[{index}] is none of authorization_code, refresh_token and client_credentials"
    )]
    GrantType {
        /// From 0.
        index: usize,
    },
    /// A scope that nobody knows.
    #[error("scope has a word that is no scope here; write aisp, cbpii or both, with a space")]
    Scope,
    /// Nothing would be left to ask for.
    #[error("scope names nothing that is offered here; write aisp, cbpii or both, with a space")]
    NoScope,
    /// No organisation id.
    #[error(
        "provider_legal_id cannot be used: {fault}; write the organizationIdentifier of the \
         certificates, such as PSDFR-ACPR-12345"
    )]
    LegalId {
        /// Why.
        fault: OrganisationIdError,
    },
    /// A logo over the bound.
    #[error("logo is longer than {LOGO_BYTES_MAX} bytes; leave it out, it is not kept here")]
    Logo,
    /// Keys elsewhere (RFC 7591 §2: never both).
    #[error(
        "jwks_uri is not fetched here; leave it out and write the certificates into jwks.keys, \
         each as x5c"
    )]
    JwksUri,
    /// None or too many.
    #[error("jwks.keys must have 1 to {CLIENT_CERTIFICATES_MAX} keys, each with its x5c")]
    Keys,
    /// One that cannot be enrolled.
    #[error("jwks.keys[{key}] cannot be enrolled: {fault}")]
    Certificate {
        /// From 0.
        key: usize,
        /// Why.
        fault: CertificateFault,
    },
    /// Nobody could sign.
    #[error("jwks.keys has no QSEALC; add the certificate with which the requests are signed")]
    NoSeal,
    /// Somebody else's word about the software.
    #[error(
        "software_statement is not taken here, as nobody's statements are approved; leave it out, \
         the certificates speak for the TPP"
    )]
    SoftwareStatement,
    /// No JWT in any case.
    #[error("software_statement must be a text; leave it out, none is approved here")]
    SoftwareStatementShape,
    /// Each part fits, all of them do not.
    #[error(
        "what would be stored is larger than {CLIENT_RECORD_BYTES_MAX} bytes; send fewer \
         certificates, CAs or redirect_uris"
    )]
    RecordTooLarge,
}

impl RegistrationFault {
    /// RFC 7591 §3.2.2.
    #[must_use]
    pub const fn error_code(&self) -> &'static str {
        match self {
            Self::RedirectUris | Self::RedirectUri { .. } | Self::RedirectUriTwice { .. } => {
                "invalid_redirect_uri"
            }
            Self::SoftwareStatement => "unapproved_software_statement",
            Self::SoftwareStatementShape => "invalid_software_statement",
            _ => "invalid_client_metadata",
        }
    }
}

/// Why one key cannot be enrolled.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CertificateFault {
    /// Another JSON type.
    #[error("it must be an object")]
    Shape,
    /// A bare key says nothing about whose it is.
    #[error("it has no x5c; write the certificate there in base64, then the CAs above it, if any")]
    Missing,
    /// Not base64, nor PEM.
    #[error(
        "x5c[{index}] is neither base64 (RFC 7517 §4.7: not base64url) nor PEM of a certificate"
    )]
    Encoding {
        /// From 0.
        index: usize,
    },
    /// Too many CAs.
    #[error("x5c has more than {CLIENT_CHAIN_CERTIFICATES_MAX} certificates beside the first")]
    Chain,
    /// No certificate.
    #[error("x5c[{index}]: {fault}")]
    Leaf {
        /// From 0.
        index: usize,
        /// Why.
        fault: LeafError,
    },
    /// Neither QWAC nor QSEALC.
    #[error("{0}")]
    Profile(ProfileFault),
    /// Somebody else's.
    #[error("the organizationIdentifier of its certificate is not provider_legal_id")]
    OtherOrganisation,
    /// Over.
    #[error("its certificate ended on {0}; write the one that follows it")]
    Expired(Timestamp),
    /// The same twice.
    #[error("its certificate stands in jwks.keys before; leave it out")]
    Twice,
    /// OpenSSL cannot read the key.
    #[error("the public key in its certificate cannot be read")]
    Key,
    /// `x5t#S256` of another certificate.
    #[error("x5t#S256 is not the SHA-256 of its certificate; mend it or leave it out")]
    Thumbprint,
}
