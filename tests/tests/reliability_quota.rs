//! One quota at two gateways, with Redis and without: F6 and F7 of the table in
//! `docs/src/operating/reliability.md`:
//! `cargo test -p octroi-tests --test reliability_quota -- --ignored --nocapture --test-threads 1`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::thread;
use std::time::{Duration, Instant};

use harness::bounds::{Bounds, RUNS};
use harness::eventually;
use harness::fault_proxy::Fault;
use harness::load::{Load, Told};
use harness::quota::Quota;
use harness::replicas::Replicas;

const CLIENTS: usize = 64;
/// For Redis: so long that a machine that is busy with other tests does not make it late, and as in the
/// figures.
const PATIENT: &str = "10s";
const STRICT: &str = "100ms";
const QUOTA: Quota = Quota(60);
/// Offered in a second.
const OFFERED: f64 = 240.0;

/// Two gateways with a quota that the load exceeds, which wait so long for Redis.
fn scene(timeout: &str) -> Replicas {
    Replicas::start(|config| {
        QUOTA.set(config);
        config["store"]["timeout"] = timeout.into();
        // So that it is the quota that refuses while Redis is away, and not the token.
        config["store"]["tolerated_for"] = "60s".into();
    })
}

fn load(scene: &Replicas) -> Load {
    let askers = (0..CLIENTS).map(|client| scene.asker(client % scene.gateways.len(), 0));
    Load::start(askers.collect(), Some(OFFERED))
}

fn only_the_quota_refuses(told: &[Told]) {
    for told in told {
        let answer = told.answer.as_ref().expect("every request is answered");
        match answer.status {
            200 => {}
            429 => assert_eq!(told.code(), "quota_exceeded"),
            _ => assert_eq!(told.code(), "state_unavailable"),
        }
        assert!(answer.status == 200 || answer.header("retry-after").is_some());
    }
}

// F6

fn one_quota_at_two_gateways(length: Duration, timeout: &str) -> Vec<Told> {
    let scene = scene(timeout);
    let load = load(&scene);
    thread::sleep(length);
    let told = load.stop();
    only_the_quota_refuses(&told);
    assert_eq!(QUOTA.exceeded_by(&told), 0.0, "more than the quota was admitted");
    told
}

#[test]
fn two_gateways_never_admit_more_than_their_one_quota() {
    let told = one_quota_at_two_gateways(Duration::from_secs(3), PATIENT);
    assert!(told.iter().any(|told| told.code() == "quota_exceeded"));
}

#[test]
#[ignore = "prints figures"]
fn f6_one_quota_at_two_gateways() {
    let mut bounds = Bounds::of("F6");
    for _ in 0..RUNS {
        let told = one_quota_at_two_gateways(Duration::from_secs(60), STRICT);
        let (first, last) = (&told[0], &told[told.len() - 1]);
        let admitted = told.iter().filter(|told| told.status() == 200).count() as f64;
        let due = QUOTA.grants(last.asked + last.took - first.asked);
        println!("F6: {admitted} of {} admitted, {due} due", told.len());
        bounds.at_most(
            "admitted beyond the quota, in any stretch of time",
            0.0,
            "",
            QUOTA.exceeded_by(&told),
        );
        bounds.at_most("of the quota not granted", 1.0, "%", 100.0 * (due - admitted) / due);
    }
    bounds.hold();
}

// F7

fn the_quota_while_redis_dies(length: Duration, timeout: &str) -> (Vec<Told>, usize) {
    let mut scene = scene(timeout);
    let load = load(&scene);
    thread::sleep(length);
    scene.redis.kill();
    let began = Instant::now();
    thread::sleep(length);
    scene.redis.restart();
    let ended = Instant::now();
    eventually("the whole quota is granted again", || {
        let told = load.so_far();
        let refused = |told: &&Told| told.asked > ended && told.code() == "quota_exceeded";
        told.iter().find(refused).map(|_| ())
    });
    thread::sleep(length);
    let told = load.stop();
    only_the_quota_refuses(&told);
    assert_eq!(QUOTA.exceeded_by(&told), 0.0, "more than the quota was admitted");
    let meanwhile = |told: &&Told| told.status() == 200 && told.asked > began && told.asked < ended;
    let meanwhile = told.iter().filter(meanwhile).count();
    (told, meanwhile)
}

#[test]
fn without_redis_two_gateways_admit_no_more_than_their_quota_either() {
    the_quota_while_redis_dies(Duration::from_secs(2), PATIENT);
}

#[test]
#[ignore = "prints figures"]
fn f7_the_quota_while_redis_dies() {
    let mut bounds = Bounds::of("F7");
    for _ in 0..RUNS {
        let length = Duration::from_secs(10);
        let (told, meanwhile) = the_quota_while_redis_dies(length, STRICT);
        println!("F7: {meanwhile} admitted in {length:?} without Redis, by the local shares");
        bounds.at_most(
            "admitted beyond the quota, in any stretch of time",
            0.0,
            "",
            QUOTA.exceeded_by(&told),
        );
    }
    bounds.hold();
}

#[test]
fn a_quota_holds_while_one_gateway_is_cut_off_from_redis() {
    let scene = scene(STRICT);
    let load = load(&scene);
    // Long enough for it to grant its share, and to come back.
    for fault in [Fault::None, Fault::HalfOpen, Fault::None] {
        scene.ways[0].set(fault);
        thread::sleep(Duration::from_secs(5));
    }
    let told = load.stop();
    only_the_quota_refuses(&told);
    assert_eq!(QUOTA.exceeded_by(&told), 0.0, "more than the quota was admitted");
}
