//! The fallback: an identified TPP, without a token, at the interface of a bank's customers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod traffic;

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use harness::client::{Answer, Client, Request};
use harness::gateway::{Gateway, HOST, path_text};
use harness::replay::{json, replay};
use harness::upstream::{Manner, Upstream};
use harness::{eventually, run};
use serde_json::Value;

const OWNER: &str = "PSDFR-ACPR-99901";
const SECRET: &str = "a-token-that-came-along-0123456789";

/// What asks for a page of the customer interface.
fn page(method: &str, path: &str) -> Request {
    Request {
        method: method.to_owned(),
        host: HOST.to_owned(),
        path: path.to_owned(),
        token: None,
        headers: vec![("fallback".to_owned(), "1".to_owned())],
        body: String::new(),
    }
}

fn html() -> Manner {
    Manner {
        headers: "Content-Type: text/html\r\nServer: customers\r\nSet-Cookie: a=1; Path=/; Secure\r\n\
                  Set-Cookie: b=2; Path=/; Secure\r\n",
        body: "<h1>Your accounts</h1>".to_owned(),
        ..Manner::default()
    }
}

/// A customer interface at `address` behind the bank of the tests; everything of it is open.
fn customers(config: &mut toml::Table, address: SocketAddr) {
    let addresses = toml::Value::Array(vec![address.to_string().into()]);
    let system = toml::Table::from_iter([("addresses".to_owned(), addresses)]);
    bank(config).insert("customer_interface".to_owned(), system.into());
    fallback(config).insert("paths".to_owned(), toml::Value::Array(vec!["/".into()]));
}

fn bank(config: &mut toml::Table) -> &mut toml::Table {
    let banks = config["codetab"].as_array_mut().unwrap();
    let found = banks.iter_mut().find(|known| known["code"].as_str() == Some("17515")).unwrap();
    found.as_table_mut().unwrap()
}

fn fallback(config: &mut toml::Table) -> &mut toml::Table {
    config["fallback"].as_table_mut().unwrap()
}

/// It opens while the adapter at `adapter` serves nothing.
fn only_while_down(config: &mut toml::Table, adapter: &Upstream) {
    let fallback = fallback(config);
    fallback.insert("when".to_owned(), "down".into());
    fallback.insert("probe_path".to_owned(), "/health".into());
    fallback.insert("probe_every".to_owned(), "100ms".into());
    let mut settings = adapter.settings();
    settings.insert("response_timeout".to_owned(), "200ms".into());
    bank(config).insert("upstream".to_owned(), settings.into());
}

fn told(answer: &Answer) -> (u16, String) {
    (answer.status, answer.code())
}

fn events(gateway: &Gateway, name: &str) -> Vec<Value> {
    let all = gateway.place().events();
    all.into_iter().filter(|event| event["event.action"] == name).collect()
}

#[track_caller]
fn event(gateway: &Gateway, name: &str) -> Value {
    eventually(name, || events(gateway, name).pop())
}

#[test]
fn a_tpp_without_a_token_logs_a_customer_in_and_sees_the_accounts() {
    let gateway = Gateway::sandbox();
    let tpp = gateway.tpp("funds-co");
    let form = tpp.send(&page("GET", "/login?lang=fr"));
    assert_eq!(form.status, 200);
    assert!(String::from_utf8_lossy(&form.body).contains("<form"));
    let login = |code: &str| {
        let credentials = format!("login=9999999904&code={code}");
        // Not the JSON of an API: the last of two would count.
        let mut head = format!(
            "POST /login HTTP/1.1\r\nHost: {HOST}\r\nfallback: 1\r\nContent-Length: {}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n\r\n",
            credentials.len()
        );
        head.push_str(&credentials);
        tpp.connect(HOST).unwrap().exchange(head.as_bytes()).unwrap()
    };
    assert_eq!(login("00000000").status, 403);
    let logged_in = login("12345678");
    assert_eq!((logged_in.status, logged_in.header("location")), (303, Some("/accounts")));
    let cookie = logged_in.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert_eq!(tpp.send(&page("GET", "/accounts")).status, 303, "without the cookie");
    let accounts = tpp.send(&page("GET", "/accounts").with("cookie", &cookie));
    let shown = String::from_utf8_lossy(&accounts.body);
    assert!(shown.contains("FR76") && shown.contains(OWNER), "{shown}");

    let record = gateway.record_of(&accounts);
    assert_eq!(record["octroi.lane"], "fallback");
    assert_eq!(
        (&record["octroi.codetab"], &record["octroi.outcome"]),
        (&"17515".into(), &"allowed".into())
    );
    assert_eq!(
        (&record["organization.id"], &record["octroi.role"]),
        (&OWNER.into(), &"PSP_IC".into())
    );
    assert!(record["octroi.api"].is_null() && record["octroi.psu_hmac"].is_null(), "{record:#}");
    let id = &record["http.request.id"];
    let permitted =
        gateway.place().events().into_iter().find(|event| event["http.request.id"] == *id);
    assert_eq!(permitted.unwrap()["octroi.lane"], "fallback");

    let metrics = gateway.metrics();
    for line in [
        "octroi_fallback_requests_total{codetab=\"17515\",outcome=\"allowed\",reason=\"\"} 5",
        "octroi_fallback_open{codetab=\"17515\"} 1",
        "octroi_customer_interface_healthy_addresses{codetab=\"17515\"} 1",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
    assert!(!metrics.contains("octroi_requests_total{api="), "no call of an API: {metrics}");
}

#[test]
fn whoever_may_not_call_an_api_is_refused_and_so_is_what_is_not_open() {
    let gateway = Gateway::sandbox();
    let login = page("GET", "/login");
    for (tpp, reason) in [
        ("withdrawn", "register_withdrawn"),
        ("unknown", "register_unknown"),
        ("expired", "certificate_expired"),
        ("revoked", "certificate_revoked"),
        ("untrusted", "certificate_untrusted"),
        ("no-psd2", "certificate_not_qwac"),
    ] {
        let answer = gateway.tpp(tpp).send(&login);
        assert_eq!(told(&answer), (403, reason.to_owned()), "{tpp}");
        assert_eq!(gateway.record_of(&answer)["octroi.lane"], "fallback", "{tpp}");
    }
    assert_eq!(gateway.tpp("account-info").send(&login).status, 200, "any role of a TPP will do");
    let nobody = Client::new(gateway.addresses.tpp, &gateway.server_ca(), None);
    assert!(nobody.connect(HOST).and_then(|mut one| one.exchange(&login.octets())).is_err());

    let tpp = gateway.tpp("funds-co");
    let elsewhere = Request { host: HOST.replace("17515", "11315"), ..login.clone() };
    let closed = tpp.send(&elsewhere);
    assert_eq!(told(&closed), (403, "fallback_closed".to_owned()));
    assert!(closed.json()["detail"].as_str().unwrap().contains("leave the header"), "{closed:?}");
    for path in ["/", "/login-of-others", "/tpp/self", harness::gateway::PATH] {
        assert_eq!(told(&tpp.send(&page("GET", path))), (404, "path_unknown".to_owned()), "{path}");
    }
    let refused = tpp.send(&page("DELETE", "/login"));
    assert_eq!(told(&refused), (405, "method_not_allowed".to_owned()));
    assert_eq!(refused.header("allow"), Some("GET, HEAD, POST"));
    // No account number that stands in a path comes into the log.
    let named = tpp.send(&page("GET", "/accounts/FR7617515000920440878790811?x=FR76"));
    assert_eq!(gateway.record_of(&named)["url.path"], "/accounts");
    assert!(!gateway.place().audit_text().contains("FR7617515"));
}

#[test]
fn the_header_says_1_once_or_the_request_is_malformed() {
    let gateway = Gateway::sandbox();
    let token = gateway.token("funds-co", "gilles", &[]);
    let tpp = gateway.tpp("funds-co");
    for value in ["0", "true", "", "1, 1", "01", "yes"] {
        for request in
            [gateway.request(&token), Request { headers: Vec::new(), ..page("GET", "/login") }]
        {
            let answer = tpp.send(&request.with("fallback", value));
            assert_eq!(told(&answer), (400, "request_malformed".to_owned()), "{value:?}");
        }
    }
    let twice = tpp.send(&page("GET", "/login").with("Fallback", "1"));
    assert_eq!(told(&twice), (400, "request_malformed".to_owned()));
    assert_eq!(tpp.send(&gateway.request(&token)).status, 200, "without it an API is called");
    let both = tpp.send(&gateway.request(&token).with("fallback", "1"));
    assert_eq!(told(&both), (404, "path_unknown".to_owned()), "a token opens no API on this way");
}

#[test]
fn a_bank_without_a_fallback_says_so() {
    let gateway = Gateway::configured(|config| {
        config.remove("fallback");
        bank(config).remove("customer_interface");
    });
    let answer = gateway.tpp("funds-co").send(&page("GET", "/login"));
    assert_eq!(told(&answer), (403, "fallback_closed".to_owned()));
}

#[test]
fn a_suspended_tpp_is_refused_until_it_is_resumed() {
    let gateway = Gateway::sandbox();
    let config = gateway.config_file();
    let (tpp, login) = (gateway.tpp("funds-co"), page("GET", "/login"));
    let decide = |verb: &str| {
        let why = ["--by", "Ada", "--because", "incident 4711", "--config", path_text(&config)];
        let output = run(&[&["tpp", verb, OWNER][..], &why].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    assert_eq!(tpp.send(&login).status, 200);
    decide("suspend");
    assert_eq!(told(&tpp.send(&login)), (403, "tpp_suspended".to_owned()));
    assert_eq!(gateway.tpp("multi-role").send(&login).status, 200, "the others are not");
    decide("resume");
    assert_eq!(tpp.send(&login).status, 200);
}

#[test]
fn its_limits_are_its_own() {
    let sandbox = Gateway::sandbox();
    let token = sandbox.token("funds-co", "gilles", &[]);
    let gateway = Gateway::run_in(sandbox.leave(), |config| {
        let quota = config["quota"]["fallback"].as_table_mut().unwrap();
        quota.insert("requests".to_owned(), 2.into());
        quota.insert("period".to_owned(), "1h".into());
    });
    let (tpp, login) = (gateway.tpp("funds-co"), page("GET", "/login"));
    for _ in 0..3 {
        assert_eq!(tpp.send(&gateway.request(&token)).status, 200);
    }
    let left = |answer: &Answer| answer.header("ratelimit").unwrap_or_default().to_owned();
    let first = tpp.send(&login);
    assert!(left(&first).starts_with("\"fallback\";r=1"), "{}", left(&first));
    assert_eq!(tpp.send(&login).status, 200);
    assert_eq!(told(&tpp.send(&login)), (429, "quota_exceeded".to_owned()));
    assert_eq!(gateway.tpp("multi-role").send(&login).status, 200, "of another TPP");
    assert_eq!(tpp.send(&gateway.request(&token)).status, 200, "of the APIs");
}

#[test]
fn it_opens_after_five_requests_that_hang_and_closes_with_one_that_is_answered() {
    let web = Upstream::start(html());
    let hangs = Manner { delay: Duration::from_secs(3600), ..Manner::default() };
    let mut adapter = Upstream::start(hangs);
    let sandbox = Gateway::sandbox();
    let token = sandbox.token("funds-co", "gilles", &[]);
    let gateway = Gateway::run_in(sandbox.leave(), |config| {
        customers(config, web.address);
        only_while_down(config, &adapter);
        // Only requests tell here.
        fallback(config).insert("probe_every".to_owned(), "1h".into());
    });
    let (tpp, accounts) = (gateway.tpp("funds-co"), page("GET", "/accounts"));
    let mut late = Vec::new();
    for _ in 0..5 {
        let closed = tpp.send(&accounts);
        assert_eq!(told(&closed), (403, "fallback_closed".to_owned()));
        assert!(closed.json()["detail"].as_str().unwrap().contains("five requests"), "{closed:?}");
        let answer = tpp.send(&gateway.request(&token));
        assert_eq!(answer.status, 504);
        late.push(answer.header("octroi-request-id").unwrap().to_owned());
    }
    let open = tpp.send(&accounts);
    assert_eq!(open.status, 200);
    let record = gateway.record_of(&open);
    let checks = record["octroi.checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["check"] == "fallback").unwrap();
    let opened = event(&gateway, "fallback_opened");
    assert_eq!(opened["octroi.subject"], "17515");
    let detail = opened["message"].as_str().unwrap();
    assert!(late.iter().all(|id| detail.contains(id.as_str())), "{detail}");
    let since = check["as_of"].as_str().unwrap();
    assert!(detail.contains(since), "since the receipt of the first, {since}: {detail}");
    assert!(gateway.metrics().contains("octroi_fallback_open{codetab=\"17515\"} 1"));

    adapter.reopen(Manner::default());
    let answered = eventually("an answer", || {
        let answer = tpp.send(&gateway.request(&token));
        (answer.status == 200).then_some(answer)
    });
    assert_eq!(told(&tpp.send(&accounts)), (403, "fallback_closed".to_owned()));
    let detail = event(&gateway, "fallback_closed")["message"].as_str().unwrap().to_owned();
    assert!(detail.contains(answered.header("octroi-request-id").unwrap()), "{detail}");
    assert!(gateway.metrics().contains("octroi_fallback_open{codetab=\"17515\"} 0"));
    assert_eq!(events(&gateway, "fallback_opened").len(), 1);

    let place = gateway.leave();
    let (report, code) = replay(&place.file("changed.toml"));
    assert_eq!((report["different"].as_u64(), code), (Some(0), Some(0)), "{report:#}");
    assert_eq!(report["not_replayed"], serde_json::json!({}), "{report:#}");
    assert_eq!(report["records"], report["equal"], "{report:#}");

    // Without a fallback the call that was let in would not have been.
    let mut config = place.config();
    config.remove("fallback");
    bank(&mut config).remove("customer_interface");
    let without = place.file("without.toml");
    fs::write(&without, toml::to_string(&config).unwrap()).unwrap();
    let (report, _) = json(&["rehearse", "--config", path_text(&without)]);
    let refused = &report["changes"]["would_be_refused"];
    assert_eq!(refused["by_reason"], serde_json::json!({ "fallback_closed": 1 }), "{report:#}");
}

#[test]
fn the_tools_know_a_call_of_the_fallback() {
    let gateway = Gateway::sandbox();
    let answer = gateway.tpp("funds-co").send(&page("GET", "/login"));
    gateway.tpp("withdrawn").send(&page("GET", "/login"));
    let id = answer.header("octroi-request-id").unwrap().to_owned();
    let place = gateway.leave();
    let (config, pem) = (place.file("octroi.toml"), place.file("tpp/funds-co/qwac.pem"));
    let config = path_text(&config);
    let search = ["audit", "search", "--config", config, "--lane", "fallback", "--count"];
    let found = run(&[&search[..], &["--by", "outcome"]].concat());
    let found = String::from_utf8_lossy(&found.stdout).into_owned();
    assert!(found.contains("allowed") && found.contains("refused"), "{found}");
    let shown = run(&["audit", "show", &id, "--config", config]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("the fallback (RTS article 33)"));

    let explain = |path: &str| {
        let asked = ["--host", HOST, "--path", path, "--method", "GET", "--fallback"];
        json(
            &[&["explain", "--config", config, "--certificate", path_text(&pem)], &asked[..]]
                .concat(),
        )
    };
    let (verdict, code) = explain("/login?x=1");
    assert_eq!((&verdict["verdict"], code), (&"allowed".into(), Some(0)), "{verdict:#}");
    let (verdict, code) = explain(harness::gateway::PATH);
    assert_eq!((&verdict["code"], code), (&"path_unknown".into(), Some(1)), "{verdict:#}");
}

#[test]
fn it_opens_when_the_adapter_refuses_connections_and_closes_when_the_adapter_says_that_it_serves() {
    let web = Upstream::start(html());
    let mut adapter = Upstream::start(Manner::default());
    let sandbox = Gateway::sandbox();
    let token = sandbox.token("funds-co", "gilles", &[]);
    let gateway = Gateway::run_in(sandbox.leave(), |config| {
        customers(config, web.address);
        only_while_down(config, &adapter);
    });
    let (tpp, accounts) = (gateway.tpp("funds-co"), page("GET", "/accounts"));
    adapter.close();
    for _ in 0..5 {
        assert_eq!(told(&tpp.send(&accounts)), (403, "fallback_closed".to_owned()));
        assert_eq!(
            told(&tpp.send(&gateway.request(&token))),
            (503, "upstream_unavailable".to_owned())
        );
    }
    assert_eq!(tpp.send(&accounts).status, 200);
    // The statistics call an error a reply, however quick.
    assert!(gateway.metrics().contains("octroi_dedicated_interface_down{codetab=\"17515\"} 0"));

    // Its port is open again, and it says that it cannot serve: nobody believes the port.
    adapter.reopen(Manner { status: "503 Service Unavailable", ..Manner::default() });
    eventually("it is asked", || {
        adapter.heard().iter().any(|heard| heard.head.starts_with("GET /health ")).then_some(())
    });
    assert_eq!(tpp.send(&accounts).status, 200);
    assert!(events(&gateway, "fallback_closed").is_empty());

    // Nobody but the gateway asks it, and it closes.
    adapter.reopen(Manner::default());
    let closed = event(&gateway, "fallback_closed");
    assert!(closed["message"].as_str().unwrap().contains("says that it serves"), "{closed:#}");
    assert_eq!(told(&tpp.send(&accounts)), (403, "fallback_closed".to_owned()));
    assert_eq!(tpp.send(&gateway.request(&token)).status, 200);
}
