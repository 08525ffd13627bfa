//! `[trust]` and `[register]`: whom the gateway believes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DurationText, InstantText};

/// Which certificates are trusted, and what is known about their revocation.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Trust {
    /// PEM files with the certificates of the issuing QTSPs. A TPP may send its leaf alone when the
    /// CA that issued it stands here.
    #[schemars(required)]
    pub(crate) anchors: Option<Vec<String>>,
    /// Certificate revocation lists (PEM or DER), at least one for each anchor that issues QWACs.
    #[serde(default)]
    pub(crate) crls: Vec<String>,
    /// Whether the extended key usage of a QWAC must name TLS client authentication.
    #[serde(default)]
    pub(crate) client_auth_eku: ClientAuthEku,
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

/// The registers, and how old their snapshot may become.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Register {
    /// As long as a snapshot is younger than this, all is well.
    #[serde(default = "Register::fresh_for_default")]
    pub(crate) fresh_for: DurationText,
    /// A snapshot older than this decides nothing any more: calls are refused with
    /// `register_stale`. Between the two the gateway serves and raises its alarm.
    #[serde(default = "Register::tolerated_for_default")]
    pub(crate) tolerated_for: DurationText,
    /// The EBA's register of payment institutions (PSD2, article 15).
    pub(crate) eba: Option<Eba>,
    /// The French register of financial agents (REGAFI).
    pub(crate) regafi: Option<Regafi>,
}

impl Register {
    fn fresh_for_default() -> DurationText {
        "24h".into()
    }

    fn tolerated_for_default() -> DurationText {
        "72h".into()
    }
}

impl Default for Register {
    fn default() -> Self {
        Self {
            fresh_for: Self::fresh_for_default(),
            tolerated_for: Self::tolerated_for_default(),
            eba: None,
            regafi: None,
        }
    }
}

/// The EBA's register of payment institutions, as the EBA publishes it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Eba {
    /// The unpacked JSON file of the register.
    #[schemars(required)]
    pub(crate) file: Option<String>,
    /// When the register was published. Either this or `metadata`.
    pub(crate) as_of: Option<InstantText>,
    /// The `filemetadata.json` that is published beside the register; its `timestamp` dates the
    /// snapshot. Either this or `as_of`.
    pub(crate) metadata: Option<String>,
}

/// The two tables of a REGAFI export.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Regafi {
    /// CSV file with the entities.
    #[schemars(required)]
    pub(crate) entities: Option<String>,
    /// CSV file with the authorisations of these entities.
    #[schemars(required)]
    pub(crate) authorisations: Option<String>,
    /// When the export was made.
    #[schemars(required)]
    pub(crate) as_of: Option<InstantText>,
}
