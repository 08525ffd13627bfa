//! `[authorization]`: the authorization server and the enrolment.

use schemars::JsonSchema;
use serde::Deserialize;

use super::DurationText;

/// The authorization server, and the enrolment of TPPs. Without this table a gateway has none: the
/// bank's own writes token records.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Authorization {
    /// The `https` URL under which browsers of customers reach the PSU listener at the host of a bank,
    /// with `{codetab}` for the bank, and without a slash at the end. It is the issuer (RFC 8414) too.
    #[schemars(required)]
    pub(crate) issuer: Option<String>,
    /// The `https` URL under which TPPs reach the TPP listener at the host of a bank, likewise.
    #[schemars(required)]
    pub(crate) tpp_url: Option<String>,
    /// Where browsers ask for a consent, at the issuer.
    #[serde(default = "Authorization::authorize_path_default")]
    pub(crate) authorize_path: String,
    /// Where TPPs get tokens, at `tpp_url`. Beside it lie `par`, `revoke` and `introspect`.
    #[serde(default = "Authorization::token_path_default")]
    pub(crate) token_path: String,
    /// Where TPPs enrol, at `tpp_url`.
    #[serde(default = "Authorization::register_path_default")]
    pub(crate) register_path: String,
    /// The bank's own page for login and consent. The customer arrives there with `?challenge=…`, and
    /// the page answers through the admin listener. Without it the sandbox's pages are served, which
    /// only a sandbox may.
    pub(crate) login_url: Option<String>,
    /// The scopes that customers can consent to: `cbpii`, `aisp`.
    #[serde(default = "Authorization::scopes_default")]
    pub(crate) scopes: Vec<String>,
    /// The scopes that a TPP gets without a customer, by `client_credentials`, if its application is
    /// enrolled for that.
    #[serde(default)]
    pub(crate) client_credentials: Vec<String>,
    /// Whether each authorization request must carry a PKCE challenge (RFC 7636, S256).
    #[serde(default)]
    pub(crate) pkce_required: bool,
    /// Whether each authorization request must be pushed first (RFC 9126).
    #[serde(default)]
    pub(crate) par_required: bool,
    /// Whether a refresh gives a new refresh token too. The bank group's interface gives the old one.
    #[serde(default)]
    pub(crate) rotate_refresh_tokens: bool,
    /// Whether an access token is good only with the certificate that got it (RFC 8705 §3). A refresh binds
    /// anew, so that a renewed certificate goes on. Without it a token is bound to the organisation id.
    #[serde(default)]
    pub(crate) bound_tokens: bool,
    /// How long an access token lives, an hour at most.
    #[serde(default = "Authorization::access_token_life_default")]
    pub(crate) access_token_life: DurationText,
    /// How long a code waits for its TPP, ten minutes at most.
    #[serde(default = "Authorization::code_life_default")]
    pub(crate) code_life: DurationText,
    /// How long a customer has for login and consent.
    #[serde(default = "Authorization::interaction_life_default")]
    pub(crate) interaction_life: DurationText,
    /// Days after the strong authentication when a consent ends, and its tokens with it (Commission
    /// Delegated Regulation (EU) 2018/389, article 10).
    #[serde(default = "Authorization::consent_days_default")]
    #[schemars(range(min = 1, max = 180))]
    pub(crate) consent_days: u64,
}

impl Authorization {
    fn authorize_path_default() -> String {
        "/stet/psd2/oauth/authorize".to_owned()
    }

    fn token_path_default() -> String {
        "/stet/psd2/oauth/token".to_owned()
    }

    fn register_path_default() -> String {
        "/stet/setting/v1/register".to_owned()
    }

    fn scopes_default() -> Vec<String> {
        vec!["cbpii".to_owned()]
    }

    fn access_token_life_default() -> DurationText {
        "1h".into()
    }

    fn code_life_default() -> DurationText {
        "60s".into()
    }

    fn interaction_life_default() -> DurationText {
        "10m".into()
    }

    fn consent_days_default() -> u64 {
        180
    }
}
