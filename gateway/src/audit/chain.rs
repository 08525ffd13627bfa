//! The chain of one file of the log: each line carries the hash of everything up to it, and the
//! gateway signs where the chain stands, again and again.
//!
//! A line is a JSON object that ends with `,"event.sequence":N,"octroi.hash":"<64 hexadecimal digits>"}`.
//! The hash is SHA-256 over the hash of the line before (32 bytes; zeros before the first) and the bytes
//! of this line from `{` up to, not including, `,"octroi.hash"`. `N` counts from 0 in each file.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use openssl::pkey::{Id, PKey, Private, Public};
use openssl::sign::{Signer, Verifier};
use serde::{Deserialize, Serialize};

/// Names the words that a checkpoint signs, so that a signature is good for nothing else.
const CHECKPOINT: &str = "octroi audit checkpoint v1";
const HASH_MEMBER: &[u8] = b",\"octroi.hash\":\"";
const HASH_DIGITS: usize = 64;
const END: &[u8] = b"\"}";

/// Where a chain stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    hash: [u8; 32],
    next: u64,
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkFault {
    /// It does not end as a line of a chain does.
    #[error("it does not end with a sequence number and a hash: it was added, or cut short")]
    Unsealed,
    /// Its content, or the line before it, is not what its hash was made of.
    #[error(
        "its hash does not fit: this line, or what stood before it, was changed, removed or added"
    )]
    Broken,
    /// It is whole in itself, but another one stood here.
    #[error(
        "it is number {found}, and number {expected} is expected here: lines were removed, added or re-ordered"
    )]
    OutOfOrder {
        /// What would come next.
        expected: u64,
        /// What stands there.
        found: u64,
    },
}

impl Chain {
    /// A chain that goes on after line `sequence`, whose hash is `hash`.
    #[must_use]
    pub const fn after(sequence: u64, hash: [u8; 32]) -> Self {
        Self { hash, next: sequence + 1 }
    }

    /// The hash of the last line.
    #[must_use]
    pub const fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// The number of the next line, which is how many there are.
    #[must_use]
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// Makes a line of the JSON object that `batch` ends with, from `start`: adds its number, its hash
    /// and the line feed.
    pub fn seal(&mut self, batch: &mut Vec<u8>, start: usize) {
        batch.pop();
        // Writing to memory does not fail.
        let _ = write!(batch, ",\"event.sequence\":{}", self.next);
        let content = batch.get(start..).unwrap_or_default();
        self.hash = link(&self.hash, content);
        self.next += 1;
        let mut digits = [0; HASH_DIGITS];
        let _ = hex::encode_to_slice(self.hash, &mut digits);
        batch.extend_from_slice(HASH_MEMBER);
        batch.extend_from_slice(&digits);
        batch.extend_from_slice(END);
        batch.push(b'\n');
    }

    /// Goes on over `line`, without its line feed.
    ///
    /// # Errors
    /// It is not what was written there. The chain stays where it was; [`Chain::after`] the line's own
    /// numbers resumes behind it.
    pub fn check(&mut self, line: &[u8]) -> Result<(), LinkFault> {
        let (content, sequence, hash) = split(line).ok_or(LinkFault::Unsealed)?;
        if sequence != self.next {
            return Err(LinkFault::OutOfOrder { expected: self.next, found: sequence });
        }
        if link(&self.hash, content) != hash {
            return Err(LinkFault::Broken);
        }
        self.hash = hash;
        self.next = sequence + 1;
        Ok(())
    }
}

/// The content of a sealed line, its number and its hash; nothing where it is none.
#[must_use]
pub fn split(line: &[u8]) -> Option<(&[u8], u64, [u8; 32])> {
    let rest = line.strip_suffix(END)?;
    let (rest, digits) = rest.split_last_chunk::<HASH_DIGITS>()?;
    let content = rest.strip_suffix(HASH_MEMBER)?;
    let mut hash = [0; 32];
    hex::decode_to_slice(digits, &mut hash).ok()?;
    // Another way to write the same digits would be another line with the same hash.
    if digits.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    let number = content.rsplit(|byte| *byte == b':').next()?;
    let before = content.get(..content.len() - number.len())?;
    before.strip_suffix(b",\"event.sequence\":")?;
    let number = std::str::from_utf8(number).ok()?;
    Some((content, number.parse().ok()?, hash))
}

fn link(before: &[u8; 32], content: &[u8]) -> [u8; 32] {
    let mut hash = openssl::sha::Sha256::new();
    hash.update(before);
    hash.update(content);
    hash.finish()
}

/// What the gateway swears to: at `time`, line `sequence` of `file` had this hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// When it was signed.
    #[serde(rename = "@timestamp")]
    pub time: Timestamp,
    /// Always `audit_checkpoint`.
    #[serde(rename = "event.action")]
    pub action: String,
    /// The name of the file, without a directory and without `.zst`.
    #[serde(rename = "octroi.file")]
    pub file: String,
    /// The last line that it covers.
    #[serde(rename = "octroi.checkpoint.sequence")]
    pub sequence: u64,
    /// The hash of that line, 64 hexadecimal digits.
    #[serde(rename = "octroi.checkpoint.hash")]
    pub hash: String,
    /// Which key: [`key_id`].
    #[serde(rename = "octroi.checkpoint.key")]
    pub key: String,
    /// Ed25519 (RFC 8032) in Base64.
    #[serde(rename = "octroi.checkpoint.signature")]
    pub signature: String,
}

/// The gateway's own Ed25519 key.
pub struct SigningKey {
    key: PKey<Private>,
    id: String,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SigningKey").field(&self.id).finish()
    }
}

/// Why a key or a signature cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SignatureFault {
    /// It is another kind of key.
    #[error("not an Ed25519 key; make one with `openssl genpkey -algorithm ed25519`")]
    NotEd25519,
    /// OpenSSL's own.
    #[error(transparent)]
    Tls(#[from] openssl::error::ErrorStack),
    /// Base64.
    #[error("the signature is not Base64")]
    NotBase64,
    /// Somebody else's, or of something else.
    #[error("the signature is wrong")]
    Wrong,
    /// Made by a key that was not given.
    #[error("it is signed by key {0}, which was not given")]
    OtherKey(String),
}

impl SigningKey {
    /// A new one.
    ///
    /// # Errors
    /// OpenSSL's.
    pub fn generate() -> Result<Self, SignatureFault> {
        Self::of(PKey::generate_ed25519()?)
    }

    /// From PKCS #8 in PEM.
    ///
    /// # Errors
    /// It is none, or of another kind.
    pub fn from_pem(pem: &[u8]) -> Result<Self, SignatureFault> {
        Self::of(PKey::private_key_from_pem(pem)?)
    }

    fn of(key: PKey<Private>) -> Result<Self, SignatureFault> {
        if key.id() != Id::ED25519 {
            return Err(SignatureFault::NotEd25519);
        }
        let id = key_id(&key.raw_public_key()?);
        Ok(Self { key, id })
    }

    /// PKCS #8 in PEM: a secret.
    ///
    /// # Errors
    /// OpenSSL's.
    pub fn to_pem(&self) -> Result<Vec<u8>, SignatureFault> {
        Ok(self.key.private_key_to_pem_pkcs8()?)
    }

    /// The 32 bytes that others verify with.
    ///
    /// # Errors
    /// OpenSSL's.
    pub fn public(&self) -> Result<Vec<u8>, SignatureFault> {
        Ok(self.key.raw_public_key()?)
    }

    /// See [`key_id`].
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Swears to where `chain` stands in `file`; nothing where it has no line yet.
    ///
    /// # Errors
    /// OpenSSL's.
    pub fn sign(
        &self,
        file: &str,
        chain: &Chain,
        time: Timestamp,
    ) -> Result<Option<Checkpoint>, SignatureFault> {
        let Some(sequence) = chain.next.checked_sub(1) else { return Ok(None) };
        let hash = hex::encode(chain.hash);
        let words = words(file, sequence, &hash, time);
        let signature = Signer::new_without_digest(&self.key)?.sign_oneshot_to_vec(&words)?;
        Ok(Some(Checkpoint {
            time,
            action: "audit_checkpoint".to_owned(),
            file: file.to_owned(),
            sequence,
            hash,
            key: self.id.clone(),
            signature: STANDARD.encode(signature),
        }))
    }
}

/// Keys that checkpoints may be signed with.
#[derive(Debug, Default)]
pub struct VerifyingKeys(Vec<(String, PKey<Public>)>);

impl VerifyingKeys {
    /// Adds 32 raw bytes.
    ///
    /// # Errors
    /// OpenSSL's.
    pub fn add_raw(&mut self, public: &[u8]) -> Result<(), SignatureFault> {
        let key = PKey::public_key_from_raw_bytes(public, Id::ED25519)?;
        self.0.push((key_id(public), key));
        Ok(())
    }

    /// Adds a SubjectPublicKeyInfo in PEM.
    ///
    /// # Errors
    /// It is none, or of another kind.
    pub fn add_pem(&mut self, pem: &[u8]) -> Result<(), SignatureFault> {
        let key = PKey::public_key_from_pem(pem)?;
        if key.id() != Id::ED25519 {
            return Err(SignatureFault::NotEd25519);
        }
        let id = key_id(&key.raw_public_key()?);
        self.0.push((id, key));
        Ok(())
    }

    /// Nothing can be verified.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of these keys signed `checkpoint` as it stands.
    ///
    /// # Errors
    /// None did.
    pub fn verify(&self, checkpoint: &Checkpoint) -> Result<(), SignatureFault> {
        let Some((_, key)) = self.0.iter().find(|(id, _)| *id == checkpoint.key) else {
            return Err(SignatureFault::OtherKey(checkpoint.key.clone()));
        };
        let signature =
            STANDARD.decode(&checkpoint.signature).map_err(|_| SignatureFault::NotBase64)?;
        let Checkpoint { file, sequence, hash, time, .. } = checkpoint;
        let words = words(file, *sequence, hash, *time);
        match Verifier::new_without_digest(key)?.verify_oneshot(&signature, &words) {
            Ok(true) => Ok(()),
            _ => Err(SignatureFault::Wrong),
        }
    }
}

/// What a public key is called: the first 16 hexadecimal digits of the SHA-256 of its 32 bytes.
#[must_use]
pub fn key_id(public: &[u8]) -> String {
    let mut id = hex::encode(openssl::sha::sha256(public));
    id.truncate(16);
    id
}

fn words(file: &str, sequence: u64, hash: &str, time: Timestamp) -> Vec<u8> {
    format!("{CHECKPOINT}\n{file}\n{sequence}\n{hash}\n{time}\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(count: usize) -> (Chain, Vec<Vec<u8>>) {
        let mut chain = Chain::default();
        let lines = (0..count).map(|number| {
            let mut line = format!("{{\"n\":{number}}}").into_bytes();
            chain.seal(&mut line, 0);
            line.pop();
            line
        });
        let lines = lines.collect();
        (chain, lines)
    }

    fn check(lines: &[Vec<u8>]) -> Result<Chain, (usize, LinkFault)> {
        let mut chain = Chain::default();
        for (at, line) in lines.iter().enumerate() {
            chain.check(line).map_err(|fault| (at, fault))?;
        }
        Ok(chain)
    }

    #[test]
    fn what_was_sealed_checks_and_is_json() {
        let (chain, lines) = sealed(3);
        assert_eq!(check(&lines), Ok(chain));
        let line: serde_json::Value = serde_json::from_slice(&lines[2]).unwrap();
        assert_eq!(line["event.sequence"], 2);
    }

    #[test]
    fn a_changed_removed_added_or_reordered_line_is_found_where_it_is() {
        let (_, whole) = sealed(5);
        let mut lines = whole.clone();
        lines[2][5] ^= 1;
        assert_eq!(check(&lines), Err((2, LinkFault::Broken)));
        let mut lines = whole.clone();
        lines.remove(2);
        assert_eq!(check(&lines), Err((2, LinkFault::OutOfOrder { expected: 2, found: 3 })));
        let mut lines = whole.clone();
        lines.insert(2, b"{\"n\":7}".to_vec());
        assert_eq!(check(&lines), Err((2, LinkFault::Unsealed)));
        let mut lines = whole.clone();
        lines.swap(2, 3);
        assert_eq!(check(&lines), Err((2, LinkFault::OutOfOrder { expected: 2, found: 3 })));
        let mut lines = whole;
        lines[2].make_ascii_uppercase();
        assert!(check(&lines).is_err());
    }

    #[test]
    fn a_checkpoint_is_good_for_its_own_words_and_key_only() {
        let (chain, _) = sealed(3);
        let key = SigningKey::generate().unwrap();
        let time: Timestamp = "2026-11-22T00:00:00.5Z".parse().unwrap();
        let checkpoint = key.sign("access-2026-11-22.0001.jsonl", &chain, time).unwrap().unwrap();
        let mut keys = VerifyingKeys::default();
        assert!(matches!(keys.verify(&checkpoint), Err(SignatureFault::OtherKey(_))));
        keys.add_raw(&key.public().unwrap()).unwrap();
        keys.verify(&checkpoint).unwrap();
        let text = serde_json::to_string(&checkpoint).unwrap();
        keys.verify(&serde_json::from_str(&text).unwrap()).unwrap();
        let other = Checkpoint { sequence: 1, ..checkpoint.clone() };
        assert!(matches!(keys.verify(&other), Err(SignatureFault::Wrong)));
        let again = SigningKey::from_pem(&key.to_pem().unwrap()).unwrap();
        assert_eq!(again.id(), checkpoint.key);
        assert!(key.sign("f", &Chain::default(), time).unwrap().is_none(), "nothing to swear to");
    }
}
