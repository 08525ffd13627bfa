//! `[[domain]]`, `[[api]]`, `[[api.version]]` and `[quota.*]`: what is exposed, and to whom.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DateText, DurationText};

/// A domain under which every codetab has its host.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Domain {
    /// The domain, for example "psd2.example-bank.fr".
    #[schemars(required)]
    pub(crate) name: Option<String>,
    /// How a host name is made: `{codetab}` and `{domain}` are replaced.
    #[serde(default = "Domain::pattern_default")]
    pub(crate) pattern: String,
    /// The day from which the hosts of this domain answer 410 and name their successor.
    pub(crate) closed: Option<DateText>,
}

impl Domain {
    fn pattern_default() -> String {
        "www.{codetab}.{domain}".to_owned()
    }
}

/// An API: one operation, in all its versions.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Api {
    /// Name in metrics, records and reports, for example "funds-confirmation".
    #[schemars(required)]
    pub(crate) name: Option<String>,
    /// The only HTTP method that is accepted.
    #[schemars(required)]
    pub(crate) method: Option<HttpMethod>,
    /// PSD2 roles (ETSI TS 119 495) of which the certificate must hold at least one: `PSP_AS`,
    /// `PSP_PI`, `PSP_AI`, `PSP_IC`.
    #[schemars(required)]
    pub(crate) required_roles: Option<Vec<String>>,
    /// Payment services of which the register must list at least one for the TPP, for example
    /// `PS_05A`.
    #[serde(default)]
    pub(crate) required_services: Vec<String>,
    /// OAuth scopes of which the token must hold at least one.
    #[schemars(required)]
    pub(crate) scopes: Option<Vec<String>>,
    /// Whether each request must be signed with the QSEALC of its sender: see `[signature]`.
    #[serde(default)]
    pub(crate) signed: bool,
    /// What the request body must be.
    #[schemars(required)]
    pub(crate) body: Option<Body>,
    /// Days after the PSU's strong authentication when the consent ends (Commission Delegated
    /// Regulation (EU) 2018/389, article 10).
    #[serde(default = "Api::consent_days_max_default")]
    #[schemars(range(min = 1, max = 180))]
    pub(crate) consent_days_max: u64,
    /// Name of the quota rule, one of `[quota.*]`. It counts per TPP and API.
    #[schemars(required)]
    pub(crate) quota: Option<String>,
    /// The versions of this API. At least one `[[api.version]]`.
    #[schemars(required)]
    pub(crate) version: Option<Vec<Version>>,
}

impl Api {
    fn consent_days_max_default() -> u64 {
        180
    }
}

/// An HTTP method.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum HttpMethod {
    /// Reads.
    Get,
    /// Asks or creates.
    Post,
    /// Replaces.
    Put,
    /// Removes.
    Delete,
}

/// What the request body must be.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Body {
    /// No body at all.
    None,
    /// A STET payment coverage request.
    FundsConfirmation,
}

/// A version of an API, from its first day to its successor.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Version {
    /// Name of the version, for example "v1.6.2".
    #[schemars(required)]
    pub(crate) name: Option<String>,
    /// The exact paths; nothing else under the host is reachable.
    #[schemars(required)]
    pub(crate) paths: Option<Vec<String>>,
    /// The day from which this version answers 410 and names its successor.
    pub(crate) decommissioned: Option<DateText>,
    /// Keeps answering after `decommissioned`, as the sandbox does.
    #[serde(default)]
    pub(crate) alive: bool,
    /// Name of the version of the same API that takes over.
    pub(crate) successor: Option<String>,
    /// How an amount may be written in the body.
    #[serde(default)]
    pub(crate) amount: Amount,
}

/// How an amount may be written.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Amount {
    /// A decimal string, as STET 1.4 writes it.
    #[default]
    String,
    /// A decimal string or a JSON number.
    StringOrNumber,
}

/// A quota: so many requests in a period, for each TPP and API.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Quota {
    /// Requests in one period.
    #[schemars(required, range(min = 1, max = 1_000_000_000))]
    pub(crate) requests: Option<u64>,
    /// The period, for example "1m".
    #[schemars(required)]
    pub(crate) period: Option<DurationText>,
    /// Requests that may come at once. Default: `requests`.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub(crate) burst: Option<u64>,
}
