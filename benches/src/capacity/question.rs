//! What an owner is asked, and what is assumed where he does not say.

use std::fmt;

use clap::{Args, ValueEnum};
use serde::Serialize;

/// A load, what it is made of, and what must be survived.
#[derive(Args, Clone, Debug, PartialEq, Serialize)]
pub struct Question {
    /// Requests per second at the peak
    #[arg(long, default_value_t = 10_000.0, value_parser = positive)]
    pub requests: f64,
    /// Codetabs
    #[arg(long, default_value_t = 18, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub banks: u32,
    /// Live consents [default: 100 000 for each codetab, 100 million at most]
    #[arg(long, value_parser = positive)]
    pub consents: Option<f64>,
    /// TPPs that call
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub tpps: u32,
    /// The share of the requests that the largest TPP sends; the others follow Zipf's law
    #[arg(long, default_value_t = 0.15, value_parser = share)]
    pub largest_tpp: f64,
    /// Requests over one connection before it is closed
    #[arg(long, default_value_t = 100.0, value_parser = at_least_one)]
    pub requests_per_connection: f64,
    /// Seconds between two requests on one connection
    #[arg(long, default_value_t = 0.5, value_parser = positive)]
    pub request_interval: f64,
    /// Seconds that an adapter takes to answer
    #[arg(long, default_value_t = 0.05, value_parser = positive)]
    pub adapter: f64,
    /// The server's key
    #[arg(long, value_enum, default_value_t = ServerKey::P256)]
    pub server_key: ServerKey,
    /// The share of the requests whose token is in memory [default: follows from the consents]
    #[arg(long, value_parser = share)]
    pub warm_tokens: Option<f64>,
    /// `store.tolerated_for`, in seconds
    #[arg(long, default_value_t = 300.0, value_parser = positive)]
    pub tolerated_for: f64,
    /// Tokens that a gateway keeps in memory, of 100 000 today
    #[arg(long, default_value_t = 100_000.0, value_parser = positive)]
    pub tokens_in_memory: f64,
    /// Seconds that an access token lives before it is refreshed
    #[arg(long, default_value_t = 3_600.0, value_parser = positive)]
    pub token_life: f64,
    /// Whether limits take requests in advance
    #[arg(long, value_enum, default_value_t = Switch::On)]
    pub leases: Switch,
    /// `quota.*.lease`, in seconds
    #[arg(long, default_value_t = 1.0, value_parser = positive)]
    pub lease: f64,
    /// Limits of each API, which count TPPs apart
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=8))]
    pub limits: u32,
    /// Whether the limits count codetabs apart, too
    #[arg(long, value_enum, default_value_t = Switch::Off)]
    pub limits_by_bank: Switch,
    /// The balance guard: one more script for each funds confirmation
    #[arg(long, value_enum, default_value_t = Switch::On)]
    pub guard: Switch,
    /// Cores of a gateway machine
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=512))]
    pub cores: u32,
    /// The share of a gateway machine's CPU that may be used at the peak
    #[arg(long, default_value_t = 0.6, value_parser = share)]
    pub utilisation: f64,
    /// What may be lost at the peak
    #[arg(long, value_enum, default_value_t = Loss::Zone)]
    pub survive: Loss,
    /// The share of CPU that may be used at the peak after that loss
    #[arg(long, default_value_t = 0.9, value_parser = share)]
    pub utilisation_after_loss: f64,
    /// Seconds in which the load balancer notices a loss, and every cut connection is back
    #[arg(long, default_value_t = 5.0, value_parser = positive)]
    pub detection: f64,
    /// Seconds that anything may wait for a CPU while they come back
    #[arg(long, default_value_t = 1.0, value_parser = positive)]
    pub wait_after_loss: f64,
    /// Cores of a Redis master; those beside the first take over the network (`io-threads`)
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub redis_cores: u32,
    /// The share of a Redis master's main thread that may be used
    #[arg(long, default_value_t = 0.5, value_parser = share)]
    pub redis_utilisation: f64,
    /// Masters that one Redis Cluster may have, before the codetabs are divided among several
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub redis_masters: u32,
    /// Memory of a Redis master that may be filled, in GB
    #[arg(long, default_value_t = 24.0, value_parser = positive)]
    pub redis_memory: f64,
    /// Seconds until a replica has taken over from a lost Redis master
    #[arg(long, default_value_t = 7.0, value_parser = positive)]
    pub redis_failover: f64,
    /// The same seed draws the same numbers
    #[arg(long, default_value_t = 6)]
    pub seed: u64,
}

/// What the server signs a handshake with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ServerKey {
    /// ECDSA on P-256
    P256,
    /// RSA, 2048 bits
    Rsa2048,
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    /// It is used
    On,
    /// It is not
    Off,
}

/// What may be lost at the peak without harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Loss {
    /// Nothing
    Nothing,
    /// One machine
    Machine,
    /// One zone of three
    Zone,
}

/// Consents that a codetab has if nothing else is said.
const CONSENTS_PER_BANK: f64 = 100_000.0;
const CONSENTS_MAX: f64 = 100_000_000.0;

impl Question {
    /// The peak and the codetabs; all else as it is assumed.
    ///
    /// # Errors
    /// A default is out of its own range.
    pub fn standard(requests: f64, banks: u32) -> Result<Self, clap::Error> {
        #[derive(clap::Parser)]
        struct Defaults {
            #[command(flatten)]
            question: Question,
        }
        let defaults = <Defaults as clap::Parser>::try_parse_from(["defaults"])?;
        Ok(Self { requests, banks, ..defaults.question })
    }

    /// One of so many parts, each with its own codetabs, gateways and Redis.
    #[must_use]
    pub fn part(&self, parts: u32) -> Self {
        let of = f64::from(parts);
        Self {
            requests: self.requests / of,
            banks: self.banks.div_ceil(parts),
            consents: Some(self.consents() / of),
            ..self.clone()
        }
    }

    /// Live consents.
    #[must_use]
    pub fn consents(&self) -> f64 {
        let usual = (f64::from(self.banks) * CONSENTS_PER_BANK).min(CONSENTS_MAX);
        self.consents.unwrap_or(usual)
    }

    /// New connections in a second.
    #[must_use]
    pub fn connections_per_second(&self) -> f64 {
        self.requests / self.requests_per_connection
    }

    /// Connections that are open at the peak: those that come in the time that one lasts.
    #[must_use]
    pub fn open_connections(&self) -> f64 {
        let lasts = self.adapter + (self.requests_per_connection - 1.0) * self.request_interval;
        self.connections_per_second() * lasts
    }

    /// The share of the requests of each TPP, the largest first. They add up to one.
    #[must_use]
    pub fn tpp_shares(&self) -> Vec<f64> {
        if self.tpps == 1 {
            return vec![1.0];
        }
        let weights: Vec<f64> = (2..=self.tpps).map(|place| 1.0 / f64::from(place)).collect();
        let all: f64 = weights.iter().sum();
        let rest = 1.0 - self.largest_tpp;
        let mut shares = vec![self.largest_tpp];
        shares.extend(weights.iter().map(|weight| rest * weight / all));
        shares
    }

    /// Machines of `all` that are lost.
    #[must_use]
    pub fn lost(&self, all: u32) -> u32 {
        match self.survive {
            Loss::Nothing => 0,
            Loss::Machine => 1,
            Loss::Zone => all.div_ceil(3),
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "nothing",
            Self::Machine => "one machine",
            Self::Zone => "one zone of three",
        })
    }
}

impl Switch {
    /// Is it on?
    #[must_use]
    pub fn is_on(self) -> bool {
        self == Self::On
    }
}

fn positive(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "is no number".to_owned())?;
    let sound = number.is_finite() && number > 0.0;
    sound.then_some(number).ok_or_else(|| "must be above 0".to_owned())
}

fn at_least_one(text: &str) -> Result<f64, String> {
    let number = positive(text)?;
    (number >= 1.0).then_some(number).ok_or_else(|| "must be 1 at least".to_owned())
}

fn share(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "is no number".to_owned())?;
    let sound = (0.0..=1.0).contains(&number);
    sound.then_some(number).ok_or_else(|| "must be from 0 to 1".to_owned())
}
