//! A Redis Cluster of this test alone: masters on loopback, each with as many replicas as asked for.

use std::time::Duration;

use tempfile::TempDir;

use crate::eventually;
use crate::gateway::free;
use crate::redis_server::{RedisServer, token_record};

const SLOTS: u16 = 16_384;

/// A node that is silent for so long is taken to be gone by the others.
const NODE_TIMEOUT: Duration = Duration::from_millis(1_000);

/// Nodes `0..masters` begin as masters; their replicas follow, the first replica of each master
/// before the second of any.
pub struct RedisCluster {
    pub nodes: Vec<RedisServer>,
    masters: usize,
}

impl RedisCluster {
    /// Three masters without replicas.
    pub fn start() -> Self {
        Self::with(3, 0, |_| Vec::new())
    }

    /// Three masters with one replica each.
    pub fn replicated() -> Self {
        Self::with(3, 1, |_| Vec::new())
    }

    /// With settings more than the ordinary ones, on every node.
    pub fn with(
        masters: usize,
        replicas: usize,
        settings: impl Fn(&TempDir) -> Vec<String>,
    ) -> Self {
        let count = masters * (1 + replicas);
        let start = |_| RedisServer::with(|dir| [in_cluster(), settings(dir)].concat());
        let cluster = RedisCluster { nodes: (0..count).map(start).collect(), masters };
        cluster.divide();
        cluster.introduce();
        cluster.follow();
        cluster.wait();
        cluster
    }

    /// Every slot to a master, in even runs.
    fn divide(&self) {
        let masters = u16::try_from(self.masters).unwrap();
        for (epoch, node) in (1_u16..).zip(&self.nodes) {
            let mut connection = node.connection();
            redis::cmd("CLUSTER").arg("SET-CONFIG-EPOCH").arg(epoch).exec(&mut connection).unwrap();
            let from = |nth: u16| u32::from(SLOTS) * u32::from(nth) / u32::from(masters);
            if epoch <= masters {
                let (first, end) = (from(epoch - 1), from(epoch));
                redis::cmd("CLUSTER")
                    .arg("ADDSLOTSRANGE")
                    .arg(first)
                    .arg(end - 1)
                    .exec(&mut connection)
                    .unwrap();
            }
        }
    }

    fn introduce(&self) {
        let mut first = self.nodes[0].connection();
        for node in &self.nodes[1..] {
            let port = node.address().port();
            let mut config = redis::cmd("CONFIG");
            config.arg("GET").arg("cluster-port");
            let (_, bus): (String, u16) = config.query(&mut node.connection()).unwrap();
            let mut meet = redis::cmd("CLUSTER");
            meet.arg("MEET").arg("127.0.0.1").arg(port).arg(bus).exec(&mut first).unwrap();
        }
        eventually("every node knows every other", || {
            let known = |node: &RedisServer| {
                let told: String =
                    redis::cmd("CLUSTER").arg("NODES").query(&mut node.connection()).unwrap();
                told.lines().filter(|line| !line.contains("handshake")).count()
            };
            self.nodes.iter().all(|node| known(node) == self.nodes.len()).then_some(())
        });
    }

    fn follow(&self) {
        for (nth, replica) in self.nodes.iter().enumerate().skip(self.masters) {
            let master = &self.nodes[nth % self.masters];
            let id: String =
                redis::cmd("CLUSTER").arg("MYID").query(&mut master.connection()).unwrap();
            // Refused until the slots of its master have been heard of.
            eventually("the replica knows its master", || {
                let mut replicate = redis::cmd("CLUSTER");
                replicate.arg("REPLICATE").arg(&id).exec(&mut replica.connection()).ok()
            });
        }
        for replica in &self.nodes[self.masters..] {
            replica.follows();
        }
    }

    /// Until every node that answers says that all is well.
    pub fn wait(&self) {
        for node in &self.nodes {
            eventually("the cluster serves", || {
                let client = redis::Client::open(node.url()).unwrap();
                let connection = client.get_connection_with_timeout(NODE_TIMEOUT);
                let Ok(mut connection) = connection else { return Some(()) };
                let told: String = redis::cmd("CLUSTER").arg("INFO").query(&mut connection).ok()?;
                told.contains("cluster_state:ok").then_some(())
            });
        }
    }

    /// `host:port` of every node.
    pub fn seeds(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.address().to_string()).collect()
    }

    /// As the `store` table of a configuration.
    pub fn settings(&self) -> toml::Table {
        let seeds = self.seeds().into_iter().map(toml::Value::from).collect();
        toml::Table::from_iter([
            ("redis".to_owned(), format!("redis://{}", self.nodes[0].address()).into()),
            ("cluster".to_owned(), toml::Value::Array(seeds)),
        ])
    }

    /// The number of the node that serves a key now, in the eyes of the node `asked`.
    pub fn owner(&self, asked: usize, key: &str) -> usize {
        let mut connection = self.nodes[asked].connection();
        let slot: u16 =
            redis::cmd("CLUSTER").arg("KEYSLOT").arg(key).query(&mut connection).unwrap();
        self.owner_of_slot(asked, slot)
    }

    /// See [`RedisCluster::owner`].
    pub fn owner_of_slot(&self, asked: usize, slot: u16) -> usize {
        type Range = (u16, u16, (String, u16));
        let mut connection = self.nodes[asked].connection();
        let told: Vec<Vec<redis::Value>> =
            redis::cmd("CLUSTER").arg("SLOTS").query(&mut connection).unwrap();
        let ranges = told.into_iter().map(|mut range| -> Range {
            range.truncate(3);
            let mut parts = range.into_iter();
            let mut next = || parts.next().unwrap();
            let number = |value| redis::from_redis_value::<u16>(value).unwrap();
            let (first, last) = (number(next()), number(next()));
            let redis::Value::Array(node) = next() else { panic!("CLUSTER SLOTS names no node") };
            let mut node = node.into_iter();
            let host = redis::from_redis_value(node.next().unwrap()).unwrap();
            (first, last, (host, number(node.next().unwrap())))
        });
        let mut owners = ranges.filter(|(first, last, _)| (*first..=*last).contains(&slot));
        let (_, _, (_, port)) = owners.next().expect("every slot has a master");
        self.nodes.iter().position(|node| node.address().port() == port).unwrap()
    }

    /// Makes a replica the master of its slots and waits until it is: in agreement with its master
    /// when that one answers, without asking anybody else when not.
    pub fn promote(&self, replica: usize) {
        let master = replica % self.masters;
        let mut failover = redis::cmd("CLUSTER");
        failover.arg("FAILOVER");
        if !self.nodes[master].is_master() {
            failover.arg("TAKEOVER");
        }
        failover.exec(&mut self.nodes[replica].connection()).unwrap();
        eventually("the replica is promoted", || self.nodes[replica].is_master().then_some(()));
    }

    /// Writes a token record for `funds-co`, as a bank's own authorization server would.
    pub fn mint(&self, token: &str, psu: &str) -> String {
        let (key, record) = token_record(token, psu);
        let node = &self.nodes[self.owner(0, &key)];
        redis::cmd("SET").arg(key).arg(record).exec(&mut node.connection()).unwrap();
        token.to_owned()
    }

    /// How often these commands were called so far, on all nodes that run.
    pub fn calls(&self, commands: &[&str]) -> u64 {
        self.nodes.iter().map(|node| node.calls(commands)).sum()
    }
}

fn in_cluster() -> Vec<String> {
    let bus = free().port().to_string();
    let timeout = NODE_TIMEOUT.as_millis().to_string();
    [
        ["--cluster-enabled", "yes"],
        ["--cluster-port", &bus],
        ["--cluster-node-timeout", &timeout],
        // One master that is gone leaves the slots of the others in service.
        ["--cluster-require-full-coverage", "no"],
        // However long a replica has not heard of its master, it may take over.
        ["--cluster-replica-validity-factor", "0"],
    ]
    .concat()
    .into_iter()
    .map(str::to_owned)
    .collect()
}
