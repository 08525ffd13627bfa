//! Whether a certificate is a QWAC for payment services, fit for a TLS client (ETSI TS 119 495
//! §5, EN 319 412-4, RFC 5280 §4.2.1).

use thiserror::Error;

use crate::leaf::{Leaf, OrganisationIdValue};
use crate::organisation::{OrganisationId, OrganisationIdError};
use crate::qc_statements::{QcFault, QcType};
use crate::role::RoleSet;

/// What is asked of the extended key usage. Public roots have stopped to issue certificates for
/// clients, so a bank may have to take what its QTSPs can still give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum ClientAuthEku {
    /// id-kp-clientAuth, or no extended key usage at all (RFC 5280 §4.2.1.12: then any purpose).
    Require,
    /// id-kp-serverAuth alone is enough.
    AcceptServerAuthOnly,
    /// It is not looked at.
    Ignore,
}

/// What a QWAC must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)]
pub struct ProfilePolicy {
    /// What is asked of the extended key usage.
    pub client_auth_eku: ClientAuthEku,
}

/// A certificate that says who its holder is and in which payment roles.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Qwac {
    /// The one organizationIdentifier, byte for byte.
    pub organisation_id: OrganisationId,
    /// The roles whose OIDs we know; it may be empty, which opens nothing.
    pub roles: RoleSet,
    /// nCAName.
    pub authority_name: String,
    /// nCAId, such as `FR-ACPR`.
    pub authority_id: String,
}

/// Why a certificate names no TPP that may call.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[allow(clippy::exhaustive_enums)]
pub enum ProfileFault {
    /// Another kind of certificate.
    #[error("the certificate is no QWAC: {0}")]
    NotQwac(NotQwac),
    /// A QWAC that a TLS client must not be known by.
    #[error("the certificate may not be used here: {0}")]
    Purpose(Purpose),
    /// No organizationIdentifier.
    #[error("the certificate's subject has no organizationIdentifier (2.5.4.97)")]
    OrganisationIdMissing,
    /// Several.
    #[error("the certificate's subject has more than one organizationIdentifier (2.5.4.97)")]
    OrganisationIdAmbiguous,
    /// One that cannot be compared.
    #[error("the organizationIdentifier in the certificate's subject cannot be used: {0}")]
    OrganisationIdMalformed(String),
}

/// Why a certificate is no QWAC.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NotQwac {
    /// No or malformed qcStatements.
    #[error("{0}")]
    Statements(QcFault),
    /// Nothing says that it is qualified.
    #[error("its qcStatements lack QcCompliance (EN 319 412-5 §4.2.1)")]
    NoCompliance,
    /// Qualified under another law than the EU's.
    #[error("it is qualified under the law of another territory (QcCClegislation)")]
    OtherLegislation,
    /// A seal, a signature, or no QcType.
    #[error("its QcType is not web authentication (EN 319 412-5 §4.2.3)")]
    NotWeb,
    /// No payment roles.
    #[error("its qcStatements lack the PSD2 statement (TS 119 495 §5.1)")]
    NoPsd2,
}

/// Why a QWAC does not fit a TLS client.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Purpose {
    /// Version 1 or 2: no extensions to rely on.
    #[error("it is an X.509 version {0} certificate, version 3 is needed")]
    Version(u32),
    /// cA = TRUE.
    #[error("it is a CA certificate")]
    Ca,
    /// keyUsage without digitalSignature.
    #[error("its keyUsage does not allow digitalSignature")]
    KeyUsage,
    /// extKeyUsage without clientAuth.
    #[error("its extKeyUsage does not allow clientAuth")]
    ClientAuth,
    /// Weak or exotic key.
    #[error(
        "its key ({kind}) is not accepted: RSA 2048 to 8192, P-256, P-384, P-521 or Ed25519 is"
    )]
    Key {
        /// Such as "RSA 1024".
        kind: String,
    },
    /// Weak signature.
    #[error("its issuer signed it with {0}, which is not accepted")]
    Signature(String),
}

impl Qwac {
    /// Judges `leaf`: first whether it is a QWAC, then whether it fits, then whom it names.
    ///
    /// # Errors
    /// The first thing that is wrong, in that order.
    pub fn read(leaf: &Leaf, policy: &ProfilePolicy) -> Result<Self, ProfileFault> {
        let statements = leaf.qc().map_err(|fault| NotQwac::Statements(fault.clone()));
        let statements = statements.map_err(ProfileFault::NotQwac)?;
        let not = |fault| Err(ProfileFault::NotQwac(fault));
        if !statements.compliance {
            return not(NotQwac::NoCompliance);
        }
        if !statements.legislation.is_empty() {
            return not(NotQwac::OtherLegislation);
        }
        if statements.types != [QcType::Web] {
            return not(NotQwac::NotWeb);
        }
        let Some(psd2) = &statements.psd2 else { return not(NotQwac::NoPsd2) };
        fits(leaf, policy).map_err(ProfileFault::Purpose)?;
        Ok(Self {
            organisation_id: organisation_id(leaf.organisation_ids())?,
            roles: psd2.roles,
            authority_name: psd2.authority_name.clone(),
            authority_id: psd2.authority_id.clone(),
        })
    }
}

fn fits(leaf: &Leaf, policy: &ProfilePolicy) -> Result<(), Purpose> {
    if leaf.version() != 3 {
        return Err(Purpose::Version(leaf.version()));
    }
    if leaf.is_ca() {
        return Err(Purpose::Ca);
    }
    if leaf.key_usage().is_some_and(|usage| !usage.digital_signature()) {
        return Err(Purpose::KeyUsage);
    }
    let purposes = leaf.ext_key_usage();
    let client = match policy.client_auth_eku {
        ClientAuthEku::Require => purposes.is_none_or(|purposes| purposes.client_auth),
        ClientAuthEku::AcceptServerAuthOnly => {
            purposes.is_none_or(|purposes| purposes.client_auth || purposes.server_auth)
        }
        ClientAuthEku::Ignore => true,
    };
    if !client {
        return Err(Purpose::ClientAuth);
    }
    strong(leaf)
}

/// Key and signature of a certificate that anything is built on (TS 119 312).
fn strong(leaf: &Leaf) -> Result<(), Purpose> {
    let key = leaf.key();
    if !key.is_accepted() {
        return Err(Purpose::Key { kind: key.to_string() });
    }
    let signature = leaf.signature_algorithm();
    if !signature.is_accepted() {
        return Err(Purpose::Signature(signature.to_string()));
    }
    Ok(())
}

fn organisation_id(values: &[OrganisationIdValue]) -> Result<OrganisationId, ProfileFault> {
    let value = match values {
        [] => return Err(ProfileFault::OrganisationIdMissing),
        [value] => value,
        _ => return Err(ProfileFault::OrganisationIdAmbiguous),
    };
    let malformed = |why: String| ProfileFault::OrganisationIdMalformed(why);
    if !value.string_type.is_accepted() {
        return Err(malformed(format!(
            "it is a {}, UTF8String or PrintableString is accepted",
            value.string_type
        )));
    }
    let Some(text) = &value.text else {
        return Err(malformed("its octets are not of its string type, or too many".to_owned()));
    };
    OrganisationId::new(text).map_err(|error: OrganisationIdError| malformed(error.to_string()))
}
