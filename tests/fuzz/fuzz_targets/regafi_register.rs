//! REGAFI's two tables, apart at the first NUL.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use policies::freshness::Freshness;
use policies::register::{Published, Register, Sources};

fuzz_target!(|data: &[u8]| {
    let mut tables = data.splitn(2, |octet| *octet == 0);
    let mut table = || Published { file: "fuzz", bytes: tables.next().unwrap_or_default() };
    let ladder =
        Freshness { fresh_for: Duration::from_secs(1), tolerated_for: Duration::from_secs(2) };
    let sources = Sources {
        eba: None,
        regafi: Some((table(), table(), jiff::Timestamp::UNIX_EPOCH)),
        freshness: ladder,
    };
    if let Ok(register) = Register::read(&sources) {
        for (_, account) in register.accounts() {
            assert_eq!(account.read, account.accepted + account.set_aside + account.rejected);
        }
    }
});
