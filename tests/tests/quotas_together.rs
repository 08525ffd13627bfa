//! Three gateways count one limit together, in a Redis Cluster and under sentinels, while what they
//! stand on breaks. The figures of `docs/src/operating/reliability.md`:
//! `cargo test -p octroi-tests --test quotas_together -- --ignored --nocapture --test-threads 1`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::thread;
use std::time::{Duration, Instant};

use harness::bounds::Bounds;
use harness::eventually;
use harness::gateway::{Gateway, HOST};
use harness::load::{Asker, Load, Told};
use harness::quota::Quota;
use harness::redis_cluster::RedisCluster;
use harness::redis_sentinel::RedisSentinel;

const GATEWAYS: usize = 3;
const CLIENTS: usize = 64;
const QUOTA: Quota = Quota(60);
/// Twice of what the limit grants.
const OFFERED: f64 = 120.0;
const LEASE: &str = "200ms";
/// No request waits longer for Redis.
const TIMEOUT: &str = "250ms";

enum Redis {
    Cluster(RedisCluster),
    Sentinel(RedisSentinel),
}

impl Redis {
    fn settings(&self) -> toml::Table {
        let mut settings = match self {
            Self::Cluster(cluster) => cluster.settings(),
            Self::Sentinel(watched) => watched.settings(),
        };
        // Nothing is issued here.
        settings.insert("replicas_acknowledge".to_owned(), 0.into());
        settings.insert("timeout".to_owned(), TIMEOUT.into());
        settings
    }

    fn mint(&self) -> String {
        let token = "x".repeat(43);
        match self {
            Self::Cluster(cluster) => cluster.mint(&token, "gilles"),
            Self::Sentinel(watched) => watched.mint(&token, "gilles"),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Cluster(_) => "cluster",
            Self::Sentinel(_) => "sentinels",
        }
    }

    /// Which node serves the buckets of the TPP of the load.
    fn master(&self) -> usize {
        match self {
            Self::Cluster(cluster) => {
                let part = &hex::encode(certs::sha256(b"PSDFR-ACPR-99901"))[..3];
                cluster.owner(0, &format!("octroi:quota:{{{part}}}"))
            }
            Self::Sentinel(watched) => watched.master(),
        }
    }
}

struct Scene {
    redis: Redis,
    gateways: Vec<Option<Gateway>>,
    load: Option<Load>,
    begun: Instant,
}

impl Scene {
    fn start(redis: Redis, leased: bool) -> Self {
        let place = Gateway::sandbox().leave();
        let token = redis.mint();
        let gateways: Vec<Gateway> = (0..GATEWAYS)
            .map(|_| {
                Gateway::run_in(place.copy(), |config| {
                    config.insert("store".to_owned(), redis.settings().into());
                    let off = toml::Table::from_iter([("mode".to_owned(), "off".into())]);
                    config.insert("balance_guard".to_owned(), off.into());
                    if leased { QUOTA.set_leased(config, LEASE) } else { QUOTA.set(config) }
                })
            })
            .collect();
        let askers = (0..CLIENTS).map(|client| {
            let gateway = &gateways[client % GATEWAYS];
            let octets = gateway.request(&token).octets();
            let request = Box::new(move |_| octets.clone());
            Asker { client: gateway.tpp("funds-co"), host: HOST.to_owned(), request, kind: 0 }
        });
        let askers: Vec<Asker> = askers.collect();
        let begun = Instant::now();
        let load = Some(Load::start(askers, Some(OFFERED)));
        Self { redis, gateways: gateways.into_iter().map(Some).collect(), load, begun }
    }

    /// Scripts that were run for limits so far, of the gateways that live.
    fn questions(&self) -> f64 {
        let of = |gateway: &Gateway| -> f64 {
            let metrics = gateway.metrics();
            let found =
                metrics.lines().find_map(|l| l.strip_prefix("octroi_quota_questions_total "));
            found.unwrap().parse().unwrap()
        };
        self.gateways.iter().flatten().map(of).sum()
    }

    /// Until the limit is granted at every gateway that lives, by a request that was asked later.
    fn until_served(&self, since: Instant) -> Duration {
        let living: Vec<usize> =
            (0..GATEWAYS).filter(|place| self.gateways[*place].is_some()).collect();
        eventually("every gateway grants again", || {
            let told = self.load.as_ref().unwrap().so_far();
            let first = |place: &usize| {
                let theirs = |told: &&Told| {
                    told.client % GATEWAYS == *place && told.asked > since && told.status() == 200
                };
                told.iter().find(theirs).map(|told| told.asked + told.took)
            };
            living.iter().map(first).collect::<Option<Vec<_>>>()?.into_iter().max()
        })
        .saturating_duration_since(since)
    }

    /// Everything that was asked. Whoever was let in was so by a decision about a token.
    fn end(mut self) -> Vec<Told> {
        let told = self.load.take().unwrap().stop();
        for gateway in self.gateways.iter().flatten() {
            for record in gateway.place().audit() {
                let decided = record["octroi.checks"].as_array().unwrap().iter().any(|check| {
                    check["check"] == "token"
                        && check["passed"] == true
                        && check["as_of"].is_string()
                });
                assert!(
                    record["http.response.status_code"] != 200 || decided,
                    "let in without a token: {record}"
                );
            }
        }
        for told in &told {
            let known = ["", "quota_exceeded", "state_unavailable"];
            assert!(known.contains(&told.code().as_str()), "{} {}", told.status(), told.code());
        }
        told
    }
}

fn admitted(told: &[Told]) -> f64 {
    told.iter().filter(|told| told.status() == 200).count() as f64
}

/// What the limit grants until the last answer.
fn due(told: &[Told], begun: Instant) -> f64 {
    let ended = told.iter().map(|told| told.asked + told.took).max().unwrap();
    QUOTA.grants(ended.saturating_duration_since(begun))
}

fn p99(told: &[Told]) -> f64 {
    let mut took: Vec<Duration> =
        told.iter().filter(|told| told.answer.is_some()).map(|told| told.took).collect();
    took.sort();
    took[took.len() * 99 / 100].as_secs_f64() * 1e3
}

#[test]
fn three_gateways_on_a_cluster_never_admit_more_than_one_limit_though_one_of_them_is_killed() {
    for leased in [false, true] {
        let mut scene = Scene::start(Redis::Cluster(RedisCluster::start()), leased);
        thread::sleep(Duration::from_secs(2));
        drop(scene.gateways[0].take().map(Gateway::kill));
        thread::sleep(Duration::from_secs(2));
        let told = scene.end();
        assert!(told.iter().any(|told| told.code() == "quota_exceeded"));
        assert_eq!(QUOTA.exceeded_by(&told), 0.0, "more than the limit was admitted");
    }
}

#[test]
#[ignore = "prints figures"]
fn a_limit_at_three_gateways_for_a_minute() {
    let mut bounds = Vec::new();
    for leased in [false, true] {
        for redis in
            [Redis::Cluster(RedisCluster::start()), Redis::Sentinel(RedisSentinel::start())]
        {
            let name = redis.name();
            let scene = Scene::start(redis, leased);
            thread::sleep(Duration::from_secs(60));
            let (questions, begun) = (scene.questions(), scene.begun);
            let told = scene.end();
            let (admitted, due) = (admitted(&told), due(&told, begun));
            let how = if leased { "leases" } else { "no leases" };
            println!(
                "{name}, {how}: {admitted} of {} admitted, {due} due, {:.3} scripts for each",
                told.len(),
                questions / admitted
            );
            let mut of = Bounds::of("limit");
            let what = format!("{name}, {how}: beyond the limit, in any stretch of time");
            of.at_most(&what, 0.0, "", QUOTA.exceeded_by(&told));
            let what = format!("{name}, {how}: of the limit not granted");
            of.at_most(&what, 5.0, "%", 100.0 * (due - admitted) / due);
            bounds.push(of);
        }
    }
    Bounds::hold_all(bounds);
}

#[derive(Clone, Copy, Debug)]
enum Blow {
    /// A gateway is killed.
    Gateway,
    /// The master of the buckets is killed, and a replica takes over.
    Master,
    /// The master is stopped for ten seconds.
    Stop,
}

#[test]
#[ignore = "prints figures"]
fn a_limit_at_three_gateways_while_what_they_stand_on_breaks() {
    let mut bounds = Vec::new();
    for blow in [Blow::Gateway, Blow::Master, Blow::Stop] {
        for sentinels in [false, true] {
            let redis = if sentinels {
                Redis::Sentinel(RedisSentinel::start())
            } else {
                Redis::Cluster(RedisCluster::replicated())
            };
            let name = redis.name();
            let mut scene = Scene::start(redis, false);
            thread::sleep(Duration::from_secs(10));
            let struck = Instant::now();
            let master = scene.redis.master();
            match (blow, &mut scene.redis) {
                (Blow::Gateway, _) => drop(scene.gateways[0].take().map(Gateway::kill)),
                (Blow::Master, Redis::Cluster(cluster)) => cluster.nodes[master].kill(),
                (Blow::Master, Redis::Sentinel(watched)) => watched.nodes[master].kill(),
                (Blow::Stop, redis) => {
                    let node = match redis {
                        Redis::Cluster(cluster) => &cluster.nodes[master],
                        Redis::Sentinel(watched) => &watched.nodes[master],
                    };
                    node.pause();
                    thread::sleep(Duration::from_secs(10));
                    node.resume();
                }
            }
            let healed = Instant::now();
            let recovered = scene.until_served(healed);
            thread::sleep(Duration::from_secs(10));
            let begun = scene.begun;
            let told = scene.end();
            let since: Vec<Told> =
                told.iter().filter(|told| told.asked > struck).cloned().collect();
            let (admitted, due) = (admitted(&told), due(&told, begun));
            println!(
                "{blow:?}, {name}: {admitted} admitted, {due} due; worst stretch {} beyond; p99 {:.0} ms; \
                 granted at every gateway {:.2} s after",
                QUOTA.exceeded_by(&told),
                p99(&since),
                recovered.as_secs_f64(),
            );
            let mut of = Bounds::of("limit");
            let what = format!("{blow:?}, {name}: admitted of what is due");
            of.at_most(&what, 100.0, "%", 100.0 * admitted / due);
            // Two questions to Redis, each within its bound, and what the machine adds.
            of.at_most(&format!("{blow:?}, {name}: p99"), 600.0, "ms", p99(&since));
            bounds.push(of);
        }
    }
    Bounds::hold_all(bounds);
}
