//! What metrics show of limits that gateways share.

use prometheus::core::Collector;
use prometheus::{IntCounter, IntGauge, IntGaugeVec, Opts};

use super::presence::Mode;
use crate::store::StoreError;

/// The series of one store.
#[derive(Debug, Clone)]
pub(super) struct QuotaMetrics {
    gateways: IntGaugeVec,
    alone: IntGauge,
    questions: IntCounter,
}

impl QuotaMetrics {
    pub(super) fn new() -> Result<Self, StoreError> {
        let fault = |error: prometheus::Error| StoreError::Metrics(error.to_string());
        let gateways = Opts::new(
            "octroi_store_gateways",
            "Gateways that share the limits through Redis, as this one last heard",
        );
        Ok(QuotaMetrics {
            gateways: IntGaugeVec::new(gateways, &["state"]).map_err(fault)?,
            alone: IntGauge::new(
                "octroi_store_alone",
                "1 while this gateway cannot reach Redis and grants its own share of the limits, or none",
            )
            .map_err(fault)?,
            questions: IntCounter::new(
                "octroi_quota_questions_total",
                "Scripts that Redis was asked to run for limits",
            )
            .map_err(fault)?,
        })
    }

    pub(super) fn asked(&self) {
        self.questions.inc();
    }

    pub(super) fn gateways(&self, present: u32, all: u32) {
        let silent = all.saturating_sub(present);
        self.gateways.with_label_values(&["present"]).set(i64::from(present));
        self.gateways.with_label_values(&["silent"]).set(i64::from(silent));
    }

    pub(super) fn mode(&self, mode: Mode) {
        self.alone.set(i64::from(matches!(mode, Mode::Alone { .. } | Mode::Nothing)));
    }

    pub(super) fn collectors(&self) -> [Box<dyn Collector>; 3] {
        [
            Box::new(self.gateways.clone()),
            Box::new(self.alone.clone()),
            Box::new(self.questions.clone()),
        ]
    }
}
