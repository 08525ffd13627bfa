//! What the store says of itself, when it is asked with the settings that the gateway would use.

use std::io::{self, Write};

use policies::client::Setting;
use serde::Serialize;

use super::super::Failure;
use super::super::run::runtime;
use crate::config::{Config, StoreSettings};
use crate::store::{self, Finding, Inspection, ServerFound, StoreError, Weight};

/// The store, looked at closely.
#[derive(Serialize)]
pub(super) struct Live {
    /// Would the gateway be right to rely on it?
    pub(super) sound: bool,
    store: Inspection,
    #[serde(skip)]
    keeps_consents: bool,
}

pub(super) fn look(config: &Config) -> Result<Live, Failure> {
    let keeps_consents =
        config.authorization.as_ref().is_some_and(|server| server.setting == Setting::Production);
    if let StoreSettings::Embedded { .. } = config.store {
        let store = Inspection { topology: "embedded", ..Inspection::default() };
        return Ok(Live { sound: true, store, keeps_consents });
    }
    let engine = store::open(&config.store, None).map_err(Failure::cannot)?;
    let (layout, inspected) =
        runtime(1)?.block_on(async { (engine.check_layout().await, engine.inspect().await) });
    let mut store = inspected.map_err(Failure::cannot)?;
    // A missing right is among the findings.
    if let Err(error @ StoreError::Layout { .. }) = layout {
        let what = error.to_string();
        store.findings.push(Finding { weight: Weight::Refused, server: None, what });
    }
    let refuses = |finding: &Finding| is_refused(finding, keeps_consents);
    Ok(Live { sound: !store.findings.iter().any(refuses), store, keeps_consents })
}

/// A store that may forget is refused where it keeps the consents of customers.
fn is_refused(finding: &Finding, keeps_consents: bool) -> bool {
    match finding.weight {
        Weight::Refused => true,
        Weight::Forgetful => keeps_consents,
        Weight::Note => false,
    }
}

impl Live {
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "  store, live: {}", self.store.topology)?;
        for server in &self.store.masters {
            master(server, out)?;
        }
        for finding in &self.store.findings {
            let weight = match is_refused(finding, self.keeps_consents) {
                true => "refused",
                false if finding.weight == Weight::Note => "note",
                false => "warning",
            };
            let server = finding.server.as_deref().map(|server| format!("{server}: "));
            writeln!(out, "    {weight}: {}{}", server.unwrap_or_default(), finding.what)?;
        }
        if self.sound {
            writeln!(out, "    the gateway can rely on it")?;
        }
        Ok(())
    }
}

fn master(server: &ServerFound, out: &mut dyn Write) -> io::Result<()> {
    let yes = |is: bool| if is { "yes" } else { "no" };
    writeln!(out, "    master {}: {}", server.address, server.version)?;
    let replicas = match server.replicas.as_slice() {
        [] => "none".to_owned(),
        replicas => replicas.join(", "),
    };
    writeln!(out, "      replicas: {replicas}")?;
    writeln!(out, "      append-only file: {}", yes(server.append_only))?;
    writeln!(out, "      when memory is full: {}", server.maxmemory_policy)?;
    writeln!(out, "      tells of tokens that change: {}", yes(server.tracking))?;
    let rights = match server.missing_rights.as_slice() {
        [] => "none is missing".to_owned(),
        missing => format!("missing: {}", missing.join(" ")),
    };
    writeln!(out, "      rights: {rights}")?;
    writeln!(out, "      clock: {} ms ahead of ours", server.clock_ahead_ms)?;
    writeln!(out, "      round trip: {} µs (median)", server.round_trip_us)
}
