//! Requests that are taken in advance: fewer questions, and never one request too many.

use harness::redis_server::RedisServer;

use super::*;
use crate::store::RedisStore;

const CELL: Duration = Duration::from_micros(500);
const BURST: u32 = 400;
const LEASE: Duration = Duration::from_millis(50);

/// Two thousand requests a second.
fn leased() -> Arc<Quota> {
    rate(2_000, Duration::from_secs(1), BURST, Some(LEASE))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_that_take_in_advance_stay_within_the_limit_together_and_ask_far_less() {
    let server = RedisServer::start();
    let stores = [(); 3].map(|()| Arc::new(RedisStore::open(&server.url(), PATIENT).unwrap()));
    for store in &stores {
        store.join();
        assert!(is_granted(&take(&**store, "warm", &leased()).await));
    }
    let before = server.calls(&["evalsha"]);
    let end = Instant::now() + Duration::from_secs(2);
    let takers: Vec<_> = stores
        .iter()
        .cycle()
        .take(9)
        .map(|store| {
            let store = Arc::clone(store);
            tokio::spawn(async move {
                let (quota, mut granted) = (leased(), Vec::new());
                while Instant::now() < end {
                    let asked = Instant::now();
                    match take(&*store, "A", &quota).await {
                        QuotaFact::Granted(_) => granted.push((asked, Instant::now())),
                        QuotaFact::Exhausted { retry_after, .. } => {
                            tokio::time::sleep(retry_after.min(Duration::from_millis(5))).await;
                        }
                        QuotaFact::Unavailable => panic!("Redis is there"),
                    }
                }
                granted
            })
        })
        .collect();
    let mut granted = Vec::new();
    for taker in takers {
        granted.extend(taker.await.unwrap());
    }
    let asked = server.calls(&["evalsha"]) - before;
    assert!(asked * 4 < granted.len() as u64, "{asked} questions for {} requests", granted.len());
    no_window_holds_more_than(&granted, BURST, CELL);
}

/// Of each request it is known between which two instants it was granted.
fn no_window_holds_more_than(granted: &[(Instant, Instant)], burst: u32, cell: Duration) {
    let mut granted = granted.to_vec();
    granted.sort_by_key(|(_, answered)| *answered);
    for start in (0..granted.len()).step_by(7) {
        let from = granted[start].0;
        let mut within = 0_u128;
        for (asked, answered) in &granted {
            within += u128::from(*asked >= from);
            let span = answered.saturating_duration_since(from).as_micros() / cell.as_micros();
            assert!(within <= u128::from(burst) + span, "{within} in {span} cells");
        }
    }
}

#[tokio::test]
async fn what_may_come_at_once_is_twice_the_lease_less() {
    let server = RedisServer::start();
    let store = RedisStore::open(&server.url(), PATIENT).unwrap();
    let quota = rate(2, Duration::from_secs(1), 100, Some(Duration::from_secs(1)));
    let mut granted = 0;
    while is_granted(&take(&store, "A", &quota).await) {
        granted += 1;
    }
    assert!((96..110).contains(&granted), "{granted} of 100 less four, and what came meanwhile");
}

#[tokio::test]
async fn what_was_not_used_is_given_back_when_a_gateway_leaves() {
    let server = RedisServer::start();
    let store = RedisStore::open(&server.url(), PATIENT).unwrap();
    let quota = rate(20, Duration::from_secs(1), 400, Some(Duration::from_secs(1)));
    // The more it uses, the more it takes.
    let used = 60;
    for _ in 0..used {
        assert!(is_granted(&take(&store, "A", &quota).await));
    }
    let full_in = || {
        let mut connection = server.connection();
        let keys: Vec<String> =
            redis::cmd("KEYS").arg("octroi:quota:*").query(&mut connection).unwrap();
        let page: String = redis::cmd("GET").arg(&keys[0]).query(&mut connection).unwrap();
        let (tat, _) = page.split_once(' ').unwrap();
        tat.parse::<u64>().unwrap()
    };
    let before = full_in();
    store.leave().await;
    let after = full_in();
    let given_back = (before - after) / 50_000;
    assert!(given_back > 0, "nothing was given back");
    let gateways: String =
        redis::cmd("GET").arg("octroi:gateways").query(&mut server.connection()).unwrap();
    assert!(!gateways.contains('='), "and it is not waited for: {gateways}");
}

#[tokio::test]
async fn a_limit_that_is_used_up_is_not_asked_for_again_before_it_has_room() {
    let server = RedisServer::start();
    let store = RedisStore::open(&server.url(), PATIENT).unwrap();
    assert!(is_granted(&take(&store, "A", &rule(1)).await));
    assert!(!is_granted(&take(&store, "A", &rule(1)).await));
    let before = server.calls(&["evalsha"]);
    for _ in 0..1_000 {
        assert!(!is_granted(&take(&store, "A", &rule(1)).await));
    }
    let asked = server.calls(&["evalsha"]) - before;
    assert!(asked < 100, "{asked} questions for 1000 requests that could not be granted");
    assert!(is_granted(&take(&store, "A", &rule(2)).await), "another rule is another question");
}
