//! `[[domain]]`, `[[api]]`, `[[api.version]]` and `[quota.*]`: what is exposed, and to whom.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DateText, DurationText, InstantText, MomentText};

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
    /// Names of the limits that count its requests, of `[quota.*]`: one, or a list of up to eight. A
    /// request must have room in each.
    #[schemars(required)]
    pub(crate) quota: Option<OneOrMore>,
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
    /// When it begins: before, its paths are unknown. A day (its first instant, UTC) or an instant.
    pub(crate) introduced: Option<MomentText>,
    /// When its end was published. From it, or without it from `deprecated`, the three months of notice
    /// count that `sunset` must leave (RTS (EU) 2018/389, article 30(4)).
    pub(crate) announced: Option<MomentText>,
    /// From when nobody should begin to use it: told by `Deprecation` (RFC 9745) on its answers.
    pub(crate) deprecated: Option<MomentText>,
    /// From when it answers 410 and names its successor: told by `Sunset` (RFC 8594) on its answers.
    pub(crate) sunset: Option<MomentText>,
    /// Why it may end with less than three months of notice; printed at each start.
    pub(crate) emergency: Option<String>,
    /// Times in which it answers 410 as it will after `sunset`: between `deprecated` and `sunset`, one
    /// after the other, and only with a successor.
    #[serde(default)]
    pub(crate) brown_out: Vec<BrownOut>,
    /// The page about its end, an https URL, for the `Link` on its answers. Default: the roadmap of the
    /// PSU listener.
    pub(crate) documentation: Option<String>,
    /// Keeps answering after `sunset`, as the sandbox does.
    #[serde(default)]
    pub(crate) alive: bool,
    /// Name of the version of the same API that takes over.
    pub(crate) successor: Option<String>,
    /// How an amount may be written in the body.
    #[serde(default)]
    pub(crate) amount: Amount,
}

/// A time in which a version answers as it will after its end.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BrownOut {
    /// Its first instant, with its offset: 2026-08-16T08:00:00Z.
    #[schemars(required)]
    pub(crate) from: Option<InstantText>,
    /// The first instant after it.
    #[schemars(required)]
    pub(crate) to: Option<InstantText>,
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

/// One text, or a list of them.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a text or a list of texts")]
pub(crate) enum OneOrMore {
    /// One.
    One(String),
    /// A list.
    More(Vec<String>),
}

impl OneOrMore {
    pub(crate) fn as_slice(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::More(more) => more,
        }
    }
}

/// A limit: so many requests in a period, or so many at once.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Quota {
    /// Requests in one period.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub(crate) requests: Option<u64>,
    /// The period, for example "1m".
    pub(crate) period: Option<DurationText>,
    /// Requests that may come at once after a pause. Default: `requests`.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub(crate) burst: Option<u64>,
    /// Counts exactly: any span of `period` holds at most `requests`, of which there may be 100. Without
    /// it the limit is a rate: `burst` at once, and from then on one in each `period / requests`, so
    /// that a span of `period` that begins with a burst holds up to `burst + requests`.
    #[serde(default)]
    pub(crate) exact: bool,
    /// For how long a gateway that shares the limit with others through Redis may keep requests that it
    /// has taken in advance, for example "100ms"; a second at most. It spares most round trips to
    /// Redis, and takes twice this time off what may come at once.
    pub(crate) lease: Option<DurationText>,
    /// Requests under way at once, in each gateway, instead of `requests` in a period.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) concurrent: Option<u64>,
    /// Whom it counts apart. Default: each TPP at each API; of requests at once, each bank.
    pub(crate) per: Option<Vec<Dimension>>,
    /// Which requests it counts: an unattended one names no address of the customer's device
    /// (`PSU-IP-Address`).
    #[serde(default)]
    pub(crate) counts: Counts,
    /// Counts only requests made in one of these roles. Default: in any.
    #[serde(default)]
    pub(crate) roles: Vec<String>,
}

/// What a limit counts apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Dimension {
    /// Each TPP, whatever certificates it uses.
    Tpp,
    /// Each API, in all its versions.
    Api,
    /// Each role that opens an API.
    Role,
    /// Each bank.
    Codetab,
    /// Each account that is asked about; where the request names none, each consent.
    Account,
}

/// Which requests a limit counts.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Counts {
    /// Every request.
    #[default]
    All,
    /// Those with the customer present.
    Attended,
    /// Those without.
    Unattended,
}
