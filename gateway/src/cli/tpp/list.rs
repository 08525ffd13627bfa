//! `octroi tpp list`: whose certificates were shown and when they end, and who has enrolled.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use certs::{Lint, PspRole, Revocations};
use comfy_table::{Table, presets};
use jiff::Timestamp;
use policies::World;
use serde::Serialize;

use super::known;
use crate::authorization::ListedTpp;
use crate::cli::{Answer, Failure, Output};
use crate::config::Config;
use crate::tpps::Shown;
use crate::world::{self, Kept};

const EXAMPLE: &str = "Example:
  octroi tpp list --config octroi.toml
  octroi tpp list --config octroi.toml --ends-within 30

A certificate is listed once its holder has been let in, and as long as it is watched for revocation
([trust.revocation]). Applications are asked of the running gateway, or read from the store.
Exit code 0: none, or none that ends so soon; 1: some that end within --ends-within.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct ListArgs {
    /// The configuration of the gateway
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Only certificates that end within so many days
    #[arg(long, value_name = "DAYS")]
    ends_within: Option<i64>,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// The JSON form.
#[derive(Serialize)]
struct Report {
    certificates: Vec<Row>,
    /// Not looked up where only ends are asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    tpps: Option<Vec<ListedTpp>>,
}

/// A certificate that was shown.
#[derive(Serialize)]
struct Row {
    organisation_id: String,
    name: Option<String>,
    kind: &'static str,
    roles: Vec<&'static str>,
    not_after: Timestamp,
    days_left: i64,
    /// Another certificate of the same kind that ends later takes over.
    renewed: bool,
    register: &'static str,
    /// Lints about extKeyUsage.
    purpose: Vec<&'static str>,
    qtsp: String,
    sha256: String,
}

pub(super) fn run(args: &ListArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    let now = Timestamp::now();
    let config = Config::load(&args.config).map_err(Failure::cannot)?;
    let world = world::load(&config).map_err(Failure::cannot)?;
    if config.trust.revocation.is_none() && args.ends_within.is_some() {
        let why = "the gateway remembers no certificates without [trust.revocation]: name a directory there";
        return Err(Failure::Cannot(why.to_owned()));
    }
    let soon = |row: &Row| args.ends_within.is_none_or(|days| row.days_left <= days);
    let certificates: Vec<Row> =
        rows(&shown(&config, &world, now), &world, now).into_iter().filter(soon).collect();
    let tpps = match args.ends_within {
        Some(_) => None,
        None => Some(known::tpps(&config)?),
    };
    let ends = args.ends_within.is_some() && certificates.iter().any(|row| !row.renewed);
    let report = Report { certificates, tpps };
    match args.output {
        Output::Json => {
            serde_json::to_writer_pretty(&mut *out, &report).map_err(std::io::Error::from)?;
            writeln!(out)?;
        }
        Output::Text => write(&report, &config, out)?,
    }
    Ok(if ends { Answer::No } else { Answer::Good })
}

fn write(report: &Report, config: &Config, out: &mut dyn Write) -> Result<(), Failure> {
    if config.trust.revocation.is_none() {
        writeln!(out, "certificates that were shown are not remembered: no [trust.revocation]")?;
    } else if report.certificates.is_empty() {
        writeln!(out, "no TPPs that were let in")?;
    } else {
        writeln!(out, "{}", table(&report.certificates))?;
    }
    match &report.tpps {
        None => {}
        Some(tpps) if tpps.is_empty() => writeln!(out, "\nno TPPs that have enrolled")?,
        Some(tpps) => writeln!(out, "\n{}", enrolled(tpps))?,
    }
    Ok(())
}

/// The certificates that the gateway remembers, those that end first before.
pub(super) fn shown(config: &Config, world: &World, now: Timestamp) -> Vec<Shown> {
    let Some(settings) = &config.trust.revocation else { return Vec::new() };
    let kept = Kept::new(&settings.directory);
    let paths = kept.load(&world.anchors, &mut Revocations::empty(), now);
    let mut shown: Vec<Shown> = paths.iter().filter_map(Shown::read).collect();
    shown.sort_by(|a, b| {
        a.not_after.cmp(&b.not_after).then_with(|| a.fingerprint.cmp(&b.fingerprint))
    });
    shown
}

fn rows(shown: &[Shown], world: &World, now: Timestamp) -> Vec<Row> {
    let mut last = BTreeMap::new();
    for one in shown {
        // In the order of their ends: the last one written is the last to end.
        last.insert((one.organisation_id.as_str(), one.kind), one.fingerprint);
    }
    let row = |one: &Shown| Row {
        organisation_id: one.organisation_id.as_str().to_owned(),
        name: one.name.clone(),
        kind: one.kind.code(),
        roles: one.roles.iter().map(PspRole::code).collect(),
        not_after: one.not_after,
        days_left: one.days_left(now),
        renewed: last.get(&(one.organisation_id.as_str(), one.kind)) != Some(&one.fingerprint),
        register: world.register.standing(&one.organisation_id, now).0.code(),
        purpose: one.purpose.iter().copied().map(Lint::code).collect(),
        qtsp: one.anchor.clone(),
        sha256: hex::encode(one.fingerprint),
    };
    shown.iter().map(row).collect()
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "organisation",
        "name",
        "kind",
        "roles",
        "ends",
        "days left",
        "register",
        "remarks",
    ]);
    for row in rows {
        let renewed = row.renewed.then_some("renewed");
        let remarks: Vec<&str> = renewed.into_iter().chain(row.purpose.iter().copied()).collect();
        table.add_row([
            row.organisation_id.clone(),
            row.name.clone().unwrap_or_default(),
            row.kind.to_owned(),
            row.roles.join(" "),
            format!("{:.10}", row.not_after),
            row.days_left.to_string(),
            row.register.to_owned(),
            remarks.join(", "),
        ]);
    }
    table
}

fn enrolled(tpps: &[ListedTpp]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["organisation", "client id", "name", "scopes", "enrolled", "remarks"]);
    for tpp in tpps {
        let remark = match (&tpp.suspended, tpp.cut_at) {
            (Some(suspended), _) => format!("suspended by {}: {}", suspended.by, suspended.because),
            (None, Some(cut_at)) => format!("all tokens ended on {cut_at:.10}"),
            (None, None) => String::new(),
        };
        for one in &tpp.applications {
            let scopes: Vec<&str> = one.scopes.iter().map(String::as_str).collect();
            table.add_row([
                tpp.organisation_id.clone(),
                one.client_id.clone(),
                one.name.clone(),
                scopes.join(" "),
                format!("{:.10}", one.created_at),
                remark.clone(),
            ]);
        }
        if tpp.applications.is_empty() {
            table.add_row([tpp.organisation_id.as_str(), "", "", "", "", &remark]);
        }
    }
    table
}
