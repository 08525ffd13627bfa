//! JWT access tokens of a bank's own authorization server, whose keys are published over HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use harness::gateway::{Gateway, path_text};
use harness::publisher::Publisher;
use harness::{eventually, run};
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::{Padding, Rsa};
use openssl::sign::{RsaPssSaltlen, Signer};
use openssl::x509::X509;
use serde_json::{Value, json};

const ISSUER: &str = "https://as.example-bank.fr";
const OWNER: &str = "PSDFR-ACPR-99901";

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A key of the bank's authorization server.
struct Key {
    id: &'static str,
    rsa: Rsa<Private>,
}

impl Key {
    fn new(id: &'static str) -> Self {
        Self { id, rsa: Rsa::generate(2048).unwrap() }
    }

    fn jwks(&self) -> Vec<u8> {
        let (n, e) = (b64(self.rsa.n().to_vec()), b64(self.rsa.e().to_vec()));
        let key = json!({ "kty": "RSA", "kid": self.id, "use": "sig", "n": n, "e": e });
        json!({ "keys": [key] }).to_string().into_bytes()
    }

    fn sign(&self, claims: &Value) -> String {
        let header = json!({ "alg": "PS256", "kid": self.id, "typ": "at+jwt" });
        let message = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
        let key = PKey::from_rsa(self.rsa.clone()).unwrap();
        let mut signer = Signer::new(MessageDigest::sha256(), &key).unwrap();
        signer.set_rsa_padding(Padding::PKCS1_PSS).unwrap();
        signer.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH).unwrap();
        let signature = signer.sign_oneshot_to_vec(message.as_bytes()).unwrap();
        format!("{message}.{}", b64(signature))
    }
}

/// What a token of GILLES's consent to `funds-co` says.
fn claims(gateway: &Gateway) -> Value {
    let pem = std::fs::read(gateway.place().file("tpp/funds-co/qwac.pem")).unwrap();
    let thumb = X509::from_pem(&pem).unwrap().digest(MessageDigest::sha256()).unwrap();
    let now = jiff::Timestamp::now().as_second();
    json!({
        "iss": ISSUER, "aud": "https://psd2.example-bank.fr",
        "exp": now + 600, "iat": now, "auth_time": now,
        "sub": "gilles", "client_id": OWNER, "scope": "cbpii",
        "organisation_id": OWNER, "codetab": "17515", "consent_id": "c",
        "cnf": { "x5t#S256": b64(thumb) },
    })
}

fn accepting(publisher: &Publisher) -> Gateway {
    Gateway::configured(|config| {
        let origin = publisher.origin();
        let jwt = toml::toml! {
            issuer = "https://as.example-bank.fr"
            audience = "https://psd2.example-bank.fr"
        };
        let mut jwt: toml::Table = jwt;
        jwt.insert("jwks_url".to_owned(), format!("{origin}/jwks").into());
        jwt.insert("allow".to_owned(), vec![toml::Value::from(origin)].into());
        config.insert("jwt".to_owned(), jwt.into());
    })
}

#[test]
fn a_jwt_opens_its_api_to_its_tpp_with_its_certificate_at_its_bank_and_nothing_else() {
    let (publisher, key) = (Publisher::start(), Key::new("one"));
    publisher.publish("/jwks", key.jwks(), "1");
    let gateway = accepting(&publisher);
    let (funds_co, other) = (gateway.tpp("funds-co"), gateway.tpp("multi-role"));
    let good = claims(&gateway);
    let token = key.sign(&good);
    eventually("the keys are known", || {
        let answer = funds_co.send(&gateway.request(&token));
        (answer.status == 200 && answer.json()["result"] == true).then_some(())
    });
    let code = |claims: &Value| funds_co.send(&gateway.request(&key.sign(claims))).code();
    for (name, value, reason) in [
        ("organisation_id", json!("PSDDE-BAFIN-99999902"), "token_other_tpp"),
        ("codetab", json!("17516"), "token_other_bank"),
        ("scope", json!("aisp"), "token_scope"),
        ("exp", json!(1_700_000_000), "token_expired"),
        ("iss", json!("https://as.example-bank.fr/"), "token_unknown"),
        ("aud", json!("https://elsewhere.example"), "token_unknown"),
        ("auth_time", json!(1_700_000_000), "consent_expired"),
        ("cnf", json!({ "x5t#S256": b64([7; 32]) }), "token_other_certificate"),
        ("cnf", Value::Null, "state_unavailable"),
    ] {
        let mut changed = good.clone();
        changed[name] = value;
        assert_eq!(code(&changed), reason, "{name}");
    }
    assert_eq!(other.send(&gateway.request(&token)).code(), "token_other_tpp");
    let forged = Key { id: "one", ..Key::new("x") }.sign(&good);
    assert_eq!(funds_co.send(&gateway.request(&forged)).code(), "token_unknown");
    let log = gateway.place().audit_text();
    assert!(!log.contains(&token) && !log.contains("gilles"), "neither token nor person");
}

#[test]
fn a_new_key_of_the_issuer_counts_within_seconds_and_the_old_one_no_more() {
    let (publisher, old, new) = (Publisher::start(), Key::new("old"), Key::new("new"));
    publisher.publish("/jwks", old.jwks(), "1");
    let gateway = accepting(&publisher);
    let funds_co = gateway.tpp("funds-co");
    let good = claims(&gateway);
    let status = |key: &Key| funds_co.send(&gateway.request(&key.sign(&good))).status;
    eventually("the first key", || (status(&old) == 200).then_some(()));
    publisher.publish("/jwks", new.jwks(), "2");
    eventually("the second key", || (status(&new) == 200).then_some(()));
    assert_eq!(status(&old), 401);
    let asked = publisher.asked().len();
    let unknown = Key::new("nobody's");
    for _ in 0..50 {
        assert_eq!(status(&unknown), 401);
    }
    let more = publisher.asked().len() - asked;
    assert!(more <= 5, "{more} questions for 50 tokens with an unknown key");
}

#[test]
fn suspending_a_tpp_says_that_its_jwts_go_on_and_an_override_ends_them() {
    let (publisher, key) = (Publisher::start(), Key::new("one"));
    publisher.publish("/jwks", key.jwks(), "1");
    let gateway = accepting(&publisher);
    let funds_co = gateway.tpp("funds-co");
    let token = key.sign(&claims(&gateway));
    let answer = || funds_co.send(&gateway.request(&token));
    eventually("the keys are known", || (answer().status == 200).then_some(()));

    let config = gateway.config_file();
    let config = path_text(&config);
    let who = ["--by", "Ada", "--because", "incident 4711", "--config", config];
    let suspended = run(&[&["tpp", "suspend", OWNER], &who[..]].concat());
    let said = String::from_utf8_lossy(&suspended.stderr).into_owned();
    assert!(suspended.status.success() && said.contains("octroi register override"), "{said}");
    assert!(said.contains(ISSUER), "{said}");
    assert_eq!(answer().status, 200, "as it was said");

    let until = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24)).to_string();
    let ended = ["register", "override", "add", OWNER, "--withdrawn", "--until", &until];
    let ended = run(&[&ended[..], &who[..], &["--by", "Grace"]].concat());
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    eventually("the override is in force", || {
        (answer().code() == "register_withdrawn").then_some(())
    });
}
