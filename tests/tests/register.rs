//! The registers of a running gateway: what changes in them, what is held, what people decide.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use certs::test_qtsp::{Authority, Recipe};
use certs::{Leaf, PspRole};
use harness::client::{Answer, Connection};
use harness::gateway::{Gateway, HOST, Place, path_text};
use harness::publisher::Publisher;
use harness::{eventually, run};
use serde_json::Value;

/// The record of `funds-co` in the EBA's register, by its SIREN.
const SIREN: &str = "999999901";

fn register(verb: &[&str], config: &Path) -> Output {
    run(&[&["register"], verb, &["--config", path_text(config)]].concat())
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// A sandbox with one open connection that is answered.
struct Scene {
    gateway: Gateway,
    token: String,
    eba: String,
}

impl Scene {
    fn new() -> Self {
        let gateway = Gateway::sandbox();
        let token = gateway.token("funds-co", "gilles", &[]);
        let eba = fs::read_to_string(gateway.place().file("register/eba.json")).unwrap();
        let scene = Self { gateway, token, eba };
        eventually("the first snapshot", || (scene.list()["snapshot"].is_string()).then_some(()));
        scene
    }

    fn config(&self) -> std::path::PathBuf {
        self.gateway.place().file("octroi.toml")
    }

    fn list(&self) -> Value {
        let output = register(&["list", "--output", "json"], &self.config());
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    fn snapshot(&self) -> String {
        self.list()["snapshot"].as_str().unwrap_or_default().to_owned()
    }

    fn connect(&self) -> Connection {
        self.gateway.tpp("funds-co").connect(HOST).unwrap()
    }

    fn ask(&self, connection: &mut Connection) -> Answer {
        connection.exchange(&self.gateway.request(&self.token).octets()).unwrap()
    }

    #[track_caller]
    fn until(&self, connection: &mut Connection, code: Option<&str>) {
        eventually(&format!("{code:?}"), || {
            let answer = self.ask(connection);
            let found = (answer.status != 200).then(|| answer.code());
            (found.as_deref() == code).then_some(())
        });
    }

    /// Puts another EBA register in the place of the old one, as an operator would.
    fn publish(&self, octets: impl AsRef<[u8]>) {
        let file = self.gateway.place().file("register/eba.json");
        let new = self.gateway.place().file("register/eba.new");
        fs::write(&new, octets).unwrap();
        fs::rename(&new, &file).unwrap();
    }

    /// The register with the authorisation of these references ended.
    fn without(&self, references: &[&str]) -> String {
        let mut document: Value = serde_json::from_str(&self.eba).unwrap();
        for entity in document[1].as_array_mut().unwrap() {
            let properties = entity["Properties"].as_array_mut().unwrap();
            let matches = |property: &Value| {
                references.iter().any(|reference| property["ENT_NAT_REF_COD"] == **reference)
            };
            if properties.iter().any(matches) {
                for property in properties.iter_mut().filter(|one| one["ENT_AUT"].is_array()) {
                    property["ENT_AUT"].as_array_mut().unwrap().push("2026-11-01".into());
                }
            }
        }
        document.to_string()
    }

    fn counted(&self, series: &str) -> f64 {
        let metrics = self.gateway.metrics();
        let line = metrics.lines().find(|line| line.starts_with(series)).unwrap_or_default();
        line.rsplit(' ').next().and_then(|value| value.parse().ok()).unwrap_or(-1.0)
    }

    fn failures(&self) -> f64 {
        self.counted("octroi_register_refreshes_total{outcome=\"failed\"}")
    }

    fn events(&self, event: &str) -> Vec<Value> {
        self.gateway.place().events().into_iter().filter(|line| line["event"] == event).collect()
    }
}

#[test]
fn a_withdrawal_that_is_published_ends_an_open_connection_without_a_restart() {
    let scene = Scene::new();
    let mut connection = scene.connect();
    assert_eq!(scene.ask(&mut connection).status, 200);
    let before = scene.snapshot();
    scene.publish(scene.without(&[SIREN]));
    scene.until(&mut connection, Some("register_withdrawn"));
    let after = scene.snapshot();
    assert_ne!(before, after);
    eventually("the event in the log", || {
        scene.events("register_in_force").iter().any(|e| e["subject"] == *after).then_some(())
    });
    let record = scene.gateway.record_of(&scene.ask(&mut connection));
    assert_eq!(record["code"], "register_withdrawn");

    // Both stay in the archive, and what was before can be put in force again, by name.
    let config = scene.config();
    let all = text(&register(&["list", "--all"], &config));
    assert_eq!(all.lines().count(), 2, "{all}");
    let accepted = register(&["accept", &before[..12], "--by", "Ada"], &config);
    assert!(accepted.status.success(), "{}", text(&accepted));
    scene.until(&mut connection, None);
    eventually("who did it", || {
        scene.events("register_in_force").iter().any(|e| e["by"][0] == "Ada").then_some(())
    });
    let changed = register(&["diff", &after[..12]], &config);
    assert_eq!(changed.status.code(), Some(1));
    assert!(text(&changed).contains("would let in 1 more"), "{}", text(&changed));
}

#[test]
fn a_snapshot_that_would_refuse_too_many_is_held_until_a_person_accepts_it_by_name() {
    let scene = Scene::new();
    for (tpp, tokens) in [("multi-role", 2), ("account-info", 1)] {
        for _ in 0..tokens {
            let _ = scene.gateway.token(tpp, "gilles", &[]);
        }
    }
    let mut connection = scene.connect();
    scene.publish(scene.without(&[SIREN, "99999902"]));
    eventually("the alarm", || (scene.counted("octroi_register_held") == 1.0).then_some(()));
    assert_eq!(scene.ask(&mut connection).status, 200, "the old register serves");
    let told = text(&register(&["diff"], &scene.config()));
    assert!(told.contains("would refuse 2 of 3 known TPPs, who hold 3 live tokens"), "{told}");
    assert!(
        told.contains("would be refused: PSDFR-ACPR-99901 (withdrawn), 1 live tokens"),
        "{told}"
    );
    let held = scene.list()["held"]["snapshot"].as_str().unwrap().to_owned();
    assert_eq!(scene.events("register_held").len(), 1);

    assert_eq!(
        register(&["accept", "0000", "--by", "Ada"], &scene.config()).status.code(),
        Some(3)
    );
    assert_eq!(register(&["accept", &held, "--by", " "], &scene.config()).status.code(), Some(2));
    assert!(register(&["accept", &held, "--by", "Ada"], &scene.config()).status.success());
    scene.until(&mut connection, Some("register_withdrawn"));
    eventually("the end of the alarm", || {
        (scene.counted("octroi_register_held") == 0.0).then_some(())
    });
}

fn zip_of(name: &str, body: &[u8]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
    writer.write_all(body).unwrap();
    writer.finish().unwrap().into_inner()
}

#[test]
fn whatever_is_published_instead_of_a_register_the_old_one_serves_and_the_alarm_rises() {
    let scene = Scene::new();
    let mut connection = scene.connect();
    let before = scene.snapshot();
    let eba = scene.eba.clone();
    let first = eba.find("{\"CA_OwnerID\"").unwrap();
    let one_row = format!("{}{}]]", &eba[..first], eba[first..].split(",\n").next().unwrap());
    let mut bomb = b"[[],[".to_vec();
    bomb.extend(vec![b' '; 300 << 20]);
    let mut flipped = eba.clone().into_bytes();
    flipped[first + 3] ^= 0x80;
    for (name, octets) in [
        ("cut", eba.as_bytes()[..eba.len() / 2].to_vec()),
        ("an error page", b"<!DOCTYPE html><html>503</html>".to_vec()),
        ("null", b"null".to_vec()),
        ("no rows", b"[[],[]]".to_vec()),
        ("rows of nothing", b"[[],[{},{}]]".to_vec()),
        ("twice", [eba.as_bytes(), eba.as_bytes()].concat()),
        ("UTF-16", eba.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("Latin-1", eba.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect()),
        ("a flipped octet", flipped),
        ("deep", [b"[[],[".to_vec(), vec![b'['; 200_000]].concat()),
        ("an archive that is cut", zip_of("r.json", eba.as_bytes())[..200].to_vec()),
        ("an archive of nothing", zip_of("readme.txt", b"x")),
        ("an archive of blanks", zip_of("r.json", &bomb)),
    ] {
        let failures = scene.failures();
        scene.publish(&octets);
        eventually(name, || (scene.failures() > failures).then_some(()));
        assert_eq!(scene.ask(&mut connection).status, 200, "{name}");
        assert_eq!(scene.snapshot(), before, "{name}");
    }
    let status = fs::read_to_string(format!("/proc/{}/status", scene.gateway.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    let peak: u64 = peak.trim().trim_end_matches("kB").trim().parse().unwrap();
    println!("F14: the gateway's memory at its peak: {} MiB", peak / 1024);
    assert!(peak < 256 * 1024, "{peak} KiB");
    let told = scene.events("register_refused");
    assert!(told.len() >= 13, "{told:#?}");
    let all_say_where =
        told.iter().all(|event| event["detail"].as_str().unwrap().contains("register/eba.json"));
    assert!(all_say_where, "{told:#?}");

    // Read, but ten times smaller: held.
    scene.publish(&one_row);
    eventually("ten times smaller", || {
        (scene.counted("octroi_register_held") == 1.0).then_some(())
    });
    assert_eq!(scene.snapshot(), before);
    // The same in an archive, and the old one again: nothing to do.
    scene.publish(zip_of("download-PSDMD.json", eba.as_bytes()));
    eventually("what is in force, in an archive", || {
        let unchanged = "octroi_register_refreshes_total{outcome=\"unchanged\"}";
        (scene.counted(unchanged) >= 1.0).then_some(())
    });
    assert_eq!(scene.ask(&mut connection).status, 200);
}

#[test]
fn no_request_is_judged_by_half_a_snapshot_while_many_are_swapped() {
    let scene = Scene::new();
    let mut connection = scene.connect();
    let authorised = scene.snapshot();
    scene.publish(scene.without(&[SIREN]));
    scene.until(&mut connection, Some("register_withdrawn"));
    let withdrawn = scene.snapshot();
    let config = scene.config();

    let over = Arc::new(AtomicBool::new(false));
    let (good, bad) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..64)
        .map(|_| {
            let client = scene.gateway.tpp("funds-co");
            let octets = scene.gateway.request(&scene.token).octets();
            let (over, good, bad) = (Arc::clone(&over), Arc::clone(&good), Arc::clone(&bad));
            std::thread::spawn(move || {
                let mut connection = client.connect(HOST).unwrap();
                while !over.load(Ordering::Relaxed) {
                    let answer = connection.exchange(&octets).unwrap();
                    match (
                        answer.status,
                        answer.status != 200 && answer.code() == "register_withdrawn",
                    ) {
                        (200, _) => good.fetch_add(1, Ordering::Relaxed),
                        (403, true) => bad.fetch_add(1, Ordering::Relaxed),
                        other => panic!("{other:?}: {}", answer.json()),
                    };
                    std::thread::sleep(Duration::from_millis(20));
                }
            })
        })
        .collect();
    let mut slowest = Duration::ZERO;
    for swap in 0..50 {
        let (name, code) = match swap % 2 {
            0 => (&authorised, None),
            _ => (&withdrawn, Some("register_withdrawn")),
        };
        let began = Instant::now();
        assert!(register(&["accept", name, "--by", "Ada"], &config).status.success());
        scene.until(&mut connection, code);
        slowest = slowest.max(began.elapsed());
        // Once one connection has seen it, every later request on any connection sees it.
        let again = scene.ask(&mut scene.connect());
        assert_eq!((again.status == 200), code.is_none(), "swap {swap}");
    }
    over.store(true, Ordering::Relaxed);
    clients.into_iter().for_each(|client| client.join().unwrap());
    let (good, bad) = (good.load(Ordering::Relaxed), bad.load(Ordering::Relaxed));
    assert!(good > 0 && bad > 0, "{good} {bad}");
    println!(
        "50 swaps: {good} allowed, {bad} withdrawn; slowest from `accept` to effect {slowest:?}"
    );
}

#[test]
fn a_decision_of_two_people_stands_above_the_registers_until_it_is_taken_back() {
    let scene = Scene::new();
    let mut connection = scene.connect();
    scene.publish(scene.without(&[SIREN]));
    scene.until(&mut connection, Some("register_withdrawn"));
    let config = scene.config();
    let add = ["override", "add", "PSDFR-ACPR-99901", "--authorised", "PS_05A"];
    let for_a_day = ["--until", "2099-01-01T00:00:00Z", "--because", "the ACPR's letter of today"];
    let tomorrow = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24)).to_string();
    let mut good = for_a_day;
    good[1] = &tomorrow;
    for (by, with) in [
        (&["--by", "Ada"][..], good),
        (&["--by", "Ada", "--by", "ada "], good),
        (&["--by", "Ada", "--by", "Bob"], for_a_day),
    ] {
        let refused = register(&[&add[..], &with, by].concat(), &config);
        assert_eq!(refused.status.code(), Some(2), "{by:?}: {}", text(&refused));
    }
    let added = register(&[&add[..], &good, &["--by", "Ada", "--by", "Bob"]].concat(), &config);
    assert!(added.status.success(), "{}", text(&added));
    scene.until(&mut connection, None);
    let answer = scene.ask(&mut connection);
    let record = scene.gateway.record_of(&answer);
    let checks = record["checks"].as_array().unwrap();
    assert!(checks.iter().any(|check| check["source"] == "register_override"), "{record:#}");
    let event = &scene.events("register_override")[0];
    assert_eq!((&event["by"][0], &event["by"][1]), (&"Ada".into(), &"Bob".into()));
    let shown = text(&register(&["show", "PSDFR-ACPR-99901"], &config));
    assert!(shown.contains("override 1: authorised for PS_05A until"), "{shown}");
    assert!(shown.contains("withdrawn 2026-11-01"), "{shown}");
    assert!(register(&["override", "revoke", "1", "--by", "Ada"], &config).status.success());
    scene.until(&mut connection, Some("register_withdrawn"));
    assert_eq!(register(&["override", "list"], &config).status.code(), Some(1));
}

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
    let scene = Scene::new();
    let place = scene.gateway.leave();
    let eba = fs::read_to_string(place.file("register/eba.json")).unwrap();
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
    let scene = Scene::new();
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

#[test]
fn a_register_that_grows_too_old_refuses_at_its_limit_and_serves_again_when_it_is_renewed() {
    let sandbox = Gateway::sandbox();
    // A TPP whom the EBA's register alone leads to.
    let token = sandbox.token("multi-role", "gilles", &[]);
    let place = sandbox.leave();
    fs::remove_dir_all(place.file("register/snapshots")).unwrap();
    let metadata = place.file("register/eba.metadata.json");
    let publish = |at: jiff::Timestamp| {
        fs::write(&metadata, serde_json::json!({ "timestamp": at.to_string() }).to_string())
            .unwrap();
    };
    let published = jiff::Timestamp::now();
    publish(published);
    let gateway = Gateway::run_in(place, |config| {
        let register = config["register"].as_table_mut().unwrap();
        register.remove("regafi");
        register.insert("fresh_for".to_owned(), "2s".into());
        register.insert("tolerated_for".to_owned(), "8s".into());
    });
    let mut connection = gateway.tpp("multi-role").connect(HOST).unwrap();
    let mut ask = || connection.exchange(&gateway.request(&token).octets()).unwrap();
    assert_eq!(ask().status, 200);
    eventually("the alarm before the end", || {
        gateway.metrics().contains("octroi_register_step 1").then_some(())
    });
    assert_eq!(ask().status, 200, "tolerated");
    let refused = eventually("the end", || {
        let answer = ask();
        (answer.status == 503).then_some(answer)
    });
    let age = jiff::Timestamp::now().duration_since(published);
    assert_eq!(refused.code(), "register_stale");
    assert!(age >= jiff::SignedDuration::from_secs(8), "not before its limit: {age}");
    println!("F15: refused at an age of {age:#}, the limit is 8 s");
    publish(jiff::Timestamp::now());
    eventually("the renewed register", || (ask().status == 200).then_some(()));
}

#[test]
fn two_gateways_at_one_directory_take_in_the_same_snapshot() {
    let scene = Scene::new();
    let shared = scene.gateway.place().file("register/snapshots");
    let sandbox = Gateway::sandbox();
    let token = sandbox.token("funds-co", "gilles", &[]);
    let other = Gateway::run_in(sandbox.leave(), |config| {
        let register = config["register"].as_table_mut().unwrap();
        register.insert("directory".to_owned(), path_text(&shared).into());
    });
    let client = other.tpp("multi-role");
    let mut connection = client.connect(HOST).unwrap();
    let mut code = || {
        let answer = connection.exchange(&other.request(&token).octets()).unwrap();
        answer.code()
    };
    // Its token is another TPP's; the register is asked before.
    assert_eq!(code(), "token_other_tpp");
    scene.publish(scene.without(&["99999902"]));
    eventually("the other gateway", || (code() == "register_withdrawn").then_some(()));
}
