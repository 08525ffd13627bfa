//! `octroi check`: reads a configuration and every file that it names, and tells what they amount
//! to, or all that is wrong with them. Opens no listener, and asks nobody but, with `--live`, the store.

mod against;
mod live;
mod summary;
mod text;

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use self::against::Against;
use self::live::Live;
use self::summary::Summary;
use super::{Answer, Failure, Output};
use crate::config::{Config, ConfigProblems, Problem};
use crate::world::{self, WorldLoadError};

const EXAMPLE: &str = "Example:
  octroi check --config /etc/octroi/octroi.toml
  octroi check --live --config /etc/octroi/octroi.toml
  octroi check --config new.toml --against /etc/octroi/octroi.toml

Exit code 0: the gateway would start with it, 1: it is refused, 3: the file cannot be read or, with
--live, the store cannot be reached.";

/// What `octroi check` is asked.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct CheckArgs {
    /// The configuration to check
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Connect to the store, too, and look at it closely: topology, versions, persistence, eviction,
    /// rights, clocks, round trips
    #[arg(long)]
    live: bool,
    /// The configuration that runs today: tell what the checked one changes, and which keys need a
    /// restart or an upgrade
    #[arg(long, value_name = "OLD")]
    against: Option<PathBuf>,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// A configuration that the gateway would start with, for programs.
#[derive(Serialize)]
struct Sound<'a> {
    #[serde(flatten)]
    summary: &'a Summary,
    #[serde(skip_serializing_if = "Option::is_none")]
    live: Option<&'a Live>,
    #[serde(skip_serializing_if = "Option::is_none")]
    against: Option<&'a Against>,
}

/// A configuration that is refused, for programs.
#[derive(Serialize)]
struct Refused<'a> {
    sound: bool,
    problems: &'a [Problem],
}

/// Data go to `out`; the problems of a refused configuration go to standard error, except as JSON.
pub(super) fn run(args: &CheckArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    let file = args.config.as_path();
    File::open(file).map_err(|error| Failure::Cannot(format!("{}: {error}", file.display())))?;
    match summary(file, Timestamp::now()) {
        Ok((config, summary)) => {
            let live = if args.live { Some(live::look(&config)?) } else { None };
            let against = args.against.as_deref().map(|old| Against::of(&config, old));
            let against = against.transpose()?;
            match args.output {
                Output::Text => {
                    text::write(&summary, out)?;
                    live.iter().try_for_each(|live| live.write(out))?;
                    against.iter().try_for_each(|against| against.write(out))?;
                }
                Output::Json => json(
                    &Sound { summary: &summary, live: live.as_ref(), against: against.as_ref() },
                    out,
                )?,
            }
            let good = live.is_none_or(|live| live.sound);
            Ok(if good { Answer::Good } else { Answer::No })
        }
        Err(problems) => {
            match args.output {
                Output::Text => complain(file, &problems, &mut io::stderr().lock())?,
                Output::Json => json(&Refused { sound: false, problems: &problems.0 }, out)?,
            }
            Ok(Answer::No)
        }
    }
}

fn summary(file: &Path, now: Timestamp) -> Result<(Config, Summary), ConfigProblems> {
    let config = Config::load(file)?;
    let refused = |fault: WorldLoadError| ConfigProblems(vec![fault.problem(file)]);
    let world = world::load(&config).map_err(refused)?;
    world::register_files(&config).map_err(refused)?;
    let summary = Summary::of(&config, &world, now);
    Ok((config, summary))
}

fn complain(file: &Path, problems: &ConfigProblems, to: &mut dyn Write) -> io::Result<()> {
    writeln!(to, "{problems}")?;
    let count = problems.0.len();
    let plural = if count == 1 { "" } else { "s" };
    writeln!(to, "{}: refused, {count} problem{plural}", file.display())
}

fn json(value: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value).map_err(io::Error::from)?;
    writeln!(out)
}
