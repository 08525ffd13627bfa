//! Redis: what the gateways ask of it, by path, and how many masters bear it. All that belongs to one
//! TPP lies in one slot, so the busiest master, not the average one, decides.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;

use super::costs;
use super::question::{Question, Switch};

/// Each gateway gives so many signs of life in a second (`PRESENCE_PERIOD`, drawn from 0.8 to 1 of it).
const SIGNS_PER_SECOND: f64 = 1.0 / (0.250 * 0.9);
/// Heartbeats of each gateway with each master (`TRACKING_HEARTBEAT_PERIOD`).
const HEARTBEATS_PER_SECOND: f64 = 4.0;
/// Records that a refresh changes: the old access token, the new one, the pair.
const RECORDS_PER_REFRESH: f64 = 3.0;
/// Questions about a busy bucket in the time of one lease: a gateway takes what half of it needs.
const QUESTIONS_PER_LEASE: f64 = 2.0;
/// Fewer masters are no cluster.
const CLUSTER_MASTERS_MIN: u32 = 3;
/// More parts than this are no answer.
const PARTS_MAX: u32 = 500;
/// Ways in which TPPs fall on masters that are tried, and how many of them must fit.
const PLACEMENTS: usize = 20;
const PLACEMENTS_THAT_FIT: usize = 18;
/// Memory that is kept free beside the records: copies while it saves, fragments, buffers.
const MEMORY_FACTOR: f64 = 1.5;

/// What all gateways together ask in a second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Traffic {
    /// The share of requests whose token is in memory.
    pub warm: f64,
    /// Tokens that are asked for.
    pub cold_reads: f64,
    /// Scripts of limits.
    pub takes: f64,
    /// Scripts of the balance guard.
    pub guards: f64,
    /// Access tokens that are given anew.
    pub refreshes: f64,
    /// Signs of life.
    pub signs: f64,
    /// Heartbeats, with one master.
    pub heartbeats: f64,
    /// Changed records times gateways that are told.
    pub invalidations: f64,
}

impl Traffic {
    /// Of the whole peak, spread evenly over so many gateways.
    #[must_use]
    pub fn of(question: &Question, gateways: u32) -> Self {
        let (requests, each) = (question.requests, f64::from(gateways));
        let warm = warm(question, gateways);
        // An access token is renewed by the first request after its end.
        let used_every = question.consents() / requests;
        let refreshes = question.consents() / (question.token_life + used_every);
        Self {
            warm,
            cold_reads: requests * (1.0 - warm),
            takes: question.tpp_shares().iter().map(|share| takes(question, *share, each)).sum(),
            guards: if question.guard.is_on() { requests } else { 0.0 },
            refreshes,
            signs: each * SIGNS_PER_SECOND,
            heartbeats: each * HEARTBEATS_PER_SECOND,
            invalidations: refreshes * RECORDS_PER_REFRESH * each,
        }
    }

    /// Commands in a second, what is pushed to gateways not counted.
    #[must_use]
    pub fn commands(&self) -> f64 {
        let each = self.cold_reads + self.takes + self.guards + self.signs + self.heartbeats;
        each + 3.0 * self.refreshes
    }
}

/// Scripts of limits for one TPP.
fn takes(question: &Question, share: f64, gateways: f64) -> f64 {
    let requests = question.requests * share;
    if question.leases == Switch::Off {
        // One script for all limits of a request.
        return requests;
    }
    let banks = if question.limits_by_bank.is_on() { f64::from(question.banks) } else { 1.0 };
    let questions = gateways * banks * QUESTIONS_PER_LEASE / question.lease;
    f64::from(question.limits) * requests.min(questions)
}

/// The share of requests whose token the gateway has in memory: it is asked for again after half of
/// `store.tolerated_for`, or sooner when others have taken its place.
fn warm(question: &Question, gateways: u32) -> f64 {
    if let Some(warm) = question.warm_tokens {
        return warm;
    }
    let each = question.requests / f64::from(gateways) / question.consents();
    let kept = kept_for(question, gateways);
    each * kept / (1.0 + each * kept)
}

/// Seconds for which a token in memory is used without asking.
pub(super) fn kept_for(question: &Question, gateways: u32) -> f64 {
    let (each, consents) = (question.requests / f64::from(gateways), question.consents());
    let half = question.tolerated_for / 2.0;
    if consents <= question.tokens_in_memory {
        return half;
    }
    half.min(question.tokens_in_memory / (each * (1.0 - question.tokens_in_memory / consents)))
}

/// What Redis must be. Where it is more than one, each has its own codetabs and gateways, and all
/// figures are those of one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Masters {
    /// Redis Clusters, or Sentinel set-ups.
    pub parts: u32,
    /// What it is asked.
    pub traffic: Traffic,
    /// CPU of all main threads together, in cores, by path.
    pub cpu: Cpu,
    /// One: standalone or Sentinel is enough. None: no number of them is.
    pub masters: Option<u32>,
    /// The share of the busiest master's main thread that is used.
    pub busiest: f64,
    /// The largest share of the requests that one TPP may send before its one slot asks too much of a
    /// master.
    pub largest_tpp_max: f64,
    /// Records, in GB, once.
    pub records_gb: f64,
    /// What all masters together need, in GB; as much again for each replica.
    pub memory_gb: f64,
    /// In and out of all masters, in Mbit/s.
    pub network_mbit: f64,
    /// Gateways at which the changes of records that each is told of use a tenth of all that the
    /// masters do now.
    pub gateways_by_changes: f64,
    /// Gateways at which their signs of life use a tenth of a core.
    pub gateways_by_signs: f64,
}

/// CPU seconds in a second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Cpu {
    /// Tokens that are asked for.
    pub cold_reads: f64,
    /// Limits.
    pub takes: f64,
    /// The balance guard.
    pub guards: f64,
    /// Tokens that are given anew.
    pub refreshes: f64,
    /// Telling gateways of changes.
    pub invalidations: f64,
    /// Signs of life and heartbeats with one master.
    pub signs: f64,
}

impl Cpu {
    /// All of it.
    #[must_use]
    pub fn all(&self) -> f64 {
        self.of_tpps() + self.guards + self.signs
    }

    /// What goes with the TPPs' own records, each in its slot.
    fn of_tpps(&self) -> f64 {
        self.cold_reads + self.takes + self.refreshes + self.invalidations
    }
}

impl Masters {
    /// Of so many gateways, in as few parts as will do.
    #[must_use]
    pub fn of(question: &Question, redis: &costs::Redis, gateways: u32) -> Self {
        let most = question.banks.min(gateways).min(PARTS_MAX);
        (1..=most)
            .map(|parts| {
                let part = question.part(parts);
                Self { parts, ..Self::of_one(&part, redis, gateways.div_ceil(parts)) }
            })
            .find(|masters| masters.masters.is_some())
            .unwrap_or_else(|| Self::of_one(question, redis, gateways))
    }

    fn of_one(question: &Question, redis: &costs::Redis, gateways: u32) -> Self {
        let traffic = Traffic::of(question, gateways);
        let cpu = cpu(question, redis, &traffic, gateways);
        let records = records_bytes(question, redis) / 1e9;
        let memory_gb = records * MEMORY_FACTOR;
        let loads = loads(question, redis, &cpu, gateways);
        let by_memory = (memory_gb / question.redis_memory).ceil().max(1.0) as u32;
        let fits = |masters: u32| {
            (busiest(question, &loads, &cpu, masters) <= question.redis_utilisation)
                .then_some(masters)
        };
        let alone = (by_memory <= 1).then(|| fits(1)).flatten();
        let largest = loads.first().copied().unwrap_or_default();
        let room = (question.redis_utilisation - cpu.signs).max(0.0);
        // What one TPP alone asks for never becomes less by more masters.
        let borne = largest <= room;
        let masters = alone.or_else(|| {
            let least = by_memory.max(CLUSTER_MASTERS_MIN);
            borne.then(|| (least..=question.redis_masters).find_map(fits)).flatten()
        });
        let shown = masters.unwrap_or(by_memory.max(CLUSTER_MASTERS_MIN));
        let share = question.tpp_shares().first().copied().unwrap_or_default();
        Self {
            parts: 1,
            busiest: busiest(question, &loads, &cpu, shown),
            masters,
            largest_tpp_max: (share * room / largest).min(1.0),
            records_gb: records,
            memory_gb,
            network_mbit: network_bytes(redis, &traffic) * 8.0 / 1e6,
            gateways_by_changes: gateways_by_changes(&cpu, gateways),
            gateways_by_signs: gateways_by_signs(redis),
            traffic,
            cpu,
        }
    }
}

/// CPU seconds of a command on the main thread: its work, and the network as far as no other core takes
/// it.
fn on_main_thread(question: &Question, redis: &costs::Redis, micros: f64) -> f64 {
    let network = redis.read_us * (1.0 - redis.work_share);
    (micros - network * (1.0 - 1.0 / f64::from(question.redis_cores))).max(0.0) / 1e6
}

fn cpu(question: &Question, redis: &costs::Redis, traffic: &Traffic, gateways: u32) -> Cpu {
    let main = |micros| on_main_thread(question, redis, micros);
    let sign = redis.sign_us + f64::from(gateways.saturating_sub(1)) * redis.sign_each_us;
    Cpu {
        cold_reads: traffic.cold_reads * main(redis.read_us),
        takes: traffic.takes * main(redis.take_us),
        guards: traffic.guards * main(redis.window_us),
        refreshes: traffic.refreshes * (2.0 * main(redis.read_us) + main(redis.transact_us)),
        // It is gathered for each gateway by the main thread.
        invalidations: traffic.invalidations * redis.invalidation_us / 1e6,
        signs: traffic.signs * main(sign) + traffic.heartbeats * main(redis.read_us),
    }
}

/// CPU that each TPP's slot takes, the largest first.
fn loads(question: &Question, redis: &costs::Redis, cpu: &Cpu, gateways: u32) -> Vec<f64> {
    let take = on_main_thread(question, redis, redis.take_us);
    let even = cpu.of_tpps() - cpu.takes;
    let shares = question.tpp_shares();
    let of = |share: &f64| even * share + takes(question, *share, f64::from(gateways)) * take;
    shares.iter().map(of).collect()
}

/// The busiest of so many masters, in all but the worst tenth of the ways in which TPPs may fall on
/// them. Questions about accounts lie everywhere alike; the signs of life lie on one master, and it is
/// taken to be that one.
fn busiest(question: &Question, loads: &[f64], cpu: &Cpu, masters: u32) -> f64 {
    let placement = |number: u64| {
        let mut random = SmallRng::seed_from_u64(question.seed.wrapping_add(number));
        let mut each = vec![0.0_f64; masters as usize];
        for load in loads {
            let place = (random.random::<f64>() * f64::from(masters)) as usize;
            if let Some(master) = each.get_mut(place) {
                *master += load;
            }
        }
        each.into_iter().fold(0.0, f64::max)
    };
    let mut tried: Vec<f64> = (0..PLACEMENTS as u64).map(placement).collect();
    tried.sort_by(f64::total_cmp);
    let even = cpu.guards / f64::from(masters) + cpu.signs;
    tried.get(PLACEMENTS_THAT_FIT - 1).copied().unwrap_or(f64::INFINITY) + even
}

fn records_bytes(question: &Question, redis: &costs::Redis) -> f64 {
    let banks = if question.limits_by_bank.is_on() { f64::from(question.banks) } else { 1.0 };
    let buckets = f64::from(question.tpps) * f64::from(question.limits) * banks;
    let windows = if question.guard.is_on() { question.consents() } else { 0.0 };
    question.consents() * redis.consent_bytes
        + buckets * redis.bucket_bytes
        + windows * redis.window_bytes
}

fn network_bytes(redis: &costs::Redis, traffic: &Traffic) -> f64 {
    (traffic.takes + traffic.guards + traffic.signs) * redis.take_bytes
        + (traffic.cold_reads + 2.0 * traffic.refreshes + traffic.heartbeats) * redis.read_bytes
        + traffic.refreshes * RECORDS_PER_REFRESH * redis.token_bytes
        + traffic.invalidations * redis.invalidation_bytes
}

fn gateways_by_changes(cpu: &Cpu, gateways: u32) -> f64 {
    let others = cpu.all() - cpu.invalidations;
    f64::from(gateways) * 0.1 * others / cpu.invalidations
}

/// Each of `n` gateways gives signs of life, and each of them looks at `n`: solved for a tenth of a core.
fn gateways_by_signs(redis: &costs::Redis) -> f64 {
    let (first, each) = (redis.sign_us - redis.sign_each_us, redis.sign_each_us);
    let allowed = 0.1 * 1e6 / SIGNS_PER_SECOND;
    ((first * first + 4.0 * each * allowed).sqrt() - first) / (2.0 * each)
}
