//! Records of the authorization server in Redis: read one by one, changed by one script that makes
//! sure that nobody else was faster.
//!
//! `octroi:{<part>}:<kind>:<64 hexadecimal digits>`: the braces make one slot of a part in a cluster.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use policies::Partition;
use policies::ledger::{Book, Changes, Kind, Pause, Place};
use redis::Value;

use super::link::{Fault, Link};
use super::node::Node;
use super::scripts::{self, Transact};
use crate::store::Deed;

/// Attempts at one step while others change the same records.
const ATTEMPTS_MAX: u32 = 64;
/// Keys that Redis looks at in one step of a walk.
const SCAN_STEP: usize = 500;

/// Why a step was not made.
#[derive(Debug)]
pub(super) enum Undone {
    Damaged(Kind),
    /// Others were faster each time.
    Busy,
    /// Redis did not answer; of these records it is not known what they are now, or somebody meant to
    /// end them.
    Failed(Fault, Vec<Place>),
}

/// What was read, and what to do instead.
#[derive(Default)]
struct Row<'a> {
    read: Option<Option<&'a [u8]>>,
    change: Option<Option<(&'a [u8], Option<i64>)>>,
}

/// Reads and changes; gives back the changes.
pub(super) async fn transact(
    link: &Arc<Link>,
    partition: Option<Partition>,
    deed: Deed<'_>,
) -> Result<Changes, Undone> {
    for _ in 0..ATTEMPTS_MAX {
        let (mut pages, mut questions) = (HashMap::new(), 0);
        let changes = loop {
            // The answer is taken out first: a view of the pages must not live across the wait.
            let told = deed(&Book::new(&pages));
            let unread = match told {
                Ok(changes) => break changes,
                Err(Pause::Damaged(kind)) => return Err(Undone::Damaged(kind)),
                Err(Pause::Unread(unread)) => unread,
            };
            let read = match read(link, partition, &unread).await {
                Ok(read) => read,
                // Nothing was changed. But a token that somebody asked to end serves no longer.
                Err(fault) => {
                    return Err(Undone::Failed(fault, tokens(pages.keys().chain(&unread))));
                }
            };
            pages.extend(unread.into_iter().zip(read));
            questions += 1;
        };
        // What one question was answered with was true at one instant. What several were answered
        // with may never have been true together, and must not decide that there is nothing to do.
        let settled = changes.writes().is_empty() && questions < 2;
        if settled {
            return Ok(changes);
        }
        match commit(link, partition, &pages, &changes).await {
            Ok(true) => return Ok(changes),
            Ok(false) => (),
            Err(fault) => {
                let mut doubtful = tokens(pages.keys());
                doubtful.extend(changes.writes().iter().map(|write| write.place));
                return Err(Undone::Failed(fault, doubtful));
            }
        }
    }
    Err(Undone::Busy)
}

fn tokens<'a>(places: impl Iterator<Item = &'a Place>) -> Vec<Place> {
    places.filter(|place| place.kind == Kind::Token).copied().collect()
}

/// The key of a record.
pub(super) fn key(partition: Option<Partition>, place: &Place) -> String {
    let (kind, id) = (place.kind.code(), hex::encode(place.id));
    match partition {
        Some(partition) => format!("octroi:{{{}}}:{kind}:{id}", partition.as_str()),
        None => format!("octroi:{kind}:{id}"),
    }
}

async fn read(
    link: &Arc<Link>,
    partition: Option<Partition>,
    places: &[Place],
) -> Result<Vec<Option<Vec<u8>>>, Fault> {
    let keys: Vec<String> = places.iter().map(|place| key(partition, place)).collect();
    let read = Value::Array(link.read(&keys, link.deadline()).await?);
    redis::from_redis_value(read).map_err(|error| Fault::Refused(error.into()))
}

async fn commit(
    link: &Arc<Link>,
    partition: Option<Partition>,
    pages: &HashMap<Place, Option<Vec<u8>>>,
    changes: &Changes,
) -> Result<bool, Fault> {
    let mut rows: BTreeMap<Place, Row<'_>> = BTreeMap::new();
    for (place, page) in pages {
        rows.entry(*place).or_default().read = Some(page.as_deref());
    }
    for write in changes.writes() {
        let page = write.page.as_ref();
        // Redis takes no time before its own: the script would end halfway.
        let until_ms = |until: Timestamp| until.as_millisecond().max(1);
        let page = page.map(|(page, until)| (page.as_slice(), until.map(until_ms)));
        rows.entry(write.place).or_default().change = Some(page);
    }
    let mut transact = Transact::default();
    for (place, row) in &rows {
        let until = row.change.flatten().and_then(|(_, until)| until);
        let ends = place.kind == Kind::Token
            && row.change == Some(None)
            && row.read.is_none_or(|page| page.is_some());
        transact.keys.push(key(partition, place));
        transact.arguments.extend([
            row.read.map_or_else(|| b"?".to_vec(), told),
            row.change.map_or_else(Vec::new, |page| told(page.map(|(page, _)| page))),
            until.map(|until| until.to_string()).unwrap_or_default().into_bytes(),
            if ends { told_of(place, partition).into_bytes() } else { Vec::new() },
        ]);
    }
    let done = scripts::run(link, &transact, link.deadline()).await?;
    Ok(matches!(done, Value::Int(1)))
}

/// A change beside this key that the replicas must have: they then have all that was done to it before,
/// by whomever.
pub(super) async fn settle(link: &Arc<Link>, key: &str) -> Result<(), Fault> {
    let beside = match key.strip_prefix("octroi:{").and_then(|rest| rest.split_once('}')) {
        Some((part, _)) => format!("octroi:{{{part}}}:settled"),
        None => format!("octroi:{{{key}}}:settled"),
    };
    let mut mark = redis::cmd("SET");
    mark.arg(beside).arg(1).arg("PX").arg(1);
    link.tell(&mark, link.deadline()).await.map(|_| ())
}

/// A token that ends, as the channel of revocations tells of it: its digest, and its part.
fn told_of(place: &Place, partition: Option<Partition>) -> String {
    let id = hex::encode(place.id);
    partition.map_or(id.clone(), |partition| format!("{id} {}", partition.as_str()))
}

/// `=` and the bytes, or `-` for none.
fn told(page: Option<&[u8]>) -> Vec<u8> {
    page.map_or_else(|| b"-".to_vec(), |page| [b"=", page].concat())
}

/// Shows every record of a kind, in steps, so that nobody else waits long for Redis. A record that is
/// written or moves to another server meanwhile may be shown twice or not at all.
pub(super) async fn each(
    link: &Arc<Link>,
    kind: Kind,
    mut show: impl FnMut([u8; 32], &[u8]) + Send,
) -> Result<(), Fault> {
    for node in link.masters(link.deadline()).await? {
        let mut cursor = Some("0".to_owned());
        while let Some(from) = cursor {
            cursor = step(link, (&node, from), kind, &mut show).await?;
        }
    }
    Ok(())
}

/// One step of a walk through one server: from where the next goes on.
async fn step(
    link: &Arc<Link>,
    (node, cursor): (&Arc<Node>, String),
    kind: Kind,
    show: &mut (impl FnMut([u8; 32], &[u8]) + Send),
) -> Result<Option<String>, Fault> {
    let odd = |error: redis::ParsingError| Fault::Refused(error.into());
    let pattern = format!("octroi:*{}:*", kind.code());
    let mut scan = redis::cmd("SCAN");
    scan.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(SCAN_STEP);
    let found = node.ask(&scan, link.deadline()).await?;
    let (next, mut keys): (String, Vec<String>) = redis::from_redis_value(found).map_err(odd)?;
    keys.retain(|key| name(key, kind).is_some());
    if !keys.is_empty() {
        let records = Value::Array(link.read(&keys, link.deadline()).await?);
        let records: Vec<Option<Vec<u8>>> = redis::from_redis_value(records).map_err(odd)?;
        for (key, record) in keys.iter().zip(records) {
            if let (Some(id), Some(record)) = (name(key, kind), record) {
                show(id, &record);
            }
        }
    }
    Ok((next != "0").then_some(next))
}

/// The name of the record under a key, if it is one of this kind.
fn name(key: &str, kind: Kind) -> Option<[u8; 32]> {
    let rest = key.strip_prefix("octroi:")?;
    let rest = match rest.strip_prefix('{') {
        Some(tagged) => tagged.split_once("}:")?.1,
        None => rest,
    };
    let id = rest.strip_prefix(kind.code())?.strip_prefix(':')?;
    let mut name = [0; 32];
    hex::decode_to_slice(id, &mut name).ok().map(|()| name)
}
