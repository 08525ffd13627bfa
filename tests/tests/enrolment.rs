//! TPPs that enrol their applications themselves (RFC 7591, RFC 7592): real TLS, real signatures.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;

use harness::client::{Answer, Request};
use harness::gateway::{Gateway, HOST, PATH, Place, path_text};
use harness::{eventually, run};
use serde_json::{Value, json};

const REGISTER: &str = "/stet/setting/v1/register";
const OWNER: &str = "PSDFR-ACPR-99901";

fn request(method: &str, path: &str, token: Option<&str>, body: &str) -> Request {
    Request {
        method: method.to_owned(),
        host: HOST.to_owned(),
        path: path.to_owned(),
        token: token.map(str::to_owned),
        headers: Vec::new(),
        body: body.to_owned(),
    }
}

/// What a form to the token endpoint answers.
fn token_answer(gateway: &Gateway, tpp: &str) -> Answer {
    let form = "grant_type=client_credentials&client_id=PSD2_TPPRegister&scope=manageRegistration";
    let octets = format!(
        "POST /stet/psd2/oauth/token HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: \
         application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    gateway.tpp(tpp).connect(HOST).unwrap().exchange(octets.as_bytes()).unwrap()
}

fn token(gateway: &Gateway, tpp: &str) -> String {
    token_answer(gateway, tpp).json()["access_token"].as_str().unwrap().to_owned()
}

fn seal(place: &Place, tpp: &str) -> Value {
    let pem = fs::read_to_string(place.file(&format!("tpp/{tpp}/qsealc.pem"))).unwrap();
    json!({"kty": "EC", "use": "sig", "x5c": [pem]})
}

fn body(place: &Place) -> Value {
    json!({
        "redirect_uris": ["https://tpp.example/cb"],
        "token_endpoint_auth_method": "tls_client_auth",
        "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
        "response_types": ["code"],
        "client_name": "Coffee",
        "contacts": ["jeanne@tpp.example"],
        "scope": "cbpii",
        "provider_legal_id": OWNER,
        "jwks": {"keys": [seal(place, "funds-co")]},
        "zebra": 1,
    })
}

/// The header fields with which a TPP seals a request.
fn sealed(gateway: &Gateway, tpp: &str, mut request: Request) -> Request {
    let file = gateway.place().file("to-sign");
    fs::write(&file, &request.body).unwrap();
    let fixed = ["sandbox", "sign", "--tpp", tpp, "--host", HOST, "--method", &request.method];
    let dir = gateway.place().dir();
    let files = ["--target", &request.path, "--body", path_text(&file), "--dir", path_text(&dir)];
    let output = run(&[&fixed[..], &files].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    for (name, value) in text.lines().filter_map(|line| line.split_once(": ")) {
        if name != "content-type" {
            request = request.with(name, value);
        }
    }
    request
}

struct Scene {
    gateway: Gateway,
    token: String,
}

impl Scene {
    fn open() -> Self {
        let gateway = Gateway::sandbox();
        let token = token(&gateway, "funds-co");
        Self { gateway, token }
    }

    fn body(&self) -> Value {
        body(self.gateway.place())
    }

    /// As `funds-co`, sealed by it.
    fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        let request = request(method, path, Some(&self.token), &body.to_string());
        self.gateway.tpp("funds-co").send(&sealed(&self.gateway, "funds-co", request))
    }

    /// As `funds-co`, with no signature and no body.
    fn ask(&self, method: &str, path: &str) -> Answer {
        self.gateway.tpp("funds-co").send(&request(method, path, Some(&self.token), ""))
    }

    #[track_caller]
    fn enrol(&self, body: &Value) -> Value {
        let answer = self.send("POST", REGISTER, body);
        assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
        answer.json()
    }

    fn events(&self, event: &str) -> Vec<Value> {
        let events = self.gateway.place().events();
        events.into_iter().filter(|line| line["event.action"] == event).collect()
    }

    #[track_caller]
    fn refused(&self, answer: &Answer, status: u16, code: &str, error: &str) -> String {
        let told = answer.json();
        assert_eq!((answer.status, told["code"].as_str()), (status, Some(code)), "{told:#}");
        assert_eq!(told["error"], error, "{told:#}");
        told["error_description"].as_str().unwrap().to_owned()
    }
}

fn path_of(client: &Value) -> String {
    format!("{REGISTER}/{}", client["client_id"].as_str().unwrap())
}

#[test]
fn an_application_is_enrolled_read_changed_and_removed_by_its_tpp_and_outlives_a_restart() {
    let scene = Scene::open();
    let told = scene.enrol(&scene.body());
    let client_id = told["client_id"].as_str().unwrap();
    assert!(client_id.starts_with("1PSDFR-ACPR-99901-"), "{client_id}");
    assert_eq!(told["client_name"], "Coffee");
    assert_eq!(told["ignored"], json!(["zebra"]));
    let uri = told["registration_client_uri"].as_str().unwrap();
    assert!(uri.ends_with(&path_of(&told)), "{uri}");

    let read = scene.ask("GET", &path_of(&told));
    assert_eq!(read.status, 200);
    assert_eq!(read.header("cache-control"), Some("no-store"));
    assert_eq!(read.json()["redirect_uris"], json!(["https://tpp.example/cb"]));

    let mut changed = scene.body();
    changed["redirect_uris"] = json!(["https://tpp.example/other"]);
    changed["client_id"] = json!(client_id);
    let put = scene.send("PUT", &path_of(&told), &changed);
    assert_eq!(put.status, 200, "{}", String::from_utf8_lossy(&put.body));
    assert_eq!(put.json()["redirect_uris"], json!(["https://tpp.example/other"]));
    assert_eq!(put.json()["client_id_issued_at"], told["client_id_issued_at"]);
    changed["client_id"] = json!("another");
    let refused = scene.send("PUT", &path_of(&told), &changed);
    let why = scene.refused(&refused, 400, "registration_invalid", "invalid_client_metadata");
    assert!(why.contains("client_id"), "{why}");
    // A change must be signed too.
    let unsigned = request("PUT", &path_of(&told), Some(&scene.token), &scene.body().to_string());
    let unsigned = scene.gateway.tpp("funds-co").send(&unsigned);
    scene.refused(&unsigned, 401, "signature_missing", "invalid_request");

    for (event, times) in [("client_enrolled", 1), ("client_changed", 1)] {
        let found = eventually(event, || {
            let found = scene.events(event);
            (found.len() == times).then_some(found)
        });
        assert_eq!(found[0]["octroi.subject"], OWNER);
        let detail = found[0]["message"].as_str().unwrap();
        assert!(detail.contains(client_id) && detail.contains("qsealc "), "{detail}");
    }
    let log = scene.gateway.place().audit_text() + &scene.gateway.place().log();
    assert!(!log.contains("jeanne"), "no people in any log");

    let Scene { gateway, token } = scene;
    let scene = Scene { gateway: Gateway::run_in(gateway.leave(), |_| {}), token };
    let read = scene.ask("GET", &path_of(&told));
    assert_eq!(read.json()["redirect_uris"], json!(["https://tpp.example/other"]));

    // Methods of the collection and of its members.
    let posted = scene.ask("POST", &path_of(&told));
    assert_eq!((posted.status, posted.header("allow")), (405, Some("GET, PUT, DELETE")));
    let listed = scene.ask("GET", REGISTER);
    assert_eq!((listed.status, listed.header("allow")), (405, Some("POST")));
    for path in [format!("{REGISTER}/"), format!("{}/x", path_of(&told)), format!("{REGISTER}/%41")]
    {
        assert_eq!(scene.ask("GET", &path).code(), "path_unknown", "{path}");
    }

    let removed = scene.ask("DELETE", &path_of(&told));
    assert_eq!((removed.status, removed.body.len()), (204, 0));
    let gone = scene.ask("GET", &path_of(&told));
    scene.refused(&gone, 400, "client_unknown", "invalid_client");
    // Its name is free again.
    scene.enrol(&scene.body());
}

#[test]
fn whoever_brings_no_token_of_the_enrolment_of_its_own_enrols_nothing() {
    let scene = Scene::open();
    let ask = |token: Option<&str>, tpp: &str| {
        scene.gateway.tpp(tpp).send(&request("GET", &format!("{REGISTER}/x"), token, ""))
    };
    let none = ask(None, "funds-co");
    assert_eq!((none.status, none.code().as_str()), (401, "token_missing"));
    assert_eq!(none.header("www-authenticate"), Some("Bearer realm=\"psd2\""));
    let unknown = ask(Some("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), "funds-co");
    assert_eq!((unknown.status, unknown.code().as_str()), (401, "token_unknown"));
    assert!(unknown.header("www-authenticate").unwrap().contains("invalid_token"));
    assert_eq!(ask(Some("x y"), "funds-co").code(), "token_malformed");
    assert_eq!(ask(Some(&scene.token), "multi-role").code(), "token_other_tpp");
    let customer = scene.gateway.token("funds-co", "gilles", &[]);
    let scope = ask(Some(&customer), "funds-co");
    assert_eq!((scope.status, scope.code().as_str()), (403, "token_scope"));
    // The token of the enrolment opens nothing else.
    let api = scene.gateway.tpp("funds-co").send(&scene.gateway.request(&scene.token));
    assert_eq!(api.code(), "token_scope");
    // A renewed certificate of the same organisation is the same TPP.
    let told = scene.enrol(&scene.body());
    let renewed = request("GET", &path_of(&told), Some(&scene.token), "");
    assert_eq!(scene.gateway.tpp("renewed").send(&renewed).status, 200);
}

#[test]
fn only_the_qsealc_in_the_body_of_the_same_organisation_seals_a_registration() {
    let scene = Scene::open();
    let text = scene.body().to_string();
    let unsigned = request("POST", REGISTER, Some(&scene.token), &text);
    let tpp = scene.gateway.tpp("funds-co");
    let answer = tpp.send(&unsigned);
    scene.refused(&answer, 401, "signature_missing", "invalid_request");
    // Sealed by another TPP, with the own seal in the body.
    let other = sealed(&scene.gateway, "multi-role", unsigned.clone());
    scene.refused(&tpp.send(&other), 401, "signature_key_unknown", "invalid_request");
    // Another body than was sealed, and what our signing string is.
    let mut bent = sealed(&scene.gateway, "funds-co", unsigned.clone());
    bent.body = bent.body.replace("Coffee", "Coffey");
    let answer = tpp.send(&bent);
    scene.refused(&answer, 401, "digest_mismatch", "invalid_request");
    let ours = answer.json()["signature"]["signing_string"].as_str().unwrap().to_owned();
    assert!(ours.starts_with(&format!("(request-target): post {REGISTER}\n")), "{ours}");

    // Everything of another TPP, sent by this one.
    let mut stolen = scene.body();
    stolen["provider_legal_id"] = json!("PSDDE-BAFIN-99999902");
    stolen["jwks"] = json!({"keys": [seal(scene.gateway.place(), "multi-role")]});
    let request = request("POST", REGISTER, Some(&scene.token), &stolen.to_string());
    let answer = tpp.send(&sealed(&scene.gateway, "multi-role", request));
    let why = scene.refused(&answer, 400, "registration_invalid", "invalid_client_metadata");
    assert!(why.contains("provider_legal_id must be PSDFR-ACPR-99901"), "{why}");
    // A seal of a QTSP that nobody trusts.
    let mut untrusted = scene.body();
    untrusted["jwks"] = json!({"keys": [seal(scene.gateway.place(), "untrusted")]});
    let request = Request { body: untrusted.to_string(), ..unsigned };
    let answer = tpp.send(&sealed(&scene.gateway, "untrusted", request));
    scene.refused(&answer, 403, "signature_untrusted", "invalid_request");
    // The same beside a good one.
    let mut beside = scene.body();
    beside["jwks"]["keys"].as_array_mut().unwrap().push(seal(scene.gateway.place(), "untrusted"));
    let answer = scene.send("POST", REGISTER, &beside);
    let why = scene.refused(&answer, 400, "registration_invalid", "invalid_client_metadata");
    assert!(why.contains("jwks.keys[1]"), "{why}");
    assert!(scene.events("client_enrolled").is_empty());
}

#[test]
fn a_private_key_is_refused_loudly_and_stands_in_no_log_and_no_answer() {
    let scene = Scene::open();
    let key = fs::read_to_string(scene.gateway.place().file("tpp/funds-co/qsealc.key")).unwrap();
    let secret = key.lines().nth(1).unwrap().to_owned();
    let mut with_key = scene.body();
    let pem = with_key["jwks"]["keys"][0]["x5c"][0].as_str().unwrap().to_owned();
    with_key["jwks"]["keys"][0]["x5c"] = json!([pem + &key]);
    let mut with_name = scene.body();
    with_name[&key] = json!(1);
    for body in [with_key, with_name] {
        let answer = scene.send("POST", REGISTER, &body);
        let why = scene.refused(&answer, 400, "registration_invalid", "invalid_client_metadata");
        assert!(why.contains("private key") && why.contains("compromised"), "{why}");
        assert!(!String::from_utf8_lossy(&answer.body).contains(&secret[..12]));
        let record = scene.gateway.record_of(&answer);
        assert_eq!(record["event.reason"], "registration_invalid");
    }
    let events = eventually("the events", || {
        let events = scene.events("private_key_received");
        (events.len() == 2).then_some(events)
    });
    assert_eq!(events[0]["octroi.subject"], OWNER);
    let place = scene.gateway.leave();
    for text in [place.audit_text(), place.log()] {
        assert!(!text.contains(&secret[..12]), "the key stands in a log");
    }
    let store = fs::read(place.file("store.redb")).unwrap();
    let kept = store.windows(12).any(|part| part == &secret.as_bytes()[..12]);
    assert!(!kept, "the key stands in the store");
}

#[test]
fn what_cannot_be_enrolled_says_why() {
    let scene = Scene::open();
    for (uri, told) in [
        ("http://tpp.example/cb", "https"),
        ("https://tpp.example/cb#top", "fragment"),
        ("https://*.tpp.example/cb", "redirect_uris[0]"),
    ] {
        let mut body = scene.body();
        body["redirect_uris"] = json!([uri]);
        let answer = scene.send("POST", REGISTER, &body);
        let why = scene.refused(&answer, 400, "redirect_uri_invalid", "invalid_redirect_uri");
        assert!(why.contains("redirect_uris[0]") && why.contains(told), "{uri}: {why}");
    }
    let mut body = scene.body();
    body["software_statement"] = json!("a.b.c");
    let answer = scene.send("POST", REGISTER, &body);
    scene.refused(&answer, 400, "registration_invalid", "unapproved_software_statement");

    scene.enrol(&scene.body());
    let mut same = scene.body();
    same["client_name"] = json!("COFFEE");
    let answer = scene.send("POST", REGISTER, &same);
    let why = scene.refused(&answer, 400, "registration_invalid", "invalid_client_metadata");
    assert!(why.contains("client_name"), "{why}");
}

#[test]
fn another_tpps_application_is_as_unknown_as_none() {
    let scene = Scene::open();
    let told = scene.enrol(&scene.body());
    let other = token(&scene.gateway, "multi-role");
    for method in ["GET", "DELETE"] {
        let request = request(method, &path_of(&told), Some(&other), "");
        let answer = scene.gateway.tpp("multi-role").send(&request);
        scene.refused(&answer, 400, "client_unknown", "invalid_client");
    }
    assert_eq!(scene.ask("GET", &path_of(&told)).status, 200);
}

#[test]
fn a_removed_application_has_no_tokens() {
    let scene = Scene::open();
    let customer = scene.gateway.token("funds-co", "gilles", &[]);
    let api = scene.gateway.request(&customer);
    let mut connection = scene.gateway.tpp("funds-co").connect(HOST).unwrap();
    assert_eq!(connection.exchange(&api.octets()).unwrap().status, 200);
    let removed = scene.ask("DELETE", &format!("{REGISTER}/{OWNER}"));
    assert_eq!(removed.status, 204, "{}", String::from_utf8_lossy(&removed.body));
    assert_eq!(connection.exchange(&api.octets()).unwrap().code(), "token_unknown");
    let events = eventually("the event", || {
        let events = scene.events("client_removed");
        (!events.is_empty()).then_some(events)
    });
    assert!(events[0]["message"].as_str().unwrap().starts_with(OWNER), "{events:#?}");
}

#[test]
fn an_enrolled_qsealc_signs_api_requests_at_once_and_until_it_is_removed() {
    let sandbox = Gateway::sandbox();
    let customer = sandbox.token("funds-co", "gilles", &[]);
    let gateway = Gateway::run_in(sandbox.leave(), |config| {
        config.insert("signature".to_owned(), toml::Table::new().into());
        for api in config["api"].as_array_mut().unwrap() {
            api.as_table_mut().unwrap().insert("signed".to_owned(), true.into());
        }
    });
    let token = token(&gateway, "funds-co");
    let scene = Scene { gateway, token };
    let gateway = &scene.gateway;
    let call = |tpp: &str| {
        let request = gateway.request(&customer);
        assert_eq!(request.path, PATH);
        let answer = gateway.tpp("funds-co").send(&sealed(gateway, tpp, request));
        if answer.status == 200 { "200".to_owned() } else { answer.code() }
    };
    assert_eq!(call("funds-co"), "signature_key_unknown");
    // Two of them: the first seals the registration, both seal requests from then on.
    let mut two = scene.body();
    two["jwks"]["keys"].as_array_mut().unwrap().push(seal(gateway.place(), "renewed"));
    let second = request("POST", REGISTER, Some(&scene.token), &two.to_string());
    let answer = gateway.tpp("funds-co").send(&sealed(gateway, "renewed", second));
    scene.refused(&answer, 401, "signature_key_unknown", "invalid_request");
    let told = scene.enrol(&two);
    for tpp in ["funds-co", "renewed"] {
        eventually("the seal is known", || (call(tpp) == "200").then_some(()));
    }
    assert_eq!(scene.ask("DELETE", &path_of(&told)).status, 204);
    eventually("the seal is forgotten", || {
        (call("renewed") == "signature_key_unknown").then_some(())
    });
}
