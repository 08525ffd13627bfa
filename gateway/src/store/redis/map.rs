//! Which server serves which key, as it was last told.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use redis::Cmd;
use redis::cluster_routing::Slot;

use super::dial::Address;
use super::node::Node;

/// Slots of a cluster.
const SLOTS: usize = 16_384;

/// What a look at the servers found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// One server has everything.
    Master(Address),
    /// Each master has its slots; who follows them may be asked when they are all gone.
    Masters { masters: Vec<(Address, Vec<RangeInclusive<u16>>)>, replicas: Vec<Address> },
}

impl Found {
    fn masters(&self) -> Vec<Address> {
        match self {
            Found::Master(address) => vec![address.clone()],
            Found::Masters { masters, .. } => {
                masters.iter().map(|(address, _)| address.clone()).collect()
            }
        }
    }
}

/// The servers to ask.
#[derive(Debug)]
pub(super) struct Map {
    /// None before the first look.
    pub(super) found: Option<Found>,
    pub(super) masters: Vec<Arc<Node>>,
    slots: Option<HashMap<Slot, Arc<Node>>>,
    /// Another one for every change.
    pub(super) version: u64,
}

impl Map {
    pub(super) fn unknown() -> Self {
        Map { found: None, masters: Vec::new(), slots: None, version: 0 }
    }

    /// Nodes that serve on keep their connections and what they know of themselves.
    pub(super) fn of(
        found: Found,
        version: u64,
        mut node: impl FnMut(&Address) -> Option<Arc<Node>>,
    ) -> Self {
        let masters: Vec<Arc<Node>> = found.masters().iter().filter_map(&mut node).collect();
        let slots = match &found {
            Found::Master(_) => None,
            Found::Masters { masters: told, .. } => {
                let mut slots = HashMap::with_capacity(SLOTS);
                for (address, ranges) in told {
                    let Some(node) = masters.iter().find(|node| node.address() == address) else {
                        continue;
                    };
                    let numbers = ranges.iter().cloned().flatten();
                    slots
                        .extend(numbers.filter_map(Slot::new).map(|slot| (slot, Arc::clone(node))));
                }
                Some(slots)
            }
        };
        Map { found: Some(found), masters, slots, version }
    }

    pub(super) fn is_cluster(&self) -> bool {
        self.slots.is_some()
    }

    /// Has every key a server?
    pub(super) fn is_whole(&self) -> bool {
        self.slots.as_ref().map_or(!self.masters.is_empty(), |slots| slots.len() == SLOTS)
    }

    /// The server of a key; of no key, one that seems to be well.
    pub(super) fn node(&self, key: Option<&[u8]>) -> Option<&Arc<Node>> {
        match (&self.slots, key) {
            (Some(slots), Some(key)) => slots.get(&Slot::for_key(key)),
            _ => {
                let well = self.masters.iter().find(|node| !node.breaker().is_open());
                well.or_else(|| self.masters.first())
            }
        }
    }

    pub(super) fn named(&self, address: &str) -> Option<&Arc<Node>> {
        self.masters.iter().find(|node| node.address() == address)
    }
}

/// The first key of a command, which all its keys share their slot with.
pub(super) fn first_key(command: &Cmd) -> Option<&[u8]> {
    let mut words = command.args_iter().filter_map(|word| match word {
        redis::Arg::Simple(word) => Some(word),
        _ => None,
    });
    match words.next()? {
        b"EVAL" | b"EVALSHA" => words.nth(2),
        b"GET" | b"MGET" | b"SET" | b"DEL" => words.next(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_goes_to_the_server_of_its_first_key() {
        let mut script = redis::cmd("EVALSHA");
        script.arg("digest").arg(2).arg("one").arg("two").arg("argument");
        assert_eq!(first_key(&script), Some(b"one".as_slice()));
        assert_eq!(first_key(redis::cmd("MGET").arg("one").arg("two")), Some(b"one".as_slice()));
        assert_eq!(first_key(&redis::cmd("PING")), None);
    }
}
