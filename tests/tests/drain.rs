//! SIGTERM while clients go on asking: nobody who goes where the load balancer points loses a request.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use harness::client::get;
use harness::eventually;
use harness::gateway::{Gateway, upstream};
use harness::redis_server::RedisServer;
use harness::replicas::{BANK, number_of};
use harness::travellers::{Travellers, failed, tally};
use harness::upstream::{Manner, Upstream};

/// Two gateways over one store before one bank; the load balancer points at the first.
struct Scene {
    gateways: Vec<Gateway>,
    bank: Upstream,
    token: String,
    _redis: RedisServer,
}

fn scene(delay: &str) -> Scene {
    let redis = RedisServer::start();
    let token = redis.mint(&"d".repeat(43), "gilles");
    let bank = Upstream::start(Manner { delay: BANK, ..Manner::default() });
    let place = Gateway::sandbox().leave();
    let gateways = [place.copy(), place].into_iter().map(|place| {
        let settings = bank.settings();
        Gateway::run_in(place, |config| {
            config.insert("store".to_owned(), redis.settings().into());
            upstream(config, "17515", settings);
            config["drain"]["delay"] = delay.into();
            config["drain"]["timeout"] = "30s".into();
        })
    });
    Scene { gateways: gateways.collect(), bank, token, _redis: redis }
}

impl Scene {
    /// Ends the first gateway under the load of so many clients of each manner; how long it took.
    fn drained(&mut self, clients: usize) -> (Vec<harness::travellers::Went>, Duration) {
        let [first, second] = self.gateways.as_mut_slice() else { panic!("two gateways") };
        let way = Arc::new(Mutex::new(first.addresses.tpp));
        let material = (&*first.server_ca(), first.place().file("tpp/funds-co"));
        let load = Travellers::start(clients, material, &first.request(&self.token), &way);
        let some = |more: usize| {
            let before = load.count();
            eventually("the load goes on", || (load.count() >= before + more).then_some(()));
        };
        some(clients * 30);
        first.signal("TERM");
        let began = Instant::now();
        eventually("the load balancer notices", || {
            (get(first.addresses.admin, "/readyz").status != 200).then_some(())
        });
        *way.lock().unwrap() = second.addresses.tpp;
        assert!(first.wait().success(), "{}", first.place().log());
        let took = began.elapsed();
        some(clients * 30);
        (load.stop(), took)
    }
}

#[test]
fn nobody_who_connects_again_where_it_is_ready_loses_a_request() {
    let mut scene = scene("1s");
    let (went, _) = scene.drained(3);
    assert_eq!(failed(&went), 0, "{:?}", tally(&went));
    let mut heard: HashMap<usize, usize> = HashMap::new();
    for number in scene.bank.heard().iter().map(number_of) {
        *heard.entry(number).or_default() += 1;
    }
    assert!(heard.values().all(|times| *times == 1));
    assert_eq!(heard.len(), went.len());
}
