//! Gateway and Redis are killed at any moment of the flow. What was answered holds afterwards; what was
//! not answered happened whole or not at all.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use harness::client::Answer;
use harness::gateway::{Gateway, path_text};
use harness::oauth::{App, GILLES, Pair, REVOKE};
use harness::redis_server::RedisServer;
use harness::run;
use serde_json::Value;

/// The longest that a gateway works before it is killed.
const LIFE_MAX: Duration = Duration::from_millis(400);

/// What was asked and not answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Asked {
    #[default]
    Nothing,
    Exchange,
    Refresh,
    Revocation,
}

/// What the TPP knows.
#[derive(Default)]
struct Known {
    pair: Option<Pair>,
    dead: Vec<String>,
    asked: Asked,
    answered: usize,
    /// Refusals of what was good.
    wrong: Vec<String>,
}

impl Known {
    fn got(&mut self, pair: Pair) {
        if let Some(old) = self.pair.take() {
            let ended = [old.access, old.refresh].into_iter();
            self.dead.extend(ended.filter(|token| *token != pair.refresh));
        }
        self.pair = Some(pair);
        self.answered();
    }

    fn answered(&mut self) {
        self.asked = Asked::Nothing;
        self.answered += 1;
    }
}

/// Consents, refreshes and revokes until nobody answers any more; then it panics, and its thread ends.
fn work(app: &App, known: &Mutex<Known>) {
    let asks = |asked| known.lock().unwrap().asked = asked;
    let gave = |answer: &Answer| {
        if (400..500).contains(&answer.status) {
            known.lock().unwrap().wrong.push(answer.json().to_string());
        }
        Pair::of(answer)
    };
    for step in 0.. {
        let pair = known.lock().unwrap().pair.clone();
        match (step % 7, pair) {
            (6, Some(pair)) => {
                asks(Asked::Revocation);
                assert_eq!(app.post(REVOKE, &[("token", &pair.access)]).status, 200);
                let mut known = known.lock().unwrap();
                known.pair = None;
                known.dead.extend([pair.access, pair.refresh]);
                known.answered();
            }
            (1 | 2 | 4 | 5, Some(pair)) => {
                asks(Asked::Refresh);
                let pair = gave(&app.refresh(&pair.refresh));
                known.lock().unwrap().got(pair);
            }
            _ => {
                let code = app.code(GILLES);
                asks(Asked::Exchange);
                let pair = gave(&app.exchange(&code, &[]));
                known.lock().unwrap().got(pair);
            }
        }
    }
}

/// What holds after a restart.
fn check(gateway: &Gateway, app: &App, known: &mut Known) {
    for dead in &known.dead {
        assert!(!app.is_active(dead), "what had ended lives again");
    }
    let config = gateway.config_file();
    let listed = run(&[
        "token",
        "list",
        "--tpp",
        &app.client_id,
        "--output",
        "json",
        "--config",
        path_text(&config),
    ]);
    let listed: Vec<Value> = serde_json::from_slice(&listed.stdout).unwrap();
    for kind in ["access", "refresh"] {
        let count = listed.iter().filter(|token| token["kind"] == kind).count();
        assert!(count <= 1, "{count} live {kind} tokens of one consent: {listed:#?}");
    }
    let Some(pair) = known.pair.clone() else { return };
    let alive = (app.is_active(&pair.access), app.is_active(&pair.refresh));
    match known.asked {
        Asked::Nothing => assert_eq!(alive, (true, true), "what was answered is lost"),
        Asked::Refresh => assert!(alive.1, "a refresh ended its refresh token"),
        Asked::Exchange | Asked::Revocation => assert_eq!(alive.0, alive.1, "half a pair lives"),
    }
    if alive.0 {
        assert_eq!(app.client.send(&gateway.request(&pair.access)).status, 200);
    }
    known.asked = Asked::Nothing;
    if alive.1 {
        let pair = Pair::of(&app.refresh(&pair.refresh));
        assert_eq!(app.client.send(&gateway.request(&pair.access)).status, 200);
        known.got(pair);
    } else {
        known.dead.extend([pair.access, pair.refresh]);
        known.pair = None;
    }
}

fn crash(rounds: usize, mut redis: Option<RedisServer>) {
    let known = Arc::new(Mutex::new(Known::default()));
    let mut place = Gateway::sandbox().leave();
    let mut cut = 0;
    for round in 0..rounds {
        let store = redis.as_ref().map(RedisServer::settings);
        let gateway = Gateway::run_in(place, |config| {
            if let Some(store) = store {
                config.insert("store".to_owned(), store.into());
            }
        });
        let app = App::of(&gateway, "funds-co");
        check(&gateway, &app, &mut known.lock().unwrap());
        // Only the newest of what is dead can come back to life by this round's crash.
        let mut locked = known.lock().unwrap();
        let old = locked.dead.len().saturating_sub(20);
        locked.dead.drain(..old);
        drop(locked);
        let worker = {
            let known = Arc::clone(&known);
            thread::spawn(move || work(&app, &known))
        };
        let mut moment = [0];
        openssl::rand::rand_bytes(&mut moment).unwrap();
        thread::sleep(LIFE_MAX * u32::from(moment[0]) / 256);
        match redis.as_mut().filter(|_| round % 2 == 0) {
            Some(redis) => {
                redis.kill();
                place = gateway.kill();
                redis.restart();
            }
            None => place = gateway.kill(),
        }
        assert!(worker.join().is_err(), "the worker goes on until nobody answers");
        let known = known.lock().unwrap();
        assert!(known.wrong.is_empty(), "{:?}", known.wrong);
        cut += usize::from(known.asked != Asked::Nothing);
    }
    let known = known.lock().unwrap();
    println!("{rounds} crashes, {} answers, {cut} changes cut", known.answered);
    assert!(known.answered > 0);
}

#[test]
fn a_crash_of_the_gateway_loses_nothing_that_was_answered() {
    crash(10, None);
}

#[test]
fn a_crash_of_gateway_and_redis_loses_nothing_that_was_answered() {
    crash(10, Some(RedisServer::start()));
}

#[test]
#[ignore = "takes minutes: 200 crashes"]
fn two_hundred_crashes_lose_nothing_that_was_answered() {
    thread::scope(|scope| {
        scope.spawn(|| crash(100, None));
        scope.spawn(|| crash(100, Some(RedisServer::start())));
    });
}
