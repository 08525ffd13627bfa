//! `octroi roadmap`: which versions come and go, and who must still move.

use std::io::Write;
use std::path::PathBuf;

use clap::ValueEnum;
use comfy_table::{Table, presets};
use jiff::{SignedDuration, Timestamp};
use policies::{Routes, on};
use serde::Serialize;

use super::{Answer, Failure};
use crate::config::Config;
use crate::pages::language::Language;
use crate::pages::roadmap;
use crate::roadmap::{Roadmap, Row, Use};

const EXAMPLE: &str = "Example:
  octroi roadmap --config octroi.toml
  octroi roadmap --config octroi.toml --log /var/log/octroi --days 90
  octroi roadmap --config octroi.toml --output html --language en > roadmap.html

The page is the one that the PSU listener serves at /roadmap; who calls is never in it.
Exit code 0: nobody calls a version that ends, or the log was not asked; 1: somebody must still move.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Args {
    /// The configuration of the gateway
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The directory of the access log: tells which TPPs still call a version that ends
    #[arg(long, value_name = "DIR")]
    log: Option<PathBuf>,
    /// Days of the log that are read, back from now
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..))]
    days: u16,
    /// For people, for programs, or for the developer portal
    #[arg(long, value_enum, default_value_t)]
    output: Form,
    /// The language of the page
    #[arg(long, value_enum, default_value_t)]
    language: PageLanguage,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people
    #[default]
    Text,
    /// One JSON value, for programs
    Json,
    /// The page of the developer portal
    Html,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum PageLanguage {
    /// French
    #[default]
    Fr,
    /// English
    En,
}

/// The JSON form.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    roadmap: &'a Roadmap,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage<'a>>,
}

#[derive(Serialize)]
struct Usage<'a> {
    since: Timestamp,
    versions: &'a [Use],
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> Result<Answer, Failure> {
    if args.output == Form::Html && args.log.is_some() {
        let why =
            "the page is for everybody, and who calls is not: leave out --log, or --output html";
        return Err(Failure::Usage(why.to_owned()));
    }
    let now = Timestamp::now();
    let config = Config::load(&args.config).map_err(Failure::cannot)?;
    let banks = config.codetabs.iter().map(|settings| settings.codetab.clone()).collect();
    let routes = Routes::build(&config.domains, banks, config.apis.clone());
    let roadmap = Roadmap::of(&routes.map_err(Failure::cannot)?, now);
    let since = now.checked_sub(SignedDuration::from_hours(24 * i64::from(args.days)));
    let since = since.map_err(Failure::cannot)?;
    let uses = match &args.log {
        None => None,
        Some(directory) => Some(
            Use::read(directory, &roadmap, since)
                .map_err(|error| Failure::Cannot(format!("{}: {error}", directory.display())))?,
        ),
    };
    match args.output {
        Form::Html => {
            let language = match args.language {
                PageLanguage::Fr => Language::French,
                PageLanguage::En => Language::English,
            };
            // It is read elsewhere, and its links lead back to the gateway.
            let base = &config.listen.psu.public_url;
            let page = roadmap::html(&roadmap, language, base).map_err(Failure::cannot)?;
            out.write_all(page.as_bytes())?;
        }
        Form::Json => {
            let usage = uses.as_deref().map(|versions| Usage { since, versions });
            let report = Report { roadmap: &roadmap, usage };
            serde_json::to_writer_pretty(&mut *out, &report).map_err(std::io::Error::from)?;
            writeln!(out)?;
        }
        Form::Text => {
            writeln!(out, "{}", table(&roadmap))?;
            for one in uses.iter().flatten() {
                write_use(one, args.days, out)?;
            }
        }
    }
    let must_move = uses.iter().flatten().any(|one| !one.callers.is_empty());
    Ok(if must_move { Answer::No } else { Answer::Good })
}

fn table(roadmap: &Roadmap) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["api", "version", "state", "deprecated", "ends", "days left", "successor"]);
    for row in &roadmap.versions {
        let date = |date: Option<Timestamp>| date.map(|date| on(date).to_string());
        table.add_row([
            row.api.clone(),
            row.version.clone(),
            state(row),
            date(row.deprecated).unwrap_or_default(),
            date(row.sunset).unwrap_or_default(),
            row.days_left.map(|days| days.to_string()).unwrap_or_default(),
            row.successor.clone().unwrap_or_default(),
        ]);
    }
    table
}

fn state(row: &Row) -> String {
    let state = row.stage.code().replace('_', " ");
    match row.introduced.filter(|_| row.stage == policies::LifeStage::Planned) {
        Some(introduced) => format!("{state} for {}", on(introduced)),
        None => state,
    }
}

fn write_use(one: &Use, days: u16, out: &mut dyn Write) -> std::io::Result<()> {
    let (api, version) = (&one.api, &one.version);
    if one.callers.is_empty() {
        return writeln!(out, "\n{api} {version}: nobody has called it in the last {days} days");
    }
    writeln!(out, "\n{api} {version}: who must still move, of the last {days} days")?;
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let successor = one.successor.as_deref().unwrap_or("a successor");
    let moved = format!("calls on {successor}");
    table.set_header(["organisation", "calls", "refused", "last call", &*moved]);
    for caller in &one.callers {
        table.add_row([
            caller.organisation_id.clone(),
            caller.calls.to_string(),
            caller.refused.to_string(),
            format!("{:.0}", caller.last_call),
            caller.successor_calls.to_string(),
        ]);
    }
    writeln!(out, "{table}")
}
