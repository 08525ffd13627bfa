//! A log is judged once more, in the worlds that judged it: everything comes out as it stands there,
//! and what was changed since is found.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;

use certs::test_qtsp::responder::{Reply, Said};
use harness::gateway::{Gateway, HOST, PATH, Place, path_text};
use harness::registers::{SIREN, Scene, register, text};
use harness::replay::{calls, json, log_files, recorded, replay, sealed};
use harness::watched::{Names, reply, seconds, watched};
use serde_json::{Value, json};

/// Replays the log of `place`: nothing differs, and all came out but what was never judged.
#[track_caller]
fn all_equal(place: &Place, config: &str) -> Value {
    let unjudged: Vec<Value> = place
        .audit()
        .into_iter()
        .filter(|record| record["octroi.checks"] == json!([]))
        .map(|record| record["event.reason"].clone())
        .collect();
    assert!(unjudged.iter().all(|reason| reason == "request_malformed"), "{unjudged:?}");
    let malformed = u64::try_from(unjudged.len()).unwrap();
    let (report, code) = replay(&place.file(config));
    assert_eq!((report["different"].as_u64(), code), (Some(0), Some(0)), "{report:#}");
    let left_out = match malformed {
        0 => json!({}),
        count => json!({ "never_judged": count }),
    };
    assert_eq!(report["not_replayed"], left_out, "{report:#}");
    let records = report["records"].as_u64().unwrap();
    assert_eq!(report["equal"].as_u64().unwrap() + malformed, records, "{report:#}");
    report
}

#[test]
fn every_verdict_of_a_log_comes_out_as_it_was_recorded() {
    let gateway = Gateway::sandbox();
    let token = gateway.token("funds-co", "gilles", &[]);
    let count = calls(&gateway, &token).len();
    recorded(gateway.place(), count);
    let place = gateway.leave();
    let records = place.audit();
    let reasons: std::collections::BTreeSet<&str> =
        records.iter().filter_map(|record| record["event.reason"].as_str()).collect();
    for reason in
        ["role_missing", "path_unknown", "host_mismatch", "body_invalid", "token_other_tpp"]
    {
        assert!(reasons.contains(reason), "{reasons:?}");
    }
    let report = all_equal(&place, "octroi.toml");
    assert!(report["later_as_recorded"].as_u64().unwrap() >= 3, "{report:#}");
}

#[test]
fn a_log_that_saw_registers_overrides_and_restarts_change_comes_out_as_it_was_recorded() {
    let scene = Scene::open();
    let mut connection = scene.connect();
    assert_eq!(scene.ask(&mut connection).status, 200);
    let config = scene.config();
    let made = register(
        &[
            "override",
            "add",
            "PSDFR-ACPR-99901",
            "--withdrawn",
            "--until",
            "2027-06-01T00:00:00Z",
            "--because",
            "a test",
            "--by",
            "Ada",
            "--by",
            "Grace",
        ],
        &config,
    );
    assert!(made.status.success(), "{}", text(&made));
    scene.until(&mut connection, Some("register_withdrawn"));
    let back = register(&["override", "revoke", "1", "--by", "Ada"], &config);
    assert!(back.status.success(), "{}", text(&back));
    scene.until(&mut connection, Some("token_unknown"));
    let before = scene.snapshot();
    scene.publish(scene.without(&[SIREN]));
    scene.until(&mut connection, Some("register_withdrawn"));
    assert_ne!(scene.snapshot(), before);
    drop(connection);
    let place = scene.gateway.leave();

    // Another configuration: what it asked for lies only beside the log.
    let gateway = Gateway::run_in(place, |config| {
        config["api"][0]["required_roles"] = vec!["PSP_PI"].into();
    });
    let answers = calls(&gateway, "no-token-at-all");
    assert_eq!(answers[0].code(), "role_missing");
    recorded(gateway.place(), answers.len());
    let place = gateway.leave();
    let worlds = fs::read_dir(place.file("audit/worlds")).unwrap();
    let started = worlds.filter(|entry| {
        entry.as_ref().unwrap().path().extension().is_some_and(|extension| extension == "jsonl")
    });
    assert_eq!(started.count(), 2, "a file for each process");
    all_equal(&place, "octroi.toml");
}

#[test]
fn a_log_that_saw_revocations_come_in_comes_out_as_it_was_recorded() {
    let case = watched(Names::Both);
    let mut connection = case.client.connect(HOST).unwrap();
    assert_eq!(case.ask(&mut connection).code(), "revocation_unknown");
    case.lists(&[], -60, 3600);
    case.until(&mut connection, None);
    case.responds(Reply { this_update: seconds(0), ..reply(Said::Revoked(seconds(-60))) });
    case.until(&mut connection, Some("certificate_revoked"));
    drop(connection);
    let records = case.gateway.place().audit().len();
    recorded(case.gateway.place(), records);
    let place = case.gateway.leave();
    // What the gateway kept for its next start is not asked: only what lies beside the log.
    fs::remove_dir_all(place.file("revocation")).unwrap();
    all_equal(&place, "changed.toml");
}

#[test]
fn an_edited_record_is_told_with_its_file_and_line() {
    let gateway = Gateway::sandbox();
    let token = gateway.token("funds-co", "gilles", &[]);
    let count = calls(&gateway, &token).len();
    recorded(gateway.place(), count);
    let place = gateway.leave();
    let files = log_files(&place);
    let file = files.last().unwrap();
    let whole = fs::read_to_string(file).unwrap();
    let edited = whole.replacen("\"register_unknown\"", "\"register_withdrawn\"", 1);
    assert_ne!(edited, whole);
    let line = 1 + whole.lines().position(|line| line.contains("\"register_unknown\"")).unwrap();
    fs::write(file, &edited).unwrap();
    let (report, code) = replay(&place.file("octroi.toml"));
    assert_eq!((report["different"].as_u64(), code), (Some(1), Some(1)), "{report:#}");
    let told = &report["differences"][0];
    assert_eq!(told["line"], line, "{report:#}");
    assert_eq!(told["check"], "register");
    assert_eq!(told["recorded"], "register_withdrawn (register)");
    assert_eq!(told["replayed"], "register_unknown (register)");
    let record: Value = serde_json::from_str(edited.lines().nth(line - 1).unwrap()).unwrap();
    assert_eq!(told["request_id"], record["http.request.id"]);
}

#[test]
fn a_swapped_world_is_told_and_a_missing_part_is_no_equality() {
    let scene = Scene::open();
    let answers = calls(&scene.gateway, &scene.token);
    recorded(scene.gateway.place(), answers.len());
    let withdrawn = scene.snapshot();
    scene.publish(scene.without(&[SIREN]));
    harness::eventually("another snapshot", || (scene.snapshot() != withdrawn).then_some(()));
    let other = scene.snapshot();
    let place = scene.gateway.leave();
    let config = place.file("octroi.toml");
    all_equal(&place, "octroi.toml");

    // The register of the first world, by whoever can seal the line anew: every verdict that hangs on it
    // comes out differently, and so does the hash that the log names.
    let worlds = fs::read_dir(place.file("audit/worlds")).unwrap();
    let file = worlds.map(|entry| entry.unwrap().path()).find(|path| path.is_file()).unwrap();
    let whole = fs::read(&file).unwrap();
    let whole = String::from_utf8(whole).unwrap();
    fs::write(&file, sealed(&whole.replace(&withdrawn, &other))).unwrap();
    let (report, code) = replay(&config);
    assert_eq!(code, Some(1));
    let checks: Vec<&str> = report["differences"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| one["check"].as_str())
        .collect();
    assert!(checks.contains(&"world") && checks.contains(&"register"), "{report:#}");

    // Changed and not sealed: nothing is judged by it.
    fs::write(&file, whole.replacen(&withdrawn, &other, 1)).unwrap();
    let output = harness::run(&["audit", "replay", "--config", path_text(&config)]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output).contains("line 1"), "{}", text(&output));

    // A certificate that is gone, and a snapshot that was changed.
    fs::write(&file, &whole).unwrap();
    let snapshot = place.file(&format!("register/snapshots/{withdrawn}.json"));
    let bytes = fs::read(&snapshot).unwrap();
    // Before the directory held anything, the first world was written down with a snapshot of its own.
    fs::remove_file(place.file(&format!("audit/worlds/objects/{withdrawn}.json"))).unwrap();
    fs::write(&snapshot, [&bytes[..], b" "].concat()).unwrap();
    let (report, _) = replay(&config);
    assert!(report["not_replayed"]["world_unfit"].as_u64().unwrap() > 10, "{report:#}");
    fs::write(&snapshot, bytes).unwrap();
    fs::remove_dir_all(place.file("audit/certificates")).unwrap();
    let (report, code) = replay(&config);
    assert_eq!((report["equal"].as_u64(), code), (Some(0), Some(4)), "{report:#}");
    let lost = report["not_replayed"]["certificate_not_kept"].as_u64().unwrap();
    assert!(lost > 10 && report["lost"] == lost, "{report:#}");
    let accept = ["audit", "replay", "--accept-lost", "--config", path_text(&config)];
    let accepted = harness::run(&accept);
    assert_eq!(accepted.status.code(), Some(0));
    let told = format!("of {lost} nobody can tell");
    assert!(text(&accepted).contains(&told), "{}", text(&accepted));
}

#[test]
fn explain_tells_the_verdict_of_an_instant_in_the_world_of_then() {
    let scene = Scene::open();
    let mut connection = scene.connect();
    let answer = scene.ask(&mut connection);
    let then = scene.gateway.record_of(&answer)["@timestamp"].as_str().unwrap().to_owned();
    scene.publish(scene.without(&[SIREN]));
    scene.until(&mut connection, Some("register_withdrawn"));
    drop(connection);
    let gateway = Gateway::run_in(scene.gateway.leave(), |config| {
        config["api"][0]["required_roles"] = vec!["PSP_PI"].into();
    });
    let pem = gateway.place().file("tpp/funds-co/qwac.pem");
    let explain = |at: &[&str]| {
        let config = gateway.config_file();
        let fixed = [
            "explain",
            "--config",
            path_text(&config),
            "--certificate",
            path_text(&pem),
            "--host",
            HOST,
            "--path",
            PATH,
        ];
        json(&[&fixed, at].concat()).0
    };
    assert_eq!(explain(&[])["code"], "role_missing");
    let past = explain(&["--at", &then]);
    assert_eq!(past["code"], "token_missing", "{past:#}");
    assert!(past["world"].as_u64().is_some(), "{past:#}");
}
