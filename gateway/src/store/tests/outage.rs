//! Redis killed, stopped, replaced by something else, or changed behind our back.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use policies::{QuotaFact, Source, TokenFact};

use super::*;
use crate::store::limits::BREAKER_FAILURES_MAX;
use crate::store::{Circuit, RedisStore, Store};
use harness::redis_server::RedisServer;

/// What a busy machine may add to a time limit.
const SLACK: Duration = Duration::from_secs(1);

#[tokio::test]
async fn with_redis_killed_a_known_token_serves_for_its_tolerated_time_and_no_longer() {
    let mut server = RedisServer::start();
    let store = RedisStore::open(&server.url(), BRISK).unwrap();
    store.put_token(&named(1), &record("client")).await.unwrap();
    // Word of the change itself would take the copy away again.
    store.settled().await;
    assert_eq!(client_of(&store.token(&named(1), &tpp("13935"), now()).await), "client");
    server.kill();
    eventually("the loss is noticed", || store.report().tracking == Some(false)).await;

    for seconds in [2, 30, 59] {
        let fact = store.token(&named(1), &tpp("13935"), after(seconds)).await;
        assert_eq!(client_of(&fact), "client");
        assert!(matches!(fact, TokenFact::Live { as_of, source: Source::TokenCache, .. }
            if as_of == now()));
    }
    assert!(matches!(
        store.token(&named(1), &tpp("13935"), after(60)).await,
        TokenFact::Unavailable
    ));
    assert!(matches!(
        store.token(&named(1), &tpp("13935"), after(-1)).await,
        TokenFact::Unavailable
    ));
    assert!(matches!(store.token(&named(2), &tpp("13935"), now()).await, TokenFact::Unavailable));
    assert_eq!(store.report().tokens_tolerated_total, 3);
    assert!(store.health().await.is_err());
    assert!(store.put_token(&named(3), &record("lost")).await.is_err());
    assert!(remove(&store, 1).await.is_err());
    assert!(store.token_now(&named(1), now()).is_none(), "a revocation that failed still counts");

    server.restart();
    eventually_live(&store, after(61)).await;
    assert_eq!(store.report().circuit, Some(Circuit::Closed));
}

/// Any TPP may ask for a token while Redis is away, and every such request reads first.
#[tokio::test]
async fn a_step_that_fails_while_redis_is_away_ends_the_tolerance_of_no_other_token() {
    let mut server = RedisServer::start();
    let store = RedisStore::open(&server.url(), BRISK).unwrap();
    for number in [1, 2] {
        store.put_token(&named(number), &record("client")).await.unwrap();
        store.settled().await;
        assert_eq!(client_of(&store.token(&named(number), &tpp("13935"), now()).await), "client");
    }
    server.kill();
    eventually("the loss is noticed", || store.report().tracking == Some(false)).await;
    while store.report().circuit == Some(Circuit::Closed) {
        assert!(remove(&store, 2).await.is_err());
    }
    assert!(remove(&store, 2).await.is_err());
    assert_eq!(client_of(&store.token(&named(1), &tpp("13935"), after(2)).await), "client");
    let fact = store.token(&named(2), &tpp("13935"), after(2)).await;
    assert!(matches!(fact, TokenFact::Unavailable), "a revocation that failed still counts");
}

#[tokio::test]
async fn with_redis_stopped_no_request_waits_longer_than_its_limit() {
    let server = RedisServer::start();
    let store = RedisStore::open(&server.url(), BRISK).unwrap();
    store.put_token(&named(1), &record("client")).await.unwrap();
    // Word of the change itself would take the copy away again.
    store.settled().await;
    assert_eq!(client_of(&store.token(&named(1), &tpp("13935"), now()).await), "client");
    server.pause();

    let mut slow = 0;
    for number in 0..1_000 {
        let asked = Instant::now();
        let warm = number % 2 == 0;
        let fact = store
            .token(&named(if warm { 1 } else { 1_000 + number }), &tpp("13935"), after(2))
            .await;
        assert_eq!(matches!(fact, TokenFact::Live { .. }), warm);
        assert!(asked.elapsed() < BRISK.timeout + SLACK, "{:?}", asked.elapsed());
        slow += u32::from(asked.elapsed() >= BRISK.timeout);
    }
    assert_eq!(store.report().circuit, Some(Circuit::Open));
    // A busy machine may make one that did not wait look as if it had.
    assert!(slow <= 2 * BREAKER_FAILURES_MAX, "{slow} requests waited for a stopped Redis");

    server.resume();
    eventually_live(&store, after(120)).await;
    // Ours for questions, ours for invalidations, and the one that asks.
    let mut connection = server.connection();
    eventually("no connection is left behind", || {
        let clients: String = redis::cmd("CLIENT").arg("LIST").query(&mut connection).unwrap();
        clients.lines().count() <= 3
    })
    .await;
}

#[tokio::test]
async fn a_peer_that_never_answers_is_probed_once_a_second() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("redis://{}/", listener.local_addr().unwrap());
    let dialled = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&dialled);
    std::thread::spawn(move || {
        let mut silent = Vec::new();
        for connection in listener.incoming() {
            counter.fetch_add(1, Ordering::Relaxed);
            silent.push(connection);
        }
    });
    let store = RedisStore::open(&url, BRISK).unwrap();
    while store.report().circuit == Some(Circuit::Closed) {
        assert!(matches!(
            store.token(&named(1), &tpp("13935"), now()).await,
            TokenFact::Unavailable
        ));
    }
    let (opened, before) = (Instant::now(), dialled.load(Ordering::Relaxed));
    while opened.elapsed() < Duration::from_secs(3) {
        assert!(matches!(
            store.token(&named(1), &tpp("13935"), now()).await,
            TokenFact::Unavailable
        ));
        tokio::task::yield_now().await;
    }
    let probes = dialled.load(Ordering::Relaxed) - before;
    assert!((1..=3).contains(&probes), "{probes} probes in {:?}", opened.elapsed());
}

#[tokio::test]
async fn an_idle_connection_that_died_costs_no_request() {
    let mut server = RedisServer::start();
    let store = RedisStore::open(&server.url(), PATIENT).unwrap();
    store.put_token(&named(1), &record("client")).await.unwrap();
    server.kill();
    server.restart();
    assert_eq!(client_of(&store.token(&named(1), &tpp("13935"), now()).await), "client");
    assert!(is_granted(&take(&store, "A", &rule(1)).await));
}

#[tokio::test]
async fn an_idle_connection_that_died_costs_no_change_either() {
    let mut server = RedisServer::start();
    let store = RedisStore::open(&server.url(), PATIENT).unwrap();
    store.put_token(&named(1), &record("client")).await.unwrap();
    server.kill();
    server.restart();
    tokio::time::sleep(crate::store::limits::WIRE_IDLE_MAX).await;
    store.put_token(&named(1), &record("changed")).await.unwrap();
}

#[tokio::test]
async fn who_asks_after_a_revocation_is_not_told_what_was_read_before_it() {
    let server = RedisServer::start();
    let store = RedisStore::open(&server.url(), PATIENT).unwrap();
    store.put_token(&named(1), &record("client")).await.unwrap();
    let (one, caller) = (named(1), tpp("13935"));
    let mut early = Box::pin(store.token(&one, &caller, now()));
    tokio::select! {
        biased;
        _ = &mut early => unreachable!("Redis has not been heard yet"),
        () = tokio::task::yield_now() => (),
    }
    // Redis answers the question first; the one who asked it is late in taking the answer.
    assert!(remove(&store, 1).await.unwrap());
    let (late, early) = tokio::join!(store.token(&one, &caller, now()), early);
    assert_eq!(client_of(&early), "client");
    assert!(matches!(late, TokenFact::Unknown), "{late:?}");
}

#[tokio::test]
async fn where_redis_tells_of_no_change_a_revoked_token_is_gone_when_it_is_no_longer_fresh() {
    let mut server = RedisServer::start();
    server.forbid("client|tracking");
    let [ours, theirs] = [(); 2].map(|()| RedisStore::open(&server.url(), PATIENT).unwrap());
    ours.put_token(&named(1), &record("client")).await.unwrap();
    assert_eq!(client_of(&ours.token(&named(1), &tpp("13935"), now()).await), "client");
    assert!(remove(&theirs, 1).await.unwrap());

    assert!(ours.token_now(&named(1), now()).is_some());
    assert!(ours.token_now(&named(1), after(1)).is_none());
    assert!(matches!(ours.token(&named(1), &tpp("13935"), after(1)).await, TokenFact::Unknown));
    server.kill();
    let fact = ours.token(&named(1), &tpp("13935"), after(1)).await;
    assert!(matches!(fact, TokenFact::Unavailable), "what was revoked is not tolerated: {fact:?}");
}

#[tokio::test]
async fn what_is_not_a_record_is_unreadable_and_ends_the_copy_in_memory() {
    let mut server = RedisServer::start();
    // So that the copy ages: `after(2)` is two seconds later for its age only.
    server.forbid("client|tracking");
    let store = RedisStore::open(&server.url(), PATIENT).unwrap();
    let key = format!("octroi:token:{}", hex::encode(digest(1)));
    let mut connection = server.connection();
    for spoil in [vec!["SET", &key, "not JSON"], vec!["SET", &key, ""]] {
        store.put_token(&named(1), &record("client")).await.unwrap();
        assert_eq!(client_of(&store.token(&named(1), &tpp("13935"), now()).await), "client");
        redis::cmd("DEL").arg(&key).exec(&mut connection).unwrap();
        let mut command = redis::cmd(spoil[0]);
        command.arg(&spoil[1..]).exec(&mut connection).unwrap();
        let fact = store.token(&named(1), &tpp("13935"), after(2)).await;
        assert!(matches!(fact, TokenFact::Unreadable), "{spoil:?} is {fact:?}");
        assert!(store.token_now(&named(1), after(2)).is_none());
        assert!(remove(&store, 1).await.unwrap());
    }
    // What is no string is no record at all.
    for spoil in [["RPUSH", &key, "a", "list"], ["HSET", &key, "a", "hash"]] {
        store.put_token(&named(1), &record("client")).await.unwrap();
        assert_eq!(client_of(&store.token(&named(1), &tpp("13935"), now()).await), "client");
        redis::cmd("DEL").arg(&key).exec(&mut connection).unwrap();
        redis::cmd(spoil[0]).arg(&spoil[1..]).exec(&mut connection).unwrap();
        let fact = store.token(&named(1), &tpp("13935"), after(2)).await;
        assert!(matches!(fact, TokenFact::Unknown), "{spoil:?} is {fact:?}");
        assert!(store.token_now(&named(1), after(2)).is_none());
    }
    drop(connection);
    server.kill();
}

#[tokio::test]
async fn redis_drops_a_record_a_day_after_it_has_expired() {
    let server = RedisServer::start();
    let store = RedisStore::open(&server.url(), PATIENT).unwrap();
    store.put_token(&named(1), &record("client")).await.unwrap();
    let key = format!("octroi:token:{}", hex::encode(digest(1)));
    let expiry: i64 = redis::cmd("PEXPIRETIME").arg(&key).query(&mut server.connection()).unwrap();
    assert_eq!(expiry, record("client").expires_at.as_millisecond() + 24 * 60 * 60 * 1_000);
}

#[tokio::test]
async fn a_script_that_redis_forgot_is_sent_again() {
    let server = RedisServer::start();
    let store = RedisStore::open(&server.url(), PATIENT).unwrap();
    assert!(is_granted(&take(&store, "A", &rule(2)).await));
    redis::cmd("SCRIPT").arg("FLUSH").exec(&mut server.connection()).unwrap();
    assert!(is_granted(&take(&store, "A", &rule(2)).await));
    assert!(!is_granted(&take(&store, "A", &rule(2)).await));

    for _ in 0..2 {
        store.put_token(&named(1), &record("client")).await.unwrap();
        assert!(remove(&store, 1).await.unwrap());
        assert!(!remove(&store, 1).await.unwrap());
        redis::cmd("SCRIPT").arg("FLUSH").exec(&mut server.connection()).unwrap();
    }
}

#[tokio::test]
async fn a_bucket_that_holds_something_else_grants_nothing() {
    let server = RedisServer::start();
    let store = RedisStore::open(&server.url(), PATIENT).unwrap();
    assert!(is_granted(&take(&store, "A", &rule(9)).await));
    let mut connection = server.connection();
    let keys: Vec<String> =
        redis::cmd("KEYS").arg("octroi:quota:*").query(&mut connection).unwrap();
    let [key] = keys.as_slice() else { panic!("{keys:?}") };
    for spoil in [vec!["SET", key, "much"], vec!["SET", key, "nan"], vec!["RPUSH", key, "1"]] {
        redis::cmd("DEL").arg(key).exec(&mut connection).unwrap();
        redis::cmd(spoil[0]).arg(&spoil[1..]).exec(&mut connection).unwrap();
        let fact = take(&store, "A", &rule(9)).await;
        assert!(matches!(fact, QuotaFact::Unavailable), "{spoil:?} is {fact:?}");
    }
}

async fn eventually_live(store: &RedisStore, now: Timestamp) {
    let deadline = Instant::now() + RECOVERY_MAX;
    while !matches!(store.token(&named(1), &tpp("13935"), now).await, TokenFact::Live { as_of, .. } if as_of == now)
    {
        assert!(Instant::now() < deadline, "no answer {RECOVERY_MAX:?} after Redis came back");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
