//! `[drain]`: how the gateway leaves on SIGTERM.

use std::time::Duration;

use super::key::Key;
use super::reading::Reading;
use super::wire;

/// The two steps of leaving.
#[derive(Clone, Debug)]
pub struct DrainSettings {
    /// How long the gateway is unready and still accepts.
    pub delay: Duration,
    /// How long requests in flight then have to finish.
    pub timeout: Duration,
}

impl DrainSettings {
    pub(super) fn read(wire: &wire::Drain, key: &Key, reading: &mut Reading<'_>) -> Option<Self> {
        let delay = reading.duration(&key.child("delay"), &wire.delay);
        let timeout = reading.duration(&key.child("timeout"), &wire.timeout);
        Some(Self { delay: delay?, timeout: timeout? })
    }
}
