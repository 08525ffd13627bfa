//! A verdict for a person, as a table, or for a program, as JSON.

use std::io::Write;

use comfy_table::{Table, presets};
use jiff::Timestamp;
use policies::{Check, CheckName, CheckOutcome, Refusal, Trail};
use serde::Serialize;

use crate::cli::{Failure, Output};

/// Also the JSON form: `octroi explain --output json` prints it.
#[derive(Serialize)]
pub(super) struct Report {
    /// `allowed` or `refused`.
    verdict: &'static str,
    /// The reason, when refused.
    code: Option<&'static str>,
    /// The HTTP status of the refusal.
    status: Option<u16>,
    /// What the TPP would read.
    detail: Option<String>,
    /// What to do about it.
    mend: Option<&'static str>,
    /// The checks in their order, as far as they were reached.
    checks: Vec<Looked>,
    /// What was taken for granted, because it is not known offline.
    assumed: Vec<&'static str>,
    /// The instant that the request was judged for.
    at: Timestamp,
    /// The number of the world of then (`octroi.world` of records); none: what the configuration names
    /// now, with the registers of then.
    world: Option<u64>,
}

#[derive(Serialize)]
struct Looked {
    check: &'static str,
    /// `passed`, `warned` (it does not hold, and is let pass) or `failed`.
    outcome: &'static str,
    /// The reason that the check gave, when it failed or warned.
    code: Option<&'static str>,
    /// What was looked at, and its version as a short content hash.
    source: &'static str,
    version: Option<String>,
    /// Since when the source says what it says.
    as_of: Option<Timestamp>,
    /// Seconds between that and the judged instant.
    age_seconds: Option<i64>,
}

impl Report {
    pub(super) fn new(
        refusal: Option<&Refusal>,
        assumed: &[&'static str],
        trail: &Trail,
        (at, world): (Timestamp, Option<u64>),
    ) -> Self {
        Self {
            verdict: if refusal.is_some() { "refused" } else { "allowed" },
            code: refusal.map(|refusal| refusal.reason.code()),
            status: refusal.map(|refusal| refusal.reason.status()),
            detail: refusal.map(|refusal| refusal.detail.to_string()),
            mend: refusal.map(|refusal| refusal.reason.mend()),
            checks: trail.iter().map(|check| Looked::new(check, at)).collect(),
            assumed: assumed.to_vec(),
            at,
            world,
        }
    }

    pub(super) fn write(&self, output: Output, out: &mut dyn Write) -> Result<(), Failure> {
        match output {
            Output::Text => self.write_text(out)?,
            Output::Json => {
                serde_json::to_writer_pretty(&mut *out, self).map_err(std::io::Error::from)?;
                writeln!(out)?;
            }
        }
        Ok(())
    }

    fn write_text(&self, out: &mut dyn Write) -> std::io::Result<()> {
        match (self.code, self.status) {
            (Some(code), Some(status)) => writeln!(out, "refused: {code} ({status})")?,
            _ => writeln!(out, "allowed")?,
        }
        if let Some(detail) = &self.detail {
            writeln!(out, "  {detail}")?;
        }
        if let Some(mend) = self.mend {
            writeln!(out, "  To mend: {mend}")?;
        }
        match self.world {
            Some(world) => writeln!(out, "  Judged for {}, in world {world} of then", self.at)?,
            None => writeln!(out, "  Judged for {}", self.at)?,
        }
        for assumed in &self.assumed {
            writeln!(out, "  Assumed: {assumed}")?;
        }
        writeln!(out, "\n{}", self.table())
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(["check", "outcome", "looked at", "version", "age"]);
        for name in CheckName::ALL {
            match self.checks.iter().find(|looked| looked.check == name.code()) {
                Some(looked) => table.add_row([
                    looked.check.to_owned(),
                    match (looked.outcome, looked.code) {
                        ("warned", Some(code)) => format!("warned: {code}"),
                        (_, Some(code)) => code.to_owned(),
                        (outcome, None) => outcome.to_owned(),
                    },
                    looked.source.to_owned(),
                    looked.version.clone().unwrap_or_else(|| "-".to_owned()),
                    looked.age_seconds.map_or_else(|| "-".to_owned(), age),
                ]),
                None => table.add_row([name.code(), "not reached", "-", "-", "-"]),
            };
        }
        table
    }
}

impl Looked {
    fn new(check: &Check, at: Timestamp) -> Self {
        let (outcome, code) = match check.outcome {
            CheckOutcome::Passed => ("passed", None),
            CheckOutcome::Warned(reason) => ("warned", Some(reason.code())),
            CheckOutcome::Failed(reason) => ("failed", Some(reason.code())),
        };
        let evidence = check.looked_at;
        Self {
            check: check.name.code(),
            outcome,
            code,
            source: evidence.source.code(),
            version: (evidence.version != 0).then(|| format!("{:016x}", evidence.version)),
            as_of: evidence.as_of,
            age_seconds: evidence.as_of.map(|as_of| at.as_second() - as_of.as_second()),
        }
    }
}

/// The two largest units: an operator compares it with a limit in hours or days.
fn age(seconds: i64) -> String {
    let (sign, seconds) = if seconds < 0 { ("in ", -seconds) } else { ("", seconds) };
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{sign}{seconds}s"),
        (0, 0, _) => format!("{sign}{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{sign}{hours}h {minutes}m"),
        _ => format!("{sign}{days}d {hours}h"),
    }
}
