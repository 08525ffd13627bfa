//! One bank: what its TPPs ask, what they get, how long it takes, how its adapter does.

use super::model::{API, CODETAB};
use super::panels;
use super::{Dashboard, Kind, Panel, Row, Variable};

const OURS: &str = r#"codetab="$codetab",api=~"$api""#;

pub(super) fn dashboard() -> Dashboard {
    let part = |q: &str, part: &str| {
        format!(
            "histogram_quantile({q}, sum by (le) (rate(octroi_request_part_duration_seconds_bucket{{codetab=\"$codetab\",part=\"{part}\"}}[$__rate_interval])))"
        )
    };
    Dashboard {
        uid: "octroi-codetab",
        title: "Octroi: one codetab",
        description: "One bank: requests, refusals, latency, its adapter.",
        variables: vec![
            Variable { name: "codetab", label: "Codetab", query: CODETAB, multiple: false },
            Variable { name: "api", label: "API", query: API, multiple: true },
        ],
        rows: vec![
            Row {
                title: "Requests",
                panels: vec![
                    panels::by_outcome(OURS),
                    Panel::new(Kind::Stacked, "By API and version", "Who still uses which version.")
                        .unit("reqps")
                        .query(format!("sum by (api, version) (rate(octroi_requests_total{{{OURS}}}[$__rate_interval]))"), "{{api}} {{version}}"),
                    panels::by_reason(OURS),
                    Panel::new(Kind::Table, "Refusals of the last hour", "Counted by reason.")
                        .query(format!("sum by (reason) (increase(octroi_requests_total{{{OURS},reason!=\"\"}}[1h]))"), ""),
                    Panel::new(Kind::Series, "Errors", "Share of the requests that deserved an answer and got a 5xx.")
                        .unit("percentunit")
                        .query("codetab:octroi_request_errors:ratio_rate5m{codetab=\"$codetab\"}", "5 min")
                        .query("codetab:octroi_request_errors:ratio_rate1h{codetab=\"$codetab\"}", "1 h")
                        .query("codetab:octroi_request_errors:ratio_rate1d{codetab=\"$codetab\"}", "1 d")
                        .alerts(&["OctroiErrorBudgetFast", "OctroiErrorBudgetSlow"]),
                    Panel::new(Kind::Series, "Slower than half a second", "Share of the permitted requests.")
                        .unit("percentunit")
                        .query("codetab:octroi_slow_requests:ratio_rate5m{codetab=\"$codetab\"}", "5 min")
                        .query("codetab:octroi_slow_requests:ratio_rate1h{codetab=\"$codetab\"}", "1 h")
                        .alerts(&["OctroiLatencyBudgetFast", "OctroiLatencyBudgetSlow"]),
                ],
            },
            Row {
                title: "Latency",
                panels: vec![
                    panels::duration(OURS),
                    Panel::new(Kind::Series, "Adapter", "From the permit to the head of its answer.")
                        .unit("s")
                        .query(part("0.5", "upstream"), "p50")
                        .query(part("0.99", "upstream"), "p99"),
                    Panel::new(Kind::Series, "Gateway and store", "What we add.")
                        .unit("s")
                        .query(part("0.99", "gateway"), "gateway p99")
                        .query(part("0.99", "store"), "store p99"),
                    panels::distribution(OURS),
                ],
            },
            Row {
                title: "Adapter",
                panels: vec![
                    Panel::new(Kind::Series, "Addresses that answer their probe", "None: every call is refused.")
                        .width(12)
                        .query("octroi_upstream_healthy_addresses{codetab=\"$codetab\"}", "{{instance}}")
                        .alerts(&["OctroiUpstreamDown"]),
                    Panel::new(Kind::Series, "Addresses that are left alone", "After five failing requests in a row.")
                        .width(12)
                        .query("octroi_upstream_circuit_open{codetab=\"$codetab\"}", "{{instance}}")
                        .alerts(&["OctroiUpstreamCircuitOpen"]),
                ],
            },
            Row {
                title: "Fallback",
                panels: vec![
                    Panel::new(Kind::Series, "Open", "1 while identified TPPs may come to the customer interface.")
                        .query("octroi_fallback_open{codetab=\"$codetab\"} or vector(0)", "{{instance}}"),
                    Panel::new(Kind::Series, "Requests", "By what became of them.")
                        .unit("reqps")
                        .query("sum by (outcome, reason) (rate(octroi_fallback_requests_total{codetab=\"$codetab\"}[$__rate_interval])) or vector(0)", "{{outcome}} {{reason}}"),
                    Panel::new(Kind::Series, "Customer interface", "Addresses that answer their probe.")
                        .query("octroi_customer_interface_healthy_addresses{codetab=\"$codetab\"} or vector(0)", "{{instance}}"),
                ],
            },
        ],
    }
}
