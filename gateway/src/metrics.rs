//! Every series of the program, in one place; labels come from closed sets only.
//!
//! Codetab, API and version come from the configuration, the rest from enums, so that no caller can
//! add a series: a cardinality bomb is an outage of the monitoring. The one exception is bounded and
//! closed to strangers: [`tpps`].

mod exposition;
mod latency;
mod process;
mod requests;
mod standing;
mod tpps;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use certs::OrganisationId;
use policies::probing::{Action, Sign, Suspicion};
use policies::quota::Left;
use policies::{CheckOutcome, CheckSet, Quota, Reason, Routes, Trail};
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use crate::audit::Outcome;

use latency::Exemplars;
use requests::RequestFamilies;
use tpps::Tpps;

pub use exposition::Exposition;
pub use requests::{Finished, NONE, RequestSeries};
pub use standing::{Freshness, Issued, Ladder, StandingMetrics};
pub use tpps::TOP_TPPS_MAX;

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
    exemplars: Exemplars,
    requests: RequestFamilies,
    tpps: Tpps,
    /// What the gateway judges by.
    pub standing: StandingMetrics,
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
    /// Checks that failed and are only observed, by check and reason.
    checks_observed: IntCounterVec,
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
    /// 1 per healthy upstream address, by codetab: how many there are.
    pub upstream_healthy: prometheus::IntGaugeVec,
    /// As [`Metrics::upstream_healthy`], of the customer interface.
    pub customer_interface_healthy: prometheus::IntGaugeVec,
    /// As [`Metrics::upstream_circuit_open`], of the customer interface.
    pub customer_interface_circuit_open: prometheus::IntGaugeVec,
    /// 1 while the fallback of a codetab is open.
    fallback_open: prometheus::IntGaugeVec,
    fallback_requests: IntCounterVec,
    /// 1 while a codetab's dedicated interface is down by the rule of the EBA's guideline.
    pub interface_down: prometheus::IntGaugeVec,
    /// 1 per upstream address that is left alone after failures, by codetab: how many there are.
    pub upstream_circuit_open: prometheus::IntGaugeVec,
}

impl Metrics {
    /// Registers every series; `top_tpps` TPPs have series of their own, at most [`TOP_TPPS_MAX`].
    ///
    /// # Errors
    /// Prometheus' own, for a name registered twice: a fault of this room.
    pub fn new(top_tpps: usize) -> prometheus::Result<Self> {
        let registry = Registry::new();
        let exemplars = Exemplars::default();
        let handshakes = IntCounterVec::new(
            Opts::new("octroi_tls_handshakes_total", "TLS handshakes of the TPP listener"),
            &["outcome"],
        )?;
        let gauge = |name: &str, help: &str| IntGauge::new(name, help);
        let metrics = Self {
            rooms: Mutex::default(),
            requests: RequestFamilies::new(&exemplars)?,
            exemplars,
            tpps: Tpps::new(top_tpps)?,
            standing: StandingMetrics::new(&registry)?,
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
            checks_observed: IntCounterVec::new(
                Opts::new(
                    "octroi_checks_observed_total",
                    "Checks that failed and let pass, because they are only observed",
                ),
                &["check", "reason"],
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
            upstream_healthy: prometheus::IntGaugeVec::new(
                Opts::new(
                    "octroi_upstream_healthy_addresses",
                    "Adapter addresses that answer their health probe",
                ),
                &["codetab"],
            )?,
            customer_interface_healthy: prometheus::IntGaugeVec::new(
                Opts::new(
                    "octroi_customer_interface_healthy_addresses",
                    "Customer interface addresses that answer their health probe",
                ),
                &["codetab"],
            )?,
            customer_interface_circuit_open: prometheus::IntGaugeVec::new(
                Opts::new(
                    "octroi_customer_interface_circuit_open",
                    "Customer interface addresses that are left alone after failing requests in a row",
                ),
                &["codetab"],
            )?,
            fallback_open: prometheus::IntGaugeVec::new(
                Opts::new(
                    "octroi_fallback_open",
                    "1 while the fallback of a bank is open to identified TPPs",
                ),
                &["codetab"],
            )?,
            fallback_requests: IntCounterVec::new(
                Opts::new(
                    "octroi_fallback_requests_total",
                    "Requests that asked for the fallback, by what became of them",
                ),
                &["codetab", "outcome", "reason"],
            )?,
            interface_down: prometheus::IntGaugeVec::new(
                Opts::new(
                    "octroi_dedicated_interface_down",
                    "1 while the interface of a bank is down: five requests in a row without a reply",
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
        process::register(registry)?;
        metrics.requests.register(registry)?;
        registry.register(Box::new(metrics.tpps.clone()))?;
        registry.register(Box::new(handshakes))?;
        registry.register(Box::new(metrics.connections.clone()))?;
        registry.register(Box::new(metrics.requests_in_flight.clone()))?;
        registry.register(Box::new(metrics.connections_closed.clone()))?;
        registry.register(Box::new(metrics.checks_observed.clone()))?;
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
        registry.register(Box::new(metrics.upstream_healthy.clone()))?;
        registry.register(Box::new(metrics.upstream_circuit_open.clone()))?;
        registry.register(Box::new(metrics.interface_down.clone()))?;
        registry.register(Box::new(metrics.customer_interface_healthy.clone()))?;
        registry.register(Box::new(metrics.customer_interface_circuit_open.clone()))?;
        registry.register(Box::new(metrics.fallback_open.clone()))?;
        registry.register(Box::new(metrics.fallback_requests.clone()))?;
        Ok(metrics)
    }

    /// The series of requests, with the label values that `routes` can give.
    #[must_use]
    pub fn requests(&self, routes: &Routes) -> RequestSeries {
        // The first refusal of a limit counts in a rate only where the series was there before.
        let of_fallback = routes.fallback().into_iter().flat_map(|fallback| &fallback.quotas);
        for quota in routes.apis().flat_map(|api| &api.quotas).chain(of_fallback) {
            self.quota_refused.with_label_values(&[&quota.name]);
        }
        RequestSeries::new(self.requests.clone(), routes)
    }

    /// Counts a request by its TPP, with what is left of its limits. Only for one that the registers list:
    /// what a stranger calls itself is no label.
    pub fn listed_tpp<'a>(
        &self,
        id: &OrganisationId,
        outcome: Outcome,
        counted: impl Iterator<Item = (&'a Arc<Quota>, Left)>,
    ) {
        self.tpps.count(id, outcome, counted);
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
        for series in [&self.upstream_healthy, &self.upstream_circuit_open, &self.interface_down] {
            let _ = series.remove_label_values(&[codetab]);
        }
    }

    /// The gauge of a fallback, with the first counter: the first call counts in a rate only where the
    /// series was there before.
    #[must_use]
    pub fn fallback_open(&self, codetab: &str) -> IntGauge {
        self.fallback_requests.with_label_values(&[codetab, Outcome::Allowed.label(), ""]);
        self.fallback_open.with_label_values(&[codetab])
    }

    /// Drops the series of a codetab's fallback.
    pub fn forget_fallback(&self, codetab: &str) {
        for series in [
            &self.customer_interface_healthy,
            &self.customer_interface_circuit_open,
            &self.fallback_open,
        ] {
            let _ = series.remove_label_values(&[codetab]);
        }
        for outcome in Outcome::ALL {
            for reason in Reason::ALL.iter().map(|reason| reason.code()).chain([""]) {
                let labels = [codetab, outcome.label(), reason];
                let _ = self.fallback_requests.remove_label_values(&labels);
            }
        }
    }

    /// Counts a request that asked for the fallback of a bank.
    pub fn fallback(&self, codetab: &str, outcome: Outcome, reason: Option<Reason>) {
        let reason = reason.map_or("", Reason::code);
        self.fallback_requests.with_label_values(&[codetab, outcome.label(), reason]).inc();
    }

    /// Shows the series of a room that a reload begins anew, in place of those that it had before.
    pub fn show_room(&self, room: &'static str, series: Registry) {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner).insert(room, series);
    }

    /// Counts a question that looks like a search for a balance.
    pub fn balance_probing(&self, Suspicion { sign, action }: Suspicion) {
        self.balance_probing.with_label_values(&[sign.code(), action.code()]).inc();
    }

    /// Counts the checks of `trail` that failed and are in `observed`.
    pub fn observed(&self, trail: &Trail, observed: CheckSet) {
        if observed.is_empty() {
            return;
        }
        for check in trail.iter().filter(|check| observed.contains(check.name)) {
            if let CheckOutcome::Warned(reason) = check.outcome {
                let labels = [check.name.code(), reason.code()];
                self.checks_observed.with_label_values(&labels).inc();
            }
        }
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

    /// Every series as text.
    ///
    /// # Errors
    /// The encoder's.
    pub fn render(&self, exposition: Exposition) -> prometheus::Result<Vec<u8>> {
        let rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut families = self.registry.gather();
        families.extend(rooms.into_values().flat_map(|room| room.gather()));
        exposition.write(&families, &self.exemplars)
    }

    /// For series that other rooms own (stores, registers).
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }
}
