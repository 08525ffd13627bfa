//! The Redis Cluster and the sentinels of the tests do what the tests take them to do.
#![allow(clippy::unwrap_used, clippy::panic)]

use harness::redis_cluster::RedisCluster;
use harness::redis_sentinel::RedisSentinel;

#[test]
fn a_replica_takes_over_the_slots_of_a_master_that_is_gone() {
    let mut cluster = RedisCluster::replicated();
    let token = cluster.mint("a token", "psu");
    let (key, record) = harness::redis_server::token_record(&token, "psu");
    let master = cluster.owner(0, &key);
    let asked = (master + 1) % 3;
    cluster.nodes[master].kill();
    cluster.promote(master + 3);
    harness::eventually("the others know of it", || {
        (cluster.owner(asked, &key) == master + 3).then_some(())
    });
    let stored: String =
        redis::cmd("GET").arg(&key).query(&mut cluster.nodes[master + 3].connection()).unwrap();
    assert_eq!(stored.len(), record.len());
}

#[test]
fn sentinels_promote_a_replica_when_the_master_is_gone_and_when_they_are_told_to() {
    let mut watched = RedisSentinel::start();
    assert_eq!(watched.master(), 0);
    assert_eq!(watched.promote(), 1);
    watched.nodes[0].follows();
    watched.nodes[1].kill();
    assert_eq!(watched.promoted(1), 0);
}
