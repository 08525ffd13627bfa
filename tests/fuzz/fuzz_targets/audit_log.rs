//! A file of the access log and a kept index, whatever stands in them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use octroi::audit::Entry;
use octroi::audit::chain::{Chain, split};
use octroi::audit::members::members;
use octroi::audit::search::{Field, Filter, Query, Sieve, is_index};

fuzz_target!(|data: &[u8]| {
    let _ = is_index(data);
    let mut chain = Chain::default();
    let mut query = Query::default();
    query.add(Filter::new(Field::Tpp, "PSDFR-ACPR-16948", false));
    query.add(Filter::new(Field::Status, "4", true));
    let mut found = 0;
    Sieve::new(&query).lines(data, |start, line, _| {
        assert!(data[start..].starts_with(line));
        found += 1;
        true
    });
    let mut expected = 0;
    for line in data.split(|byte| *byte == b'\n') {
        if let Some((content, number, hash)) = split(line) {
            assert!(content.len() < line.len());
            let mut after = Chain::after(number, hash);
            assert!(after.check(line).is_err() || number == u64::MAX);
        }
        if chain.check(line).is_err() && Entry::read(line).is_ok() {
            assert!(members(line).count() <= line.len());
        }
        expected += usize::from(query.matches(line).is_some());
    }
    // What the needle finds and what reading each line finds is the same.
    assert_eq!(found, expected);
});
