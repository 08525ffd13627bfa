//! What a rehearsal came to, for a person as tables, or for a program as JSON.

use std::collections::BTreeMap;
use std::io::Write;

use comfy_table::{Table, presets};
use jiff::Timestamp;
use serde::Serialize;

use crate::cli::{Failure, Output, printable};
use crate::replay::{Change, Group, Rehearsed};

/// Rows of a table at most; JSON has all.
const ROWS_MAX: usize = 12;

/// Also the JSON form.
#[derive(Serialize)]
pub(super) struct Report {
    /// As of when the calls were judged.
    pub(super) at: Timestamp,
    #[serde(flatten)]
    pub(super) rehearsed: Rehearsed,
    pub(super) seconds: f64,
}

impl Report {
    pub(super) fn write(&self, output: Output, out: &mut dyn Write) -> Result<(), Failure> {
        match output {
            Output::Text => self.text(out)?,
            Output::Json => {
                serde_json::to_writer_pretty(&mut *out, self).map_err(std::io::Error::from)?;
                writeln!(out)?;
            }
        }
        Ok(())
    }

    fn text(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let rehearsed = &self.rehearsed;
        let (records, seconds) = (rehearsed.records, self.seconds);
        writeln!(out, "{records} calls, judged as if they came at {}, in {seconds:.1} s", self.at)?;
        if let Some((first, last)) = rehearsed.span {
            writeln!(out, "  from {first} to {last}")?;
        }
        writeln!(out, "  {} with the same end", rehearsed.unchanged)?;
        for change in Change::ALL {
            writeln!(out, "  {} {}", rehearsed.calls(change), change.words())?;
        }
        for (cause, count) in &rehearsed.not_judged {
            writeln!(out, "  {count} could not be judged: {}", cause.words())?;
        }
        for (limit, outcome) in &rehearsed.limits {
            let (counted, refused) = (outcome.counted, outcome.refused);
            writeln!(out, "  limit {limit}: of {counted} calls {refused} would find no room")?;
        }
        for (limit, why) in &rehearsed.limits_left_out {
            writeln!(out, "  limit {limit} is not simulated: {why}")?;
        }
        for change in Change::ALL {
            if let Some(group) = rehearsed.changes.get(&change) {
                writeln!(out, "\n{}:", change.words())?;
                tables(group, out)?;
            }
        }
        Ok(())
    }
}

fn tables(group: &Group, out: &mut dyn Write) -> std::io::Result<()> {
    for (name, counts) in
        [("reason", &group.by_reason), ("TPP", &group.by_tpp), ("codetab", &group.by_codetab)]
    {
        writeln!(out, "{}", counted(name, counts))?;
    }
    let mut table = plain();
    table.set_header(["request", "time", "TPP", "path", "was", "would be"]);
    for one in &group.examples {
        let time = one.time.to_string();
        table.add_row([
            &printable(one.request_id.as_deref().unwrap_or("-")),
            &time,
            &printable(one.organisation_id.as_deref().unwrap_or("-")),
            &printable(&one.path),
            &printable(&one.recorded),
            &printable(&one.rehearsed),
        ]);
    }
    writeln!(out, "{table}")
}

/// The largest first.
fn counted(name: &str, counts: &BTreeMap<String, u64>) -> Table {
    let mut rows: Vec<_> = counts.iter().collect();
    rows.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let mut table = plain();
    table.set_header([name, "calls"]);
    for (name, count) in rows.iter().take(ROWS_MAX) {
        table.add_row([printable(name), count.to_string()]);
    }
    if let Some(left) = rows.get(ROWS_MAX..).filter(|left| !left.is_empty()) {
        let calls: u64 = left.iter().map(|(_, count)| **count).sum();
        table.add_row([&format!("{} more", left.len()), &calls.to_string()]);
    }
    table
}

fn plain() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}
