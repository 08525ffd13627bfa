//! The header fields of a signed request, in both forms: read, judged and diagnosed.
#![no_main]

use std::sync::LazyLock;

use certs::Leaf;
use certs::http_signature::{
    HttpRequest, Seal, SealRing, SignaturePolicy, diagnose, sealed_by, verify,
};
use certs::test_qtsp::{Authority, Kind, Recipe};
use libfuzzer_sys::fuzz_target;

static SEAL: LazyLock<Seal> = LazyLock::new(|| {
    let now = jiff::Timestamp::UNIX_EPOCH;
    let mut recipe = Recipe::qwac("F", "PSDFR-ACPR-1", &[], now);
    recipe.kind = Kind::Qsealc;
    let issued = Authority::generate("fuzz", now).unwrap().issue(&recipe).unwrap();
    Seal::new(Leaf::from_der(&issued.der().unwrap()).unwrap(), Vec::new()).unwrap()
});

fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(4, |octet| *octet == 0);
    let mut next = || parts.next().unwrap_or_default();
    let (signature, input, digest, body) = (next(), next(), next(), next());
    let mut fields: Vec<(&str, &[u8])> =
        vec![("signature", signature), ("digest", digest), ("content-digest", digest)];
    if !input.is_empty() {
        fields.push(("signature-input", input));
    }
    let request =
        HttpRequest { method: "POST", target: "/a?b=c", authority: "a.example", fields, body };
    let policy = SignaturePolicy::default();
    let mut ring = SealRing::default();
    ring.add(SEAL.clone());
    let _ = sealed_by(&request, &ring, &policy);
    let verified = verify(&request, &SEAL, &policy, jiff::Timestamp::UNIX_EPOCH);
    assert!(verified.is_err(), "the fuzzer has no key");
    let _ = diagnose(&request, Some(&SEAL), &policy, None);
});
