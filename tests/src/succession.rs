//! Two gateways over one store before one bank, the load balancer pointing at the first: the scene of
//! changes and departures.

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::client::get;
use crate::eventually;
use crate::gateway::{Gateway, upstream};
use crate::redis_server::RedisServer;
use crate::replicas::{BANK, number_of};
use crate::travellers::{Travellers, Went};
use crate::upstream::{Manner, Upstream};

pub struct Succession {
    pub gateways: Vec<Gateway>,
    pub bank: Upstream,
    pub token: String,
    /// Where clients connect.
    pub way: Arc<Mutex<SocketAddr>>,
    _redis: RedisServer,
}

impl Succession {
    pub fn start(delay: &str) -> Self {
        let redis = RedisServer::start();
        let token = redis.mint(&"d".repeat(43), "gilles");
        let bank = Upstream::start(Manner { delay: BANK, ..Manner::default() });
        let place = Gateway::sandbox().leave();
        let gateways = [place.copy(), place].into_iter().map(|place| {
            let settings = bank.settings();
            Gateway::run_in(place, |config| {
                let mut store = redis.settings();
                // A machine that is busy with other tests is no fault of what is tested here.
                store.insert("timeout".to_owned(), "5s".into());
                config.insert("store".to_owned(), store.into());
                upstream(config, "17515", settings);
                config["drain"]["delay"] = delay.into();
                config["drain"]["timeout"] = "30s".into();
            })
        });
        let gateways: Vec<Gateway> = gateways.collect();
        let way = Arc::new(Mutex::new(gateways[0].addresses.tpp));
        Self { gateways, bank, token, way, _redis: redis }
    }

    /// So many clients of each manner, who believe the CAs of this file.
    pub fn load(&self, clients: usize, server_ca: &Path) -> Travellers {
        let first = &self.gateways[0];
        let material = (server_ca, first.place().file("tpp/funds-co"));
        Travellers::start(clients, material, &first.request(&self.token), &self.way)
    }

    /// Ends the first gateway by SIGTERM; the load balancer points at the second as soon as the first
    /// is not ready. How long it took until the first had gone.
    pub fn drain_first(&mut self) -> Duration {
        let [first, second] = self.gateways.as_mut_slice() else { panic!("two gateways") };
        let process = first.pid();
        first.signal("TERM");
        let began = Instant::now();
        eventually("the load balancer notices", || {
            (get(first.addresses.admin, "/readyz").status != 200).then_some(())
        });
        *self.way.lock().unwrap() = second.addresses.tpp;
        eventually("the first gateway has gone", || {
            let status = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
            (status.is_empty() || status.contains(") Z")).then_some(())
        });
        began.elapsed()
    }

    /// Why requests were refused, by the log of the gateways.
    pub fn reasons(&self) -> HashMap<String, usize> {
        let mut reasons = HashMap::new();
        for record in self.gateways.iter().flat_map(|gateway| gateway.place().audit()) {
            let reason = record["event.reason"].as_str();
            if let Some(reason) = reason {
                let detail = record["message"].as_str();
                let told = format!("{reason}: {}", detail.unwrap_or_default());
                *reasons.entry(told).or_default() += 1;
            }
        }
        reasons
    }

    /// Numbers that the bank never heard of although they were answered, and those that it heard twice.
    pub fn at_the_bank(&self, went: &[Went]) -> (usize, usize) {
        let mut heard: HashMap<usize, usize> = HashMap::new();
        for number in self.bank.heard().iter().map(number_of) {
            *heard.entry(number).or_default() += 1;
        }
        let answered = went.iter().filter(|went| went.answer.is_ok());
        let lost = answered.filter(|went| !heard.contains_key(&went.number)).count();
        (lost, heard.values().filter(|times| **times > 1).count())
    }

    /// Answers without a record, and records that are there twice or that nobody was answered by. The
    /// last of them may be written a moment later.
    pub fn in_the_log(&self, went: &[Went]) -> (usize, usize) {
        let ids = went.iter().filter_map(|went| Some(went.answer.as_ref().ok()?.1.as_str()));
        let ids: Vec<&str> = ids.collect();
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            let mut records: HashMap<String, usize> = HashMap::new();
            for record in self.gateways.iter().flat_map(|gateway| gateway.place().audit()) {
                let id = record["http.request.id"].as_str().unwrap_or_default().to_owned();
                *records.entry(id).or_default() += 1;
            }
            let lost = ids.iter().filter(|id| !records.contains_key(**id)).count();
            let doubled = records.values().filter(|times| **times > 1).count();
            let strangers = records.len().saturating_sub(ids.len() - lost);
            if lost == 0 || Instant::now() > deadline {
                return (lost, doubled + strangers);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Waits until so many more were answered.
pub fn some(load: &Travellers, more: usize) {
    let before = load.count();
    eventually("the load goes on", || (load.count() >= before + more).then_some(()));
}
