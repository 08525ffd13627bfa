//! The EBA's registers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use policies::register::{Origin, Published, Snapshot};

fuzz_target!(|data: &[u8]| {
    for origin in [Origin::EbaPayment, Origin::EbaCredit] {
        let as_of = jiff::Timestamp::UNIX_EPOCH;
        let published = Published { file: "fuzz", reader: &mut &data[..], as_of };
        let mut snapshot = Snapshot::empty();
        let mut told = 0;
        if snapshot.add_eba(origin, published, &mut |_| told += 1).is_ok() {
            let account = &snapshot.sources[0].account;
            assert_eq!(account.read, account.used + account.not_relevant + account.rejected);
            assert_eq!(account.rejected, told);
            let octets = serde_json::to_vec(&snapshot).unwrap();
            let again: Snapshot = serde_json::from_slice(&octets).unwrap();
            assert_eq!(again.records, snapshot.records);
            let _ = snapshot.findings();
        }
    }
});
