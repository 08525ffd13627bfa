//! `[report]` and `[probe]`: the regulator's statistics and the gateway's own evidence for them.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::key::Key;
use super::problem::quoted;
use super::reading::Reading;
use super::wire;

/// How days are counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportSettings {
    /// A name of the IANA's; its midnights part the days.
    pub time_zone: String,
    /// Probes are evidence of downtime.
    pub probe_counts: bool,
}

/// The gateway's own probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeSettings {
    /// How often.
    pub every: Duration,
    /// How long all that a request needs may take to be there.
    pub timeout: Duration,
}

impl ReportSettings {
    pub(super) fn read(
        wire: &wire::Report,
        probes: bool,
        key: &Key,
        reading: &mut Reading<'_>,
    ) -> Option<Self> {
        let name = &wire.time_zone;
        if let Err(error) = TimeZone::get(name) {
            let what = format!("is {}: {error}", quoted(name));
            reading.refuse(&key.child("time_zone"), what, "write one such as \"Europe/Paris\"");
            return None;
        }
        if wire.probe_counts && !probes {
            let what = "nothing probes";
            reading.refuse(&key.child("probe_counts"), what, "add `[probe]`, or leave it out");
            return None;
        }
        Some(Self { time_zone: name.clone(), probe_counts: wire.probe_counts })
    }
}

impl ProbeSettings {
    pub(super) fn read(wire: &wire::Probe, key: &Key, reading: &mut Reading<'_>) -> Option<Self> {
        let every = reading.duration(&key.child("every"), &wire.every);
        let timeout = reading.duration(&key.child("timeout"), &wire.timeout);
        let (every, timeout) = (every?, timeout?);
        if timeout > every {
            let what = "is longer than `every`: probes would overtake each other";
            reading.refuse(&key.child("timeout"), what, "write less than `probe.every`");
            return None;
        }
        Some(Self { every, timeout })
    }
}
