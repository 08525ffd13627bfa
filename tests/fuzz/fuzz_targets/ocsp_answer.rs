//! An OCSP response: whatever a responder sends, it is no answer without the issuer's signature.
#![no_main]

use std::sync::LazyLock;

use certs::test_qtsp::responder::{Reply, Said, SignedBy};
use certs::test_qtsp::{Authority, Recipe};
use certs::{Leaf, OcspAnswer};
use libfuzzer_sys::fuzz_target;

struct Case {
    leaf: Leaf,
    issuer: Leaf,
    good: Vec<u8>,
}

static CASE: LazyLock<Case> = LazyLock::new(|| {
    let now = jiff::Timestamp::UNIX_EPOCH;
    let qtsp = Authority::generate("fuzz", now).unwrap();
    let issued = qtsp.issue(&Recipe::qwac("F", "PSDFR-ACPR-1", &[], now)).unwrap();
    let reply =
        Reply { said: Said::Good, this_update: now, next_update: None, signed_by: SignedBy::Issuer };
    Case {
        leaf: Leaf::from_der(&issued.der().unwrap()).unwrap(),
        issuer: Leaf::from_der(&issued.issuer_der().unwrap()).unwrap(),
        good: qtsp.ocsp(&issued.serial().unwrap(), &reply).unwrap(),
    }
});

fuzz_target!(|data: &[u8]| {
    let now = jiff::Timestamp::UNIX_EPOCH;
    assert!(OcspAnswer::read(data, &CASE.leaf, &CASE.issuer, now).is_err());
    // Bent at one place that the data name, the good answer says nothing else.
    if let [high, low, bit, ..] = data {
        let at = usize::from(u16::from_be_bytes([*high, *low]));
        let mut bent = CASE.good.clone();
        if let Some(octet) = bent.get_mut(at) {
            *octet ^= bit;
            let read = OcspAnswer::read(&bent, &CASE.leaf, &CASE.issuer, now);
            if let (Ok(read), true) = (read, *bit != 0) {
                let good = OcspAnswer::read(&CASE.good, &CASE.leaf, &CASE.issuer, now);
                assert_eq!(Ok(read), good, "octet {at}");
            }
        }
    }
});
