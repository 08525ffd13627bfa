//! Trusted lists, from the signature of a member state to a TPP on an open connection.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use certs::PspRole;
use certs::test_qtsp::{Authority, Kind, Recipe};
use harness::gateway::{Gateway, HOST, PATH, path_text};
use harness::lists::{List, Signer};
use harness::{eventually, run};
use jiff::Timestamp;
use serde_json::Value;
use tempfile::TempDir;

/// A list of lists and one national list, each with its signer.
struct Scene {
    dir: TempDir,
    lotl_signer: Signer,
    signer: Signer,
    qtsp: Authority,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let lotl_signer = Signer::new(dir.path(), "lotl", 1000);
        let signer = Signer::new(dir.path(), "ie", 1000);
        let qtsp = Authority::generate("Listed", Timestamp::now()).unwrap();
        let scene = Self { dir, lotl_signer, signer, qtsp };
        scene.lotl(7);
        scene.national(3, "granted");
        scene
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn lotl(&self, sequence: u64) {
        let pointers = vec![("IE", "https://lists.invalid/ie.xml".to_owned(), &self.signer)];
        let list = List { territory: "EU", sequence, services: Vec::new(), pointers, hours: 1000 };
        self.lotl_signer.sign(&list.xml(), &self.file("lotl.xml"));
    }

    fn list(&self, sequence: u64, status: &'static str) -> List<'static> {
        let services = vec![(self.qtsp.issuing_pem().unwrap(), status)];
        List { territory: "IE", sequence, services, pointers: Vec::new(), hours: 1000 }
    }

    fn national(&self, sequence: u64, status: &'static str) {
        self.signer.sign(&self.list(sequence, status).xml(), &self.file("ie.xml"));
    }

    fn import_into(&self, dir: &Path, national: &Path) -> Output {
        let signer = path_text(&self.lotl_signer.certificate);
        let lotl = self.file("lotl.xml");
        let arguments = ["trust", "import", "--signer", signer, "--lotl", path_text(&lotl)];
        run(&[&arguments[..], &["--dir", path_text(dir), path_text(national)]].concat())
    }

    fn import(&self) -> Output {
        self.import_into(&self.file("trust"), &self.file("ie.xml"))
    }

    fn cas(&self) -> Vec<Value> {
        let dir = self.file("trust");
        let output = run(&["trust", "list", "--output", "json", "--dir", path_text(&dir)]);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        report["cas"].as_array().unwrap().clone()
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

#[test]
fn a_signed_list_is_imported_and_one_changed_octet_is_refused() {
    let scene = Scene::new();
    let imported = scene.import();
    assert_eq!(imported.status.code(), Some(0), "{}", text(&imported));
    let cas = scene.cas();
    assert_eq!(cas.len(), 1);
    assert!(cas[0]["subject"].as_str().unwrap().contains("Listed Issuing CA"));
    assert_eq!((&cas[0]["web"], &cas[0]["territory"]), (&true.into(), &"IE".into()));

    let good = fs::read(scene.file("ie.xml")).unwrap();
    let bent = scene.file("bent.xml");
    let dir = scene.file("bent");
    // Every 23rd octet, each with another bit: about 250 of them, over all parts of the list.
    for (round, at) in (0..good.len()).step_by(23).enumerate() {
        let mut octets = good.clone();
        octets[at] ^= 1 << (round % 8);
        fs::write(&bent, &octets).unwrap();
        let output = scene.import_into(&dir, &bent);
        let context = String::from_utf8_lossy(&good[at.saturating_sub(20)..at + 1]).into_owned();
        assert!(!text(&output).contains("verified"), "octet {at} after {context:?}");
    }
}

#[test]
fn lists_that_cannot_be_believed_are_refused_and_the_old_one_stays() {
    let scene = Scene::new();
    assert!(scene.import().status.success());
    let before = scene.cas();
    let other = Signer::new(scene.dir.path(), "other", 1000);
    let expired = Signer::new(scene.dir.path(), "expired", -1);
    let sign = |signer: &Signer, list: &List<'_>| signer.sign(&list.xml(), &scene.file("ie.xml"));
    let refused = |why: &str| {
        let output = scene.import();
        assert!(text(&output).contains(why), "{why:?} in {}", text(&output));
        assert_ne!(output.status.code(), Some(0), "{why}");
        assert_eq!(scene.cas(), before, "{why}");
    };
    sign(&other, &scene.list(4, "granted"));
    refused("is none of those that may sign it");
    sign(&scene.signer, &scene.list(2, "granted"));
    refused("its sequence number 2 is lower than 3");
    sign(&scene.signer, &List { hours: -1, ..scene.list(4, "granted") });
    refused("it ended on");
    sign(&scene.signer, &List { territory: "FR", ..scene.list(4, "granted") });
    refused("names no list in XML for it");
    for (content, why) in [
        ("<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\">]><x>&b;</x>".to_owned(), "document type declaration"),
        ("<!DOCTYPE x SYSTEM \"http://127.0.0.1:9/x.dtd\"><x/>".to_owned(), "document type declaration"),
        ("x".repeat(50 * 1024 * 1024), "octets, at most"),
        ("<a>".repeat(100_000), "it has more than"),
        (String::new(), "not well-formed"),
    ] {
        fs::write(scene.file("ie.xml"), content).unwrap();
        refused(why);
    }

    // A list of lists whose signer has ended changes nothing either.
    scene.national(5, "granted");
    let pointers = vec![("IE", "https://lists.invalid/ie.xml".to_owned(), &scene.signer)];
    let list = List { territory: "EU", sequence: 8, services: Vec::new(), pointers, hours: 1000 };
    expired.sign(&list.xml(), &scene.file("lotl.xml"));
    let expired_signer = Scene { lotl_signer: expired, ..scene };
    let output = expired_signer.import();
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output).contains("was valid from"), "{}", text(&output));
    assert_eq!(expired_signer.cas(), before);
}

#[test]
fn a_wrapped_list_is_refused() {
    let scene = Scene::new();
    let good = fs::read_to_string(scene.file("ie.xml")).unwrap();
    let forger = Authority::generate("Forged", Timestamp::now()).unwrap();
    let services = vec![(forger.issuing_pem().unwrap(), "granted")];
    let forged = List { services, ..scene.list(9, "granted") }.xml();
    let start = good.find("<ds:Signature ").unwrap();
    let end = good.find("</TrustServiceStatusList>").unwrap();
    let signature = &good[start..end];
    let body = &good[good.find("<TrustServiceStatusList").unwrap()..];
    for wrapped in [
        // The signature alone on another list; the signed list as a child; within the signature.
        forged.replace("{signature}", signature),
        forged.replace("{signature}", &format!("{body}{signature}")),
        forged.replace(
            "{signature}",
            &signature.replace("</ds:Object>", &format!("{body}</ds:Object>")),
        ),
        forged.replace("{signature}", &signature.replace("URI=\"\"", "URI=\"#P\"")),
    ] {
        let file = scene.file("wrapped.xml");
        fs::write(&file, wrapped).unwrap();
        let output = scene.import_into(&scene.file("trust"), &file);
        assert!(text(&output).contains("refused"), "{}", text(&output));
        assert!(!text(&output).contains("verified"), "{}", text(&output));
    }
}

#[test]
fn a_newly_listed_qtsp_serves_without_a_restart_and_a_withdrawn_one_ends_open_connections() {
    let scene = Scene::new();
    let sandbox = Gateway::sandbox();
    let token = sandbox.token("funds-co", "gilles", &[]);
    let place = sandbox.leave();
    // The sandbox's own QTSP is on the list, and nowhere else.
    let qtsp = fs::read(place.file("qtsp/qtsp.pem")).unwrap();
    let qtsp = Authority::from_pem(&qtsp).unwrap();
    let scene = Scene { qtsp, ..scene };
    let stranger = Authority::generate("Stranger", Timestamp::now()).unwrap();
    fs::write(scene.file("stranger.pem"), stranger.issuing_pem().unwrap()).unwrap();
    fs::write(scene.file("stranger.crl"), crl(&stranger)).unwrap();
    let gateway = Gateway::run_in(place, |config| {
        let trust = config["trust"].as_table_mut().unwrap();
        trust.insert("anchors".to_owned(), vec![path_text(&scene.file("stranger.pem"))].into());
        trust.insert("crls".to_owned(), vec![path_text(&scene.file("stranger.crl"))].into());
        let mut lists = toml::Table::new();
        lists.insert("directory".to_owned(), path_text(&scene.file("trust")).into());
        trust.insert("lists".to_owned(), lists.into());
        let mut insecure = toml::Table::new();
        insecure.insert("revocation_unchecked".to_owned(), true.into());
        config.insert("insecure".to_owned(), insecure.into());
    });
    let tpp = gateway.tpp("funds-co");
    let answer = tpp.send(&gateway.request(&token));
    assert_eq!(answer.code(), "certificate_untrusted");

    scene.national(4, "granted");
    let imported = scene.import();
    assert!(imported.status.success(), "{}", text(&imported));
    eventually("the QTSP is believed", || {
        (tpp.send(&gateway.request(&token)).status == 200).then_some(())
    });
    let first = current(&scene);

    let mut open = tpp.connect(HOST).unwrap();
    let octets = gateway.request(&token).octets();
    assert_eq!(open.exchange(&octets).unwrap().status, 200);
    scene.national(5, "withdrawn");
    let imported = scene.import();
    assert!(text(&imported).contains("removed"), "{}", text(&imported));
    eventually("the open connection is refused", || {
        let answer = open.exchange(&octets).unwrap();
        (answer.status != 200 && answer.code() == "certificate_untrusted").then_some(())
    });

    let store = scene.file("trust");
    let diff = run(&["trust", "diff", "--dir", path_text(&store), &first[..16]]);
    assert_eq!(diff.status.code(), Some(1));
    assert!(text(&diff).starts_with("removed"), "{}", text(&diff));
    let rolled = run(&["trust", "rollback", "--dir", path_text(&store), &first[..16]]);
    assert!(rolled.status.success());
    eventually("the rollback is taken in", || {
        (open.exchange(&octets).unwrap().status == 200).then_some(())
    });
    assert!(gateway.metrics().contains("octroi_trust_list_ends_in_seconds{territory=\"IE\"}"));

    // A snapshot that somebody changed is not believed, and the one in force stays.
    let file = store.join(format!("{}.json", current(&scene)));
    let mut octets_of_snapshot = fs::read(&file).unwrap();
    let middle = octets_of_snapshot.len() / 2;
    octets_of_snapshot[middle] ^= 1;
    fs::write(&file, octets_of_snapshot).unwrap();
    eventually("the alarm", || {
        gateway.metrics().contains("octroi_trust_snapshot_readable 0").then_some(())
    });
    assert_eq!(open.exchange(&octets).unwrap().status, 200);
}

#[test]
fn a_seal_counts_as_soon_as_its_qtsp_is_listed() {
    let scene = Scene::new();
    let sandbox = Gateway::sandbox();
    let token = sandbox.token("funds-co", "gilles", &[]);
    let place = sandbox.leave();
    let known = fs::read(place.file("tpp/funds-co/qwac.pem")).unwrap();
    let id = certs::Leaf::from_pem(&known).unwrap().0.organisation_ids()[0].text.clone().unwrap();
    // The QWAC is under an anchor of a file, the QSEALC under a QTSP that only the list names.
    let mut recipe =
        Recipe::qwac("Funds Co", &id, &[PspRole::CardBasedInstruments], Timestamp::now());
    recipe.kind = Kind::Qsealc;
    let issued = scene.qtsp.issue(&recipe).unwrap();
    fs::write(place.file("tpp/funds-co/qsealc.pem"), issued.chain_pem().unwrap()).unwrap();
    fs::write(place.file("tpp/funds-co/qsealc.key"), issued.key_pem().unwrap()).unwrap();
    let gateway = Gateway::run_in(place, |config| {
        let mut lists = toml::Table::new();
        lists.insert("directory".to_owned(), path_text(&scene.file("trust")).into());
        config["trust"].as_table_mut().unwrap().insert("lists".to_owned(), lists.into());
        let mut insecure = toml::Table::new();
        insecure.insert("revocation_unchecked".to_owned(), true.into());
        config.insert("insecure".to_owned(), insecure.into());
        let mut signature = toml::Table::new();
        signature.insert("seals".to_owned(), vec!["tpp/funds-co/qsealc.pem"].into());
        config.insert("signature".to_owned(), signature.into());
        for api in config["api"].as_array_mut().unwrap() {
            api.as_table_mut().unwrap().insert("signed".to_owned(), true.into());
        }
    });
    let mut request = gateway.request(&token);
    fs::write(gateway.place().file("body.json"), &request.body).unwrap();
    let (dir, body) = (gateway.place().dir(), gateway.place().file("body.json"));
    let sign = ["sandbox", "sign", "--tpp", "funds-co", "--target", PATH, "--host", HOST];
    let place = ["--dir", path_text(&dir), "--body", path_text(&body)];
    let fields = String::from_utf8(run(&[&sign[..], &place[..]].concat()).stdout).unwrap();
    for (name, value) in fields.lines().filter_map(|line| line.split_once(": ")) {
        if name != "content-type" {
            request = request.with(name, value);
        }
    }
    let tpp = gateway.tpp("funds-co");
    assert_eq!(tpp.send(&request).code(), "signature_untrusted");
    scene.national(4, "granted");
    let imported = scene.import();
    assert!(imported.status.success(), "{}", text(&imported));
    eventually("the seal's QTSP is believed", || (tpp.send(&request).status == 200).then_some(()));
}

fn current(scene: &Scene) -> String {
    fs::read_to_string(scene.file("trust").join("current")).unwrap()
}

fn crl(qtsp: &Authority) -> Vec<u8> {
    let now = Timestamp::now();
    let later = now.checked_add(jiff::SignedDuration::from_hours(24)).unwrap();
    qtsp.crl(&[], now, later).unwrap()
}
