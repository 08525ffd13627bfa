//! The known seals. A `keyId` only chooses among them.

use std::collections::HashMap;
use std::sync::Arc;

use openssl::pkey::{PKey, Public};

use crate::leaf::Leaf;

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

    /// The seal whose fingerprint stands after the last underscore of `key_id`, or is all of it
    /// (STET part 1 §3.5.1.2). An extension such as `.pem` may follow.
    pub fn find(&self, key_id: &str, sha1: bool) -> Option<&Seal> {
        let last = key_id.rsplit('_').next()?;
        let digits = last.split('.').next()?;
        let octets = hex::decode(digits).ok()?;
        if let Ok(sha256) = <[u8; 32]>::try_from(octets.as_slice()) {
            return self.by_sha256.get(&sha256).map(|seal| &**seal);
        }
        let short = <[u8; 20]>::try_from(octets.as_slice()).ok().filter(|_| sha1)?;
        self.by_sha1.get(&short).map(|seal| &**seal)
    }
}
