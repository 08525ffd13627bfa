//! Who serves what at this moment: said by the configuration, by sentinels, or by a cluster.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use redis::{ErrorKind, RedisError, Value};
use thiserror::Error;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::dial::{Address, Dialler, address};
use super::map::{Found, Map};
use super::node::{Fault, Node};
use super::wire::Wire;
use crate::config::RedisTopology;
use crate::store::limits::{LOOK_FOR_OTHERS, LOOK_TIMEOUT};

pub(super) enum Finder {
    /// One server, always the same.
    Fixed,
    Sentinels(Vec<Arc<Wire>>),
    /// The nodes to begin with.
    Cluster(Vec<Address>),
}

/// Why it is not known who serves.
#[derive(Debug, Error)]
pub(super) enum Lost {
    #[error("no sentinel of {asked} tells of a master of `{service}`: {why}")]
    Sentinels { asked: usize, service: String, why: String },
    #[error("no node of {asked} tells how the cluster is divided: {why}")]
    Cluster { asked: usize, why: String },
}

impl Finder {
    pub(super) fn new(topology: &RedisTopology, dialler: &Dialler) -> Result<Self, RedisError> {
        Ok(match topology {
            RedisTopology::Standalone => Finder::Fixed,
            RedisTopology::Sentinel { sentinels, .. } => {
                let wire =
                    |at: &Address| Ok(Arc::new(Wire::new(dialler.sentinel(at)?, LOOK_TIMEOUT)));
                Finder::Sentinels(sentinels.iter().map(wire).collect::<Result<_, RedisError>>()?)
            }
            RedisTopology::Cluster { nodes } => {
                let first = dialler.address();
                let others = nodes.iter().filter(|node| **node != first).cloned();
                Finder::Cluster(std::iter::once(first.clone()).chain(others).collect())
            }
        })
    }

    /// Asks those who know. `node` gives the server at an address.
    pub(super) async fn find(
        &self,
        dialler: &Dialler,
        known: &Map,
        node: impl Fn(&Address) -> Option<Arc<Node>>,
        within: Duration,
    ) -> Result<Found, Lost> {
        let deadline = Instant::now() + within;
        match self {
            Finder::Fixed => Ok(Found::Master(dialler.address())),
            Finder::Sentinels(sentinels) => master(sentinels, dialler.host(), deadline).await,
            Finder::Cluster(seeds) => {
                let mut why = "no node is known".to_owned();
                let mut asked = 0;
                for ring in rings(seeds, known) {
                    asked += ring.len();
                    match division(ring.iter().filter_map(&node).collect(), deadline).await {
                        Ok(found) => return Ok(found),
                        Err(reason) => why = reason.unwrap_or(why),
                    }
                }
                Err(Lost::Cluster { asked, why })
            }
        }
    }
}

/// Who is asked how the cluster is divided: the masters, then whoever follows them and the nodes of
/// the configuration.
fn rings(seeds: &[Address], known: &Map) -> [Vec<Address>; 2] {
    let mut others = seeds.to_vec();
    if let Some(Found::Masters { replicas, .. }) = &known.found {
        others.extend(replicas.iter().filter(|replica| !seeds.contains(replica)).cloned());
    }
    let masters: Vec<Address> = known.masters.iter().map(|node| node.address().clone()).collect();
    others.retain(|other| !masters.contains(other));
    [masters, others]
}

/// All sentinels are asked at once: one that is slow or alone must not decide. Of what they say the
/// latest failover counts.
async fn master(sentinels: &[Arc<Wire>], service: &str, deadline: Instant) -> Result<Found, Lost> {
    let mut asked = JoinSet::new();
    for sentinel in sentinels {
        let (sentinel, service) = (Arc::clone(sentinel), service.to_owned());
        asked.spawn(async move {
            let told = timeout_at(deadline, opinion(&sentinel, &service)).await;
            told.map_err(|_| {
                // It may be gone without a word.
                sentinel.hang_up();
                RedisError::from((ErrorKind::Io, "no answer in time"))
            })?
        });
    }
    let (opinions, why) = gather(asked, deadline).await;
    match opinions.into_iter().max_by_key(|(epoch, _)| *epoch) {
        Some((_, address)) => Ok(Found::Master(address)),
        None => {
            let (asked, service) = (sentinels.len(), service.to_owned());
            let why = why.unwrap_or_else(|| "none answered in time".to_owned());
            Err(Lost::Sentinels { asked, service, why })
        }
    }
}

/// What most of them say, or as many as answer soon after the first: one that is silent does not hold
/// up what others know. Beside it why one did not answer.
async fn gather<T: Send + 'static, E: Display + Send + 'static>(
    mut asked: JoinSet<Result<T, E>>,
    deadline: Instant,
) -> (Vec<T>, Option<String>) {
    let majority = asked.len() / 2 + 1;
    let (mut told, mut why, mut until) = (Vec::new(), None, deadline);
    while told.len() < majority {
        match timeout_at(until, asked.join_next()).await {
            Ok(Some(Ok(Ok(answer)))) => {
                told.push(answer);
                until = deadline.min(Instant::now() + LOOK_FOR_OTHERS);
            }
            Ok(Some(Ok(Err(error)))) => why = Some(error.to_string()),
            Ok(Some(Err(error))) => why = Some(error.to_string()),
            Ok(None) | Err(_) => break,
        }
    }
    // Who is late takes the time that is left, and notices when its connection is dead.
    asked.detach_all();
    (told, why)
}

/// The epoch of the last failover and the address of the master, in the eyes of one sentinel.
async fn opinion(sentinel: &Wire, service: &str) -> Result<(u64, Address), RedisError> {
    let (mut about, mut named) = (redis::cmd("SENTINEL"), redis::cmd("SENTINEL"));
    about.arg("master").arg(service);
    // Says the promoted replica as soon as it is one, while `master` still tells of the one before.
    named.arg("get-master-addr-by-name").arg(service);
    let mut answers = sentinel.send(&[&about, &named]).await?.into_iter();
    let mut next = || answers.next().unwrap_or(Value::Nil).extract_error();
    let about: BTreeMap<String, String> = redis::from_redis_value(next()?)?;
    let (host, port): (String, u16) = redis::from_redis_value(next()?)?;
    let epoch = about.get("config-epoch").and_then(|epoch| epoch.parse().ok());
    Ok((epoch.unwrap_or_default(), address(&host, port)))
}

/// What one node says: is all well in its eyes, the epoch that it knows of, and the division.
type View = (bool, u64, Found);

/// All are asked at once. A node that is cut off from the others knows of no later failover.
async fn division(nodes: Vec<Arc<Node>>, deadline: Instant) -> Result<Found, Option<String>> {
    let mut asked = JoinSet::new();
    for node in nodes {
        asked.spawn(async move { view(&node, deadline).await });
    }
    let (views, why) = gather(asked, deadline).await;
    let latest = views.into_iter().max_by_key(|(well, epoch, _)| (*well, *epoch));
    latest.map(|(_, _, found)| found).ok_or(why)
}

async fn view(node: &Arc<Node>, deadline: Instant) -> Result<View, Fault> {
    let odd = |error: redis::ParsingError| Fault::Refused(error.into());
    let info = node.ask(redis::cmd("CLUSTER").arg("INFO"), deadline).await?;
    let info: String = redis::from_redis_value(info).map_err(odd)?;
    let value = |name: &str| {
        let mut lines = info.lines().filter_map(|line| line.trim().split_once(':'));
        lines.find(|(known, _)| *known == name).map(|(_, value)| value)
    };
    let well = value("cluster_state") == Some("ok");
    let epoch = value("cluster_current_epoch").and_then(|epoch| epoch.parse().ok());
    let slots = node.ask(redis::cmd("CLUSTER").arg("SLOTS"), deadline).await?;
    let slots: Vec<Vec<Value>> = redis::from_redis_value(slots).map_err(odd)?;
    let mut division = Division { asked: node.address(), ..Division::default() };
    slots.iter().for_each(|range| division.add(range));
    Ok((well, epoch.unwrap_or_default(), division.found()))
}

#[derive(Default)]
struct Division<'a> {
    asked: &'a str,
    masters: BTreeMap<Address, Vec<RangeInclusive<u16>>>,
    replicas: Vec<Address>,
}

impl Division<'_> {
    /// `[first, last, [host, port, …], [host, port, …]…]`, the master before its replicas.
    fn add(&mut self, range: &[Value]) {
        let [Value::Int(first), Value::Int(last), nodes @ ..] = range else { return };
        let (Ok(first), Ok(last)) = (u16::try_from(*first), u16::try_from(*last)) else { return };
        let mut nodes = nodes.iter().map(|node| self.address(node));
        if let Some(Some(master)) = nodes.next() {
            let replicas: Vec<Address> = nodes.flatten().collect();
            self.masters.entry(master).or_default().push(first..=last);
            self.replicas.extend(replicas);
        }
    }

    /// A node that does not know its own name is the one that was asked.
    fn address(&self, node: &Value) -> Option<Address> {
        let Value::Array(node) = node else { return None };
        let [host, Value::Int(port), ..] = node.as_slice() else { return None };
        let port = u16::try_from(*port).ok()?;
        match host {
            Value::BulkString(host) if !host.is_empty() && host != b"?" => {
                Some(address(std::str::from_utf8(host).ok()?, port))
            }
            Value::BulkString(host) if host == b"?" => None,
            _ => Some(address(self.asked.rsplit_once(':')?.0.trim_matches(['[', ']']), port)),
        }
    }

    fn found(mut self) -> Found {
        self.replicas.sort();
        self.replicas.dedup();
        Found::Masters { masters: self.masters.into_iter().collect(), replicas: self.replicas }
    }
}
