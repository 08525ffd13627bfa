//! `octroi audit export`.

use std::io::{self, Write};

use clap::ValueEnum;

use super::asked::{Asked, tell};
use super::place::Bar;
use crate::audit::export;
use crate::audit::search::{Hit, Query, Search};
use crate::audit::shelf::LogFile;
use crate::cli::{Answer, Failure};

const EXAMPLE: &str = "Example:
  octroi audit export --format ocsf --config octroi.toml --from 2026-11-22T00:00:00Z > requests.jsonl
  octroi audit export --format ecs --config octroi.toml --outcome refused > refused.jsonl

ocsf: each record of a request as one event of OCSF 1.6.0, HTTP Activity (class 4002), with the profiles
security_control and trace; other lines have no place there and are left out. What OCSF has no attribute
for stands in `unmapped`. ecs: each line as nested objects. One JSON value on each line, in order of time.
Exit code 0: there are some, 1: none.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Args {
    #[command(flatten)]
    asked: Asked,
    /// In whose words
    #[arg(long, value_enum)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The Open Cybersecurity Schema Framework
    Ocsf,
    /// The Elastic Common Schema
    Ecs,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> Result<Answer, Failure> {
    let files = args.asked.files()?;
    let names: Vec<String> = files.iter().map(LogFile::name).collect();
    let mut found = 0;
    let mut each = |hit: Hit| {
        let name = names.get(hit.file).map(String::as_str).unwrap_or_default();
        let event = match args.format {
            Format::Ocsf => export::ocsf(&hit.bytes, name),
            Format::Ecs => export::ecs(&hit.bytes),
        };
        if let Some(event) = event {
            serde_json::to_writer(&mut *out, &event).map_err(io::Error::from)?;
            out.write_all(b"\n")?;
            found += 1;
        }
        Ok(true)
    };
    let find = |search: &Search<'_>, query: &Query, bar: &Bar| search.find(query, bar, &mut each);
    let outcome = args.asked.ask(&files, "exporting", find)?;
    tell(&outcome, found)
}
