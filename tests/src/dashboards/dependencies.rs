//! What a gateway depends on: Redis, registers, trust, revocation, seals, keys, the banks.

use super::{Dashboard, Kind, Panel, Row};

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        uid: "octroi-dependencies",
        title: "Octroi: dependencies",
        description: "What a gateway depends on: how old it is, whether it answers, what it was asked.",
        variables: Vec::new(),
        rows: vec![redis(), registers(), trust(), seals(), authorization(), banks()],
    }
}

fn redis() -> Row {
    Row {
        title: "Redis",
        panels: vec![
            Panel::new(Kind::Series, "Left alone", "1 while a gateway leaves Redis alone after failures.")
                .query("octroi_store_circuit_open", "{{instance}}")
                .alerts(&["OctroiStoreCircuitOpen"]),
            Panel::new(Kind::Series, "Away", "For how long Redis has not answered.")
                .unit("s")
                .query("time() - octroi_freshness_as_of_timestamp_seconds{source=\"store\"}", "{{instance}}")
                .alerts(&["OctroiStoreExpired"]),
            Panel::new(Kind::Series, "Tells of changes", "1 while Redis tells of every token that changes.")
                .query("octroi_store_tracking", "{{instance}}")
                .alerts(&["OctroiStoreNotTracking"]),
            Panel::new(Kind::Series, "Tokens out of memory while Redis was away", "A second.")
                .unit("ops")
                .query("rate(octroi_store_tokens_tolerated[$__rate_interval])", "{{instance}}"),
            Panel::new(Kind::Series, "In memory", "Token records, and counters of limits.")
                .query("octroi_store_tokens", "{{instance}} tokens")
                .query("octroi_store_buckets", "{{instance}} counters"),
            Panel::new(Kind::Series, "Gateways that share the limits", "As each last heard.")
                .query("octroi_store_gateways", "{{instance}} {{state}}")
                .query("octroi_store_alone", "{{instance}} alone")
                .alerts(&["OctroiGatewaysSilent", "OctroiStoreAlone"]),
            Panel::new(Kind::Series, "Questions about limits", "Scripts that Redis was asked to run.")
                .unit("ops")
                .query("rate(octroi_quota_questions_total[$__rate_interval])", "{{instance}}"),
            Panel::new(Kind::Series, "Refused by limits", "By the name of the limit.")
                .unit("reqps")
                .query("sum by (quota) (rate(octroi_quota_refused_total[$__rate_interval])) or vector(0)", "{{quota}}")
                .alerts(&["OctroiLimitsRefuse"]),
            Panel::new(Kind::Series, "Waiting for the store", "99th percentile.")
                .unit("s")
                .query("histogram_quantile(0.99, sum by (le) (rate(octroi_request_part_duration_seconds_bucket{part=\"store\"}[$__rate_interval])))", "p99"),
        ],
    }
}

fn registers() -> Row {
    Row {
        title: "Registers",
        panels: vec![
            Panel::new(Kind::Series, "Age", "Of the oldest file.")
                .unit("s")
                .query("time() - octroi_freshness_as_of_timestamp_seconds{source=\"register\"}", "{{instance}}")
                .alerts(&["OctroiRegisterOld", "OctroiRegisterStale"]),
            Panel::new(Kind::Stacked, "Refreshes", "Attempts, by outcome.")
                .unit("ops")
                .query("sum by (outcome) (rate(octroi_register_refreshes_total[$__rate_interval]))", "{{outcome}}")
                .alerts(&["OctroiRegisterRefreshFailing"]),
            Panel::new(Kind::Series, "Held", "1 while a person must accept a new snapshot.")
                .query("octroi_register_held", "{{instance}}")
                .alerts(&["OctroiRegisterHeld"]),
            Panel::new(Kind::Table, "Rows", "Of the files in force.")
                .query("octroi_register_rows", ""),
            Panel::new(Kind::Series, "Overrides and disagreements", "Decisions above the registers; organisations on which two registers contradict each other.")
                .query("max(octroi_register_overrides)", "overrides")
                .query("max(octroi_register_disagreements)", "disagreements"),
            Panel::new(Kind::Series, "Organisations", "That the registers know.")
                .query("octroi_register_organisations", "{{instance}}"),
        ],
    }
}

fn trust() -> Row {
    Row {
        title: "Trust and revocation",
        panels: vec![
            Panel::new(Kind::Series, "CAs that are believed", "Those that issue certificates of TPPs.")
                .query("octroi_trust_anchors", "{{instance}}")
                .alerts(&["OctroiNoAnchors"]),
            Panel::new(Kind::Series, "Trusted lists end in", "By territory.")
                .unit("s")
                .query("min by (territory) (octroi_trust_list_ends_in_seconds)", "{{territory}}")
                .alerts(&["OctroiTrustListEndsSoon", "OctroiTrustListsEnded"]),
            Panel::new(Kind::Series, "Imports of trusted lists", "By outcome.")
                .unit("ops")
                .query("sum by (outcome) (rate(octroi_trust_refreshes_total[$__rate_interval])) or vector(0)", "{{outcome}}")
                .alerts(&["OctroiTrustListsOld"]),
            Panel::new(Kind::Series, "Trusted lists can be read", "0: the snapshot was damaged or changed.")
                .query("octroi_trust_snapshot_readable", "{{instance}}")
                .alerts(&["OctroiTrustSnapshotUnreadable"]),
            Panel::new(Kind::Series, "Revocation answers", "CRLs and OCSP answers that count, and that have ended.")
                .query("sum by (source, state) (octroi_revocation_answers)", "{{source}} {{state}}")
                .alerts(&["OctroiCrlExpired", "OctroiOcspExpired"]),
            Panel::new(Kind::Series, "First answer ends in", "Negative: since.")
                .unit("s")
                .query("min by (source) (octroi_revocation_ends_in_seconds)", "{{source}}")
                .alerts(&["OctroiCrlOld"]),
            Panel::new(Kind::Stacked, "Questions to CRLs and responders", "By outcome.")
                .unit("ops")
                .query("sum by (source, outcome) (rate(octroi_revocation_fetches_total[$__rate_interval]))", "{{source}} {{outcome}}"),
            Panel::new(Kind::Series, "Watched", "Certificates of TPPs whose revocation is watched.")
                .query("octroi_revocation_watched", "{{instance}}"),
            Panel::new(Kind::Table, "Certificates of TPPs end", "Those for whom it is soonest, Unix time.")
                .query("octroi_tpp_certificate_ends_timestamp_seconds", "")
                .alerts(&["OctroiTppCertificateEndsSoon"]),
        ],
    }
}

fn seals() -> Row {
    Row {
        title: "Seals and JWTs",
        panels: vec![
            Panel::new(Kind::Series, "QSEALCs", "That are known.")
                .query("octroi_seals", "{{instance}}")
                .alerts(&["OctroiSealEndsSoon"]),
            Panel::new(Kind::Series, "Questions for QSEALCs", "By outcome.")
                .unit("ops")
                .query(
                    "sum by (outcome) (rate(octroi_seal_fetches_total[$__rate_interval]))",
                    "{{outcome}}",
                )
                .alerts(&["OctroiSealsOld"]),
            Panel::new(Kind::Series, "Keys of JWTs", "That are known.")
                .query("octroi_jwks_keys", "{{instance}}")
                .alerts(&["OctroiJwksExpired"]),
            Panel::new(Kind::Series, "Questions for the keys of JWTs", "By outcome.")
                .unit("ops")
                .query(
                    "sum by (outcome) (rate(octroi_jwks_fetches_total[$__rate_interval]))",
                    "{{outcome}}",
                )
                .alerts(&["OctroiJwksOld"]),
        ],
    }
}

fn authorization() -> Row {
    Row {
        title: "Authorization server and balance guard",
        panels: vec![
            Panel::new(Kind::Stacked, "OAuth requests", "By endpoint; a reason is a refusal.")
                .unit("reqps")
                .query("sum by (endpoint, reason) (rate(octroi_oauth_requests_total[$__rate_interval]))", "{{endpoint}} {{reason}}"),
            Panel::new(Kind::Stacked, "Customers who were sent here", "By what became of them.")
                .unit("ops")
                .query("sum by (event) (rate(octroi_consents_total[$__rate_interval])) or vector(0)", "{{event}}"),
            Panel::new(Kind::Series, "Searches for a balance", "Questions that look like one.")
                .unit("ops")
                .query("sum by (sign, action) (rate(octroi_balance_probing_total[$__rate_interval]))", "{{sign}} {{action}}")
                .alerts(&["OctroiBalanceProbing"]),
            Panel::new(Kind::Series, "Questions without their history", "The guard did not see.")
                .unit("ops")
                .query("rate(octroi_balance_guard_blind_total[$__rate_interval])", "{{instance}}")
                .alerts(&["OctroiBalanceGuardBlind"]),
        ],
    }
}

fn banks() -> Row {
    Row {
        title: "Banks",
        panels: vec![
            Panel::new(Kind::Series, "Addresses that answer their probe", "By codetab.")
                .query("sum by (codetab) (octroi_upstream_healthy_addresses)", "{{codetab}}")
                .alerts(&["OctroiUpstreamDown"]),
            Panel::new(Kind::Series, "Addresses that are left alone", "By codetab.")
                .query("sum by (codetab) (octroi_upstream_circuit_open)", "{{codetab}}")
                .alerts(&["OctroiUpstreamCircuitOpen"]),
            Panel::new(Kind::Series, "p99 of the adapter", "By codetab.")
                .unit("s")
                .query("histogram_quantile(0.99, sum by (codetab, le) (rate(octroi_request_part_duration_seconds_bucket{part=\"upstream\"}[$__rate_interval])))", "{{codetab}}"),
        ],
    }
}
