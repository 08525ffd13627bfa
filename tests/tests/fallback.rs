//! The fallback: an identified TPP, without a token, at the interface of a bank's customers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use harness::client::{Answer, Client, Request};
use harness::gateway::{Gateway, HOST, path_text};
use harness::http2::Http2;
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

#[test]
fn cookies_and_browsers_fields_pass_and_nothing_that_the_gateway_says_can_be_forged() {
    let web = Upstream::start(html());
    let gateway = Gateway::configured(|config| {
        customers(config, web.address);
        fallback(config)
            .insert("headers".to_owned(), toml::Value::Array(vec!["X-CSRF-Token".into()]));
    });
    let asked =
        Request { token: Some(SECRET.to_owned()), ..page("POST", "/accounts/1?page=2&x=%20") }
            .with("cookie", "session=abc; other=d")
            .with("x-csrf-token", "csrf")
            .with("origin", "https://tpp.example")
            .with("accept-encoding", "gzip")
            .with("x-other", "stays here")
            .with("octroi-psu", "gilles")
            .with("octroi-organisation-id", "PSDFR-ACPR-1")
            .with("client-cert", ":AAAA:")
            .with("x-forwarded-for", "10.0.0.1");
    let answer = gateway.tpp("funds-co").send(&Request { body: "a=1&b=2".to_owned(), ..asked });
    assert_eq!(answer.status, 200);
    let cookies: Vec<&str> = answer
        .headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"))
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(cookies, ["a=1; Path=/; Secure", "b=2; Path=/; Secure"]);
    assert_eq!((answer.header("server"), answer.header("cache-control")), (None, Some("no-store")));

    let heard = web.heard().pop().unwrap();
    assert!(heard.head.starts_with("POST /accounts/1?page=2&x=%20 HTTP/1.1\r\n"), "{}", heard.head);
    assert_eq!(heard.body, b"a=1&b=2");
    for (name, value) in [
        ("cookie", "session=abc; other=d"),
        ("x-csrf-token", "csrf"),
        ("origin", "https://tpp.example"),
        ("octroi-organisation-id", OWNER),
        ("octroi-lane", "fallback"),
        ("octroi-codetab", "17515"),
        ("host", HOST),
    ] {
        assert_eq!(heard.values(name), [value], "{name}");
    }
    let names = heard.names();
    for name in
        ["authorization", "fallback", "x-other", "octroi-psu", "x-forwarded-for", "octroi-api"]
    {
        assert!(!names.contains(&name.to_owned()), "{name} in {names:?}");
    }
    assert!(heard.values("client-cert")[0].len() > 100);
    for text in [gateway.place().audit_text(), gateway.place().log(), gateway.metrics()] {
        for secret in [SECRET, "session=abc", "a=1&b=2"] {
            assert!(!text.contains(secret), "{secret}");
        }
    }
}

/// A customer interface that answers when it has the first half of a body, and goes on when it is told to.
struct Slow {
    address: SocketAddr,
    /// How much of a body came, piece by piece.
    came: mpsc::Receiver<usize>,
    go_on: mpsc::Sender<()>,
}

const PIECE: usize = 1_500_000;

impl Slow {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, came) = mpsc::channel();
        let (go_on, told) = mpsc::channel();
        thread::spawn(move || {
            for socket in listener.incoming() {
                // The health probe connects and says nothing.
                let _ = Self::serve(socket.unwrap(), &tell, &told);
            }
        });
        Self { address, came, go_on }
    }

    fn serve(
        mut socket: TcpStream,
        tell: &mpsc::Sender<usize>,
        told: &mpsc::Receiver<()>,
    ) -> std::io::Result<()> {
        let (mut head, mut octet) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            socket.read_exact(&mut octet)?;
            head.push(octet[0]);
        }
        if String::from_utf8_lossy(&head).starts_with("POST") {
            let (mut read, mut chunk) = (0, vec![0; 64 * 1024]);
            for half in [PIECE, 2 * PIECE] {
                while read < half {
                    read += socket.read(&mut chunk)?;
                }
                let _ = tell.send(read);
            }
            return socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
        let begin = "HTTP/1.1 200 OK\r\nContent-Type: application/pdf\r\nTransfer-Encoding: chunked\r\n\r\n";
        socket.write_all(begin.as_bytes())?;
        for _ in 0..2 {
            let piece = vec![b'p'; PIECE];
            socket.write_all(format!("{PIECE:x}\r\n").as_bytes())?;
            socket.write_all(&piece)?;
            socket.write_all(b"\r\n")?;
            let _ = told.recv();
        }
        socket.write_all(b"0\r\n\r\n")
    }
}

#[test]
fn bodies_pass_both_ways_as_they_come() {
    let web = Slow::start();
    let gateway = Gateway::configured(|config| customers(config, web.address));
    let patience = Duration::from_secs(30);
    let mut connection = gateway.tpp("funds-co").connect(HOST).unwrap();
    let head = format!(
        "POST /documents HTTP/1.1\r\nHost: {HOST}\r\nfallback: 1\r\nContent-Length: {}\r\n\r\n",
        2 * PIECE
    );
    connection.write(head.as_bytes()).unwrap();
    connection.write(&vec![b'x'; PIECE]).unwrap();
    // The second half is not sent before the first has arrived.
    assert_eq!(web.came.recv_timeout(patience).unwrap(), PIECE);
    let answer = connection.exchange(&vec![b'x'; PIECE]).unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(web.came.recv_timeout(patience).unwrap(), 2 * PIECE);
    let record = gateway.record_of(&answer);
    assert_eq!(record["http.request.body.bytes"], 2 * PIECE, "{record:#}");

    let mut connection = gateway.tpp("funds-co").connect(HOST).unwrap();
    let head = format!("GET /statement.pdf HTTP/1.1\r\nHost: {HOST}\r\nfallback: 1\r\n\r\n");
    connection.write(head.as_bytes()).unwrap();
    let first = connection.read_at_least(PIECE).unwrap();
    web.go_on.send(()).unwrap();
    let second = connection.read_at_least(PIECE).unwrap();
    web.go_on.send(()).unwrap();
    let came = first.iter().chain(&second).filter(|octet| **octet == b'p').count();
    assert!(came >= 2 * PIECE, "{came}");
    eventually("its record", || {
        let records = gateway.place().audit();
        records.iter().any(|record| record["http.response.body.bytes"] == 2 * PIECE).then_some(())
    });
}

#[tokio::test]
async fn over_http2_cookies_become_one_field_and_a_body_needs_no_length() {
    let (web, slow) = (Upstream::start(html()), Slow::start());
    let gateway = Gateway::configured(|config| customers(config, web.address));
    let identity = gateway.place().file("tpp/funds-co");
    let client = Http2::new(&gateway.server_ca(), &identity);
    let (sender, connection) = client.connect(gateway.addresses.tpp, HOST).await.unwrap();
    tokio::spawn(connection);
    let head = |method: &str, path: &str| {
        let url = format!("https://{HOST}{path}");
        http::Request::builder().method(method).uri(url).header("fallback", "1")
    };
    let asked = head("GET", "/accounts?page=2").header("cookie", "a=1").header("cookie", "b=2");
    let asked = asked.body(()).unwrap();
    let (answer, _) = sender.clone().ready().await.unwrap().send_request(asked, true).unwrap();
    let answer = answer.await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers().get_all("set-cookie").iter().count(), 2);
    let heard = web.heard().pop().unwrap();
    assert_eq!(heard.values("cookie"), ["a=1; b=2"]);
    assert!(heard.head.starts_with("GET /accounts?page=2 HTTP/1.1\r\n"), "{}", heard.head);
    let twice = head("GET", "/accounts").header("fallback", "1").body(()).unwrap();
    let (answer, _) = sender.clone().ready().await.unwrap().send_request(twice, true).unwrap();
    assert_eq!(answer.await.unwrap().status(), 400);

    let gateway = Gateway::configured(|config| customers(config, slow.address));
    let client = Http2::new(&gateway.server_ca(), &gateway.place().file("tpp/funds-co"));
    let (sender, connection) = client.connect(gateway.addresses.tpp, HOST).await.unwrap();
    tokio::spawn(connection);
    let asked = head("POST", "/documents").body(()).unwrap();
    let (answer, mut body) =
        sender.clone().ready().await.unwrap().send_request(asked, false).unwrap();
    body.send_data(vec![b'x'; 2 * PIECE].into(), true).unwrap();
    assert_eq!(answer.await.unwrap().status(), 200);
    let mut records = gateway.place().audit().into_iter();
    let record = records.find(|record| record["http.request.method"] == "POST").unwrap();
    assert_eq!(record["http.request.body.bytes"], 2 * PIECE, "{record:#}");
}

#[test]
fn whoever_uploads_too_slowly_does_not_make_the_customer_interface_look_as_if_it_failed() {
    let web = Upstream::start(html());
    let gateway = Gateway::configured(|config| {
        customers(config, web.address);
        let system = bank(config)["customer_interface"].as_table_mut().unwrap();
        system.insert("response_timeout".to_owned(), "200ms".into());
    });
    let tpp = gateway.tpp("funds-co");
    let begun = format!(
        "POST /documents HTTP/1.1\r\nHost: {HOST}\r\nfallback: 1\r\nContent-Length: 100\r\n\r\nonly this"
    );
    for _ in 0..6 {
        let answer = tpp.connect(HOST).unwrap().exchange(begun.as_bytes()).unwrap();
        assert_eq!(told(&answer), (400, "request_malformed".to_owned()));
    }
    assert!(
        gateway.metrics().contains("octroi_customer_interface_circuit_open{codetab=\"17515\"} 0")
    );
    assert_eq!(tpp.send(&page("GET", "/accounts")).status, 200);
}

#[test]
fn a_body_beyond_the_bound_is_refused_announced_or_not() {
    let web = Upstream::start(html());
    let gateway = Gateway::configured(|config| {
        customers(config, web.address);
        fallback(config).insert("body_bytes_max".to_owned(), 1000.into());
    });
    let tpp = gateway.tpp("funds-co");
    let too_long = Request { body: "x".repeat(1001), ..page("POST", "/documents") };
    assert_eq!(told(&tpp.send(&too_long)), (413, "body_too_large".to_owned()));
    assert!(web.heard().is_empty(), "nobody was asked");
    let head = format!(
        "POST /documents HTTP/1.1\r\nHost: {HOST}\r\nfallback: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    let mut connection = tpp.connect(HOST).unwrap();
    let chunks = format!("{head}3e8\r\n{}\r\n1\r\ny\r\n0\r\n\r\n", "x".repeat(1000));
    let answer = connection.exchange(chunks.as_bytes()).unwrap();
    assert_eq!(told(&answer), (413, "body_too_large".to_owned()));
    assert_eq!(gateway.record_of(&answer)["octroi.outcome"], "refused");
    let fits = Request { body: "x".repeat(1000), ..page("POST", "/documents") };
    assert_eq!(tpp.send(&fits).status, 200);
}
