//! A gateway on a Redis Cluster and one under sentinels: they serve, issue and revoke, and go on when
//! a replica takes over from a master that was killed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::{Duration, Instant};

use certs::OrganisationId;
use harness::eventually;
use harness::gateway::Gateway;
use harness::oauth::{App, GILLES, Pair, REVOKE};
use harness::redis_cluster::RedisCluster;
use harness::redis_sentinel::RedisSentinel;
use policies::Partition;

/// No request waits longer for Redis, and then for a busy machine.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);

fn run(store: toml::Table) -> Gateway {
    let place = Gateway::sandbox().leave();
    Gateway::run_in(place, |config| {
        config.insert("store".to_owned(), store.into());
    })
}

/// A token opens the API until it is revoked, and not after.
fn serves_and_revokes(gateway: &Gateway, app: &App) -> Pair {
    let pair = app.pair(GILLES);
    assert_eq!(app.client.send(&gateway.request(&pair.access)).status, 200);
    assert_eq!(app.post(REVOKE, &[("token", &pair.refresh)]).status, 200);
    assert_eq!(app.client.send(&gateway.request(&pair.access)).status, 401);
    app.pair(GILLES)
}

/// Until a replica has taken over: known tokens serve, no answer is late, none is but yes and 503.
fn serves_on(gateway: &Gateway, app: &App, pair: &Pair, until: impl Fn() -> bool) {
    while !until() {
        let asked = Instant::now();
        let status = app.client.send(&gateway.request(&pair.access)).status;
        assert!([200, 503].contains(&status), "{status}");
        assert!(asked.elapsed() < ANSWERED_WITHIN, "{:?}", asked.elapsed());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn is_as_before(gateway: &Gateway, app: &App, pair: &Pair) {
    eventually("the token is told of by the new master", || {
        (app.client.send(&gateway.request(&pair.access)).status == 200).then_some(())
    });
    eventually("it is revoked there", || {
        (app.post(REVOKE, &[("token", &pair.refresh)]).status == 200).then_some(())
    });
    assert_eq!(app.client.send(&gateway.request(&pair.access)).status, 401);
    serves_and_revokes(gateway, app);
    eventually("the metrics say so", || {
        let metrics = gateway.metrics();
        let says = |line: &str| metrics.lines().any(|l| l == line);
        (says("octroi_store_circuit_open 0") && says("octroi_store_tracking 1")).then_some(())
    });
}

#[test]
fn a_gateway_on_a_cluster_survives_the_promotion_of_a_replica() {
    // Two replicas each: one that must acknowledge is left when the other has become the master.
    let mut cluster = RedisCluster::with(3, 2, |_| Vec::new());
    let gateway = run(cluster.settings());
    let app = App::of(&gateway, "funds-co");
    let pair = serves_and_revokes(&gateway, &app);
    let part = Partition::of(&OrganisationId::new("PSDFR-ACPR-99901").unwrap());
    let master = cluster.owner(0, &format!("octroi:{{{}}}:token:x", part.as_str()));
    cluster.nodes[master].kill();
    let promoted = || [master + 3, master + 6].into_iter().any(|n| cluster.nodes[n].is_master());
    serves_on(&gateway, &app, &pair, promoted);
    is_as_before(&gateway, &app, &pair);
}

#[test]
fn a_gateway_under_sentinels_survives_the_promotion_of_a_replica() {
    let mut watched = RedisSentinel::with(2, |_| Vec::new());
    let gateway = run(watched.settings());
    let app = App::of(&gateway, "funds-co");
    let pair = serves_and_revokes(&gateway, &app);
    watched.nodes[0].kill();
    serves_on(&gateway, &app, &pair, || watched.nodes[1..].iter().any(|node| node.is_master()));
    is_as_before(&gateway, &app, &pair);
}
