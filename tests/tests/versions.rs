//! The life of API versions as a TPP meets it: what answers say about an end, what comes after it, and the
//! roadmap for everybody.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;

use harness::browser::Chromium;
use harness::client::{Answer, Client, Request};
use harness::gateway::{Gateway, HOST};
use harness::run;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use toml::Table;

const OLD: &str = "/stet/psd2/v1.4.2/funds-confirmations";
const NEW: &str = "/stet/psd2/v1.6.2/funds-confirmations";

/// Changes the version of that name.
fn version(config: &mut Table, name: &str, life: &str) {
    let life: Table = life.parse().unwrap();
    let api = config["api"].as_array_mut().unwrap()[0].as_table_mut().unwrap();
    let versions = api["version"].as_array_mut().unwrap().iter_mut();
    let mut versions = versions.filter_map(toml::Value::as_table_mut);
    versions.find(|version| version["name"].as_str() == Some(name)).unwrap().extend(life);
}

/// A gateway with a changed configuration, and a token that it knows.
fn with_token(change: impl FnOnce(&mut Table)) -> (Gateway, String) {
    let sandbox = Gateway::sandbox();
    let token = sandbox.token("funds-co", "gilles", &[]);
    (Gateway::run_in(sandbox.leave(), change), token)
}

fn ask(gateway: &Gateway, path: &str, token: Option<&str>) -> Answer {
    let request =
        Request { path: path.to_owned(), token: token.map(str::to_owned), ..gateway.request("") };
    gateway.tpp("funds-co").send(&request)
}

/// A page of the PSU listener.
fn page(gateway: &Gateway, path: &str, language: &str) -> Answer {
    let client = Client::new(gateway.addresses.psu, &gateway.server_ca(), None);
    let request = Request {
        method: "GET".to_owned(),
        host: HOST.to_owned(),
        path: path.to_owned(),
        token: None,
        headers: vec![("Accept-Language".to_owned(), language.to_owned())],
        body: String::new(),
    };
    client.send(&request)
}

fn hours(hours: i64) -> Timestamp {
    let whole = Timestamp::from_second(Timestamp::now().as_second()).unwrap();
    whole.checked_add(SignedDuration::from_hours(hours)).unwrap()
}

#[test]
fn every_answer_of_a_version_with_an_end_tells_it_in_the_words_of_the_rfcs() {
    let (gateway, token) = with_token(|config| {
        let life = "announced = 2023-01-01\ndeprecated = 2023-06-30T23:59:59Z\nsunset = 2096-11-02\n\
                    successor = \"v1.6.2\"\ndocumentation = \"https://bank.example/v1.4.2\"";
        version(config, "v1.4.2", life);
    });
    let served = ask(&gateway, OLD, Some(&token));
    let refused = ask(&gateway, OLD, None);
    let method = gateway.tpp("funds-co").send(&Request {
        method: "GET".to_owned(),
        path: OLD.to_owned(),
        body: String::new(),
        ..gateway.request(&token)
    });
    assert_eq!((served.status, refused.status, method.status), (200, 401, 405));
    for answer in [&served, &refused, &method] {
        assert_eq!(answer.header("deprecation"), Some("@1688169599"), "RFC 9745 §2");
        assert_eq!(answer.header("sunset"), Some("Fri, 02 Nov 2096 00:00:00 GMT"), "RFC 8594 §3");
        assert_eq!(
            answer.header("link"),
            Some(
                "</stet/psd2/v1.6.2/funds-confirmations>; rel=\"successor-version\", \
                 <https://bank.example/v1.4.2>; rel=\"deprecation\", \
                 <https://bank.example/v1.4.2>; rel=\"sunset\""
            )
        );
    }
    let other = ask(&gateway, NEW, Some(&token));
    let unknown = ask(&gateway, "/stet/psd2/v9/funds-confirmations", Some(&token));
    for answer in [&other, &unknown] {
        assert_eq!(answer.header("deprecation").or(answer.header("sunset")), None);
        assert_eq!(answer.header("link"), None);
    }
    let ends = "octroi_api_version_sunset_timestamp_seconds{api=\"funds-confirmation\",version=\"v1.4.2\"} 4002652800";
    assert!(gateway.metrics().contains(ends), "{}", gateway.metrics());
    let mut myself = gateway.request(&token);
    (myself.method, myself.path, myself.body) =
        ("GET".to_owned(), "/tpp/self".to_owned(), String::new());
    let myself = gateway.tpp("funds-co").send(&myself).json();
    let apis = myself["apis"].as_array().unwrap();
    let old = apis.iter().find(|api| api["version"] == "v1.4.2").unwrap();
    assert_eq!(old["sunset"], "2096-11-02T00:00:00Z");
    assert_eq!(old["successor"], "v1.6.2");
}

#[test]
fn a_version_that_has_ended_says_where_to_go_in_the_body_and_in_one_link() {
    let gateway = Gateway::configured(|config| {
        let life = "announced = 2023-01-01\nsunset = 2023-06-30\nsuccessor = \"v1.6.2\"";
        version(config, "v1.4.2", life);
    });
    let answer = ask(&gateway, OLD, None);
    assert_eq!((answer.status, answer.code().as_str()), (410, "version_retired"));
    assert_eq!(answer.json()["successor"], NEW);
    assert_eq!(answer.header("sunset"), Some("Fri, 30 Jun 2023 00:00:00 GMT"));
    let links: Vec<&str> = answer.headers.iter().filter(|h| h.0 == "link").map(|h| &*h.1).collect();
    let psu = gateway.addresses.psu.port();
    let roadmap = format!("<https://localhost:{psu}/roadmap>; rel=\"sunset\"");
    assert_eq!(links, [format!("<{NEW}>; rel=\"successor-version\", {roadmap}")]);
}

#[test]
fn a_brown_out_answers_as_after_the_end_for_as_long_as_it_lasts() {
    let (from, to, later) = (hours(-1), hours(1), hours(2));
    let (gateway, token) = with_token(|config| {
        let life = format!(
            "deprecated = 2023-01-01\nsunset = 2096-11-02\nsuccessor = \"v1.6.2\"\n\
             brown_out = [{{ from = {from}, to = {to} }}, {{ from = {later}, to = 2096-11-01T00:00:00Z }}]"
        );
        version(config, "v1.4.2", &life);
    });
    let answer = ask(&gateway, OLD, Some(&token));
    assert_eq!((answer.status, answer.code().as_str()), (410, "version_brown_out"));
    let seconds: i64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((3000..=3601).contains(&seconds), "{seconds}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(answer.header("link").unwrap().contains("successor-version"));
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("ends on 2096-11-02; use v1.6.2"), "{detail}");
    assert_eq!(gateway.record_of(&answer)["event.reason"], "version_brown_out");
    assert_eq!(ask(&gateway, NEW, Some(&token)).status, 200);
}

#[test]
fn a_version_that_has_not_begun_is_as_if_it_were_not_there_but_for_the_roadmap() {
    let (gateway, token) = with_token(|config| {
        version(config, "v1.4.2", "introduced = 2090-01-01\ndeprecated = 2091-01-01");
    });
    let answer = ask(&gateway, OLD, Some(&token));
    assert_eq!((answer.status, answer.code().as_str()), (404, "path_unknown"));
    assert_eq!(answer.header("deprecation"), None);
    let roadmap = page(&gateway, "/roadmap.json", "fr").json();
    let rows = roadmap["versions"].as_array().unwrap();
    let row = rows.iter().find(|row| row["version"] == "v1.4.2").unwrap();
    assert_eq!(
        (&row["stage"], &row["introduced"]),
        (&"planned".into(), &"2090-01-01T00:00:00Z".into())
    );
}

#[test]
fn an_end_without_its_notice_is_refused_unless_an_emergency_is_named_and_printed() {
    let place = Gateway::sandbox().leave();
    let check = |life: &str| {
        let mut config = place.config();
        version(&mut config, "v1.4.2", life);
        let file = place.file("checked.toml");
        fs::write(&file, toml::to_string(&config).unwrap()).unwrap();
        run(&["check", "--config", file.to_str().unwrap(), "--output", "json"])
    };
    let problem = |life: &str| -> Value {
        let output = check(life);
        assert_eq!(output.status.code(), Some(1), "{life}");
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        told["problems"][0].clone()
    };
    let hasty = "announced = 2096-11-30\nsunset = 2097-02-28";
    let told = problem(hasty);
    assert_eq!(told["key"], "api[0].version[1].sunset");
    assert!(told["what"].as_str().unwrap().contains("last until 2097-03-01"), "{told}");
    assert!(check("announced = 2096-11-30\nsunset = 2097-03-01").status.success());
    let told = check(&format!("{hasty}\nemergency = \"a hole in its signatures\""));
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    let warnings = told["warnings"].to_string();
    assert!(warnings.contains("a hole in its signatures"), "{warnings}");
    for (life, key) in [
        ("sunset = 2097-03-01", "announced"),
        ("announced = 2096-01-01\nsunset = 2097-03-01\nsuccessor = \"v9\"", "successor"),
        ("deprecated = 2096-01-01\nsunset = 2095-01-01\nemergency = \"x\"", "sunset"),
        ("introduced = \"soon\"", "introduced"),
        ("documentation = \"http://bank.example\"", "documentation"),
        (
            "deprecated = 2096-01-01\nsunset = 2096-06-01\n\
             brown_out = [{ from = 2096-02-01T00:00:00Z, to = 2096-02-02T00:00:00Z }]",
            "successor",
        ),
        ("brown_out = [{ from = 2096-02-01T00:00:00Z }]", "brown_out[0].to"),
    ] {
        assert_eq!(problem(life)["key"], format!("api[0].version[1].{key}"), "{life}");
    }
}

#[test]
fn the_roadmap_is_a_page_for_everybody_in_two_languages() {
    let (from, to) = (hours(24), hours(25));
    let gateway = Gateway::configured(|config| {
        let life = format!(
            "introduced = 2020-09-01\nannounced = 2025-11-02\ndeprecated = 2026-02-01\n\
             sunset = 2096-11-02\nsuccessor = \"v1.6.2\"\n\
             brown_out = [{{ from = {from}, to = {to} }}]"
        );
        version(config, "v1.4.2", &life);
    });
    let french = page(&gateway, "/roadmap", "fr-FR");
    let english = page(&gateway, "/roadmap?lang=en", "fr-FR");
    assert_eq!((french.status, english.status), (200, 200));
    let text = |answer: &Answer| String::from_utf8(answer.body.clone()).unwrap();
    assert!(
        text(&french).contains("Feuille de route")
            && text(&french).contains("2\u{a0}novembre\u{a0}2096")
    );
    assert!(
        text(&english).contains("API roadmap")
            && text(&english).contains("2\u{a0}November\u{a0}2096")
    );
    assert_eq!(english.header("content-language"), Some("en"));
    assert!(french.header("content-security-policy").unwrap().contains("default-src 'none'"));

    let mut browser = Chromium::start();
    browser.open(&format!("https://localhost:{}/roadmap?lang=fr", gateway.addresses.psu.port()));
    browser.wait_for("article.deprecated");
    assert!(browser.fits(), "nothing sticks out on a phone");
    let picture = std::env::temp_dir().join("octroi-roadmap.png");
    browser.picture(&picture);
    browser.click("nav a");
    browser.wait_for("html[lang=en] article.kept_alive");

    let file = gateway.config_file();
    let arguments = ["roadmap", "--config", file.to_str().unwrap(), "--output", "html"];
    let written = run(&[&arguments[..], &["--language", "en"]].concat());
    assert!(written.status.success());
    let written = String::from_utf8(written.stdout).unwrap();
    // But for the instant at which each was made.
    let body = |page: &str| page.split("<p class=\"small\">").next().unwrap().to_owned();
    let config = gateway.config();
    let base = config["listen"]["psu"]["public_url"].as_str().unwrap();
    let relative = |page: &str| body(page).replace(base, "");
    assert_eq!(relative(&written), relative(&text(&english)));
    // Elsewhere its links must lead back here.
    for link in ["/roadmap?lang=fr", "/roadmap.json"] {
        assert!(written.contains(&format!("href=\"{base}{link}\"")), "{written}");
    }
}

#[test]
fn who_must_still_move_is_read_from_the_log_and_never_put_on_the_page() {
    let place = Gateway::sandbox().leave();
    let mut config = place.config();
    version(&mut config, "v1.4.2", "deprecated = 2026-02-01\nsuccessor = \"v1.6.2\"");
    let file = place.file("checked.toml");
    fs::write(&file, toml::to_string(&config).unwrap()).unwrap();
    let log = tempfile::tempdir().unwrap();
    let now = Timestamp::now();
    let line = |version: &str| {
        format!(
            "{{\"@timestamp\":\"{now}\",\"event.action\":\"request\",\"organization.id\":\"PSDIE-CBI-C1\",\
             \"octroi.api\":\"funds-confirmation\",\"octroi.version\":\"{version}\"}}\n"
        )
    };
    let day = now.to_zoned(jiff::tz::TimeZone::UTC).date();
    let lines = [line("v1.4.2"), line("v1.4.2"), line("v1.6.2")].concat();
    fs::write(log.path().join(format!("access-{day}.000001.jsonl")), lines).unwrap();
    let base =
        ["roadmap", "--config", file.to_str().unwrap(), "--log", log.path().to_str().unwrap()];
    let text = run(&base);
    assert_eq!(text.status.code(), Some(1), "somebody must still move");
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("who must still move") && text.contains("PSDIE-CBI-C1"), "{text}");
    let json = run(&[&base[..], &["--output", "json"]].concat());
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    let versions = json["usage"]["versions"].as_array().unwrap();
    let old = versions.iter().find(|one| one["version"] == "v1.4.2").unwrap();
    assert_eq!(old["callers"][0]["calls"], 2);
    assert_eq!(old["callers"][0]["successor_calls"], 1);
    assert_eq!(run(&[&base[..], &["--output", "html"]].concat()).status.code(), Some(2));
}
