//! `[tracing]`: OpenTelemetry traces.

use schemars::JsonSchema;
use serde::Deserialize;

/// OpenTelemetry traces, sent as OTLP over HTTP (protobuf). Without this table nothing is traced.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tracing {
    /// The URL of the collector, for example "http://127.0.0.1:4318/v1/traces"; https, unless it is on this
    /// machine.
    #[schemars(required)]
    pub(crate) endpoint: Option<String>,
    /// Which share of the requests is traced, 0 to 1. The trace id decides, so all gateways agree; a
    /// caller has no say.
    #[serde(default = "Tracing::sample_ratio_default")]
    pub(crate) sample_ratio: f64,
    /// Whether a TPP's own `traceparent` becomes a link of the span. It never becomes its parent.
    #[serde(default)]
    pub(crate) trust_incoming: bool,
    /// `service.name` of the spans.
    #[serde(default = "Tracing::service_name_default")]
    pub(crate) service_name: String,
}

impl Tracing {
    fn sample_ratio_default() -> f64 {
        0.1
    }

    fn service_name_default() -> String {
        "octroi".to_owned()
    }
}
