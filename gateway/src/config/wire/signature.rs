//! `[signature]`: requests signed with a QSEALC.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::DurationText;

/// What is asked of signed requests. The request target, the date and the digest must always be
/// covered, and so must `content-type` where there is a body and every `psu-…` field that is sent.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Signature {
    /// PEM files of the QSEALCs that are known, each with the CAs between it and an anchor after it.
    /// A `keyId` only chooses among the known ones; nothing is ever fetched from it.
    #[serde(default)]
    pub(crate) seals: Vec<String>,
    /// Where the TPPs publish QSEALCs, fetched ahead of need.
    pub(crate) fetch: Option<SealFetch>,
    /// The forms that are accepted.
    #[serde(default = "Signature::forms_default")]
    pub(crate) forms: Vec<SignatureForm>,
    /// The algorithms that are accepted: `rsa-sha256`, `rsa-pss-sha256`, `rsa-pss-sha512`,
    /// `ecdsa-p256-sha256`, `ed25519`.
    #[serde(default = "Signature::algorithms_default")]
    pub(crate) algorithms: Vec<String>,
    /// Header fields that must be covered besides, in lower case.
    #[serde(default = "Signature::covered_default")]
    pub(crate) covered: Vec<String>,
    /// How long ago a signature may have been made.
    #[serde(default = "Signature::age_max_default")]
    pub(crate) age_max: DurationText,
    /// How far the clock of the sender may be ahead.
    #[serde(default = "Signature::skew_max_default")]
    pub(crate) skew_max: DurationText,
    /// Whether `keyId` may end with 40 hexadecimal digits (SHA-1) instead of 64 (SHA-256).
    #[serde(default = "Signature::sha1_key_ids_default")]
    pub(crate) sha1_key_ids: bool,
}

/// The fetching of QSEALCs from where TPPs publish them. No request ever waits for it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SealFetch {
    /// Each the address of one QSEALC, in PEM (with the CAs above it after it) or DER. Where its last
    /// part ends with `_` and a fingerprint, as a STET `keyId` does, only that certificate is taken.
    #[schemars(required)]
    pub(crate) urls: Option<Vec<String>>,
    /// Origins that may be asked, for example "https://keys.tpp.example". A name that resolves to a
    /// private address is not asked.
    #[schemars(required)]
    pub(crate) allow: Option<Vec<String>>,
    /// Directory where they are kept over restarts. Only the gateway writes there.
    #[schemars(required)]
    pub(crate) directory: Option<String>,
    /// How often each is asked for again.
    #[serde(default = "SealFetch::every_default")]
    pub(crate) every: DurationText,
}

impl SealFetch {
    fn every_default() -> DurationText {
        "1h".into()
    }
}

/// A form of HTTP signatures.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SignatureForm {
    /// draft-cavage-http-signatures-12, as STET profiles it.
    Cavage,
    /// RFC 9421 with RFC 9530.
    #[serde(rename = "rfc9421")]
    Rfc9421,
}

impl Signature {
    fn forms_default() -> Vec<SignatureForm> {
        vec![SignatureForm::Cavage, SignatureForm::Rfc9421]
    }

    fn algorithms_default() -> Vec<String> {
        ["rsa-sha256", "rsa-pss-sha512", "ecdsa-p256-sha256"].map(str::to_owned).to_vec()
    }

    fn covered_default() -> Vec<String> {
        vec!["x-request-id".to_owned()]
    }

    fn age_max_default() -> DurationText {
        "5m".into()
    }

    fn skew_max_default() -> DurationText {
        "1m".into()
    }

    fn sha1_key_ids_default() -> bool {
        true
    }
}
