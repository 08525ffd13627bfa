//! What two readers could understand differently is refused before it is trusted, and nothing of it
//! reaches a bank.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::process::Command;

use harness::PATIENCE;
use harness::gateway::{GILLES_IBAN, Gateway, HOST, PATH, body, upstream};
use harness::http2::Http2;
use harness::upstream::{Manner, Upstream};

struct Scene {
    gateway: Gateway,
    bank: Upstream,
    token: String,
}

fn scene() -> Scene {
    let sandbox = Gateway::sandbox();
    let token = sandbox.token("funds-co", "gilles", &[]);
    let bank = Upstream::start(Manner::default());
    let settings = bank.settings();
    let gateway = Gateway::run_in(sandbox.leave(), |config| upstream(config, "17515", settings));
    Scene { gateway, bank, token }
}

/// A good request with one text in place of another.
fn bent(token: &str, find: &str, replace: &str) -> Vec<u8> {
    let body = body(GILLES_IBAN, "1");
    let good = format!(
        "POST {PATH} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {token}\r\nContent-Type: \
         application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    assert!(good.contains(find), "{find}");
    good.replacen(find, replace, 1).into_bytes()
}

#[test]
fn ambiguous_requests_are_malformed_and_never_reach_the_bank() {
    let scene = scene();
    let token = &scene.token;
    let cases: Vec<(&str, Vec<u8>)> = vec![
        (
            "both lengths",
            bent(token, "Content-Length", "Transfer-Encoding: chunked\r\nContent-Length"),
        ),
        (
            "both lengths, other order",
            bent(token, "\r\n\r\n", "\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ),
        ("odd coding", bent(token, "Content-Length", "Transfer-Encoding: xchunked\r\nX")),
        ("two lengths", bent(token, "Content-Length", "Content-Length: 1\r\nContent-Length")),
        ("a list of lengths", bent(token, "Content-Length: ", "Content-Length: 1, ")),
        ("a signed length", bent(token, "Content-Length: ", "Content-Length: +")),
        ("bare LF in the head", bent(token, "\r\nAuthorization", "\nAuthorization")),
        ("bare CR in the head", bent(token, "\r\nAuthorization", "\rAuthorization")),
        ("two hosts", bent(token, "Host:", "Host: www.11315.sandbox.api.localhost\r\nHost:")),
        ("no host", bent(token, &format!("Host: {HOST}\r\n"), "")),
        (
            "two authorizations",
            bent(token, "Authorization", "Authorization: Bearer other\r\nAuthorization"),
        ),
        ("a folded header", bent(token, "Content-Type:", "Content-Type:\r\n ")),
        ("blank before the colon", bent(token, "Host:", "Host :")),
        ("an encoded dot", bent(token, "/stet/", "/%2e/stet/")),
        ("an encoded slash", bent(token, "/stet/psd2", "/stet%2fpsd2")),
        ("two slashes", bent(token, "/stet/", "//stet/")),
        ("a parameter", bent(token, "/stet/", "/stet;x/")),
        ("dots", bent(token, "/stet/", "/x/../stet/")),
        ("a backslash", bent(token, "/stet/", "\\stet/")),
        (
            "absolute form",
            bent(token, &format!("POST {PATH}"), &format!("POST https://{HOST}{PATH}")),
        ),
        ("TRACE", bent(token, "POST", "TRACE")),
        ("CONNECT", bent(token, "POST", "CONNECT")),
        ("upgrade", bent(token, "Host:", "Connection: Upgrade\r\nUpgrade: websocket\r\nHost:")),
        ("HTTP/1.0", bent(token, "HTTP/1.1", "HTTP/1.0")),
        ("NUL in a header", bent(token, "application/json", "application\0json")),
        ("a request that is none", b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n".to_vec()),
    ];
    for (name, octets) in cases {
        let mut connection = scene.gateway.tpp("funds-co").connect(HOST).unwrap();
        let answer = connection.exchange(&octets).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((answer.status, answer.code().as_str()), (400, "request_malformed"), "{name}");
        assert!(connection.is_ended(), "{name}: what follows is not read as a request");
        assert_eq!(scene.gateway.record_of(&answer)["event.reason"], "request_malformed", "{name}");
    }
    assert!(scene.bank.heard().is_empty(), "{:?}", scene.bank.heard());

    let mut connection = scene.gateway.tpp("funds-co").connect(HOST).unwrap();
    let good = bent(token, "POST", "POST");
    for _ in 0..3 {
        assert_eq!(connection.exchange(&good).unwrap().status, 200, "the straight way is open");
    }
    assert_eq!(scene.bank.heard().len(), 3);
}

#[test]
fn a_head_of_http2_is_held_to_the_same_bounds() {
    let scene = scene();
    let place = scene.gateway.place();
    let port = scene.gateway.addresses.tpp.port();
    let ask = |fields: Vec<String>| {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--http2", "-w", "\n%{http_version} %{http_code}", "-d", "{}"])
            .arg("--cacert")
            .arg(scene.gateway.server_ca())
            .arg("--cert")
            .arg(place.file("tpp/funds-co/qwac.pem"))
            .arg("--key")
            .arg(place.file("tpp/funds-co/qwac.key"))
            .arg(format!("https://{HOST}:{port}{PATH}"));
        for field in fields {
            curl.args(["-H", &field]);
        }
        String::from_utf8(curl.output().unwrap().stdout).unwrap()
    };
    let many = (0..120).map(|number| format!("X-{number}: a")).collect();
    for fields in [many, vec![format!("X-Long: {}", "a".repeat(17_000))]] {
        let printed = ask(fields);
        assert!(printed.contains("request_malformed"), "{printed}");
        assert!(printed.ends_with("\n2 400"), "{printed}");
    }
    assert!(ask(Vec::new()).contains("token_missing"));
    assert!(scene.bank.heard().is_empty());
}

#[test]
fn rfc9110_9_3_2_head_over_http2_is_answered_with_a_head_and_nothing_behind_it() {
    let gateway = Gateway::sandbox();
    let place = gateway.place();
    let port = gateway.addresses.tpp.port();
    let answer = Command::new("curl")
        .args(["--silent", "--show-error", "--http2", "--head"])
        .arg("--cacert")
        .arg(gateway.server_ca())
        .arg("--cert")
        .arg(place.file("tpp/funds-co/qwac.pem"))
        .arg("--key")
        .arg(place.file("tpp/funds-co/qwac.key"))
        .arg(format!("https://{HOST}:{port}{PATH}"))
        .output()
        .unwrap();
    let (head, fault) = (answer.stdout, String::from_utf8(answer.stderr).unwrap());
    assert_eq!((answer.status.code(), &*fault), (Some(0), ""));
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/2 405 ") && head.contains("\nallow: POST"), "{head}");
}

#[tokio::test]
async fn what_http2_refuses_before_it_is_looked_at_has_its_record_and_spares_its_neighbours() {
    let scene = scene();
    let gateway = &scene.gateway;
    let client = Http2::new(&gateway.server_ca(), &gateway.place().file("tpp/funds-co"));
    let (sender, connection) = client.connect(gateway.addresses.tpp, HOST).await.unwrap();
    tokio::spawn(connection);
    let url = format!("https://{HOST}{PATH}");
    let head = || http::Request::builder().method("POST").uri(&url);
    let malformed: [(&str, http::Request<()>); 4] = [
        ("another host", head().header("host", "www.11315.elsewhere").body(()).unwrap()),
        ("two hosts", head().header("host", HOST).header("host", HOST).body(()).unwrap()),
        ("somebody", head().uri(format!("https://me@{HOST}{PATH}")).body(()).unwrap()),
        ("a tunnel", http::Request::connect("core.bank:443").body(()).unwrap()),
    ];
    let count = || gateway.place().audit().len();
    for (name, head) in malformed {
        let before = count();
        let (answer, _) = sender.clone().ready().await.unwrap().send_request(head, true).unwrap();
        assert_eq!(answer.await.unwrap().status(), 400, "{name}");
        let records = gateway.place().audit();
        assert_eq!(records.len(), before + 1, "{name}");
        let record = records.last().unwrap();
        assert_eq!(record["event.reason"], "request_malformed", "{name}");
        assert_eq!(record["http.response.status_code"], 400, "{name}");
        assert_eq!(record["http.version"], "2", "{name}: {record}");
    }
    let good = head().header("authorization", format!("Bearer {}", scene.token));
    let good = good.header("content-type", "application/json").body(()).unwrap();
    let (answer, mut body_of) =
        sender.clone().ready().await.unwrap().send_request(good, false).unwrap();
    body_of.send_data(body(GILLES_IBAN, "1").into(), true).unwrap();
    assert_eq!(answer.await.unwrap().status(), 200);
    assert_eq!(scene.bank.heard().len(), 1);
}

#[tokio::test]
async fn a_connection_of_http2_on_which_too_much_is_refused_or_nothing_is_asked_ends() {
    let gateway = Gateway::run_in(Gateway::sandbox().leave(), |config| {
        let limits = config["limits"].as_table_mut().unwrap();
        limits.insert("keepalive_timeout".to_owned(), "2s".into());
    });
    let client = Http2::new(&gateway.server_ca(), &gateway.place().file("tpp/funds-co"));
    let connect = || client.connect(gateway.addresses.tpp, HOST);
    let (_kept, quiet) = connect().await.unwrap();
    tokio::time::timeout(PATIENCE, quiet).await.unwrap().ok();
    let (sender, connection) = connect().await.unwrap();
    let loud = tokio::spawn(connection);
    let mut refused = 0;
    while let Ok(mut sender) = sender.clone().ready().await {
        let head = http::Request::connect("core.bank:443").body(()).unwrap();
        let Ok((answer, _)) = sender.send_request(head, true) else { break };
        let Ok(answer) = answer.await else { break };
        assert_eq!(answer.status(), 400);
        refused += 1;
    }
    assert!((1..=32).contains(&refused), "{refused}");
    tokio::time::timeout(PATIENCE, loud).await.unwrap().unwrap().ok();
}

#[test]
fn a_request_hidden_in_a_body_is_a_body() {
    let scene = scene();
    let mut request = scene.gateway.request(&scene.token);
    request.body = format!("GET /hidden HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    let mut connection = scene.gateway.tpp("funds-co").connect(HOST).unwrap();
    let answer = connection.exchange(&request.octets()).unwrap();
    assert_eq!(answer.code(), "body_invalid");
    assert!(scene.bank.heard().is_empty());
}

#[test]
fn a_head_that_never_ends_is_cut_by_its_length() {
    let scene = scene();
    let mut connection = scene.gateway.tpp("funds-co").connect(HOST).unwrap();
    let mut octets = bent(&scene.token, "\r\n\r\n", "\r\n");
    octets.truncate(octets.len() - body(GILLES_IBAN, "1").len());
    for _ in 0..2000 {
        octets.extend_from_slice(b"X-Filler: 0123456789\r\n");
    }
    let answer = connection.exchange(&octets);
    if let Ok(answer) = answer {
        assert_eq!(answer.code(), "request_malformed");
    }
    assert!(connection.is_ended());
}

#[test]
fn a_head_that_trickles_is_cut_by_its_time() {
    let sandbox = Gateway::sandbox();
    let gateway = Gateway::run_in(sandbox.leave(), |config| {
        let limits = config["limits"].as_table_mut().unwrap();
        limits.insert("head_timeout".to_owned(), "1s".into());
    });
    let mut connection = gateway.tpp("funds-co").connect(HOST).unwrap();
    // The server decides when it is over; each octet alone is well within any read timeout.
    for octet in bent("a-token-of-no-importance", "POST", "POST") {
        if connection.write(&[octet]).is_err() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let answer = connection.read();
    assert!(
        answer.as_ref().map_or(true, |answer| answer.status == 400 || answer.status == 408),
        "{answer:?}"
    );
}
