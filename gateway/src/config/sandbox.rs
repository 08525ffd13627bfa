//! `[sandbox]`: fictional people and accounts, never beside a real domain.

use super::wire;

/// What the sandbox adds to the gateway.
#[derive(Clone, Copy, Debug)]
pub struct SandboxSettings {
    /// The seven persona accounts exist.
    pub personas: bool,
}

impl From<&wire::Sandbox> for SandboxSettings {
    fn from(wire: &wire::Sandbox) -> Self {
        Self { personas: wire.personas }
    }
}
