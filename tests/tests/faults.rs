//! Everything around the gateway breaks while 64 clients ask: nobody gets through without a token
//! decision, every answer has its record, and nothing in flight is lost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use harness::client::Answer;
use harness::eventually;
use harness::gateway::{Gateway, HOST, upstream};
use harness::redis_server::RedisServer;
use harness::upstream::{Manner, Upstream};

const CLIENTS: usize = 64;
/// How long each state of the world lasts.
const PHASE: Duration = Duration::from_secs(3);

/// What one client asks with, in turns.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Good,
    UnknownToken,
    Withdrawn,
}

struct Told {
    kind: Kind,
    answer: Answer,
}

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

    let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let told: Arc<Mutex<Vec<Told>>> = Arc::default();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let good = gateway.request(&token);
            let unknown = gateway.request("a-token-that-nobody-issued");
            let (funds, withdrawn) = (gateway.tpp("funds-co"), gateway.tpp("withdrawn"));
            let (stop, asked, told) = (Arc::clone(&stop), Arc::clone(&asked), Arc::clone(&told));
            thread::spawn(move || {
                let kind = match number % 8 {
                    0 => Kind::UnknownToken,
                    1 => Kind::Withdrawn,
                    _ => Kind::Good,
                };
                let (client, request) = match kind {
                    Kind::Good => (&funds, &good),
                    Kind::UnknownToken => (&funds, &unknown),
                    Kind::Withdrawn => (&withdrawn, &good),
                };
                let octets = request.octets();
                'connections: while !stop.load(Ordering::SeqCst) {
                    let Ok(mut connection) = client.connect(HOST) else {
                        // Sixty-four threads that only ask a closed port would leave the gateway no
                        // processor to end on.
                        thread::sleep(Duration::from_millis(5));
                        continue;
                    };
                    while !stop.load(Ordering::SeqCst) {
                        if connection.write(&octets).is_err() {
                            continue 'connections;
                        }
                        asked.fetch_add(1, Ordering::SeqCst);
                        // A connection that ends before an answer has begun asked nothing: the
                        // gateway had already said that it closes, or is gone.
                        let Ok(answer) = connection.read() else { continue 'connections };
                        let closes = answer.header("connection") == Some("close");
                        told.lock().unwrap().push(Told { kind, answer });
                        if closes {
                            continue 'connections;
                        }
                    }
                }
            })
        })
        .collect();

    let count = |told: &Mutex<Vec<Told>>| told.lock().unwrap().len();
    let goes_on = |what: &str| {
        let before = count(&told);
        eventually(what, || (count(&told) > before + CLIENTS).then_some(()));
    };
    goes_on("answers in good weather");
    thread::sleep(PHASE);

    redis.kill();
    let gone = Instant::now();
    goes_on("answers without Redis");
    thread::sleep(PHASE);
    assert!(gone.elapsed() >= PHASE);
    let without_redis = count(&told);
    goes_on("answers when tolerance is over");
    let tolerated_too_long = told.lock().unwrap()[without_redis..]
        .iter()
        .filter(|told| told.answer.status == 200)
        .count();
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
    stop.store(true, Ordering::SeqCst);
    clients.into_iter().for_each(|client| client.join().unwrap());
    assert!(ended.success(), "{ended}: {}", gateway.place().log());

    let told = told.lock().unwrap();
    let mut statuses: BTreeMap<(u16, String), usize> = BTreeMap::new();
    let records: HashMap<String, serde_json::Value> = gateway
        .place()
        .audit()
        .into_iter()
        .map(|record| (record["request_id"].as_str().unwrap().to_owned(), record))
        .collect();
    for Told { kind, answer } in told.iter() {
        let code = if answer.status == 200 { String::new() } else { answer.code() };
        let expected: &[&str] = match kind {
            Kind::Good => &["", "state_unavailable", "upstream_unavailable", "upstream_timeout"],
            Kind::UnknownToken => &["token_unknown", "state_unavailable"],
            Kind::Withdrawn => &["register_withdrawn"],
        };
        assert!(expected.contains(&code.as_str()), "{} {code}", answer.status);
        let id = answer.header("octroi-request-id").unwrap();
        let record = records.get(id).unwrap_or_else(|| panic!("{id} was answered, not recorded"));
        assert_eq!(record["status"], answer.status);
        if answer.status == 200 {
            let decided = record["checks"].as_array().unwrap().iter().any(|check| {
                check["check"] == "token" && check["passed"] == true && check["as_of"].is_string()
            });
            assert!(decided, "let through without a token decision: {record}");
        }
        *statuses.entry((answer.status, code)).or_default() += 1;
    }
    let log = gateway.place().log();
    assert!(!log.contains("panicked"), "{log}");
    assert!(statuses[&(200, String::new())] > CLIENTS, "{statuses:?}");
    assert!(statuses.contains_key(&(503, "state_unavailable".to_owned())), "{statuses:?}");
    assert!(statuses.contains_key(&(503, "upstream_unavailable".to_owned())), "{statuses:?}");
    assert!(told.len() <= asked.load(Ordering::SeqCst));
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
    assert!(gateway.place().audit().iter().any(|record| record["request_id"] == id));
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
        assert_eq!(gateway.record_of(&answer)["code"], code);
        if status == 503 {
            assert!(answer.header("retry-after").is_some());
        }
    }
}
