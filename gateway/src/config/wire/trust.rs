//! `[trust]` and `[register]`: whom the gateway believes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::DurationText;

/// Which certificates are trusted, and what is known about their revocation.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Trust {
    /// PEM files with the certificates of the issuing QTSPs. A TPP may send its leaf alone when the
    /// CA that issued it stands here.
    #[schemars(required)]
    pub(crate) anchors: Option<Vec<String>>,
    /// PEM files with CAs below the anchors, for TPPs that send their leaf alone. Nothing ends at
    /// them: every path over them is verified up to an anchor.
    #[serde(default)]
    pub(crate) intermediates: Vec<String>,
    /// Certificate revocation lists (PEM or DER) that somebody else keeps current: at least one for
    /// each anchor, unless `[trust.revocation]` fetches them.
    #[serde(default)]
    pub(crate) crls: Vec<String>,
    /// The EU's trusted lists: their CAs are anchors beside those of `anchors`, which may then be
    /// empty.
    pub(crate) lists: Option<Lists>,
    /// How revocation lists and OCSP answers are fetched, ahead of need, from the URLs that the
    /// certificates of TPPs name.
    pub(crate) revocation: Option<Revocation>,
    /// Whether the extended key usage of a QWAC must name TLS client authentication.
    #[serde(default)]
    pub(crate) client_auth_eku: ClientAuthEku,
}

/// The EU's trusted lists (ETSI TS 119 612).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lists {
    /// Directory of the snapshots that `octroi trust import` makes, and the gateway if it imports
    /// itself. What is made current there is taken in without a restart.
    #[schemars(required)]
    pub(crate) directory: Option<String>,
    /// URL of the list of lists. With it the gateway imports by itself.
    pub(crate) list_of_lists: Option<String>,
    /// PEM files with the certificates that may sign the list of lists, as the Official Journal of
    /// the EU publishes them. Needed with `list_of_lists`.
    #[serde(default)]
    pub(crate) signers: Vec<String>,
    /// Origins that may be asked: of the list of lists and of each national list that it points at.
    #[serde(default)]
    pub(crate) allow: Vec<String>,
    /// Territories whose lists matter, for example ["FR", "IE"]; empty: all.
    #[serde(default)]
    pub(crate) territories: Vec<String>,
    /// How often the lists are imported.
    #[serde(default = "Lists::every_default")]
    pub(crate) every: DurationText,
}

impl Lists {
    fn every_default() -> DurationText {
        "6h".into()
    }
}

/// The fetching of what issuers say about revocations. No request ever waits for it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Revocation {
    /// Directory where answers, and the certificates they are about, are kept over restarts. Only
    /// the gateway writes there.
    #[schemars(required)]
    pub(crate) directory: Option<String>,
    /// Origins that may be asked, for example "http://crl.qtsp.example" or
    /// "http://ocsp.qtsp.example:8080". A name that resolves to a private address is not asked.
    #[schemars(required)]
    pub(crate) allow: Option<Vec<String>>,
    /// How often each source is asked again. It is never asked later than its answer ends.
    #[serde(default = "Revocation::refresh_default")]
    pub(crate) refresh: DurationText,
    /// How long after its end (nextUpdate) an answer still counts. Without it: not at all.
    pub(crate) tolerated_for: Option<DurationText>,
}

impl Revocation {
    fn refresh_default() -> DurationText {
        "5m".into()
    }
}

/// What is asked of the extended key usage of a QWAC.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ClientAuthEku {
    /// `clientAuth` must be there.
    #[default]
    Require,
    /// A QWAC with `serverAuth` alone passes as well: public CAs are dropping `clientAuth`.
    AcceptServerAuthOnly,
    /// The extended key usage is not looked at.
    Ignore,
}
