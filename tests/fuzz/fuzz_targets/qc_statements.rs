//! The value of the qcStatements extension.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = certs::QcStatements::from_der(data);
});
