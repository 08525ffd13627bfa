//! `[metrics]`: what the series tell.

use super::wire;

/// What the series tell.
#[derive(Clone, Copy, Debug)]
pub struct MetricsSettings {
    /// TPPs that have series of their own.
    pub top_tpps: usize,
}

impl MetricsSettings {
    pub(super) fn read(wire: &wire::Metrics) -> Self {
        // The schema holds it to a few dozen.
        Self { top_tpps: usize::try_from(wire.top_tpps).unwrap_or_default() }
    }
}
