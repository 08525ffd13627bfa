//! A QTSP that revokes, goes down, is slow and lies, seen from an open connection. Whatever it does,
//! nobody is let in on a status that nobody vouched for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use certs::test_qtsp::responder::{Reply, Said, SignedBy, TRY_LATER, refusal};
use certs::test_qtsp::{Authority, Issued, Recipe};
use certs::{Leaf, PspRole};
use harness::client::{Answer, Client, Connection};
use harness::eventually;
use harness::gateway::{Gateway, HOST, Place, path_text};
use harness::qtsp::{Mood, Publication};
use jiff::{SignedDuration, Timestamp};

/// Longest time from a publication to its effect, with a refresh of a second (the refresh, the
/// fetch, the swap, and what a busy machine adds).
const EFFECT_MAX: Duration = Duration::from_secs(10);

struct Case {
    gateway: Gateway,
    publication: Publication,
    qtsp: Arc<Authority>,
    issued: Issued,
    client: Client,
    token: String,
}

fn seconds(seconds: i64) -> Timestamp {
    Timestamp::now().checked_add(SignedDuration::from_secs(seconds)).unwrap()
}

fn reply(said: Said) -> Reply {
    Reply {
        said,
        this_update: seconds(-5),
        next_update: Some(seconds(3600)),
        signed_by: SignedBy::Issuer,
    }
}

/// Whether the certificate names a list, or a responder, or both.
#[derive(Clone, Copy, PartialEq)]
enum Names {
    List,
    Responder,
    Both,
}

fn run(place: Place, publication: &Publication) -> Gateway {
    Gateway::run_in(place, |config| {
        let trust = config["trust"].as_table_mut().unwrap();
        trust.remove("crls");
        let mut revocation = toml::Table::new();
        revocation.insert("directory".to_owned(), "revocation".into());
        revocation.insert("allow".to_owned(), vec![publication.origin()].into());
        revocation.insert("refresh".to_owned(), "1s".into());
        trust.insert("revocation".to_owned(), revocation.into());
    })
}

fn case(names: Names) -> Case {
    let publication = Publication::start();
    let sandbox = Gateway::sandbox();
    let token = sandbox.token("funds-co", "gilles", &[]);
    let place = sandbox.leave();
    let qtsp =
        Arc::new(Authority::from_pem(&fs::read(place.file("qtsp/qtsp.pem")).unwrap()).unwrap());
    let known = fs::read(place.file("tpp/funds-co/qwac.pem")).unwrap();
    let known = Leaf::from_pem(&known).unwrap().0;
    let id = known.organisation_ids()[0].text.clone().unwrap();
    let roles = [PspRole::CardBasedInstruments];
    let mut recipe = Recipe::qwac("Funds Co", &id, &roles, Timestamp::now());
    if names != Names::Responder {
        recipe.crl_url = Some(format!("{}/crl", publication.origin()));
    }
    if names != Names::List {
        recipe.ocsp_url = Some(format!("{}/ocsp", publication.origin()));
    }
    let issued = qtsp.issue(&recipe).unwrap();
    let tpp = place.file("tpp/renewed");
    fs::create_dir_all(&tpp).unwrap();
    fs::write(tpp.join("qwac.pem"), issued.chain_pem().unwrap()).unwrap();
    fs::write(tpp.join("qwac.key"), issued.key_pem().unwrap()).unwrap();
    let gateway = run(place, &publication);
    let client = gateway.tpp("renewed");
    Case { gateway, publication, qtsp, issued, client, token }
}

impl Case {
    fn serial(&self) -> Vec<u8> {
        self.issued.serial().unwrap()
    }

    /// The responder says this of every certificate.
    fn responds(&self, reply: Reply) {
        let qtsp = Arc::clone(&self.qtsp);
        self.publication.set_ocsp(Mood::Answers(Arc::new(move |serial: &[u8]| {
            qtsp.ocsp(serial, &reply).unwrap()
        })));
    }

    fn lists(&self, revoked: &[Vec<u8>], from: i64, until: i64) {
        let revoked: Vec<_> = revoked.iter().map(|serial| (serial.clone(), seconds(-60))).collect();
        let list = self.qtsp.crl(&revoked, seconds(from), seconds(until)).unwrap();
        self.publication.set_crl(Mood::Says(list));
    }

    fn ask(&self, connection: &mut Connection) -> Answer {
        connection.exchange(&self.gateway.request(&self.token).octets()).unwrap()
    }

    /// Asks on one open connection until the answer has this code (none: 200).
    #[track_caller]
    fn until(&self, connection: &mut Connection, code: Option<&str>) -> Duration {
        let began = Instant::now();
        eventually(&format!("{code:?}"), || {
            let answer = self.ask(connection);
            let found = (answer.status != 200).then(|| answer.code());
            (found.as_deref() == code).then_some(())
        });
        began.elapsed()
    }

    fn counted(&self, source: &str, outcome: &str) -> bool {
        let line =
            format!("octroi_revocation_fetches_total{{outcome=\"{outcome}\",source=\"{source}\"}}");
        self.gateway.metrics().lines().any(|found| found.starts_with(&line))
    }
}

#[test]
fn a_certificate_is_refused_until_its_status_is_known_and_again_once_it_is_revoked() {
    let case = case(Names::Responder);
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
    assert_eq!(record["code"], "certificate_revoked");
    // A responder that takes it back by an older answer, or goes away, changes nothing.
    case.responds(reply(Said::Good));
    let asked = case.publication.asked();
    eventually("two more questions", || (case.publication.asked() >= asked + 2).then_some(()));
    assert_eq!(case.ask(&mut connection).code(), "certificate_revoked");
}

#[test]
fn a_list_revokes_on_an_open_connection_and_an_older_one_does_not_take_it_back() {
    let case = case(Names::List);
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
    let case = case(Names::Responder);
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
    let case = case(Names::Both);
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
    let case = case(Names::Responder);
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
    let case = case(Names::Responder);
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
