//! `--against`: what a configuration changes of the one that runs.

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use crate::cli::Failure;
use crate::config::{Change, Changes, Config};
use crate::server;

/// The difference of two configurations.
#[derive(Serialize)]
pub(super) struct Against {
    changes: Changes,
    /// The keys of those that a running gateway cannot take in.
    needs_restart: Vec<String>,
    /// Descriptors that a running gateway must be allowed to open, beside those of its own, to take in more
    /// connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    needs_descriptors: Option<usize>,
}

impl Against {
    pub(super) fn of(new: &Config, old: &Path) -> Result<Self, Failure> {
        let old = Config::load(old).map_err(Failure::cannot)?;
        let changes = old.stated.changes(&new.stated);
        let needs_restart = changes.at_start().map(|change| change.key.clone()).collect();
        let grows = new.limits.connections_max > old.limits.connections_max;
        let needs_descriptors = grows.then(|| server::descriptors(new));
        Ok(Self { changes, needs_restart, needs_descriptors })
    }

    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.changes.is_empty() {
            return writeln!(out, "  changes nothing");
        }
        let needs = |change: &Change| self.needs_restart.contains(&change.key);
        for change in &self.changes.0 {
            let note = if needs(change) { " (restart or upgrade)" } else { "" };
            writeln!(out, "  changes {change}{note}")?;
        }
        if !self.needs_restart.is_empty() {
            let keys = self.needs_restart.join(", ");
            writeln!(out, "  a reload with it is refused: {keys} need a restart or an upgrade")?;
        }
        if let Some(descriptors) = self.needs_descriptors {
            writeln!(
                out,
                "  a reload with it is refused where the running gateway may not open {descriptors} \
                 descriptors for limits.connections_max, beside its own (RLIMIT_NOFILE, the hard limit)"
            )?;
        }
        Ok(())
    }
}
