//! `octroi register list`.

use std::io::Write;

use jiff::Timestamp;
use serde::Serialize;

use super::{Place, short};
use crate::cli::{Answer, Failure, Output};
use crate::register::{Held, Taken};

const EXAMPLE: &str = "Example:
  octroi register list --config octroi.toml
  octroi register list --config octroi.toml --all
  octroi register list --config octroi.toml --name fintech

Exit code 0: there are some, 1: none.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    /// Every snapshot that is kept, and when each was in force
    #[arg(long, conflicts_with = "name")]
    all: bool,
    /// Institutions whose name or organisation id holds this text, whatever its case
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Serialize)]
struct Kept {
    snapshot: String,
    as_of: Option<Timestamp>,
    records: usize,
    in_force: bool,
    held: bool,
    taken: Vec<Taken>,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> Result<Answer, Failure> {
    let config = args.place.config()?;
    let directory = Place::directory(&config)?;
    let archive = directory.archive();
    let held = directory.held().map_err(Failure::cannot)?;
    if args.all {
        let history = directory.history().map_err(Failure::cannot)?;
        let current = archive.current_name().map_err(Failure::cannot)?;
        let all =
            archive.all().map_err(Failure::cannot)?.into_iter().map(|(name, snapshot)| Kept {
                as_of: snapshot.as_of(),
                records: snapshot.records.len(),
                in_force: current.as_ref() == Some(&name),
                held: held.as_ref().is_some_and(|held| held.snapshot == name),
                taken: history.iter().filter(|taken| taken.snapshot == name).cloned().collect(),
                snapshot: name,
            });
        return kept(&all.collect::<Vec<_>>(), args.output, out);
    }
    let (name, snapshot) = archive.current().map_err(Failure::cannot)?;
    if let Some(text) = &args.name {
        let text = text.to_lowercase();
        let mut found = snapshot.records.iter().filter(|record| {
            record.name.to_lowercase().contains(&text)
                || record.ids.iter().any(|id| id.to_lowercase().contains(&text))
        });
        let mut any = false;
        match args.output {
            Output::Json => {
                let found: Vec<_> = found.collect();
                any = !found.is_empty();
                serde_json::to_writer_pretty(&mut *out, &found).map_err(std::io::Error::from)?;
                writeln!(out)?;
            }
            Output::Text => found.try_for_each(|record| {
                any = true;
                writeln!(out, "{}", super::diff::line(record))
            })?,
        }
        return Ok(if any { Answer::Good } else { Answer::No });
    }
    let now = Timestamp::now();
    let overrides = directory.overrides().map_err(Failure::cannot)?;
    let standing = overrides.iter().filter(|one| one.stands(now)).count();
    if args.output == Output::Json {
        let report = serde_json::json!({
            "snapshot": name,
            "sources": snapshot.sources,
            "records": snapshot.records.len(),
            "held": held,
            "overrides": standing,
        });
        serde_json::to_writer_pretty(&mut *out, &report).map_err(std::io::Error::from)?;
        writeln!(out)?;
        return Ok(Answer::Good);
    }
    writeln!(out, "in force  {}  {} records", short(&name), snapshot.records.len())?;
    for source in &snapshot.sources {
        let step = config.register.policy.freshness.step(source.as_of, now).code();
        writeln!(
            out,
            "  {} ({}): published {:.0}, {step}, {} rows",
            source.origin.code(),
            source.file,
            source.as_of,
            source.account.read
        )?;
    }
    writeln!(out, "  {standing} overrides stand")?;
    if let Some(Held { snapshot, at, why, impact }) = &held {
        writeln!(out, "held      {}  since {at:.0}: {impact}", short(snapshot))?;
        why.iter().try_for_each(|hold| writeln!(out, "  {hold}"))?;
    }
    Ok(Answer::Good)
}

fn kept(all: &[Kept], output: Output, out: &mut dyn Write) -> Result<Answer, Failure> {
    if output == Output::Json {
        serde_json::to_writer_pretty(&mut *out, all).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        for one in all {
            let as_of = one.as_of.map_or_else(String::new, |as_of| format!("{as_of:.0}"));
            let mark = match (one.in_force, one.held) {
                (true, _) => "in force",
                (_, true) => "held",
                _ => "",
            };
            let taken = one.taken.iter().map(|taken| format!("{:.0} by {}", taken.at, taken.by));
            let taken = taken.collect::<Vec<_>>().join(", ");
            let (name, records) = (short(&one.snapshot), one.records);
            writeln!(out, "{name}  {as_of}  {records:>6} records  {mark:<8}  {taken}")?;
        }
    }
    Ok(if all.is_empty() { Answer::No } else { Answer::Good })
}
