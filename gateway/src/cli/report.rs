//! `octroi report`: the regulator's quarterly statistics.

mod roll_up;
mod verify;

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use policies::statistics::{Quarter, Service};

use super::{Answer, Failure};
use crate::config::Config;
use crate::pages::language::Language;
use crate::statistics::{Inquiry, Made, write_page, write_table};

const EXAMPLE: &str = "Example:
  octroi report --quarter 2026-Q4 --log /var/log/octroi --to /srv/statistics
  octroi report --quarter 2026-Q4 --log gw1/audit --log gw2/audit --config octroi.toml \\
    --customer-interface customers.csv --to out
  octroi report --verify --quarter 2026-Q4 --log gw1/audit --log gw2/audit --to out
  octroi report roll-up --log /var/log/octroi

Days that are over, with the UTC day that they end in, are counted. Exit code 0: good, 1: --verify found a difference, or lines of
a log could not be read.";

/// Whose midnights part the days, unless told otherwise.
const ZONE: &str = "Europe/Paris";

/// What `octroi report` is asked.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// The quarter, for example 2026-Q4
    #[arg(long, value_name = "QUARTER", required = true)]
    quarter: Option<Quarter>,
    #[command(flatten)]
    place: Place,
    /// The customer interface's figures, to stand beside: a CSV file
    #[arg(long, value_name = "FILE")]
    customer_interface: Option<PathBuf>,
    /// Where the files go
    #[arg(long, value_name = "DIR", required = true)]
    to: Option<PathBuf>,
    /// Test traffic (hosts under .localhost) instead of the bank's; every page says so
    #[arg(long)]
    sandbox: bool,
    /// Write the page in this language only. Default: in each
    #[arg(long, value_parser = ["fr", "en"])]
    language: Option<String>,
    /// Recompute everything from the records, and tell each figure of DIR and of the roll-ups that differs
    #[arg(long)]
    verify: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Make the roll-ups of all days that are over
    RollUp(roll_up::Args),
}

/// Which logs, and how they are counted.
#[derive(Debug, clap::Args)]
struct Place {
    /// A directory of a gateway's access log; several add up
    #[arg(long, value_name = "DIR", required = true)]
    log: Vec<PathBuf>,
    /// Tells the names of the banks, the services of the APIs, and `[report]`
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Whose midnights part the days. Default: `report.time_zone`, else Europe/Paris
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
}

impl Place {
    /// The directories; one that is given twice would be counted twice.
    fn logs(&self) -> Result<Vec<PathBuf>, Failure> {
        let mut seen = std::collections::BTreeSet::new();
        for log in &self.log {
            let fault = |error| Failure::Cannot(format!("--log {}: {error}", log.display()));
            if !seen.insert(log.canonicalize().map_err(fault)?) {
                let log = log.display();
                return Err(Failure::Usage(format!("--log {log} is given twice: name it once")));
            }
        }
        Ok(self.log.clone())
    }

    fn config(&self) -> Result<Option<Config>, Failure> {
        let load = |file: &PathBuf| Config::load(file).map_err(Failure::cannot);
        self.config.as_ref().map(load).transpose()
    }

    fn zone(&self, config: Option<&Config>) -> Result<(TimeZone, String), Failure> {
        let configured = config.map_or(ZONE, |config| &config.report.time_zone);
        let name = self.time_zone.as_deref().unwrap_or(configured).to_owned();
        let zone = TimeZone::get(&name).map_err(|error| {
            Failure::Usage(format!("--time-zone {name}: {error}; write one such as Europe/Paris"))
        })?;
        Ok((zone, name))
    }
}

/// Data go into files; what was written is told on `out`.
pub(super) fn run(args: Args, out: &mut dyn Write) -> Result<Answer, Failure> {
    if let Some(Verb::RollUp(args)) = args.verb {
        return roll_up::run(&args, out);
    }
    // Clap has asked for both.
    let (Some(quarter), Some(to)) = (args.quarter, &args.to) else {
        return Err(Failure::Usage("--quarter and --to are needed".to_owned()));
    };
    let config = args.place.config()?;
    let (zone, zone_name) = args.place.zone(config.as_ref())?;
    let mut inquiry = Inquiry {
        quarter,
        logs: args.place.logs()?,
        zone,
        zone_name,
        as_of: Timestamp::now(),
        sandbox: args.sandbox,
        probe_counts: config.as_ref().is_some_and(|config| config.report.probe_counts),
        services: services(config.as_ref()),
        names: names(config.as_ref()),
        customer: args.customer_interface.clone(),
        anew: args.verify,
    };
    if args.verify {
        inquiry.as_of = verify::as_of(&inquiry, to)?;
    }
    let bar = bar();
    let made = inquiry.make(&|bytes| bar.inc_length(bytes), &|bytes| bar.inc(bytes));
    bar.finish_and_clear();
    let made = made.map_err(Failure::cannot)?;
    if args.verify {
        return verify::run(&inquiry, &made, to, out);
    }
    for (name, bytes) in files(&made, &inquiry.zone, args.language.as_deref())? {
        let path = to.join(name);
        write(&path, &bytes)?;
        writeln!(out, "{}", path.display())?;
    }
    Ok(told(&made))
}

/// The files of a report, by name.
fn files(
    made: &Made,
    zone: &TimeZone,
    only: Option<&str>,
) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let report = &made.report;
    let stem = stem(&report.quarter, report.sandbox);
    let mut json = serde_json::to_vec_pretty(report).map_err(Failure::cannot)?;
    json.push(b'\n');
    let table = write_table(report).map_err(Failure::cannot)?;
    let mut files = vec![(format!("{stem}.csv"), table), (format!("{stem}.json"), json)];
    for language in Language::ALL {
        if only.is_none_or(|only| only == language.code()) {
            let page = write_page(report, zone, language).map_err(Failure::cannot)?;
            files.push((format!("{stem}.{}.html", language.code()), page.into_bytes()));
        }
    }
    Ok(files)
}

fn stem(quarter: &str, sandbox: bool) -> String {
    format!("statistics-{quarter}{}", if sandbox { "-SANDBOX" } else { "" })
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let fault = |error| Failure::Cannot(format!("{}: {error}", path.display()));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(fault)?;
    }
    std::fs::write(path, bytes).map_err(fault)
}

/// Says what could not be counted.
fn told(made: &Made) -> Answer {
    let mut answer = Answer::Good;
    for books in &made.books {
        if let Some(why) = &books.not_kept {
            eprintln!("octroi: the roll-ups of {} are not kept: {why}", books.directory.display());
        }
    }
    let unmeasured = &made.report.unmeasured;
    if let (Some(first), Some(last)) = (unmeasured.first(), unmeasured.last()) {
        eprintln!(
            "octroi: of {} days, from {} to {}, not every log has all files: what they would tell is in no \
             figure; `unmeasured` in the JSON file names them",
            unmeasured.len(),
            first.date,
            last.date
        );
    }
    for source in &made.report.sources {
        for file in source.files.iter().filter(|file| file.unreadable > 0) {
            eprintln!(
                "octroi: {}: {} lines are no lines of a log; `octroi audit verify` says more",
                file.name, file.unreadable
            );
            answer = Answer::No;
        }
    }
    answer
}

fn services(config: Option<&Config>) -> BTreeMap<String, Service> {
    let apis = config.into_iter().flat_map(|config| &config.apis);
    let service = |api: &policies::Api| {
        let mut roles = api.required_roles.iter();
        let only = match (roles.next(), roles.next()) {
            (Some(role), None) => Some(Service::of_role(role)),
            _ => Service::of_scopes(api.scopes.iter().map(String::as_str)),
        };
        Some((api.name.clone(), only?))
    };
    apis.filter_map(service).collect()
}

fn names(config: Option<&Config>) -> BTreeMap<String, String> {
    let banks = config.into_iter().flat_map(|config| &config.codetabs);
    banks.map(|bank| (bank.codetab.code.to_string(), bank.codetab.name.to_string())).collect()
}

/// A bar for what may take longer than two seconds, on a terminal only.
fn bar() -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr_with_hz(4)
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(0), target).with_message("counting");
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {eta}")
    {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}
