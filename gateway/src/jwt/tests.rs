use openssl::ec::{EcGroup, EcKey};
use openssl::ecdsa::EcdsaSig;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::{Padding, Rsa};
use openssl::sign::{RsaPssSaltlen, Signer};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use jsonwebtoken::Algorithm;

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The bank's authorization server.
struct Issuer {
    rsa: Rsa<Private>,
    ec: EcKey<Private>,
}

impl Issuer {
    fn new() -> Self {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        Self { rsa: Rsa::generate(2048).unwrap(), ec: EcKey::generate(&group).unwrap() }
    }

    fn jwks(&self) -> Vec<u8> {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let mut context = openssl::bn::BigNumContext::new().unwrap();
        let (mut x, mut y) =
            (openssl::bn::BigNum::new().unwrap(), openssl::bn::BigNum::new().unwrap());
        self.ec.public_key().affine_coordinates(&group, &mut x, &mut y, &mut context).unwrap();
        let padded = |number: &openssl::bn::BigNum| b64(number.to_vec_padded(32).unwrap());
        serde_json::to_vec(&json!({ "keys": [
            { "kty": "RSA", "kid": "rsa", "use": "sig",
              "n": b64(self.rsa.n().to_vec()), "e": b64(self.rsa.e().to_vec()) },
            { "kty": "EC", "kid": "ec", "crv": "P-256", "x": padded(&x), "y": padded(&y) },
            { "kty": "RSA", "kid": "for encryption", "use": "enc",
              "n": b64(self.rsa.n().to_vec()), "e": b64(self.rsa.e().to_vec()) },
            { "kty": "oct", "kid": "shared", "k": b64(b"0123456789abcdef0123456789abcdef") },
        ] }))
        .unwrap()
    }

    fn token(&self, algorithm: &str, header: &Value, claims: &Value) -> String {
        let message = format!(
            "{}.{}",
            b64(serde_json::to_vec(header).unwrap()),
            b64(serde_json::to_vec(claims).unwrap())
        );
        let signature = match algorithm {
            "ES256" => {
                let signature =
                    EcdsaSig::sign(&certs::sha256(message.as_bytes()), &self.ec).unwrap();
                let half = |number: &openssl::bn::BigNumRef| number.to_vec_padded(32).unwrap();
                [half(signature.r()), half(signature.s())].concat()
            }
            "none" => Vec::new(),
            "HS256" => {
                // The old trick: the public key, as everybody knows it, for the shared secret.
                let secret = self.rsa.public_key_to_pem().unwrap();
                let key = PKey::hmac(&secret).unwrap();
                let mut signer = Signer::new(MessageDigest::sha256(), &key).unwrap();
                signer.sign_oneshot_to_vec(message.as_bytes()).unwrap()
            }
            _ => {
                let key = PKey::from_rsa(self.rsa.clone()).unwrap();
                let mut signer = Signer::new(MessageDigest::sha256(), &key).unwrap();
                if algorithm == "PS256" {
                    signer.set_rsa_padding(Padding::PKCS1_PSS).unwrap();
                    signer.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH).unwrap();
                }
                signer.sign_oneshot_to_vec(message.as_bytes()).unwrap()
            }
        };
        format!("{message}.{}", b64(signature))
    }

    fn good(&self, algorithm: &str) -> String {
        self.token(algorithm, &header(algorithm), &claims())
    }
}

fn header(algorithm: &str) -> Value {
    let kid = if algorithm == "ES256" { "ec" } else { "rsa" };
    json!({ "alg": algorithm, "kid": kid, "typ": "at+jwt" })
}

fn claims() -> Value {
    json!({
        "iss": "https://as.bank.example", "aud": ["https://psd2.bank.example", "other"],
        "exp": now().as_second() + 600, "iat": now().as_second(), "auth_time": now().as_second(),
        "sub": "8d1f", "client_id": "tpp", "scope": "cbpii offline", "codetab": "17515",
        "organisation_id": "PSDFR-ACPR-99901", "consent_id": "c",
        "cnf": { "x5t#S256": b64([7; 32]) },
    })
}

fn settings() -> JwtSettings {
    JwtSettings {
        issuer: "https://as.bank.example".to_owned(),
        audience: "https://psd2.bank.example".to_owned(),
        jwks_url: "https://as.bank.example/jwks".to_owned(),
        allow: Vec::new(),
        every: Duration::from_secs(300),
        tolerated_for: Duration::from_secs(3600),
        algorithms: vec![Algorithm::RS256, Algorithm::PS256, Algorithm::ES256],
        organisation_claim: "organisation_id".to_owned(),
        codetab_claim: "codetab".to_owned(),
        bound: true,
    }
}

fn jwts(settings: JwtSettings, issuer: &Issuer) -> Jwts {
    let jwts = Jwts::new(settings, &Registry::new()).unwrap();
    jwts.publish(jwts.read(&issuer.jwks()).unwrap(), now());
    jwts
}

fn fact(jwts: &Jwts, token: &str) -> TokenFact {
    jwts.fact(token.as_bytes(), &certs::sha256(token.as_bytes()), now())
}

#[test]
fn a_token_of_the_bank_says_what_its_claims_say() {
    let issuer = Issuer::new();
    let jwts = jwts(settings(), &issuer);
    for algorithm in ["RS256", "PS256", "ES256"] {
        let token = issuer.good(algorithm);
        assert!(Jwts::is_one(token.as_bytes()));
        for _ in ["verified", "remembered"] {
            let TokenFact::Live { record, .. } = fact(&jwts, &token) else { panic!("{algorithm}") };
            assert_eq!(record.organisation_id.as_str(), "PSDFR-ACPR-99901");
            assert_eq!((record.codetab.as_str(), record.client_id.as_str()), ("17515", "tpp"));
            assert!(record.scopes.contains("cbpii"));
            assert_eq!(record.psu.as_ref().map(Psu::expose), Some("8d1f"));
            assert_eq!(record.certificate, Some([7; 32]));
            assert_eq!(record.kind, TokenKind::Access);
        }
    }
}

#[test]
fn an_expired_token_is_told_apart_from_an_unknown_one() {
    let issuer = Issuer::new();
    let jwts = jwts(settings(), &issuer);
    let mut over = claims();
    over["exp"] = json!(now().as_second() - 1);
    let token = issuer.token("PS256", &header("PS256"), &over);
    let TokenFact::Live { record, .. } = fact(&jwts, &token) else { panic!("it was one") };
    assert!(record.expires_at < now());
}

#[test]
fn whatever_the_bank_did_not_sign_for_us_is_unknown() {
    let issuer = Issuer::new();
    let jwts = jwts(settings(), &issuer);
    let with = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        issuer.token("PS256", &header("PS256"), &claims)
    };
    let headed = |name: &str, value: Value| {
        let mut header = header("PS256");
        header[name] = value;
        issuer.token("PS256", &header, &claims())
    };
    let good = issuer.good("PS256");
    let (message, signature) = good.rsplit_once('.').unwrap();
    let mut flipped = URL_SAFE_NO_PAD.decode(signature).unwrap();
    flipped[0] ^= 1;
    for (what, token) in [
        ("another issuer", with("iss", json!("https://as.other.example"))),
        ("another audience", with("aud", json!("https://other.example"))),
        ("not valid yet", with("nbf", json!(i64::from(u32::MAX)))),
        ("no time", with("exp", Value::Null)),
        ("an ID token", headed("typ", json!("JWT"))),
        ("another key", headed("kid", json!("ec"))),
        ("an unknown key", headed("kid", json!("nobody's"))),
        ("a key for encryption", headed("kid", json!("for encryption"))),
        ("no key", headed("kid", Value::Null)),
        ("no algorithm", issuer.token("none", &header("none"), &claims())),
        ("the public key as a secret", issuer.token("HS256", &header("HS256"), &claims())),
        ("a flipped bit", format!("{message}.{}", b64(flipped))),
        ("no signature", format!("{message}.")),
        ("another's signature", Issuer::new().good("PS256")),
    ] {
        assert!(matches!(fact(&jwts, &token), TokenFact::Unknown), "{what}");
    }
}

#[test]
fn a_signed_token_without_what_we_need_is_refused_as_unreadable() {
    let issuer = Issuer::new();
    let bound = jwts(settings(), &issuer);
    let without = |name: &str| {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(name);
        issuer.token("ES256", &header("ES256"), &claims)
    };
    for name in ["organisation_id", "codetab", "client_id", "auth_time", "cnf"] {
        assert!(matches!(fact(&bound, &without(name)), TokenFact::Unreadable), "{name}");
    }
    let unbound = jwts(JwtSettings { bound: false, ..settings() }, &issuer);
    assert!(matches!(fact(&unbound, &without("cnf")), TokenFact::Live { .. }));
}

#[test]
fn keys_that_are_missing_or_too_old_prove_nothing() {
    let issuer = Issuer::new();
    let token = issuer.good("PS256");
    let none = Jwts::new(settings(), &Registry::new()).unwrap();
    assert!(matches!(fact(&none, &token), TokenFact::Unavailable));
    let jwts = jwts(settings(), &issuer);
    let late = now() + SignedDuration::from_secs(3601);
    let digest = certs::sha256(token.as_bytes());
    assert!(matches!(jwts.fact(token.as_bytes(), &digest, now()), TokenFact::Live { .. }));
    assert!(matches!(jwts.fact(token.as_bytes(), &digest, late), TokenFact::Unavailable));
    for set in [&b"{}"[..], b"{\"keys\":[]}", b"not JSON", b"{\"keys\":[{\"kty\":\"oct\"}]}"] {
        assert!(jwts.read(set).is_err());
    }
}

proptest! {
    #[test]
    fn any_octets_are_judged_without_a_panic(
        head in "[ -~]{0,40}", body in prop::collection::vec(any::<u8>(), 0..200),
        octets in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let issuer = Issuer { rsa: test_key(), ec: ec_key() };
        let jwts = jwts(settings(), &issuer);
        for token in [octets, format!("{}.{}.AA", b64(head), b64(body)).into_bytes()] {
            let digest = certs::sha256(&token);
            prop_assert!(matches!(jwts.fact(&token, &digest, now()), TokenFact::Unknown));
        }
        let _ = jwts.read(b"{\"keys\":[{\"kty\":\"RSA\",\"n\":\"\",\"e\":\"\"}]}");
    }
}

/// Made once: a property has many cases.
fn test_key() -> Rsa<Private> {
    static KEY: std::sync::OnceLock<Rsa<Private>> = std::sync::OnceLock::new();
    KEY.get_or_init(|| Rsa::generate(2048).unwrap()).clone()
}

fn ec_key() -> EcKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    EcKey::generate(&group).unwrap()
}
