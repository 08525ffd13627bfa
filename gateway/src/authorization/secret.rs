//! What is handed out and must not be guessed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use policies::{Partition, Reason, Refusal, SECRET_BYTES, SecretKind, TokenDigest};

/// 256 random bits, in base64url.
pub(super) fn random() -> Result<String, Refusal> {
    let mut octets = [0; SECRET_BYTES];
    openssl::rand::rand_bytes(&mut octets).map_err(|_| {
        Refusal::because(Reason::StateUnavailable, "the system gives no random numbers")
    })?;
    Ok(URL_SAFE_NO_PAD.encode(octets))
}

/// Whether `text` has the form of what [`random`] gives.
pub(super) fn is_one(text: &str) -> bool {
    let url_safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    text.len() == SECRET_BYTES.div_ceil(3) * 4 - 1 && text.bytes().all(url_safe)
}

/// A secret as it is handed out, and as it is kept.
pub(super) struct Secret {
    pub(super) text: String,
    pub(super) digest: TokenDigest,
}

/// A new token or code of the part `partition`.
pub(super) fn issue(kind: SecretKind, partition: Partition) -> Result<Secret, Refusal> {
    let text = kind.write(partition, &random()?);
    let digest = certs::sha256(text.as_bytes());
    Ok(Secret { text, digest })
}

/// The S256 challenge of a verifier (RFC 7636 §4.2).
pub(super) fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(certs::sha256(verifier.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_that_of_rfc_7636_appendix_b() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(challenge(verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
