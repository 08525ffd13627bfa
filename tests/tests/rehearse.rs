//! Yesterday's traffic against tomorrow's configuration or register: exact counts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::PathBuf;

use harness::gateway::{Gateway, PATH, Place, path_text};
use harness::registers::{SIREN, Scene};
use harness::replay::{calls, json, recorded};
use serde_json::{Value, json};

/// A log: three calls of a TPP of one role that are answered, two of one of several roles that are not
/// (the token is another's), one of a withdrawn TPP.
fn logged() -> (Place, String) {
    let scene = Scene::open();
    let gateway = &scene.gateway;
    for (tpp, count) in [("funds-co", 3), ("multi-role", 2), ("withdrawn", 1)] {
        for _ in 0..count {
            gateway.tpp(tpp).send(&gateway.request(&scene.token));
        }
    }
    recorded(gateway.place(), 6);
    let changed = scene.without(&[SIREN]);
    let place = scene.gateway.leave();
    (place, changed)
}

/// The records of calls of the API.
fn asked(place: &Place) -> Vec<Value> {
    place.audit().into_iter().filter(|record| record["url.path"] == PATH).collect()
}

/// The configuration of `place`, changed, in a file of its own.
fn changed(place: &Place, name: &str, change: impl FnOnce(&mut toml::Table)) -> PathBuf {
    let mut config = place.config();
    change(&mut config);
    let file = place.file(name);
    fs::write(&file, toml::to_string(&config).unwrap()).unwrap();
    file
}

fn rehearse(config: &std::path::Path, further: &[&str]) -> (Value, Option<i32>) {
    json(&[&["rehearse", "--config", path_text(config)], further].concat())
}

#[test]
fn the_same_configuration_and_register_change_nothing() {
    let gateway = Gateway::sandbox();
    let token = gateway.token("funds-co", "gilles", &[]);
    let count = calls(&gateway, &token).len();
    recorded(gateway.place(), count);
    let place = gateway.leave();
    let (report, code) = rehearse(&place.file("octroi.toml"), &[]);
    assert_eq!((&report["changes"], code), (&json!({}), Some(0)), "{report:#}");
    assert_eq!(report["judged"], report["unchanged"]);
    assert!(report["judged"].as_u64().unwrap() > 15, "{report:#}");
}

#[test]
fn a_register_that_withdraws_one_tpp_refuses_exactly_its_calls() {
    let (place, changed) = logged();
    let register = place.file("tomorrow.json");
    fs::write(&register, changed).unwrap();
    let (report, code) =
        rehearse(&place.file("octroi.toml"), &["--register", path_text(&register)]);
    let refused = &report["changes"]["would_be_refused"];
    assert_eq!((refused["calls"].as_u64(), code), (Some(3), Some(1)), "{report:#}");
    assert_eq!(refused["by_reason"], json!({ "register_withdrawn": 3 }));
    assert_eq!(refused["by_tpp"], json!({ "PSDFR-ACPR-99901": 3 }));
    assert_eq!(refused["by_codetab"], json!({ "17515": 3 }));
    let ids: Vec<Value> = asked(&place)[..3].iter().map(|r| r["http.request.id"].clone()).collect();
    let told: Vec<Value> = refused["examples"]
        .as_array()
        .unwrap()
        .iter()
        .map(|example| example["request_id"].clone())
        .collect();
    assert_eq!(told, ids);
    assert_eq!(report["unchanged"], place.audit().len() - 3);
}

#[test]
fn a_role_that_is_asked_for_no_more_lets_calls_come_further_and_another_refuses_them() {
    let (place, _) = logged();
    // The withdrawn TPP would be let in by nobody.
    let file = changed(&place, "pisp.toml", |config| {
        config["api"][0]["required_roles"] = vec!["PSP_PI"].into();
    });
    let (report, code) = rehearse(&file, &[]);
    let refused = &report["changes"]["would_be_refused"];
    assert_eq!((refused["calls"].as_u64(), code), (Some(3), Some(1)), "{report:#}");
    assert_eq!(refused["by_reason"], json!({ "role_missing": 3 }));
    let output = harness::run(&["rehearse", "--config", path_text(&file)]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("3 allowed, and would be refused"), "{text}");
    assert!(text.contains("role_missing"), "{text}");

    // What was refused for its role would come to its token, once the role is asked for no more.
    let gateway = Gateway::run_in(place, |config| {
        config["api"][0]["required_roles"] = vec!["PSP_PI"].into();
    });
    let count = gateway.place().audit().len();
    gateway.tpp("funds-co").send(&gateway.request("no-token"));
    recorded(gateway.place(), count + 1);
    let place = gateway.leave();
    let from = place.audit().last().unwrap()["@timestamp"].as_str().unwrap().to_owned();
    let (report, code) = rehearse(&place.file("octroi.toml"), &["--from", &from]);
    assert_eq!(code, Some(0), "{report:#}");
    let further = &report["changes"]["would_come_further"];
    assert_eq!(further["calls"], 1, "{report:#}");
    assert_eq!(further["by_reason"], json!({ "role_missing": 1 }));
}

#[test]
fn a_narrower_limit_refuses_the_calls_that_it_has_no_room_for() {
    let (place, _) = logged();
    let file = changed(&place, "narrow.toml", |config| {
        config["quota"]["sandbox"] = toml::toml! {
            requests = 1
            period = "1h"
            burst = 2
        }
        .into();
    });
    let (report, code) = rehearse(&file, &[]);
    let refused = &report["changes"]["would_be_refused"];
    assert_eq!((refused["calls"].as_u64(), code), (Some(1), Some(1)), "{report:#}");
    assert_eq!(refused["by_reason"], json!({ "quota_exceeded": 1 }));
    assert_eq!(report["limits"]["sandbox"], json!({ "counted": 3, "refused": 1 }));
    assert_eq!(refused["examples"][0]["request_id"], asked(&place)[2]["http.request.id"]);
    // By accounts nobody can count.
    let file = changed(&place, "account.toml", |config| {
        let quota = config["quota"]["sandbox"].as_table_mut().unwrap();
        quota.insert("per".to_owned(), vec!["account"].into());
    });
    let (report, _) = rehearse(&file, &[]);
    assert!(report["limits_left_out"]["sandbox"].as_str().unwrap().contains("account"));
}

#[test]
fn a_check_that_is_observed_lets_pass_counts_and_a_rehearsal_tells_what_enforcing_would_refuse() {
    let sandbox = Gateway::sandbox();
    let token = sandbox.token("funds-co", "gilles", &[]);
    let gateway = Gateway::run_in(sandbox.leave(), |config| {
        let insecure = toml::toml! { observed_checks = ["register", "quota"] };
        config.insert("insecure".to_owned(), insecure.into());
    });
    let client = gateway.tpp("funds-co");
    assert_eq!(client.send(&gateway.request(&token)).status, 200);
    // The registers list it as withdrawn: it comes to its token, which is another's.
    let answer = gateway.tpp("withdrawn").send(&gateway.request(&token));
    assert_eq!(answer.code(), "token_other_tpp");
    let record = gateway.record_of(&answer);
    let checks = record["octroi.checks"].as_array().unwrap();
    let register = checks.iter().find(|check| check["check"] == "register").unwrap();
    assert_eq!(register["warning"], "register_withdrawn", "{record:#}");
    assert_eq!(register["passed"], true);
    let line = "octroi_checks_observed_total{check=\"register\",reason=\"register_withdrawn\"} 1";
    assert!(gateway.metrics().contains(line));
    let place = gateway.leave();
    assert!(place.log().contains("calls that the check `register` should refuse are let in"));
    let (report, code) =
        json(&["audit", "replay", "--config", path_text(&place.file("changed.toml"))]);
    assert_eq!((report["different"].as_u64(), code), (Some(0), Some(0)), "{report:#}");
    // Enforced, the call of the withdrawn TPP is refused earlier.
    let (report, _) = rehearse(&place.file("octroi.toml"), &[]);
    let other = &report["changes"]["other_reason"];
    assert_eq!(other["by_reason"]["token_other_tpp → register_withdrawn"], 1, "{report:#}");
}
