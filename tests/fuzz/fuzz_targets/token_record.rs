//! A token record as it stands in the store.
#![no_main]

use libfuzzer_sys::fuzz_target;
use policies::TokenRecord;

fuzz_target!(|data: &[u8]| {
    if let Ok(record) = TokenRecord::from_json(data) {
        assert_eq!(TokenRecord::from_json(&record.to_json()), Ok(record));
    }
});
