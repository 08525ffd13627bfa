//! What is no form, no TPP's authentication or no request at the authorization server's endpoints.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use harness::client::Answer;
use harness::gateway::Gateway;
use harness::oauth::{App, GILLES, INTROSPECT, PAR, Pair, REVOKE, TOKEN, form, request};

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

#[track_caller]
fn refused(answer: &Answer, code: &str) {
    assert!((400..500).contains(&answer.status), "{}", answer.status);
    let told = answer.json();
    assert_eq!(told["code"], code, "{told}");
    let description = told["error_description"].as_str().unwrap();
    assert!(description.bytes().all(|b| matches!(b, 0x20..=0x7e) && b != b'"' && b != b'\\'));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[test]
fn a_client_authenticates_itself_by_its_certificate_and_by_nothing_beside_it() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    let code = app.code(GILLES);
    for more in [
        ("client_secret", "s"),
        ("client_assertion", "e30.e30."),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
    ] {
        refused(&app.exchange(&code, &[more]), "oauth_request_invalid");
    }
    let body = form(&[
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("client_id", &app.client_id),
        ("redirect_uri", &app.call_back),
    ]);
    for value in ["Basic UFNERlI6eA==", "Bearer x", "x"] {
        let answer = app.send("POST", TOKEN, &[FORM, ("Authorization", value)], &body);
        refused(&answer, "oauth_request_invalid");
    }
    Pair::of(&app.exchange(&code, &[]));
}

#[test]
fn what_is_no_form_is_refused_at_every_endpoint() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    let good = form(&[
        ("grant_type", "client_credentials"),
        ("client_id", "PSD2_TPPRegister"),
        ("scope", "manageRegistration"),
        ("token", "x"),
    ]);
    for path in [TOKEN, REVOKE, INTROSPECT, PAR] {
        for media in [
            "application/json",
            "text/plain",
            "multipart/form-data; boundary=x",
            "application/x-www-form-urlencodedx",
            "",
        ] {
            let fields: &[(&str, &str)] =
                if media.is_empty() { &[] } else { &[("Content-Type", media)] };
            refused(&app.send("POST", path, fields, &good), "oauth_request_invalid");
        }
        let json = r#"{"grant_type":"client_credentials","client_id":"PSD2_TPPRegister","scope":"manageRegistration"}"#;
        refused(
            &app.send("POST", path, &[("Content-Type", "application/json")], json),
            "oauth_request_invalid",
        );
        refused(&app.send("POST", path, &[FORM], json), "oauth_request_invalid");
        refused(&app.send("POST", path, &[FORM], ""), "oauth_request_invalid");
        let latin = format!("{good}&x=%e9");
        refused(&app.send("POST", path, &[FORM], &latin), "oauth_request_invalid");
        let overlong = format!("{good}&x=%c0%af");
        refused(&app.send("POST", path, &[FORM], &overlong), "oauth_request_invalid");
        let many: String = (0..40).map(|number| format!("&p{number}=1")).collect();
        refused(
            &app.send("POST", path, &[FORM], &format!("{good}{many}")),
            "oauth_request_invalid",
        );
        let large = format!("{good}&x={}", "x".repeat(17_000));
        let answer = app.send("POST", path, &[FORM], &large);
        assert_eq!((answer.status, answer.code().as_str()), (413, "body_too_large"), "{path}");
    }
}

#[test]
fn names_of_parameters_that_are_repeated_do_not_break_out_of_the_answer() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    for name in [
        "%22%3E%3Cscript%3E",
        "%0d%0aSet-Cookie:a=b",
        "%00",
        "%e2%80%ae",
        "\\",
        "%5c%22",
        &"n".repeat(3000),
    ] {
        let twice = format!("{name}=1&{name}=2");
        let answer = app.send("POST", TOKEN, &[FORM], &twice);
        refused(&answer, "oauth_request_invalid");
        assert!(answer.body.len() < 2000 && answer.header("set-cookie").is_none());
        let landed = app.browser().open(&format!("{}&{twice}", app.authorize_path(&[])));
        assert_eq!(
            landed.answer.status,
            if name.len() > 1000 { landed.answer.status } else { 400 }
        );
        assert!(landed.answer.header("set-cookie").is_none());
        assert!(!String::from_utf8_lossy(&landed.answer.body).contains("<script"));
    }
}

#[test]
fn other_methods_are_refused_with_the_one_that_is_allowed() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    for path in [TOKEN, REVOKE, INTROSPECT, PAR] {
        for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW", "post"] {
            let answer = app.send(method, path, &[FORM], "");
            assert!([400, 405, 501].contains(&answer.status), "{method} {path}: {}", answer.status);
            if answer.status == 405 {
                assert_eq!(answer.header("allow"), Some("POST"));
            }
        }
    }
    let answer = app.post("/.well-known/oauth-authorization-server", &[]);
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET")));
    for path in [
        format!("{TOKEN}/"),
        TOKEN.to_uppercase(),
        format!("/{TOKEN}"),
        TOKEN.replace("token", "%74oken"),
        format!("{TOKEN};x"),
        "/stet/psd2/oauth/../oauth/token".to_owned(),
    ] {
        let answer = app.post(&path, &[]);
        assert!(
            (400..500).contains(&answer.status) && answer.code() != "oauth_request_invalid",
            "{path}: {}",
            answer.code()
        );
    }
}

#[test]
fn endpoints_of_tpps_are_not_on_the_browsers_listener_nor_the_other_way_round() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    let body = form(&[("token", "x")]);
    for path in [TOKEN, REVOKE, INTROSPECT, PAR] {
        assert_eq!(app.browser().send("POST", path, Some(&body)).status, 404, "{path}");
    }
    for path in ["/stet/psd2/oauth/authorize", "/login/x", "/callback", "/metrics", "/tokens"] {
        assert_eq!(app.send("GET", path, &[], "").code(), "path_unknown", "{path}");
    }
}

#[test]
fn a_bank_is_the_host_that_is_asked_and_no_header_names_another() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    for host in [
        "evil.example",
        "localhost",
        "www.99999.sandbox.api.localhost",
        "www.17515.live.api.localhost",
        "",
    ] {
        let mut browser = app.browser();
        browser.host = host.to_owned();
        let octets = request(
            "GET",
            host,
            &app.authorize_path(&[]),
            &[
                ("X-Forwarded-Host", app.host.as_str()),
                ("Forwarded", "host=www.17515.sandbox.api.localhost"),
            ],
            "",
        );
        let answer = app.psu.connect(&app.host).unwrap().exchange(&octets).unwrap();
        assert_eq!(answer.status, 400, "{host}");
        assert!(answer.header("location").is_none(), "{host}");
    }
    let octets = request(
        "GET",
        &app.issuer[8..],
        &app.authorize_path(&[("state", "s"), ("scope", "")]),
        &[("X-Forwarded-Host", "www.11315.sandbox.api.localhost")],
        "",
    );
    let answer = app.psu.connect(&app.host).unwrap().exchange(&octets).unwrap();
    assert!(answer.header("location").unwrap().contains("www.17515."), "{answer:?}");
}

#[test]
fn a_certificate_that_is_not_good_is_told_so_at_every_endpoint_before_a_form_is_read() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    let code = app.code(GILLES);
    for (tpp, reason) in [
        ("expired", "certificate_expired"),
        ("revoked", "certificate_revoked"),
        ("untrusted", "certificate_untrusted"),
        ("no-psd2", "certificate_not_qwac"),
    ] {
        let other = App { client: gateway.tpp(tpp), ..app.clone() };
        for path in [TOKEN, REVOKE, INTROSPECT, PAR] {
            let answer = other.send("POST", path, &[("Content-Type", "application/json")], "{}");
            assert_eq!(answer.code(), reason, "{tpp} {path}");
        }
        assert_eq!(other.exchange(&code, &[]).code(), reason);
    }
    Pair::of(&app.exchange(&code, &[]));
}

#[test]
fn a_tpp_that_the_registers_or_its_roles_do_not_allow_asks_no_customer() {
    let gateway = Gateway::sandbox();
    for (tpp, reasons) in [
        ("withdrawn", &["register_withdrawn"][..]),
        ("account-info", &["role_missing", "register_role_missing"]),
    ] {
        let app = App::of(&gateway, tpp);
        let registration = [
            ("grant_type", "client_credentials"),
            ("client_id", "PSD2_TPPRegister"),
            ("scope", "manageRegistration"),
        ];
        let enrols = app.post(TOKEN, &registration);
        assert_eq!(enrols.status == 200, tpp != "withdrawn", "{}", enrols.json());
        let pushed = app.post(PAR, &app.asked(&[]));
        assert!(reasons.contains(&pushed.code().as_str()), "{}", pushed.json());
        let landed = app.browser().open(&app.authorize_path(&[("state", "s")]));
        assert_eq!(landed.get("error").as_deref(), Some("unauthorized_client"), "{}", landed.at);
        assert_eq!(landed.get("state").as_deref(), Some("s"));
    }
}
