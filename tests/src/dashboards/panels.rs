//! Panels that several dashboards show, each of the requests that it is about: `of` is what their labels are
//! held to.

use super::{Kind, Panel};

/// Allowed, refused, aborted.
pub(super) fn by_outcome(of: &str) -> Panel {
    Panel::new(Kind::Stacked, "By outcome", "Allowed, refused, aborted.").unit("reqps").query(
        format!("sum by (outcome) (rate(octroi_requests_total{{{of}}}[$__rate_interval]))"),
        "{{outcome}}",
    )
}

/// Why they were refused.
pub(super) fn by_reason(of: &str) -> Panel {
    Panel::new(Kind::Stacked, "Refusals by reason", "Each reason has its page in the book.")
        .unit("reqps")
        .query(
            format!(
                "sum by (reason) (rate(octroi_requests_total{{{of},reason!=\"\"}}[$__rate_interval]))"
            ),
            "{{reason}}",
        )
}

/// How long those take that are permitted.
pub(super) fn duration(of: &str) -> Panel {
    let quantile = |q: &str| {
        format!(
            "histogram_quantile({q}, sum by (le) (rate(octroi_request_duration_seconds_bucket{{{of},outcome=\"allowed\"}}[$__rate_interval])))"
        )
    };
    Panel::new(Kind::Series, "Head to last byte", "Exemplars lead to the trace and the record.")
        .unit("s")
        .query(quantile("0.5"), "p50")
        .query(quantile("0.95"), "p95")
        .query(quantile("0.99"), "p99")
        .alerts(&["OctroiLatencyBudgetFast"])
}

/// How many of them take how long.
pub(super) fn distribution(of: &str) -> Panel {
    Panel::new(Kind::Heatmap, "Distribution", "Requests in each bucket of latency.")
        .unit("s")
        .width(24)
        .query(
            format!(
                "sum by (le) (increase(octroi_request_duration_seconds_bucket{{{of},outcome=\"allowed\"}}[$__rate_interval]))"
            ),
            "{{le}}",
        )
}
