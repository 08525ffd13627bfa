//! One quota at two gateways, with Redis and without: F6 and F7 of the table in
//! `docs/src/operating/reliability.md`:
//! `cargo test -p octroi-tests --test reliability_quota -- --ignored --nocapture --test-threads 1`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::thread;
use std::time::{Duration, Instant};

use harness::bounds::{Bounds, RUNS};
use harness::eventually;
use harness::load::{Load, Told};
use harness::replicas::Replicas;

const CLIENTS: usize = 64;
/// Requests in a second, and as many at once.
const QUOTA: u32 = 60;
/// Offered in a second.
const OFFERED: f64 = 240.0;

/// Two gateways with a quota that the load exceeds.
fn scene() -> Replicas {
    Replicas::start(|config| {
        let quota = toml::Table::from_iter([
            ("requests".to_owned(), QUOTA.into()),
            ("period".to_owned(), "1s".into()),
            ("burst".to_owned(), QUOTA.into()),
        ]);
        config["quota"].as_table_mut().unwrap().insert("sandbox".to_owned(), quota.into());
        // So that it is the quota that refuses while Redis is away, and not the token.
        config["store"]["tolerated_for"] = "60s".into();
    })
}

fn load(scene: &Replicas) -> Load {
    let askers = (0..CLIENTS).map(|client| scene.asker(client % scene.gateways.len(), 0));
    Load::start(askers.collect(), Some(OFFERED))
}

/// How many requests a quota may grant within that time: its burst, and what flows back meanwhile.
fn grants(time: Duration) -> f64 {
    let cell = (1e6 / f64::from(QUOTA)).ceil() / 1e6;
    f64::from(QUOTA) + (time.as_secs_f64() / cell).floor()
}

/// By how many the admitted exceed the quota in the worst stretch of time, whichever it is: each
/// runs from when its first request was asked to when its last was answered, so the decisions lie
/// within.
fn over(told: &[Told]) -> f64 {
    let mut admitted: Vec<(Instant, Instant)> = told
        .iter()
        .filter(|told| told.status() == 200)
        .map(|told| (told.asked, told.asked + told.took))
        .collect();
    admitted.sort_by_key(|(_, answered)| *answered);
    let mut worst = f64::MIN;
    for (first, (_, from)) in admitted.iter().enumerate() {
        let mut earliest = *from;
        for (count, (asked, answered)) in admitted[first..].iter().enumerate() {
            earliest = earliest.min(*asked);
            worst = worst.max((count + 1) as f64 - grants(*answered - earliest));
        }
    }
    worst.max(0.0)
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

fn one_quota_at_two_gateways(length: Duration) -> Vec<Told> {
    let scene = scene();
    let load = load(&scene);
    thread::sleep(length);
    let told = load.stop();
    only_the_quota_refuses(&told);
    assert_eq!(over(&told), 0.0, "more than the quota was admitted");
    told
}

#[test]
fn two_gateways_never_admit_more_than_their_one_quota() {
    let told = one_quota_at_two_gateways(Duration::from_secs(3));
    assert!(told.iter().any(|told| told.code() == "quota_exceeded"));
}

#[test]
#[ignore = "prints figures"]
fn f6_one_quota_at_two_gateways() {
    let mut bounds = Bounds::of("F6");
    for _ in 0..RUNS {
        let told = one_quota_at_two_gateways(Duration::from_secs(60));
        let (first, last) = (&told[0], &told[told.len() - 1]);
        let admitted = told.iter().filter(|told| told.status() == 200).count() as f64;
        let due = grants(last.asked + last.took - first.asked);
        println!("F6: {admitted} of {} admitted, {due} due", told.len());
        bounds.at_most("admitted beyond the quota, in any stretch of time", 0.0, "", over(&told));
        bounds.at_most("of the quota not granted", 1.0, "%", 100.0 * (due - admitted) / due);
    }
    bounds.hold();
}

// F7

fn the_quota_while_redis_dies(length: Duration) -> (Vec<Told>, usize) {
    let mut scene = scene();
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
    assert_eq!(over(&told), 0.0, "more than the quota was admitted");
    let meanwhile = |told: &&Told| told.status() == 200 && told.asked > began && told.asked < ended;
    let meanwhile = told.iter().filter(meanwhile).count();
    (told, meanwhile)
}

#[test]
fn without_redis_two_gateways_admit_no_more_than_their_quota_either() {
    the_quota_while_redis_dies(Duration::from_secs(2));
}

#[test]
#[ignore = "prints figures"]
fn f7_the_quota_while_redis_dies() {
    let mut bounds = Bounds::of("F7");
    for _ in 0..RUNS {
        let length = Duration::from_secs(10);
        let (told, meanwhile) = the_quota_while_redis_dies(length);
        println!("F7: {meanwhile} admitted in {length:?} without Redis, by the local shares");
        bounds.at_most("admitted beyond the quota, in any stretch of time", 0.0, "", over(&told));
    }
    bounds.hold();
}
