//! `[fallback]`: the way of identified TPPs to the customer interface.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{DurationText, OneOrMore};

/// The fallback (RTS (EU) 2018/389, article 33): the way of identified TPPs, without a token, to the
/// customer interface of each `[[codetab]]` that has a `customer_interface`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fallback {
    /// When it is open: "always", or only while the dedicated interface of the bank is "down".
    #[schemars(required)]
    pub(crate) when: Option<FallbackWhen>,
    /// The paths of the customer interface that it leads to: each with everything below it, "/" for
    /// all.
    #[schemars(required)]
    pub(crate) paths: Option<Vec<String>>,
    /// The methods that pass.
    #[serde(default = "Fallback::methods_default")]
    pub(crate) methods: Vec<FallbackMethod>,
    /// PSD2 roles of which the certificate must hold at least one; the register must list the service of
    /// one that it holds.
    #[serde(default = "Fallback::required_roles_default")]
    pub(crate) required_roles: Vec<String>,
    /// Names of the limits that count its calls, of `[quota.*]`: one, or a list of up to eight. They are its
    /// own: no API may name them.
    #[schemars(required)]
    pub(crate) quota: Option<OneOrMore>,
    /// Further header fields of a request that the customer interface gets, for example
    /// "X-CSRF-Token".
    #[serde(default)]
    pub(crate) headers: Vec<String>,
    /// Bytes of a request body, which is passed on as it comes; more is answered with `body_too_large`.
    #[serde(default = "Fallback::body_bytes_max_default")]
    #[schemars(range(min = 1, max = 1_073_741_824))]
    pub(crate) body_bytes_max: u64,
    /// A path of the bank's adapter, not of the customer interface. While the dedicated interface is down it
    /// is asked there by GET whether the adapter serves again; 200 says that it does, and closes the
    /// fallback. Needed with `when = "down"`.
    pub(crate) probe_path: Option<String>,
    /// How often it is asked.
    #[serde(default = "Fallback::probe_every_default")]
    pub(crate) probe_every: DurationText,
}

impl Fallback {
    fn methods_default() -> Vec<FallbackMethod> {
        vec![FallbackMethod::Get, FallbackMethod::Head, FallbackMethod::Post]
    }

    fn required_roles_default() -> Vec<String> {
        ["PSP_AI", "PSP_PI", "PSP_IC"].map(str::to_owned).to_vec()
    }

    fn body_bytes_max_default() -> u64 {
        10 * 1024 * 1024
    }

    fn probe_every_default() -> DurationText {
        "5s".into()
    }
}

/// When the fallback is open.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FallbackWhen {
    /// At any time.
    Always,
    /// While five requests in a row to the bank's dedicated interface, within 30 s, were not served, until
    /// one is.
    Down,
}

/// A method of the customer interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum FallbackMethod {
    /// Reads.
    Get,
    /// Reads the head alone.
    Head,
    /// Sends a form.
    Post,
    /// Replaces.
    Put,
    /// Changes a part.
    Patch,
    /// Removes.
    Delete,
    /// Asks what there is.
    Options,
}

impl FallbackMethod {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
        }
    }
}
