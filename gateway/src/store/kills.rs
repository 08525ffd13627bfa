//! How long a revoked token lives on: from the decision until a replica refuses it.

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts};

use super::StoreError;

/// From a round trip on one machine to well beyond the second that is promised.
const BUCKETS: [f64; 13] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// `octroi_token_time_to_kill_seconds` of one replica.
#[derive(Debug, Clone)]
pub(super) struct TimeToKill(Histogram);

impl TimeToKill {
    pub(super) fn new() -> Result<Self, StoreError> {
        let options = HistogramOpts::new(
            "octroi_token_time_to_kill_seconds",
            "From the removal of a token until this gateway refuses it",
        );
        Histogram::with_opts(options.buckets(BUCKETS.to_vec()))
            .map(TimeToKill)
            .map_err(|error| StoreError::Metrics(error.to_string()))
    }

    pub(super) fn observe(&self, taken: Duration) {
        self.0.observe(taken.as_secs_f64());
    }

    pub(super) fn collector(&self) -> Box<dyn Collector> {
        Box::new(self.0.clone())
    }
}
