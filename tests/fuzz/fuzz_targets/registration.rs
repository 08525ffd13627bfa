//! The body of a registration, from the first octet to the record.
#![no_main]

use libfuzzer_sys::fuzz_target;
use policies::client::{Client, Registration, Setting};

fuzz_target!(|data: &[u8]| {
    let now = jiff::Timestamp::UNIX_EPOCH;
    for setting in [Setting::Production, Setting::Sandbox] {
        if let Ok(registration) = Registration::read(data, setting, now) {
            let client = registration.into_client("1".to_owned(), now, now);
            assert_eq!(Client::from_json(&client.to_json()), Ok(client));
        }
    }
});
