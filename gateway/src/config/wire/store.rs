//! `[store]` and `[audit]`: what the gateway remembers.

use schemars::JsonSchema;
use serde::Deserialize;

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
    /// Redis only: how many gateways share a quota. While Redis is away, each grants the quota
    /// divided by this number.
    #[serde(default = "Store::local_share_default")]
    #[schemars(range(min = 1, max = 1024))]
    pub(crate) local_share: u64,
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

    fn local_share_default() -> u64 {
        4
    }
}

/// The access log: one record for every request, allowed or refused.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Audit {
    /// Directory of the `.jsonl` files.
    #[schemars(required)]
    pub(crate) directory: Option<String>,
    /// File with 32 random bytes (raw, or as 64 hexadecimal digits) that turn IBANs and PSUs into
    /// keyed digests. Keep it: with another key old and new records no longer compare.
    #[schemars(required)]
    pub(crate) key_file: Option<String>,
    /// Records that may wait for the disk. When the queue is full, requests are refused; no record is dropped.
    #[serde(default = "Audit::queue_records_max_default")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) queue_records_max: u64,
}

impl Audit {
    fn queue_records_max_default() -> u64 {
        8192
    }
}
