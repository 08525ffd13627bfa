//! `[listen.*]`: the three addresses of the gateway.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The three listeners: TPP traffic, PSU traffic, administration.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listen {
    /// Where TPPs call, with their QWAC.
    #[schemars(required)]
    pub(crate) tpp: Option<Tpp>,
    /// Where the browsers of PSUs come (login, consent) and where the reason pages are served. No
    /// client certificate is ever asked for there.
    #[schemars(required)]
    pub(crate) psu: Option<Psu>,
    /// Metrics, health and administration.
    #[schemars(required)]
    pub(crate) admin: Option<Admin>,
}

/// The TPP listener: TLS 1.2/1.3 with a client certificate, HTTP/1.1 and HTTP/2.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tpp {
    /// Address and port, for example "0.0.0.0:8443".
    #[schemars(required)]
    pub(crate) address: Option<String>,
    /// PEM file with the server certificate for the codetab hosts first, then its intermediates.
    /// A renewed pair is taken in within seconds, without a restart.
    #[schemars(required)]
    pub(crate) certificate: Option<String>,
    /// PEM file with the private key of `certificate`, without pass phrase, readable by its owner
    /// only.
    #[schemars(required)]
    pub(crate) key_file: Option<String>,
    /// `"required"` is the only value: a TPP proves who it is with its QWAC in the handshake
    /// (Commission Delegated Regulation (EU) 2018/389, article 34).
    #[schemars(required, extend("const" = "required"))]
    pub(crate) client_certificate: Option<String>,
    /// What a TPP with a bad certificate learns.
    #[serde(default)]
    pub(crate) refusal: Refusal,
}

/// How a certificate that is refused is answered.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Refusal {
    /// The handshake completes for whoever proves possession of the key, and the answer is a
    /// problem body that says why access is refused.
    Explain,
    /// As `explain` for certificates that chain to an anchor; all others are cut in the handshake.
    #[default]
    ExplainTrusted,
    /// Every bad certificate is cut in the handshake.
    Handshake,
}

/// The PSU listener: TLS for browsers.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Psu {
    /// Address and port, for example "0.0.0.0:8444".
    #[schemars(required)]
    pub(crate) address: Option<String>,
    /// PEM file with the server certificate of `public_url`'s host first, then its intermediates.
    /// A renewed pair is taken in within seconds, without a restart.
    #[schemars(required)]
    pub(crate) certificate: Option<String>,
    /// PEM file with the private key of `certificate`, without pass phrase, readable by its owner
    /// only.
    #[schemars(required)]
    pub(crate) key_file: Option<String>,
    /// The `https` URL under which browsers reach this listener, without a slash at the end.
    #[schemars(required)]
    pub(crate) public_url: Option<String>,
}

/// The admin listener: plain HTTP, loopback.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Admin {
    /// Loopback address and port, for example "127.0.0.1:9443". Any other address is refused unless
    /// `insecure.admin_on_any_address` is true.
    #[schemars(required)]
    pub(crate) address: Option<String>,
    /// File with the bearer key (at least 32 characters) of everything that changes state or shows
    /// more than metrics and health. Without it those routes do not exist.
    pub(crate) key_file: Option<String>,
}
