//! `[tracing]`: OpenTelemetry traces.

use super::key::Key;
use super::problem::quoted;
use super::reading::Reading;
use super::safety;
use super::wire;

/// Where spans go, and which.
#[derive(Clone, Debug)]
pub struct TracingSettings {
    /// The URL of OTLP/HTTP.
    pub endpoint: String,
    /// Of 2^48 traces so many are kept.
    pub sampled_below: u64,
    /// Whether what a TPP says about its own trace becomes a link.
    pub trust_incoming: bool,
    /// `service.name`.
    pub service_name: String,
}

impl TracingSettings {
    pub(super) fn read(wire: &wire::Tracing, key: &Key, reading: &mut Reading<'_>) -> Option<Self> {
        let endpoint = wire.endpoint.clone()?;
        let place = key.child("endpoint");
        let url = reqwest::Url::parse(&endpoint).ok();
        let url = url.filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
        let Some(url) = url else {
            let what = format!("is {}: no URL", quoted(&endpoint));
            reading.refuse(&place, what, "write for example \"http://127.0.0.1:4318/v1/traces\"");
            return None;
        };
        if !url.username().is_empty() || url.password().is_some() {
            let what = "carries a name or a password, which logs and answers would show";
            let mend =
                "take it out; a collector on this machine can add what the next one asks for";
            reading.refuse(&place, what, mend);
        }
        if url.scheme() == "http" && !url.host_str().is_some_and(safety::is_loopback) {
            let what = "is not https: whoever is on the way could read who calls whom";
            reading.refuse(&place, what, "write https, or run a collector on this machine");
        }
        if !(0.0..=1.0).contains(&wire.sample_ratio) {
            let what = format!("is {}: not between 0 and 1", wire.sample_ratio);
            reading.refuse(&key.child("sample_ratio"), what, "write for example 0.1");
            return None;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 2^48")]
        let sampled_below = (wire.sample_ratio * TRACES) as u64;
        Some(Self {
            endpoint,
            sampled_below,
            trust_incoming: wire.trust_incoming,
            service_name: wire.service_name.clone(),
        })
    }
}

/// 2^48.
const TRACES: f64 = 281_474_976_710_656.0;
