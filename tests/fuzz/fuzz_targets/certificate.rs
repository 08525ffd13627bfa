//! A client certificate and what was sent beside it, from the first octet to the judgement.
#![no_main]

use std::sync::LazyLock;

use certs::test_qtsp::Authority;
use certs::{Anchors, ClientAuthEku, Identity, Leaf, ProfilePolicy};
use libfuzzer_sys::fuzz_target;

static ANCHORS: LazyLock<Anchors> = LazyLock::new(|| {
    let qtsp = Authority::generate("fuzz", jiff::Timestamp::UNIX_EPOCH).unwrap();
    Anchors::from_pem(&[("fuzz", &qtsp.issuing_pem().unwrap())]).unwrap()
});

fuzz_target!(|data: &[u8]| {
    let policy = ProfilePolicy { client_auth_eku: ClientAuthEku::Require };
    let now = jiff::Timestamp::UNIX_EPOCH;
    let sent = [data.to_vec(), data.get(1..).unwrap_or_default().to_vec()];
    let identity = Identity::establish(data, &sent, &ANCHORS, &policy, now);
    assert!(identity.trust().is_err(), "the fuzzer has no key of the anchor");
    let _ = Leaf::from_pem(data);
});
