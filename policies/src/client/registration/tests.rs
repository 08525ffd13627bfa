use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use certs::Leaf;
use certs::test_qtsp::{Authority, Issued, Kind, Recipe};
use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::json;

use super::super::{CertificateKind, key_id};
use super::*;

mod hostile;

const OWNER: &str = "PSDFR-ACPR-12345";

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

static QTSP: LazyLock<Authority> = LazyLock::new(|| Authority::generate("T", now()).unwrap());
static SEAL: LazyLock<Issued> = LazyLock::new(|| issue(Kind::Qsealc, |_| {}));
static QWAC: LazyLock<Issued> = LazyLock::new(|| issue(Kind::Qwac, |_| {}));

fn issue(kind: Kind, bend: impl Fn(&mut Recipe)) -> Issued {
    let roles = [PspRole::CardBasedInstruments];
    let mut recipe = Recipe { kind, ..Recipe::qwac("F", OWNER, &roles, now()) };
    bend(&mut recipe);
    QTSP.issue(&recipe).unwrap()
}

fn base64(issued: &Issued) -> String {
    STANDARD.encode(issued.der().unwrap())
}

fn leaf(issued: &Issued) -> Leaf {
    Leaf::from_der(&issued.der().unwrap()).unwrap()
}

/// As STET writes it.
fn stet() -> Value {
    json!({
        "redirect_uris": ["https://tpp.example/cb"],
        "token_endpoint_auth_method": "tls_client_auth",
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "client_name": "Coffee",
        "contacts": ["jeanne@tpp.example"],
        "scope": "aisp cbpii",
        "provider_legal_id": OWNER,
        "jwks": {"keys": [
            {"kty": "EC", "use": "sig", "kid": "x", "x5c": [base64(&SEAL)]},
            {"kty": "EC", "x5c": [base64(&QWAC)]},
        ]},
    })
}

/// As the bank group writes it.
fn group() -> Value {
    json!({
        "redirect_uris": ["https://tpp.example/cb"],
        "token_endpoint_auth_method": "TLS_CLIENT_AUTH",
        "grant_types": ["AUTHORIZATION_CODE", "REFRESH_TOKEN", "CLIENT_CREDENTIALS"],
        "response_types": ["CODE"],
        "client_name": "Coffee",
        "contact": {"contact_name": "Jeanne", "contact_email": "j@tpp.example", "phone_number": "+33 1"},
        "scope": "aisp, pisp,piisp",
        "provider_legal_id": OWNER,
        "client_legal_id": null,
        "software_statement": "",
        "logo": "iVBORw0KGgo=",
        "jwks": {"keys": [
            {"kty": "EC", "use": "sig", "keys_ops": ["sign"], "x5c": [base64(&SEAL)]},
        ]},
    })
}

fn read(body: &Value) -> Result<Registration, RegistrationFault> {
    Registration::read(&serde_json::to_vec(body).unwrap(), Setting::Production, now())
}

/// The fault of STET's body with `value` as its `member`.
fn bent(member: &str, value: Value) -> RegistrationFault {
    let mut body = stet();
    body[member] = value;
    read(&body).unwrap_err()
}

fn key_fault(key: Value) -> CertificateFault {
    match bent("jwks", json!({"keys": [key]})) {
        RegistrationFault::Certificate { key: 0, fault } => fault,
        other => panic!("{other}"),
    }
}

fn text_of(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn a_body_as_stet_writes_it_becomes_a_client() {
    let registration = read(&stet()).unwrap();
    assert_eq!(registration.organisation_id().as_str(), OWNER);
    assert_eq!((registration.name(), registration.client_id()), ("Coffee", None));
    assert!(registration.ignored().is_empty(), "{:?}", registration.ignored());
    assert_eq!(registration.first_seal().certificate().der(), SEAL.der().unwrap());
    let later = now().checked_add(SignedDuration::from_millis(90_500)).unwrap();
    let client = registration.into_client("1X-ABCD".to_owned(), later, now());
    assert_eq!(client.created_at, now());
    assert_eq!(client.updated_at.duration_since(now()), SignedDuration::from_secs(90));
    assert_eq!(client.scopes, text_of(&["aisp", "cbpii"]));
    assert_eq!(client.contact.email.as_deref(), Some("jeanne@tpp.example"));
    let kinds: Vec<_> = client.certificates.iter().map(|one| one.kind).collect();
    assert_eq!(kinds, [CertificateKind::Qsealc, CertificateKind::Qwac]);
    assert_eq!(client.certificates[0].kid, key_id(leaf(&SEAL).fingerprint()));
    assert_eq!(client.source, EnrolmentSource::Register);
    assert_eq!(Client::from_json(&client.to_json()), Ok(client));
}

#[test]
fn a_body_as_the_bank_group_writes_it_becomes_a_client() {
    let registration = read(&group()).unwrap();
    assert_eq!(registration.ignored(), ["logo", "scope.pisp"]);
    let client = registration.into_client("1X-ABCD".to_owned(), now(), now());
    assert_eq!(client.grant_types, GrantType::ALL.into());
    assert_eq!(client.scopes, text_of(&["aisp", "cbpii"]));
    assert_eq!(client.contact.name.as_deref(), Some("Jeanne"));
    assert_eq!(client.contact.email.as_deref(), Some("j@tpp.example"));
    assert_eq!(client.contact.phone.as_deref(), Some("+33 1"));
    assert_eq!(Client::from_json(&client.to_json()), Ok(client));
}

#[test]
fn what_was_answered_can_be_sent_back_as_a_change() {
    let client = read(&group()).unwrap().into_client("1X-ABCD".to_owned(), now(), now());
    let again = read(&client.to_registration_response()).unwrap();
    assert_eq!(again.client_id(), Some("1X-ABCD"));
    assert_eq!(again.ignored(), ["contacts", "client_id_issued_at"]);
    assert_eq!(again.into_client("1X-ABCD".to_owned(), now(), now()), client);
}

#[test]
fn what_is_not_known_is_ignored_and_named() {
    let mut body = stet();
    body["zebra"] = json!({"a": 1});
    body["e\u{301}vil\r\nname"] = json!(1);
    body["contact"] = json!({"fax": "1"});
    body["nothing"] = Value::Null;
    body["jwks"]["more"] = json!(true);
    let ignored = read(&body).unwrap().ignored().to_vec();
    assert_eq!(ignored, ["contacts", "contact.fax", "e?vil??name", "zebra", "jwks.more"]);
}

#[test]
fn without_scope_a_client_gets_what_its_roles_are_for() {
    let mut body = stet();
    body["scope"] = Value::Null;
    let client = read(&body).unwrap().into_client("1".to_owned(), now(), now());
    assert_eq!(client.scopes, text_of(&["cbpii"]));
    let roleless = issue(Kind::Qsealc, |recipe| recipe.roles = Vec::new());
    body["jwks"] = json!({"keys": [{"x5c": [base64(&roleless)]}]});
    assert_eq!(read(&body).unwrap_err(), RegistrationFault::NoScope);
}

#[test]
fn members_that_cannot_be_registered_are_named_with_their_code() {
    use RegistrationFault as Fault;
    let metadata = "invalid_client_metadata";
    let uri = "invalid_redirect_uri";
    for (member, value, code, told) in [
        ("redirect_uris", Value::Null, uri, "redirect_uris must have 1 to 16 addresses"),
        ("redirect_uris", json!([]), uri, "redirect_uris must have 1 to 16 addresses"),
        ("redirect_uris", json!("https://tpp.example/"), metadata, "an array of texts"),
        (
            "redirect_uris",
            json!(["https://a.example/", "http://b.example/"]),
            uri,
            "redirect_uris[1]",
        ),
        ("redirect_uris", json!(["https://a.example/", "https://a.example/"]), uri, "[1] stands"),
        ("token_endpoint_auth_method", json!("none"), metadata, "must be tls_client_auth"),
        ("token_endpoint_auth_method", json!(1), metadata, "must be a text"),
        (
            "grant_types",
            json!(["refresh_token", "password"]),
            metadata,
            "grant_types[1] is none of",
        ),
        ("response_types", json!(["code", "token"]), metadata, "response_types must be code"),
        ("client_name", Value::Null, metadata, "client_name is missing"),
        ("client_name", json!(""), metadata, "client_name must have 1 to 70 characters"),
        (
            "client_name",
            json!("x".repeat(71)),
            metadata,
            "client_name must have 1 to 70 characters",
        ),
        ("client_name", json!("Bank\u{202e}"), metadata, "cannot be seen"),
        ("provider_legal_id", Value::Null, metadata, "provider_legal_id is missing"),
        ("provider_legal_id", json!("x\n"), metadata, "provider_legal_id cannot be used"),
        ("provider_legal_id", json!("PSDFR-ACPR-12346"), metadata, "is not provider_legal_id"),
        ("scope", json!("aisp admin"), metadata, "scope has a word"),
        ("scope", json!(" , "), metadata, "scope names nothing"),
        ("scope", json!("pisp"), metadata, "scope names nothing"),
        ("contacts", json!("x@y"), metadata, "contacts must be an array"),
        ("contacts", json!(["x"]), metadata, "contacts must be an e-mail address"),
        (
            "contact",
            json!({"phone_number": "call me"}),
            metadata,
            "phone_number must be a telephone",
        ),
        ("logo", json!("x".repeat(64 * 1024 + 1)), metadata, "logo is longer"),
        ("logo_uri", json!("http://tpp.example/logo"), metadata, "logo_uri must be an https://"),
        ("tos_uri", json!("https://x@tpp.example/"), metadata, "tos_uri must be an https://"),
        ("client_legal_id", json!(OWNER), metadata, "client_legal_id must begin with AGT"),
        ("software_id", json!("\t"), metadata, "software_id has a character"),
        ("software_statement", json!("a.b.c"), "unapproved_software_statement", "leave it out"),
        ("software_statement", json!({}), "invalid_software_statement", "must be a text"),
        ("jwks_uri", json!("https://tpp.example/jwks"), metadata, "jwks_uri is not fetched"),
        ("jwks", Value::Null, metadata, "jwks is missing"),
        ("jwks", json!([]), metadata, "jwks must be a JSON object"),
        ("jwks", json!({"keys": []}), metadata, "1 to 16 keys"),
        ("jwks", json!({"keys": vec![json!({}); 17]}), metadata, "1 to 16 keys"),
    ] {
        let fault = bent(member, value);
        assert_eq!(fault.error_code(), code, "{fault}");
        assert!(fault.to_string().contains(told), "{fault}");
    }
    let twice = r#"{"client_name":"a","client\u005fname":"b"}"#;
    let read = |text: &str| Registration::read(text.as_bytes(), Setting::Production, now());
    assert_eq!(read(twice).unwrap_err(), Fault::Duplicate { line: 1, column: 37 });
    assert_eq!(read("{").unwrap_err(), Fault::Json { line: 1, column: 1 });
    assert_eq!(read("{} x").unwrap_err(), Fault::Json { line: 1, column: 4 });
    assert_eq!(read(&"[".repeat(9)).unwrap_err(), Fault::TooDeep);
    assert_eq!(read(&" ".repeat(128 * 1024 + 1)).unwrap_err(), Fault::TooLarge);
    assert!(matches!(read("[]").unwrap_err(), Fault::Shape { member: "the body", .. }));
}

#[test]
fn the_sandbox_takes_the_developers_own_machine() {
    let mut body = stet();
    body["redirect_uris"] = json!(["http://localhost:3000/cb"]);
    let body = serde_json::to_vec(&body).unwrap();
    assert!(Registration::read(&body, Setting::Sandbox, now()).is_ok());
    assert!(Registration::read(&body, Setting::Production, now()).is_err());
}

#[test]
fn a_certificate_comes_as_base64_or_pem_with_the_cas_above_it() {
    let der = SEAL.der().unwrap();
    let chain = String::from_utf8(SEAL.chain_pem().unwrap()).unwrap();
    let above = STANDARD.encode(SEAL.issuer_der().unwrap());
    let broken: String = base64(&SEAL)
        .as_bytes()
        .chunks(64)
        .map(|line| format!("{}\n", str::from_utf8(line).unwrap()))
        .collect();
    for (x5c, sent) in [
        (json!([base64(&SEAL)]), 0),
        (json!([broken]), 0),
        (json!(base64(&SEAL)), 0),
        (json!([base64(&SEAL), above]), 1),
        (json!([chain]), 1),
        (json!(chain), 1),
    ] {
        let mut body = stet();
        body["jwks"] = json!({"keys": [{"x5c": x5c}]});
        let registration = read(&body).unwrap();
        assert_eq!(registration.first_seal().sent().len(), sent);
        let (leaf, above) = Leaf::from_pem(registration.certificates()[0].pem.as_bytes()).unwrap();
        assert_eq!((leaf.der(), above.len()), (der.as_slice(), sent));
    }
}

#[test]
fn the_first_qsealc_must_have_signed_wherever_it_stands() {
    let second = issue(Kind::Qsealc, |_| {});
    let mut body = stet();
    body["jwks"] = json!({"keys": [
        {"x5c": [base64(&QWAC)]}, {"x5c": [base64(&SEAL)]}, {"x5c": [base64(&second)]},
    ]});
    let registration = read(&body).unwrap();
    assert_eq!(registration.first_seal().certificate().der(), SEAL.der().unwrap());
}

#[test]
fn a_kid_is_kept_when_a_signature_that_names_it_is_found() {
    let sha256 = hex::encode(leaf(&SEAL).fingerprint());
    let sha1 = hex::encode(leaf(&SEAL).fingerprint_sha1());
    let ours = key_id(leaf(&SEAL).fingerprint());
    let kid = |sent: &str| {
        let mut body = stet();
        body["jwks"]["keys"][0]["kid"] = json!(sent);
        read(&body).unwrap().certificates()[0].kid.clone()
    };
    for kept in [
        sha256.clone(),
        sha256.to_uppercase(),
        sha1.clone(),
        ours.clone(),
        format!("https://tpp.example/keys/x_{sha256}"),
        format!("https://tpp.example/keys/x_{sha256}.pem"),
        format!("https://tpp.example/keys/x_{sha1}"),
    ] {
        assert_eq!(kid(&kept), kept);
    }
    let other = hex::encode(leaf(&QWAC).fingerprint());
    let thumbprint = URL_SAFE_NO_PAD.encode(leaf(&SEAL).fingerprint());
    for replaced in [
        String::new(),
        "1".to_owned(),
        other.clone(),
        format!("https://tpp.example/x_{other}"),
        thumbprint,
        format!("\"_{sha256}"),
        format!("a\r\nb_{sha256}"),
        format!("{}_{sha256}", "x".repeat(512)),
    ] {
        assert_eq!(kid(&replaced), ours, "{replaced:?}");
    }
}

#[test]
fn a_key_that_cannot_be_enrolled_says_why() {
    use CertificateFault as Fault;
    let seal = base64(&SEAL);
    let x5c = |text: &str| key_fault(json!({"x5c": [text]}));
    assert_eq!(key_fault(json!("x")), Fault::Shape);
    for bare in [json!({}), json!({"x5c": []}), json!({"x5c": [1]}), json!({"x5u": "https://x/"})] {
        assert_eq!(key_fault(bare), Fault::Missing);
    }
    assert_eq!(x5c("_-_-"), Fault::Encoding { index: 0 });
    assert!(matches!(x5c("AAAA"), Fault::Leaf { index: 0, .. }));
    assert!(matches!(x5c(&seal[..400]), Fault::Leaf { index: 0, .. }));
    assert!(matches!(x5c("-----BEGIN CERTIFICATE-----"), Fault::Leaf { index: 0, .. }));
    let above = key_fault(json!({"x5c": [seal, "AAAA"]}));
    assert!(matches!(above, Fault::Leaf { index: 1, .. }));
    assert_eq!(key_fault(json!({"x5c": vec![seal.clone(); 6]})), Fault::Chain);
    let thumbprint = json!({"x5c": [seal], "x5t#S256": "AAAA"});
    assert_eq!(key_fault(thumbprint), Fault::Thumbprint);

    let ended = now().checked_sub(SignedDuration::from_hours(1)).unwrap();
    let old = issue(Kind::Qsealc, |recipe| {
        recipe.not_before = now().checked_sub(SignedDuration::from_hours(99)).unwrap();
        recipe.not_after = ended;
    });
    assert_eq!(x5c(&base64(&old)), Fault::Expired(ended));
    assert!(x5c(&base64(&old)).to_string().contains("2026-11-21T11:00:00Z"));
    let other = issue(Kind::Qsealc, |recipe| {
        recipe.organisation_id = Some("PSDFR-ACPR-99999".to_owned());
    });
    assert_eq!(x5c(&base64(&other)), Fault::OtherOrganisation);
    let tls = issue(Kind::TlsClient, |_| {});
    assert!(matches!(x5c(&base64(&tls)), Fault::Profile(_)));
    let ca = STANDARD.encode(SEAL.issuer_der().unwrap());
    assert!(matches!(x5c(&ca), Fault::Profile(_)));

    let twice = bent("jwks", json!({"keys": [{"x5c": [seal]}, {"x5c": [seal]}]}));
    assert_eq!(twice, RegistrationFault::Certificate { key: 1, fault: Fault::Twice });
    let qwac_only = bent("jwks", json!({"keys": [{"x5c": [base64(&QWAC)]}]}));
    assert_eq!(qwac_only, RegistrationFault::NoSeal);
}

#[test]
fn what_would_not_fit_into_a_record_is_refused_now() {
    let path = "x".repeat(1990);
    let uris: Vec<_> = (0..16).map(|n| format!("https://tpp.example/{n}/{path}")).collect();
    let above = STANDARD.encode(SEAL.issuer_der().unwrap());
    let keys: Vec<_> = (0..14)
        .map(|_| json!({"x5c": vec![base64(&issue(Kind::Qsealc, |_| {})), above.clone(), above.clone(), above.clone()]}))
        .collect();
    let mut body = stet();
    body["redirect_uris"] = json!(uris);
    assert!(read(&body).is_ok());
    body["jwks"] = json!({ "keys": keys });
    assert_eq!(read(&body).unwrap_err(), RegistrationFault::RecordTooLarge);
}
