//! A client record as it stands in the store.
#![no_main]

use libfuzzer_sys::fuzz_target;
use policies::client::Client;

fuzz_target!(|data: &[u8]| {
    if let Ok(client) = Client::from_json(data) {
        let _ = client.to_registration_response();
        assert_eq!(Client::from_json(&client.to_json()), Ok(client));
    }
});
