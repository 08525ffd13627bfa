//! `octroi audit` on logs that a gateway has really written: through a stop, a start, and a kill.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::process::{Command, Output};

use harness::gateway::{Gateway, Place};
use harness::octroi;
use serde_json::Value;

fn audit(place: &Path, arguments: &[&str]) -> Output {
    Command::new(octroi())
        .arg("audit")
        .args(arguments)
        .arg("--config")
        .arg(place.join("octroi.toml"))
        .env("OCTROI_AUDIT_INDEXES", place.join("indexes"))
        .output()
        .unwrap()
}

fn verified(place: &Place) -> (Option<i32>, Value) {
    let output = audit(&place.dir(), &["verify", "--output", "json"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), serde_json::from_slice(&output.stdout).expect(&told))
}

/// Calls that are let through and calls that are not; the ids of both.
fn calls(gateway: &Gateway, token: &str) -> (String, String) {
    let allowed = gateway.tpp("funds-co").send(&gateway.request(token));
    assert_eq!(allowed.status, 200, "{}", gateway.place().log());
    let refused = gateway.tpp("withdrawn").send(&gateway.request(token));
    assert_eq!(refused.code(), "register_withdrawn");
    let id =
        |answer: &harness::client::Answer| answer.header("octroi-request-id").unwrap().to_owned();
    (id(&allowed), id(&refused))
}

#[test]
fn what_a_gateway_wrote_through_stops_and_kills_is_good_and_tells_each_call() {
    let gateway = Gateway::sandbox();
    let token = gateway.token("funds-co", "gilles", &[]);
    let (allowed, refused) = calls(&gateway, &token);
    let place = gateway.leave();
    let (code, report) = verified(&place);
    assert_eq!((code, report["fault_count"].as_u64()), (Some(0), Some(0)), "{report}");
    assert_eq!(
        (report["unsworn"].as_u64(), report["notes"].as_array().unwrap().len()),
        (Some(0), 0)
    );

    let gateway = Gateway::in_place(place);
    let later = calls(&gateway, &token);
    let place = gateway.kill();
    let gateway = Gateway::in_place(place);
    calls(&gateway, &token);
    let place = gateway.leave();
    let (code, report) = verified(&place);
    assert_eq!(code, Some(0), "{report}");
    assert!(
        report["files"].as_u64() >= Some(3) && report["requests"].as_u64() >= Some(6),
        "{report}"
    );
    assert!(report["notes"].to_string().contains("not closed"), "{report}");

    for id in [&allowed, &later.0] {
        let text = String::from_utf8(audit(&place.dir(), &["show", id]).stdout).unwrap();
        for word in ["allowed", "trust", "passed", "permitted", "after the request", "upstream"] {
            assert!(text.contains(word), "{word} in\n{text}");
        }
    }
    let text = String::from_utf8(audit(&place.dir(), &["show", &refused]).stdout).unwrap();
    assert!(text.contains("FAILED: eba_register"), "{text}");

    let found = audit(&place.dir(), &["search", "--reason", "register_withdrawn", "--count"]);
    assert_eq!(String::from_utf8(found.stdout).unwrap().trim(), "3");
    let exported = audit(&place.dir(), &["export", "--format", "ocsf", "--request-id", &refused]);
    let event: Value = serde_json::from_slice(&exported.stdout).unwrap();
    assert_eq!(
        (event["class_uid"].as_u64(), event["type_uid"].as_u64()),
        (Some(4002), Some(400_206))
    );
}
