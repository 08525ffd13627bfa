//! Private keys in a body that is about public ones. TPPs do send them: a whole PEM bundle pasted
//! into x5c, a JWK exported with everything. Storing or forgetting one are both wrong.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;

use super::members::harmless;

/// Members of private and symmetric keys (RFC 7518 §6.2.2, §6.3.2, §6.4; RFC 8037 §2).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Labels of RFC 7468 §10 and §11 and its kin, as they are written; a sentence about private keys is
/// no key.
const LABELS: [&[u8]; 2] = [b"PRIVATE KEY", b"openssh-key-v1"];
/// The same and PuTTY's, in whatever case somebody has put them.
const MARKS: [&[u8]; 3] = [b"private key--", b"begin private key", b"putty-user-key-file"];

/// Lax, because a key is a key however carelessly it is written.
const LAX: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LAX);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LAX);

/// The shortest private key that there is (Ed25519, PKCS #8) has 48 octets.
const KEY_BYTES_MIN: usize = 32;

/// Where in `value` a private key stands, such as `jwks.keys[0].d`.
pub(super) fn find(value: &Value) -> Option<String> {
    look(value, "", false)
}

fn look(value: &Value, path: &str, in_jwks: bool) -> Option<String> {
    match value {
        Value::String(text) if holds_key(text) => Some(named(path)),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| look(item, &format!("{path}[{index}]"), in_jwks)),
        Value::Object(members) => {
            // A key is one by its place or by its type, wherever it stands.
            let is_key = in_jwks || members.contains_key("kty");
            members.iter().find_map(|(name, value)| {
                if is_private(name.as_bytes()) {
                    // The name is the key: not a letter of it is repeated.
                    return Some(named(path));
                }
                let dot = if path.is_empty() { "" } else { "." };
                let path = format!("{path}{dot}{}", harmless(name));
                let empty = value.is_null() || value.as_str().is_some_and(str::is_empty);
                let says = !empty && PRIVATE_MEMBERS.contains(&name.as_str());
                if is_key && says {
                    return Some(path);
                }
                look(value, &path, in_jwks || name == "jwks" || name == "keys")
            })
        }
        _ => None,
    }
}

fn named(path: &str) -> String {
    if path.is_empty() { "the body".to_owned() } else { path.to_owned() }
}

/// Whether octets have a label of a private key in them.
pub(super) fn is_private(octets: &[u8]) -> bool {
    let has = |mark: &[u8], same: fn(&[u8], &[u8]) -> bool| {
        octets.windows(mark.len()).any(|part| same(part, mark))
    };
    LABELS.iter().any(|label| has(label, |part, label| part == label))
        || MARKS.iter().any(|mark| has(mark, <[u8]>::eq_ignore_ascii_case))
}

fn holds_key(text: &str) -> bool {
    if is_private(text.as_bytes()) {
        return true;
    }
    let packed: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let decoded = BASE64.decode(&packed).or_else(|_| BASE64_URL.decode(&packed));
    decoded.is_ok_and(|octets| {
        octets.len() >= KEY_BYTES_MIN && (is_private(&octets) || is_private_der(&octets))
    })
}

/// Whether DER begins as a private key does. A certificate, a public key and a request begin with
/// two SEQUENCEs, then a tag, an INTEGER of a modulus, or an OID of another arc.
fn is_private_der(der: &[u8]) -> bool {
    /// PKCS #5 and the password arc of PKCS #12.
    const BY_PASSWORD: [&[u8]; 2] = [
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05],
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c],
    ];
    /// Java's keystore.
    const JKS: [u8; 4] = [0xfe, 0xed, 0xfe, 0xed];
    if der.starts_with(&JKS) {
        return true;
    }
    let Some(content) = sequence(der) else { return false };
    match content {
        // A version, then: the algorithm (RFC 5958 §2, PKCS #8); a modulus (RFC 8017 §A.1.2) or DSA's
        // prime; the octets of a point's factor (RFC 5915 §3). Version 3 is PKCS #12 (RFC 7292 §4).
        [0x02, 0x01, 0x00, 0x30 | 0x02, ..]
        | [0x02, 0x01, 0x01, 0x30 | 0x02 | 0x04, ..]
        | [0x02, 0x01, 0x03, 0x30, ..] => true,
        // RFC 5958 §3: an algorithm of encryption, then what it encrypted.
        _ => sequence(content).is_some_and(|algorithm| {
            algorithm.get(2..).is_some_and(|oid| BY_PASSWORD.iter().any(|arc| oid.starts_with(arc)))
        }),
    }
}

/// What follows the header of a SEQUENCE, definite or not.
fn sequence(der: &[u8]) -> Option<&[u8]> {
    match der {
        [0x30, length, rest @ ..] if *length <= 0x80 => Some(rest),
        [0x30, length, rest @ ..] => rest.get(usize::from(length & 0x7f)..),
        _ => None,
    }
}
