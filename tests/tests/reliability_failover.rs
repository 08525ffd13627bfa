//! The master of a Redis under sentinels is killed again and again: F5 of the table in
//! `docs/src/operating/reliability.md`:
//! `cargo test -p octroi-tests --test reliability_failover -- --ignored --nocapture`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::collections::HashSet;
use std::time::{Duration, Instant};

use harness::bounds::Bounds;
use harness::client::Answer;
use harness::eventually;
use harness::gateway::{Gateway, HOST};
use harness::load::{Asker, Load, Told};
use harness::oauth::{App, GILLES, LEA, REVOKE};
use harness::quota::Quota;
use harness::redis_sentinel::RedisSentinel;
use harness::replicas::{CLIENTS, RATE, one_bank};

const QUOTA: Quota = Quota(60);

/// What one failover cost.
struct Failover {
    /// From the kill until a replica serves as the master.
    sentinels: Duration,
    /// From the kill to the last refusal for want of Redis.
    away: Duration,
}

struct Scene {
    redis: RedisSentinel,
    gateways: Vec<Gateway>,
    apps: Vec<App>,
    load: Load,
    /// Tokens whose revocation was acknowledged.
    revoked: Vec<String>,
}

impl Scene {
    fn start() -> Self {
        // Two replicas: one is left to acknowledge what the other, promoted, is told.
        let redis = RedisSentinel::with(2, |_| Vec::new());
        let place = Gateway::sandbox().leave();
        let places = [place.copy(), place];
        let run = |place| {
            Gateway::run_in(place, |config| {
                let mut store = redis.settings();
                // The consents before each kill need every answer, on a busy machine too.
                store.insert("timeout".to_owned(), "1s".into());
                config.insert("store".to_owned(), store.into());
                QUOTA.set(config);
                one_bank(config);
            })
        };
        let gateways: Vec<Gateway> = places.into_iter().map(run).collect();
        let token = redis.mint(&"x".repeat(43), "gilles");
        let askers = (0..CLIENTS).map(|client| {
            let gateway = &gateways[client % gateways.len()];
            let octets = gateway.request(&token).octets();
            let request = Box::new(move |_| octets.clone());
            Asker { client: gateway.tpp("funds-co"), host: HOST.to_owned(), request, kind: 0 }
        });
        let load = Load::start(askers.collect(), Some(RATE));
        let apps = gateways.iter().map(|gateway| App::of(gateway, "funds-co")).collect();
        Self { redis, gateways, apps, load, revoked: Vec::new() }
    }

    /// Kills the master while a token is revoked and a code is redeemed at both gateways at once.
    fn fail_over(&mut self) -> Failover {
        let pair = self.apps[0].pair(GILLES);
        let code = self.apps[0].code(LEA);
        let before = self.redis.master();
        let killed = Instant::now();
        self.redis.nodes[before].crash();
        let apps = &self.apps;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let revoke = || apps[0].post(REVOKE, &[("token", &pair.refresh)]);
                until_decided("the revocation is acknowledged", revoke);
            });
            let redeemed = [0, 1].map(|which: usize| {
                let redeem = move |code: &str| apps[which].exchange(code, &[]);
                let code = &code;
                scope.spawn(move || until_decided("the code is decided about", || redeem(code)))
            });
            let answers = redeemed.map(|answer| answer.join().unwrap());
            let pairs = answers.iter().filter(|answer| answer.status == 200).count();
            assert!(pairs <= 1, "a code was redeemed twice");
        });
        self.revoked.push(pair.access);
        let promoted = self.redis.promoted(before);
        let sentinels = killed.elapsed();
        self.redis.nodes[before].restart();
        eventually("both replicas follow the new master", || {
            let of = |name| self.redis.nodes[promoted].told("replication", name);
            (of("connected_slaves")? == "2").then_some(())
        });
        let settled = Instant::now();
        eventually("both gateways serve again", || {
            let told = self.load.so_far();
            let served: HashSet<usize> = told
                .iter()
                .filter(|told| told.asked > settled && told.status() == 200)
                .map(|told| told.client % self.gateways.len())
                .collect();
            (served.len() == self.gateways.len()).then_some(())
        });
        let away = |told: &&Told| told.asked > killed && told.code() == "state_unavailable";
        let last = self.load.so_far().iter().filter(away).map(|told| told.asked + told.took).max();
        Failover { sentinels, away: last.map(|last| last - killed).unwrap_or_default() }
    }

    /// What was revoked stays so, at both; what was admitted meanwhile.
    fn end(self) -> Vec<Told> {
        for (gateway, app) in self.gateways.iter().zip(&self.apps) {
            let mut connection = app.client.connect(&app.host).unwrap();
            for token in &self.revoked {
                let answer = connection.exchange(&gateway.request(token).octets()).unwrap();
                assert_eq!(answer.status, 401, "a revocation that was acknowledged is lost");
            }
        }
        let told = self.load.stop();
        for told in &told {
            assert!(told.answer.is_some(), "every request is answered");
            let known = ["", "quota_exceeded", "state_unavailable"];
            assert!(known.contains(&told.code().as_str()), "{} {}", told.status(), told.code());
        }
        let most = f64::from(QUOTA.0);
        assert!(QUOTA.exceeded_by(&told) <= most, "{} too many", QUOTA.exceeded_by(&told));
        told
    }
}

/// Asks again while the answer is that it cannot be said now.
fn until_decided(what: &str, ask: impl Fn() -> Answer) -> Answer {
    eventually(what, || {
        let answer = ask();
        (answer.status < 500).then_some(answer)
    })
}

#[test]
fn what_was_revoked_or_redeemed_stays_so_when_the_master_is_killed() {
    let mut scene = Scene::start();
    scene.fail_over();
    scene.end();
}

#[test]
#[ignore = "prints figures"]
fn f5_the_master_is_killed_twenty_times() {
    const TIMES: usize = 20;
    let mut bounds = Bounds::of("F5");
    let mut scene = Scene::start();
    let mut longest = Duration::ZERO;
    for _ in 0..TIMES {
        let Failover { sentinels, away } = scene.fail_over();
        longest = longest.max(sentinels);
        let beyond = away.saturating_sub(sentinels).as_secs_f64();
        bounds.at_most("unavailable beyond the time of the sentinels", 3.0, "s", beyond);
    }
    println!("F5: the sentinels took {longest:?} at most");
    let told = scene.end();
    bounds.at_most("acknowledged revocations lost, of 20", 0.0, "", 0.0);
    bounds.at_most("codes redeemed twice, of 20", 0.0, "", 0.0);
    let most = f64::from(QUOTA.0);
    let beyond = QUOTA.exceeded_by(&told);
    bounds.at_most("admitted beyond the quota, in any stretch of time", most, "", beyond);
    bounds.hold();
}
