//! A QTSP that revokes, goes down, is slow and lies, seen from an open connection. Whatever it does,
//! nobody is let in on a status that nobody vouched for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::time::Duration;

use certs::test_qtsp::Authority;
use certs::test_qtsp::responder::{Reply, Said, SignedBy, TRY_LATER, refusal};
use harness::eventually;
use harness::gateway::{HOST, path_text};
use harness::qtsp::{Mood, Publication};
use harness::watched::{Names, reply, run, seconds, watched};
use jiff::{SignedDuration, Timestamp};

/// Longest time from a publication to its effect, with a refresh of a second (the refresh, the
/// fetch, the swap, and what a busy machine adds).
const EFFECT_MAX: Duration = Duration::from_secs(10);

#[test]
fn a_certificate_is_refused_until_its_status_is_known_and_again_once_it_is_revoked() {
    let case = watched(Names::Responder);
    let mut connection = case.client.connect(HOST).unwrap();
    let first = case.ask(&mut connection);
    assert_eq!((first.status, first.code()), (503, "revocation_unknown".to_owned()));
    assert!(first.header("retry-after").is_some());
    case.responds(reply(Said::Good));
    case.until(&mut connection, None);

    case.responds(Reply { this_update: seconds(0), ..reply(Said::Revoked(seconds(-60))) });
    let took = case.until(&mut connection, Some("certificate_revoked"));
    assert!(took < EFFECT_MAX, "{took:?} on an open connection");
    let record = case.gateway.record_of(&case.ask(&mut connection));
    assert_eq!(record["event.reason"], "certificate_revoked");
    // A responder that takes it back by an older answer, or goes away, changes nothing.
    case.responds(reply(Said::Good));
    let asked = case.publication.asked();
    eventually("two more questions", || (case.publication.asked() >= asked + 2).then_some(()));
    assert_eq!(case.ask(&mut connection).code(), "certificate_revoked");
}

#[test]
fn a_list_revokes_on_an_open_connection_and_an_older_one_does_not_take_it_back() {
    let case = watched(Names::List);
    let mut connection = case.client.connect(HOST).unwrap();
    case.lists(&[], -60, 3600);
    case.until(&mut connection, None);
    case.lists(&[case.serial()], -30, 3600);
    let took = case.until(&mut connection, Some("certificate_revoked"));
    assert!(took < EFFECT_MAX, "{took:?} on an open connection");
    case.lists(&[], -90, 3600);
    let asked = case.publication.asked();
    eventually("two more questions", || (case.publication.asked() >= asked + 2).then_some(()));
    assert_eq!(case.ask(&mut connection).code(), "certificate_revoked");
}

#[test]
fn whatever_a_responder_does_nobody_is_let_in_without_a_good_answer() {
    let case = watched(Names::Responder);
    let mut connection = case.client.connect(HOST).unwrap();
    let answer = |reply: &Reply| case.qtsp.ocsp(&case.serial(), reply).unwrap();
    let other = Authority::generate("Other", Timestamp::now()).unwrap();
    let good = reply(Said::Good);
    let signed_by = |signed_by| Mood::Says(answer(&Reply { signed_by, ..good }));
    let lies: Vec<(&str, Mood)> = vec![
        ("http_error", Mood::Refuses(500)),
        ("http_error", Mood::Redirects(format!("{}/elsewhere", case.publication.origin()))),
        ("refused", Mood::Says(refusal(TRY_LATER).unwrap())),
        ("invalid", Mood::Says(b"<html>no</html>".to_vec())),
        ("invalid", Mood::Says(Vec::new())),
        ("too_large", Mood::Floods),
        ("too_large", Mood::Says(vec![0x30; 50 * 1024 * 1024])),
        ("timeout", Mood::Hangs),
        ("not_signed", signed_by(SignedBy::Stranger)),
        ("not_signed", signed_by(SignedBy::DelegateWithoutPurpose)),
        ("not_signed", signed_by(SignedBy::ExpiredDelegate)),
        ("not_signed", Mood::Says(other.ocsp(&case.serial(), &good).unwrap())),
        ("invalid", Mood::Says(case.qtsp.ocsp(&[1, 2, 3], &good).unwrap())),
        ("stale", Mood::Says(answer(&Reply { next_update: Some(seconds(-1)), ..good }))),
        ("future", Mood::Says(answer(&Reply { this_update: seconds(7200), ..good }))),
        ("ok", Mood::Says(answer(&reply(Said::Unknown)))),
    ];
    for (outcome, mood) in lies {
        case.publication.set_ocsp(mood);
        let asked = case.publication.asked();
        eventually(outcome, || {
            let answer = case.ask(&mut connection);
            assert_eq!(answer.code(), "revocation_unknown", "{outcome}");
            let again = case.publication.asked() > asked;
            (again && case.counted("ocsp", outcome)).then_some(())
        });
    }
    case.responds(Reply { this_update: seconds(0), ..reply(Said::Good) });
    case.until(&mut connection, None);
}

#[test]
fn with_the_sources_down_an_answer_counts_to_its_end_and_no_longer() {
    let case = watched(Names::Both);
    let mut connection = case.client.connect(HOST).unwrap();
    let end = Timestamp::from_second(seconds(7).as_second()).unwrap();
    case.responds(Reply { next_update: Some(end), ..reply(Said::Good) });
    case.until(&mut connection, None);
    case.publication.set_ocsp(Mood::Hangs);
    case.publication.set_crl(Mood::Refuses(503));
    while Timestamp::now() < end.checked_sub(SignedDuration::from_millis(500)).unwrap() {
        assert_eq!(case.ask(&mut connection).status, 200);
    }
    case.until(&mut connection, Some("revocation_unknown"));
    assert!(Timestamp::now() >= end);
    assert!(case.gateway.place().log().contains("a revocation source gave no answer"));
    let ended = "octroi_revocation_answers{source=\"ocsp\",state=\"ended\"} 1";
    eventually("the metric", || case.gateway.metrics().contains(ended).then_some(()));
    // The list alone brings it back.
    case.lists(&[], -60, 3600);
    case.until(&mut connection, None);
}

#[test]
fn what_was_known_is_known_again_after_a_restart_without_any_source() {
    let case = watched(Names::Responder);
    case.responds(reply(Said::Good));
    case.until(&mut case.client.connect(HOST).unwrap(), None);
    let (publication, token) = (case.publication, case.token);
    publication.set_ocsp(Mood::Refuses(503));
    let place = case.gateway.leave();
    let gateway = run(place, &publication);
    let answer = gateway.tpp("renewed").send(&gateway.request(&token));
    assert_eq!(answer.status, 200, "{answer:?}");

    // What is kept is verified again: a changed answer is none.
    let place = gateway.leave();
    for entry in fs::read_dir(place.file("revocation")).unwrap() {
        let file = entry.unwrap().path();
        if path_text(&file).ends_with(".der") {
            let mut octets = fs::read(&file).unwrap();
            let middle = octets.len() / 2;
            octets[middle] ^= 1;
            fs::write(&file, octets).unwrap();
        }
    }
    let gateway = run(place, &publication);
    let answer = gateway.tpp("renewed").send(&gateway.request(&token));
    assert_eq!(answer.code(), "revocation_unknown");
}

#[test]
fn a_source_that_is_not_on_the_list_is_never_asked() {
    let case = watched(Names::Responder);
    let stranger = Publication::start();
    let place = case.gateway.leave();
    let gateway = run(place, &stranger);
    let answer = gateway.tpp("renewed").send(&gateway.request(&case.token));
    assert_eq!(answer.code(), "revocation_unknown");
    eventually("the refusal is counted", || {
        let metrics = gateway.metrics();
        metrics.contains("outcome=\"not_allowed\",source=\"ocsp\"").then_some(())
    });
    assert_eq!(case.publication.asked() + stranger.asked(), 0);
}
