mod ocsp;

use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;
use crate::leaf::Leaf;
use crate::role::PspRole;
use crate::test_qtsp::{Authority, Recipe};

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn hours(hours: i64) -> Timestamp {
    now().checked_add(SignedDuration::from_hours(hours)).unwrap()
}

struct World {
    qtsp: Authority,
    anchors: Anchors,
    trusted: Trusted,
    leaf: Leaf,
    serial: Vec<u8>,
}

fn world() -> World {
    let qtsp = Authority::generate("A", now()).unwrap();
    let recipe = Recipe::qwac("F", "PSDFR-ACPR-1", &[PspRole::CardBasedInstruments], now());
    let issued = qtsp.issue(&recipe).unwrap();
    let anchors = Anchors::from_pem(&[("a", &qtsp.issuing_pem().unwrap())]).unwrap();
    let leaf = Leaf::from_der(&issued.der().unwrap()).unwrap();
    let trusted = anchors.find_path(&leaf, &[], now()).unwrap();
    let serial = issued.serial().unwrap();
    World { qtsp, anchors, trusted, leaf, serial }
}

impl World {
    fn read(&self, pem: &[u8]) -> Result<Revocations, CrlError> {
        Revocations::from_crls(&[("ca.crl", pem)], &self.anchors)
    }
}

#[test]
fn a_listed_certificate_is_revoked_and_stays_so_when_the_list_has_ended() {
    let world = world();
    let pem = world.qtsp.crl(&[(world.serial.clone(), hours(-5))], hours(-1), hours(1)).unwrap();
    let revocations = world.read(&pem).unwrap();
    let revoked = RevocationStatus::Revoked { since: hours(-5) };
    assert_eq!(revocations.status(&world.trusted, now()), revoked);
    assert_eq!(revocations.status(&world.trusted, hours(100)), revoked);
}

#[test]
fn an_unlisted_certificate_is_good_only_while_the_list_counts() {
    let world = world();
    let other = world.qtsp.crl(&[(vec![7], hours(-5))], hours(-1), hours(1)).unwrap();
    let revocations = world.read(&other).unwrap();
    let status = |at| revocations.status(&world.trusted, at);
    assert_eq!(
        status(now()),
        RevocationStatus::Good { as_of: hours(-1), source: RevocationSource::Crl }
    );
    assert_eq!(
        status(hours(1)),
        RevocationStatus::Good { as_of: hours(-1), source: RevocationSource::Crl }
    );
    let since = hours(1);
    assert_eq!(status(hours(2)), RevocationStatus::Unknown(RevocationUnknown::Expired { since }));
    let from = hours(-1);
    assert_eq!(
        status(hours(-2)),
        RevocationStatus::Unknown(RevocationUnknown::NotYetValid { from })
    );
}

#[test]
fn without_a_list_nobody_can_say() {
    let world = world();
    assert_eq!(
        Revocations::empty().status(&world.trusted, now()),
        RevocationStatus::Unknown(RevocationUnknown::NoList)
    );
}

#[test]
fn a_list_that_no_anchor_signed_is_refused_by_name() {
    let world = world();
    let forger = Authority::generate("A", now()).unwrap();
    let fault = world.read(&forger.crl(&[], hours(-1), hours(1)).unwrap()).err().unwrap();
    assert!(matches!(&fault, CrlError::NotSigned { .. }), "{fault}");
    assert!(fault.to_string().starts_with("ca.crl: no anchor signed the list"), "{fault}");
}

#[test]
fn of_two_lists_the_newer_counts_in_either_order() {
    let world = world();
    let old = world.qtsp.crl(&[], hours(-9), hours(1)).unwrap();
    let new = world.qtsp.crl(&[(world.serial.clone(), hours(-5))], hours(-1), hours(1)).unwrap();
    for lists in [[&old, &new], [&new, &old]] {
        let named: Vec<_> = lists.iter().map(|list| ("x", list.as_slice())).collect();
        let revocations = Revocations::from_crls(&named, &world.anchors).unwrap();
        let status = revocations.status(&world.trusted, now());
        assert!(matches!(status, RevocationStatus::Revoked { .. }));
    }
}

#[test]
fn what_is_no_list_is_refused_by_name() {
    let world = world();
    let pem = world.qtsp.crl(&[], hours(-1), hours(1)).unwrap();
    for bytes in [&b""[..], b"text", &pem[..pem.len() / 2], &world.qtsp.issuing_pem().unwrap()] {
        let fault = world.read(bytes).err().unwrap();
        assert_eq!(fault, CrlError::Malformed { file: "ca.crl".to_owned() });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_bent_list_never_makes_a_revoked_certificate_good(at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let world = world();
        let serial = world.serial.clone();
        let pem = world.qtsp.crl(&[(serial, hours(-5))], hours(-1), hours(1)).unwrap();
        let mut der = openssl::x509::X509Crl::from_pem(&pem).unwrap().to_der().unwrap();
        let at = at.index(der.len());
        der[at] ^= 1 << bit;
        if let Ok(revocations) = world.read(&der) {
            let status = revocations.status(&world.trusted, now());
            let good = matches!(status, RevocationStatus::Good { .. });
            prop_assert!(!good);
        }
    }
}
