//! A Redis with replicas under three sentinels, of this test alone. The sentinels promote a replica
//! by themselves when the master is gone.

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::eventually;
use crate::gateway::{free, signal};
use crate::redis_server::{RedisServer, wait};

/// The name of the service that the sentinels watch over.
pub const SERVICE: &str = "octroi";

const SENTINELS: usize = 3;
const QUORUM: usize = 2;

/// A master that is silent for so long is taken to be gone.
const DOWN_AFTER_MS: u32 = 500;

/// Node 0 begins as the master.
pub struct RedisSentinel {
    pub nodes: Vec<RedisServer>,
    pub sentinels: Vec<Sentinel>,
}

/// One sentinel.
pub struct Sentinel {
    child: Child,
    address: SocketAddr,
    _dir: TempDir,
}

impl RedisSentinel {
    /// A master with one replica.
    pub fn start() -> Self {
        Self::with(1, |_| Vec::new())
    }

    /// With settings more than the ordinary ones, on the master and its replicas.
    pub fn with(replicas: usize, settings: impl Fn(&TempDir) -> Vec<String>) -> Self {
        let master = RedisServer::with(&settings);
        let of = format!("127.0.0.1 {}", master.address().port());
        let follower = |_| {
            let following = || vec!["--replicaof".to_owned(), of.clone()];
            RedisServer::with(|dir| [following(), settings(dir)].concat())
        };
        let followers: Vec<RedisServer> = (0..replicas).map(follower).collect();
        followers.iter().for_each(RedisServer::follows);
        let sentinels = (0..SENTINELS).map(|_| Sentinel::start(master.address())).collect();
        let nodes = std::iter::once(master).chain(followers).collect();
        let set = RedisSentinel { nodes, sentinels };
        set.wait();
        set
    }

    /// Until every sentinel that answers knows the others and every replica.
    fn wait(&self) {
        let (replicas, others) = (self.nodes.len() - 1, SENTINELS - 1);
        for sentinel in &self.sentinels {
            eventually("the sentinels know each other and the replicas", || {
                let told = sentinel.told()?;
                let of = |name: &str| -> Option<usize> {
                    let at = told.iter().position(|word| word == name)?;
                    told.get(at + 1)?.parse().ok()
                };
                let known = (of("num-slaves")?, of("num-other-sentinels")?);
                (known == (replicas, others)).then_some(())
            });
        }
    }

    /// `host:port` of every sentinel.
    pub fn addresses(&self) -> Vec<String> {
        self.sentinels.iter().map(|sentinel| sentinel.address.to_string()).collect()
    }

    /// A URL whose host is the name of the service.
    pub fn url(&self) -> String {
        format!("redis://{SERVICE}/0")
    }

    /// As the `store` table of a configuration.
    pub fn settings(&self) -> toml::Table {
        let sentinels = self.addresses().into_iter().map(toml::Value::from).collect();
        toml::Table::from_iter([
            ("redis".to_owned(), self.url().into()),
            ("sentinels".to_owned(), toml::Value::Array(sentinels)),
        ])
    }

    /// The number of the node that the sentinels name as the master.
    pub fn master(&self) -> usize {
        eventually("most sentinels name the same master", || {
            let named: Vec<usize> = self.sentinels.iter().filter_map(|s| self.named(s)).collect();
            let votes = |node: usize| named.iter().filter(|named| **named == node).count();
            (0..self.nodes.len()).find(|node| votes(*node) >= QUORUM)
        })
    }

    fn named(&self, sentinel: &Sentinel) -> Option<usize> {
        let mut ask = redis::cmd("SENTINEL");
        ask.arg("get-master-addr-by-name").arg(SERVICE);
        let (_, port): (String, u16) = ask.query(&mut sentinel.connection()?).ok()?;
        self.nodes.iter().position(|node| node.address().port() == port)
    }

    /// Waits until another node than this one serves as the master, and tells which.
    pub fn promoted(&self, before: usize) -> usize {
        eventually("a replica is promoted", || {
            let master = self.master();
            (master != before && self.nodes[master].is_master()).then_some(master)
        })
    }

    /// Has the sentinels promote a replica while the master lives, and tells which.
    pub fn promote(&self) -> usize {
        let before = self.master();
        eventually("a sentinel agrees to a failover", || {
            let mut failover = redis::cmd("SENTINEL");
            failover.arg("failover").arg(SERVICE);
            failover.exec(&mut self.sentinels[0].connection()?).ok()
        });
        self.promoted(before)
    }

    /// Writes a token record for `funds-co`, as a bank's own authorization server would.
    pub fn mint(&self, token: &str, psu: &str) -> String {
        self.nodes[self.master()].mint(token, psu)
    }
}

impl Sentinel {
    fn start(master: SocketAddr) -> Self {
        loop {
            let (address, dir) = (free(), tempfile::tempdir().unwrap());
            let file = dir.path().join("sentinel.conf");
            let text = format!(
                "bind 127.0.0.1\nport {}\ndir {}\n\
                 sentinel monitor {SERVICE} 127.0.0.1 {} {QUORUM}\n\
                 sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}\n\
                 sentinel failover-timeout {SERVICE} 2000\n",
                address.port(),
                dir.path().display(),
                master.port(),
            );
            fs::write(&file, text).unwrap();
            let mut child = Command::new("redis-server")
                .arg(&file)
                .arg("--sentinel")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("redis-server is installed by `make test`");
            if wait(&mut child, address) {
                return Sentinel { child, address, _dir: dir };
            }
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// None when it does not answer.
    pub fn connection(&self) -> Option<redis::Connection> {
        let client = redis::Client::open(format!("redis://{}/", self.address)).unwrap();
        let limit = std::time::Duration::from_millis(500);
        let connection = client.get_connection_with_timeout(limit).ok()?;
        connection.set_read_timeout(Some(limit)).ok()?;
        Some(connection)
    }

    pub fn pause(&self) {
        signal(self.child.id(), "STOP");
    }

    pub fn resume(&self) {
        signal(self.child.id(), "CONT");
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn told(&self) -> Option<Vec<String>> {
        let mut ask = redis::cmd("SENTINEL");
        ask.arg("master").arg(SERVICE).query(&mut self.connection()?).ok()
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
