//! `octroi register lint`.

use std::io::Write;
use std::path::PathBuf;

use jiff::Timestamp;
use policies::register::{Columns, Finding, Origin, Rejection, Snapshot, SourceFile};
use serde::Serialize;

use crate::cli::{Answer, Failure, Output, files};
use crate::config::Config;
use crate::register::{Downloads, Parts, build};

const EXAMPLE: &str = "Example:
  octroi register lint --config octroi.toml
  octroi register lint --eba PSDMD-202608160000.json
  octroi register lint --regafi-entities entites.csv --regafi-authorisations autorisations.csv

Exit code 0: every row could be read, 1: some were rejected, 3: a file is not a register.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Args {
    /// The files that this configuration names
    #[arg(long, value_name = "FILE", conflicts_with_all = ["eba", "eba_credit", "regafi_entities"])]
    config: Option<PathBuf>,
    /// The EBA's register of payment institutions: JSON, or the zip archive with it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["eba_credit", "regafi_entities"])]
    eba: Option<PathBuf>,
    /// The EBA's register of credit institutions
    #[arg(long, value_name = "FILE", conflicts_with = "regafi_entities")]
    eba_credit: Option<PathBuf>,
    /// REGAFI's entities
    #[arg(long, value_name = "FILE", requires = "regafi_authorisations")]
    regafi_entities: Option<PathBuf>,
    /// REGAFI's authorisations
    #[arg(long, value_name = "FILE", requires = "regafi_entities")]
    regafi_authorisations: Option<PathBuf>,
    /// How REGAFI's columns are called, in TOML
    #[arg(long, value_name = "FILE", requires = "regafi_entities")]
    columns: Option<PathBuf>,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Serialize)]
struct Report<'a> {
    sources: &'a [SourceFile],
    rejected: &'a [Rejection],
    findings: Vec<Finding>,
    institutions: usize,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> Result<Answer, Failure> {
    let parts = parts(args)?;
    let bar = crate::cli::progress::bar(parts.octets(), "reading");
    let mut rejected: Vec<Rejection> = Vec::new();
    let mut told = |rejection: &Rejection| rejected.push(rejection.clone());
    let snapshot = build(&parts, &mut told, &|octets| bar.inc(octets)).map_err(Failure::cannot)?;
    bar.finish_and_clear();
    let report = Report {
        sources: &snapshot.sources,
        rejected: &rejected,
        findings: snapshot.findings(),
        institutions: snapshot.records.len(),
    };
    match args.output {
        Output::Json => {
            serde_json::to_writer_pretty(&mut *out, &report).map_err(std::io::Error::from)?;
            writeln!(out)?;
        }
        Output::Text => text(&report, &snapshot, out)?,
    }
    Ok(if rejected.is_empty() { Answer::Good } else { Answer::No })
}

fn parts(args: &Args) -> Result<Parts, Failure> {
    if let Some(file) = &args.config {
        let config = Config::load(file).map_err(Failure::cannot)?;
        let downloads = config.register.directory.as_deref().map(Downloads::below);
        let find = |url: &str| downloads.as_ref()?.find(url);
        return Parts::of(&config.register, find).map_err(Failure::cannot);
    }
    let now = Timestamp::now();
    match (&args.eba, &args.eba_credit, &args.regafi_entities, &args.regafi_authorisations) {
        (Some(file), ..) => Ok(Parts::one(Origin::EbaPayment, file, now)),
        (_, Some(file), ..) => Ok(Parts::one(Origin::EbaCredit, file, now)),
        (.., Some(entities), Some(authorisations)) => {
            let columns = match &args.columns {
                None => Columns::default(),
                Some(file) => {
                    let text = String::from_utf8_lossy(&files::read(file)?).into_owned();
                    toml::from_str(&text).map_err(|error| {
                        let why = error.message();
                        Failure::Cannot(format!("{}: {why}", file.display()))
                    })?
                }
            };
            Ok(Parts::tables(entities, authorisations, columns, now))
        }
        _ => Err(Failure::Usage("name --config, or the files of one register".to_owned())),
    }
}

fn text(report: &Report<'_>, snapshot: &Snapshot, out: &mut dyn Write) -> Result<(), Failure> {
    for source in report.sources {
        let account = &source.account;
        writeln!(
            out,
            "{} ({}): {} rows read = {} used + {} not relevant + {} rejected",
            source.origin.code(),
            source.file,
            account.read,
            account.used,
            account.not_relevant,
            account.rejected
        )?;
    }
    for rejection in report.rejected {
        writeln!(out, "  rejected: {rejection}")?;
    }
    for finding in &report.findings {
        writeln!(
            out,
            "  look at: {} {} ({}): {}",
            finding.origin.code(),
            finding.code,
            finding.about,
            finding.kind.sentence()
        )?;
    }
    let ids = snapshot.records.iter().map(|record| record.ids.len()).sum::<usize>();
    writeln!(out, "{} records, {ids} organisation ids", report.institutions)?;
    Ok(())
}
