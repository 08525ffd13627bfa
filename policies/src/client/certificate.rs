//! The certificates that a client is enrolled with, and the ids of their keys (STET PSD2 part 1
//! §3.5.1.2, RFC 7517 §4.7).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use certs::OrganisationId;
use certs::{ClientAuthEku, Leaf, NotQwac, ProfileFault, ProfilePolicy, Qsealc, Qwac, RoleSet};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::text::is_key_id;

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(clippy::exhaustive_enums)]
pub enum CertificateKind {
    /// To be known by in TLS.
    Qwac,
    /// To sign requests with.
    Qsealc,
}

impl CertificateKind {
    /// As records and tables write it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Qwac => "qwac",
            Self::Qsealc => "qsealc",
        }
    }
}

/// A certificate that a client was enrolled with. What it is worth is judged whenever it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)]
pub struct EnrolledCertificate {
    /// What it is for.
    pub kind: CertificateKind,
    /// The certificate, then the CAs above it that were sent with it; public parts only.
    pub pem: String,
    /// SHA-256 of the certificate.
    pub fingerprint: [u8; 32],
    /// Under which id its key is known.
    pub kid: String,
    /// When it ends.
    pub not_after: Timestamp,
}

/// The id under which we know the key of a certificate: the bank's `keyId` URLs end with it.
#[must_use]
pub fn key_id(fingerprint: &[u8; 32]) -> String {
    format!("certificate_{}", hex::encode(fingerprint))
}

impl EnrolledCertificate {
    /// `kid` is kept when signatures that name it will be found, else it becomes [`key_id`].
    pub(super) fn enrol(
        kind: CertificateKind,
        leaf: &Leaf,
        chain: &[Vec<u8>],
        kid: Option<&str>,
    ) -> Self {
        let kid = kid.filter(|kid| is_key_id(kid) && names(kid, leaf)).map(str::to_owned);
        Self {
            kind,
            pem: std::iter::once(leaf.der())
                .chain(chain.iter().map(Vec::as_slice))
                .map(pem)
                .collect(),
            fingerprint: *leaf.fingerprint(),
            kid: kid.unwrap_or_else(|| key_id(leaf.fingerprint())),
            not_after: leaf.not_after(),
        }
    }
}

/// Whether `kid` ends with a fingerprint of `leaf`, or is one: 64 hexadecimal digits, or the 40 of
/// older texts, after the last `_`; an extension such as `.pem` may follow. So `keyId`s are
/// resolved too.
pub(super) fn names(kid: &str, leaf: &Leaf) -> bool {
    let last = kid.rsplit('_').next().and_then(|last| last.split('.').next());
    let octets = last.and_then(|last| hex::decode(last).ok()).unwrap_or_default();
    octets == leaf.fingerprint() || octets == leaf.fingerprint_sha1()
}

/// What `leaf` is, whose, and in which roles.
///
/// The key's extended usage is not looked at: each listener has its own rule for it.
pub(super) fn classify(
    leaf: &Leaf,
) -> Result<(CertificateKind, OrganisationId, RoleSet), ProfileFault> {
    match Qsealc::read(leaf) {
        Ok(seal) => Ok((CertificateKind::Qsealc, seal.organisation_id, seal.roles)),
        Err(ProfileFault::NotQsealc(NotQwac::NotSeal)) => {
            let policy = ProfilePolicy { client_auth_eku: ClientAuthEku::Ignore };
            let qwac = Qwac::read(leaf, &policy)?;
            Ok((CertificateKind::Qwac, qwac.organisation_id, qwac.roles))
        }
        Err(fault) => Err(fault),
    }
}

/// RFC 7468 §3.
fn pem(der: &[u8]) -> String {
    const LINE: usize = 64;
    let text = STANDARD.encode(der);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for (position, character) in text.chars().enumerate() {
        if position > 0 && position % LINE == 0 {
            pem.push('\n');
        }
        pem.push(character);
    }
    pem + "\n-----END CERTIFICATE-----\n"
}
