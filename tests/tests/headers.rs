//! What a client says about itself is not what the gateway says about it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use harness::gateway::{Gateway, upstream};
use harness::upstream::{Manner, Upstream};

#[test]
fn no_header_of_the_client_reaches_the_bank_as_if_it_were_verified() {
    let sandbox = Gateway::sandbox();
    let token = sandbox.token("funds-co", "gilles", &[]);
    let bank = Upstream::start(Manner {
        headers: "Content-Type: application/json\r\nServer: core/1.2\r\nX-Powered-By: COBOL\r\n\
                  Set-Cookie: a=b\r\nOctroi-Psu: leak\r\n",
        ..Manner::default()
    });
    let settings = bank.settings();
    let gateway = Gateway::run_in(sandbox.leave(), |config| upstream(config, "17515", settings));
    let mut request = gateway.request(&token).with("X-Request-ID", "mine-0123456789");
    let claims = [
        "Client-Cert",
        "Client-Cert-Chain",
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Client-Cert",
        "X-SSL-Client-Cert",
        "X-SSL-Client-Verify",
        "Octroi-Organisation-Id",
        "OCTROI-ROLES",
        "Octroi-Psu",
        "octroi_psu",
        "Octroi-Anything",
        "X-Real-IP",
        "Via",
        "traceparent",
        "Cookie",
        "Proxy-Authorization",
    ];
    for name in claims {
        request = request.with(name, "forged");
    }
    let answer = gateway.tpp("funds-co").send(&request);
    assert_eq!(answer.status, 200);

    let heard = bank.heard();
    let [heard] = heard.as_slice() else { panic!("{heard:?}") };
    assert!(!heard.head.contains("forged"), "{}", heard.head);
    assert!(!heard.head.contains(&token), "the token stays at the gate: {}", heard.head);
    assert_eq!(heard.values("octroi-organisation-id"), ["PSDFR-ACPR-99901"]);
    assert_eq!(heard.values("octroi-roles"), ["PSP_IC"]);
    assert_eq!(heard.values("octroi-psu"), ["gilles"]);
    assert_eq!(heard.values("octroi-codetab"), ["17515"]);
    let ids = heard.values("x-request-id");
    assert_eq!(ids, [answer.header("octroi-request-id").unwrap()], "one id, and it is ours");
    assert_eq!(heard.values("octroi-tpp-request-id"), ["mine-0123456789"]);
    assert_eq!(answer.header("x-request-id"), Some("mine-0123456789"));
    assert_eq!(heard.values("content-length"), [request.body.len().to_string()]);
    assert_eq!(heard.body, request.body.as_bytes());

    for name in ["server", "x-powered-by", "set-cookie", "octroi-psu"] {
        assert_eq!(answer.header(name), None, "{name} of the bank stays inside");
    }
}

#[test]
fn a_hop_by_hop_header_named_by_the_client_takes_none_of_ours_away() {
    let sandbox = Gateway::sandbox();
    let token = sandbox.token("funds-co", "gilles", &[]);
    let bank = Upstream::start(Manner::default());
    let settings = bank.settings();
    let gateway = Gateway::run_in(sandbox.leave(), |config| upstream(config, "17515", settings));
    let request = gateway
        .request(&token)
        .with("Connection", "keep-alive, Octroi-Psu, Octroi-Organisation-Id");
    let answer = gateway.tpp("funds-co").send(&request);
    for heard in bank.heard() {
        assert_eq!(heard.values("octroi-psu"), ["gilles"]);
    }
    assert!(answer.status == 200 || answer.code() == "request_malformed", "{}", answer.status);
}
