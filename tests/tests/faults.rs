//! Everything around the gateway breaks while 64 clients ask: nobody gets through without a token
//! decision, every answer has its record, and nothing in flight is lost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use harness::eventually;
use harness::gateway::{Gateway, HOST, upstream};
use harness::load::{Asker, Load, Told, tally};
use harness::redis_server::RedisServer;
use harness::upstream::{Manner, Upstream};

const CLIENTS: usize = 64;
/// How long each state of the world lasts.
const PHASE: Duration = Duration::from_secs(3);

/// What one client asks with: by [`Told::kind`].
const GOOD: usize = 0;
const UNKNOWN_TOKEN: usize = 1;
const WITHDRAWN: usize = 2;

#[test]
fn sixty_four_clients_while_redis_and_an_upstream_die_and_come_back_and_then_sigterm() {
    let mut redis = RedisServer::start();
    let sandbox = Gateway::sandbox();
    let url = redis.url();
    let place = sandbox.leave();
    let manner = Manner { delay: Duration::from_millis(2), ..Manner::default() };
    let mut bank = Upstream::start(manner.clone());
    let (address, settings) = (bank.address, bank.settings());
    let mut gateway = Gateway::run_in(place, |config| {
        let store = toml::Table::from_iter([
            ("redis".to_owned(), url.into()),
            ("fresh_for".to_owned(), "200ms".into()),
            ("tolerated_for".to_owned(), "1s".into()),
            ("timeout".to_owned(), "200ms".into()),
        ]);
        config.insert("store".to_owned(), store.into());
        upstream(config, "17515", settings);
        let drain = toml::Table::from_iter([
            ("delay".to_owned(), "500ms".into()),
            ("timeout".to_owned(), "20s".into()),
        ]);
        config.insert("drain".to_owned(), drain.into());
    });
    let token = redis.mint("0123456789abcdefghijklmnopqrstuvwxyzABCDEFG", "gilles");

    let askers = (0..CLIENTS).map(|number| {
        let (kind, tpp, token) = match number % 8 {
            0 => (UNKNOWN_TOKEN, "funds-co", "a-token-that-nobody-issued"),
            1 => (WITHDRAWN, "withdrawn", token.as_str()),
            _ => (GOOD, "funds-co", token.as_str()),
        };
        let octets = gateway.request(token).octets();
        let request = Box::new(move |_| octets.clone());
        Asker { client: gateway.tpp(tpp), host: HOST.to_owned(), request, kind }
    });
    let load = Load::start(askers.collect(), None);
    // A connection that ends before an answer has begun asked nothing: the gateway had already said
    // that it closes, or is gone.
    let answered = || {
        let mut told = load.so_far();
        told.retain(|told| told.answer.is_some());
        told
    };
    let goes_on = |what: &str| {
        let before = answered().len();
        eventually(what, || (answered().len() > before + CLIENTS).then_some(()));
    };
    goes_on("answers in good weather");
    thread::sleep(PHASE);

    redis.kill();
    let gone = Instant::now();
    goes_on("answers without Redis");
    thread::sleep(PHASE);
    assert!(gone.elapsed() >= PHASE);
    let over = Instant::now();
    goes_on("answers when tolerance is over");
    let late = |told: &&Told| told.asked > over && told.status() == 200;
    let tolerated_too_long = answered().iter().filter(late).count();
    assert_eq!(tolerated_too_long, 0, "a token that nobody has vouched for in 3 s opened the bank");
    redis.restart();
    let token_again = redis.mint("0123456789abcdefghijklmnopqrstuvwxyzABCDEFG", "gilles");
    eventually("tokens count again", || {
        let answer = gateway.tpp("funds-co").send(&gateway.request(&token_again));
        (answer.status == 200).then_some(())
    });
    goes_on("answers with Redis again");

    drop(bank);
    goes_on("answers without the bank");
    thread::sleep(PHASE);
    bank = Upstream::start_at(address, manner);
    eventually("the bank is found again", || {
        let answer = gateway.tpp("funds-co").send(&gateway.request(&token_again));
        (answer.status == 200).then_some(())
    });
    goes_on("answers with the bank again");

    gateway.signal("TERM");
    let ended = gateway.wait();
    let mut told = load.stop();
    told.retain(|told| told.answer.is_some());
    assert!(ended.success(), "{ended}: {}", gateway.place().log());

    let statuses = tally(&told);
    let records: HashMap<String, serde_json::Value> = gateway
        .place()
        .audit()
        .into_iter()
        .map(|record| (record["http.request.id"].as_str().unwrap().to_owned(), record))
        .collect();
    for told in &told {
        let (code, answer) = (told.code(), told.answer.as_ref().unwrap());
        let expected: &[&str] = match told.kind {
            GOOD => &["", "state_unavailable", "upstream_unavailable", "upstream_timeout"],
            UNKNOWN_TOKEN => &["token_unknown", "state_unavailable"],
            _ => &["register_withdrawn"],
        };
        assert!(expected.contains(&code.as_str()), "{} {code}", answer.status);
        let id = answer.header("octroi-request-id").unwrap();
        let record = records.get(id).unwrap_or_else(|| panic!("{id} was answered, not recorded"));
        assert_eq!(record["http.response.status_code"], answer.status);
        if answer.status == 200 {
            let decided = record["octroi.checks"].as_array().unwrap().iter().any(|check| {
                check["check"] == "token" && check["passed"] == true && check["as_of"].is_string()
            });
            assert!(decided, "let through without a token decision: {record}");
        }
    }
    let log = gateway.place().log();
    assert!(!log.contains("panicked"), "{log}");
    assert!(statuses[&(200, String::new())] > CLIENTS, "{statuses:?}");
    assert!(statuses.contains_key(&(503, "state_unavailable".to_owned())), "{statuses:?}");
    assert!(statuses.contains_key(&(503, "upstream_unavailable".to_owned())), "{statuses:?}");
    drop(bank);
}

#[test]
fn a_request_in_flight_at_sigterm_is_finished_and_recorded() {
    let sandbox = Gateway::sandbox();
    let token = sandbox.token("funds-co", "gilles", &[]);
    let bank = Upstream::start(Manner { delay: Duration::from_secs(2), ..Manner::default() });
    let settings = bank.settings();
    let mut gateway = Gateway::run_in(sandbox.leave(), |config| {
        upstream(config, "17515", settings);
        let drain = toml::Table::from_iter([("delay".to_owned(), "100ms".into())]);
        config.insert("drain".to_owned(), drain.into());
    });
    let mut connection = gateway.tpp("funds-co").connect(HOST).unwrap();
    connection.write(&gateway.request(&token).octets()).unwrap();
    eventually("the bank has heard it", || (!bank.heard().is_empty()).then_some(()));
    gateway.signal("TERM");
    let answer = connection.read().unwrap();
    assert_eq!(answer.status, 200);
    assert!(gateway.wait().success());
    let id = answer.header("octroi-request-id").unwrap();
    assert!(gateway.place().audit().iter().any(|record| record["http.request.id"] == id));
}

#[test]
fn an_upstream_that_is_slow_or_broken_is_told_apart_and_its_words_stay_inside() {
    for (manner, code, status) in [
        (Manner { delay: Duration::from_secs(5), ..Manner::default() }, "upstream_timeout", 504),
        (
            Manner { status: "500 Oops", body: "java.lang.Secret".to_owned(), ..Manner::default() },
            "upstream_unavailable",
            503,
        ),
    ] {
        let sandbox = Gateway::sandbox();
        let token = sandbox.token("funds-co", "gilles", &[]);
        let bank = Upstream::start(manner);
        let mut settings = bank.settings();
        settings.insert("response_timeout".to_owned(), "1s".into());
        let gateway =
            Gateway::run_in(sandbox.leave(), |config| upstream(config, "17515", settings));
        let answer = gateway.tpp("funds-co").send(&gateway.request(&token));
        assert_eq!((answer.status, answer.code().as_str()), (status, code));
        assert!(!String::from_utf8_lossy(&answer.body).contains("Secret"));
        assert_eq!(gateway.record_of(&answer)["event.reason"], code);
        if status == 503 {
            assert!(answer.header("retry-after").is_some());
        }
    }
}
