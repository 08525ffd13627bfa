//! A TPP is withdrawn, refused, and authorised again: the dossier holds what happened, and says when it
//! ended.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use harness::gateway::{GILLES_IBAN, Place, path_text};
use harness::registers::{SIREN, Scene};
use harness::replay::{json, recorded};
use serde_json::Value;

const ID: &str = "PSDFR-ACPR-99901";

/// The log of a TPP that was answered, then withdrawn and refused `refused` times or a little more.
fn withdrawn(scene: &Scene) {
    let mut connection = scene.connect();
    assert_eq!(scene.ask(&mut connection).status, 200);
    scene.publish(scene.without(&[SIREN]));
    scene.until(&mut connection, Some("register_withdrawn"));
    for _ in 0..3 {
        assert_eq!(scene.ask(&mut connection).code(), "register_withdrawn");
    }
}

fn refused(place: &Place) -> Vec<Value> {
    let refused = |record: &Value| record["event.reason"] == "register_withdrawn";
    place.audit().into_iter().filter(refused).collect()
}

fn dossier(place: &Place, to: &Path) -> (Value, Option<i32>) {
    let config = place.file("octroi.toml");
    json(&["dossier", ID, "--config", path_text(&config), "--to", path_text(to)])
}

/// Every file below `folder`, by its name there.
fn files(folder: &Path, below: &str, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder.join(below)).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{below}{}", entry.file_name().to_str().unwrap());
        match entry.file_type().unwrap().is_dir() {
            true => files(folder, &format!("{name}/"), found),
            false => drop(found.insert(name, fs::read(entry.path()).unwrap())),
        }
    }
}

#[test]
fn the_dossier_of_a_withdrawn_tpp_freezes_the_evidence_and_drafts_what_must_be_said() {
    let scene = Scene::open();
    withdrawn(&scene);
    let place = scene.gateway.leave();
    let records = refused(&place);
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("99901");
    let (case, code) = dossier(&place, &to);
    assert_eq!(code, Some(0), "{case:#}");
    assert_eq!(case["refused"].as_u64(), Some(records.len() as u64), "{case:#}");
    assert_eq!(case["since"], records[0]["@timestamp"]);
    assert_eq!(case["last_refused"], records.last().unwrap()["@timestamp"]);
    assert!(case["ended"].is_null() && case["last_allowed"].is_string(), "{case:#}");
    assert_eq!(case["name"], "FUNDS & CO SAS");
    assert_eq!(case["not_intact"], 0);
    let counted: u64 =
        case["by_day"].as_array().unwrap().iter().map(|day| day["calls"].as_u64().unwrap()).sum();
    assert_eq!(counted, records.len() as u64);

    let mut found = BTreeMap::new();
    files(&to, "", &mut found);
    // The lines are those of the log, byte for byte, and each is verified by what stands beside it.
    let text = place.audit_text();
    let sealed = String::from_utf8(found["evidence/records.jsonl"].clone()).unwrap();
    // Beside the requests stand the events about it.
    let requests = sealed.lines().filter(|line| line.contains("\"event.action\":\"request\""));
    assert_eq!(requests.count(), records.len());
    assert!(sealed.lines().all(|line| text.contains(line)));
    let index = String::from_utf8(found["evidence/records.csv"].clone()).unwrap();
    for (line, row) in sealed.lines().zip(index.lines().skip(1)) {
        let columns: Vec<&str> = row.split(',').collect();
        let before = hex::decode(columns[4]).unwrap();
        let (content, _) = line.rsplit_once(",\"octroi.hash\"").unwrap();
        let hash = certs::sha256(&[&before[..], content.as_bytes()].concat());
        assert_eq!((columns[3], columns[5]), (hex::encode(hash).as_str(), "yes"), "{row}");
    }
    let checkpoints = String::from_utf8(found["evidence/checkpoints.jsonl"].clone()).unwrap();
    let checkpoint: Value = serde_json::from_str(checkpoints.lines().next().unwrap()).unwrap();
    let last = records.last().unwrap()["event.sequence"].as_u64();
    assert!(checkpoint["octroi.checkpoint.sequence"].as_u64() >= last);
    let certificate = records[0]["tls.client.hash.sha256"].as_str().unwrap();
    assert!(found.contains_key(&format!("evidence/certificates/{certificate}.pem")));
    for when in ["then", "now"] {
        let register = found.iter().find(|(name, _)| name.contains(&format!("registers/{when}-")));
        let register: Value = serde_json::from_slice(register.unwrap().1).unwrap();
        assert!(register.to_string().contains("2026-11-01"), "{register:#}");
    }

    // Every file stands in the manifest with its hash, and the gateway's word stands for the manifest.
    let manifest: Value = serde_json::from_slice(&found["manifest.json"]).unwrap();
    let listed: BTreeMap<&str, &str> = manifest["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| (file["name"].as_str().unwrap(), file["sha256"].as_str().unwrap()))
        .collect();
    for (name, bytes) in &found {
        if !name.starts_with("manifest.") {
            assert_eq!(listed[name.as_str()], hex::encode(certs::sha256(bytes)), "{name}");
        }
    }
    let word: Value = serde_json::from_slice(&found["manifest.signature.json"]).unwrap();
    let hash = hex::encode(certs::sha256(&found["manifest.json"]));
    assert_eq!(word["octroi.checkpoint.hash"], hash);

    for (name, words) in [
        (
            "notification.fr",
            ["Banque de France", "L. 133-17-1", "l'agrément du prestataire a pris fin", "«"],
        ),
        ("notification.en", ["Article 68(5) and (6)", "duly evidenced", ID, "«"]),
        ("customers.fr", ["Vos comptes", "FUNDS & CO SAS", "l'agrément", "PROJET"]),
        ("customers.en", ["Your accounts", "FUNDS & CO SAS", "DRAFT", "«"]),
    ] {
        let draft = String::from_utf8(found[&format!("drafts/{name}.md")].clone()).unwrap();
        for word in words {
            assert!(draft.contains(word), "{name}: {word}: {draft}");
        }
        assert!(!draft.contains("rétabli, première") && !draft.contains("has ended"), "{draft}");
        let page = String::from_utf8(found[&format!("drafts/{name}.html")].clone()).unwrap();
        assert!(page.starts_with("<!doctype html>") && page.contains("PSDFR-ACPR-99901"), "{page}");
        // The name of the register holds a mark of HTML.
        assert!(page.contains("FUNDS &amp; CO SAS"), "{page}");
    }
    let all = found.values().map(|bytes| String::from_utf8_lossy(bytes)).collect::<String>();
    assert!(!all.contains(GILLES_IBAN), "no account stands in it");

    // Nothing that was frozen is written over.
    assert_eq!(
        harness::run(&[
            "dossier",
            ID,
            "--config",
            path_text(&place.file("octroi.toml")),
            "--to",
            path_text(&to)
        ])
        .status
        .code(),
        Some(3)
    );
}

#[test]
fn a_tpp_that_is_let_in_again_has_a_dossier_that_says_when() {
    let scene = Scene::open();
    withdrawn(&scene);
    let folder = tempfile::tempdir().unwrap();
    let (first, end) = (folder.path().join("first"), folder.path().join("end"));
    let (_, code) = dossier(scene.gateway.place(), &first);
    assert_eq!(code, Some(0));
    let config = scene.gateway.place().file("octroi.toml");
    let close = |config: &Path| {
        let dirs = [path_text(&first), "--to", path_text(&end)];
        let verb = ["dossier", ID, "--config", path_text(config), "--close"];
        harness::run(&[&verb[..], &dirs].concat())
    };
    let told = close(&config);
    assert_eq!(told.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&told.stdout).contains("has not ended"), "{told:?}");
    assert!(!end.exists());
    scene.publish(&scene.eba);
    let mut connection = scene.connect();
    scene.until(&mut connection, Some("token_unknown"));
    // Its tokens of before stay ended; with a new one it is let pass.
    let token = scene.gateway.fresh_token("funds-co", "gilles", &[]);
    let answer = scene.gateway.tpp("funds-co").send(&scene.gateway.request(&token));
    assert_eq!(answer.status, 200);
    let record = scene.gateway.record_of(&answer);
    recorded(scene.gateway.place(), 1);
    drop(connection);
    let place = scene.gateway.leave();
    let second = folder.path().join("second");
    let (case, code) = dossier(&place, &second);
    assert_eq!(code, Some(0), "{case:#}");
    assert!(case["ended"].as_str() <= record["@timestamp"].as_str(), "{case:#}");
    assert!(case["ended"].as_str() > case["last_refused"].as_str(), "{case:#}");
    let draft = fs::read_to_string(second.join("drafts/notification.en.md")).unwrap();
    assert!(draft.contains("The reason has ended"), "{draft}");

    let told = close(&place.file("octroi.toml"));
    assert_eq!(told.status.code(), Some(0), "{}", String::from_utf8_lossy(&told.stderr));
    let sha256 = hex::encode(certs::sha256(&fs::read(first.join("manifest.json")).unwrap()));
    for (language, words) in
        [("en", "The reasons no longer exist"), ("fr", "l'accès a été rétabli")]
    {
        let note = end.join(format!("drafts/closing.{language}.md"));
        let note = fs::read_to_string(note).unwrap();
        assert!(note.replace('\n', " ").contains(words) && note.contains(&sha256), "{note}");
        assert!(!end.join(format!("drafts/notification.{language}.md")).exists());
        assert!(end.join(format!("drafts/customers.{language}.html")).exists());
    }
    let manifest: Value =
        serde_json::from_slice(&fs::read(end.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["case"]["closes"]["manifest_sha256"], sha256, "{manifest:#}");
}

#[test]
fn who_was_never_refused_as_such_has_no_dossier() {
    let scene = Scene::open();
    scene.gateway.tpp("funds-co").send(&scene.gateway.request("no-such-token"));
    recorded(scene.gateway.place(), 1);
    let place = scene.gateway.leave();
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("none");
    let config = place.file("octroi.toml");
    let output =
        harness::run(&["dossier", ID, "--config", path_text(&config), "--to", path_text(&to)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(!to.exists());
}
