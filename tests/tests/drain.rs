//! SIGTERM while clients go on asking: nobody who goes where the load balancer points loses a request.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use harness::bounds::{Bounds, RUNS};
use harness::succession::{Succession, some};
use harness::travellers::{Went, failed, tally};

/// SIGTERM under the load of so many clients of each manner; how long it took.
fn drained(clients: usize, delay: &str, more: usize) -> (Succession, Vec<Went>, Duration) {
    let mut scene = Succession::start(delay);
    let load = scene.load(clients, &scene.gateways[0].server_ca());
    some(&load, more);
    let took = scene.drain_first();
    some(&load, more);
    let went = load.stop();
    (scene, went, took)
}

#[test]
fn nobody_who_connects_again_where_it_is_ready_loses_a_request() {
    let (mut scene, went, _) = drained(3, "1s", 90);
    assert!(scene.gateways[0].wait().success(), "{}", scene.gateways[0].place().log());
    assert_eq!(failed(&went), 0, "{:?}", tally(&went));
    assert_eq!(scene.at_the_bank(&went), (0, 0));
    assert_eq!(scene.in_the_log(&went), (0, 0));
}

#[test]
#[ignore = "prints figures"]
fn f22_sigterm_under_load() {
    let mut bounds = Bounds::of("F22");
    for _ in 0..RUNS {
        let (scene, went, took) = drained(6, "5s", 2_000);
        println!("F22: {} requests, {:?}", went.len(), tally(&went));
        bounds.at_most("requests that failed", 0.0, "", failed(&went) as f64);
        let (lost, doubled) = scene.in_the_log(&went);
        bounds.at_most(
            "answers without a record, records too many",
            0.0,
            "",
            (lost + doubled) as f64,
        );
        bounds.at_most("heard twice by the bank", 0.0, "", scene.at_the_bank(&went).1 as f64);
        bounds.at_most("until it is gone", 30.0, "s", took.as_secs_f64());
    }
    bounds.hold();
}
