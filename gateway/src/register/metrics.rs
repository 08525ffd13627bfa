//! The series of the registers.

use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// The series of the registers.
pub(super) struct RegisterMetrics {
    pub(super) refreshes: IntCounterVec,
    pub(super) held: IntGauge,
    pub(super) overrides: IntGauge,
    pub(super) disagreements: IntGauge,
    pub(super) rows: IntGaugeVec,
}

impl RegisterMetrics {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            refreshes: IntCounterVec::new(
                Opts::new("octroi_register_refreshes_total", "Attempts to renew the register"),
                &["outcome"],
            )?,
            held: IntGauge::new(
                "octroi_register_held",
                "1 while the gate holds a new register until a person accepts it",
            )?,
            overrides: IntGauge::new(
                "octroi_register_overrides",
                "Decisions that stand above the registers now",
            )?,
            disagreements: IntGauge::new(
                "octroi_register_disagreements",
                "Organisations about which two registers contradict each other",
            )?,
            rows: IntGaugeVec::new(
                Opts::new("octroi_register_rows", "Rows of the register files in force"),
                &["register", "file", "fate"],
            )?,
        };
        registry.register(Box::new(metrics.refreshes.clone()))?;
        registry.register(Box::new(metrics.held.clone()))?;
        registry.register(Box::new(metrics.overrides.clone()))?;
        registry.register(Box::new(metrics.disagreements.clone()))?;
        registry.register(Box::new(metrics.rows.clone()))?;
        for outcome in ["ok", "unchanged", "held", "failed", "unreadable"] {
            metrics.refreshes.with_label_values(&[outcome]);
        }
        Ok(metrics)
    }
}
