//! `[jwt]`: access tokens of a bank's own authorization server.

use schemars::JsonSchema;
use serde::Deserialize;

use super::DurationText;

/// JWT access tokens (RFC 9068) that the bank's own authorization server issues, beside the opaque ones
/// in the store. Its keys are fetched ahead of need, never because of a token.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Jwt {
    /// What `iss` must say.
    #[schemars(required)]
    pub(crate) issuer: Option<String>,
    /// What `aud` must hold.
    #[schemars(required)]
    pub(crate) audience: Option<String>,
    /// Where the keys are (RFC 7517): the URL of a JWK set.
    #[schemars(required)]
    pub(crate) jwks_url: Option<String>,
    /// Origins that may be asked, for example "https://as.example-bank.fr". A name that resolves to a
    /// private address is not asked.
    #[schemars(required)]
    pub(crate) allow: Option<Vec<String>>,
    /// How often the keys are fetched.
    #[serde(default = "Jwt::every_default")]
    pub(crate) every: DurationText,
    /// Keys that were fetched longer ago prove nothing any more: calls are refused with
    /// `state_unavailable`.
    #[serde(default = "Jwt::tolerated_for_default")]
    pub(crate) tolerated_for: DurationText,
    /// The algorithms that are accepted: `RS256`, `PS256`, `ES256`.
    #[serde(default = "Jwt::algorithms_default")]
    pub(crate) algorithms: Vec<String>,
    /// The claim that holds the organisation id of the TPP.
    #[serde(default = "Jwt::organisation_claim_default")]
    pub(crate) organisation_claim: String,
    /// The claim that holds the codetab of the bank.
    #[serde(default = "Jwt::codetab_claim_default")]
    pub(crate) codetab_claim: String,
    /// Whether each token must be bound to the certificate that presents it (`cnf` with `x5t#S256`,
    /// RFC 8705). A token that is bound is held to it in any case.
    #[serde(default = "Jwt::bound_default")]
    pub(crate) bound: bool,
}

impl Jwt {
    fn every_default() -> DurationText {
        "5m".into()
    }

    fn tolerated_for_default() -> DurationText {
        "24h".into()
    }

    fn algorithms_default() -> Vec<String> {
        ["PS256", "ES256"].map(str::to_owned).to_vec()
    }

    fn organisation_claim_default() -> String {
        "organisation_id".to_owned()
    }

    fn codetab_claim_default() -> String {
        "codetab".to_owned()
    }

    fn bound_default() -> bool {
        true
    }
}
