//! The quarter as it is published: every figure of every day, bank, API, version and service, with the
//! evidence of each downtime. This is the content of the JSON file.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use policies::statistics::{Service, Tally};
use schemars::JsonSchema;
use serde::Serialize;

/// The version of the JSON file.
pub(super) const FORMAT: u32 = 1;

/// A quarter.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Report {
    /// The version of this format: 1.
    pub format: u32,
    /// `2026-Q4`.
    pub quarter: String,
    /// Whose midnights.
    pub time_zone: String,
    /// The first instant of the quarter.
    pub begins: Timestamp,
    /// The first instant of the next quarter.
    pub ends: Timestamp,
    /// Days that were over at this instant are in it.
    pub as_of: Timestamp,
    /// Every day of the quarter was over.
    pub complete: bool,
    /// Test traffic, not the bank's: not to be published.
    pub sandbox: bool,
    /// The gateway's own probes count as evidence of downtime.
    pub probe_counts: bool,
    /// All banks together.
    pub group: Group,
    /// Each bank.
    pub banks: Vec<Bank>,
    /// Days of which a log has not all files: what they would tell is in no figure.
    pub unmeasured: Vec<Unmeasured>,
    /// What the figures were made of.
    pub sources: Vec<SourceDay>,
}

/// All banks together. Requests are added up; uptime is the mean of the banks, weighed by time.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Group {
    /// The quarter.
    pub total: Figures,
    /// Each day.
    pub days: Vec<DayFigures>,
    /// Each API, version and service.
    pub apis: Vec<ApiFigures>,
}

/// One bank.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Bank {
    /// Five digits.
    pub codetab: String,
    /// Its short name, where a configuration tells it.
    pub name: Option<String>,
    /// The quarter.
    pub total: Figures,
    /// Each day.
    pub days: Vec<DayFigures>,
    /// Each API, version and service.
    pub apis: Vec<ApiFigures>,
    /// Each downtime that touches the quarter, in order.
    pub downtimes: Vec<DowntimeFigures>,
    /// The customer interfaces, where a file tells them.
    pub customer: Vec<Customer>,
}

/// An API, version and service.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ApiFigures {
    /// The API.
    pub api: String,
    /// Its version.
    pub version: String,
    /// `PIS`, `AIS`, `CBPII` or `other`.
    pub service: String,
    /// The quarter.
    pub total: Figures,
    /// Each day.
    pub days: Vec<DayFigures>,
}

/// A day.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct DayFigures {
    /// Which.
    pub date: Date,
    /// Its figures.
    #[serde(flatten)]
    pub figures: Figures,
}

/// What is published. `null` stands for what could not be measured: there was no request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Figures {
    /// Requests received: answered, failed and unanswered.
    pub requests: u64,
    /// Answered, and not with an error of the bank's.
    pub answered: u64,
    /// Answered with an error of the bank's (5xx other than 504).
    pub failed: u64,
    /// Not replied to: 504, broken off, waited for in vain, cut off by a crash.
    pub unanswered: u64,
    /// Turned back for the caller's own fault; not among the requests.
    pub refused: u64,
    /// Given up by the caller before an answer could be expected; not among the requests.
    pub abandoned: u64,
    /// Failed and unanswered in percent of requests (EBA/GL/2018/07, 2.3(d)).
    pub error_rate_pct: Option<f64>,
    /// 100 less the downtime (2.2(a), 2.4).
    pub uptime_pct: Option<f64>,
    /// Time down in percent of the time (2.2(b), 2.4).
    pub downtime_pct: Option<f64>,
    /// Seconds down; of a group, the mean of its banks.
    pub downtime_s: Option<f64>,
    /// Mean milliseconds to the last byte, payment initiation (2.3(a)).
    pub avg_ms_pisp: Option<f64>,
    /// The same for account information (2.3(b)).
    pub avg_ms_aisp: Option<f64>,
    /// The same for confirmation of funds (2.3(c)).
    pub avg_ms_cof: Option<f64>,
    /// The gateway's own probes.
    pub probes: u64,
    /// Those of them that failed.
    pub probes_failed: u64,
    /// Calls that went to the fallback (RTS art. 33); not among the requests.
    pub fallback: u64,
}

impl Figures {
    /// As the figures of customers are told: nothing, not 0, where nothing was measured.
    pub(super) fn told(&self) -> CustomerFigures {
        let count = |count: u64| (self.requests > 0).then_some(count);
        CustomerFigures {
            uptime_pct: self.uptime_pct,
            downtime_pct: self.downtime_pct,
            downtime_s: self.downtime_s,
            avg_ms_pisp: self.avg_ms_pisp,
            avg_ms_aisp: self.avg_ms_aisp,
            avg_ms_cof: self.avg_ms_cof,
            requests: count(self.requests),
            errors: count(self.failed + self.unanswered),
            error_rate_pct: self.error_rate_pct,
        }
    }
}

/// One downtime and what proves it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct DowntimeFigures {
    /// The receipt of the first of the five.
    pub from: Timestamp,
    /// When the next successful reply was given; null while it is open.
    pub until: Option<Timestamp>,
    /// Seconds of it that lie in the quarter.
    pub seconds: f64,
    /// The five that were not replied to.
    pub unanswered: Vec<Proof>,
    /// The request whose reply ended it.
    pub ended_by: Option<Proof>,
}

/// A record that proves it: `octroi audit show REQUEST-ID`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Proof {
    /// Null for a probe, and where the log is gone.
    pub request_id: Option<String>,
    /// The file of the log that holds it; null where the log is gone.
    pub file: Option<String>,
}

/// A customer interface beside it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Customer {
    /// `web`, `mobile`, …
    pub channel: String,
    /// The quarter.
    pub total: CustomerFigures,
    /// Each day that the file tells.
    pub days: Vec<CustomerDay>,
}

/// A day of a customer interface.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct CustomerDay {
    /// Which.
    pub date: Date,
    /// Its figures.
    #[serde(flatten)]
    pub figures: CustomerFigures,
}

/// The figures of an interface in CSV, that of customers and ours, by the names of their columns.
pub(super) const COLUMNS: [&str; 9] = [
    "uptime_pct",
    "downtime_pct",
    "downtime_s",
    "avg_ms_pisp",
    "avg_ms_aisp",
    "avg_ms_cof",
    "requests",
    "errors",
    "error_rate_pct",
];

/// As the file tells them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct CustomerFigures {
    /// 100 less the downtime.
    pub uptime_pct: Option<f64>,
    /// In percent.
    pub downtime_pct: Option<f64>,
    /// Seconds.
    pub downtime_s: Option<f64>,
    /// Payments.
    pub avg_ms_pisp: Option<f64>,
    /// Accounts.
    pub avg_ms_aisp: Option<f64>,
    /// Whether funds are there.
    pub avg_ms_cof: Option<f64>,
    /// How many.
    pub requests: Option<u64>,
    /// How many of them failed.
    pub errors: Option<u64>,
    /// In percent.
    pub error_rate_pct: Option<f64>,
}

/// A day of which not every log has all files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Unmeasured {
    /// Which.
    pub date: Date,
    /// How many logs have not all files of it: their gateways did not run all day, or files are gone.
    pub without: usize,
    /// Of how many.
    pub logs: usize,
}

/// What a day of a gateway was counted from.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SourceDay {
    /// The day.
    pub date: Date,
    /// As the log names it.
    pub gateway: String,
    /// The files of its log.
    pub files: Vec<SourceFile>,
}

/// A file of a log.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SourceFile {
    /// Its name.
    pub name: String,
    /// The number of its last line.
    pub sequence: u64,
    /// The hash of that line.
    pub hash: String,
    /// Lines that could not be read.
    pub unreadable: u64,
}

/// What figures are made of, before they are rounded.
#[derive(Clone, Debug, Default)]
pub(super) struct Sum {
    pub(super) services: BTreeMap<Service, Tally>,
    /// Milliseconds down and in all, of what was measured.
    pub(super) down: Option<(i64, i64)>,
    /// Of how many interfaces `down` is the sum.
    pub(super) interfaces: i64,
    pub(super) probes: (u64, u64),
    pub(super) fallback: u64,
}

impl Sum {
    pub(super) fn note(&mut self, service: Service, tally: &Tally) {
        self.services.entry(service).or_default().add(tally);
    }

    pub(super) fn tally(&self) -> Tally {
        let mut all = Tally::default();
        self.services.values().for_each(|tally| all.add(tally));
        all
    }

    /// Adds another day of the same interface.
    pub(super) fn follow(&mut self, other: &Self) {
        self.add(other);
        self.interfaces = self.interfaces.max(other.interfaces);
    }

    /// Adds the same time of another interface.
    pub(super) fn join(&mut self, other: &Self) {
        let interfaces = self.interfaces + other.interfaces;
        self.add(other);
        self.interfaces = interfaces;
    }

    fn add(&mut self, other: &Self) {
        for (service, tally) in &other.services {
            self.note(*service, tally);
        }
        if let Some((down, all)) = other.down {
            let before = self.down.unwrap_or_default();
            self.down = Some((before.0 + down, before.1 + all));
        }
        self.probes = (self.probes.0 + other.probes.0, self.probes.1 + other.probes.1);
        self.fallback += other.fallback;
    }

    pub(super) fn figures(&self) -> Figures {
        let tally = self.tally();
        let mean = |service| {
            let tally = self.services.get(&service)?;
            tally.mean_ms().map(|mean| rounded(mean, 1))
        };
        let down = self.down.filter(|(_, all)| *all > 0);
        let down_pct = down.map(|(down, all)| rounded(down as f64 * 100.0 / all as f64, 4));
        let interfaces = self.interfaces.max(1) as f64;
        Figures {
            requests: tally.requests(),
            answered: tally.answered,
            failed: tally.failed,
            unanswered: tally.silent,
            refused: tally.refused,
            abandoned: tally.abandoned,
            error_rate_pct: tally.error_rate().map(|rate| rounded(rate * 100.0, 4)),
            uptime_pct: down_pct.map(|down| rounded(100.0 - down, 4)),
            downtime_pct: down_pct,
            downtime_s: down.map(|(down, _)| rounded(down as f64 / 1000.0 / interfaces, 3)),
            avg_ms_pisp: mean(Service::Pis),
            avg_ms_aisp: mean(Service::Ais),
            avg_ms_cof: mean(Service::Cbpii),
            probes: self.probes.0,
            probes_failed: self.probes.1,
            fallback: self.fallback,
        }
    }
}

/// Half away from zero, so many digits after the point: what is published is what is compared.
pub(super) fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}
