//! What one replica learns of tokens that others change, how soon, and what it believes when it
//! learns nothing.

use policies::{Source, TokenFact};
use redis::Connection;

use super::*;
use crate::store::limits::REVOKED_WITHIN;
use crate::store::{RedisStore, Store};
use harness::redis_server::RedisServer;

const ROUNDS: u32 = 100;

fn store(server: &RedisServer) -> RedisStore {
    RedisStore::open(&server.url(), PATIENT).unwrap()
}

fn key(number: u32) -> String {
    format!("octroi:token:{}", hex::encode(digest(number)))
}

fn is_warm(store: &RedisStore, number: u32) -> bool {
    store.token_now(&named(number), now()).is_some()
}

/// Puts a token and reads it until it is kept: what is still to be heard of the write spoils that.
async fn warm_up(store: &RedisStore, number: u32) {
    store.put_token(&named(number), &record("client")).await.unwrap();
    warm_again(store, number).await;
}

async fn warm_again(store: &RedisStore, number: u32) {
    // What is read before counts for a second only, which is for ever by a clock that stands still.
    eventually("Redis tells of changes", || store.report().tracking == Some(true)).await;
    let deadline = Instant::now() + Duration::from_secs(10);
    while !is_warm(store, number) {
        assert!(Instant::now() < deadline, "{number} is not kept");
        assert_eq!(client_of(&store.token(&named(number), &tpp("13935"), now()).await), "client");
        tokio::task::yield_now().await;
    }
}

/// How long the store still uses its copy after `since`.
async fn forgotten(store: &RedisStore, number: u32, since: Instant) -> Duration {
    while is_warm(store, number) {
        assert!(since.elapsed() < REVOKED_WITHIN, "{number} is still used");
        tokio::task::yield_now().await;
    }
    since.elapsed()
}

fn show(what: &str, mut taken: Vec<Duration>) {
    taken.sort();
    let (median, max) = (taken[taken.len() / 2], taken[taken.len() - 1]);
    println!("{what}, {} times: median {median:?}, max {max:?}", taken.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_another_replica_revoked_is_refused_within_a_second() {
    let server = RedisServer::start();
    let (ours, theirs) = (store(&server), store(&server));
    theirs.settled().await;
    let mut taken = Vec::new();
    for number in 0..ROUNDS {
        warm_up(&theirs, number).await;
        let asked = Instant::now();
        assert!(remove(&ours, number).await.unwrap());
        taken.push(forgotten(&theirs, number, asked).await);
        assert!(matches!(
            theirs.token(&named(number), &tpp("13935"), now()).await,
            TokenFact::Unknown
        ));
    }
    show("revoked at another replica", taken);
    eventually("every replica observes it", || observed_kills(&theirs) == u64::from(ROUNDS)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_whose_key_a_stranger_deleted_is_refused_within_a_second() {
    let server = RedisServer::start();
    let (store, mut stranger) = (store(&server), server.connection());
    store.settled().await;
    let mut taken = Vec::new();
    for number in 0..ROUNDS {
        warm_up(&store, number).await;
        let asked = Instant::now();
        redis::cmd("DEL").arg(key(number)).exec(&mut stranger).unwrap();
        taken.push(forgotten(&store, number, asked).await);
        assert!(matches!(
            store.token(&named(number), &tpp("13935"), now()).await,
            TokenFact::Unknown
        ));
    }
    show("deleted by a stranger", taken);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_token_costs_no_question_and_a_cold_one_exactly_one() {
    let server = RedisServer::start();
    let store = store(&server);
    store.put_token(&named(1), &record("client")).await.unwrap();
    store.settled().await;
    assert_eq!(server.calls(&["mget"]), 0);
    assert_eq!(client_of(&store.token(&named(1), &tpp("13935"), now()).await), "client");
    assert_eq!(server.calls(&["mget"]), 1);
    for seconds in (0..25).cycle().take(1_000) {
        let fact = store.token_now(&named(1), after(seconds)).unwrap();
        assert!(matches!(fact, TokenFact::Live { source: Source::TokenCache, .. }));
    }
    assert_eq!(server.calls(&["mget"]), 1, "not even when it is older than `fresh_for`");
    assert!(store.token_now(&named(1), after(38)).is_none(), "the tolerated time is not used up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_whose_word_was_lost_with_its_connection_counts_all_the_same() {
    let server = RedisServer::start();
    let (store, mut stranger) = (store(&server), server.connection());
    store.settled().await;
    let mut taken = Vec::new();
    for number in 0..10 {
        warm_up(&store, number).await;
        let asked = Instant::now();
        let mut at_once = redis::pipe();
        at_once.atomic().cmd("CLIENT").arg("KILL").arg("TYPE").arg("pubsub");
        at_once.cmd("DEL").arg(key(number));
        let (killed, deleted): (u32, u32) = at_once.query(&mut stranger).unwrap();
        assert_eq!((killed, deleted), (1, 1));
        taken.push(forgotten(&store, number, asked).await);
        eventually("it listens again", || store.report().tracking == Some(true)).await;
        assert!(!is_warm(&store, number), "what was read before is not fresh again");
        assert!(matches!(
            store.token(&named(number), &tpp("13935"), now()).await,
            TokenFact::Unknown
        ));
    }
    show("revoked as the connection was killed", taken);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_falls_silent_is_not_believed_to_tell_of_changes() {
    let server = RedisServer::start();
    let store = RedisStore::open(&server.url(), BRISK).unwrap();
    store.settled().await;
    warm_up(&store, 1).await;
    let stopped = Instant::now();
    server.pause();
    let taken = forgotten(&store, 1, stopped).await;
    println!("Redis stopped: warm tokens were used for {taken:?} more");
    let fact = store.token(&named(1), &tpp("13935"), now()).await;
    assert!(matches!(fact, TokenFact::Live { as_of, source: Source::TokenCache, .. }
        if as_of == now()));
    assert_eq!(store.report().tokens_tolerated_total, 1);
    server.resume();
    eventually("it listens again", || store.report().tracking == Some(true)).await;
    warm_again(&store, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_flushed_is_forgotten_and_not_even_tolerated() {
    for flush in ["FLUSHALL", "FLUSHDB"] {
        let mut server = RedisServer::start();
        let store = store(&server);
        store.settled().await;
        for number in 0..ROUNDS {
            warm_up(&store, number).await;
        }
        let asked = Instant::now();
        redis::cmd(flush).exec(&mut server.connection()).unwrap();
        for number in 0..ROUNDS {
            forgotten(&store, number, asked).await;
        }
        server.kill();
        let fact = store.token(&named(1), &tpp("13935"), now()).await;
        assert!(matches!(fact, TokenFact::Unavailable), "{flush}: {fact:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_standing_forgets_every_token_and_a_quota_none() {
    let server = RedisServer::start();
    let (store, mut stranger) = (store(&server), server.connection());
    store.settled().await;
    let set = |key: String, stranger: &mut Connection| {
        redis::cmd("SET").arg(key).arg("1").exec(stranger).unwrap();
    };
    warm_up(&store, 1).await;
    warm_up(&store, 2).await;
    store.settled().await;
    assert!(is_granted(&take(&store, "A", &rule(2)).await));
    set(format!("octroi:{{0ff}}:token:{}", hex::encode(digest(2))), &mut stranger);
    let asked = Instant::now();
    forgotten(&store, 2, asked).await;
    assert!(is_warm(&store, 1));
    set(format!("octroi:{{0ff}}:standing:{}", hex::encode(digest(3))), &mut stranger);
    forgotten(&store, 1, Instant::now()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_redis_tells_of_no_change_a_record_is_used_for_a_second_at_most() {
    let server = RedisServer::start();
    server.forbid("client|tracking");
    let policy = RedisPolicy { fresh_for: Duration::from_secs(30), ..PATIENT };
    let store = RedisStore::open(&server.url(), policy).unwrap();
    store.put_token(&named(1), &record("client")).await.unwrap();
    assert_eq!(client_of(&store.token(&named(1), &tpp("13935"), now()).await), "client");
    let almost = now() + SignedDuration::from_millis(999);
    assert!(store.token_now(&named(1), almost).is_some());
    assert!(store.token_now(&named(1), after(1)).is_none());
    assert_eq!(store.report().tracking, Some(false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_forbids_the_channel_still_revokes_and_tells() {
    let server = RedisServer::start();
    server.restrict("resetchannels");
    let (ours, theirs) = (store(&server), store(&server));
    theirs.settled().await;
    warm_up(&theirs, 1).await;
    let asked = Instant::now();
    assert!(remove(&ours, 1).await.unwrap());
    forgotten(&theirs, 1, asked).await;
    assert!(matches!(ours.token(&named(1), &tpp("13935"), now()).await, TokenFact::Unknown));
}

#[test]
fn a_store_opens_without_a_runtime_and_its_connections_end_with_it() {
    let server = RedisServer::start();
    let store = store(&server);
    assert!(!is_warm(&store, 1));
    assert_eq!(store.report().tracking, Some(false));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut connection = server.connection();
    let mut clients = move || {
        let list: String = redis::cmd("CLIENT").arg("LIST").query(&mut connection).unwrap();
        list.lines().count()
    };
    assert_eq!(clients(), 1, "it does not connect before it is asked");
    runtime.block_on(store.settled());
    runtime.block_on(store.health()).unwrap();
    assert_eq!(clients(), 3);
    drop(store);
    runtime.block_on(eventually("its connections end", || clients() == 1));
}

#[tokio::test]
async fn a_token_in_use_is_read_again_beside_the_requests() {
    let server = RedisServer::start();
    let store = store(&server);
    store.settled().await;
    store.put_token(&named(1), &record("client")).await.unwrap();
    store.settled().await;
    assert_eq!(client_of(&store.token(&named(1), &tpp("13935"), now()).await), "client");
    let read = || server.calls(&["mget"]);
    let before = read();
    let told = |seconds| match store.token_now(&named(1), after(seconds)) {
        Some(TokenFact::Live { as_of, .. }) => as_of,
        fact => panic!("{fact:?}"),
    };
    assert_eq!(told(29), now());
    assert_eq!(told(31), now(), "nobody waits for it");
    eventually("it was read again", || told(31) == after(31)).await;
    assert_eq!(read() - before, 1);
}
