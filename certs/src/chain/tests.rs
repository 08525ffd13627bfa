use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::role::PspRole;
use crate::test_qtsp::{Authority, Defect, Recipe};

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn qtsp(name: &str) -> Authority {
    Authority::generate(name, now()).unwrap()
}

fn anchors(pems: &[Vec<u8>]) -> Anchors {
    let sources: Vec<(&str, &[u8])> = pems.iter().map(|pem| ("test", pem.as_slice())).collect();
    Anchors::from_pem(&sources).unwrap()
}

fn recipe() -> Recipe {
    Recipe::qwac("Funds", "PSDFR-ACPR-1", &[PspRole::CardBasedInstruments], now())
}

fn der(pem: &[u8]) -> Vec<u8> {
    Leaf::from_pem(pem).unwrap().0.der().to_vec()
}

struct Case {
    leaf: Leaf,
    issuing: Vec<u8>,
    root: Vec<u8>,
}

fn case(qtsp: &Authority, recipe: &Recipe) -> Case {
    let issued = qtsp.issue(recipe).unwrap();
    Case {
        leaf: Leaf::from_der(&issued.der().unwrap()).unwrap(),
        issuing: issued.issuer_der().unwrap(),
        root: der(&qtsp.root_pem().unwrap()),
    }
}

#[test]
fn a_leaf_alone_is_trusted_when_its_issuing_ca_is_an_anchor() {
    let qtsp = qtsp("A");
    let case = case(&qtsp, &recipe());
    let anchors = anchors(&[qtsp.issuing_pem().unwrap()]);
    let trusted = anchors.find_path(&case.leaf, &[], now()).unwrap();
    assert_eq!(trusted.links().len(), 1);
    assert_eq!(trusted.links()[0].serial.as_ref(), case.leaf.serial());
    assert_eq!(trusted.not_after(), case.leaf.not_after());
    assert!(trusted.anchor_subject().contains("A Issuing CA"));
    assert!(anchors.iter().all(crate::Anchor::is_test_qtsp));
}

#[test]
fn the_order_and_company_of_the_sent_chain_do_not_matter() {
    let (qtsp, other) = (qtsp("A"), qtsp("B"));
    let case = case(&qtsp, &recipe());
    let stranger = self::case(&other, &recipe());
    let anchors = anchors(&[qtsp.root_pem().unwrap()]);
    let sent = [
        stranger.root,
        case.root.clone(),
        b"garbage".to_vec(),
        stranger.issuing,
        case.leaf.der().to_vec(),
        case.issuing.clone(),
        case.issuing.clone(),
    ];
    let trusted = anchors.find_path(&case.leaf, &sent, now()).unwrap();
    assert_eq!(trusted.links().len(), 2, "the leaf and the issuing CA stand below the anchor");
    assert!(matches!(
        anchors.find_path(&case.leaf, &[], now()),
        Err(ChainFault::NoPath { issuer }) if issuer.contains("A Issuing CA")
    ));
}

#[test]
fn the_right_names_with_the_wrong_key_are_not_trusted() {
    let (real, forger) = (qtsp("A"), qtsp("A"));
    let case = case(&forger, &recipe());
    let anchors = anchors(&[real.issuing_pem().unwrap(), real.root_pem().unwrap()]);
    let fault = anchors.find_path(&case.leaf, &[case.issuing, case.root], now()).unwrap_err();
    assert!(matches!(fault, ChainFault::NotVerified { .. }), "{fault:?}");
}

#[test]
fn an_end_entity_that_issues_certificates_is_not_followed() {
    let qtsp = qtsp("A");
    let good = case(&qtsp, &recipe());
    let anchors = anchors(&[qtsp.root_pem().unwrap()]);
    let not_a_ca = good.leaf.der().to_vec();
    let fault = anchors.find_path(&good.leaf, &[not_a_ca], now()).unwrap_err();
    assert!(matches!(fault, ChainFault::NoPath { .. }), "{fault:?}");
}

#[test]
fn a_certificate_below_a_ca_with_path_length_zero_is_not_trusted() {
    let qtsp = qtsp("A");
    // The issuing CA may not have CAs below it; here is one all the same, with its key.
    let sub = qtsp.issue(&recipe().with(Defect::Ca)).unwrap();
    let own = String::from_utf8(qtsp.to_pem().unwrap()).unwrap();
    let issuing = own.split_inclusive("-----END PRIVATE KEY-----\n").nth(1).unwrap();
    let below = [
        issuing.as_bytes(),
        &Leaf::from_der(&sub.der().unwrap()).map(|leaf| pem(&leaf)).unwrap(),
        &sub.key_pem().unwrap(),
    ];
    let below = Authority::from_pem(&below.concat()).unwrap();
    let leaf = case(&below, &recipe());
    let anchors = anchors(&[qtsp.root_pem().unwrap()]);
    let sent = [leaf.issuing.clone(), case(&qtsp, &recipe()).issuing];
    let fault = anchors.find_path(&leaf.leaf, &sent, now()).unwrap_err();
    assert!(
        matches!(&fault, ChainFault::NotVerified { why } if why.contains("path length")),
        "{fault:?}"
    );
}

#[test]
fn an_end_entity_can_be_no_anchor() {
    let leaf = case(&qtsp("A"), &recipe()).leaf;
    let fault = Anchors::from_pem(&[("x", &pem(&leaf))]).err().unwrap();
    assert!(matches!(fault, crate::AnchorError::NotCa { .. }), "{fault}");
}

fn pem(leaf: &Leaf) -> Vec<u8> {
    openssl::x509::X509::from_der(leaf.der()).unwrap().to_pem().unwrap()
}

#[test]
fn an_expired_path_is_found_so_that_its_end_can_be_told_and_a_valid_one_is_preferred() {
    let qtsp = qtsp("A");
    let mut late = recipe();
    late.not_after = now().checked_sub(SignedDuration::from_hours(24)).unwrap();
    late.not_before = now().checked_sub(SignedDuration::from_hours(48)).unwrap();
    let case = case(&qtsp, &late);
    let anchors = anchors(&[qtsp.issuing_pem().unwrap(), qtsp.root_pem().unwrap()]);
    let trusted = anchors.find_path(&case.leaf, &[case.issuing], now()).unwrap();
    assert_eq!(trusted.not_after(), late.not_after);
    assert!(!trusted.is_valid_at(now()));
}

#[test]
fn more_than_any_chain_has_is_refused_before_it_is_read() {
    let qtsp = qtsp("A");
    let case = case(&qtsp, &recipe());
    let anchors = anchors(&[qtsp.issuing_pem().unwrap()]);
    for sent in [vec![vec![0]; SENT_CERTIFICATES_MAX + 1], vec![vec![0; SENT_BYTES_MAX + 1]]] {
        assert_eq!(anchors.find_path(&case.leaf, &sent, now()), Err(ChainFault::TooMuchSent));
    }
}

#[test]
fn anchors_of_a_broken_or_keyless_file_are_refused_by_name_and_one_twice_counts_once() {
    let qtsp = qtsp("A");
    let pem = qtsp.issuing_pem().unwrap();
    assert_eq!(anchors(&[pem.clone(), pem.clone()]).len(), 1);
    for text in [&b""[..], b"-----BEGIN CERTIFICATE-----\nAAAA", b"text"] {
        let fault = Anchors::from_pem(&[("anchors.pem", text)]).err().unwrap();
        assert!(fault.to_string().starts_with("anchors.pem: "), "{fault}");
    }
}
