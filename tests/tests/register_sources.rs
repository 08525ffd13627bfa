//! Where registers come from: fetched from who publishes them, kept by their dates, real extracts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::io::Write;
use std::path::Path;

use certs::test_qtsp::{Authority, Recipe};
use certs::{Leaf, PspRole};
use harness::gateway::{Gateway, HOST, Place, path_text};
use harness::publisher::Publisher;
use harness::registers::{SIREN, Scene, register, text};
use harness::{eventually, run};
use serde_json::Value;

fn explained(place: &Place, at: &str) -> String {
    let (config, pem) = (place.file("octroi.toml"), place.file("old.pem"));
    let path = "/stet/psd2/v1.6.2/funds-confirmations";
    let fixed = ["explain", "--output", "json", "--host", HOST, "--path", path, "--at", at];
    let files = ["--config", path_text(&config), "--certificate", path_text(&pem)];
    let output = run(&[&fixed[..], &files].concat());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let check = report["checks"]
        .as_array()
        .and_then(|checks| checks.iter().find(|check| check["check"] == "register").cloned());
    match check {
        Some(check) => check["code"].as_str().unwrap_or("authorised").to_owned(),
        None => format!("{report:#}{}", text(&output)),
    }
}

#[test]
fn any_day_between_two_snapshots_is_judged_by_the_one_of_that_day() {
    let scene = Scene::open();
    let place = scene.gateway.leave();
    let eba = fs::read_to_string(place.file("register/eba.json")).unwrap();
    // What follows is another world than the one that the gateway has just left behind.
    fs::remove_dir_all(place.file("audit/worlds")).unwrap();
    fs::remove_dir_all(place.file("register/snapshots")).unwrap();
    let config = place.file("octroi.toml");
    let now = jiff::Timestamp::now();
    let days = |days: i64| (now - jiff::SignedDuration::from_hours(24 * days)).to_string();
    // A certificate that has been valid for two years, of a QTSP that was there before.
    let long_ago = now - jiff::SignedDuration::from_hours(24 * 800);
    let qtsp = Authority::generate("Old", long_ago).unwrap();
    let known = fs::read(place.file("tpp/funds-co/qwac.pem")).unwrap();
    let id = Leaf::from_pem(&known).unwrap().0.organisation_ids()[0].text.clone().unwrap();
    let mut recipe = Recipe::qwac("Funds Co", &id, &[PspRole::CardBasedInstruments], long_ago);
    recipe.not_after = now + jiff::SignedDuration::from_hours(24);
    fs::write(place.file("old.pem"), qtsp.issue(&recipe).unwrap().chain_pem().unwrap()).unwrap();
    fs::write(place.file("old-qtsp.pem"), qtsp.issuing_pem().unwrap()).unwrap();
    let mut document: toml::Table = fs::read_to_string(&config).unwrap().parse().unwrap();
    let trust = document["trust"].as_table_mut().unwrap();
    trust.insert("anchors".to_owned(), vec!["old-qtsp.pem"].into());
    trust.insert("crls".to_owned(), Vec::<String>::new().into());
    let unchecked = toml::Table::from_iter([("revocation_unchecked".to_owned(), true.into())]);
    document.insert("insecure".to_owned(), unchecked.into());
    fs::write(&config, document.to_string()).unwrap();
    let dated = |as_of: &str| {
        let text = fs::read_to_string(&config).unwrap();
        let lines = text.lines().map(|line| match line.split(" = ").next() {
            Some("as_of" | "metadata") => format!("as_of = {as_of}"),
            _ => line.to_owned(),
        });
        fs::write(&config, lines.collect::<Vec<_>>().join("\n")).unwrap();
    };
    // A year ago the firm was not there yet; then it was; a snapshot later it is gone without a trace.
    let without = |reference: &str| {
        let mut document: Value = serde_json::from_str(&eba).unwrap();
        document[1]
            .as_array_mut()
            .unwrap()
            .retain(|entity| !entity.to_string().contains(reference));
        document.to_string()
    };
    for (as_of, content) in [(days(400), without("999999901")), (days(30), eba.clone())] {
        dated(&as_of);
        fs::write(place.file("register/eba.json"), content).unwrap();
        let fetched = register(&["fetch"], &config);
        assert!(fetched.status.success(), "{}", text(&fetched));
    }
    assert_eq!(explained(&place, &days(399)), "register_undetermined");
    assert_eq!(explained(&place, &days(31)), "register_undetermined");
    assert_eq!(explained(&place, &days(29)), "authorised");
    assert_eq!(explained(&place, &days(0)), "authorised");
    let before = explained(&place, &days(500));
    assert!(before.contains("no snapshot of the registers was published by"), "{before}");
}

/// A gateway that fetches the EBA's register from `publisher`.
fn fetching(publisher: &Publisher, place: Place, every: &str) -> Gateway {
    Gateway::run_in(place, |config| {
        let register = config["register"].as_table_mut().unwrap();
        let mut eba = toml::Table::new();
        eba.insert("url".to_owned(), format!("{}/filemetadata", publisher.origin()).into());
        register.insert("eba".to_owned(), eba.into());
        register.insert("directory".to_owned(), "register/fetched".into());
        let mut fetch = toml::Table::new();
        fetch.insert("allow".to_owned(), vec![publisher.origin()].into());
        fetch.insert("every".to_owned(), every.into());
        register.insert("fetch".to_owned(), fetch.into());
    })
}

/// Publishes the archive of a register with its metadata, as the EBA does.
fn publish(publisher: &Publisher, day: u32, eba: &str, hash: Option<&str>) {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let plain =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    writer.start_file("download-PSDMD.json", plain).unwrap();
    writer.write_all(eba.as_bytes()).unwrap();
    writer.start_file("download-PSDMD.json.sha256", plain).unwrap();
    writer.write_all(hex::encode(certs::sha256(eba.as_bytes())).as_bytes()).unwrap();
    let archive = writer.finish().unwrap().into_inner();
    let path = format!("/golden/{day}/download.zip");
    let sha256 = hash.map_or_else(|| hex::encode(certs::sha256(&archive)), str::to_owned);
    publisher.publish(&path, archive, &format!("archive-{day}"));
    let metadata = serde_json::json!({
        "latest_version_relative_zip_path": format!("{day}/download.zip"),
        "latest_version_relative_zip_size": "1",
        "sha256_hash": sha256,
        "timestamp": format!("2026-11-{day:02}T00:00:16Z"),
        "golden_copy_path_context": format!("{}/golden/", publisher.origin()),
    });
    publisher.publish("/filemetadata", metadata.to_string(), &format!("metadata-{day}"));
}

#[test]
fn a_register_is_fetched_gone_on_with_after_a_cut_and_checked_by_both_hashes() {
    let publisher = Publisher::start();
    let scene = Scene::open();
    let (eba, token) = (scene.eba.clone(), scene.token.clone());
    let ended = scene.without(&[SIREN]);
    let place = scene.gateway.leave();
    publish(&publisher, 18, &eba, None);
    publisher.cut("/golden/18/download.zip", 1000);
    let config = place.file("changed.toml");

    // Nothing was fetched yet: the gateway does not start on nothing.
    let text_before = fs::read_to_string(place.file("octroi.toml")).unwrap();
    let mut document: toml::Table = text_before.parse().unwrap();
    let register_table = document["register"].as_table_mut().unwrap();
    let url = format!("{}/filemetadata", publisher.origin());
    register_table
        .insert("eba".to_owned(), toml::Table::from_iter([("url".to_owned(), url.into())]).into());
    register_table.insert("directory".to_owned(), "register/fetched".into());
    let mut fetch = toml::Table::new();
    fetch.insert("allow".to_owned(), vec![publisher.origin()].into());
    register_table.insert("fetch".to_owned(), fetch.into());
    fs::write(&config, document.to_string()).unwrap();
    let refused = run(&["run", "--config", path_text(&config)]);
    assert_eq!(refused.status.code(), Some(3));
    assert!(text(&refused).contains("octroi register fetch"), "{}", text(&refused));

    let cut = register(&["fetch"], &config);
    assert_eq!(cut.status.code(), Some(3), "{}", text(&cut));
    let whole = register(&["fetch"], &config);
    assert!(whole.status.success(), "{}", text(&whole));
    let ranges: Vec<_> = publisher.asked().into_iter().filter_map(|asked| asked.range).collect();
    assert_eq!(ranges, ["bytes=1000-"]);

    let gateway = fetching(&publisher, place, "1s");
    let mut connection = gateway.tpp("funds-co").connect(HOST).unwrap();
    let mut ask = || connection.exchange(&gateway.request(&token).octets()).unwrap();
    assert_eq!(ask().status, 200);
    // An archive that is not what its metadata say is thrown away.
    publish(&publisher, 19, &ended, Some(&"0".repeat(64)));
    eventually("the hash that is wrong", || {
        let failed = "octroi_register_refreshes_total{outcome=\"failed\"} ";
        let metrics = gateway.metrics();
        let line = metrics.lines().find(|line| line.starts_with(failed)).unwrap_or_default();
        (!line.is_empty() && !line.ends_with(" 0")).then_some(())
    });
    assert_eq!(ask().status, 200);
    publish(&publisher, 20, &ended, None);
    eventually("the withdrawal", || (ask().status == 403).then_some(()));
    // An older one comes back: it is held.
    publish(&publisher, 17, &eba, None);
    eventually("the alarm", || gateway.metrics().contains("octroi_register_held 1").then_some(()));
    assert_eq!(ask().code(), "register_withdrawn");
}

#[test]
fn real_shaped_extracts_account_for_every_row_and_find_every_tpp() {
    let shared =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/samples/eba/eba_realistic.json");
    if !shared.exists() {
        println!("skipped: {} is not here", shared.display());
        return;
    }
    let output = run(&["register", "lint", "--eba", path_text(&shared), "--output", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let account = &report["sources"][0]["account"];
    assert_eq!((&account["read"], &account["used"]), (&5.into(), &4.into()), "{report:#}");
    assert_eq!((&account["not_relevant"], &account["rejected"]), (&1.into(), &0.into()));
    let no_cib = report["findings"].as_array().unwrap().iter().filter(|f| f["kind"] == "no_cib");
    assert_eq!(no_cib.count(), 2, "French firms lead on only through REGAFI: {report:#}");
}
