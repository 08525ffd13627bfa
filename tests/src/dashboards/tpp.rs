//! One TPP, of those that ask most; of all others the access log tells.

use super::{Dashboard, Kind, Panel, Row, Variable};

const HINTS: &str = "Only the TPPs that ask most have series (`metrics.top_tpps`). The access log has every call \
of every TPP:\n\n```\noctroi audit search --dir /var/lib/octroi/audit --tpp '$organisation_id' --from -1h\n\
octroi audit search --dir /var/lib/octroi/audit --tpp '$organisation_id' --reason quota_exceeded\noctroi tpp show '$organisation_id'\n\
```\n\nIn a log store that was given the records: `organization.id: \"$organisation_id\" and octroi.outcome: refused`.";

pub(super) fn dashboard() -> Dashboard {
    let one = r#"organisation_id="$organisation_id""#;
    Dashboard {
        uid: "octroi-tpp",
        title: "Octroi: one TPP",
        description: "One of the TPPs that ask most: its requests, its limits, its certificates.",
        variables: vec![Variable {
            name: "organisation_id",
            label: "Organisation",
            query: "label_values(octroi_tpp_requests_total, organisation_id)",
            multiple: false,
        }],
        rows: vec![
            Row {
                title: "$organisation_id",
                panels: vec![
                    Panel::new(Kind::Stacked, "Requests", "By outcome.")
                        .unit("reqps")
                        .query(format!("sum by (outcome) (rate(octroi_tpp_requests_total{{{one}}}[$__rate_interval]))"), "{{outcome}}"),
                    Panel::new(Kind::Series, "Refused", "Share of its requests.")
                        .unit("percentunit")
                        .query(format!("sum(rate(octroi_tpp_requests_total{{{one},outcome=\"refused\"}}[$__rate_interval])) / sum(rate(octroi_tpp_requests_total{{{one}}}[$__rate_interval]))"), "refused"),
                    Panel::new(Kind::Series, "Limits in use", "At 1 the next request is refused.")
                        .unit("percentunit")
                        .query(format!("max by (quota) (octroi_tpp_quota_used_ratio{{{one}}}) or vector(0)"), "{{quota}}")
                        .alerts(&["OctroiTppNearLimit", "OctroiLimitsRefuse"]),
                    Panel::new(Kind::Table, "Certificates end", "The last of each kind, Unix time; told of the TPPs whose certificates end first, where revocation is watched.")
                        .query(format!("octroi_tpp_certificate_ends_timestamp_seconds{{{one}}} or vector(0)"), "")
                        .alerts(&["OctroiTppCertificateEndsSoon"]),
                    Panel::new(Kind::Series, "Beside the others", "Requests of the TPPs that ask most.")
                        .unit("reqps")
                        .width(16)
                        .query("sum by (organisation_id) (rate(octroi_tpp_requests_total[$__rate_interval]))", "{{organisation_id}}"),
                ],
            },
            Row {
                title: "In the access log",
                panels: vec![Panel::new(Kind::Text, "Where to look", HINTS)],
            },
        ],
    }
}
