//! Requests signed with a QSEALC, against the real binary, and what a TPP learns when it signs wrongly.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use certs::Leaf;
use harness::client::Request;
use harness::gateway::{Gateway, HOST, PATH, Place, path_text};
use harness::qtsp::{Mood, Publication};
use harness::{eventually, octroi, run};
use serde_json::Value;

fn signed_gateway(place: Place, refusal: &str) -> Gateway {
    Gateway::run_in(place, |config| {
        let mut signature = toml::Table::new();
        let seals = ["funds-co", "account-info"].map(|tpp| format!("tpp/{tpp}/qsealc.pem"));
        signature.insert("seals".to_owned(), seals.to_vec().into());
        config.insert("signature".to_owned(), signature.into());
        for api in config["api"].as_array_mut().unwrap() {
            api.as_table_mut().unwrap().insert("signed".to_owned(), true.into());
        }
        let listen = config["listen"].as_table_mut().unwrap();
        listen["tpp"].as_table_mut().unwrap().insert("refusal".to_owned(), refusal.into());
    })
}

struct Scene {
    gateway: Gateway,
    token: String,
}

fn scene(refusal: &str) -> Scene {
    let sandbox = Gateway::sandbox();
    let token = sandbox.token("funds-co", "gilles", &[]);
    Scene { gateway: signed_gateway(sandbox.leave(), refusal), token }
}

impl Scene {
    fn file(&self, name: &str, content: &str) -> PathBuf {
        let file = self.gateway.place().file(name);
        fs::write(&file, content).unwrap();
        file
    }

    /// The header fields of `octroi sandbox sign`.
    fn sign(&self, tpp: &str, form: &str, body: &str) -> Vec<(String, String)> {
        let body = self.file("body.json", body);
        let dir = self.gateway.place().dir();
        let output = Command::new(octroi())
            .args(["sandbox", "sign", "--tpp", tpp, "--form", form, "--target", PATH])
            .args(["--host", HOST, "--dir"])
            .args([&dir, &PathBuf::from("--body"), &body])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let field = |line: &str| line.split_once(": ").map(|(n, v)| (n.to_owned(), v.to_owned()));
        text.lines().filter_map(field).collect()
    }

    fn request(&self, fields: &[(String, String)]) -> Request {
        let mut request = self.gateway.request(&self.token);
        for (name, value) in fields.iter().filter(|(name, _)| name != "content-type") {
            request = request.with(name, value);
        }
        request
    }
}

fn set(fields: &mut [(String, String)], name: &str, from: &str, to: &str) {
    for field in fields.iter_mut().filter(|field| field.0.eq_ignore_ascii_case(name)) {
        field.1 = field.1.replacen(from, to, 1);
    }
}

#[test]
fn a_signed_request_is_answered_in_both_forms_and_each_tampering_has_its_reason() {
    let scene = scene("explain");
    let tpp = scene.gateway.tpp("funds-co");
    let body = scene.gateway.request(&scene.token).body;
    for form in ["cavage", "rfc9421"] {
        let answer = tpp.send(&scene.request(&scene.sign("funds-co", form, &body)));
        assert_eq!(answer.status, 200, "{form}: {answer:?}");
    }
    let good = scene.sign("funds-co", "cavage", &body);
    let bent = |name: &str, from: &str, to: &str| {
        let mut fields = good.clone();
        set(&mut fields, name, from, to);
        let answer = tpp.send(&scene.request(&fields));
        (answer.status, answer.code())
    };
    let invalid = (401, "signature_invalid".to_owned());
    assert_eq!(bent("x-request-id", "-", "+"), invalid);
    assert_eq!(bent("Signature", " digest", ""), invalid);
    assert_eq!(bent("Signature", "(request-target) ", ""), invalid);
    assert_eq!(bent("Signature", " x-request-id", ""), invalid);
    assert_eq!(bent("Signature", "algorithm=\"ecdsa", "algorithm=\"hmac"), invalid);
    assert_eq!(bent("Signature", "keyId=", "keyid="), invalid);
    assert_eq!(bent("digest", "SHA-256=", "SHA-256=AAAA"), (401, "digest_mismatch".to_owned()));
    assert_eq!(bent("date", "GMT", "+0100"), (401, "signature_expired".to_owned()));
    assert_eq!(
        bent("Signature", "qsealc_", "qsealc_00"),
        (401, "signature_key_unknown".to_owned())
    );

    let unsigned = tpp.send(&scene.gateway.request(&scene.token));
    assert_eq!((unsigned.status, unsigned.code()), (401, "signature_missing".to_owned()));
    let other = scene.sign("account-info", "cavage", &body);
    let answer = tpp.send(&scene.request(&other));
    assert_eq!((answer.status, answer.code()), (403, "signature_other_organisation".to_owned()));
    let unknown = scene.sign("renewed", "cavage", &body);
    assert_eq!(tpp.send(&scene.request(&unknown)).code(), "signature_key_unknown");

    // Another body under the same signature.
    let mut request = scene.request(&good);
    request.body = request.body.replace("\"100\"", "\"101\"");
    assert_eq!(tpp.send(&request).code(), "digest_mismatch");
    // Another path under the same signature.
    let mut request = scene.request(&good);
    request.path = "/v1/funds-confirmations".to_owned();
    assert_eq!(tpp.send(&request).code(), "signature_invalid");
    // A field of the customer that nobody signed.
    let request = scene.request(&good).with("psu-ip-address", "192.0.2.1");
    assert_eq!(tpp.send(&request).code(), "signature_invalid");
    let record = scene.gateway.record_of(&tpp.send(&request));
    assert_eq!(record["event.reason"], "signature_invalid");
    assert!(!record.to_string().contains("192.0.2.1"), "{record}");
}

#[test]
fn the_answer_tells_our_signing_string_and_the_line_that_differs_unless_refusals_are_silent() {
    for (refusal, explained) in [("explain", true), ("handshake", false)] {
        let scene = scene(refusal);
        let tpp = scene.gateway.tpp("funds-co");
        let body = scene.gateway.request(&scene.token).body;
        // The TPP signs the path without its version and sends the request to the right one.
        let file = scene.file("body.json", &body);
        let dir = scene.gateway.place().dir();
        let output = run(&[
            "sandbox",
            "sign",
            "--tpp",
            "funds-co",
            "--target",
            "/v1.6.2/funds-confirmations",
            "--body",
            path_text(&file),
            "--dir",
            path_text(&dir),
        ]);
        let text = String::from_utf8(output.stdout).unwrap();
        let fields: Vec<(String, String)> = text
            .lines()
            .filter_map(|line| line.split_once(": ").map(|(n, v)| (n.to_owned(), v.to_owned())))
            .collect();
        let request = scene.request(&fields);
        let answer = tpp.send(&request);
        assert_eq!((answer.status, answer.code()), (401, "signature_invalid".to_owned()));
        let signature = &answer.json()["signature"];
        if !explained {
            assert_eq!(*signature, Value::Null);
            continue;
        }
        let ours = signature["signing_string"].as_str().unwrap();
        assert!(ours.starts_with(&format!("(request-target): post {PATH}\n")), "{ours}");
        assert_eq!(signature["first_difference"]["line"], 1);
        let mistake = signature["first_difference"]["mistake"].as_str().unwrap();
        assert!(mistake.contains("beginning of the path"), "{mistake}");

        let saved = scene.file("request.http", &String::from_utf8(request.octets()).unwrap());
        let seal = scene.gateway.place().file("tpp/funds-co/qsealc.pem");
        let arguments = ["cert", "doctor", "--output", "json", "--seal", path_text(&seal)];
        let doctor = run(&[&arguments[..], &[path_text(&saved)]].concat());
        assert_eq!(doctor.status.code(), Some(1));
        let report: Value = serde_json::from_slice(&doctor.stdout).unwrap();
        assert_eq!(report["signing_string"], *ours);
        assert_eq!(report["first_difference"], signature["first_difference"]);
    }
}

#[test]
fn an_api_that_must_be_signed_by_nobody_does_not_start() {
    let place = Gateway::sandbox().leave();
    let mut config = place.config();
    for api in config["api"].as_array_mut().unwrap() {
        api.as_table_mut().unwrap().insert("signed".to_owned(), true.into());
    }
    let file = place.file("unsigned.toml");
    fs::write(&file, toml::to_string(&config).unwrap()).unwrap();
    let checked = run(&["check", "--config", path_text(&file)]);
    let text =
        String::from_utf8_lossy(&[&checked.stdout[..], &checked.stderr].concat()).into_owned();
    assert!(!checked.status.success() && text.contains("nobody could sign a request"), "{text}");
}

#[test]
fn a_seal_that_its_tpp_publishes_is_fetched_ahead_of_need_and_kept_over_a_restart() {
    let sandbox = Gateway::sandbox();
    let token = sandbox.token("funds-co", "gilles", &[]);
    let place = sandbox.leave();
    let pem = fs::read(place.file("tpp/funds-co/qsealc.pem")).unwrap();
    let fingerprint = hex::encode(Leaf::from_pem(&pem).unwrap().0.fingerprint());
    let other = fs::read(place.file("tpp/account-info/qsealc.pem")).unwrap();

    let publication = Publication::start();
    // Another certificate than the address names, first.
    publication.set_crl(Mood::Says(other));
    let change = |config: &mut toml::Table| {
        let mut fetch = toml::Table::new();
        let url = format!("{}/keys/qsealc_{fingerprint}.pem", publication.origin());
        fetch.insert("urls".to_owned(), vec![url].into());
        fetch.insert("allow".to_owned(), vec![publication.origin()].into());
        fetch.insert("directory".to_owned(), "seals".into());
        fetch.insert("every".to_owned(), "1s".into());
        let mut signature = toml::Table::new();
        signature.insert("fetch".to_owned(), fetch.into());
        config.insert("signature".to_owned(), signature.into());
        for api in config["api"].as_array_mut().unwrap() {
            api.as_table_mut().unwrap().insert("signed".to_owned(), true.into());
        }
    };
    let scene = Scene { gateway: Gateway::run_in(place, change), token };
    let body = scene.gateway.request(&scene.token).body;
    let fields = scene.sign("funds-co", "cavage", &body);
    let ask = |scene: &Scene| scene.gateway.tpp("funds-co").send(&scene.request(&fields));
    eventually("a fetch that is refused", || {
        let refused = "octroi_seal_fetches_total{outcome=\"other_certificate\"}";
        scene.gateway.metrics().contains(refused).then_some(())
    });
    assert_eq!(ask(&scene).code(), "signature_key_unknown");

    publication.set_crl(Mood::Says(pem));
    eventually("the published seal", || (ask(&scene).status == 200).then_some(()));
    // What its publisher does afterwards changes nothing, nor does a restart while it is away.
    publication.set_crl(Mood::Refuses(404));
    let Scene { gateway, token } = scene;
    let scene = Scene { gateway: Gateway::run_in(gateway.leave(), change), token };
    assert_eq!(ask(&scene).status, 200);
}
