//! What an engine finds when it is looked at closely: for the operator, before it is relied upon.

use std::time::Duration;

use serde::Serialize;

/// What was found. Nothing in it is a secret.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Inspection {
    /// How the servers stand to each other: `standalone`, `sentinel` or `cluster`; `embedded` without one.
    pub topology: &'static str,
    /// Every server that has keys.
    pub masters: Vec<ServerFound>,
    /// What is wrong, and what is worth knowing.
    pub findings: Vec<Finding>,
}

/// One server that has keys.
#[derive(Debug, Clone, Serialize)]
pub struct ServerFound {
    /// `host:port`.
    pub address: String,
    /// `redis 7.0.15`, `valkey 8.1.0`.
    pub version: String,
    /// `host:port` of each replica that is connected and up to date.
    pub replicas: Vec<String>,
    /// Is every change written to a file?
    pub append_only: bool,
    /// Are snapshots saved now and then?
    pub snapshots: bool,
    /// What it does when memory is full.
    pub maxmemory_policy: String,
    /// Does it tell of every token that changes?
    pub tracking: bool,
    /// By how many milliseconds its clock is ahead of ours; off by half a round trip at most.
    pub clock_ahead_ms: i64,
    /// The median of some round trips, in microseconds.
    pub round_trip_us: u64,
    /// Rights that its user lacks, as they are given: `+wait`, `%RW~octroi:*`.
    pub missing_rights: Vec<String>,
}

/// One thing that was found.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// What it means.
    pub weight: Weight,
    /// The server, where it is one of several.
    pub server: Option<String>,
    /// What it is, and how it is mended.
    pub what: String,
}

/// What a finding means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// The store must not be used like this.
    Refused,
    /// Enrolments and consents may be lost. Who keeps none may live with it.
    Forgetful,
    /// Worth knowing.
    Note,
}

impl Inspection {
    /// What makes the engine unfit to keep enrolments and consents for months.
    pub(super) fn unfitness(self) -> Vec<String> {
        let forgetful = |finding: &Finding| finding.weight == Weight::Forgetful;
        self.findings.into_iter().filter(forgetful).map(|finding| finding.what).collect()
    }

    pub(super) fn find(&mut self, weight: Weight, server: &str, what: impl Into<String>) {
        let server = (!server.is_empty()).then(|| server.to_owned());
        self.findings.push(Finding { weight, server, what: what.into() });
    }
}

/// The one in the middle.
pub(super) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
