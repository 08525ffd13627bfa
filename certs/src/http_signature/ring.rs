//! The known seals. A `keyId` only chooses among them.

use std::collections::HashMap;
use std::sync::Arc;

use openssl::pkey::{PKey, Public};
use thiserror::Error;

use crate::leaf::{Leaf, LeafError};

/// A certificate that requests may be signed with.
#[derive(Clone, Debug)]
pub struct Seal {
    certificate: Arc<Leaf>,
    /// What was sent with it: the CAs between it and an anchor, in DER.
    sent: Vec<Vec<u8>>,
    key: PKey<Public>,
}

impl Seal {
    /// Takes a certificate with the CAs that were enrolled with it. What it is worth is judged when
    /// it is used.
    ///
    /// # Errors
    /// OpenSSL cannot read its key.
    pub fn new(certificate: Leaf, sent: Vec<Vec<u8>>) -> Result<Self, openssl::error::ErrorStack> {
        let key = PKey::public_key_from_der(certificate.key_der())?;
        Ok(Self { certificate: Arc::new(certificate), sent, key })
    }

    /// Reads one QSEALC in PEM, with the CAs above it after it, or in DER.
    ///
    /// # Errors
    /// It is no certificate, or OpenSSL cannot read its key.
    pub fn read(bytes: &[u8]) -> Result<Self, SealError> {
        let (leaf, sent) = match bytes.first() {
            // A SEQUENCE.
            Some(0x30) => (Leaf::from_der(bytes)?, Vec::new()),
            _ => Leaf::from_pem(bytes)?,
        };
        Self::new(leaf, sent).map_err(|_| SealError::Key)
    }

    /// Whether this is the certificate that `key_id` names by a fingerprint, if it names any.
    pub fn is_named_by(&self, key_id: &str) -> bool {
        fingerprint(key_id).is_none_or(|fingerprint| match fingerprint.len() {
            20 => fingerprint == self.certificate.fingerprint_sha1(),
            32 => fingerprint == *self.certificate.fingerprint(),
            _ => true,
        })
    }

    /// The certificate.
    pub fn certificate(&self) -> &Arc<Leaf> {
        &self.certificate
    }

    /// The CAs that were enrolled with it.
    pub fn sent(&self) -> &[Vec<u8>] {
        &self.sent
    }

    pub(super) fn key(&self) -> &PKey<Public> {
        &self.key
    }
}

/// Why there is no seal in some bytes.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SealError {
    /// No certificate.
    #[error(transparent)]
    Leaf(#[from] LeafError),
    /// OpenSSL cannot read its key.
    #[error("its key cannot be read")]
    Key,
}

/// The octets after the last underscore of `key_id`, or of all of it (STET part 1 §3.5.1.2). An
/// extension such as `.pem` may follow.
fn fingerprint(key_id: &str) -> Option<Vec<u8>> {
    let last = key_id.rsplit('_').next()?;
    hex::decode(last.split('.').next()?).ok()
}

/// Seals by the fingerprints that a keyId may end with.
#[derive(Clone, Debug, Default)]
pub struct SealRing {
    by_sha256: HashMap<[u8; 32], Arc<Seal>>,
    by_sha1: HashMap<[u8; 20], Arc<Seal>>,
}

impl SealRing {
    /// Adds a seal.
    pub fn add(&mut self, seal: Seal) {
        let seal = Arc::new(seal);
        self.by_sha1.insert(seal.certificate.fingerprint_sha1(), Arc::clone(&seal));
        self.by_sha256.insert(*seal.certificate.fingerprint(), seal);
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.by_sha256.len()
    }

    /// None.
    pub fn is_empty(&self) -> bool {
        self.by_sha256.is_empty()
    }

    /// Every seal.
    pub fn iter(&self) -> impl Iterator<Item = &Seal> {
        self.by_sha256.values().map(|seal| &**seal)
    }

    /// The seal whose fingerprint `key_id` ends with, or is.
    pub fn find(&self, key_id: &str, sha1: bool) -> Option<&Seal> {
        let octets = fingerprint(key_id)?;
        if let Ok(sha256) = <[u8; 32]>::try_from(octets.as_slice()) {
            return self.by_sha256.get(&sha256).map(|seal| &**seal);
        }
        let short = <[u8; 20]>::try_from(octets.as_slice()).ok().filter(|_| sha1)?;
        self.by_sha1.get(&short).map(|seal| &**seal)
    }
}
