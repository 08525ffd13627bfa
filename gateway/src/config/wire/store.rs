//! `[store]` and `[audit]`: what the gateway remembers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::DurationText;

/// Where tokens and quotas live: exactly one of `embedded`, `redis_file` and `redis`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Store {
    /// File of the embedded store: one gateway process, nothing to install.
    pub(crate) embedded: Option<String>,
    /// `redis://` or `rediss://` URL of Redis or Valkey. A URL with a password belongs into
    /// `redis_file`.
    pub(crate) redis: Option<String>,
    /// File that holds the Redis URL, readable by its owner only.
    pub(crate) redis_file: Option<String>,
    /// Redis Sentinel: `host:port` of every sentinel. The host of the URL is then the name of the
    /// monitored service, for example `redis://octroi/0`; which server is its master is asked of the
    /// sentinels. User, password and database of the URL are those of that master; with `rediss://`
    /// the sentinels are spoken to by TLS, too.
    #[serde(default)]
    pub(crate) sentinels: Vec<String>,
    /// Redis Sentinel: the user that the sentinels know, where they ask for one.
    pub(crate) sentinel_user: Option<String>,
    /// Redis Sentinel: file with the password for the sentinels, readable by its owner only.
    pub(crate) sentinel_password_file: Option<String>,
    /// Redis Cluster: `host:port` of nodes to begin with, beside the one in the URL. The cluster tells
    /// of all others.
    #[serde(default)]
    pub(crate) cluster: Vec<String>,
    /// Redis with `rediss://`: PEM file with the CA of the servers' certificates. Without it those that
    /// the system trusts are trusted.
    pub(crate) ca: Option<String>,
    /// Redis with `rediss://`: PEM file with the gateway's client certificate, for mutual TLS.
    pub(crate) client_certificate: Option<String>,
    /// PEM file with the private key of `client_certificate`.
    pub(crate) client_key_file: Option<String>,
    /// Redis only: how many replicas must have a change of records (tokens, revocations, consents,
    /// enrolments) before it counts as done. Where fewer have it in time, the answer is
    /// `state_unavailable`, and nobody is told that a token was revoked that a failover could bring
    /// back. By default 0 for a single server, and 1 with `sentinels` or `cluster`.
    #[schemars(range(max = 16))]
    pub(crate) replicas_acknowledge: Option<u64>,
    /// Redis only: how long one answer may take before the store counts as away.
    #[serde(default = "Store::timeout_default")]
    pub(crate) timeout: DurationText,
    /// Redis only: where Redis does not tell the gateway of every token that changes, a token in memory
    /// younger than this is used without asking again, and younger than a second in any case. Where it
    /// does (Redis 6 or later, Valkey), a token in memory is good until it changes. Either way a
    /// gateway that reaches Redis refuses a revoked token within a second.
    #[serde(default = "Store::fresh_for_default")]
    pub(crate) fresh_for: DurationText,
    /// Redis only: while Redis is away, a token in memory younger than this still serves. Beyond it
    /// calls are refused with `state_unavailable`.
    #[serde(default = "Store::tolerated_for_default")]
    pub(crate) tolerated_for: DurationText,
    /// Redis only: while Redis is away, each gateway grants its share of every rate (the limit divided by
    /// the gateways that it last saw) for so long, and then nothing. After a gateway has crashed the
    /// others leave its share alone for so long.
    #[serde(default = "Store::share_for_default")]
    pub(crate) share_for: DurationText,
}

impl Store {
    fn timeout_default() -> DurationText {
        "250ms".into()
    }

    fn fresh_for_default() -> DurationText {
        "5s".into()
    }

    fn tolerated_for_default() -> DurationText {
        "5m".into()
    }

    fn share_for_default() -> DurationText {
        "1m".into()
    }
}

/// The access log: one record for every request, allowed or refused.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Audit {
    /// Directory of the log, which only gateways write to. Two of them may share it for as long as an
    /// upgrade takes.
    #[schemars(required)]
    pub(crate) directory: Option<String>,
    /// File with 32 random bytes (raw, or as 64 hexadecimal digits) that turn IBANs and PSUs into
    /// keyed digests. Keep it: with another key old and new records no longer compare. Whoever
    /// destroys it forgets the people in all records that were written with it.
    #[schemars(required)]
    pub(crate) key_file: Option<String>,
    /// PEM file with the Ed25519 key that signs the checkpoints of the log; make one with
    /// `openssl genpkey -algorithm ed25519`. Without it one is made in the directory, once.
    pub(crate) signing_key_file: Option<String>,
    /// Records that may wait for the disk. When the queue is full, requests are refused; no record is dropped.
    #[serde(default = "Audit::queue_records_max_default")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) queue_records_max: u64,
    /// When a line counts as written. `process`: when the operating system has it, so that it outlives
    /// the end of the process in whatever way. `fsync`: when the disk has it, so that it outlives a
    /// power failure, too; each answer then waits for the disk.
    #[serde(default)]
    pub(crate) durability: Durability,
    /// What becomes of requests while the log cannot be written. `refuse`: they are refused with
    /// `state_unavailable`. `continue-and-alarm`: they go on; records that find no room in the queue
    /// are lost and counted. That loosens what the log is worth, and is printed at each start.
    #[serde(default)]
    pub(crate) when_unwritable: WhenUnwritable,
    /// After so many lines the gateway signs where the chain of the log stands.
    #[serde(default = "Audit::checkpoint_records_default")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) checkpoint_records: u64,
    /// It also signs when a line has waited for a signature for so long.
    #[serde(default = "Audit::checkpoint_every_default")]
    pub(crate) checkpoint_every: DurationText,
    /// A file that has grown to so many bytes is closed, and the next one begun. Each start of the
    /// gateway and each midnight (UTC) begin a new one, too.
    #[serde(default = "Audit::file_bytes_max_default")]
    #[schemars(range(min = 65_536, max = 1_099_511_627_776_u64))]
    pub(crate) file_bytes_max: u64,
    /// Whether closed files are compressed (zstd).
    #[serde(default = "Audit::compress_default")]
    pub(crate) compress: bool,
    /// Files whose day ended so long ago are removed, after their removal was recorded. Without it
    /// they are kept for ever. At least a day.
    pub(crate) keep_for: Option<DurationText>,
}

impl Audit {
    fn queue_records_max_default() -> u64 {
        8192
    }

    fn checkpoint_records_default() -> u64 {
        10_000
    }

    fn checkpoint_every_default() -> DurationText {
        "1m".into()
    }

    fn file_bytes_max_default() -> u64 {
        268_435_456
    }

    fn compress_default() -> bool {
        true
    }
}

/// What a line of the access log survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Durability {
    /// The end of the process.
    #[default]
    Process,
    /// The end of the machine.
    Fsync,
}

/// What becomes of requests while the access log cannot be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WhenUnwritable {
    /// They are refused.
    #[default]
    Refuse,
    /// They go on.
    ContinueAndAlarm,
}
