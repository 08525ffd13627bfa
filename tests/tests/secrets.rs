//! What must not be read by those who read logs, metrics and errors.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use harness::collector::Collector;
use harness::gateway::{GILLES_IBAN, Gateway, HOST, body, path_text, upstream};
use harness::upstream::{Manner, Upstream};
use harness::{eventually, octroi};

#[test]
fn neither_tokens_nor_ibans_nor_names_reach_log_audit_metrics_or_errors() {
    let gateway = Gateway::sandbox();
    let token = gateway.token("funds-co", "gilles", &[]);
    let client = gateway.tpp("funds-co");
    let good = gateway.request(&token);
    let mut answers = vec![client.send(&good)];
    let mut other = good.clone();
    other.body = body("FR7617515000920440878790812", "1");
    answers.push(client.send(&other));
    other.body = good.body.replace("EUR", GILLES_IBAN);
    answers.push(client.send(&other));
    other.body = good.body.clone();
    other.path = format!("/stet?token={token}&iban={GILLES_IBAN}");
    answers.push(client.send(&other));
    other.token = Some(format!("{token}x"));
    other.path = good.path.clone();
    answers.push(client.send(&other));
    let mut connection = client.connect(HOST).unwrap();
    let raw = format!("BROKEN {token} {GILLES_IBAN}\r\nAuthorization: Bearer {token}\r\n\r\n");
    answers.push(connection.exchange(raw.as_bytes()).unwrap());

    let last = answers.last().unwrap();
    gateway.record_of(last);
    let (audit, metrics) = (gateway.place().audit_text(), gateway.metrics());
    let bodies: String =
        answers.iter().skip(1).map(|a| String::from_utf8_lossy(&a.body).into_owned()).collect();
    let log = gateway.place().log();

    let log: String = log.lines().filter(|line| line.starts_with('{')).collect();
    assert!(!log.is_empty() && !audit.is_empty() && !metrics.is_empty());
    for secret in [token.as_str(), GILLES_IBAN, "FR7617515000920440878790812", "TESTUNID", "gilles"]
    {
        for (place, text) in
            [("log", &log), ("audit", &audit), ("metrics", &metrics), ("errors", &bodies)]
        {
            assert!(!text.contains(secret), "{secret:.6}… stands in {place}");
        }
    }
    let allowed: Vec<_> = gateway
        .place()
        .audit()
        .into_iter()
        .filter(|r| r["octroi.iban_hmac"].is_string() && r["octroi.outcome"] == "allowed")
        .collect();
    let [allowed] = allowed.as_slice() else { panic!("{allowed:?}") };
    assert_eq!(allowed["octroi.iban_hmac"].as_str().unwrap().len(), 64);
    assert_eq!(allowed["octroi.psu_hmac"].as_str().unwrap().len(), 64);
}

/// Every file below `folder`, as text to be searched; keys are where they belong.
fn files(folder: &Path, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, found),
            false => {
                let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
                found.insert(path_text(&path).to_owned(), text);
            }
        }
    }
}

fn said(arguments: &[&str]) -> String {
    let output = Command::new(octroi()).args(arguments).output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn nothing_that_is_written_shown_or_sent_elsewhere_holds_a_secret_of_any_request() {
    let sandbox = Gateway::sandbox();
    let token = sandbox.token("funds-co", "gilles", &[]);
    let collector = Collector::start();
    let endpoint = collector.endpoint();
    let slow = Upstream::start(Manner { delay: Duration::from_secs(4), ..Manner::default() });
    let broken = Upstream::start(Manner {
        status: "500 Oops",
        body: format!("no JSON {GILLES_IBAN}"),
        ..Manner::default()
    });
    let (mut first, second) = (slow.settings(), broken.settings());
    first.insert("response_timeout".to_owned(), "300ms".into());
    let change = move |config: &mut toml::Table, settings: toml::Table| {
        upstream(config, "17515", settings);
        let tracing = toml::Table::from_iter([
            ("endpoint".to_owned(), endpoint.clone().into()),
            ("sample_ratio".to_owned(), 1.0.into()),
        ]);
        config.insert("tracing".to_owned(), tracing.into());
    };
    let gateway = Gateway::run_in(sandbox.leave(), |config| change(config, first));
    let client = gateway.tpp("funds-co");
    let good = gateway.request(&token);
    assert_eq!(client.send(&good).status, 504);
    let mut statuses = vec![client.send(&good.clone().with("X-Request-ID", &token)).status];
    for place in [token.as_str(), GILLES_IBAN, &GILLES_IBAN.to_lowercase()] {
        let mut other = good.clone();
        other.path = format!("/accounts/{place}/balances?access_token={token}");
        statuses.push(client.send(&other).status);
        statuses.push(client.send(&good.clone().with("X-Request-ID", place)).status);
        let head = |line: &str, host: &str| {
            format!("{line} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n")
        };
        for raw in [
            head(&format!("{place} /x"), HOST),
            head("GET /x", place),
            head("GET /x", &format!("{place}.{HOST}")),
            head(&format!("GET /\u{1b}[2J{place}"), HOST),
            head(&format!("GET https://{place}@{HOST}/x"), HOST),
            head(&format!("GET /x;{place}"), HOST),
        ] {
            let sni = client.connect(HOST).unwrap().exchange(raw.as_bytes());
            statuses.extend(sni.map(|answer| answer.status));
        }
        let host = format!("{place}.sandbox.api.localhost").replace('_', "-");
        let told = client
            .connect(&host)
            .and_then(|mut connection| connection.exchange(head("GET /x", &host).as_bytes()));
        statuses.extend(told.map(|answer| answer.status));
    }
    assert!(statuses.iter().all(|status| *status >= 400), "{statuses:?}");
    // A configuration with a password where none belongs is refused, and the running one kept.
    let password = "geheim-in-der-falschen-zeile";
    for wrong in [
        format!("redis_file = \"redis://u:{password}@127.0.0.1:1/0\""),
        format!(
            "redis = \"redis://u:{password}@127.0.0.1:1\"\nsentinels = [\"redis://:{password}@h:1\"]"
        ),
        format!(
            "redis = \"redis://u:{password}@127.0.0.1:1\"\ncluster = [\"redis://:{password}@h:1\"]"
        ),
        format!("redis = \"redis://u:{password}@127.0.0.1:1"),
    ] {
        let file = gateway.config_file();
        let before = fs::read_to_string(&file).unwrap();
        let mut config = gateway.config();
        config.remove("store");
        let text = format!("{}\n[store]\n{wrong}\n", toml::to_string(&config).unwrap());
        let refused = || {
            let series = "octroi_config_reloads_total{outcome=\"failed\"} ";
            let metrics = gateway.metrics();
            let count = metrics.lines().find_map(|line| line.strip_prefix(series)).unwrap();
            count.parse::<u32>().unwrap()
        };
        let count = refused();
        fs::write(&file, text).unwrap();
        gateway.signal("HUP");
        eventually("it is refused", || (refused() > count).then_some(()));
        let told = said(&["check", "--config", path_text(&file)]);
        assert!(told.contains("refused") && !told.contains(password), "{told}");
        fs::write(&file, before).unwrap();
    }
    eventually("the traces", || (!collector.spans().is_empty()).then_some(()));
    let mut seen = BTreeMap::new();
    let metrics = gateway.metrics();
    let place = gateway.leave();
    let audit = place.file("audit");
    // A bank that fails and tells why, in a gateway of its own: the log goes on.
    let gateway = Gateway::run_in(place, |config| {
        upstream(config, "17515", second);
    });
    let answer = gateway.tpp("funds-co").send(&good);
    assert_eq!(answer.status, 503);
    seen.insert("an answer".to_owned(), String::from_utf8_lossy(&answer.body).into_owned());
    seen.insert("metrics".to_owned(), metrics + &gateway.metrics());
    seen.insert("traces".to_owned(), collector.text());
    let place = gateway.leave();
    files(&audit, &mut seen);
    let config = place.file("changed.toml");
    let out = tempfile::tempdir().unwrap();
    let (at, config, to) = (path_text(&audit), path_text(&config), path_text(out.path()));
    for arguments in [
        vec!["audit", "search", "--directory", at],
        vec!["audit", "search", "--directory", at, "--output", "jsonl"],
        vec!["audit", "export", "--format", "ocsf", "--directory", at],
        vec!["audit", "export", "--format", "ecs", "--directory", at],
        vec!["audit", "verify", at],
        vec!["audit", "replay", "--config", config],
        vec!["rehearse", "--config", config, "--log", at],
        vec!["report", "--sandbox", "--quarter", "2026-Q4", "--log", at, "--to", to],
    ] {
        seen.insert(arguments.join(" "), said(&arguments));
    }
    files(out.path(), &mut seen);
    let log = place.log();
    let log = log.lines().filter(|line| line.starts_with('{')).collect::<Vec<_>>().join("\n");
    seen.insert("log".to_owned(), log);
    seen.retain(|name, _| !name.ends_with("signing-key.pem"));
    assert!(seen.keys().any(|name| name.contains("/worlds/")), "{:?}", seen.keys());
    assert!(seen.keys().any(|name| name.contains("/certificates/")), "{:?}", seen.keys());
    let hidden = token.replace('_', "-");
    for secret in
        [token.as_str(), &hidden, GILLES_IBAN, &GILLES_IBAN.to_lowercase(), password, "TESTUNID"]
    {
        for (place, text) in &seen {
            let found = text.find(secret).map(|at| text.get(at.saturating_sub(200)..at));
            assert!(found.is_none(), "{secret:.6}… stands in {place}: {found:?}");
        }
    }
}
