//! The texts that the authorization server hands out, and where what they stand for is kept.

use std::fmt;

use certs::OrganisationId;

use super::TokenDigest;

/// Octets of randomness in each text: it cannot be guessed (RFC 6749 §10.10 asks for 128 bits).
pub const SECRET_BYTES: usize = 32;
/// Those octets in base64url without padding.
const SECRET_CHARS: usize = 43;

/// One of 4096 parts of what is remembered. All that belongs to one TPP lies in one part, so that a
/// cluster keeps it on one node and changes it in one step.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition([u8; 3]);

impl Partition {
    /// The part of a TPP.
    #[must_use]
    pub fn of(organisation_id: &OrganisationId) -> Self {
        Self::of_digest(&certs::sha256(organisation_id.as_str().as_bytes()))
    }

    /// The part of something that belongs to nobody yet.
    #[must_use]
    pub fn of_digest(digest: &[u8; 32]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let [first, second, ..] = *digest;
        let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
        Self([digit(first >> 4), digit(first & 15), digit(second >> 4)])
    }

    fn read(text: &[u8]) -> Option<Self> {
        let digits: [u8; 3] = text.try_into().ok()?;
        let digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        digits.iter().all(digit).then_some(Self(digits))
    }

    /// Three hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a text is good for. The letter stands in it, so that a leaked one is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum SecretKind {
    /// An access token.
    Access,
    /// A refresh token.
    Refresh,
    /// An authorization code.
    Code,
}

impl SecretKind {
    const fn letter(self) -> char {
        match self {
            Self::Access => 'a',
            Self::Refresh => 'r',
            Self::Code => 'c',
        }
    }

    /// `oct`, a letter, `_`, the part, and `random` in base64url.
    #[must_use]
    pub fn write(self, partition: Partition, random: &str) -> String {
        format!("oct{}_{}{random}", self.letter(), partition.as_str())
    }
}

/// A token, by what is kept of it: its SHA-256, and the part that it names itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct TokenName {
    /// SHA-256 of the text.
    pub digest: TokenDigest,
    /// Where it lies; none for a token that another authorization server issued.
    pub partition: Option<Partition>,
}

impl TokenName {
    /// The name of a token as it was presented.
    #[must_use]
    pub fn of(token: &[u8]) -> Self {
        Self { digest: certs::sha256(token), partition: partition(token) }
    }

    /// The name of a token of which only the digest is known.
    #[must_use]
    pub fn new(digest: TokenDigest, partition: Option<Partition>) -> Self {
        Self { digest, partition }
    }
}

impl fmt::Debug for TokenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenName").field("partition", &self.partition).finish_non_exhaustive()
    }
}

fn partition(token: &[u8]) -> Option<Partition> {
    let rest = token.strip_prefix(b"oct")?;
    let (kind, rest) = rest.split_at_checked(2)?;
    let (partition, secret) = rest.split_at_checked(3)?;
    let ours = matches!(kind, b"a_" | b"r_" | b"c_") && secret.len() == SECRET_CHARS;
    ours.then(|| Partition::read(partition)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_ours_names_its_part_and_any_other_names_none() {
        let id = OrganisationId::new("PSDFR-ACPR-99901").unwrap();
        let partition = Partition::of(&id);
        let random = "A".repeat(SECRET_CHARS);
        for kind in [SecretKind::Access, SecretKind::Refresh, SecretKind::Code] {
            let text = kind.write(partition, &random);
            assert_eq!(TokenName::of(text.as_bytes()).partition, Some(partition), "{text}");
        }
        let access = SecretKind::Access.write(partition, &random);
        for other in [
            "",
            "oct",
            "octa_",
            access.trim_end_matches('A'),
            &access.to_uppercase(),
            &access.replacen("octa", "octx", 1),
            &format!("{access}A"),
        ] {
            assert_eq!(TokenName::of(other.as_bytes()).partition, None, "{other}");
        }
    }
}
