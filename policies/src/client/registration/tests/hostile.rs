//! Private keys in every dress, and bodies that were mutated or are none.

use super::*;

fn private_in(member: &str, value: Value) -> String {
    match bent(member, value) {
        RegistrationFault::PrivateKey { member } => member,
        other => panic!("{other}"),
    }
}

/// The octets of a PEM text.
fn der(pem: &[u8]) -> Vec<u8> {
    let text = str::from_utf8(pem).unwrap();
    let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    STANDARD.decode(body).unwrap()
}

#[test]
fn a_private_key_is_told_loudly_wherever_it_stands() {
    let pem = String::from_utf8(SEAL.key_pem().unwrap()).unwrap();
    let pkcs8 = der(pem.as_bytes());
    for (member, value, place) in [
        ("client_name", json!(pem), "client_name"),
        ("zebra", json!({"a": [{"b": pem}]}), "zebra.a[0].b"),
        ("jwks", json!({"keys": [{"x5c": [base64(&SEAL), pem]}]}), "jwks.keys[0].x5c[1]"),
        ("jwks", json!({"keys": [{"x5c": [base64(&SEAL)], "d": "AA"}]}), "jwks.keys[0].d"),
        ("jwks", json!({"keys": [{"kty": "RSA", "oth": []}]}), "jwks.keys[0].oth"),
        ("jwks", json!({"keys": [{"kty": "oct", "k": "AA"}]}), "jwks.keys[0].k"),
        ("jwks", json!({"d": 1}), "jwks.d"),
        ("zebra", json!({"kty": "EC", "d": "AA"}), "zebra.d"),
        ("logo", json!(STANDARD.encode(&pkcs8)), "logo"),
        ("logo", json!(URL_SAFE_NO_PAD.encode(&pkcs8)), "logo"),
        ("logo", json!(STANDARD.encode(pem.as_bytes())), "logo"),
        ("logo", json!(pem.to_lowercase()), "logo"),
        (
            "software_statement",
            json!("-----BEGIN ENCRYPTED PRIVATE KEY-----"),
            "software_statement",
        ),
        ("zebra", json!({"-----BEGIN PRIVATE KEY": 1}), "zebra"),
        ("zebra", json!("PuTTY-User-Key-File-3: ssh-rsa"), "zebra"),
    ] {
        assert_eq!(private_in(member, value), place);
    }
    let chain = [SEAL.chain_pem().unwrap(), SEAL.key_pem().unwrap()].concat();
    let bundle = json!({"keys": [{"x5c": [String::from_utf8(chain).unwrap()]}]});
    let fault = bent("jwks", bundle);
    assert_eq!(fault.error_code(), "invalid_client_metadata");
    assert_eq!(
        fault.to_string(),
        "the body holds a private key (jwks.keys[0].x5c[0]); it must be treated as compromised: \
         revoke the certificate and make a new key; nothing was stored"
    );
}

#[test]
fn a_private_key_of_any_kind_is_known_by_its_first_octets() {
    use openssl::ec::{EcGroup, EcKey};
    use openssl::nid::Nid;
    use openssl::pkcs12::Pkcs12;
    use openssl::pkey::PKey;
    use openssl::rsa::Rsa;
    use openssl::symm::Cipher;
    use openssl::x509::X509;

    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let ec = EcKey::generate(&group).unwrap();
    let rsa = Rsa::generate(2048).unwrap();
    let ed = PKey::generate_ed25519().unwrap();
    let aes = Cipher::aes_128_cbc();
    let key = PKey::private_key_from_pem(&SEAL.key_pem().unwrap()).unwrap();
    let certificate = X509::from_der(&SEAL.der().unwrap()).unwrap();
    let pkcs12 = Pkcs12::builder().pkey(&key).cert(&certificate).build2("x").unwrap();
    for der in [
        ec.private_key_to_der().unwrap(),
        rsa.private_key_to_der().unwrap(),
        PKey::from_rsa(rsa.clone()).unwrap().private_key_to_pkcs8().unwrap(),
        ed.private_key_to_pkcs8().unwrap(),
        key.private_key_to_pkcs8_passphrase(aes, b"x").unwrap(),
        pkcs12.to_der().unwrap(),
    ] {
        assert_eq!(private_in("logo", json!(STANDARD.encode(der))), "logo");
    }
    // What is public is not taken for private.
    for der in [
        rsa.public_key_to_der().unwrap(),
        rsa.public_key_to_der_pkcs1().unwrap(),
        ed.public_key_to_der().unwrap(),
        SEAL.issuer_der().unwrap(),
    ] {
        let mut body = stet();
        body["logo"] = json!(STANDARD.encode(der));
        assert!(read(&body).is_ok());
    }
}

#[test]
fn a_private_key_in_a_body_that_cannot_be_read_is_told_too() {
    let pem = String::from_utf8(SEAL.key_pem().unwrap()).unwrap();
    let large = " ".repeat(128 * 1024);
    for body in [pem.clone(), format!("{{\"x\":\"{pem}\""), format!("{large}{pem}")] {
        let fault = Registration::read(body.as_bytes(), Setting::Production, now()).unwrap_err();
        assert_eq!(fault, RegistrationFault::PrivateKey { member: "the body".to_owned() });
    }
}

#[test]
fn public_keys_and_sentences_about_private_ones_are_nothing_to_shout_about() {
    let mut body = stet();
    body["jwks"]["keys"][0]["n"] = json!("AQAB");
    body["jwks"]["keys"][0]["e"] = json!("AQAB");
    body["jwks"]["keys"][0]["d"] = Value::Null;
    body["description"] = json!("Your private key never leaves our vault.");
    body["d"] = json!("day");
    assert_eq!(read(&body).unwrap().ignored(), ["d"]);
}

#[test]
fn no_fault_repeats_what_the_body_holds() {
    let secret = "s3cr3t";
    for (member, value) in [
        ("client_name", json!(format!("{secret}\n"))),
        ("redirect_uris", json!([format!("https://{secret}.example:443/{secret}")])),
        ("redirect_uris", json!([format!("https://{secret}@tpp.example/")])),
        ("token_endpoint_auth_method", json!(secret)),
        ("grant_types", json!([secret])),
        ("scope", json!(secret)),
        ("provider_legal_id", json!(format!("{secret} "))),
        ("contacts", json!([secret])),
        ("contact", json!({"phone_number": secret})),
        ("software_statement", json!(secret)),
        ("logo_uri", json!(secret)),
        ("jwks", json!({"keys": [{"x5c": [format!("{secret}_")]}]})),
    ] {
        let fault = bent(member, value);
        assert!(!fault.to_string().contains(secret), "{fault}");
        assert!(!format!("{fault:?}").contains(secret), "{fault:?}");
    }
}

fn holds(registration: Registration) {
    let client = registration.into_client("1X-ABCD".to_owned(), now(), now());
    assert_eq!(Client::from_json(&client.to_json()), Ok(client.clone()));
    assert!(client.certificates.iter().any(|one| one.kind == CertificateKind::Qsealc));
    assert!(client.redirect_uris.iter().all(|uri| uri.as_str().starts_with("https://")));
    assert!(!client.scopes.is_empty());
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        proptest::sample::select(vec!["https://tpp.example/", "code", "aisp", "AGT1", "a@b", "1"])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-z_]{1,6}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

const MEMBERS: [&str; 17] = [
    "redirect_uris",
    "token_endpoint_auth_method",
    "grant_types",
    "response_types",
    "client_name",
    "contacts",
    "contact",
    "scope",
    "provider_legal_id",
    "jwks",
    "jwks_uri",
    "logo",
    "logo_uri",
    "description",
    "client_legal_id",
    "software_statement",
    "zebra",
];

proptest! {
    #[test]
    fn octets_of_any_kind_are_refused_and_nothing_worse(
        body in proptest::collection::vec(any::<u8>(), 0..300)
    ) {
        prop_assert!(Registration::read(&body, Setting::Production, now()).is_err());
    }

    #[test]
    fn a_body_with_octets_changed_is_refused_or_holds(
        group_body in any::<bool>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)
    ) {
        let body = if group_body { group() } else { stet() };
        let mut body = serde_json::to_vec(&body).unwrap();
        for (at, octet) in changes {
            let at = at.index(body.len());
            body[at] = octet;
        }
        if let Ok(registration) = Registration::read(&body, Setting::Production, now()) {
            holds(registration);
        }
    }

    #[test]
    fn a_body_with_members_changed_is_refused_or_holds(
        changes in proptest::collection::vec((proptest::sample::select(&MEMBERS[..]), values()), 1..3)
    ) {
        let mut body = stet();
        for (member, value) in changes {
            body[member] = value;
        }
        if let Ok(registration) = read(&body) {
            holds(registration);
        }
    }
}
