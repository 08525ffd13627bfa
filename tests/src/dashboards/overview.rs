//! All banks, all gateways: is the goal met, and if not, where to look.

use super::model::{API, CODETAB};
use super::{Dashboard, ERRORS, Kind, Panel, Row, Variable};

const OURS: &str = r#"codetab=~"$codetab",api=~"$api""#;

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        uid: "octroi-overview",
        title: "Octroi: overview",
        description: "All banks and gateways: requests, errors, latency, and what requests are judged by.",
        variables: vec![
            Variable { name: "codetab", label: "Codetab", query: CODETAB, multiple: true },
            Variable { name: "api", label: "API", query: API, multiple: true },
        ],
        rows: vec![goal(), requests(), latency(), standing(), process()],
    }
}

fn goal() -> Row {
    let errors = |range: &str| {
        format!(
            "(sum(increase(octroi_requests_total{{codetab=~\"$codetab\",reason=~\"{ERRORS}\"}}[{range}])) or vector(0))"
        )
    };
    let deserving = |range: &str| {
        let allowed = format!(
            "sum(increase(octroi_requests_total{{codetab=~\"$codetab\",outcome=\"allowed\"}}[{range}]))"
        );
        format!("({allowed} + {})", errors(range))
    };
    let share = |range: &str| format!("{} / {}", errors(range), deserving(range));
    Row {
        title: "Goal: 99.5 % of the requests that deserve an answer get one",
        panels: vec![
            Panel::new(
                Kind::Stat,
                "Budget left",
                "Of the errors that 90 days may have, so much is left.",
            )
            .unit("percentunit")
            .query(format!("1 - {} / 0.005", share("90d")), "left")
            .alerts(&["OctroiErrorBudgetFast", "OctroiErrorBudgetSlow"]),
            Panel::new(
                Kind::Stat,
                "Availability, 1 day",
                "Answered of those that deserved an answer.",
            )
            .unit("percentunit")
            .query(format!("1 - {}", share("1d")), "answered"),
            Panel::new(
                Kind::Stat,
                "Ready",
                "Gateways that accept work, of those that are scraped.",
            )
            .query("sum(octroi_ready)", "ready")
            .query("count(up{job=\"octroi\"})", "scraped")
            .alerts(&["OctroiNotReady", "OctroiDown"]),
            Panel::new(Kind::Stat, "Log", "Gateways that cannot write their access log.")
                .query("sum(octroi_audit_failing)", "failing")
                .thresholds(1.0, 1.0)
                .alerts(&["OctroiAuditFailing"]),
            Panel::new(
                Kind::Stat,
                "Worst step",
                "Of all that requests are judged by: 0 fresh, 1 tolerated, 2 expired.",
            )
            .query("max(octroi_freshness_step)", "step")
            .thresholds(1.0, 2.0)
            .alerts(&["OctroiRegisterStale", "OctroiStoreExpired"]),
            Panel::new(
                Kind::Stat,
                "Banks without adapter",
                "Codetabs of whose adapter no address answers.",
            )
            .query("count(octroi_upstream_healthy_addresses == 0) or vector(0)", "banks")
            .thresholds(1.0, 1.0)
            .alerts(&["OctroiUpstreamDown"]),
            Panel::new(
                Kind::Series,
                "Errors by bank",
                "Share of the requests that deserved an answer and got a 5xx.",
            )
            .unit("percentunit")
            .width(12)
            .query(
                "codetab:octroi_request_errors:ratio_rate5m{codetab=~\"$codetab\"}",
                "{{codetab}}",
            )
            .alerts(&["OctroiErrorBudgetFast"]),
            Panel::new(
                Kind::Series,
                "Burn rate",
                "1: the budget lasts exactly. Over 1 h it pages at 14.4.",
            )
            .width(12)
            .query(
                "codetab:octroi_request_errors:ratio_rate1h{codetab=~\"$codetab\"} / 0.005",
                "{{codetab}} 1 h",
            )
            .query(
                "codetab:octroi_request_errors:ratio_rate6h{codetab=~\"$codetab\"} / 0.005",
                "{{codetab}} 6 h",
            )
            .alerts(&["OctroiErrorBudgetFast", "OctroiErrorBudgetSlow"]),
        ],
    }
}

fn requests() -> Row {
    Row {
        title: "Requests",
        panels: vec![
            Panel::new(Kind::Stacked, "By outcome", "Allowed, refused, aborted.")
                .unit("reqps")
                .query(format!("sum by (outcome) (rate(octroi_requests_total{{{OURS}}}[$__rate_interval]))"), "{{outcome}}"),
            Panel::new(Kind::Stacked, "Refusals by reason", "Each reason has its page in the book.")
                .unit("reqps")
                .query(format!("sum by (reason) (rate(octroi_requests_total{{{OURS},reason!=\"\"}}[$__rate_interval]))"), "{{reason}}"),
            Panel::new(Kind::Stacked, "By bank, API and version", "The first five minutes of each rate are missing after a start.")
                .unit("reqps")
                .query("codetab_api_version:octroi_requests:rate5m{codetab=~\"$codetab\",api=~\"$api\"}", "{{codetab}} {{api}} {{version}}"),
            Panel::new(Kind::Series, "Under way", "Open TPP connections, and requests that are judged or served.")
                .query("sum(octroi_connections)", "connections")
                .query("sum(octroi_requests_in_flight)", "requests"),
            Panel::new(Kind::Stacked, "TLS handshakes", "By how they ended.")
                .unit("cps")
                .query("sum by (outcome) (rate(octroi_tls_handshakes_total[$__rate_interval]))", "{{outcome}}")
                .alerts(&["OctroiHandshakesFailing"]),
            Panel::new(Kind::Stacked, "Connections that we closed", "By which bound.")
                .unit("cps")
                .query("sum by (cause) (rate(octroi_connections_closed_total[$__rate_interval])) or vector(0)", "{{cause}}"),
        ],
    }
}

fn latency() -> Row {
    let quantile = |q: &str| {
        format!(
            "histogram_quantile({q}, sum by (le) (rate(octroi_request_duration_seconds_bucket{{{OURS},outcome=\"allowed\"}}[$__rate_interval])))"
        )
    };
    Row {
        title: "Latency of permitted requests",
        panels: vec![
            Panel::new(Kind::Series, "Head to last byte", "Exemplars lead to the trace and the record.")
                .unit("s")
                .query(quantile("0.5"), "p50")
                .query(quantile("0.95"), "p95")
                .query(quantile("0.99"), "p99")
                .alerts(&["OctroiLatencyBudgetFast"]),
            Panel::new(Kind::Stacked, "Where the time goes", "Mean of each part.")
                .unit("s")
                .query(
                    "sum by (part) (rate(octroi_request_part_duration_seconds_sum{codetab=~\"$codetab\"}[$__rate_interval])) / sum by (part) (rate(octroi_request_part_duration_seconds_count{codetab=~\"$codetab\"}[$__rate_interval]))",
                    "{{part}}",
                ),
            Panel::new(Kind::Series, "p99 by bank", "A slow core is one line.")
                .unit("s")
                .query("codetab:octroi_request_duration_seconds:p99_5m{codetab=~\"$codetab\"}", "{{codetab}}"),
            Panel::new(Kind::Heatmap, "Distribution", "Requests in each bucket of latency.")
                .unit("s")
                .width(24)
                .query(format!("sum by (le) (increase(octroi_request_duration_seconds_bucket{{{OURS},outcome=\"allowed\"}}[$__rate_interval]))"), "{{le}}"),
        ],
    }
}

fn standing() -> Row {
    Row {
        title: "What requests are judged by",
        panels: vec![
            Panel::new(Kind::Table, "Steps", "0 fresh, 1 tolerated, 2 expired.")
                .query("max by (source) (octroi_freshness_step)", "")
                .alerts(&[
                    "OctroiRegisterOld",
                    "OctroiTrustListsOld",
                    "OctroiCrlOld",
                    "OctroiJwksOld",
                ]),
            Panel::new(Kind::Series, "Ages", "Of the oldest part.").unit("s").query(
                "max by (source) (time() - octroi_freshness_as_of_timestamp_seconds)",
                "{{source}}",
            ),
            Panel::new(
                Kind::Series,
                "Certificates end in",
                "Server certificates, the next of the CAs that are believed, the next QSEALC.",
            )
            .unit("s")
            .query(
                "min by (listener) (octroi_server_certificate_ends_timestamp_seconds - time())",
                "{{listener}}",
            )
            .query(
                "min by (kind) (octroi_certificate_next_end_timestamp_seconds - time())",
                "{{kind}}",
            )
            .alerts(&["OctroiServerCertificateEndsSoon", "OctroiAnchorEndsSoon"]),
            Panel::new(
                Kind::Series,
                "Sizes",
                "CAs that are believed, organisations in the registers.",
            )
            .query("max(octroi_trust_anchors)", "CAs")
            .query("max(octroi_register_organisations)", "organisations")
            .alerts(&["OctroiNoAnchors"]),
            Panel::new(
                Kind::Series,
                "Records that wait for the disk",
                "When the queue is full, requests are refused.",
            )
            .query("max by (instance) (octroi_audit_outstanding_records)", "{{instance}}")
            .alerts(&["OctroiAuditQueueGrowing", "OctroiAuditFailing"]),
            Panel::new(
                Kind::Series,
                "Token: revoked to refused",
                "99th percentile; the promise is one second. No line: nothing was revoked.",
            )
            .unit("s")
            .query(
                "instance:octroi_token_time_to_kill_seconds:p99_10m or vector(0)",
                "{{instance}}",
            )
            .alerts(&["OctroiRevocationSlow"]),
        ],
    }
}

fn process() -> Row {
    Row {
        title: "Gateways",
        panels: vec![
            Panel::new(Kind::Series, "Processors", "Seconds of processor time a second.")
                .query(
                    "rate(process_cpu_seconds_total{job=\"octroi\"}[$__rate_interval])",
                    "{{instance}}",
                )
                .alerts(&["OctroiWorkersBusy"]),
            Panel::new(Kind::Series, "Worker threads busy", "Share of their time.")
                .unit("percentunit")
                .query("instance:octroi_runtime_busy:ratio_rate5m", "{{instance}}")
                .alerts(&["OctroiWorkersBusy"]),
            Panel::new(Kind::Series, "Memory", "Resident.")
                .unit("bytes")
                .query("process_resident_memory_bytes{job=\"octroi\"}", "{{instance}}"),
            Panel::new(Kind::Series, "File descriptors", "In use, of those that there may be.")
                .unit("percentunit")
                .query(
                    "process_open_fds{job=\"octroi\"} / process_max_fds{job=\"octroi\"}",
                    "{{instance}}",
                )
                .alerts(&["OctroiFileDescriptors"]),
            Panel::new(Kind::Series, "Tasks", "Alive, and waiting for a worker thread.")
                .query("octroi_runtime_tasks", "{{instance}} alive")
                .query("octroi_runtime_queued_tasks", "{{instance}} waiting"),
            Panel::new(Kind::Series, "Wall clock", "How often it was set by more than five seconds in the last hour, and how far it is behind the gateway's own time.")
                .query("sum by (instance, direction) (increase(octroi_clock_stepped_total[1h]))", "{{instance}} {{direction}}")
                .query("octroi_clock_behind_seconds", "{{instance}} seconds behind")
                .alerts(&["OctroiClockStepped"]),
            Panel::new(Kind::Table, "Versions", "What runs.")
                .width(16)
                .query("octroi_build_info", ""),
            Panel::new(Kind::Table, "Starts", "When each gateway was started, Unix time.")
                .query("process_start_time_seconds{job=\"octroi\"}", "")
                .alerts(&["OctroiRestarting"]),
        ],
    }
}
