//! Connections of browsers: nobody holds one for nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use harness::client::Connection;
use harness::gateway::Gateway;
use harness::oauth::{App, request};

fn hurried() -> Gateway {
    Gateway::configured(|config| {
        let limits = config["limits"].as_table_mut().unwrap();
        for name in ["head_timeout", "keepalive_timeout", "body_timeout"] {
            limits.insert(name.to_owned(), "1s".into());
        }
    })
}

fn connect(app: &App) -> Connection {
    app.psu.connect(&app.host).unwrap()
}

#[test]
fn a_browser_that_asks_nothing_or_rests_too_long_is_disconnected() {
    let gateway = hurried();
    let app = App::of(&gateway, "funds-co");
    assert!(connect(&app).is_ended(), "nothing was asked");

    let mut half = connect(&app);
    half.write(b"GET / HTTP/1.1\r\nHost: ").unwrap();
    assert!(half.is_ended(), "half a head");

    let host = app.browser().host;
    let mut resting = connect(&app);
    for _ in 0..2 {
        assert_eq!(resting.exchange(&request("GET", &host, "/", &[], "")).unwrap().status, 200);
    }
    assert!(resting.is_ended(), "it rested after its answers");
}

#[test]
fn a_form_that_never_ends_is_answered_with_408_and_holds_no_connection() {
    let gateway = hurried();
    let app = App::of(&gateway, "funds-co");
    let (browser, page) = app.visit(&[]);
    let path = page.path.split('?').next().unwrap();
    let mut slow = connect(&app);
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: 100\r\n\r\ncsrf=",
        browser.host,
    );
    slow.write(head.as_bytes()).unwrap();
    assert_eq!(slow.read().unwrap().status, 408);
    assert!(slow.is_ended());
}
