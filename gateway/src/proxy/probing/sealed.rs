//! Answers that are kept for repetitions hold an IBAN, so they are sealed: AES-256-GCM under a key for
//! each history, derived from the audit key, and bound to their place.

use jiff::Timestamp;
use openssl::symm::{Cipher, decrypt_aead, encrypt_aead};
use policies::probing::ContentDigest;

use crate::audit::Pseudonyms;
use crate::store::HistoryName;

const VERSION: u8 = 1;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
const INSTANT_BYTES: usize = 8;

/// Seals an answer and the instant of its question; nothing, where the system gives no random numbers.
pub(super) fn seal(
    pseudonyms: &Pseudonyms,
    history: &HistoryName,
    content: &ContentDigest,
    at: Timestamp,
    body: &[u8],
) -> Option<Vec<u8>> {
    let mut nonce = [0; NONCE_BYTES];
    openssl::rand::rand_bytes(&mut nonce).ok()?;
    let plain = [at.as_millisecond().to_be_bytes().as_slice(), body].concat();
    let (key, place) = (key(pseudonyms, history), place(history, content));
    let mut tag = [0; TAG_BYTES];
    let cipher = Cipher::aes_256_gcm();
    let sealed = encrypt_aead(cipher, &key, Some(&nonce), &place, &plain, &mut tag).ok()?;
    Some([&[VERSION], nonce.as_slice(), &tag, &sealed].concat())
}

/// Opens what [`seal`] made for this very place.
pub(super) fn open(
    pseudonyms: &Pseudonyms,
    history: &HistoryName,
    content: &ContentDigest,
    sealed: &[u8],
) -> Option<(Timestamp, Vec<u8>)> {
    let rest = sealed.strip_prefix(&[VERSION])?;
    let (nonce, rest) = rest.split_at_checked(NONCE_BYTES)?;
    let (tag, rest) = rest.split_at_checked(TAG_BYTES)?;
    let (key, place) = (key(pseudonyms, history), place(history, content));
    let plain = decrypt_aead(Cipher::aes_256_gcm(), &key, Some(nonce), &place, rest, tag).ok()?;
    let (at, body) = plain.split_at_checked(INSTANT_BYTES)?;
    let at = i64::from_be_bytes(at.try_into().ok()?);
    Some((Timestamp::from_millisecond(at).ok()?, body.to_vec()))
}

fn key(pseudonyms: &Pseudonyms, history: &HistoryName) -> [u8; 32] {
    pseudonyms.of(&format!("kept answers\n{}", hex::encode(history)))
}

fn place(history: &HistoryName, content: &ContentDigest) -> Vec<u8> {
    [history.as_slice(), &content.0].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"result":true}"#;

    fn sealed() -> (Pseudonyms, Vec<u8>) {
        let pseudonyms = Pseudonyms::new(&[7; 32]).unwrap();
        let at = Timestamp::from_second(1_795_219_200).unwrap();
        let sealed = seal(&pseudonyms, &[1; 32], &ContentDigest([2; 16]), at, BODY).unwrap();
        (pseudonyms, sealed)
    }

    #[test]
    fn what_was_sealed_opens_at_its_place_and_says_nothing_before() {
        let (pseudonyms, sealed) = sealed();
        let (at, body) = open(&pseudonyms, &[1; 32], &ContentDigest([2; 16]), &sealed).unwrap();
        assert_eq!((at.as_second(), body.as_slice()), (1_795_219_200, BODY));
        assert!(!sealed.windows(6).any(|part| part == b"result"));
    }

    #[test]
    fn it_opens_nowhere_else_under_no_other_key_and_with_no_bit_turned() {
        let (pseudonyms, sealed) = sealed();
        let place = ContentDigest([2; 16]);
        assert!(open(&pseudonyms, &[9; 32], &place, &sealed).is_none());
        assert!(open(&pseudonyms, &[1; 32], &ContentDigest([9; 16]), &sealed).is_none());
        let other = Pseudonyms::new(&[8; 32]).unwrap();
        assert!(open(&other, &[1; 32], &place, &sealed).is_none());
        for at in 0..sealed.len() {
            let mut turned = sealed.clone();
            turned[at] ^= 1;
            assert!(open(&pseudonyms, &[1; 32], &place, &turned).is_none(), "byte {at}");
            assert!(open(&pseudonyms, &[1; 32], &place, &sealed[..at]).is_none(), "{at} bytes");
        }
    }
}
