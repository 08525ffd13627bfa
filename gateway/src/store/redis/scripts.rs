//! The one script that Octroi runs in Redis or Valkey. It touches one key, so it runs in a cluster.

use std::sync::LazyLock;

use redis::{Cmd, Script};

/// Every replica counts by the clock of the server that holds the bucket, never by its own.
const SERVER_CLOCK: &str = "\
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
";

const GCRA: &str = include_str!("gcra.lua");

static SOURCE: LazyLock<String> = LazyLock::new(|| source(SERVER_CLOCK));
static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(&SOURCE));

/// The arguments of one decision; times in microseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Take<'a> {
    pub(super) bucket: &'a str,
    pub(super) cell: u64,
    pub(super) full: u64,
    pub(super) owed: u64,
}

impl Take<'_> {
    /// Names the script by its digest.
    pub(super) fn by_digest(&self) -> Cmd {
        self.command("EVALSHA", SCRIPT.get_hash())
    }

    /// Carries the script, which the server keeps from then on: the answer to `NOSCRIPT`.
    pub(super) fn by_source(&self) -> Cmd {
        self.command("EVAL", &SOURCE)
    }

    fn command(&self, verb: &str, script: &str) -> Cmd {
        let mut command = redis::cmd(verb);
        command.arg(script).arg(1).arg(self.bucket).arg(self.cell).arg(self.full).arg(self.owed);
        command
    }
}

fn source(clock: &str) -> String {
    format!("{clock}{GCRA}")
}

/// The script by a clock that the test sets: `ARGV[4]`, in microseconds.
#[cfg(test)]
pub(in crate::store) fn source_with_given_clock() -> String {
    source("local now = tonumber(ARGV[4])\n")
}
