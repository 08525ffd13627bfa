//! The scripts that Octroi runs in Redis or Valkey. Each touches keys of one slot, so it
//! runs in a cluster.

use std::sync::{Arc, LazyLock};

use redis::{Cmd, ErrorKind, Script, ServerErrorKind, Value};
use tokio::time::Instant;

use super::link::{Fault, Link};

/// Every replica counts by the clock of the server that holds the key, never by its own.
const SERVER_CLOCK: &str = "\
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
";

const GCRA: &str = include_str!("gcra.lua");
const TRANSACT: &str = include_str!("transact.lua");

static TAKE_TEXT: LazyLock<Text> = LazyLock::new(|| Text::new(SERVER_CLOCK, GCRA));
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

/// One request out of one bucket; times in microseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Take<'a> {
    pub(super) bucket: &'a str,
    pub(super) cell: u64,
    pub(super) full: u64,
    pub(super) owed: u64,
}

impl Program for Take<'_> {
    /// Counted twice, a request costs its TPP one more: a burst less one, and never one too many.
    const REPEATABLE: bool = true;

    fn text(&self) -> &'static Text {
        &TAKE_TEXT
    }

    fn keys(&self) -> Vec<&str> {
        vec![self.bucket]
    }

    fn arguments(&self, command: &mut Cmd) {
        command.arg(self.cell).arg(self.full).arg(self.owed);
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

/// The script of quotas by a clock that the test sets: `ARGV[4]`, in microseconds. Its buckets do not
/// vanish by the clock of the server, which goes on while the test's stands still.
#[cfg(test)]
pub(in crate::store) fn source_with_given_clock() -> String {
    let lasting = GCRA.replace(", 'PX', life)", ")");
    assert_ne!(lasting, GCRA);
    source("local now = tonumber(ARGV[4])\n", &lasting)
}
