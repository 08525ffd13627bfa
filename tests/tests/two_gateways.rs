//! Two gateways over one Redis: what one of them does holds at the other.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::{Duration, Instant};

use harness::eventually;
use harness::gateway::{Gateway, Place};
use harness::oauth::{App, GILLES, LEA, Pair, REVOKE};
use harness::redis_server::RedisServer;
use harness::replicas::one_bank;

const ROUNDS: usize = 100;
/// Within this a revocation holds everywhere.
const EVERYWHERE: Duration = Duration::from_secs(1);

fn run(place: Place, redis: &RedisServer) -> Gateway {
    Gateway::run_in(place, |config| {
        config.insert("store".to_owned(), redis.settings().into());
        // Its questions are counted elsewhere: here it is tokens and quotas.
        let off = toml::Table::from_iter([("mode".to_owned(), "off".into())]);
        config.insert("balance_guard".to_owned(), off.into());
        one_bank(config);
    })
}

fn two(redis: &RedisServer) -> (Gateway, Gateway) {
    let place = Gateway::sandbox().leave();
    let copy = place.copy();
    (run(place, redis), run(copy, redis))
}

#[test]
fn what_is_revoked_at_one_gateway_is_refused_at_the_other_within_a_second() {
    let redis = RedisServer::start();
    let (one, other) = two(&redis);
    let (here, there) = (App::of(&one, "funds-co"), App::of(&other, "funds-co"));
    let mut connection = there.client.connect(&there.host).unwrap();
    let mut pair = here.pair(GILLES);
    let mut took: Vec<Duration> = Vec::new();
    for round in 0..ROUNDS {
        let ask = other.request(&pair.access).octets();
        assert_eq!(connection.exchange(&ask).unwrap().status, 200, "round {round}");
        // A revocation, a refresh and a later consent end tokens in ways of their own.
        let next = match round % 4 {
            0 => {
                assert_eq!(here.post(REVOKE, &[("token", &pair.refresh)]).status, 200);
                None
            }
            1 => Some(here.pair(GILLES)),
            _ => Some(Pair::of(&here.refresh(&pair.refresh))),
        };
        let began = Instant::now();
        eventually("it is refused there", || {
            (connection.exchange(&ask).unwrap().status == 401).then_some(())
        });
        took.push(began.elapsed());
        pair = next.unwrap_or_else(|| here.pair(GILLES));
    }
    took.sort();
    let (median, worst) = (took[ROUNDS / 2], took[ROUNDS - 1]);
    println!("{ROUNDS} revocations at another gateway: median {median:?}, longest {worst:?}");
    assert!(worst <= EVERYWHERE, "{worst:?}");
}

#[test]
fn a_visit_and_its_code_go_on_at_the_other_gateway() {
    let redis = RedisServer::start();
    let (one, other) = two(&redis);
    let (here, there) = (App::of(&one, "funds-co"), App::of(&other, "funds-co"));
    let (mut browser, page) = here.visit(&[("state", "s")]);
    browser.client = there.psu.clone();
    let page = browser.log_in(&page, GILLES);
    browser.client = here.psu.clone();
    let landed = browser.press(&page, "accept", &[("account", "0")]);
    let code = landed.get("code").unwrap();
    let pair = Pair::of(&there.exchange(&code, &[]));
    assert_eq!(here.client.send(&one.request(&pair.access)).status, 200);
    let refreshed = Pair::of(&here.refresh(&pair.refresh));
    assert_eq!(there.client.send(&other.request(&refreshed.access)).status, 200);
    assert_eq!(here.exchange(&code, &[]).code(), "grant_invalid");
    assert!(!there.is_active(&refreshed.access), "a replay at one ends it at both");
    // Wrong codes are counted together.
    for (number, app) in [&here, &there, &here].into_iter().enumerate() {
        let (mut browser, page) = app.visit(&[]);
        let page = browser.press(&page, "login", &[("login", LEA)]).page();
        let page = browser.press(&page, "code", &[("code", "00000000")]).page();
        assert_eq!(page.status, if number == 2 { 403 } else { 200 });
    }
}

#[test]
fn a_warm_token_asks_redis_nothing_and_a_cold_one_asks_once() {
    const WARM: u64 = 200;
    let redis = RedisServer::start();
    let (one, other) = two(&redis);
    let here = App::of(&one, "funds-co");
    let client = other.tpp("funds-co");
    // What is read before Redis tells of changes is read again a second later: that is another matter.
    let first = redis.mint("a-token-that-is-known-before", "gilles");
    client.connect(&here.host).unwrap().exchange(&other.request(&first).octets()).unwrap();
    eventually("Redis tells of changes", || {
        other.metrics().lines().any(|line| line == "octroi_store_tracking 1").then_some(())
    });
    // Tokens are read by MGET. Limits are a script each time, and so are the signs of life that gateways
    // give beside the requests.
    let scripts = || -> u64 {
        let metrics = other.metrics();
        let told =
            |line: &str| Some(line.strip_prefix("octroi_quota_questions_total ")?.to_owned());
        metrics.lines().find_map(told).unwrap().parse().unwrap()
    };
    let count = || [redis.calls(&["mget"]), scripts()];
    let (cold, warm) = redis.between_walks(|_| {
        let ask = other.request(&here.pair(GILLES).access).octets();
        let mut connection = client.connect(&here.host).unwrap();
        let mut asked = |times: u64| {
            let before = count();
            for _ in 0..times {
                assert_eq!(connection.exchange(&ask).unwrap().status, 200);
            }
            let after = count();
            [0, 1].map(|at| after[at] - before[at])
        };
        (asked(1), asked(WARM))
    });
    println!("MGET, scripts for limits: cold {cold:?}, {WARM} warm {warm:?}");
    assert_eq!(cold[0], 1, "a cold token is one read");
    assert_eq!(warm, [0, WARM], "a warm one is none, beside the limits'");
}
