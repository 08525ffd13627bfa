//! What the gateway's own probe found.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

/// `event.action` of the line.
pub const PROBE: &str = "availability_probe";

/// One probe of one bank's dedicated interface.
#[derive(Clone, Debug, Serialize)]
pub struct Probed {
    #[serde(rename = "@timestamp")]
    time: Timestamp,
    #[serde(rename = "event.action")]
    action: &'static str,
    #[serde(rename = "event.outcome")]
    outcome: &'static str,
    /// Nanoseconds.
    #[serde(rename = "event.duration")]
    duration: u64,
    #[serde(rename = "octroi.codetab")]
    codetab: String,
    #[serde(rename = "octroi.interface")]
    interface: &'static str,
}

impl Probed {
    /// Begun at `time`, over after `took`; `served` says whether a request could have been.
    #[must_use]
    pub fn new(time: Timestamp, codetab: String, served: bool, took: Duration) -> Self {
        Self {
            time,
            action: PROBE,
            outcome: if served { "success" } else { "failure" },
            duration: u64::try_from(took.as_nanos()).unwrap_or(u64::MAX),
            codetab,
            interface: "dedicated",
        }
    }
}
