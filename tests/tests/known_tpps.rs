//! What a TPP learns about itself, and what the bank knows of the TPPs that it let in.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;

use certs::test_qtsp::{Authority, Recipe};
use certs::{Leaf, PspRole};
use harness::client::Request;
use harness::gateway::{Gateway, HOST, Place, path_text};
use harness::qtsp::{Mood, Publication};
use harness::{eventually, run};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

fn who_am_i() -> Request {
    Request {
        method: "GET".to_owned(),
        host: HOST.to_owned(),
        path: "/tpp/self".to_owned(),
        token: None,
        headers: Vec::new(),
        body: String::new(),
    }
}

#[test]
fn a_tpp_without_any_token_reads_who_it_is_and_what_is_open_to_it() {
    let gateway = Gateway::sandbox();
    let answer = gateway.tpp("funds-co").send(&who_am_i());
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let told = answer.json();
    let pem = fs::read(gateway.place().file("tpp/funds-co/qwac.pem")).unwrap();
    let leaf = Leaf::from_pem(&pem).unwrap().0;
    assert_eq!(told["organisation_id"], **leaf.organisation_ids()[0].text.as_ref().unwrap());
    assert_eq!(told["certificate"]["sha256"], hex::encode(leaf.fingerprint()));
    assert_eq!(told["certificate"]["not_after"], leaf.not_after().to_string());
    assert!(told["roles"].as_array().unwrap().contains(&"PSP_IC".into()), "{told:#}");
    assert_eq!(told["register"]["standing"], "authorised");
    assert_eq!(told["codetab"]["code"], "17515");
    for api in told["apis"].as_array().unwrap() {
        let open = api["code"].is_null();
        assert_eq!(api["open"], open, "{api:#}");
        assert!(open || api["code"] == "version_retired", "{api:#}");
    }
    assert!(told["apis"].as_array().unwrap().iter().any(|api| api["open"] == true));
    let record = gateway.record_of(&answer);
    assert_eq!(
        (&record["octroi.outcome"], &record["url.path"]),
        (&"allowed".into(), &"/tpp/self".into())
    );
    assert_eq!(record["organization.id"], told["organisation_id"]);

    // Whoever lacks a role or a register entry learns which.
    for (tpp, code) in [
        ("account-info", "role_missing"),
        ("withdrawn", "register_withdrawn"),
        ("unknown", "register_unknown"),
    ] {
        let answer = gateway.tpp(tpp).send(&who_am_i());
        assert_eq!(answer.status, 200, "{tpp}");
        let told = answer.json();
        let apis = told["apis"].as_array().unwrap();
        assert!(apis.iter().all(|api| api["open"] == false), "{tpp}: {told:#}");
        assert!(apis.iter().any(|api| api["code"] == code), "{tpp}: {told:#}");
    }
    // Whoever is nobody here is told nothing but that.
    for (tpp, code) in [
        ("revoked", "certificate_revoked"),
        ("expired", "certificate_expired"),
        ("untrusted", "certificate_untrusted"),
        ("no-psd2", "certificate_not_qwac"),
    ] {
        let answer = gateway.tpp(tpp).send(&who_am_i());
        assert_eq!((answer.status, answer.code().as_str()), (403, code), "{tpp}");
    }
}

#[test]
fn the_introduction_keeps_its_connection_and_takes_nothing_but_get_at_a_known_host() {
    let gateway = Gateway::sandbox();
    let client = gateway.tpp("funds-co");
    let mut connection = client.connect(HOST).unwrap();
    let mut ask = |request: Request| connection.exchange(&request.octets()).unwrap();
    assert_eq!(ask(who_am_i()).status, 200);
    let posted = ask(Request { method: "POST".to_owned(), body: "{}".to_owned(), ..who_am_i() });
    assert_eq!((posted.status, posted.code().as_str()), (405, "method_not_allowed"));
    assert_eq!(posted.header("allow"), Some("GET"));
    let queried = ask(Request { path: "/tpp/self?of=PSDFR-ACPR-1".to_owned(), ..who_am_i() });
    assert_eq!((queried.status, queried.code().as_str()), (404, "path_unknown"));
    let elsewhere = Request { host: "www.00000.sandbox.api.localhost".to_owned(), ..who_am_i() };
    assert_eq!(ask(elsewhere).code(), "host_mismatch");
    // A body that nobody reads does not become the next request.
    let with_body = Request { body: "GET /x HTTP/1.1\r\n\r\n".to_owned(), ..who_am_i() };
    assert_eq!(ask(with_body).status, 200);
    assert_eq!(ask(who_am_i()).status, 200);
}

/// A sandbox that watches revocations, whose QTSP has issued `renewed` two QWACs: one that ends in
/// `days`, with no extKeyUsage to rely on, and later perhaps another.
fn watching(days: i64) -> (Gateway, Publication, Authority, Recipe) {
    let publication = Publication::start();
    let sandbox = Gateway::sandbox();
    let place = sandbox.leave();
    let qtsp = Authority::from_pem(&fs::read(place.file("qtsp/qtsp.pem")).unwrap()).unwrap();
    let known = fs::read(place.file("tpp/funds-co/qwac.pem")).unwrap();
    let id = Leaf::from_pem(&known).unwrap().0.organisation_ids()[0].text.clone().unwrap();
    let now = Timestamp::now();
    let roles = [PspRole::CardBasedInstruments];
    let mut recipe = Recipe::qwac("Funds Co", &id, &roles, now);
    recipe.crl_url = Some(format!("{}/crl", publication.origin()));
    recipe.not_after = now + SignedDuration::from_hours(24 * days + 1);
    let list = qtsp.crl(&[], now, now + SignedDuration::from_hours(24)).unwrap();
    publication.set_crl(Mood::Says(list));
    give(&place, "renewed", &qtsp, &recipe);
    let gateway = Gateway::run_in(place, |config| {
        let trust = config["trust"].as_table_mut().unwrap();
        trust.remove("crls");
        let mut revocation = toml::Table::new();
        revocation.insert("directory".to_owned(), "revocation".into());
        revocation.insert("allow".to_owned(), vec![publication.origin()].into());
        trust.insert("revocation".to_owned(), revocation.into());
    });
    (gateway, publication, qtsp, recipe)
}

fn give(place: &Place, tpp: &str, qtsp: &Authority, recipe: &Recipe) {
    let issued = qtsp.issue(recipe).unwrap();
    let directory = place.file(&format!("tpp/{tpp}"));
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("qwac.pem"), issued.chain_pem().unwrap()).unwrap();
    fs::write(directory.join("qwac.key"), issued.key_pem().unwrap()).unwrap();
}

fn list(gateway: &Gateway, further: &[&str]) -> (Option<i32>, Value) {
    let config = gateway.place().file("changed.toml");
    let fixed = ["tpp", "list", "--output", "json", "--config", path_text(&config)];
    let output = run(&[&fixed[..], further].concat());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code(), report["certificates"].clone())
}

#[test]
fn a_certificate_that_ends_soon_is_listed_and_counted_until_another_takes_over() {
    let (gateway, _publication, qtsp, mut recipe) = watching(12);
    assert_eq!(list(&gateway, &[]), (Some(0), Value::Array(Vec::new())));
    let known = |tpp: &str| {
        eventually("the first answer about its revocation", || {
            (gateway.tpp(tpp).send(&who_am_i()).status == 200).then_some(())
        });
    };
    known("renewed");
    let (_, rows) = list(&gateway, &[]);
    assert_eq!(rows.as_array().unwrap().len(), 1, "{rows:#}");
    assert_eq!((&rows[0]["days_left"], &rows[0]["renewed"]), (&12.into(), &false.into()));
    assert_eq!((&rows[0]["register"], &rows[0]["kind"]), (&"authorised".into(), &"qwac".into()));
    assert_eq!(list(&gateway, &["--ends-within", "30"]).0, Some(1));
    assert_eq!(list(&gateway, &["--ends-within", "11"]).0, Some(0));
    let id = rows[0]["organisation_id"].as_str().unwrap().to_owned();
    let ends = |at: Timestamp| {
        let series = "octroi_tpp_certificate_ends_timestamp_seconds";
        let line = format!("{series}{{kind=\"qwac\",organisation_id=\"{id}\"}} {}", at.as_second());
        eventually("the series of its end", || {
            gateway.metrics().lines().any(|known| known == line).then_some(())
        });
    };
    ends(recipe.not_after);

    recipe.not_after = Timestamp::now() + SignedDuration::from_hours(24 * 400);
    give(gateway.place(), "second", &qtsp, &recipe);
    known("second");
    ends(recipe.not_after);
    let (_, rows) = list(&gateway, &[]);
    assert_eq!((&rows[0]["renewed"], &rows[1]["renewed"]), (&true.into(), &false.into()));
    assert_eq!(list(&gateway, &["--ends-within", "30"]).0, Some(0));

    // What a stranger's certificate calls it is no label, however soon it ends.
    let stranger = Recipe {
        organisation_id: Some("PSDFR-ACPR-STRANGER".to_owned()),
        not_after: Timestamp::now() + SignedDuration::from_hours(24),
        ..recipe.clone()
    };
    give(gateway.place(), "stranger", &qtsp, &stranger);
    known("stranger");
    eventually("its revocation is watched, too", || {
        gateway.metrics().contains("octroi_revocation_watched 3").then_some(())
    });
    assert!(!gateway.metrics().contains("STRANGER"));
}

#[test]
fn a_gateway_that_remembers_no_certificates_says_what_it_lacks() {
    let gateway = Gateway::sandbox();
    let config = gateway.place().file("octroi.toml");
    let listed = run(&["tpp", "list", "--config", path_text(&config)]);
    assert!(listed.status.success() && !listed.stdout.is_empty());
    assert!(String::from_utf8_lossy(&listed.stdout).contains("[trust.revocation]"));
    let output = run(&["tpp", "list", "--ends-within", "9", "--config", path_text(&config)]);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("[trust.revocation]"));
}
