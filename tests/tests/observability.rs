//! What Prometheus sees of running gateways: every query of every dashboard and every expression of the
//! rules has data there, every series is described, and nobody who knocks can make more of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use certs::test_qtsp::responder::{Reply, Said, SignedBy};
use certs::test_qtsp::{Authority, Recipe};
use certs::{Leaf, PspRole};
use harness::client::{Client, Request};
use harness::dashboards;
use harness::gateway::{CODETABS, DOMAIN, Gateway, HOST, PATH, Place, path_text, upstream};
use harness::lists::{List, Signer};
use harness::load::{Asker, Load};
use harness::prometheus::Prometheus;
use harness::publisher::Publisher;
use harness::qtsp::{Mood, Publication};
use harness::redis_server::RedisServer;
use harness::rules;
use harness::upstream::{Manner, Upstream};
use harness::{eventually, run};
use jiff::{SignedDuration, Timestamp};
use openssl::rsa::Rsa;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The TPP that most calls here are made as.
const FUNDS_CO: &str = "PSDFR-ACPR-99901";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A gateway with every part that has series, and everybody whom it asks.
struct Whole {
    gateway: Gateway,
    redis: RedisServer,
    _publication: Publication,
    _publisher: Publisher,
    _slow: Upstream,
    _lists: TempDir,
}

impl Whole {
    fn start() -> Self {
        let (redis, publication, publisher) =
            (RedisServer::start(), Publication::start(), Publisher::start());
        publisher.publish("/jwks", jwks(), "1");
        let place = Gateway::sandbox().leave();
        watched_tpp(&place, &publication);
        let seal = fs::read(place.file("tpp/funds-co/qsealc.pem")).unwrap();
        let fingerprint = hex::encode(Leaf::from_pem(&seal).unwrap().0.fingerprint());
        let path = format!("/keys/qsealc_{fingerprint}.pem");
        publisher.publish(&path, seal, "1");
        let lists = trusted_lists();
        let slow =
            Upstream::start(Manner { delay: Duration::from_millis(700), ..Manner::default() });
        let gateway = Gateway::run_in(place, |config| {
            let origin = publisher.origin();
            config.insert("store".to_owned(), redis.settings().into());
            let trust = config["trust"].as_table_mut().unwrap();
            trust.remove("crls");
            let revocation = json!({
                "directory": "revocation", "allow": [publication.origin()], "refresh": "1s",
            });
            trust.insert("revocation".to_owned(), table(&revocation));
            let directory = path_text(&lists.path().join("trust")).to_owned();
            trust.insert("lists".to_owned(), table(&json!({ "directory": directory })));
            let fetch = json!({
                "urls": [format!("{origin}{path}")], "allow": [origin], "directory": "seals",
                "every": "1s",
            });
            config.insert("signature".to_owned(), table(&json!({ "fetch": fetch })));
            let jwt = json!({
                "issuer": "https://as.example-bank.fr", "audience": "https://psd2.example-bank.fr",
                "jwks_url": format!("{origin}/jwks"), "allow": [origin],
            });
            config.insert("jwt".to_owned(), table(&jwt));
            upstream(config, "42559", slow.settings());
        });
        Self {
            gateway,
            redis,
            _publication: publication,
            _publisher: publisher,
            _slow: slow,
            _lists: lists,
        }
    }
}

fn table(json: &Value) -> toml::Value {
    toml::Value::try_from(json).unwrap()
}

fn jwks() -> Vec<u8> {
    let rsa = Rsa::generate(2048).unwrap();
    let text = |bytes: Vec<u8>| URL_SAFE_NO_PAD.encode(bytes);
    let (n, e) = (text(rsa.n().to_vec()), text(rsa.e().to_vec()));
    let key = json!({ "kty": "RSA", "kid": "one", "use": "sig", "n": n, "e": e });
    json!({ "keys": [key] }).to_string().into_bytes()
}

/// `watched`: another certificate of `funds-co`, that names a list and a responder.
fn watched_tpp(place: &Place, publication: &Publication) {
    let qtsp = Authority::from_pem(&fs::read(place.file("qtsp/qtsp.pem")).unwrap()).unwrap();
    let now = Timestamp::now();
    let mut recipe = Recipe::qwac("Funds Co", FUNDS_CO, &[PspRole::CardBasedInstruments], now);
    recipe.crl_url = Some(format!("{}/crl", publication.origin()));
    recipe.ocsp_url = Some(format!("{}/ocsp", publication.origin()));
    give(place, "watched", &qtsp, &recipe);
    let hour = |hours| now + SignedDuration::from_hours(hours);
    publication.set_crl(Mood::Says(qtsp.crl(&[], hour(-1), hour(1)).unwrap()));
    publication.set_ocsp(Mood::Answers(std::sync::Arc::new(move |serial: &[u8]| {
        let reply = Reply {
            said: Said::Good,
            this_update: Timestamp::now() - SignedDuration::from_secs(5),
            next_update: Some(Timestamp::now() + SignedDuration::from_hours(1)),
            signed_by: SignedBy::Issuer,
        };
        qtsp.ocsp(serial, &reply).unwrap()
    })));
}

fn give(place: &Place, name: &str, qtsp: &Authority, recipe: &Recipe) {
    let issued = qtsp.issue(recipe).unwrap();
    let folder = place.file(&format!("tpp/{name}"));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("qwac.pem"), issued.chain_pem().unwrap()).unwrap();
    fs::write(folder.join("qwac.key"), issued.key_pem().unwrap()).unwrap();
}

/// Lists of one territory, imported.
fn trusted_lists() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name);
    let (lotl, national) =
        (Signer::new(dir.path(), "lotl", 1000), Signer::new(dir.path(), "ie", 1000));
    let qtsp = Authority::generate("Listed", Timestamp::now()).unwrap();
    let pointers = vec![("IE", "https://lists.invalid/ie.xml".to_owned(), &national)];
    let list = List { territory: "EU", sequence: 7, services: Vec::new(), pointers, hours: 1000 };
    lotl.sign(&list.xml(), &file("lotl.xml"));
    let services = vec![(qtsp.issuing_pem().unwrap(), "granted")];
    let list = List { territory: "IE", sequence: 3, services, pointers: Vec::new(), hours: 1000 };
    national.sign(&list.xml(), &file("ie.xml"));
    let (lists, ie) = (file("lotl.xml"), file("ie.xml"));
    let imported = run(&[
        "trust",
        "import",
        "--signer",
        path_text(&lotl.certificate),
        "--lotl",
        path_text(&lists),
        "--dir",
        path_text(&file("trust")),
        path_text(&ie),
    ]);
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    dir
}

fn host_of(codetab: &str) -> String {
    format!("www.{codetab}.{DOMAIN}")
}

/// Calls of every kind, for as long as the load lasts.
fn calls(gateway: &Gateway, tpp: &str, tokens: &[(&str, String)]) -> Vec<Asker> {
    let mut askers = Vec::new();
    let mut add = |host: String, request: Request, kind: usize| {
        let octets = request.octets();
        let client = gateway.tpp(tpp);
        askers.push(Asker { client, host, request: Box::new(move |_| octets.clone()), kind });
    };
    for (codetab, token) in tokens {
        let allowed = Request { host: host_of(codetab), ..gateway.request(token) };
        add(host_of(codetab), allowed, 0);
    }
    let refused = gateway.request("nobody-gave-this-token");
    add(HOST.to_owned(), refused.clone(), 1);
    add(HOST.to_owned(), Request { path: "/nowhere".to_owned(), ..refused.clone() }, 1);
    let oauth = Request { path: "/stet/psd2/oauth/token".to_owned(), token: None, ..refused };
    add(HOST.to_owned(), oauth, 1);
    askers
}

/// What Grafana would put in place of its variables.
fn substituted(expr: &str) -> String {
    expr.replace("$__rate_interval", "30s")
        .replace("$organisation_id", FUNDS_CO)
        .replace("codetab=\"$codetab\"", "codetab=\"17515\"")
        .replace("$codetab", ".*")
        .replace("$api", ".*")
}

/// An alert's condition as a series of 0 and 1, so that it has data exactly if all that it looks at has.
fn as_bool(expr: &str) -> String {
    let mut bool = expr.to_owned();
    for operator in [">=", "<=", "==", "!=", ">", "<"] {
        bool = bool.replace(&format!(" {operator} "), &format!(" {operator} bool "));
    }
    bool
}

/// Every expression that must have data, with where it stands.
fn expressions() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for dashboard in dashboards::all() {
        for (row, panel) in
            dashboard.rows.iter().flat_map(|row| row.panels.iter().map(move |panel| (row, panel)))
        {
            for query in &panel.queries {
                let place = format!("{} / {} / {}", dashboard.title, row.title, panel.title);
                all.push((place, substituted(&query.expr)));
            }
        }
    }
    for file in ["rules.yml", "alerts.yml"] {
        for rule in rules::rules(file) {
            if let Some(alert) = rule.alert {
                all.push((alert, as_bool(&rule.expr)));
            } else if let Some(record) = rule.record {
                all.push((record.clone(), record.clone()));
                all.push((record, rule.expr));
            }
        }
    }
    all
}

#[test]
fn every_query_of_dashboards_and_rules_has_data_and_every_series_is_described() {
    let whole = Whole::start();
    let sandbox = Gateway::sandbox();
    let targets = [whole.gateway.addresses.admin, sandbox.addresses.admin];
    let prometheus = Prometheus::start(&targets, &rules::folder());
    let minted =
        |codetab| (codetab, whole.redis.mint_at(&format!("token-{codetab}"), "gilles", codetab));
    let mut askers = calls(&whole.gateway, "watched", &[minted("17515"), minted("42559")]);
    let token = sandbox.token("funds-co", "gilles", &[]);
    askers.extend(calls(&sandbox, "funds-co", &[("17515", token)]));
    let load = Load::start(askers, Some(40.0));

    let mut left = expressions();
    assert!(left.len() > 150, "{}", left.len());
    let deadline = std::time::Instant::now() + harness::PATIENCE;
    while !left.is_empty() && std::time::Instant::now() < deadline {
        left.retain(|(place, expr)| match prometheus.query(expr) {
            Ok(found) => found.is_empty(),
            Err(error) => panic!("{place}: {expr}: {error}"),
        });
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(left.is_empty(), "no data for {left:#?}");

    // Both exposition forms were understood, and an exemplar leads to a record.
    for target in prometheus.targets() {
        assert_eq!((&target["health"], &target["lastError"]), (&"up".into(), &"".into()));
    }
    let exemplars =
        prometheus.exemplars("octroi_request_duration_seconds_bucket{outcome=\"allowed\"}");
    let traces: BTreeSet<String> = exemplars
        .iter()
        .map(|one| one["labels"]["trace_id"].as_str().unwrap().to_owned())
        .collect();
    assert!(!traces.is_empty(), "exemplars were stored");
    load.stop();
    eventually("a record of the trace of an exemplar", || {
        let records = whole.gateway.place().audit().into_iter().chain(sandbox.place().audit());
        let mut known = records.filter_map(|record| Some(record["trace.id"].as_str()?.to_owned()));
        known.any(|trace| traces.contains(&trace)).then_some(())
    });
    described(&[whole.gateway.metrics(), sandbox.metrics()]);
}

/// Every family that is scraped has a row in the metrics page, and every row a family. Some begin only when
/// what they count happens.
fn described(scraped: &[String]) {
    const AT_THEIR_TIME: [&str; 7] = [
        "octroi_api_version_sunset_timestamp_seconds",
        "octroi_checks_observed_total",
        "octroi_connections_closed_total",
        "octroi_consents_total",
        "octroi_quota_refused_total",
        "octroi_tpp_certificate_purpose",
        "octroi_trust_refreshes_total",
    ];
    let family = |line: &str| Some(line.strip_prefix("# TYPE ")?.split(' ').next()?.to_owned());
    let mut found: BTreeSet<String> =
        scraped.iter().flat_map(|text| text.lines().filter_map(family)).collect();
    found.extend(AT_THEIR_TIME.map(str::to_owned));
    let page = fs::read_to_string(root().join("docs/src/operating/metrics.md")).unwrap();
    let cell = |line: &str| Some(line.strip_prefix("| `")?.split(" |").next()?.to_owned());
    let names = page.lines().filter_map(cell).flat_map(|cell| {
        let names = cell.split('`').map(str::trim).filter(|name| name.contains('_'));
        names.map(str::to_owned).collect::<Vec<_>>()
    });
    let mut told = BTreeSet::new();
    for name in names {
        assert!(told.insert(name.clone()), "docs/src/operating/metrics.md describes {name} twice");
    }
    let missing: Vec<_> = found.difference(&told).collect();
    assert!(missing.is_empty(), "docs/src/operating/metrics.md does not describe {missing:?}");
    let gone: Vec<_> = told.difference(&found).collect();
    assert!(
        gone.is_empty(),
        "docs/src/operating/metrics.md describes {gone:?}, which is not there"
    );
}

/// Series that strangers can add, at most: one histogram (17) and a few reasons for each of 19 codetabs and five
/// versions, one of each being "none".
const STRANGERS_ADD_MAX: usize = 2_500;
const SCRAPE_BYTES_MAX: usize = 1024 * 1024;
const KNOCKS: usize = 10_000;

fn series(text: &str) -> usize {
    text.lines().filter(|line| !line.starts_with('#')).count()
}

/// A stranger with a sound certificate of an organisation that no register lists.
fn stranger(gateway: &Gateway, qtsp: &Authority, number: usize) -> Client {
    let id = format!("PSDFR-ACPR-STRANGER{number}");
    let recipe = Recipe::qwac("Stranger", &id, &[PspRole::CardBasedInstruments], Timestamp::now());
    give(gateway.place(), "stranger", qtsp, &recipe);
    gateway.tpp("stranger")
}

fn strangers_knock(organisations: usize) {
    let gateway = Gateway::sandbox();
    let token = gateway.token("funds-co", "gilles", &[]);
    assert_eq!(gateway.tpp("funds-co").send(&gateway.request(&token)).status, 200);
    let qtsp = fs::read(gateway.place().file("qtsp/qtsp.pem")).unwrap();
    let qtsp = Authority::from_pem(&qtsp).unwrap();
    let before = series(&gateway.metrics());

    let known = gateway.request("token");
    for number in 0..organisations {
        let answer = stranger(&gateway, &qtsp, number).send(&known);
        assert_eq!(answer.code(), "register_unknown");
    }
    let client = stranger(&gateway, &qtsp, organisations);
    let mut connection = client.connect(HOST).unwrap();
    for number in 0..KNOCKS {
        let mut request = known.clone();
        match number % 4 {
            0 => request.path = format!("/stet/psd2/v{number}/funds-confirmations"),
            1 => request.host = format!("www.{number}.{DOMAIN}"),
            2 => request.method = format!("KNOCK{number}"),
            _ => {
                // Not its own name: 421, at every bank.
                request.host = host_of(CODETABS[number % CODETABS.len()]);
                request.path = if number % 8 == 3 { PATH.to_owned() } else { format!("/{number}") };
            }
        }
        let answer = match connection.exchange(&request.octets()) {
            Ok(answer) => answer,
            Err(_) => {
                connection = client.connect(HOST).unwrap();
                continue;
            }
        };
        assert!(answer.status >= 400, "{number}");
    }
    for number in 0..200 {
        let _ = client.connect(&format!("knock{number}.example")).map(|mut connection| {
            let _ = connection.exchange(&known.octets());
        });
    }
    let after = gateway.metrics();
    let added = series(&after) - before;
    println!(
        "{organisations} organisations and {KNOCKS} names: {before} series and {added} more, {} KiB",
        after.len() / 1024
    );
    assert!(added <= STRANGERS_ADD_MAX, "{added} more series");
    assert!(after.len() <= SCRAPE_BYTES_MAX, "{} bytes", after.len());
    for word in ["STRANGER", "KNOCK", "knock", "v9996"] {
        assert!(!after.contains(word), "{word} is in the metrics");
    }
    assert!(after.contains(FUNDS_CO), "who is listed is shown");
}

#[test]
fn strangers_of_any_name_path_host_method_and_server_name_add_no_series_beyond_the_bound() {
    strangers_knock(200);
}

#[test]
#[ignore = "prints figures: ten thousand certificates take minutes"]
fn ten_thousand_organisations_add_no_series_beyond_the_bound() {
    strangers_knock(10_000);
}
