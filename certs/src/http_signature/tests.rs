//! The vectors of both specifications, requests that were tampered with, and the doctor.

use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use proptest::prelude::*;

use super::*;
use crate::leaf::Leaf;
use crate::test_qtsp::{Authority, KeyKind, Kind, Recipe};

const BODY: &[u8] = br#"{"hello": "world"}"#;

fn request<'a>(fields: &[(&'a str, &'a str)]) -> HttpRequest<'a> {
    HttpRequest {
        method: "POST",
        target: "/foo?param=value&pet=dog",
        authority: "example.com",
        fields: fields.iter().map(|(name, value)| (*name, value.as_bytes())).collect(),
        body: BODY,
    }
}

/// Appendix C of the draft: the key, and a request in its examples' form.
const CAVAGE_KEY: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDCFENGw33yGihy92pDjZQhl0C3
6rPJj+CvfSC8+q28hxA161QFNUd13wuCTUcq0Qd2qsBe/2hFyc2DCJJg0h1L78+6
Z4UMR7EOcpfdUE9Hf3m/hs+FUR45uBJeDK1HSFHD8bHKD6kv8FPGfJTotc+2xjJw
oYi+1hqp1fIekaxsyQIDAQAB
-----END PUBLIC KEY-----";

#[test]
fn the_vectors_of_the_draft_verify() {
    let key = PKey::public_key_from_pem(CAVAGE_KEY.as_bytes()).unwrap();
    for signature in [
        // C.1, C.2, C.3 (whose signature leaves (created) and (expires) out, as its errata say).
        r#"keyId="Test",algorithm="rsa-sha256",signature="SjWJWbWN7i0wzBvtPl8rbASWz5xQW6mcJmn+ibttBqtifLN7Sazz6m79cNfwwb8DMJ5cou1s7uEGKKCs+FLEEaDV5lp7q25WqS+lavg7T8hc0GppauB6hbgEKTwblDHYGEtbGmtdHgVCk9SuS13F0hZ8FD0k/5OxEPXe5WozsbM=""#,
        r#"keyId="Test",algorithm="rsa-sha256",headers="(request-target) host date",signature="qdx+H7PHHDZgy4y/Ahn9Tny9V3GP6YgBPyUXMmoxWtLbHpUnXS2mg2+SbrQDMCJypxBLSPQR2aAjn7ndmw2iicw3HMbe8VfEdKFYRqzic+efkb3nndiv/x1xSHDJWeSWkx3ButlYSuBskLu6kd9Fswtemr3lgdDEmn04swr2Os0=""#,
        r#"keyId="Test",algorithm="rsa-sha256",headers="(request-target) host date content-type digest content-length",signature="vSdrb+dS3EceC9bcwHSo4MlyKS59iFIrhgYkz8+oVLEEzmYZZvRs8rgOp+63LEM3v+MFHB32NfpB2bEKBIvB1q52LaEUHFv120V01IL+TAD48XaERZFukWgHoBTLMhYS2Gb51gWxpeIq8knRmPnYePbF5MOkR0Zkly4zKH7s1dE=""#,
    ] {
        let request = request(&[
            ("host", "example.com"),
            ("date", "Sun, 05 Jan 2014 21:31:40 GMT"),
            ("content-type", "application/json"),
            ("digest", "SHA-256=X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE="),
            ("content-length", "18"),
            ("signature", signature),
        ]);
        let claim = Claim::read(&request).unwrap();
        let text = claim.signing_string.as_bytes();
        let form = SignatureForm::Cavage;
        assert!(SignatureMethod::RsaSha256.verifies_with(&key, form, text, &claim.signature));
        assert_eq!(digest::fits(&request, form), Ok(()));
    }
}

const PSS_KEY: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAr4tmm3r20Wd/PbqvP1s2
+QEtvpuRaV8Yq40gjUR8y2Rjxa6dpG2GXHbPfvMs8ct+Lh1GH45x28Rw3Ry53mm+
oAXjyQ86OnDkZ5N8lYbggD4O3w6M6pAvLkhk95AndTrifbIFPNU8PPMO7OyrFAHq
gDsznjPFmTOtCEcN2Z1FpWgchwuYLPL+Wokqltd11nqqzi+bJ9cvSKADYdUAAN5W
Utzdpiy6LbTgSxP7ociU4Tn0g5I6aDZJ7A8Lzo0KSyZYoA485mqcO0GVAdVw9lq4
aOT9v6d+nb4bnNkQVklLQ3fVAvJm+xdDOp9LCNCN48V2pnDOkFV6+U9nV5oyc6XI
2wIDAQAB
-----END PUBLIC KEY-----";
const P256_KEY: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lf
w0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==
-----END PUBLIC KEY-----";
const ED25519_KEY: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=
-----END PUBLIC KEY-----";

#[test]
fn the_request_vectors_of_rfc_9421_verify() {
    use SignatureMethod::{Ed25519, RsaPssSha512};

    for (pem, method, input, signature) in [
        (
            PSS_KEY,
            RsaPssSha512,
            r#"sig-b21=();created=1618884473;keyid="test-key-rsa-pss";nonce="b3k2pp5k7z-50gnwp.yemd""#,
            "sig-b21=:d2pmTvmbncD3xQm8E9ZV2828BjQWGgiwAaw5bAkgibUopemLJcWDy/lkbbHAve4cRAtx31Iq786U7it++wgGxbtRxf8Udx7zFZsckzXaJMkA7ChG52eSkFxykJeNqsrWH5S+oxNFlD4dzVuwe8DhTSja8xxbR/Z2cOGdCbzR72rgFWhzx2VjBqJzsPLMIQKhO4DGezXehhWwE56YCE+O6c0mKZsfxVrogUvA4HELjVKWmAvtl6UnCh8jYzuVG5WSb/QEVPnP5TmcAnLH1g+s++v6d4s8m0gCw1fV5/SITLq9mhho8K3+7EPYTU8IU1bLhdxO5Nyt8C8ssinQ98Xw9Q==:",
        ),
        (
            PSS_KEY,
            RsaPssSha512,
            r#"sig-b22=("@authority" "content-digest" "@query-param";name="Pet");created=1618884473;keyid="test-key-rsa-pss";tag="header-example""#,
            "sig-b22=:LjbtqUbfmvjj5C5kr1Ugj4PmLYvx9wVjZvD9GsTT4F7GrcQEdJzgI9qHxICagShLRiLMlAJjtq6N4CDfKtjvuJyE5qH7KT8UCMkSowOB4+ECxCmT8rtAmj/0PIXxi0A0nxKyB09RNrCQibbUjsLS/2YyFYXEu4TRJQzRw1rLEuEfY17SARYhpTlaqwZVtR8NV7+4UKkjqpcAoFqWFQh62s7Cl+H2fjBSpqfZUJcsIk4N6wiKYd4je2U/lankenQ99PZfB4jY3I5rSV2DSBVkSFsURIjYErOs0tFTQosMTAoxk//0RoKUqiYY8Bh0aaUEb0rQl3/XaVe4bXTugEjHSw==:",
        ),
        (
            PSS_KEY,
            RsaPssSha512,
            r#"sig-b23=("date" "@method" "@path" "@query" "@authority" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-rsa-pss""#,
            "sig-b23=:bbN8oArOxYoyylQQUU6QYwrTuaxLwjAC9fbY2F6SVWvh0yBiMIRGOnMYwZ/5MR6fb0Kh1rIRASVxFkeGt683+qRpRRU5p2voTp768ZrCUb38K0fUxN0O0iC59DzYx8DFll5GmydPxSmme9v6ULbMFkl+V5B1TP/yPViV7KsLNmvKiLJH1pFkh/aYA2HXXZzNBXmIkoQoLd7YfW91kE9o/CCoC1xMy7JA1ipwvKvfrs65ldmlu9bpG6A9BmzhuzF8Eim5f8ui9eH8LZH896+QIF61ka39VBrohr9iyMUJpvRX2Zbhl5ZJzSRxpJyoEZAFL2FUo5fTIztsDZKEgM4cUA==:",
        ),
        (
            ED25519_KEY,
            Ed25519,
            r#"sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519""#,
            "sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:",
        ),
    ] {
        let mut request = request(&[
            ("host", "example.com"),
            ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
            ("content-type", "application/json"),
            (
                "content-digest",
                "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:",
            ),
            ("content-length", "18"),
            ("signature-input", input),
            ("signature", signature),
        ]);
        request.target = "/foo?param=Value&Pet=dog";
        let claim = Claim::read(&request).unwrap();
        let key = PKey::public_key_from_pem(pem.as_bytes()).unwrap();
        let (form, text) = (SignatureForm::Message, claim.signing_string.as_bytes());
        assert!(
            method.verifies_with(&key, form, text, &claim.signature),
            "{}",
            claim.signing_string
        );
        assert_eq!(digest::fits(&request, form), Ok(()));
    }
    // B.2.4 is over a response: only the algorithm is of use here.
    let base = "\"@status\": 200\n\"content-type\": application/json\n\"content-digest\": sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:\n\"content-length\": 23\n\"@signature-params\": (\"@status\" \"content-type\" \"content-digest\" \"content-length\");created=1618884473;keyid=\"test-key-ecc-p256\"";
    let signature = base64::Engine::decode(
        &base64::engine::general_purpose::STANDARD,
        "wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx0NKocgPquLgyahnzDnDAUy5eCdlYUEkLIj+32oiasw==",
    )
    .unwrap();
    let key = PKey::public_key_from_pem(P256_KEY.as_bytes()).unwrap();
    let method = SignatureMethod::EcdsaP256Sha256;
    assert!(method.verifies_with(&key, SignatureForm::Message, base.as_bytes(), &signature));
}

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

const DATE: &str = "Sat, 21 Nov 2026 11:59:58 +0000";

struct Tpp {
    seal: Seal,
    key: PKey<Private>,
    key_id: String,
}

fn tpp() -> Tpp {
    let mut recipe = Recipe::qwac("F", "PSDFR-ACPR-1", &[], now());
    (recipe.kind, recipe.key) = (Kind::Qsealc, KeyKind::Rsa(2048));
    let issued = Authority::generate("T", now()).unwrap().issue(&recipe).unwrap();
    let certificate = Leaf::from_der(&issued.der().unwrap()).unwrap();
    let key_id = format!("https://tpp.example/seal_{}", hex::encode(certificate.fingerprint()));
    let key = PKey::private_key_from_pem(&issued.key_pem().unwrap()).unwrap();
    Tpp { seal: Seal::new(certificate, Vec::new()).unwrap(), key, key_id }
}

type Fields = Vec<(&'static str, String)>;

const COVERED: [&str; 5] = ["(request-target)", "date", "digest", "x-request-id", "content-type"];
const COMPONENTS: [&str; 5] =
    ["@method", "@target-uri", "content-digest", "x-request-id", "content-type"];

fn fields(digest: &str) -> Fields {
    vec![
        ("date", DATE.to_owned()),
        ("x-request-id", "abc".to_owned()),
        ("content-type", "application/json".to_owned()),
        ("digest", digest.to_owned()),
        ("content-digest", content_digest(BODY)),
    ]
}

fn borrowed<'a>(fields: &'a [(&'static str, String)]) -> HttpRequest<'a> {
    let fields: Vec<(&str, &str)> =
        fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    request(&fields)
}

fn cavage(tpp: &Tpp) -> Fields {
    let mut fields = fields(&digest(BODY));
    let unsigned = borrowed(&fields);
    let method = SignatureMethod::RsaSha256;
    let signature = sign_cavage(&unsigned, &tpp.key_id, &tpp.key, method, &COVERED).unwrap();
    fields.push(("signature", signature));
    fields
}

fn message(tpp: &Tpp) -> Fields {
    let mut fields = fields(&digest(BODY));
    let unsigned = borrowed(&fields);
    let method = SignatureMethod::RsaPssSha512;
    let (input, signature) =
        sign_message(&unsigned, &tpp.key_id, &tpp.key, method, &COMPONENTS, now()).unwrap();
    fields.push(("signature-input", input));
    fields.push(("signature", signature));
    fields
}

fn judged(fields: &[(&'static str, String)], tpp: &Tpp) -> Result<Signed, SignatureFault> {
    verify(&borrowed(fields), &tpp.seal, &SignaturePolicy::default(), now())
}

#[test]
fn what_a_tpp_signs_verifies_in_both_forms() {
    let tpp = tpp();
    assert_eq!(judged(&cavage(&tpp), &tpp).unwrap().form, SignatureForm::Cavage);
    assert_eq!(judged(&message(&tpp), &tpp).unwrap().method, SignatureMethod::RsaPssSha512);
    let mut ring = SealRing::default();
    ring.add(tpp.seal.clone());
    let found = |fields: &[(&'static str, String)]| {
        sealed_by(&borrowed(fields), &ring, &SignaturePolicy::default()).is_ok()
    };
    assert!(found(&cavage(&tpp)) && found(&message(&tpp)));
    let sha1 = hex::encode(tpp.seal.certificate().fingerprint_sha1());
    assert!(ring.find(&sha1, true).is_some() && ring.find(&sha1, false).is_none());
    for unknown in ["", "_", "https://x.example/seal_00", "seal_zz", "../../etc/passwd"] {
        assert!(ring.find(unknown, true).is_none(), "{unknown}");
    }
}

#[test]
fn each_tampering_has_its_fault() {
    let tpp = tpp();
    let policy = SignaturePolicy::default();
    let bent = |change: &dyn Fn(&mut Fields)| {
        let mut fields = cavage(&tpp);
        change(&mut fields);
        judged(&fields, &tpp).unwrap_err()
    };
    let set = |fields: &mut Fields, name: &str, value: &str| {
        for field in fields.iter_mut().filter(|field| field.0 == name) {
            value.clone_into(&mut field.1);
        }
    };
    let swap = |fields: &mut Fields, from: &str, to: &str| {
        for field in fields.iter_mut().filter(|field| field.0 == "signature") {
            field.1 = field.1.replace(from, to);
        }
    };
    use SignatureFault::*;
    assert_eq!(bent(&|fields| fields.retain(|field| field.0 != "signature")), Missing);
    assert!(matches!(bent(&|f| set(f, "x-request-id", "abd")), Invalid));
    assert!(matches!(bent(&|f| set(f, "content-type", "text/plain")), Invalid));
    assert!(matches!(bent(&|f| set(f, "date", "Sat, 21 Nov 2026 11:59:59 +0000")), Invalid));
    assert!(matches!(bent(&|f| set(f, "date", "Sat, 21 Nov 2026 11:00:00 +0000")), Time(_)));
    assert!(matches!(bent(&|f| set(f, "date", "Sat, 21 Nov 2026 12:30:00 +0000")), Time(_)));
    assert!(matches!(bent(&|f| set(f, "date", "today")), Time(_)));
    assert!(matches!(bent(&|f| set(f, "digest", &digest(b"other"))), Digest(_)));
    assert!(matches!(bent(&|f| set(f, "digest", "MD5=AA==")), Digest(_)));
    assert!(matches!(bent(&|f| set(f, "digest", "SHA-256=*")), Digest(_)));
    assert!(matches!(bent(&|f| f.retain(|field| field.0 != "digest")), NotThere(_)));
    assert!(matches!(bent(&|f| f.retain(|field| field.0 != "x-request-id")), NotThere(_)));
    assert!(matches!(bent(&|f| f.push(("signature", "keyId=\"x\"".to_owned()))), Several));
    assert!(matches!(bent(&|f| f.push(("digest", digest(BODY)))), Invalid | Several));
    assert!(matches!(bent(&|f| f.push(("x-request-id", "abc".to_owned()))), Invalid));
    assert!(matches!(bent(&|f| f.push(("psu-ip-address", "192.0.2.1".to_owned()))), NotCovered(_)));
    for part in COVERED {
        let spaced = |f: &mut Vec<_>| swap(f, &format!(" {part}"), "");
        let first = |f: &mut Vec<_>| swap(f, &format!("{part} "), "");
        let fault = bent(&|f| if part == COVERED[0] { first(f) } else { spaced(f) });
        assert!(matches!(fault, NotCovered(_)), "{part}: {fault}");
    }
    assert!(matches!(bent(&|f| swap(f, "date digest", "digest date")), Invalid));
    assert!(matches!(bent(&|f| swap(f, " date", " Date")), Malformed { .. }));
    assert!(matches!(bent(&|f| swap(f, " date", " date date")), Malformed { .. }));
    assert!(matches!(bent(&|f| swap(f, " date", "  date")), Malformed { .. }));
    assert!(matches!(bent(&|f| swap(f, "rsa-sha256", "hmac-sha256")), Method(_)));
    assert!(matches!(bent(&|f| swap(f, "rsa-sha256", "none")), Method(_)));
    assert!(matches!(bent(&|f| swap(f, "rsa-sha256", "ecdsa-sha256")), Method(_)));
    assert!(matches!(bent(&|f| swap(f, "rsa-sha256", "hs2019")), Invalid));
    assert!(matches!(bent(&|f| swap(f, "signature=\"", "signature=\"*")), Malformed { .. }));
    assert!(matches!(bent(&|f| swap(f, "signature=\"", "signature=\"AAAA")), Invalid));
    assert!(matches!(bent(&|f| swap(f, "keyId=", "x=")), Malformed { .. }));
    assert!(matches!(
        bent(&|f| swap(f, ",headers=", ",headers=\"date\",headers=")),
        Malformed { .. }
    ));
    let other = self::tpp();
    assert_eq!(judged(&cavage(&other), &tpp), Err(Invalid), "another TPP's seal");

    let fields = cavage(&tpp);
    let mut request = borrowed(&fields);
    request.method = "PUT";
    assert_eq!(verify(&request, &tpp.seal, &policy, now()), Err(Invalid));
    request.method = "POST";
    request.target = "/foo?param=value&pet=cat";
    assert_eq!(verify(&request, &tpp.seal, &policy, now()), Err(Invalid));
    request.target = "/foo?param=value&pet=dog";
    request.body = b"{}";
    assert!(matches!(verify(&request, &tpp.seal, &policy, now()), Err(Digest(_))));
    let only_message = SignaturePolicy { forms: vec![SignatureForm::Message], ..policy };
    assert_eq!(verify(&borrowed(&fields), &tpp.seal, &only_message, now()), Err(Form));
}

#[test]
fn a_message_signature_is_held_to_the_same() {
    let tpp = tpp();
    let bent = |from: &str, to: &str| {
        let mut fields = message(&tpp);
        for field in fields.iter_mut().filter(|field| field.0.starts_with("signature")) {
            field.1 = field.1.replace(from, to);
        }
        judged(&fields, &tpp).unwrap_err()
    };
    use SignatureFault::*;
    assert!(matches!(bent(" \"content-digest\"", ""), NotCovered(_)));
    assert!(matches!(bent("\"@method\" ", ""), NotCovered(_)));
    assert!(matches!(bent("\"@target-uri\"", "\"@authority\""), NotCovered(_)));
    assert!(matches!(bent("\"x-request-id\"", "\"x-request-id\";key=\"a\""), Malformed { .. }));
    assert!(matches!(bent("\"x-request-id\"", "\"x-other\""), NotThere(_)));
    assert!(matches!(bent("\"@method\"", "\"@method\" \"@method\""), Malformed { .. }));
    assert!(matches!(bent("\"@method\"", "\"@status\""), NotThere(_)));
    assert!(matches!(bent("created=1795262400", "created=1795262399"), Invalid));
    assert!(matches!(bent(";created=1795262400", ""), NotCovered(_)));
    assert!(matches!(bent("created=1795262400", "created=1795200000"), Time(_)));
    assert!(matches!(bent("rsa-pss-sha512", "rsa-v1_5-sha256"), Invalid));
    assert!(matches!(bent("rsa-pss-sha512", "hmac-sha256"), Method(_)));
    assert!(matches!(bent("sig1=:", "sig2=:"), Malformed { .. }));
    assert!(matches!(bent("sig1=(", "sig0=();keyid=\"x\", sig1=("), Several));
    assert!(matches!(bent("sig1=(", "sig1=[("), Malformed { .. }));
}

#[test]
fn the_doctor_names_the_line_and_the_mistake() {
    let tpp = tpp();
    let policy = SignaturePolicy::default();
    // The client signs `theirs` and sends the request as it is.
    let ill = |mistake: &dyn Fn(&str) -> String| {
        let fields = fields(&digest(BODY));
        let good = borrowed(&fields);
        let signed =
            sign_cavage(&good, &tpp.key_id, &tpp.key, SignatureMethod::RsaSha256, &COVERED);
        let mut fields = fields.clone();
        fields.push(("signature", signed.unwrap()));
        let ours = Claim::read(&borrowed(&fields)).unwrap().signing_string;
        let method = SignatureMethod::RsaSha256;
        let text = mistake(&ours);
        let signature = method.sign(&tpp.key, SignatureForm::Cavage, text.as_bytes()).unwrap();
        let signature =
            base64::Engine::encode(&base64::engine::general_purpose::STANDARD, signature);
        let header = &mut fields.last_mut().unwrap().1;
        let start = header.find("signature=").unwrap();
        header.truncate(start);
        header.push_str(&format!("signature=\"{signature}\""));
        let request = borrowed(&fields);
        assert_eq!(verify(&request, &tpp.seal, &policy, now()), Err(SignatureFault::Invalid));
        let found = diagnose(&request, Some(&tpp.seal), &policy, None);
        let told = diagnose(&request, None, &policy, Some(&text));
        assert_eq!(found.signing_string.as_deref(), Some(ours.as_str()));
        assert!(told.differs.is_some(), "by comparison");
        (found.differs.unwrap(), told.differs.unwrap())
    };
    for (mistake, line, word) in [
        (
            &(|ours: &str| ours.replace("post /", "get /")) as &dyn Fn(&str) -> String,
            1,
            "another method",
        ),
        (&|ours| ours.replace("post /", "POST /"), 1, "capitals"),
        (&|ours| ours.replace("?param=value&pet=dog", ""), 1, "query"),
        (&|ours| ours.replace("application/json", "application/json "), 5, "space"),
        (&|ours| ours.replace(&digest(BODY), &digest(b"")), 3, "digest of nothing"),
        (&|ours| ours.replace("x-request-id: ", "x-request-id:"), 4, "no space"),
        (&|ours| ours.replace("date: ", "Date: "), 2, "lower case"),
        (&|ours| format!("{ours}\n"), 6, "line feed"),
    ] {
        let (found, told) = ill(mistake);
        assert_eq!(found.line, line, "{found:?}");
        assert!(found.mistake.contains(word), "{found:?}");
        assert_eq!(told.line, line, "{told:?}");
    }
    let (crlf, _) = ill(&|ours| ours.replace('\n', "\r\n"));
    assert!(crlf.mistake.contains("CRLF"));
}

#[test]
fn an_unrelated_key_gets_no_made_up_diagnosis() {
    let tpp = tpp();
    let other = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let impostor = Tpp { key: other, ..tpp };
    let fields = cavage(&impostor);
    let found =
        diagnose(&borrowed(&fields), Some(&impostor.seal), &SignaturePolicy::default(), None);
    assert_eq!(found.differs, None);
}

proptest! {
    #[test]
    fn any_headers_are_read_or_refused_without_a_panic(
        signature in ".{0,200}", input in prop::option::of(".{0,200}"),
    ) {
        let mut fields = fields(&digest(BODY));
        fields.push(("signature", signature));
        if let Some(input) = input {
            fields.push(("signature-input", input));
        }
        prop_assert!(Claim::read(&borrowed(&fields)).is_err() || fields.len() == 7);
    }

    #[test]
    fn a_bent_signature_header_never_verifies(at in any::<prop::sample::Index>(), octet in 0x20..0x7f_u8) {
        thread_local! {
            static MADE: Tpp = tpp();
        }
        MADE.with(|tpp| {
            let mut fields = cavage(tpp);
            let header = &mut fields.last_mut().unwrap().1;
            let start = header.find("signature=").unwrap() + 11;
            let at = start + at.index(header.len() - start - 1);
            let changed = header.as_bytes()[at] != octet;
            header.replace_range(at..=at, char::from(octet).encode_utf8(&mut [0; 4]));
            prop_assert_eq!(judged(&fields, tpp).is_err(), changed);
            Ok(())
        })?;
    }
}
