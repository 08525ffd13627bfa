//! REGAFI's two tables, apart at the first NUL.
#![no_main]

use libfuzzer_sys::fuzz_target;
use policies::register::{Columns, Published, Snapshot};

fuzz_target!(|data: &[u8]| {
    let mut tables = data.splitn(2, |octet| *octet == 0);
    let (mut entities, mut authorisations) =
        (tables.next().unwrap_or_default(), tables.next().unwrap_or_default());
    let as_of = jiff::Timestamp::UNIX_EPOCH;
    let mut snapshot = Snapshot::empty();
    let read = snapshot.add_regafi(
        Published { file: "e", reader: &mut entities, as_of },
        Published { file: "a", reader: &mut authorisations, as_of },
        &Columns::default(),
        &mut |_| {},
    );
    if read.is_ok() {
        for account in snapshot.sources.iter().map(|source| &source.account) {
            assert_eq!(account.read, account.used + account.not_relevant + account.rejected);
        }
    }
});
