//! What asking the register costs a request: an id that is authorised, withdrawn, or not there, among
//! those of a register of full size.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;
use std::time::Duration;

use certs::OrganisationId;
use criterion::{Criterion, criterion_group, criterion_main};
use jiff::Timestamp;
use octroi_benches::registers;
use policies::freshness::Freshness;
use policies::register::{
    Origin, Overrides, Published, Register, RegisterPolicy, Snapshot, Standing,
};

fn look_up(criterion: &mut Criterion) {
    let mut octets = Vec::new();
    registers::write(330_000, &mut octets).unwrap();
    let now = Timestamp::now();
    let mut snapshot = Snapshot::empty();
    let published = Published { file: "eba.json", reader: &mut &octets[..], as_of: now };
    snapshot.add_eba(Origin::EbaPayment, published, &mut |_| {}).unwrap();
    let day = Duration::from_secs(24 * 3600);
    let policy = RegisterPolicy::usual(Freshness { fresh_for: day, tolerated_for: day });
    let register = Register::of(&snapshot, Overrides::default(), policy).unwrap();
    let id = |text: &str| OrganisationId::new(text).unwrap();
    let first = |wanted: fn(&Standing) -> bool| {
        let mut ids: Vec<&str> = register.ids().collect();
        ids.sort_unstable();
        id(ids.into_iter().find(|text| wanted(&register.standing(&id(text), now).0)).unwrap())
    };
    let authorised = first(|standing| matches!(standing, Standing::Authorised { .. }));
    let withdrawn = first(|standing| matches!(standing, Standing::Withdrawn { .. }));
    for (name, id) in [
        ("register: authorised", authorised),
        ("register: withdrawn", withdrawn),
        ("register: not there", id("PSDIE-CBI-C999999999")),
    ] {
        criterion.bench_function(name, |bench| {
            bench.iter(|| register.standing(black_box(&id), black_box(now)));
        });
    }
}

criterion_group!(benches, look_up);
criterion_main!(benches);
