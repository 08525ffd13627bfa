//! `octroi register diff`.

use std::io::Write;

use jiff::Timestamp;
use policies::register::{Difference, Record, Services, Snapshot, Status};
use serde::Serialize;

use super::{Place, impact, short};
use crate::cli::{Answer, Failure, Output};
use crate::register::{Hold, Impact};

const EXAMPLE: &str = "Example:
  octroi register diff --config octroi.toml             (from what is in force to what is held)
  octroi register diff --config octroi.toml 3f2a9c      (from that snapshot to what is in force)
  octroi register diff --config octroi.toml 3f2a9c 91bb07

Exit code 0: nothing changed, 1: something did.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    /// The older snapshot, or how its name begins [default: the one in force]
    #[arg(value_name = "OLDER")]
    older: Option<String>,
    /// The newer one [default: the one in force; without OLDER, the one that is held]
    #[arg(value_name = "NEWER")]
    newer: Option<String>,
    /// Every record, instead of the first twenty
    #[arg(long)]
    all: bool,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Also the JSON form.
#[derive(Serialize)]
struct Report {
    older: String,
    newer: String,
    impact: Impact,
    /// Why the gate would hold it.
    held: Vec<Hold>,
    difference: Difference,
}

const SHOWN: usize = 20;

pub(super) fn run(args: &Args, out: &mut dyn Write) -> Result<Answer, Failure> {
    let config = args.place.config()?;
    let directory = Place::directory(&config)?;
    let archive = directory.archive();
    let current = || archive.current_name().map_err(Failure::cannot);
    let none = || Failure::Cannot("no snapshot is in force yet".to_owned());
    let (older, newer) = match (&args.older, &args.newer) {
        (Some(older), Some(newer)) => (older.clone(), newer.clone()),
        (Some(older), None) => (older.clone(), current()?.ok_or_else(none)?),
        (None, _) => {
            let held = directory.held().map_err(Failure::cannot)?;
            let Some(held) = held else {
                let why = "nothing is held; name a snapshot (`octroi register list --all`)";
                return Err(Failure::Cannot(why.to_owned()));
            };
            (current()?.ok_or_else(none)?, held.snapshot)
        }
    };
    let read = |name: &str| -> Result<(String, Snapshot), Failure> {
        let full = archive.full_name(name).map_err(Failure::cannot)?;
        Ok((full.clone(), archive.read(&full).map_err(Failure::cannot)?))
    };
    let ((older, old), (newer, new)) = (read(&older)?, read(&newer)?);
    let impact = impact(&config, &old, &new, Timestamp::now())?;
    let held = impact.holds(&old, &new, config.register.gate);
    let difference = Difference::between(&old, &new);
    let same = difference.is_empty();
    let report = Report { older, newer, impact, held, difference };
    match args.output {
        Output::Json => {
            serde_json::to_writer_pretty(&mut *out, &report).map_err(std::io::Error::from)?;
            writeln!(out)?;
        }
        Output::Text => text(&report, args.all, out)?,
    }
    Ok(if same { Answer::Good } else { Answer::No })
}

fn text(report: &Report, all: bool, out: &mut dyn Write) -> Result<(), Failure> {
    writeln!(out, "from {} to {}", short(&report.older), short(&report.newer))?;
    for (origin, (before, after)) in &report.impact.rows {
        writeln!(out, "  {origin}: {before} records, then {after}")?;
    }
    writeln!(out, "  {}", report.impact)?;
    for lost in &report.impact.lost {
        let (id, becomes, tokens) = (&lost.organisation_id, &lost.becomes, lost.tokens);
        writeln!(out, "  would be refused: {id} ({becomes}), {tokens} live tokens")?;
    }
    for won in &report.impact.won {
        writeln!(out, "  would be let in: {won}")?;
    }
    for hold in &report.held {
        writeln!(out, "  held: {hold}")?;
    }
    let limit = if all { usize::MAX } else { SHOWN };
    for (sign, records) in [("-", &report.difference.removed), ("+", &report.difference.added)] {
        for record in records.iter().take(limit) {
            writeln!(out, "{sign} {}", line(record))?;
        }
        if records.len() > limit {
            writeln!(out, "{sign} … {} more (--all)", records.len() - limit)?;
        }
    }
    Ok(())
}

/// A record on one line.
pub(super) fn line(record: &Record) -> String {
    let id = record.ids.first().map_or(&record.reference, |id| id);
    let status = match &record.status {
        Status::Dated(life) => {
            life.dates().iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        }
        Status::Withdrawn => "withdrawn".to_owned(),
        Status::Unclear(_) => "unclear".to_owned(),
    };
    let services = match &record.services {
        Services::All => "every service".to_owned(),
        Services::Unlisted => "services not listed".to_owned(),
        Services::Listed(listed) => {
            format!("{} in {} countries", listed.anywhere(), listed.iter().count())
        }
    };
    format!("{id} {} {} {} [{status}] {services}", record.origin.code(), record.kind, record.name)
}
