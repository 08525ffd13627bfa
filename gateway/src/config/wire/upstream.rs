//! `[[codetab]]`: the banks and the way to their core-banking adapters.

use schemars::JsonSchema;
use serde::Deserialize;

use super::DurationText;

/// A bank of the group, known by its codetab.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Codetab {
    /// The bank code, exactly 5 digits, quoted.
    #[schemars(required)]
    pub(crate) code: Option<String>,
    /// The bank's short name, for example "CEIDF".
    #[schemars(required)]
    pub(crate) name: Option<String>,
    /// The core-banking adapter of this bank: `{ addresses = ["10.1.2.3:8080"] }`.
    #[schemars(required)]
    pub(crate) upstream: Option<Upstream>,
    /// Where this bank's customers are served, for `[fallback]`: what `upstream` takes. Their credentials
    /// pass here, so it needs `tls` to any other machine.
    pub(crate) customer_interface: Option<Upstream>,
}

/// A core-banking adapter: either `addresses` or `sandbox_bank`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Upstream {
    /// Its instances, each as "host:port".
    pub(crate) addresses: Option<Vec<String>>,
    /// The sandbox bank instead of a real adapter.
    #[serde(default)]
    pub(crate) sandbox_bank: bool,
    /// How long a connection may take to be there, TLS included. After that another address is tried
    /// once, if there is one.
    #[serde(default = "Upstream::connect_timeout_default")]
    pub(crate) connect_timeout: DurationText,
    /// From the permit to the last byte of the answer: connecting, sending, waiting and reading
    /// together. Then the connection is cut.
    #[serde(default = "Upstream::response_timeout_default")]
    pub(crate) response_timeout: DurationText,
    /// How long an unused connection is kept for the next request.
    #[serde(default = "Upstream::idle_timeout_default")]
    pub(crate) idle_timeout: DurationText,
    /// How often an instance is looked at.
    #[serde(default = "Upstream::health_interval_default")]
    pub(crate) health_interval: DurationText,
    /// TLS to the adapter. Without it the connection is plain, which belongs on one machine or
    /// inside a mesh only.
    pub(crate) tls: Option<UpstreamTls>,
}

impl Upstream {
    fn connect_timeout_default() -> DurationText {
        "1s".into()
    }

    fn response_timeout_default() -> DurationText {
        "10s".into()
    }

    fn idle_timeout_default() -> DurationText {
        "60s".into()
    }

    fn health_interval_default() -> DurationText {
        "5s".into()
    }
}

impl Default for Upstream {
    fn default() -> Self {
        Self {
            addresses: None,
            sandbox_bank: false,
            connect_timeout: Self::connect_timeout_default(),
            response_timeout: Self::response_timeout_default(),
            idle_timeout: Self::idle_timeout_default(),
            health_interval: Self::health_interval_default(),
            tls: None,
        }
    }
}

/// TLS, or mutual TLS, to an adapter.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpstreamTls {
    /// The name that the adapter's certificate must carry; sent as SNI. Never empty: without a name
    /// nothing would be verified.
    #[schemars(required)]
    pub(crate) name: Option<String>,
    /// PEM file with the CA of the adapter's certificate.
    #[schemars(required)]
    pub(crate) ca: Option<String>,
    /// PEM file with the gateway's client certificate, for mutual TLS.
    pub(crate) client_certificate: Option<String>,
    /// PEM file with the private key of `client_certificate`.
    pub(crate) client_key_file: Option<String>,
}
