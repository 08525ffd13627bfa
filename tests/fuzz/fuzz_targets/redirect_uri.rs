//! A redirect URI as a TPP enrols it: what is taken has one spelling.
#![no_main]

use libfuzzer_sys::fuzz_target;
use policies::client::{RedirectUri, Setting};

fuzz_target!(|text: &str| {
    for setting in [Setting::Production, Setting::Sandbox] {
        if let Ok(uri) = RedirectUri::enrol(text, setting) {
            assert!(uri.matches(text) && text.starts_with(uri.origin()));
            let answer = uri.with_query(&[("code", text)]);
            assert!(answer.starts_with(text) && !answer.contains('#') && answer.is_ascii());
        }
    }
});
