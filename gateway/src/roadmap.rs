//! The roadmap: every version of every API, where it stands in its life and what comes next; and, from the
//! access log, who still uses one that ends.

mod usage;

use jiff::Timestamp;
use policies::{Api, ApiVersion, LifeStage, Routes};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

pub use usage::{Caller, Use};

/// The table, as of an instant. What everybody may see: who calls is not in it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Roadmap {
    /// When it was made.
    pub as_of: Timestamp,
    /// In the order of the configuration.
    pub versions: Vec<Row>,
}

/// One version.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Row {
    /// The API.
    pub api: String,
    /// Its version.
    pub version: String,
    /// Where it is.
    pub paths: Vec<String>,
    /// `planned`, `active`, `deprecated`, `brown_out`, `kept_alive` or `retired`.
    #[serde(serialize_with = "code")]
    #[schemars(with = "&str")]
    pub stage: LifeStage,
    /// When it begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub introduced: Option<Timestamp>,
    /// When its end was published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub announced: Option<Timestamp>,
    /// From when nobody should begin to use it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<Timestamp>,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sunset: Option<Timestamp>,
    /// Whole days until then; negative: since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days_left: Option<i64>,
    /// The version that takes over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub successor: Option<String>,
    /// The page about its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub documentation: Option<String>,
    /// Why it ends with less than the notice that is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub emergency: Option<String>,
    /// Times in which it answers as it will after its end.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub brown_outs: Vec<Window>,
}

/// From an instant to the first after it.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct Window {
    /// The first.
    pub from: Timestamp,
    /// The first after it.
    pub to: Timestamp,
}

impl Roadmap {
    /// The roadmap of `routes` at `now`.
    #[must_use]
    pub fn of(routes: &Routes, now: Timestamp) -> Self {
        let versions = routes.versions().map(|(api, version)| Row::of(api, version, now));
        Self { as_of: now, versions: versions.collect() }
    }
}

impl Row {
    fn of(api: &Api, version: &ApiVersion, now: Timestamp) -> Self {
        let life = &version.life;
        let ends = life.deprecated.is_some() || life.sunset.is_some();
        let windows = life.brown_outs.iter();
        Self {
            api: api.name.clone(),
            version: version.name.clone(),
            paths: version.paths.clone(),
            stage: life.stage(now),
            introduced: life.introduced,
            announced: life.announced,
            deprecated: life.deprecated,
            sunset: life.sunset,
            days_left: life.sunset.map(|end| end.duration_since(now).as_hours().div_euclid(24)),
            successor: version.successor.clone(),
            documentation: life.documentation.clone().filter(|_| ends),
            emergency: life.emergency.clone(),
            brown_outs: windows.map(|window| Window { from: window.from, to: window.to }).collect(),
        }
    }

    /// Whether it is to be left: whoever calls it must move.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.deprecated.is_some() || self.sunset.is_some()
    }

    /// Whether it serves nobody any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.stage, LifeStage::Retired { .. })
    }
}

fn code<S: Serializer>(stage: &LifeStage, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(stage.code())
}
