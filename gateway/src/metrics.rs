//! Every series of the program, in one place; labels come from closed sets only.
//!
//! Codetab, API and version come from the configuration, the rest from enums, so that no caller can
//! add a series (`facts`: a cardinality bomb is an outage of the monitoring).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, OnceLock, PoisonError};

use policies::probing::{Action, Sign, Suspicion};
use policies::{Reason, Routes};
use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts,
    Registry, TextEncoder,
};

use crate::audit::Outcome;

/// Semantic-convention buckets, in seconds, extended downwards for a gateway's own share.
const BUCKETS: [f64; 16] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0,
    10.0,
];

/// The label for a host or path that names nothing of ours.
const NONE: &str = "none";

/// Why no connection came of an accepted socket. The names are metric labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeFault {
    /// The client sent no certificate.
    CertificateMissing,
    /// It did not finish in time.
    Timeout,
    /// Anything else: a scanner, a client that does not trust our certificate, an old version.
    Failed,
}

impl HandshakeFault {
    /// Every fault, for metrics.
    pub const ALL: [Self; 3] = [Self::CertificateMissing, Self::Timeout, Self::Failed];

    /// The metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::CertificateMissing => "certificate_missing",
            Self::Timeout => "timeout",
            Self::Failed => "failed",
        }
    }
}

/// All series.
pub struct Metrics {
    registry: Registry,
    rooms: Mutex<BTreeMap<&'static str, Registry>>,
    requests: IntCounterVec,
    duration: Vec<Histogram>,
    handshakes_ok: IntCounter,
    handshakes_failed: Vec<IntCounter>,
    /// TPP connections open now.
    pub connections: IntGauge,
    /// Requests being judged or served now.
    pub requests_in_flight: IntGauge,
    /// Connections closed by a bound, by which one.
    pub connections_closed: IntCounterVec,
    /// Requests that a limit refused, by its name.
    pub quota_refused: IntCounterVec,
    /// Records waiting for the disk.
    pub audit_outstanding: IntGauge,
    /// 1 while the audit log cannot be written.
    pub audit_failing: IntGauge,
    /// 1 while the gateway accepts work.
    pub ready: IntGauge,
    balance_probing: IntCounterVec,
    /// Questions that were judged without those before them.
    pub balance_guard_blind: IntCounter,
    /// 1 while Redis is left alone after failures.
    pub store_circuit_open: IntGauge,
    /// 1 while Redis tells of every token that changes.
    pub store_tracking: IntGauge,
    /// Answers out of memory while Redis was away.
    pub store_tokens_tolerated: IntGauge,
    /// 0 fresh, 1 tolerated, 2 expired.
    pub register_step: IntGauge,
    /// 1 per healthy upstream address, by codetab: how many there are.
    pub upstream_healthy: prometheus::IntGaugeVec,
    /// 1 per upstream address that is left alone after failures, by codetab: how many there are.
    pub upstream_circuit_open: prometheus::IntGaugeVec,
}

/// `octroi_requests_total` and how long they took, with each child looked up once and then only counted: no hash, no lock,
/// no label formatting on the path of a request. Its cells stand in the order of the routes.
pub struct RequestSeries {
    family: IntCounterVec,
    codetabs: Vec<String>,
    versions: Vec<(String, String)>,
    cells: Box<[OnceLock<IntCounter>]>,
    duration: Vec<Histogram>,
}

impl RequestSeries {
    const OUTCOMES: usize = Outcome::ALL.len();
    const REASONS: usize = Reason::COUNT + 1;

    fn new(family: IntCounterVec, duration: Vec<Histogram>, routes: &Routes) -> Self {
        let mut codetabs: Vec<String> =
            routes.codetabs().map(|codetab| codetab.code.to_string()).collect();
        codetabs.push(NONE.to_owned());
        let mut versions: Vec<(String, String)> = routes
            .versions()
            .map(|(api, version)| (api.name.to_string(), version.name.to_string()))
            .collect();
        versions.push((NONE.to_owned(), NONE.to_owned()));
        let size = codetabs.len() * versions.len() * Self::OUTCOMES * Self::REASONS;
        let cells = std::iter::repeat_with(OnceLock::new).take(size).collect();
        Self { family, codetabs, versions, cells, duration }
    }

    /// Counts one finished request. `codetab` and `version` are indices into the routes.
    pub fn count(
        &self,
        (codetab, version): (Option<usize>, Option<usize>),
        outcome: Outcome,
        reason: Option<Reason>,
        seconds: f64,
    ) {
        if let Some(histogram) = self.duration.get(outcome as usize) {
            histogram.observe(seconds);
        }
        let codetab = codetab.unwrap_or(self.codetabs.len() - 1);
        let version = version.unwrap_or(self.versions.len() - 1);
        let reason_index = reason.map_or(Reason::COUNT, Reason::index);
        let cell = ((codetab * self.versions.len() + version) * Self::OUTCOMES + outcome as usize)
            * Self::REASONS
            + reason_index;
        let (Some(cell), Some(codetab), Some((api, version))) =
            (self.cells.get(cell), self.codetabs.get(codetab), self.versions.get(version))
        else {
            return;
        };
        cell.get_or_init(|| {
            let reason = reason.map_or("", Reason::code);
            self.family.with_label_values(&[
                codetab.as_str(),
                api,
                version,
                outcome.label(),
                reason,
            ])
        })
        .inc();
    }

    /// Drops the series of codetabs and versions that `newer` does not have: what is gone counts no
    /// more, and names that come and go with reloads do not pile up.
    pub fn give_way_to(&self, newer: &Self) {
        let codetabs: BTreeSet<&String> = newer.codetabs.iter().collect();
        let versions: BTreeSet<&(String, String)> = newer.versions.iter().collect();
        for (index, _) in self.cells.iter().enumerate().filter(|(_, cell)| cell.get().is_some()) {
            let (rest, reason) = (index / Self::REASONS, index % Self::REASONS);
            let (rest, outcome) = (rest / Self::OUTCOMES, rest % Self::OUTCOMES);
            let (codetab, version) = (rest / self.versions.len(), rest % self.versions.len());
            let (Some(codetab), Some(named), Some(outcome)) =
                (self.codetabs.get(codetab), self.versions.get(version), Outcome::ALL.get(outcome))
            else {
                continue;
            };
            if codetabs.contains(codetab) && versions.contains(named) {
                continue;
            }
            let reason = Reason::ALL.get(reason).map_or("", |reason| reason.code());
            let (api, version) = (named.0.as_str(), named.1.as_str());
            let labels = [codetab.as_str(), api, version, outcome.label(), reason];
            let _ = self.family.remove_label_values(&labels);
        }
    }
}

impl Metrics {
    /// Registers every series.
    ///
    /// # Errors
    /// Prometheus' own, for a name registered twice: a fault of this file.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let requests = IntCounterVec::new(
            Opts::new("octroi_requests_total", "Requests, by what became of them"),
            &["codetab", "api", "version", "outcome", "reason"],
        )?;
        let duration = HistogramVec::new(
            HistogramOpts::new(
                "octroi_request_duration_seconds",
                "From the request head to the last byte of the answer",
            )
            .buckets(BUCKETS.to_vec()),
            &["outcome"],
        )?;
        let handshakes = IntCounterVec::new(
            Opts::new("octroi_tls_handshakes_total", "TLS handshakes of the TPP listener"),
            &["outcome"],
        )?;
        let gauge = |name: &str, help: &str| IntGauge::new(name, help);
        let metrics = Self {
            rooms: Mutex::default(),
            requests: requests.clone(),
            duration: Outcome::ALL
                .iter()
                .map(|outcome| duration.with_label_values(&[outcome.label()]))
                .collect(),
            handshakes_ok: handshakes.with_label_values(&["ok"]),
            handshakes_failed: HandshakeFault::ALL
                .iter()
                .map(|fault| handshakes.with_label_values(&[fault.label()]))
                .collect(),
            connections: gauge("octroi_connections", "TPP connections open now")?,
            requests_in_flight: gauge(
                "octroi_requests_in_flight",
                "Requests being judged or served now",
            )?,
            connections_closed: IntCounterVec::new(
                Opts::new(
                    "octroi_connections_closed_total",
                    "TPP connections closed by a bound of ours",
                ),
                &["cause"],
            )?,
            quota_refused: IntCounterVec::new(
                Opts::new("octroi_quota_refused_total", "Requests that a limit refused"),
                &["quota"],
            )?,
            balance_probing: IntCounterVec::new(
                Opts::new(
                    "octroi_balance_probing_total",
                    "Questions that look like a search for a balance, by what the rule asks for",
                ),
                &["sign", "action"],
            )?,
            balance_guard_blind: IntCounter::new(
                "octroi_balance_guard_blind_total",
                "Questions whose history could not be read",
            )?,
            audit_outstanding: gauge(
                "octroi_audit_outstanding_records",
                "Audit records not yet on disk",
            )?,
            audit_failing: gauge(
                "octroi_audit_failing",
                "1 while the audit log cannot be written",
            )?,
            ready: gauge("octroi_ready", "1 while the gateway accepts work")?,
            store_circuit_open: gauge(
                "octroi_store_circuit_open",
                "1 while Redis is left alone after failures",
            )?,
            store_tracking: gauge(
                "octroi_store_tracking",
                "1 while Redis tells of every token that changes",
            )?,
            store_tokens_tolerated: gauge(
                "octroi_store_tokens_tolerated",
                "Tokens that were served from memory because Redis was away",
            )?,
            register_step: gauge(
                "octroi_register_step",
                "Age of the registers: 0 fresh, 1 tolerated, 2 expired (requests are refused)",
            )?,
            upstream_healthy: prometheus::IntGaugeVec::new(
                Opts::new(
                    "octroi_upstream_healthy_addresses",
                    "Adapter addresses that answer their health probe",
                ),
                &["codetab"],
            )?,
            upstream_circuit_open: prometheus::IntGaugeVec::new(
                Opts::new(
                    "octroi_upstream_circuit_open",
                    "Adapter addresses that are left alone after failing requests in a row",
                ),
                &["codetab"],
            )?,
            registry,
        };
        let registry = &metrics.registry;
        registry.register(Box::new(requests))?;
        registry.register(Box::new(duration))?;
        registry.register(Box::new(handshakes))?;
        registry.register(Box::new(metrics.connections.clone()))?;
        registry.register(Box::new(metrics.requests_in_flight.clone()))?;
        registry.register(Box::new(metrics.connections_closed.clone()))?;
        registry.register(Box::new(metrics.quota_refused.clone()))?;
        for sign in Sign::ALL {
            for action in Action::ALL {
                metrics.balance_probing.with_label_values(&[sign.code(), action.code()]);
            }
        }
        registry.register(Box::new(metrics.balance_probing.clone()))?;
        registry.register(Box::new(metrics.balance_guard_blind.clone()))?;
        registry.register(Box::new(metrics.audit_outstanding.clone()))?;
        registry.register(Box::new(metrics.audit_failing.clone()))?;
        registry.register(Box::new(metrics.ready.clone()))?;
        registry.register(Box::new(metrics.store_circuit_open.clone()))?;
        registry.register(Box::new(metrics.store_tracking.clone()))?;
        registry.register(Box::new(metrics.store_tokens_tolerated.clone()))?;
        registry.register(Box::new(metrics.register_step.clone()))?;
        registry.register(Box::new(metrics.upstream_healthy.clone()))?;
        registry.register(Box::new(metrics.upstream_circuit_open.clone()))?;
        let build = prometheus::IntGaugeVec::new(
            Opts::new("octroi_build_info", "Always 1; the version of this program"),
            &["version"],
        )?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        registry.register(Box::new(build))?;
        Ok(metrics)
    }

    /// The series of requests, with the label values that `routes` can give.
    #[must_use]
    pub fn requests(&self, routes: &Routes) -> RequestSeries {
        RequestSeries::new(self.requests.clone(), self.duration.clone(), routes)
    }

    /// When each version of `routes` ends, as a room.
    ///
    /// # Errors
    /// Prometheus' own, for a name registered twice: a fault of this file.
    pub fn ends(routes: &Routes) -> prometheus::Result<Registry> {
        let ends = prometheus::IntGaugeVec::new(
            Opts::new(
                "octroi_api_version_sunset_timestamp_seconds",
                "When a version of an API ends; no series where no end is set",
            ),
            &["api", "version"],
        )?;
        for (api, version) in routes.versions() {
            if let Some(sunset) = version.life.sunset {
                ends.with_label_values(&[&api.name, &version.name]).set(sunset.as_second());
            }
        }
        let room = Registry::new();
        room.register(Box::new(ends))?;
        Ok(room)
    }

    /// Drops the series of a codetab's adapter.
    pub fn forget_codetab(&self, codetab: &str) {
        for series in [&self.upstream_healthy, &self.upstream_circuit_open] {
            let _ = series.remove_label_values(&[codetab]);
        }
    }

    /// Shows the series of a room that a reload begins anew, in place of those that it had before.
    pub fn show_room(&self, room: &'static str, series: Registry) {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner).insert(room, series);
    }

    /// Counts a question that looks like a search for a balance.
    pub fn balance_probing(&self, Suspicion { sign, action }: Suspicion) {
        self.balance_probing.with_label_values(&[sign.code(), action.code()]).inc();
    }

    /// Counts one handshake.
    pub fn handshake(&self, fault: Option<HandshakeFault>) {
        match fault {
            None => self.handshakes_ok.inc(),
            Some(fault) => {
                if let Some(counter) = self.handshakes_failed.get(fault as usize) {
                    counter.inc();
                }
            }
        }
    }

    /// The text exposition.
    ///
    /// # Errors
    /// The encoder's.
    pub fn render(&self) -> prometheus::Result<Vec<u8>> {
        let mut text = Vec::new();
        let rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut families = self.registry.gather();
        families.extend(rooms.into_values().flat_map(|room| room.gather()));
        TextEncoder::new().encode(&families, &mut text)?;
        Ok(text)
    }

    /// For series that other rooms own (stores, registers).
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }
}
