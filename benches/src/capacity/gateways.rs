//! Gateways: the smallest number that carries the peak, and what is left of it when some are lost.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;

use super::costs::Costs;
use super::question::{Question, ServerKey};
use super::queue::{Waits, Work};
use super::redis::Traffic;

/// Memory of a token that a gateway keeps (`TOKEN_CACHE_ENTRIES_MAX` in `gateway/src/store/limits.rs`).
const TOKEN_BYTES: f64 = 512.0;
/// More gateways than this are no answer: the signs of life that they give each other and the changes
/// that each is told of have long become the load.
const MACHINES_MAX: u32 = 20_000;
/// One step of the crowd that comes back, in seconds.
const STEP: f64 = 0.01;
/// Cut connections that are drawn one by one; each stands for as many as there are.
const DRAWN: u32 = 20_000;

/// The gateways of a peak.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fleet {
    /// All of them, what may be lost included.
    pub machines: u32,
    /// Those that the peak alone needs.
    pub machines_without_loss: u32,
    /// The share of the CPU that is used at the peak.
    pub utilisation: f64,
    /// What of it goes into handshakes.
    pub handshake_share: f64,
    /// Requests whose token is in memory.
    pub warm_tokens: f64,
    /// How long work waits for a core at the peak.
    pub waits: Waits,
    /// Memory of one gateway, in GB.
    pub memory_gb: f64,
    /// Connections that are open on one gateway; `limits.connections_max` must be higher, those that
    /// come back after a loss included.
    pub connections: f64,
    /// Access log of one gateway, in MB in a second at the peak.
    pub audit_mb_per_second: f64,
    /// After the loss that is to be survived; none where nothing is to be.
    pub after_loss: Option<AfterLoss>,
}

/// What a loss does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct AfterLoss {
    /// Machines that are lost.
    pub lost: u32,
    /// The share of the CPU that is used when all connections are back.
    pub utilisation: f64,
    /// How long work waits for a core then.
    pub waits: Waits,
    /// Requests that are cut: those that were being served.
    pub requests_cut: f64,
    /// The crowd that comes back.
    pub storm: Storm,
}

/// Every cut connection dials again and shakes hands in full.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Storm {
    /// Handshakes.
    pub handshakes: f64,
    /// Handshakes in the busiest second, of all surviving gateways together.
    pub busiest_second: f64,
    /// Seconds that work waits for a core at the worst moment.
    pub worst_wait: f64,
    /// Seconds until nothing waits any more.
    pub over_after: f64,
}

/// CPU seconds that are needed in a second, of all gateways together.
#[derive(Clone, Copy, Debug)]
struct Load {
    requests: f64,
    handshakes: f64,
}

impl Load {
    /// Of the whole peak on so many gateways. More gateways find fewer tokens in memory, and each is
    /// told of every change.
    fn of(question: &Question, costs: &Costs, gateways: u32) -> Self {
        let gateway = &costs.gateway;
        let traffic = Traffic::of(question, gateways);
        let scripts = traffic.takes + traffic.guards;
        let micros = question.requests * gateway.request_us
            + scripts * gateway.script_us()
            + traffic.cold_reads * gateway.cold_token_us()
            // A refresh is a request of its own that reads twice and writes once.
            + traffic.refreshes * (gateway.request_us + 3.0 * gateway.cold_token_us())
            + traffic.invalidations * gateway.invalidation_us;
        let handshakes = question.connections_per_second() * handshake_us(question, costs);
        Self { requests: micros / 1e6, handshakes: handshakes / 1e6 }
    }

    fn cores(self) -> f64 {
        self.requests + self.handshakes
    }
}

impl Fleet {
    /// The smallest fleet that carries the peak within the utilisation asked for, and without what may
    /// be lost within the one after a loss, while everybody who was cut comes back.
    #[must_use]
    pub fn for_peak(question: &Question, costs: &Costs) -> Option<Self> {
        let load = |machines| Load::of(question, costs, machines);
        let used = |load: Load, machines: u32| {
            load.cores() / (f64::from(machines) * f64::from(question.cores))
        };
        // What does not grow with the number of gateways sets where the search begins.
        let least = load(1).handshakes + question.requests * costs.gateway.request_us / 1e6;
        let least = least / question.utilisation / f64::from(question.cores);
        let begin = (least.ceil() as u32).max(1);
        let carries = |machines: &u32| used(load(*machines), *machines) <= question.utilisation;
        let without_loss = (begin..=MACHINES_MAX).find(carries)?;
        let machines = (without_loss..=MACHINES_MAX).find(|machines| {
            let left = machines.saturating_sub(question.lost(*machines));
            carries(machines)
                && left > 0
                && used(load(left), left) <= question.utilisation_after_loss
                && (left == *machines
                    || Storm::over(question, costs, *machines).worst_wait
                        <= question.wait_after_loss)
        })?;
        Some(Self::of(question, costs, machines, without_loss))
    }

    fn of(question: &Question, costs: &Costs, machines: u32, without_loss: u32) -> Self {
        let load = Load::of(question, costs, machines);
        let each = f64::from(machines);
        let cores = each * f64::from(question.cores);
        let lost = question.lost(machines);
        let connections = question.open_connections() / each;
        let gateway = &costs.gateway;
        let memory = gateway.process_bytes
            + (f64::from(question.banks) - 18.0).max(0.0) * gateway.codetab_bytes
            + connections * gateway.connection_bytes
            + question.tokens_in_memory.min(question.consents()) * TOKEN_BYTES;
        Self {
            machines,
            machines_without_loss: without_loss,
            utilisation: load.cores() / cores,
            handshake_share: load.handshakes / load.cores(),
            warm_tokens: Traffic::of(question, machines).warm,
            waits: work(question, costs, load, load.cores() / cores).waits(question.seed),
            memory_gb: memory / 1e9,
            connections,
            audit_mb_per_second: question.requests * gateway.audit_bytes / each / 1e6,
            after_loss: (lost > 0).then(|| {
                let left = machines - lost;
                let load = Load::of(question, costs, left);
                let utilisation = load.cores() / f64::from(left) / f64::from(question.cores);
                AfterLoss {
                    lost,
                    utilisation,
                    waits: work(question, costs, load, utilisation).waits(question.seed),
                    requests_cut: question.requests * question.adapter * f64::from(lost) / each,
                    storm: Storm::over(question, costs, machines),
                }
            }),
        }
    }
}

impl Storm {
    /// Lets every cut connection come back, half of them in the first quarter of the time in which the
    /// load balancer notices, beside the peak, and counts the work that waits.
    #[must_use]
    pub fn over(question: &Question, costs: &Costs, machines: u32) -> Self {
        let lost = question.lost(machines);
        let left = machines.saturating_sub(lost);
        let cut = question.open_connections() * f64::from(lost) / f64::from(machines);
        let capacity = f64::from(left) * f64::from(question.cores) * STEP;
        let peak = Load::of(question, costs, left.max(1)).cores() * STEP;
        let each = cut / f64::from(DRAWN);
        let mut random = SmallRng::seed_from_u64(question.seed);
        let steps = (question.detection / STEP).ceil() as usize;
        let mut arrivals = vec![0.0; steps.max(1)];
        for _ in 0..DRAWN {
            let at = question.detection * random.random::<f64>().powi(2);
            if let Some(step) = arrivals.get_mut((at / STEP) as usize) {
                *step += each;
            }
        }
        let mut storm =
            Self { handshakes: cut, busiest_second: 0.0, worst_wait: 0.0, over_after: 0.0 };
        let second = (1.0 / STEP) as usize;
        for span in arrivals.chunks(second) {
            storm.busiest_second = storm.busiest_second.max(span.iter().sum());
        }
        let (mut waiting, mut time) = (0.0_f64, 0.0);
        let mut arrivals = arrivals.into_iter();
        let endless = question.detection + 600.0;
        loop {
            let came = arrivals.next();
            let work = came.unwrap_or_default() * handshake_us(question, costs) / 1e6;
            waiting = (waiting + peak + work - capacity).max(0.0);
            time += STEP;
            storm.worst_wait = storm.worst_wait.max(waiting * STEP / capacity);
            if waiting > 0.0 || came.is_some() {
                storm.over_after = time;
            }
            if came.is_none() && waiting <= 0.0 {
                return storm;
            }
            if time > endless {
                return Self { over_after: f64::INFINITY, worst_wait: f64::INFINITY, ..storm };
            }
        }
    }
}

fn work(question: &Question, costs: &Costs, load: Load, utilisation: f64) -> Work {
    let handshakes = question.connections_per_second();
    Work {
        cores: question.cores,
        utilisation,
        // What goes with requests is spread over them.
        request_us: load.requests * 1e6 / question.requests,
        handshake_us: handshake_us(question, costs),
        handshake_share: handshakes / (handshakes + question.requests),
    }
}

fn handshake_us(question: &Question, costs: &Costs) -> f64 {
    match question.server_key {
        ServerKey::P256 => costs.gateway.handshake_p256_us,
        ServerKey::Rsa2048 => costs.gateway.handshake_rsa2048_us,
    }
}
