//! The summary for a person.

use std::io::{self, Write};

use comfy_table::{Table, presets};

use super::summary::Summary;

pub(super) fn write(summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}: sound", summary.file)?;
    for warning in &summary.warnings {
        writeln!(out, "  warning: {warning}")?;
    }
    for (name, address) in &summary.listeners {
        writeln!(out, "  {name} listener: {address}")?;
    }
    for anchor in &summary.anchors {
        writeln!(out, "  trusts: {} (until {})", anchor.subject, anchor.not_after)?;
    }
    writeln!(out, "  register: {}", summary.register)?;
    for rows in &summary.rows {
        writeln!(
            out,
            "    {} ({}): {} rows read, {} used, {} not relevant, {} rejected",
            rows.source, rows.file, rows.read, rows.used, rows.not_relevant, rows.rejected
        )?;
    }
    writeln!(out, "  store: {}", summary.store)?;
    if let Some(issuer) = &summary.authorization {
        writeln!(out, "  authorization server: {issuer}")?;
    }
    for api in &summary.apis {
        writeln!(out, "  {} for {}", api.name, api.roles)?;
        for version in &api.versions {
            writeln!(out, "    {version}")?;
        }
    }
    if let Some(fallback) = &summary.fallback {
        writeln!(out, "  fallback {fallback}")?;
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["codetab", "bank", "hosts", "upstream"]);
    for codetab in &summary.codetabs {
        table.add_row([
            codetab.code.as_str(),
            codetab.name.as_str(),
            &codetab.hosts.join("\n"),
            &match &codetab.customer_interface {
                Some(customers) => format!("{}\ncustomers: {customers}", codetab.upstream),
                None => codetab.upstream.clone(),
            },
        ]);
    }
    writeln!(out, "\n{table}")
}
