//! The EBA's register.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use policies::freshness::Freshness;
use policies::register::{Published, Register, Sources};

fuzz_target!(|data: &[u8]| {
    let ladder =
        Freshness { fresh_for: Duration::from_secs(1), tolerated_for: Duration::from_secs(2) };
    let sources = Sources {
        eba: Some((Published { file: "fuzz", bytes: data }, jiff::Timestamp::UNIX_EPOCH)),
        regafi: None,
        freshness: ladder,
    };
    if let Ok(register) = Register::read(&sources) {
        for (_, account) in register.accounts() {
            assert_eq!(account.read, account.accepted + account.set_aside + account.rejected);
        }
    }
});
