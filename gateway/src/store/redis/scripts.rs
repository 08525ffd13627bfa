//! The scripts that Octroi runs in Redis or Valkey. Each touches keys of one slot, so it
//! runs in a cluster.

use std::num::NonZeroU32;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use redis::{Cmd, ErrorKind, Script, ServerErrorKind, Value};
use tokio::time::Instant;

use super::leases::Rest;
use super::link::{Fault, Link};
use super::share::Debt;

/// Every replica counts by the clock of the server that holds the key, never by its own.
const SERVER_CLOCK: &str = "\
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
";

const TAKE: &str = include_str!("take.lua");
const TRANSACT: &str = include_str!("transact.lua");

static TAKE_TEXT: LazyLock<Text> = LazyLock::new(|| Text::new(SERVER_CLOCK, TAKE));
static SETTLE_TEXT: LazyLock<Text> =
    LazyLock::new(|| Text::new(SERVER_CLOCK, include_str!("settle.lua")));
static SIGN_TEXT: LazyLock<Text> =
    LazyLock::new(|| Text::new(SERVER_CLOCK, include_str!("presence.lua")));
static TRANSACT_TEXT: LazyLock<Text> = LazyLock::new(|| Text::new("", TRANSACT));

/// What a server is sent once, and the digest by which it is named from then on.
pub(super) struct Text {
    source: String,
    digest: String,
}

impl Text {
    pub(super) fn new(clock: &str, body: &str) -> Self {
        let source = source(clock, body);
        let digest = Script::new(&source).get_hash().to_owned();
        Text { source, digest }
    }
}

/// One call of one script.
pub(super) trait Program {
    /// May it be executed twice, when the connection died under the first attempt?
    const REPEATABLE: bool;

    fn text(&self) -> &'static Text;

    /// All of one slot.
    fn keys(&self) -> Vec<&str>;

    fn arguments(&self, command: &mut Cmd);
}

/// Names the script by its digest; a server that does not know it has executed nothing, and is sent
/// the script, which it keeps from then on.
pub(super) async fn run<P: Program + Sync>(
    link: &Arc<Link>,
    program: &P,
    deadline: Instant,
) -> Result<Value, Fault> {
    let text = program.text();
    match send(link, program, ("EVALSHA", &text.digest), deadline).await {
        Err(Fault::Refused(error))
            if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) =>
        {
            send(link, program, ("EVAL", &text.source), deadline).await
        }
        reply => reply,
    }
}

async fn send<P: Program + Sync>(
    link: &Arc<Link>,
    program: &P,
    (verb, script): (&str, &str),
    deadline: Instant,
) -> Result<Value, Fault> {
    let mut command = redis::cmd(verb);
    let keys = program.keys();
    command.arg(script).arg(keys.len()).arg(keys);
    program.arguments(&mut command);
    if P::REPEATABLE {
        link.ask(&command, deadline).await
    } else {
        link.tell(&command, deadline).await
    }
}

/// Requests out of buckets of one slot.
#[derive(Debug, Clone)]
pub(super) struct Take {
    pub(super) buckets: Vec<Bucket>,
}

/// A bucket, and how it counts.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    pub(super) key: String,
    pub(super) count: Count,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Count {
    Rate { cell: Duration, full: Duration, wanted: u32 },
    Window { requests: NonZeroU32, period: Duration },
}

impl Program for Take {
    /// Counted twice, a request costs its TPP one more: a burst less one, and never one too many.
    const REPEATABLE: bool = true;

    fn text(&self) -> &'static Text {
        &TAKE_TEXT
    }

    fn keys(&self) -> Vec<&str> {
        self.buckets.iter().map(|bucket| bucket.key.as_str()).collect()
    }

    fn arguments(&self, command: &mut Cmd) {
        for bucket in &self.buckets {
            match bucket.count {
                Count::Rate { cell, full, wanted } => {
                    command.arg("rate").arg(microseconds(cell)).arg(microseconds(full)).arg(wanted)
                }
                Count::Window { requests, period } => {
                    command.arg("window").arg(requests.get()).arg(microseconds(period)).arg(1)
                }
            };
        }
    }
}

/// What a bucket is told afterwards: `CHARGES` more, or less.
#[derive(Debug, Clone)]
pub(super) struct Settle<const CHARGES: bool> {
    key: String,
    change: i64,
    full: Duration,
    taken_at: u64,
    within: Duration,
}

impl Settle<true> {
    /// Requests that were granted without Redis. Charged twice, they cost their TPP more, never less.
    pub(super) fn charge(debt: &Debt) -> Self {
        Settle {
            key: debt.key.clone(),
            change: i64::try_from(debt.ahead.as_micros()).unwrap_or(i64::MAX),
            full: debt.whole.refill(),
            taken_at: 0,
            within: Duration::ZERO,
        }
    }
}

impl Settle<false> {
    /// Requests that were taken in advance and not used, within a lease.
    pub(super) fn give_back(rest: &Rest) -> Self {
        let time = rest.limit.cell.saturating_mul(rest.cells);
        Settle {
            key: rest.key.clone(),
            change: i64::try_from(time.as_micros()).map_or(0, |time| -time),
            full: rest.limit.refill(),
            taken_at: rest.taken_at,
            within: rest.lease,
        }
    }
}

impl<const CHARGES: bool> Program for Settle<CHARGES> {
    /// Given back twice, requests would be granted twice.
    const REPEATABLE: bool = CHARGES;

    fn text(&self) -> &'static Text {
        &SETTLE_TEXT
    }

    fn keys(&self) -> Vec<&str> {
        vec![&self.key]
    }

    fn arguments(&self, command: &mut Cmd) {
        let Self { change, full, taken_at, within, .. } = self;
        command.arg(*change).arg(microseconds(*full)).arg(*taken_at).arg(microseconds(*within));
    }
}

/// A gateway's sign of life; times in microseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sign<'a> {
    pub(super) name: &'a str,
    pub(super) late: u64,
    pub(super) silent_after: u64,
    pub(super) gone_after: u64,
    pub(super) leaving: bool,
    /// How many gateways it knows of; 0 when it comes.
    pub(super) parts: u32,
}

impl Program for Sign<'_> {
    const REPEATABLE: bool = true;

    fn text(&self) -> &'static Text {
        &SIGN_TEXT
    }

    fn keys(&self) -> Vec<&str> {
        vec!["octroi:gateways"]
    }

    fn arguments(&self, command: &mut Cmd) {
        let Self { name, late, silent_after, gone_after, leaving, parts } = self;
        let what = if *leaving { "leave" } else { "stay" };
        command.arg(name).arg(late).arg(silent_after).arg(gone_after).arg(what).arg(parts);
    }
}

/// A change of records; the keys and arguments are those that the script asks for.
#[derive(Debug, Default)]
pub(super) struct Transact {
    pub(super) keys: Vec<String>,
    pub(super) arguments: Vec<Vec<u8>>,
}

impl Program for Transact {
    const REPEATABLE: bool = false;

    fn text(&self) -> &'static Text {
        &TRANSACT_TEXT
    }

    fn keys(&self) -> Vec<&str> {
        self.keys.iter().map(String::as_str).collect()
    }

    fn arguments(&self, command: &mut Cmd) {
        command.arg(&self.arguments);
    }
}

fn source(clock: &str, body: &str) -> String {
    format!("{clock}{body}")
}

pub(super) fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The scripts of quotas by a clock that the test sets: the last argument, in microseconds. Their
/// buckets do not vanish by the clock of the server, which goes on while the test's stands still.
#[cfg(test)]
pub(in crate::store) fn source_with_given_clock() -> String {
    let lasting = TAKE.replace(", 'PX', math.max(1, math.ceil(taken.life / 1000)))", ")");
    assert_ne!(lasting, TAKE);
    source("local now = tonumber(ARGV[#ARGV])\n", &lasting)
}
