//! A close look at every server that has keys: does it do what the store relies upon?

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use redis::{Cmd, ErrorKind, ServerErrorKind, Value};
use tokio::time::{Instant, timeout};

use super::link::{Fault, Link};
use super::node::Node;
use super::tokens::KILLS;
use super::tracking;
use crate::store::inspection::{Inspection, ServerFound, Weight, median};
use crate::store::limits::{CLOCK_DIFFERENCE_MAX, INSPECTED_ROUND_TRIPS, TRACKING_SETUP_TIMEOUT};

/// The first versions that do what is asked of them.
const REDIS_MIN: (u32, u32) = (6, 2);
const VALKEY_MIN: (u32, u32) = (7, 2);

/// What the scripts call.
const CALLED: [&str; 5] = ["GET", "SET", "DEL", "TIME", "PUBLISH"];

pub(super) async fn inspect(link: &Arc<Link>) -> Result<Inspection, Fault> {
    let masters = link.masters(link.deadline()).await?;
    let mut inspection = Inspection { topology: link.topology(), ..Inspection::default() };
    for master in &masters {
        let server = look(link, master).await?;
        judge(link, &server, &mut inspection);
        inspection.masters.push(server);
    }
    Ok(inspection)
}

async fn look(link: &Arc<Link>, node: &Arc<Node>) -> Result<ServerFound, Fault> {
    // A user without the right to INFO is told of it with the other rights.
    let mut told = HashMap::new();
    for section in ["server", "replication", "persistence", "memory"] {
        match node.ask(redis::cmd("INFO").arg(section), link.deadline()).await {
            Ok(text) => {
                told.extend(lines(&redis::from_redis_value::<String>(text).unwrap_or_default()))
            }
            Err(Fault::Refused(_)) => (),
            Err(fault) => return Err(fault),
        }
    }
    let value = |name: &str| told.get(name).map_or("", String::as_str);
    let version = match (value("valkey_version"), value("redis_version")) {
        ("", "") => "unknown".to_owned(),
        ("", redis) => format!("redis {redis}"),
        (valkey, _) => format!("valkey {valkey}"),
    };
    let (round_trip, clock_ahead_ms) = times(link, node).await?;
    Ok(ServerFound {
        address: node.address().clone(),
        version,
        replicas: replicas(&told),
        append_only: value("aof_enabled") == "1",
        snapshots: value("rdb_last_save_time") != "" && value("rdb_saves") != "0",
        maxmemory_policy: value("maxmemory_policy").to_owned(),
        tracking: timeout(TRACKING_SETUP_TIMEOUT, tracking::is_available(node))
            .await
            .unwrap_or(false),
        clock_ahead_ms,
        round_trip_us: u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX),
        missing_rights: missing_rights(link, node).await?,
    })
}

fn judge(link: &Link, found: &ServerFound, inspection: &mut Inspection) {
    let server = found.address.as_str();
    let mut find = |weight, what: String| inspection.find(weight, server, what);
    if let Some((product, least)) = too_old(&found.version) {
        find(
            Weight::Refused,
            format!("{} is too old: use {product} {}.{} or later", found.version, least.0, least.1),
        );
    }
    match found.maxmemory_policy.as_str() {
        "noeviction" | "" => (),
        policy => {
            let what = format!(
                "Redis may evict what it should keep (maxmemory-policy {policy}): set noeviction"
            );
            find(Weight::Refused, what.clone());
            find(Weight::Forgetful, what);
        }
    }
    if !found.append_only {
        find(
            Weight::Forgetful,
            "Redis keeps no append-only file: a crash loses enrolments and consents; set \
             appendonly yes, and appendfsync always if none may be lost"
                .to_owned(),
        );
    }
    for right in &found.missing_rights {
        find(Weight::Refused, format!("its user lacks a right: add {right}"));
    }
    let (needed, replicas) = (link.replicas_acknowledge() as usize, found.replicas.len());
    if replicas < needed {
        find(
            Weight::Refused,
            format!(
                "{replicas} of the {needed} replicas that must acknowledge a change are connected: no \
                 token can be issued or revoked; connect more, or lower store.replicas_acknowledge"
            ),
        );
    } else if needed > 0 && replicas == needed {
        find(
            Weight::Note,
            format!(
                "{replicas} connected, {needed} must acknowledge each change: when one is lost no token \
                 can be issued or revoked; one replica more would do"
            ),
        );
    }
    if !found.tracking {
        find(
            Weight::Note,
            "it does not tell of tokens that change: each is asked for again after fresh_for"
                .to_owned(),
        );
    }
    if found.clock_ahead_ms.unsigned_abs() > CLOCK_DIFFERENCE_MAX.as_millis() as u64 {
        find(
            Weight::Note,
            format!(
                "its clock differs from ours by {} ms: check NTP on both",
                found.clock_ahead_ms
            ),
        );
    }
}

/// Which product, and the first version of it that will do.
fn too_old(version: &str) -> Option<(&'static str, (u32, u32))> {
    let (product, number) = version.split_once(' ')?;
    let (name, least) = match product {
        "valkey" => ("Valkey", VALKEY_MIN),
        _ => ("Redis", REDIS_MIN),
    };
    let mut parts = number.split('.').map_while(|part| part.parse::<u32>().ok());
    let is = (parts.next()?, parts.next().unwrap_or_default());
    (is < least).then_some((name, least))
}

/// `slave0:ip=10.0.0.2,port=6379,state=online,offset=1,lag=0`
fn replicas(told: &HashMap<String, String>) -> Vec<String> {
    let mut found: Vec<String> = told
        .iter()
        .filter(|(name, value)| name.starts_with("slave") && value.contains("state=online"))
        .filter_map(|(_, value)| {
            let part = |name: &str| {
                value.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
            };
            Some(super::dial::address(part("ip")?, part("port")?.parse().ok()?))
        })
        .collect();
    found.sort();
    found
}

async fn times(link: &Arc<Link>, node: &Arc<Node>) -> Result<(Duration, i64), Fault> {
    let (mut trips, mut ahead) = (Vec::new(), 0);
    for _ in 0..INSPECTED_ROUND_TRIPS {
        let (asked, at) = (Instant::now(), Timestamp::now());
        let told = match node.ask(&redis::cmd("TIME"), link.deadline()).await {
            Err(Fault::Refused(_)) => Value::Nil,
            told => told?,
        };
        let trip = asked.elapsed();
        if let Ok((seconds, microseconds)) = redis::from_redis_value::<(i64, i64)>(told) {
            let halfway = at.as_microsecond() + i64::try_from(trip.as_micros() / 2).unwrap_or(0);
            ahead = (seconds * 1_000_000 + microseconds - halfway) / 1_000;
        }
        trips.push(trip);
    }
    Ok((median(trips), ahead))
}

/// Tries what the store does, on a key of its own that is gone after a second. What is refused for
/// another reason than a right is no matter of rights.
async fn missing_rights(link: &Arc<Link>, node: &Arc<Node>) -> Result<Vec<String>, Fault> {
    let key = key_on(link, node);
    let command = |words: &[&str]| {
        let mut command = Cmd::new();
        command.arg(words);
        command
    };
    let mut tried = vec![
        ("+ping", command(&["PING"])),
        ("+info", command(&["INFO", "server"])),
        ("+time", command(&["TIME"])),
        ("+mget", command(&["MGET", &key])),
        ("+get", command(&["GET", &key])),
        ("+set", command(&["SET", &key, "1", "PX", "1000"])),
        ("+scan", command(&["SCAN", "0", "COUNT", "1"])),
        ("+evalsha", command(&["EVALSHA", &"0".repeat(40), "1", &key])),
        ("+eval", command(&["EVAL", "return 1", "1", &key])),
    ];
    if link.replicas_acknowledge() > 0 {
        tried.push(("+wait", command(&["WAIT", "0", "1"])));
    }
    if link.topology() == "cluster" {
        tried.push(("+cluster|info", command(&["CLUSTER", "INFO"])));
        tried.push(("+cluster|slots", command(&["CLUSTER", "SLOTS"])));
        tried.push(("+asking", command(&["ASKING"])));
    }
    let mut missing = Vec::new();
    for (right, command) in &tried {
        if let Some(lacking) = lacking(link, node, command, right).await? {
            missing.push(lacking);
        }
    }
    for called in CALLED {
        let script = match called {
            "TIME" => "return redis.call('TIME')".to_owned(),
            "PUBLISH" => format!("return redis.call('PUBLISH', '{KILLS}', '')"),
            "SET" => "return redis.call('SET', KEYS[1], '1', 'PX', 1000)".to_owned(),
            other => format!("return redis.call('{other}', KEYS[1])"),
        };
        let right = format!("+{}", called.to_lowercase());
        let command = command(&["EVAL", &script, "1", &key]);
        missing.extend(lacking(link, node, &command, &right).await?);
    }
    missing.dedup();
    let mut seen = std::collections::HashSet::new();
    missing.retain(|right| seen.insert(right.clone()));
    Ok(missing)
}

/// The right that this command wants and the user has not.
async fn lacking(
    link: &Arc<Link>,
    node: &Arc<Node>,
    command: &Cmd,
    right: &str,
) -> Result<Option<String>, Fault> {
    let error = match node.ask(command, link.deadline()).await {
        Err(Fault::Refused(error)) => error,
        answer => return answer.map(|_| None),
    };
    let text = error.to_string();
    let denied = error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm)
        || text.contains("permission")
        || text.contains("can't access at least one of the keys")
        || text.contains("ACL failure");
    Ok(denied.then(|| match () {
        () if text.contains("key") => "~octroi:*".to_owned(),
        () if text.contains("channel") => format!("&{KILLS}"),
        () => right.to_owned(),
    }))
}

/// A key of this server.
fn key_on(link: &Link, node: &Arc<Node>) -> String {
    let mut keys = (0..).map(|number: u32| format!("octroi:{{check{number}}}:check"));
    keys.find(|key| link.is_served_by(node, key)).unwrap_or_default()
}

fn lines(text: &str) -> impl Iterator<Item = (String, String)> {
    let lines = text.lines().filter_map(|line| line.trim().split_once(':'));
    lines.map(|(name, value)| (name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_before_redis_6_2_and_valkey_7_2_are_too_old() {
        for version in ["redis 5.0.14", "redis 6.0.16", "valkey 7.1.9"] {
            assert!(too_old(version).is_some(), "{version}");
        }
        for version in
            ["redis 6.2.0", "redis 7.0.15", "redis 8.2.1", "valkey 7.2.5", "valkey 9.0.0"]
        {
            assert_eq!(too_old(version), None, "{version}");
        }
    }
}
