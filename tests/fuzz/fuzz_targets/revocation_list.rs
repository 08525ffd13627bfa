//! A revocation list, in PEM or DER.
#![no_main]

use std::sync::LazyLock;

use certs::test_qtsp::Authority;
use certs::{Anchors, Revocations};
use libfuzzer_sys::fuzz_target;

static ANCHORS: LazyLock<Anchors> = LazyLock::new(|| {
    let qtsp = Authority::generate("fuzz", jiff::Timestamp::UNIX_EPOCH).unwrap();
    Anchors::from_pem(&[("fuzz", &qtsp.issuing_pem().unwrap())]).unwrap()
});

fuzz_target!(|data: &[u8]| {
    assert!(Revocations::from_crls(&[("fuzz", data)], &ANCHORS).is_err());
});
