//! The series of reloads.

use std::sync::Mutex;
use std::sync::PoisonError;

use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// The series of reloads.
pub(in crate::server) struct ReloadMetrics {
    reloads: IntCounterVec,
    successful: IntGauge,
    info: IntGaugeVec,
    /// What `info` shows.
    shown: Mutex<Option<String>>,
}

impl ReloadMetrics {
    pub(in crate::server) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let opts = Opts::new(
            "octroi_config_reloads_total",
            "Times that the configuration was read again, by what came of it",
        );
        let reloads = IntCounterVec::new(opts, &["outcome"])?;
        let successful = IntGauge::new(
            "octroi_config_last_reload_successful",
            "0 while the configuration on disk is one that was refused",
        )?;
        let opts =
            Opts::new("octroi_config_info", "Always 1; the SHA-256 of the configuration in force");
        let info = IntGaugeVec::new(opts, &["sha256"])?;
        for outcome in ["ok", "unchanged", "failed"] {
            reloads.with_label_values(&[outcome]);
        }
        successful.set(1);
        registry.register(Box::new(reloads.clone()))?;
        registry.register(Box::new(successful.clone()))?;
        registry.register(Box::new(info.clone()))?;
        Ok(Self { reloads, successful, info, shown: Mutex::default() })
    }

    pub(super) fn taken(&self) {
        self.reloads.with_label_values(&["ok"]).inc();
        self.successful.set(1);
    }

    pub(super) fn refused(&self) {
        self.reloads.with_label_values(&["failed"]).inc();
        self.successful.set(0);
    }

    /// A look at files that finds nothing new is no event.
    pub(super) fn unchanged(&self, by: &str) {
        if by != super::triggers::FILE {
            self.reloads.with_label_values(&["unchanged"]).inc();
        }
        self.successful.set(1);
    }

    pub(in crate::server) fn in_force(&self, sha256: &[u8; 32]) {
        let sha256 = hex::encode(sha256);
        self.info.with_label_values(&[&sha256]).set(1);
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let before = shown.replace(sha256.clone());
        if let Some(before) = before.filter(|before| *before != sha256) {
            let _ = self.info.remove_label_values(&[&before]);
        }
    }
}
