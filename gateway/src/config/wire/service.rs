//! `[limits]`, `[drain]`, `[insecure]` and `[sandbox]`: how the process behaves.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::DurationText;

/// Bounds on connections and requests.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    /// From the first byte of a connection to the end of its TLS handshake.
    pub(crate) handshake_timeout: DurationText,
    /// From the first byte of a request to the end of its header fields.
    pub(crate) head_timeout: DurationText,
    /// From the end of the header fields to the end of the body.
    pub(crate) body_timeout: DurationText,
    /// How long a connection may wait for its next request.
    pub(crate) keepalive_timeout: DurationText,
    /// Connections on the TPP listener at once; one more is closed before its handshake.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) connections_max: u64,
    /// Bytes of the request line and all header fields together.
    #[schemars(range(min = 1024, max = 65_536))]
    pub(crate) head_bytes_max: u64,
    /// Header fields of a request.
    #[schemars(range(min = 8, max = 256))]
    pub(crate) fields_max: u64,
    /// Bytes of a request body; more is answered with `body_too_large`.
    #[schemars(range(min = 1, max = 65_536))]
    pub(crate) body_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake_timeout: "10s".into(),
            head_timeout: "15s".into(),
            body_timeout: "30s".into(),
            keepalive_timeout: "75s".into(),
            connections_max: 4096,
            head_bytes_max: 16 * 1024,
            fields_max: 100,
            body_bytes_max: 16 * 1024,
        }
    }
}

/// What the series of `/metrics` tell.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Metrics {
    /// TPPs that have series of their own, those that ask most: the only place where an organisation id
    /// is a label. Only TPPs that the registers list come there. 0: none.
    #[schemars(range(max = 50))]
    pub(crate) top_tpps: u64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { top_tpps: 20 }
    }
}

/// How the gateway leaves on SIGTERM.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Drain {
    /// How long it is unready and still accepts, so that load balancers notice.
    pub(crate) delay: DurationText,
    /// How long requests in flight then have to finish.
    pub(crate) timeout: DurationText,
}

impl Default for Drain {
    fn default() -> Self {
        Self { delay: "5s".into(), timeout: "30s".into() }
    }
}

/// The regulator's statistics, as `octroi report` makes them.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Report {
    /// Whose midnights part the days.
    pub(crate) time_zone: String,
    /// The gateway's own probes are evidence of downtime. They are never counted as requests.
    pub(crate) probe_counts: bool,
}

impl Default for Report {
    fn default() -> Self {
        Self { time_zone: "Europe/Paris".to_owned(), probe_counts: false }
    }
}

/// The gateway's own probe: whether a request to each bank could be served, written into the access log.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Probe {
    /// How often each bank is probed. Five failures count as downtime only within 30 s: with
    /// `report.probe_counts`, write 7s or less.
    pub(crate) every: DurationText,
    /// How long all that a request needs may take to be there.
    pub(crate) timeout: DurationText,
}

impl Default for Probe {
    fn default() -> Self {
        Self { every: "30s".into(), timeout: "2s".into() }
    }
}

/// Every loosening of the gateway. Each one that is true is printed at start.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Insecure {
    /// Certificates are accepted although nobody knows whether they were revoked.
    pub(crate) revocation_unchecked: bool,
    /// The admin listener may stand on an address that is not loopback.
    pub(crate) admin_on_any_address: bool,
    /// Checks whose failure is written down and lets pass, by their names, for example `["register"]`:
    /// the record has it as a `warning`, and `octroi_checks_observed_total` counts it. Possible are
    /// `validity`, `revocation`, `version`, `role`, `register`, `passport`, `consent`, `quota`,
    /// `signature`, `account_quota` and `in_flight`: what the others find is needed later.
    pub(crate) observed_checks: Vec<String>,
}

/// The sandbox: fictional people, accounts and balances.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sandbox {
    /// The seven persona accounts exist.
    #[serde(default)]
    pub(crate) personas: bool,
}
