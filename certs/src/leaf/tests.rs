use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::limits::LEAF_BYTES_MAX;
use crate::role::PspRole;
use crate::test_qtsp::{Authority, Recipe};

fn good() -> Vec<u8> {
    let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
    let recipe = Recipe::qwac("F", "PSDFR-ACPR-1", &[PspRole::AccountInformation], now);
    Authority::generate("T", now).unwrap().issue(&recipe).unwrap().chain_pem().unwrap()
}

#[test]
fn the_first_certificate_of_a_pem_text_is_the_leaf_and_the_rest_its_chain() {
    let pem = good();
    let (leaf, chain) = Leaf::from_pem(&pem).unwrap();
    assert!(!leaf.is_ca());
    assert_eq!(chain.len(), 1);
    assert!(Leaf::from_der(&chain[0]).unwrap().is_ca());
    assert_eq!(leaf.issuer(), Leaf::from_der(&chain[0]).unwrap().subject());
    assert_eq!(leaf.fingerprint(), &crate::sha256(leaf.der()));
}

#[test]
fn octets_after_the_certificate_and_too_many_octets_are_refused() {
    let mut der = Leaf::from_pem(&good()).unwrap().0.der().to_vec();
    der.push(0);
    assert_eq!(Leaf::from_der(&der).unwrap_err(), LeafError::NotStrictDer);
    let bytes = LEAF_BYTES_MAX + 1;
    assert_eq!(Leaf::from_der(&vec![0x30; bytes]).unwrap_err(), LeafError::TooLong { bytes });
}

#[test]
fn a_pem_text_without_a_certificate_says_so() {
    assert_eq!(Leaf::from_pem(b"").unwrap_err(), LeafError::NoCertificate);
    assert_eq!(Leaf::from_pem(b"hello").unwrap_err(), LeafError::NoCertificate);
}

#[test]
fn debug_shows_who_and_not_the_octets() {
    let leaf = Leaf::from_pem(&good()).unwrap().0;
    let text = format!("{leaf:?}");
    assert!(text.contains("PSDFR-ACPR-1") && text.len() < 1000, "{text}");
}

proptest! {
    #[test]
    fn any_octets_are_read_or_refused_without_a_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..600)
    ) {
        let _ = Leaf::from_der(&bytes);
        let _ = Leaf::from_pem(&bytes);
        let _ = crate::QcStatements::from_der(&bytes);
    }
}
