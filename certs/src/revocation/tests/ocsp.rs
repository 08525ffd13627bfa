//! Answers of responders that are honest, and of every kind that is not.

use super::*;
use crate::leaf::Leaf;
use crate::test_qtsp::responder::{Reply, Said, SignedBy, TRY_LATER, refusal, requested_serial};

struct Asked {
    world: World,
    leaf: Leaf,
    issuer: Leaf,
}

fn asked() -> Asked {
    let world = world();
    let issuer = Leaf::from_pem(&world.qtsp.issuing_pem().unwrap()).unwrap().0;
    Asked { leaf: world.leaf.clone(), issuer, world }
}

fn reply(said: Said) -> Reply {
    Reply { said, this_update: hours(-1), next_update: Some(hours(1)), signed_by: SignedBy::Issuer }
}

impl Asked {
    fn read(&self, reply: &Reply) -> Result<OcspAnswer, OcspFault> {
        let response = self.world.qtsp.ocsp(&self.world.serial, reply).unwrap();
        OcspAnswer::read(&response, &self.leaf, &self.issuer, now())
    }

    fn status(&self, answer: OcspAnswer, at: Timestamp) -> RevocationStatus {
        let mut revocations = Revocations::empty();
        assert!(revocations.add_answer(answer));
        revocations.status(&self.world.trusted, at)
    }
}

#[test]
fn the_request_names_the_certificate() {
    let asked = asked();
    let request = ocsp_request(&asked.leaf, &asked.issuer).unwrap();
    let serial = requested_serial(&request).unwrap();
    assert_eq!(serial.trim_ascii_start(), asked.leaf.serial());
}

#[test]
fn an_answer_of_the_issuer_or_its_delegate_counts_until_its_end() {
    let asked = asked();
    for signed_by in [SignedBy::Issuer, SignedBy::Delegate] {
        let answer = asked.read(&Reply { signed_by, ..reply(Said::Good) }).unwrap();
        let good = RevocationStatus::Good { as_of: hours(-1), source: RevocationSource::Ocsp };
        assert_eq!(asked.status(answer.clone(), now()), good);
        assert_eq!(asked.status(answer.clone(), hours(1)), good);
        let since = hours(1);
        assert_eq!(
            asked.status(answer, hours(2)),
            RevocationStatus::Unknown(RevocationUnknown::Expired { since })
        );
    }
}

#[test]
fn a_revoked_certificate_stays_so_when_the_answer_has_ended() {
    let asked = asked();
    let answer = asked.read(&reply(Said::Revoked(hours(-3)))).unwrap();
    let revoked = RevocationStatus::Revoked { since: hours(-3) };
    assert_eq!(asked.status(answer.clone(), now()), revoked);
    assert_eq!(asked.status(answer, hours(99)), revoked);
}

#[test]
fn a_certificate_that_the_responder_does_not_know_is_not_good_whatever_the_list_says() {
    let asked = asked();
    let pem = asked.world.qtsp.crl(&[], hours(-1), hours(1)).unwrap();
    let mut revocations = asked.world.read(&pem).unwrap();
    revocations.add_answer(asked.read(&reply(Said::Unknown)).unwrap());
    assert_eq!(
        revocations.status(&asked.world.trusted, now()),
        RevocationStatus::Unknown(RevocationUnknown::NotKnown)
    );
}

#[test]
fn an_answer_that_has_ended_leaves_the_word_to_the_list() {
    let asked = asked();
    let pem = asked.world.qtsp.crl(&[], hours(-1), hours(9)).unwrap();
    let mut revocations = asked.world.read(&pem).unwrap();
    revocations.add_answer(asked.read(&reply(Said::Good)).unwrap());
    let status = |at| revocations.status(&asked.world.trusted, at);
    let by = |source| RevocationStatus::Good { as_of: hours(-1), source };
    assert_eq!(status(now()), by(RevocationSource::Ocsp));
    assert_eq!(status(hours(5)), by(RevocationSource::Crl));
}

#[test]
fn whom_the_issuer_did_not_authorise_says_nothing() {
    let asked = asked();
    for signed_by in [
        SignedBy::Stranger,
        SignedBy::DelegateWithoutPurpose,
        SignedBy::ExpiredDelegate,
        SignedBy::Tampered,
    ] {
        let fault = asked.read(&Reply { signed_by, ..reply(Said::Good) }).unwrap_err();
        assert!(
            matches!(fault, OcspFault::NotSigned(_) | OcspFault::Malformed),
            "{signed_by:?}: {fault}"
        );
    }
    // The peers' mistake: asked, or answered, in the name of the wrong issuer.
    let other = Authority::generate("A", now()).unwrap();
    let response = other.ocsp(&asked.world.serial, &reply(Said::Good)).unwrap();
    let fault = OcspAnswer::read(&response, &asked.leaf, &asked.issuer, now()).unwrap_err();
    assert!(matches!(fault, OcspFault::NotSigned(_)), "{fault}");
}

#[test]
fn an_answer_about_another_certificate_or_another_time_says_nothing() {
    let asked = asked();
    let response = asked.world.qtsp.ocsp(&[7, 7, 7], &reply(Said::Good)).unwrap();
    let read = OcspAnswer::read(&response, &asked.leaf, &asked.issuer, now());
    assert_eq!(read, Err(OcspFault::OtherCertificate));

    let stale = Reply { next_update: Some(hours(-1)), this_update: hours(-2), ..reply(Said::Good) };
    assert_eq!(asked.read(&stale), Err(OcspFault::Stale { until: hours(-1) }));
    let future = Reply { this_update: hours(1), next_update: None, ..reply(Said::Good) };
    assert_eq!(asked.read(&future), Err(OcspFault::Future { from: hours(1) }));
    let endless = Reply { next_update: Some(hours(9_000)), ..reply(Said::Good) };
    assert_eq!(asked.read(&endless).unwrap().until, hours(23), "a day at most");
}

#[test]
fn refusals_and_what_is_no_response_are_told_apart() {
    let asked = asked();
    let read = |bytes: &[u8]| OcspAnswer::read(bytes, &asked.leaf, &asked.issuer, now());
    assert_eq!(read(&refusal(TRY_LATER).unwrap()), Err(OcspFault::Refused("tryLater")));
    assert_eq!(read(b"<html>"), Err(OcspFault::Malformed));
    assert_eq!(read(b""), Err(OcspFault::Malformed));
    let long = vec![0x30; crate::limits::OCSP_BYTES_MAX + 1];
    assert_eq!(read(&long), Err(OcspFault::TooLarge { bytes: long.len() }));
}

#[test]
fn a_newer_answer_takes_the_place_of_an_older_one_and_not_the_reverse() {
    let asked = asked();
    let revoked = asked.read(&reply(Said::Revoked(hours(-3)))).unwrap();
    let older = Reply { this_update: hours(-2), ..reply(Said::Good) };
    let mut revocations = Revocations::empty();
    assert!(revocations.add_answer(revoked));
    assert!(!revocations.add_answer(asked.read(&older).unwrap()));
    assert!(!revocations.add_answer(asked.read(&reply(Said::Good)).unwrap()), "same instant");
    let status = revocations.status(&asked.world.trusted, now());
    assert!(matches!(status, RevocationStatus::Revoked { .. }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn a_bent_answer_never_makes_a_revoked_certificate_good(
        at in any::<prop::sample::Index>(), bit in 0..8_u8,
    ) {
        thread_local! {
            static MADE: (Asked, Vec<u8>) = {
                let asked = asked();
                let said = reply(Said::Revoked(hours(-3)));
                let response = asked.world.qtsp.ocsp(&asked.world.serial, &said).unwrap();
                (asked, response)
            };
        }
        MADE.with(|(asked, response)| {
            let mut response = response.clone();
            let at = at.index(response.len());
            response[at] ^= 1 << bit;
            let read = OcspAnswer::read(&response, &asked.leaf, &asked.issuer, now());
            let good = matches!(read, Ok(OcspAnswer { status: OcspStatus::Good, .. }));
            prop_assert!(!good);
            Ok(())
        })?;
    }
}
