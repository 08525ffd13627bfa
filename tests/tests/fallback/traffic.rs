//! What passes on the way of the fallback, and how.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use harness::client::Request;
use harness::eventually;
use harness::gateway::{Gateway, HOST};
use harness::http2::Http2;
use harness::upstream::Upstream;

use super::{OWNER, SECRET, bank, customers, fallback, html, page, told};

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
