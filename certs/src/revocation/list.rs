//! Certificate revocation lists (RFC 5280 §5).

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use openssl::pkey::PKey;
use openssl::x509::X509Crl;
use thiserror::Error;
use x509_parser::asn1_rs::FromDer;
use x509_parser::extensions::X509Extension;
use x509_parser::oid_registry as known;
use x509_parser::pem::Pem;
use x509_parser::revocation_list::CertificateRevocationList;

use super::instant;
use crate::anchors::issuer_id;
use crate::chain::IssuerId;
use crate::digest::sha256;
use crate::leaf::{Leaf, SignatureAlgorithm};
use crate::limits::{CRL_BYTES_MAX, CRL_ENTRIES_MAX};

/// A complete list whose issuer's signature was verified. Whether it counts now is asked at each
/// request.
#[derive(Clone, PartialEq, Eq)]
pub struct RevocationList {
    fingerprint: [u8; 32],
    issuer: IssuerId,
    /// cRLNumber's octets without leading zeros; they order the lists of one issuer.
    number: Box<[u8]>,
    pub(super) this_update: Timestamp,
    pub(super) next_update: Timestamp,
    pub(super) revoked: HashMap<Box<[u8]>, Timestamp>,
}

/// Why a file gives no revocation list.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CrlError {
    /// Over the bound.
    #[error("{file}: larger than {CRL_BYTES_MAX} octets")]
    TooLarge {
        /// The file.
        file: String,
    },
    /// Neither PEM nor DER of RFC 5280 §5.1.
    #[error("{file}: not a certificate revocation list, or cut off")]
    Malformed {
        /// The file.
        file: String,
    },
    /// Without nextUpdate nobody knows until when it counts (§5.1.2.5).
    #[error("{file}: the list has no nextUpdate")]
    NoNextUpdate {
        /// The file.
        file: String,
    },
    /// Without cRLNumber nobody knows which of two lists is the newer (§5.2.3).
    #[error("{file}: the list has no cRLNumber")]
    NoNumber {
        /// The file.
        file: String,
    },
    /// A delta list, an indirect one, a list for some certificates only, or something unheard of
    /// (§5.2, §5.3).
    #[error("{file}: the list has the critical extension {oid}, so it is no complete list")]
    Critical {
        /// The file.
        file: String,
        /// The extension.
        oid: String,
    },
    /// Too many.
    #[error("{file}: more than {CRL_ENTRIES_MAX} entries")]
    TooManyEntries {
        /// The file.
        file: String,
    },
    /// With SHA-1 or worse, a list can be forged.
    #[error("{file}: the list is signed with {algorithm}, which is not accepted")]
    WeakSignature {
        /// The file.
        file: String,
        /// Its name or OID.
        algorithm: String,
    },
    /// Signed by somebody else.
    #[error("{file}: no anchor signed the list; it names the issuer {issuer}")]
    NotSigned {
        /// The file.
        file: String,
        /// The issuer that it names.
        issuer: String,
    },
}

impl RevocationList {
    /// Reads a list in PEM or DER that one of `issuers` signed; `file` is for errors.
    ///
    /// # Errors
    /// It is no complete list that one of them signed.
    pub fn read<'i>(
        file: &str,
        bytes: &[u8],
        mut issuers: impl Iterator<Item = &'i Arc<Leaf>>,
    ) -> Result<Self, CrlError> {
        let file = || file.to_owned();
        if bytes.len() > CRL_BYTES_MAX {
            return Err(CrlError::TooLarge { file: file() });
        }
        let malformed = || CrlError::Malformed { file: file() };
        let pem = if bytes.trim_ascii_start().starts_with(b"-----BEGIN") {
            let block = Pem::iter_from_buffer(bytes).next().and_then(Result::ok);
            Some(block.filter(|block| block.label == "X509 CRL").ok_or_else(malformed)?.contents)
        } else {
            None
        };
        let der = pem.as_deref().unwrap_or(bytes);
        let (rest, crl) = CertificateRevocationList::from_der(der).map_err(|_| malformed())?;
        if !rest.is_empty() {
            return Err(malformed());
        }
        let critical = |extensions: &[X509Extension<'_>]| {
            let unread = |extension: &&X509Extension<'_>| {
                extension.critical && extension.oid != known::OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER
            };
            let found = extensions.iter().find(unread)?;
            Some(CrlError::Critical { file: file(), oid: found.oid.to_id_string() })
        };
        if let Some(fault) = critical(crl.extensions()) {
            return Err(fault);
        }
        let algorithm = SignatureAlgorithm::read(&crl.signature_algorithm);
        if !algorithm.is_accepted() {
            let algorithm = algorithm.to_string();
            return Err(CrlError::WeakSignature { file: file(), algorithm });
        }
        let verifiable = X509Crl::from_der(der).map_err(|_| malformed())?;
        let signer = issuers.find(|issuer| {
            issuer.subject_der() == crl.issuer().as_raw() && signed(&verifiable, issuer)
        });
        let Some(signer) = signer else {
            let issuer = crl.issuer().to_string();
            return Err(CrlError::NotSigned { file: file(), issuer });
        };
        let next_update =
            crl.next_update().ok_or_else(|| CrlError::NoNextUpdate { file: file() })?;
        let mut revoked = HashMap::new();
        for entry in crl.iter_revoked_certificates() {
            if revoked.len() == CRL_ENTRIES_MAX {
                return Err(CrlError::TooManyEntries { file: file() });
            }
            if let Some(fault) = critical(entry.extensions()) {
                return Err(fault);
            }
            let since = instant(entry.revocation_date).ok_or_else(malformed)?;
            revoked.insert(entry.raw_serial().into(), since);
        }
        let number = crl.crl_number().ok_or_else(|| CrlError::NoNumber { file: file() })?;
        Ok(Self {
            fingerprint: sha256(der),
            issuer: issuer_id(signer),
            number: number.to_bytes_be().into(),
            this_update: instant(crl.last_update()).ok_or_else(malformed)?,
            next_update: instant(next_update).ok_or_else(malformed)?,
            revoked,
        })
    }

    /// SHA-256 of it in DER.
    pub fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// Whose list it is.
    pub fn issuer(&self) -> &IssuerId {
        &self.issuer
    }

    /// Since when it counts.
    pub fn this_update(&self) -> Timestamp {
        self.this_update
    }

    /// Until when it counts.
    pub fn next_update(&self) -> Timestamp {
        self.next_update
    }

    /// How many certificates it names.
    pub fn len(&self) -> usize {
        self.revoked.len()
    }

    /// Whether it names none.
    pub fn is_empty(&self) -> bool {
        self.revoked.is_empty()
    }

    /// Whether `other`, of the same issuer, was made before this one: then it must not take its
    /// place, however it came here.
    pub fn supersedes(&self, other: &Self) -> bool {
        let (ours, theirs) = (&self.number, &other.number);
        let order = ours.len().cmp(&theirs.len()).then_with(|| ours.cmp(theirs));
        order.then(self.this_update.cmp(&other.this_update)).is_ge()
    }
}

fn signed(list: &X509Crl, issuer: &Leaf) -> bool {
    issuer.key_usage().is_none_or(|usage| usage.crl_sign())
        && PKey::public_key_from_der(issuer.key_der())
            .and_then(|key| list.verify(&key))
            .unwrap_or(false)
}
