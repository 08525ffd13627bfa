//! What a handshake costs us beside the signatures that it cannot do without: reading a QWAC, and
//! its path to an anchor as a multiple of the bare signature verifications.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;

use certs::test_qtsp::{Authority, KeyKind, Recipe};
use certs::{Anchors, ClientAuthEku, Leaf, ProfilePolicy, PspRole, Qwac};
use criterion::{Criterion, criterion_group, criterion_main};
use jiff::Timestamp;
use openssl::x509::X509;

struct Case {
    der: Vec<u8>,
    issuing: Vec<u8>,
    root: Vec<u8>,
    listed: Anchors,
    rooted: Anchors,
}

fn case() -> Case {
    let now = Timestamp::now();
    let qtsp = Authority::generate("Bench", now).unwrap();
    let roles = [PspRole::PaymentInitiation, PspRole::CardBasedInstruments];
    let mut recipe = Recipe::qwac("Funds & Co", "PSDFR-ACPR-16948", &roles, now);
    recipe.key = KeyKind::Rsa(2048);
    recipe.crl_url = Some("http://crl.qtsp.example/1.crl".to_owned());
    recipe.ocsp_url = Some("http://ocsp.qtsp.example/".to_owned());
    let issued = qtsp.issue(&recipe).unwrap();
    let (issuing, root) = (qtsp.issuing_pem().unwrap(), qtsp.root_pem().unwrap());
    Case {
        der: issued.der().unwrap(),
        issuing: issued.issuer_der().unwrap(),
        listed: Anchors::from_pem(&[("issuing", &issuing)]).unwrap(),
        rooted: Anchors::from_pem(&[("root", &root)]).unwrap(),
        root,
    }
}

fn identity(criterion: &mut Criterion) {
    let case = case();
    let policy = ProfilePolicy { client_auth_eku: ClientAuthEku::Require };
    let now = Timestamp::now();
    criterion.bench_function("leaf: parse and profile", |bench| {
        bench.iter(|| {
            let leaf = Leaf::from_der(black_box(&case.der)).unwrap();
            Qwac::read(&leaf, &policy).unwrap()
        });
    });
    let leaf = Leaf::from_der(&case.der).unwrap();
    let x509 = X509::from_der(&case.der).unwrap();
    let issuing = X509::from_der(&case.issuing).unwrap();
    let root = X509::from_pem(&case.root).unwrap();
    let (by_issuing, by_root) = (issuing.public_key().unwrap(), root.public_key().unwrap());
    let mut one = criterion.benchmark_group("listed issuing CA, leaf alone");
    one.bench_function("one bare signature", |bench| {
        bench.iter(|| assert!(black_box(&x509).verify(&by_issuing).unwrap()));
    });
    one.bench_function("find_path", |bench| {
        bench.iter(|| case.listed.find_path(black_box(&leaf), &[], now).unwrap());
    });
    one.finish();
    let sent = [case.issuing.clone()];
    let mut two = criterion.benchmark_group("root, issuing CA sent");
    two.bench_function("two bare signatures", |bench| {
        bench.iter(|| {
            assert!(black_box(&x509).verify(&by_issuing).unwrap());
            assert!(black_box(&issuing).verify(&by_root).unwrap());
        });
    });
    two.bench_function("find_path", |bench| {
        bench.iter(|| case.rooted.find_path(black_box(&leaf), &sent, now).unwrap());
    });
    two.finish();
}

criterion_group!(benches, identity);
criterion_main!(benches);
