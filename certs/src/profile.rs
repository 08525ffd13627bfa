//! Whether a certificate is a QWAC for payment services, fit for a TLS client, or a QSEALC, fit to
//! seal a request (ETSI TS 119 495 §5, EN 319 412-3 and -4, RFC 5280 §4.2.1).

mod name;

use thiserror::Error;

use crate::leaf::{KeyUsage, Leaf};
use crate::organisation::OrganisationId;
use crate::qc_statements::{Psd2Statement, QcFault, QcStatements, QcType};
use crate::role::RoleSet;

pub use name::NameFault;

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

/// A certificate with which an organisation seals what it sends.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Qsealc {
    /// The one organizationIdentifier, byte for byte.
    pub organisation_id: OrganisationId,
    /// The payment roles; empty where the seal has no PSD2 statement, which it need not have.
    pub roles: RoleSet,
}

/// Why a certificate names no TPP that may call.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[allow(clippy::exhaustive_enums)]
pub enum ProfileFault {
    /// Another kind of certificate.
    #[error("the certificate is no QWAC: {0}")]
    NotQwac(NotQwac),
    /// Not a QSEALC, where one was asked for.
    #[error("the certificate is no QSEALC: {0}")]
    NotQsealc(NotQwac),
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
    OrganisationIdMalformed(NameFault),
}

/// Why a certificate is not the qualified certificate that was asked for.
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
    /// A certificate for the web or for a person, or no QcType.
    #[error("its QcType is not electronic seal (EN 319 412-5 §4.2.3)")]
    NotSeal,
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
    /// A seal's keyUsage without nonRepudiation and digitalSignature, or none (EN 319 412-2
    /// §4.3.2).
    #[error("its keyUsage allows neither contentCommitment (nonRepudiation) nor digitalSignature")]
    SealKeyUsage,
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
        let statements = qualified(leaf).map_err(ProfileFault::NotQwac)?;
        if statements.types != [QcType::Web] {
            return Err(ProfileFault::NotQwac(NotQwac::NotWeb));
        }
        let psd2 = statements.psd2.as_ref().ok_or(ProfileFault::NotQwac(NotQwac::NoPsd2))?;
        fits_tls_client(leaf, policy).map_err(ProfileFault::Purpose)?;
        Ok(Self {
            organisation_id: organisation_id(leaf, Some(psd2))?,
            roles: psd2.roles,
            authority_name: psd2.authority_name.clone(),
            authority_id: psd2.authority_id.clone(),
        })
    }
}

impl Qsealc {
    /// Judges `leaf`: first whether it is a QSEALC, then whether it fits, then whom it names.
    ///
    /// # Errors
    /// The first thing that is wrong, in that order.
    pub fn read(leaf: &Leaf) -> Result<Self, ProfileFault> {
        let statements = qualified(leaf).map_err(ProfileFault::NotQsealc)?;
        if statements.types != [QcType::Eseal] {
            return Err(ProfileFault::NotQsealc(NotQwac::NotSeal));
        }
        fits_seal(leaf).map_err(ProfileFault::Purpose)?;
        let psd2 = statements.psd2.as_ref();
        Ok(Self {
            organisation_id: organisation_id(leaf, psd2)?,
            roles: psd2.map_or(RoleSet::EMPTY, |psd2| psd2.roles),
        })
    }
}

/// The statements of a certificate that is qualified under the law of the EU.
fn qualified(leaf: &Leaf) -> Result<&QcStatements, NotQwac> {
    let statements = leaf.qc().map_err(|fault| NotQwac::Statements(fault.clone()))?;
    if !statements.compliance {
        return Err(NotQwac::NoCompliance);
    }
    if !statements.legislation.is_empty() {
        return Err(NotQwac::OtherLegislation);
    }
    Ok(statements)
}

fn fits_tls_client(leaf: &Leaf, policy: &ProfilePolicy) -> Result<(), Purpose> {
    is_end_entity(leaf)?;
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

fn fits_seal(leaf: &Leaf) -> Result<(), Purpose> {
    is_end_entity(leaf)?;
    let seals = |usage: KeyUsage| usage.content_commitment() || usage.digital_signature();
    if !leaf.key_usage().is_some_and(seals) {
        return Err(Purpose::SealKeyUsage);
    }
    strong(leaf)
}

fn is_end_entity(leaf: &Leaf) -> Result<(), Purpose> {
    if leaf.version() != 3 {
        return Err(Purpose::Version(leaf.version()));
    }
    if leaf.is_ca() { Err(Purpose::Ca) } else { Ok(()) }
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

fn organisation_id(
    leaf: &Leaf,
    psd2: Option<&Psd2Statement>,
) -> Result<OrganisationId, ProfileFault> {
    match leaf.organisation_ids() {
        [] => Err(ProfileFault::OrganisationIdMissing),
        [value] => name::judge(value, leaf, psd2).map_err(ProfileFault::OrganisationIdMalformed),
        _ => Err(ProfileFault::OrganisationIdAmbiguous),
    }
}
