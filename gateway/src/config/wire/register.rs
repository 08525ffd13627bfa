//! `[register]`: who is authorised for what, and how that stays current.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DurationText, InstantText};

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
    /// Directory of the snapshots, the overrides and what is fetched. Without it the files are read
    /// once, at the start. Several gateways may share it.
    pub(crate) directory: Option<String>,
    /// The bank's country, two capitals: for which services must be passported.
    #[serde(default = "Register::country_default")]
    pub(crate) country: String,
    /// Whether a TPP's service must be listed for the bank's country. Authorities do not ask banks
    /// to look.
    #[serde(default)]
    pub(crate) passport: Passport,
    /// What becomes of a TPP about which the registers cannot tell (`register_undetermined`).
    #[serde(default)]
    pub(crate) undetermined: Undetermined,
    /// How long a snapshot is kept after another took its place: any instant within it can be asked.
    #[serde(default = "Register::kept_for_default")]
    pub(crate) kept_for: DurationText,
    /// The share of a register's rows that a new snapshot may lose before it is held for a person to
    /// accept, from 0 to 1.
    #[serde(default = "Register::rows_lost_max_default")]
    pub(crate) rows_lost_max: f64,
    /// The share of the known TPPs (those let in before, and those with live tokens) that a new
    /// snapshot may refuse before it is held, from 0 to 1. One TPP alone never holds it.
    #[serde(default = "Register::tpps_lost_max_default")]
    pub(crate) tpps_lost_max: f64,
    /// How what has a URL is fetched.
    pub(crate) fetch: Option<RegisterFetch>,
    /// The EBA's register of payment institutions (PSD2, article 15).
    pub(crate) eba: Option<Eba>,
    /// The EBA's register of credit institutions (directive 2013/36/EU, article 20).
    pub(crate) eba_credit: Option<EbaCredit>,
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

    fn country_default() -> String {
        "FR".to_owned()
    }

    fn kept_for_default() -> DurationText {
        "9600h".into()
    }

    fn rows_lost_max_default() -> f64 {
        0.05
    }

    fn tpps_lost_max_default() -> f64 {
        0.1
    }
}

impl Default for Register {
    fn default() -> Self {
        Self {
            fresh_for: Self::fresh_for_default(),
            tolerated_for: Self::tolerated_for_default(),
            directory: None,
            country: Self::country_default(),
            passport: Passport::default(),
            undetermined: Undetermined::default(),
            kept_for: Self::kept_for_default(),
            rows_lost_max: Self::rows_lost_max_default(),
            tpps_lost_max: Self::tpps_lost_max_default(),
            fetch: None,
            eba: None,
            eba_credit: None,
            regafi: None,
        }
    }
}

/// What a missing passport does.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Passport {
    /// It is not looked at.
    Off,
    /// It is recorded.
    #[default]
    Warn,
    /// The call is refused with `register_passport_missing`.
    Enforce,
}

/// What doubt does.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Undetermined {
    /// The call is refused.
    #[default]
    Refuse,
    /// The call passes on the certificate alone, and that is recorded. Printed at every start.
    Warn,
}

/// The fetching of registers. No request ever waits for it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegisterFetch {
    /// Origins that may be asked, for example "https://euclid.eba.europa.eu" and
    /// "https://www.regafi.fr". A name that resolves to a private address is not asked.
    #[schemars(required)]
    pub(crate) allow: Option<Vec<String>>,
    /// How often.
    #[serde(default = "RegisterFetch::every_default")]
    pub(crate) every: DurationText,
}

impl RegisterFetch {
    fn every_default() -> DurationText {
        "6h".into()
    }
}

/// The EBA's register of payment institutions, as the EBA publishes it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Eba {
    /// The JSON file of the register, or the zip archive in which the EBA publishes it. Either this
    /// or `url`.
    pub(crate) file: Option<String>,
    /// When the file was published. Either this or `metadata`.
    pub(crate) as_of: Option<InstantText>,
    /// The `filemetadata.json` that is published beside the register; its `timestamp` dates the
    /// snapshot. Either this or `as_of`.
    pub(crate) metadata: Option<String>,
    /// Where the EBA publishes that metadata, which leads to the archive:
    /// "https://euclid.eba.europa.eu/register/api/filemetadata".
    pub(crate) url: Option<String>,
}

/// The EBA's register of credit institutions: a list of entities in JSON.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EbaCredit {
    /// The JSON file.
    #[schemars(required)]
    pub(crate) file: Option<String>,
    /// When it was taken.
    #[schemars(required)]
    pub(crate) as_of: Option<InstantText>,
}

/// The two tables of a REGAFI export.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Regafi {
    /// CSV file with the entities. Either this or `entities_url`.
    pub(crate) entities: Option<String>,
    /// CSV file with the authorisations of these entities. Either this or `authorisations_url`.
    pub(crate) authorisations: Option<String>,
    /// When the export was made.
    pub(crate) as_of: Option<InstantText>,
    /// Where the entities are exported:
    /// "https://www.regafi.fr/api/explore/v2.1/catalog/datasets/prd-banque-entites/exports/csv".
    pub(crate) entities_url: Option<String>,
    /// Where the authorisations are exported.
    pub(crate) authorisations_url: Option<String>,
    /// TOML file that says how the columns are called, for example `siren = "numero_siren"`.
    pub(crate) columns: Option<String>,
}
