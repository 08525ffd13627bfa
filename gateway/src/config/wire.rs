//! The shape of `octroi.toml`, key by key: what serde reads and what the JSON Schema publishes.
//!
//! The doc comments here are the reference documentation of the file and the mend that is offered
//! when a required key is missing. Nothing is judged here: a key that is required in the file is an
//! `Option` in Rust, so that one mistake does not hide the next one.

mod authorization;
mod balance_guard;
mod fallback;
mod jwt;
mod listen;
mod register;
mod routes;
mod service;
mod signature;
mod store;
mod text;
mod tracing;
mod trust;
mod upstream;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

pub(crate) use authorization::Authorization;
pub(crate) use balance_guard::{BalanceGuard, Guarding};
pub(crate) use fallback::{Fallback, FallbackWhen};
pub(crate) use jwt::Jwt;
pub(crate) use listen::{Admin, Listen, Psu, Refusal, Tpp};
pub(crate) use register::{Eba, Passport, Regafi, Register, Undetermined};
pub(crate) use routes::{
    Amount, Api, Body, BrownOut, Counts, Dimension, Domain, HttpMethod, OneOrMore, Quota, Version,
};
pub(crate) use service::{Drain, Insecure, Limits, Metrics, Probe, Report, Sandbox};
pub(crate) use signature::{SealFetch, Signature, SignatureForm};
pub(crate) use store::{Audit, Durability, Store, WhenUnwritable};
pub(crate) use text::{DateText, DurationText, InstantText, MomentText};
pub(crate) use tracing::Tracing;
pub(crate) use trust::{ClientAuthEku, Lists, Revocation, Trust};
pub(crate) use upstream::{Codetab, Upstream, UpstreamTls};

/// The configuration of an Octroi gateway.
///
/// Paths are relative to the directory of this file. Durations are texts such as "10s", "15m" or
/// "24h". Secrets stand in files of their own (`…_file`), never in this one.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "octroi.toml")]
pub(crate) struct Document {
    /// Worker threads of the proxy. Default: one per processor that the process may use.
    #[schemars(range(min = 1, max = 512))]
    pub(crate) threads: Option<u64>,
    /// The URL under which the page of each reason code is served; it becomes the `type` of a
    /// problem body (RFC 9457 §3.1.1). Default: the PSU listener's `public_url` and `/reasons/`.
    pub(crate) problem_type_base: Option<String>,
    /// The three listeners: TPP traffic, PSU traffic, administration.
    #[schemars(required)]
    pub(crate) listen: Option<Listen>,
    /// Which certificates are trusted, and what is known about their revocation.
    #[schemars(required)]
    pub(crate) trust: Option<Trust>,
    /// The national and European registers that say which TPP is authorised for what. At least one
    /// of `[register.eba]`, `[register.eba_credit]` and `[register.regafi]` is needed.
    #[schemars(required)]
    pub(crate) register: Option<Register>,
    /// Where tokens and quotas live: `embedded = "store.redb"` for one process, or `redis_file`.
    #[schemars(required)]
    pub(crate) store: Option<Store>,
    /// What is asked of signed requests, and who may sign them. Needed where an API is `signed`.
    pub(crate) signature: Option<Signature>,
    /// The authorization server and the enrolment of TPPs; without it the bank's own writes token
    /// records.
    pub(crate) authorization: Option<Authorization>,
    /// JWT access tokens of the bank's own authorization server.
    pub(crate) jwt: Option<Jwt>,
    /// The access log: one record for every request, allowed or refused.
    #[schemars(required)]
    pub(crate) audit: Option<Audit>,
    /// Bounds on connections and requests.
    #[serde(default)]
    pub(crate) limits: Limits,
    /// What becomes of a TPP that looks for a balance.
    #[serde(default)]
    pub(crate) balance_guard: BalanceGuard,
    /// OpenTelemetry traces.
    pub(crate) tracing: Option<Tracing>,
    /// What the series of `/metrics` tell.
    #[serde(default)]
    pub(crate) metrics: Metrics,
    /// How the gateway leaves on SIGTERM.
    #[serde(default)]
    pub(crate) drain: Drain,
    /// The regulator's statistics, as `octroi report` makes them.
    #[serde(default)]
    pub(crate) report: Report,
    /// The gateway's own probe: whether a request to each bank could be served, written into the access
    /// log. Without it nothing is probed.
    pub(crate) probe: Option<Probe>,
    /// Every loosening of the gateway. Each one that is true is printed at start.
    #[serde(default)]
    pub(crate) insecure: Insecure,
    /// The sandbox's fictional people and accounts. Refused beside a domain that is not
    /// `.localhost`.
    pub(crate) sandbox: Option<Sandbox>,
    /// Limits by name. An API names those that count its requests.
    #[serde(default)]
    pub(crate) quota: BTreeMap<String, Quota>,
    /// The domains under which the codetab hosts are served. At least one `[[domain]]`.
    #[schemars(required)]
    pub(crate) domain: Option<Vec<Domain>>,
    /// The APIs that are exposed, with the rights that they ask for. At least one `[[api]]`.
    #[schemars(required)]
    pub(crate) api: Option<Vec<Api>>,
    /// The fallback: the way of identified TPPs to the customer interface. Without it there is none.
    pub(crate) fallback: Option<Fallback>,
    /// The banks, by codetab (5 digits), each with its core-banking adapter. At least one
    /// `[[codetab]]`.
    #[schemars(required)]
    pub(crate) codetab: Option<Vec<Codetab>>,
}
