//! The servers that a store may stand on.

use harness::redis_cluster::RedisCluster;
use harness::redis_sentinel::RedisSentinel;
use harness::redis_server::RedisServer;

use crate::config::{RedisServers, RedisTopology};

pub(super) enum Servers {
    One(RedisServer),
    Watched(RedisSentinel),
    Cluster(RedisCluster),
}

impl Servers {
    pub(super) fn one() -> Self {
        Servers::One(RedisServer::start())
    }

    pub(super) fn watched() -> Self {
        Servers::Watched(RedisSentinel::start())
    }

    /// Without replicas.
    pub(super) fn cluster() -> Self {
        Servers::Cluster(RedisCluster::start())
    }

    pub(super) fn settings(&self) -> RedisServers {
        match self {
            Servers::One(server) => RedisServers::from(&server.url()),
            Servers::Watched(watched) => under_sentinels(watched),
            Servers::Cluster(cluster) => in_cluster(cluster, 0),
        }
    }

    /// All of them, on the same ports and with what was on disk.
    pub(super) fn restart(&mut self) {
        match self {
            Servers::One(server) => {
                server.kill();
                server.restart();
            }
            // The sentinels must not take it for a reason to promote the other.
            Servers::Watched(watched) => {
                watched.sentinels.iter().for_each(|sentinel| sentinel.pause());
                watched.nodes[0].kill();
                watched.nodes[0].restart();
                watched.sentinels.iter().for_each(|sentinel| sentinel.resume());
                watched.nodes[1].follows();
            }
            Servers::Cluster(cluster) => {
                for node in &mut cluster.nodes {
                    node.kill();
                    node.restart();
                }
                cluster.wait();
            }
        }
    }

    /// The server that has a key.
    pub(super) fn of(&self, key: &str) -> &RedisServer {
        match self {
            Servers::One(server) => server,
            Servers::Watched(watched) => &watched.nodes[watched.master()],
            Servers::Cluster(cluster) => &cluster.nodes[cluster.owner(0, key)],
        }
    }

    pub(super) fn calls(&self, commands: &[&str]) -> u64 {
        match self {
            Servers::One(server) => server.calls(commands),
            Servers::Watched(watched) => watched.nodes[watched.master()].calls(commands),
            Servers::Cluster(cluster) => cluster.calls(commands),
        }
    }

    /// Questions in which a token is asked for: a cluster has it and the standing of its TPP on two
    /// slots.
    pub(super) fn per_read(&self) -> u64 {
        match self {
            Servers::One(_) | Servers::Watched(_) => 1,
            Servers::Cluster(_) => 2,
        }
    }
}

/// A replica must have a change before it counts.
pub(super) fn under_sentinels(watched: &RedisSentinel) -> RedisServers {
    let topology =
        RedisTopology::Sentinel { sentinels: watched.addresses(), user: None, password: None };
    RedisServers { topology, replicas_acknowledge: 1, ..RedisServers::from(&watched.url()) }
}

pub(super) fn in_cluster(cluster: &RedisCluster, replicas_acknowledge: u32) -> RedisServers {
    let topology = RedisTopology::Cluster { nodes: cluster.seeds() };
    let url = cluster.nodes[0].url();
    RedisServers { topology, replicas_acknowledge, ..RedisServers::from(&url) }
}
