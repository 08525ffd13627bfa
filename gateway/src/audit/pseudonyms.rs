//! What stands for people and accounts in records.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::AuditError;

/// Keyed once; each use clones the state after the key.
type Key = Hmac<Sha256>;

/// Hashed before the key, so that the id says nothing about what the key is used for.
const KEY_ID: &[u8] = b"octroi audit hmac key";
const ID_DIGITS: usize = 16;

/// Turns the name of a person or an account into what records may hold: HMAC-SHA-256 (RFC 2104)
/// under the configured key. Whoever has the key may compare, nobody can read.
#[derive(Clone)]
pub struct Pseudonyms {
    key: Key,
    id: String,
}

impl Pseudonyms {
    /// Pseudonyms under `key`.
    ///
    /// # Errors
    /// The key is no key.
    pub fn new(key: &[u8]) -> Result<Self, AuditError> {
        let mut hash = openssl::sha::Sha256::new();
        hash.update(KEY_ID);
        hash.update(key);
        let mut id = hex::encode(hash.finish());
        id.truncate(ID_DIGITS);
        let key = Key::new_from_slice(key).map_err(|_| AuditError::Key)?;
        Ok(Self { key, id })
    }

    /// The pseudonym of `name`.
    #[must_use]
    pub fn of(&self, name: &str) -> [u8; 32] {
        let mut hmac = self.key.clone();
        hmac.update(name.as_bytes());
        hmac.finalize().into_bytes().into()
    }

    /// Which key: the first 16 hexadecimal digits of a digest of it.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.id
    }
}

impl std::fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pseudonyms([redacted])")
    }
}
