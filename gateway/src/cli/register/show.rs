//! `octroi register show`.

use std::io::Write;

use certs::OrganisationId;
use jiff::{SignedDuration, Timestamp};
use policies::register::{Override, Record, Services, Status};
use policies::{Api, Register, Standing};
use serde::Serialize;

use super::Place;
use crate::cli::{Answer, Failure, Output};
use crate::config::Config;
use crate::register::{Directory, Downloads, Parts, build};
use crate::world;

const EXAMPLE: &str = "Example:
  octroi register show PSDFR-ACPR-16948 --config octroi.toml
  octroi register show PSDFR-ACPR-16948 --config octroi.toml --at 2026-03-01T00:00:00Z

Exit code 0: it may use at least one API, 1: none.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    /// The organisation id, as in the certificate
    #[arg(value_name = "OID")]
    id: String,
    /// The instant, RFC 3339 [default: now]
    #[arg(long, value_name = "INSTANT")]
    at: Option<Timestamp>,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Also the JSON form.
#[derive(Serialize)]
struct Report {
    organisation_id: String,
    at: Timestamp,
    standing: &'static str,
    since: Option<String>,
    why: Option<&'static str>,
    /// Which register said it.
    source: &'static str,
    as_of: Option<Timestamp>,
    /// `fresh`, `tolerated` or `expired`.
    freshness: &'static str,
    disagreement: bool,
    /// A register lists another that differs only in spaces, hyphens or case.
    alike: bool,
    overridden_by: Option<Override>,
    /// Services anywhere, and in the bank's country.
    services: String,
    services_here: String,
    country: String,
    apis: Vec<Verdict>,
    /// What each register says.
    records: Vec<Record>,
}

#[derive(Serialize)]
struct Verdict {
    api: String,
    /// A service that it needs is listed.
    service: bool,
    /// It is listed for the bank's country.
    here: bool,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> Result<Answer, Failure> {
    let config = args.place.config()?;
    let at = args.at.unwrap_or_else(Timestamp::now);
    let id = OrganisationId::new(&args.id).map_err(Failure::cannot)?;
    let register = world::register(&config, args.at).map_err(Failure::cannot)?;
    let records = records(&config, &id, args.at)?;
    let report = report(&config, &register, &id, records, at);
    match args.output {
        Output::Json => {
            serde_json::to_writer_pretty(&mut *out, &report).map_err(std::io::Error::from)?;
            writeln!(out)?;
        }
        Output::Text => text(&report, out)?,
    }
    let open = report.apis.iter().any(|api| api.service);
    Ok(if open { Answer::Good } else { Answer::No })
}

fn records(
    config: &Config,
    id: &OrganisationId,
    at: Option<Timestamp>,
) -> Result<Vec<Record>, Failure> {
    let settings = &config.register;
    let kept = settings.directory.as_ref().map(Directory::new);
    let snapshot = match (&kept, at) {
        (Some(directory), Some(at)) => Some(directory.at(at).map_err(Failure::cannot)?.1),
        (Some(directory), None) => directory.archive().current().ok().map(|(_, current)| current),
        (None, _) => None,
    };
    let snapshot = match snapshot {
        Some(snapshot) => snapshot,
        None => {
            let downloads = settings.directory.as_deref().map(Downloads::below);
            let parts = Parts::of(settings, |url| downloads.as_ref()?.find(url));
            build(&parts.map_err(Failure::cannot)?, &mut |_| {}, &|_| {})
                .map_err(Failure::cannot)?
        }
    };
    Ok(snapshot.about(id.as_str()).cloned().collect())
}

fn report(
    config: &Config,
    register: &Register,
    id: &OrganisationId,
    records: Vec<Record>,
    at: Timestamp,
) -> Report {
    let (standing, evidence) = register.standing(id, at);
    let (services, here, since, why) = match standing {
        Standing::Authorised { services, here, since } => {
            (services, here, Some(since.to_string()), None)
        }
        Standing::Withdrawn { since } => {
            (Default::default(), Default::default(), since.map(|since| since.to_string()), None)
        }
        Standing::Undetermined(why) => (Default::default(), Default::default(), None, Some(why)),
        Standing::Unknown => (Default::default(), Default::default(), None, None),
    };
    let verdict = |api: &Api| Verdict {
        api: api.name.clone(),
        service: services.meets(api.services()),
        here: here.meets(api.services()),
    };
    Report {
        organisation_id: id.as_str().to_owned(),
        at,
        standing: standing.code(),
        since,
        why,
        source: evidence.source.code(),
        as_of: evidence.as_of,
        freshness: register.freshness(at).code(),
        disagreement: register.disagreements(at).any(|other| other == id.as_str()),
        alike: register.lists_alike(id),
        overridden_by: register.override_of(id, at).cloned(),
        services: services.to_string(),
        services_here: here.to_string(),
        country: register.policy().country.to_string(),
        apis: config.apis.iter().map(verdict).collect(),
        records,
    }
}

fn text(report: &Report, out: &mut dyn Write) -> Result<(), Failure> {
    let since = report.since.as_ref().map_or_else(String::new, |since| format!(" since {since}"));
    writeln!(out, "{}: {}{since}", report.organisation_id, report.standing)?;
    if let Some(why) = report.why {
        writeln!(out, "  {why}")?;
    }
    let as_of = report.as_of.map_or_else(String::new, |as_of| format!(", {as_of:.0}"));
    writeln!(out, "  says: {}{as_of} ({})", report.source, report.freshness)?;
    if let Some(decided) = &report.overridden_by {
        let [first, second] = &decided.by;
        writeln!(
            out,
            "  override {}: {} until {:.0}, by {first} and {second}: {}",
            decided.number, decided.decision, decided.until, decided.because
        )?;
    }
    if report.disagreement {
        writeln!(out, "  two registers contradict each other about it")?;
    }
    if report.alike {
        writeln!(out, "  a register lists another that differs only in spaces, hyphens or case")?;
    }
    if report.standing == "authorised" {
        let here = if report.services_here.is_empty() { "none" } else { &report.services_here };
        writeln!(out, "  services: {}; in {}: {here}", report.services, report.country)?;
    }
    for api in &report.apis {
        let verdict = match (api.service, api.here) {
            (true, true) => "may be used",
            (true, false) => "may be used; its service is not listed for this country",
            (false, _) => "may not be used",
        };
        writeln!(out, "  {}: {verdict}", api.api)?;
    }
    if report.records.is_empty() {
        writeln!(out, "no register has a record of it")?;
    }
    for record in &report.records {
        write_record(record, report.at, out)?;
    }
    Ok(())
}

fn write_record(record: &Record, at: Timestamp, out: &mut dyn Write) -> Result<(), Failure> {
    let (origin, kind, name) = (record.origin.code(), &record.kind, &record.name);
    writeln!(out, "\n{origin} {}: {kind} {name}", record.code)?;
    writeln!(out, "  {} under {:?}", record.authority, record.reference)?;
    match &record.status {
        Status::Dated(life) => {
            for (place, date) in life.dates().iter().enumerate() {
                let word = if place % 2 == 0 { "authorised" } else { "withdrawn" };
                let later = date
                    .to_zoned(jiff::tz::TimeZone::UTC)
                    .is_ok_and(|day| day.timestamp().duration_since(at) > SignedDuration::ZERO);
                writeln!(out, "  {word} {date}{}", if later { " (to come)" } else { "" })?;
            }
        }
        Status::Withdrawn => writeln!(out, "  withdrawn")?,
        Status::Unclear(why) => writeln!(out, "  {}", why.sentence())?,
    }
    match &record.services {
        Services::All => writeln!(out, "  every payment service")?,
        Services::Unlisted => writeln!(out, "  services are not listed here")?,
        Services::Listed(listed) => {
            for (country, services) in listed.iter() {
                writeln!(out, "  {country}: {services}")?;
            }
        }
    }
    Ok(())
}
