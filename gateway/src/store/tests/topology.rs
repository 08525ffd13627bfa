//! Masters that are killed, stopped, demoted and promoted; keys that move.

use std::sync::Arc;

use harness::redis_cluster::RedisCluster;
use harness::redis_sentinel::RedisSentinel;
use policies::TokenFact;

use super::servers::{in_cluster, under_sentinels};
use super::*;
use crate::store::{Circuit, RedisStore, Store};

/// From a fault to the first answer of the new master: the time that sentinels and cluster need to
/// agree, and what a busy machine adds.
const PROMOTION_MAX: Duration = Duration::from_secs(30);

fn brisk(timeout: u64) -> RedisPolicy {
    RedisPolicy { timeout: Duration::from_millis(timeout), ..PATIENT }
}

fn key(number: u32) -> String {
    format!("octroi:token:{}", hex::encode(digest(number)))
}

/// The first token from this one on that lies on a node.
fn token_on(cluster: &RedisCluster, node: usize, asked: usize, from: u32) -> u32 {
    (from..).find(|number| cluster.owner(asked, &key(*number)) == node).unwrap()
}

/// The TPP of the tokens here, and the node that has its standing.
fn standing_node(cluster: &RedisCluster) -> usize {
    let part = policies::Partition::of(&tpp("13935"));
    cluster.owner(0, &format!("octroi:{{{}}}:standing:x", part.as_str()))
}

async fn within<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PROMOTION_MAX;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "not within {PROMOTION_MAX:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn eventually_live(store: &RedisStore, number: u32) {
    within("the token is told of", async || {
        let fact = store.token(&named(number), &tpp("13935"), now()).await;
        matches!(fact, TokenFact::Live { .. }).then_some(())
    })
    .await;
}

async fn eventually_put(store: &RedisStore, number: u32) {
    within("a token is written", async || {
        store.put_token(&named(number), &record("client")).await.ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_is_stopped_costs_the_keys_of_the_others_nothing() {
    let cluster = RedisCluster::start();
    let store = RedisStore::open(in_cluster(&cluster, 0), brisk(300)).unwrap();
    let standing = standing_node(&cluster);
    let [lost, left] = match standing {
        0 => [1, 2],
        1 => [2, 0],
        _ => [0, 1],
    };
    let (on_lost, on_left) = (token_on(&cluster, lost, 0, 1), token_on(&cluster, left, 0, 1));
    for number in [on_lost, on_left] {
        store.put_token(&named(number), &record("client")).await.unwrap();
    }
    cluster.nodes[lost].pause();

    let (mut slow, mut unavailable) = (0, 0);
    for _ in 0..200 {
        let asked = Instant::now();
        let fact = store.token(&named(on_lost), &tpp("13935"), now()).await;
        unavailable += u32::from(matches!(fact, TokenFact::Unavailable));
        slow += u32::from(asked.elapsed() >= Duration::from_millis(300));
        let fact = store.token(&named(on_left), &tpp("13935"), now()).await;
        assert_eq!(client_of(&fact), "client");
    }
    assert_eq!(unavailable, 200);
    assert!(slow <= 10, "{slow} requests waited for a master that is stopped");
    assert_eq!(store.report().circuit, Some(Circuit::Open));
    store.health().await.unwrap();

    cluster.nodes[lost].resume();
    eventually_live(&store, on_lost).await;
    within("all circuits are closed", async || {
        store.health().await.ok()?;
        (store.report().circuit == Some(Circuit::Closed)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promoted_replica_of_a_cluster_is_asked_and_listened_to() {
    let mut cluster = RedisCluster::replicated();
    let [ours, theirs] =
        [(); 2].map(|()| RedisStore::open(in_cluster(&cluster, 0), PATIENT).unwrap());
    let (lost, asked) = (0, 1);
    let number = token_on(&cluster, lost, asked, 1);
    ours.put_token(&named(number), &record("client")).await.unwrap();
    ours.settled().await;
    eventually_live(&ours, number).await;
    cluster.nodes[lost].kill();
    cluster.promote(lost + 3);

    eventually_put(&ours, number).await;
    within("every master is listened to", async || {
        (ours.report().tracking == Some(true)).then_some(())
    })
    .await;
    eventually_live(&ours, number).await;
    assert!(ours.token_now(&named(number), now()).is_some(), "the token is warm");
    within("somebody else revokes it", async || remove(&theirs, number).await.ok()).await;
    eventually("the revocation is heard of", || ours.token_now(&named(number), now()).is_none())
        .await;
    let fact = ours.token(&named(number), &tpp("13935"), now()).await;
    assert!(matches!(fact, TokenFact::Unknown), "{fact:?}");
}

/// The master that was stopped believes itself to be one when it goes on: it must not be believed.
#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_was_replaced_while_it_was_stopped_vouches_for_nothing() {
    let cluster = RedisCluster::replicated();
    let store = RedisStore::open(in_cluster(&cluster, 0), brisk(300)).unwrap();
    let number = token_on(&cluster, 0, 1, 1);
    store.put_token(&named(number), &record("client")).await.unwrap();
    store.settled().await;
    eventually_live(&store, number).await;
    cluster.nodes[0].pause();
    within("the replica is promoted", async || cluster.nodes[3].is_master().then_some(())).await;
    let other = RedisStore::open(in_cluster_from(&cluster, 1), PATIENT).unwrap();
    within("it is revoked there", async || remove(&other, number).await.ok()).await;
    within("it is refused here", async || {
        let fact = store.token(&named(number), &tpp("13935"), after(61)).await;
        matches!(fact, TokenFact::Unknown).then_some(())
    })
    .await;
    cluster.nodes[0].resume();
    for _ in 0..100 {
        let fact = store.token(&named(number), &tpp("13935"), after(61)).await;
        assert!(!matches!(fact, TokenFact::Live { .. }), "{fact:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn in_cluster_from(cluster: &RedisCluster, first: usize) -> crate::config::RedisServers {
    let url = cluster.nodes[first].url();
    let topology = in_cluster(cluster, 0).topology;
    crate::config::RedisServers { topology, ..crate::config::RedisServers::from(&url) }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_move_to_another_master_are_found_while_they_move_and_after() {
    let cluster = RedisCluster::start();
    let store = RedisStore::open(in_cluster(&cluster, 0), PATIENT).unwrap();
    let number = token_on(&cluster, 0, 0, 1);
    store.put_token(&named(number), &record("client")).await.unwrap();
    // What is read before counts for a second only, which is for ever by a clock that stands still.
    within("every master is listened to", async || {
        (store.report().tracking == Some(true)).then_some(())
    })
    .await;
    assert_eq!(client_of(&store.token(&named(number), &tpp("13935"), now()).await), "client");

    let [mut from, mut to] = [0, 1].map(|node| cluster.nodes[node].connection());
    let id = |connection: &mut ::redis::Connection| -> String {
        ::redis::cmd("CLUSTER").arg("MYID").query(connection).unwrap()
    };
    let (from_id, to_id) = (id(&mut from), id(&mut to));
    let slot: u16 =
        ::redis::cmd("CLUSTER").arg("KEYSLOT").arg(key(number)).query(&mut from).unwrap();
    let set_slot = |connection: &mut ::redis::Connection, words: &[&str]| {
        let mut set = ::redis::cmd("CLUSTER");
        set.arg("SETSLOT").arg(slot).arg(words).exec(connection).unwrap();
    };
    set_slot(&mut to, &["IMPORTING", &from_id]);
    set_slot(&mut from, &["MIGRATING", &to_id]);
    let port = cluster.nodes[1].address().port();
    let mut migrate = ::redis::cmd("MIGRATE");
    migrate.arg("127.0.0.1").arg(port).arg(key(number)).arg(0).arg(5_000);
    migrate.exec(&mut from).unwrap();
    eventually("the copy is forgotten", || store.token_now(&named(number), now()).is_none()).await;
    let fact = store.token(&named(number), &tpp("13935"), now()).await;
    assert_eq!(client_of(&fact), "client", "while it moves");
    store.put_token(&named(number), &record("changed")).await.unwrap();

    for connection in [&mut to, &mut from] {
        set_slot(connection, &["NODE", &to_id]);
    }
    within("it is asked for where it is now", async || {
        let fact = store.token(&named(number), &tpp("13935"), now()).await;
        (client_of(&fact) == "changed").then_some(())
    })
    .await;
    assert!(remove(&store, number).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_walk_through_a_cluster_sees_the_records_of_every_master() {
    let cluster = RedisCluster::start();
    let store = RedisStore::open(in_cluster(&cluster, 0), PATIENT).unwrap();
    for number in 0..60 {
        store.put_token(&named(number), &record("client")).await.unwrap();
    }
    let found = store.tokens_of(&tpp("13935"), now()).await.unwrap();
    assert_eq!(found.len(), 60);
    cluster.nodes[2].pause();
    let brisk = RedisStore::open(in_cluster(&cluster, 0), brisk(300)).unwrap();
    assert!(brisk.tokens_of(&tpp("13935"), now()).await.is_err(), "a part is not the whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_the_sentinels_chose_is_asked_and_listened_to() {
    let mut watched = RedisSentinel::with(2, |_| Vec::new());
    let [ours, theirs] =
        [(); 2].map(|()| RedisStore::open(under_sentinels(&watched), brisk(1_000)).unwrap());
    ours.put_token(&named(1), &record("client")).await.unwrap();
    ours.settled().await;
    eventually_live(&ours, 1).await;
    watched.nodes[0].kill();
    watched.promoted(0);

    eventually_put(&ours, 1).await;
    within("the new master is listened to", async || {
        (ours.report().tracking == Some(true)).then_some(())
    })
    .await;
    eventually_live(&ours, 1).await;
    assert!(ours.token_now(&named(1), now()).is_some(), "the token is warm");
    within("somebody else revokes it", async || remove(&theirs, 1).await.ok()).await;
    eventually("the revocation is heard of", || ours.token_now(&named(1), now()).is_none()).await;
    assert_eq!(ours.report().circuit, Some(Circuit::Closed));
}

/// The former master lives on as a replica and goes on to answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_was_demoted_is_left() {
    let watched = RedisSentinel::start();
    let store = RedisStore::open(under_sentinels(&watched), brisk(1_000)).unwrap();
    store.put_token(&named(1), &record("client")).await.unwrap();
    watched.promote();
    eventually_put(&store, 2).await;
    eventually_live(&store, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_that_are_silent_are_not_waited_for() {
    let mut watched = RedisSentinel::start();
    watched.sentinels[0].pause();
    watched.sentinels[1].kill();
    let store = RedisStore::open(under_sentinels(&watched), brisk(2_000)).unwrap();
    store.put_token(&named(1), &record("client")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_replica_has_is_not_said_to_be_done() {
    let watched = RedisSentinel::start();
    let store = RedisStore::open(under_sentinels(&watched), brisk(2_000)).unwrap();
    store.put_token(&named(1), &record("client")).await.unwrap();
    eventually_live(&store, 1).await;
    watched.nodes[1].pause();

    let error = remove(&store, 1).await.unwrap_err().to_string();
    assert!(error.contains("0 of 1 replicas"), "{error}");
    let fact = store.token(&named(1), &tpp("13935"), now()).await;
    assert!(matches!(fact, TokenFact::Unknown), "ended all the same: {fact:?}");
    let again = remove(&store, 1).await;
    assert!(again.is_err(), "gone already, and still not for good: {again:?}");
    assert_eq!(store.report().circuit, Some(Circuit::Closed), "the master serves");

    watched.nodes[1].resume();
    within("the replica has it", async || remove(&store, 1).await.ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_revocation_is_lost_when_a_replica_is_promoted() {
    let mut watched = RedisSentinel::with(2, |_| Vec::new());
    let store = Arc::new(RedisStore::open(under_sentinels(&watched), brisk(1_000)).unwrap());
    for number in 0..400 {
        store.put_token(&named(number), &record("client")).await.unwrap();
    }
    let revoking: Vec<_> = (0..4)
        .map(|worker| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for number in (worker..400).step_by(4) {
                    if remove(&*store, number).await.is_ok() {
                        acknowledged.push(number);
                    }
                }
                acknowledged
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(60)).await;
    watched.nodes[0].kill();
    let mut acknowledged = Vec::new();
    for revoking in revoking {
        acknowledged.extend(revoking.await.unwrap());
    }
    assert!(!acknowledged.is_empty());
    watched.promoted(0);
    let fresh = RedisStore::open(under_sentinels(&watched), PATIENT).unwrap();
    for number in acknowledged {
        let fact = fresh.token(&named(number), &tpp("13935"), now()).await;
        assert!(matches!(fact, TokenFact::Unknown), "{number} is back: {fact:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_layout_of_the_keys_is_not_touched() {
    let server = harness::redis_server::RedisServer::start();
    let store = RedisStore::open(&server.url(), PATIENT).unwrap();
    store.put_token(&named(1), &record("client")).await.unwrap();
    store.check_layout().await.unwrap();
    eventually_live(&store, 1).await;
    let mut connection = server.connection();
    ::redis::cmd("SET").arg("octroi:layout").arg("2").exec(&mut connection).unwrap();
    let error = store.check_layout().await.unwrap_err().to_string();
    assert!(error.contains("octroi:layout says 2"), "{error}");
    let fact = store.token(&named(1), &tpp("13935"), now()).await;
    assert!(matches!(fact, TokenFact::Unavailable), "{fact:?}");
    assert!(remove(&store, 1).await.is_err());
    ::redis::cmd("DEL").arg("octroi:layout").exec(&mut connection).unwrap();
    store.check_layout().await.unwrap();
    assert!(remove(&store, 1).await.unwrap());
}
