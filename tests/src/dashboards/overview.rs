//! All banks, all gateways: is the goal met, and if not, where to look.

use super::model::{API, CODETAB};
use super::panels;
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
        rows: vec![goal(), requests(), latency(), standing(), change(), process()],
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
            panels::by_outcome(OURS),
            panels::by_reason(OURS),
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
    Row {
        title: "Latency of permitted requests",
        panels: vec![
            panels::duration(OURS),
            Panel::new(Kind::Stacked, "Where the time goes", "Mean of each part.")
                .unit("s")
                .query(
                    "sum by (part) (rate(octroi_request_part_duration_seconds_sum{codetab=~\"$codetab\"}[$__rate_interval])) / sum by (part) (rate(octroi_request_part_duration_seconds_count{codetab=~\"$codetab\"}[$__rate_interval]))",
                    "{{part}}",
                ),
            Panel::new(Kind::Series, "p99 by bank", "A slow core is one line.")
                .unit("s")
                .query("codetab:octroi_request_duration_seconds:p99_5m{codetab=~\"$codetab\"}", "{{codetab}}"),
            panels::distribution(OURS),
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

fn change() -> Row {
    Row {
        title: "Change",
        panels: vec![
            Panel::new(
                Kind::Stat,
                "Refused configurations",
                "Gateways that were given a configuration which they refused; they go on with the one before.",
            )
            .query("count(octroi_config_last_reload_successful == 0) or vector(0)", "gateways")
            .thresholds(1.0, 1.0)
            .alerts(&["OctroiReloadFailed"]),
            Panel::new(
                Kind::Stat,
                "Configurations in force",
                "How many different ones. Gateways that are to have the same show 1.",
            )
            .query("count(count by (sha256) (octroi_config_info))", "different"),
            Panel::new(Kind::Series, "Reloads", "Of the last hour, by what came of them.")
                .query(
                    "sum by (instance, outcome) (increase(octroi_config_reloads_total[1h]))",
                    "{{instance}} {{outcome}}",
                )
                .alerts(&["OctroiReloadFailed"]),
            Panel::new(Kind::Table, "Configuration in force", "Its SHA-256, by gateway.")
                .query("octroi_config_info", ""),
            Panel::new(
                Kind::Series,
                "Checks that are only observed",
                "What `insecure.observed_checks` let pass and would be refused without it, by check and reason.",
            )
            .unit("reqps")
            .width(16)
            .query(
                "sum by (check, reason) (rate(octroi_checks_observed_total[$__rate_interval])) or vector(0)",
                "{{check}} {{reason}}",
            ),
            Panel::new(Kind::Table, "Versions end", "Those whose end is set, Unix time.").query(
                "max by (api, version) (octroi_api_version_sunset_timestamp_seconds{api=~\"$api\"})",
                "",
            ),
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
