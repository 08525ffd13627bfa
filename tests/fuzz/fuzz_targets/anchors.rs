//! A PEM file of anchors.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(anchors) = certs::Anchors::from_pem(&[("fuzz", data)]) {
        assert!(!anchors.is_empty());
    }
});
