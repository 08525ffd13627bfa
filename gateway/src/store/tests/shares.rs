//! Gateways that lose Redis: their shares, and what they owe when it is back.

use std::collections::BTreeMap;

use harness::redis_server::RedisServer;

use super::*;
use crate::clock;
use crate::store::RedisStore;
use crate::store::limits::PRESENCE_ALONE_AFTER;

/// A thousand requests a second.
fn quick() -> Arc<Quota> {
    rate(1_000, Duration::from_secs(1), 300, None)
}

async fn take_now(store: &RedisStore, quota: &Arc<Quota>) -> QuotaFact {
    take_at(store, "A", quota, clock::now()).await
}

/// When each gateway last gave a sign, by the clock of Redis.
fn signs(server: &RedisServer) -> BTreeMap<String, u64> {
    let listed: Option<String> =
        redis::cmd("GET").arg("octroi:gateways").query(&mut server.connection()).unwrap();
    let listed = listed.unwrap_or_default();
    let signs = listed.split(' ').filter_map(|sign| sign.split_once('='));
    let time = |sign: &str| sign.split(':').next().unwrap().parse().unwrap();
    signs.map(|(name, sign)| (name.to_owned(), time(sign))).collect()
}

/// Gateways that have been among each other for long enough to have a share.
async fn among_each_other(server: &RedisServer, number: usize) -> Vec<Arc<RedisStore>> {
    let mut stores = Vec::new();
    for _ in 0..number {
        let store = Arc::new(RedisStore::open(&server.url(), BRISK).unwrap());
        store.join();
        eventually_healthy(&*store).await;
        stores.push(store);
    }
    eventually("all are listed", || signs(server).len() == number).await;
    let begun = Instant::now();
    // Signs that were given for so long: nobody can tell it by looking.
    while begun.elapsed() < PRESENCE_ALONE_AFTER + Duration::from_millis(500) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stores
}

/// What is granted from now on until it has been granted for a while.
async fn granted_alone(store: &RedisStore, quota: &Arc<Quota>) -> Vec<(Instant, Instant)> {
    let mut granted: Vec<(Instant, Instant)> = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(20);
    while granted.len() < 300 {
        assert!(Instant::now() < deadline, "{} granted alone", granted.len());
        let asked = Instant::now();
        match take_now(store, quota).await {
            QuotaFact::Granted(_) => granted.push((asked, Instant::now())),
            _ => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
    granted
}

#[tokio::test]
async fn without_redis_each_gateway_grants_its_share_and_all_together_no_more_than_the_limit() {
    let mut server = RedisServer::start();
    let stores = among_each_other(&server, 3).await;
    for store in &stores {
        assert!(is_granted(&take_now(store, &quick()).await));
    }
    server.kill();
    let quota = quick();
    let (first, second, third) = tokio::join!(
        granted_alone(&stores[0], &quota),
        granted_alone(&stores[1], &quota),
        granted_alone(&stores[2], &quota),
    );
    let mut all = [first, second, third].concat();
    all.sort_by_key(|(_, answered)| *answered);
    let from = all[0].0;
    for (number, (_, answered)) in all.iter().enumerate() {
        // Shares begin empty: there is no burst to start with.
        let allowed = answered.duration_since(from).as_millis() + 300;
        assert!(number as u128 <= allowed, "{number} granted in {allowed} ms and a burst");
    }

    server.restart();
    for store in &stores {
        eventually_healthy(&**store).await;
    }
}

#[tokio::test]
async fn a_gateway_that_has_just_come_grants_nothing_without_redis() {
    let mut server = RedisServer::start();
    let store = RedisStore::open(&server.url(), BRISK).unwrap();
    assert!(is_granted(&take_now(&store, &quick()).await));
    server.kill();
    let end = Instant::now() + PRESENCE_ALONE_AFTER + Duration::from_millis(500);
    while Instant::now() < end {
        let fact = take_now(&store, &quick()).await;
        assert!(matches!(fact, QuotaFact::Unavailable), "{fact:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn exact_limits_and_small_bursts_have_no_share() {
    let mut server = RedisServer::start();
    let stores = among_each_other(&server, 2).await;
    let four = NonZeroU32::new(4).unwrap();
    let window = limit(Measure::Window { requests: four, period: Duration::from_secs(60) });
    let small = rate(1_000, Duration::from_secs(1), 3, None);
    server.kill();
    let share = granted_alone(&stores[0], &quick()).await;
    assert!(!share.is_empty());
    for quota in [&window, &small] {
        let fact = take_now(&stores[0], quota).await;
        assert!(matches!(fact, QuotaFact::Unavailable), "{fact:?}");
    }
}

#[tokio::test]
async fn what_a_gateway_granted_alone_is_told_before_it_is_among_the_others_again() {
    let mut server = RedisServer::start();
    let stores = among_each_other(&server, 1).await;
    // So slow to refill that what was granted is still owed when Redis is back.
    let slow = rate(60, Duration::from_secs(60), 100, None);
    let left = |fact: QuotaFact| match fact {
        QuotaFact::Granted(all) => all[0].requests,
        fact => panic!("{fact:?}"),
    };
    assert_eq!(left(take_now(&stores[0], &slow).await), 99);
    server.kill();
    let mut granted = 0;
    let deadline = Instant::now() + Duration::from_secs(20);
    while granted < 3 {
        assert!(Instant::now() < deadline);
        granted += u32::from(is_granted(&take_now(&stores[0], &slow).await));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.restart();
    eventually_healthy(&*stores[0]).await;
    let deadline = Instant::now() + Duration::from_secs(20);
    let first = loop {
        assert!(Instant::now() < deadline, "limits are counted by Redis again");
        let fact = take_now(&stores[0], &slow).await;
        let QuotaFact::Granted(all) = &fact else {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        // A share is never as full as this.
        if all[0].requests > 50 {
            break all[0].requests;
        }
    };
    assert!(first <= 99 - 3, "{first} left: what was granted alone was not told");
}

#[tokio::test]
async fn while_a_gateway_is_silent_the_others_leave_its_share_alone() {
    let server = RedisServer::start();
    let stores = among_each_other(&server, 2).await;
    let quota = rate(1, DAY, 100, None);
    assert!(is_granted(&take_now(&stores[0], &quota).await));
    // Nobody says good-bye when it crashes.
    let [first, second] = stores.try_into().unwrap();
    drop(second);
    let silent = || {
        let seen = signs(&server);
        let latest = seen.values().max().copied().unwrap_or_default();
        seen.values().any(|time| latest - time > 600_000)
    };
    eventually("one of them falls silent", silent).await;
    // Who comes now takes nothing of the share of the silent one.
    let third = RedisStore::open(&server.url(), BRISK).unwrap();
    eventually_healthy(&third).await;
    assert!(is_granted(&take_at(&third, "B", &quota, clock::now()).await));
    // What the other one heard of it by then.
    tokio::time::sleep(Duration::from_millis(600)).await;
    let mut granted = 0;
    while is_granted(&take_now(&first, &quota).await) {
        granted += 1;
    }
    assert!((45..=50).contains(&granted), "{granted} of the 99 that were left");
}

#[tokio::test]
async fn a_gateway_is_among_the_others_again_after_redis_was_stopped_and_saw_its_signs_late() {
    let server = RedisServer::start();
    let stores = among_each_other(&server, 1).await;
    server.pause();
    let paused = Instant::now();
    eventually("it is taken for gone", || paused.elapsed() > 2 * PRESENCE_ALONE_AFTER).await;
    server.resume();
    let granted = async {
        while !is_granted(&take_now(&stores[0], &rule(5)).await) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(RECOVERY_MAX, granted).await.expect("its limits are counted by Redis");
}
