//! The way to Redis, whatever stands there: one server, the master of several, or a cluster. Every
//! question goes to the server of its key, which has a time limit and a circuit breaker of its own:
//! one master that is gone costs the keys of the others nothing.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::dial::{Address, Dialler};
use super::finder::Finder;
use super::map::{Found, Map, first_key};
pub(super) use super::node::Fault;
use super::node::{Node, Order};
use crate::config::RedisServers;
use crate::store::StoreError;
use crate::store::limits::{
    BREAKER_PROBE_PERIOD, LOOK_AGAIN_AFTER, LOOK_TIMEOUT, REDIRECTIONS_MAX, SLOT_MOVING_PAUSE,
    jittered,
};

pub(super) struct Link {
    dialler: Arc<Dialler>,
    finder: Finder,
    timeout: Duration,
    replicas_acknowledge: u32,
    map: ArcSwap<Map>,
    /// Every server that is spoken to, by its address.
    nodes: Mutex<HashMap<Address, Arc<Node>>>,
    pace: Mutex<Pace>,
    lost: Mutex<Option<Instant>>,
    /// Counts the looks that have ended.
    looked: watch::Sender<u64>,
}

/// When the servers are looked at again.
struct Pace {
    looking: bool,
    next_at: Instant,
}

impl Link {
    /// Does not connect, and needs no runtime.
    pub(super) fn new(servers: &RedisServers, timeout: Duration) -> Result<Self, StoreError> {
        let dialler = Arc::new(Dialler::new(servers)?);
        let link = Link {
            finder: Finder::new(&servers.topology, &dialler)
                .map_err(|error| StoreError::Address(error.to_string()))?,
            dialler,
            timeout,
            replicas_acknowledge: servers.replicas_acknowledge,
            map: ArcSwap::from_pointee(Map::unknown()),
            nodes: Mutex::default(),
            pace: Mutex::new(Pace { looking: false, next_at: Instant::now() }),
            lost: Mutex::new(None),
            looked: watch::Sender::new(0),
        };
        if matches!(link.finder, Finder::Fixed) {
            link.chart(Found::Master(link.dialler.address()));
        }
        Ok(link)
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The instant by which a question that is asked now must be settled.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    /// How the servers stand to each other.
    pub(super) fn topology(&self) -> &'static str {
        match self.finder {
            Finder::Fixed => "standalone",
            Finder::Sentinels(_) => "sentinel",
            Finder::Cluster(_) => "cluster",
        }
    }

    /// How many replicas must have a change before it counts.
    pub(super) fn replicas_acknowledge(&self) -> u32 {
        self.replicas_acknowledge
    }

    /// The servers as they were last told of.
    pub(super) fn map(&self) -> Arc<Map> {
        self.map.load_full()
    }

    /// Since when is any server left alone, or is it not known who serves?
    pub(super) fn open_since(&self) -> Option<std::time::Instant> {
        let map = self.map.load();
        let lost = self.lost().map(Instant::into_std);
        map.masters.iter().filter_map(|node| node.breaker().open_since()).chain(lost).min()
    }

    /// It is not known any more; tells whether it was known until now.
    fn loses(&self) -> bool {
        let mut lost = self.lost();
        let new = lost.is_none();
        lost.get_or_insert_with(Instant::now);
        new
    }

    fn lost(&self) -> MutexGuard<'_, Option<Instant>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Would a question about this key be answered "left alone" now, without anybody being asked?
    pub(super) fn refuses(&self, key: impl FnOnce() -> String) -> bool {
        let now = Instant::now();
        let map = self.map.load();
        if map.masters.is_empty() {
            let pace = self.pace();
            return !pace.looking && now < pace.next_at;
        }
        if map.masters.iter().all(|node| !node.breaker().is_open()) {
            return false;
        }
        let key = map.is_cluster().then(key);
        let node = map.node(key.as_deref().map(str::as_bytes));
        node.is_some_and(|node| node.breaker().refuses(now.into_std()))
    }

    /// Does this server, and no other, have this key?
    pub(super) fn is_served_by(&self, node: &Arc<Node>, key: &str) -> bool {
        self.map.load().node(Some(key.as_bytes())).is_some_and(|found| Arc::ptr_eq(found, node))
    }

    /// A command that may be executed twice.
    pub(super) async fn ask(
        self: &Arc<Self>,
        command: &Cmd,
        deadline: Instant,
    ) -> Result<Value, Fault> {
        self.send(Order { command, repeatable: true, asking: false }, deadline).await
    }

    /// A command that must not be executed twice: a write that is repeated late could undo
    /// somebody else's revocation. Nor may it be lost: it counts when the replicas have it.
    pub(super) async fn tell(
        self: &Arc<Self>,
        command: &Cmd,
        deadline: Instant,
    ) -> Result<Value, Fault> {
        self.send(Order { command, repeatable: false, asking: false }, deadline).await
    }

    /// The values of some keys, wherever each of them is; what lies on one slot is of one instant.
    pub(super) async fn read(
        self: &Arc<Self>,
        keys: &[String],
        deadline: Instant,
    ) -> Result<Vec<Value>, Fault> {
        if !self.charted(deadline).await?.is_cluster() {
            return self.read_together(keys.iter(), deadline).await;
        }
        let mut groups: HashMap<_, Vec<usize>> = HashMap::new();
        for (place, key) in keys.iter().enumerate() {
            groups.entry(redis::cluster_routing::Slot::for_key(key)).or_default().push(place);
        }
        let asked = groups.into_values().map(async |places| {
            let keys = places.iter().filter_map(|place| keys.get(*place));
            let values = self.read_together(keys, deadline).await;
            values.map(|values| places.into_iter().zip(values))
        });
        let mut read: Vec<(usize, Value)> = Vec::with_capacity(keys.len());
        for group in futures_util::future::join_all(asked).await {
            read.extend(group?);
        }
        read.sort_by_key(|(place, _)| *place);
        Ok(read.into_iter().map(|(_, value)| value).collect())
    }

    /// Every server that has keys; an error when some keys have none.
    pub(super) async fn masters(
        self: &Arc<Self>,
        deadline: Instant,
    ) -> Result<Vec<Arc<Node>>, Fault> {
        let map = self.charted(deadline).await?;
        if map.is_whole() { Ok(map.masters.clone()) } else { Err(unserved()) }
    }

    /// Looks at the servers again, in a while or now; false when that is too soon.
    pub(super) fn look(self: &Arc<Self>) -> bool {
        if matches!(self.finder, Finder::Fixed) {
            return false;
        }
        let mut pace = self.pace();
        if pace.looking {
            return true;
        }
        if Instant::now() < pace.next_at {
            return false;
        }
        pace.looking = true;
        tokio::spawn(Arc::clone(self).look_now());
        true
    }

    /// Changes whenever the servers were looked at.
    pub(super) fn looked(&self) -> watch::Receiver<u64> {
        self.looked.subscribe()
    }

    async fn send(self: &Arc<Self>, order: Order<'_>, deadline: Instant) -> Result<Value, Fault> {
        let key = first_key(order.command);
        let mut order = order;
        let mut redirected: Option<Arc<Node>> = None;
        let mut redirections = 0;
        loop {
            let node = match redirected.take() {
                Some(node) => node,
                None => self.locate(key, deadline).await?,
            };
            let answer = node.send(order, deadline).await;
            order.asking = false;
            // Whoever sends us elsewhere has not executed anything.
            match answer {
                Err(Fault::Refused(error)) if error.redirect_node().is_some() => {
                    self.look();
                    redirections += 1;
                    let to = error.redirect_node().map(|(address, _)| address.to_owned());
                    redirected = to.and_then(|address| self.node(&full(&node, &address)));
                    order.asking = error.kind() == ErrorKind::Server(ServerErrorKind::Ask);
                    if redirections > REDIRECTIONS_MAX || redirected.is_none() {
                        return Err(Fault::Away(error));
                    }
                }
                Err(Fault::Refused(error)) if is_moving(&error) => {
                    let again = Instant::now() + SLOT_MOVING_PAUSE;
                    if again >= deadline {
                        return Err(Fault::Away(error));
                    }
                    sleep_until(again).await;
                }
                Err(fault @ (Fault::Away(_) | Fault::TimedOut | Fault::CircuitOpen)) => {
                    self.look();
                    return Err(fault);
                }
                answer => return answer,
            }
        }
    }

    async fn read_together<'a>(
        self: &Arc<Self>,
        keys: impl Iterator<Item = &'a String>,
        deadline: Instant,
    ) -> Result<Vec<Value>, Fault> {
        let mut command = redis::cmd("MGET");
        keys.for_each(|key| {
            command.arg(key);
        });
        match self.ask(&command, deadline).await? {
            Value::Array(values) => Ok(values),
            other => {
                let error: RedisError =
                    (ErrorKind::UnexpectedReturnType, "MGET", format!("{other:?}")).into();
                Err(Fault::Refused(error))
            }
        }
    }

    async fn locate(
        self: &Arc<Self>,
        key: Option<&[u8]>,
        deadline: Instant,
    ) -> Result<Arc<Node>, Fault> {
        if let Some(node) = self.map.load().node(key) {
            return Ok(Arc::clone(node));
        }
        self.look_and_wait(deadline).await?;
        self.map.load().node(key).cloned().ok_or_else(unserved)
    }

    async fn charted(self: &Arc<Self>, deadline: Instant) -> Result<Arc<Map>, Fault> {
        if self.map.load().masters.is_empty() {
            self.look_and_wait(deadline).await?;
        }
        Ok(self.map())
    }

    async fn look_and_wait(self: &Arc<Self>, deadline: Instant) -> Result<(), Fault> {
        let mut looked = self.looked();
        if !self.look() {
            return Err(Fault::CircuitOpen);
        }
        match timeout_at(deadline, looked.changed()).await {
            Ok(_) => Ok(()),
            Err(_) => Err(Fault::TimedOut),
        }
    }

    /// Beside the requests, which do not wait longer for it than they may.
    async fn look_now(self: Arc<Self>) {
        let known = self.map();
        let within = self.timeout.max(LOOK_TIMEOUT);
        let node = |address: &Address| self.node(address);
        let found = self.finder.find(&self.dialler, &known, node, within).await;
        let pause = match found {
            Ok(found) => {
                if self.lost().take().is_some() {
                    tracing::info!("it is known again which Redis serves");
                }
                if known.found.as_ref() != Some(&found) {
                    self.chart(found);
                }
                LOOK_AGAIN_AFTER
            }
            Err(lost) => {
                if self.loses() {
                    tracing::warn!(%lost, "it is not known which Redis serves");
                }
                BREAKER_PROBE_PERIOD
            }
        };
        {
            let mut pace = self.pace();
            *pace = Pace { looking: false, next_at: Instant::now() + jittered(pause) };
        }
        self.looked.send_modify(|looks| *looks += 1);
    }

    fn chart(&self, found: Found) {
        let before = self.map();
        let map = Map::of(found, before.version + 1, |address| self.node(address));
        let servers: Vec<&Address> = map.masters.iter().map(|node| node.address()).collect();
        if before.version > 0 {
            tracing::warn!(?servers, "Redis is served by others than before, or divided otherwise");
        }
        self.nodes().retain(|address, _| map.named(address).is_some());
        self.map.store(Arc::new(map));
    }

    /// The server at an address, spoken to or not.
    fn node(&self, address: &Address) -> Option<Arc<Node>> {
        let mut nodes = self.nodes();
        if let Some(node) = nodes.get(address) {
            return Some(Arc::clone(node));
        }
        let client = self.dialler.server(address);
        let client = client.inspect_err(|error| tracing::warn!(address, %error, "no such server"));
        let acknowledge = self.replicas_acknowledge;
        let node = Node::new(address.clone(), client.ok()?, self.timeout, acknowledge);
        Some(Arc::clone(nodes.entry(address.clone()).or_insert(Arc::new(node))))
    }

    fn nodes(&self) -> MutexGuard<'_, HashMap<Address, Arc<Node>>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Link {
    /// Without the settings, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// A slot is on its way to another server, and some keys of the question are here, some there.
fn is_moving(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::TryAgain)
}

/// Without a host the server means itself.
fn full(told_by: &Node, address: &str) -> Address {
    match address.strip_prefix(':') {
        Some(port) => {
            let host = told_by.address().rsplit_once(':').map_or("", |(host, _)| host);
            format!("{host}:{port}")
        }
        None => address.to_owned(),
    }
}

fn unserved() -> Fault {
    Fault::Away((ErrorKind::ClusterConnectionNotFound, "no server has these keys").into())
}
