//! `octroi tpp show`: one TPP, as far as the gateway knows it.

use std::io::Write;
use std::path::PathBuf;

use certs::OrganisationId;
use jiff::Timestamp;
use policies::client::CertificateKind;
use serde::Serialize;

use super::{known, list};
use crate::authorization::ListedTpp;
use crate::cli::{Answer, Failure, Output};
use crate::config::Config;
use crate::tpps::Kind;
use crate::world;

const EXAMPLE: &str = "Example:
  octroi tpp show PSDFR-ACPR-16948 --config octroi.toml

Exit code 0: something is known about it; 1: nothing but what the registers say.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct ShowArgs {
    /// The organisation id of the TPP
    #[arg(value_name = "OID")]
    tpp: String,
    /// The configuration of the gateway
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// The JSON form.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    tpp: ListedTpp,
    register: &'static str,
    live_tokens: usize,
    certificates: Vec<Certificate>,
}

/// A certificate that was shown, or that an application was enrolled with.
#[derive(Serialize)]
struct Certificate {
    kind: &'static str,
    sha256: String,
    not_after: Timestamp,
    days_left: i64,
    /// Its holder has been let in with it.
    shown: bool,
    /// The applications that it was enrolled for.
    enrolled_for: Vec<String>,
}

pub(super) fn run(args: &ShowArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    let now = Timestamp::now();
    let config = Config::load(&args.config).map_err(Failure::cannot)?;
    let world = world::load(&config).map_err(Failure::cannot)?;
    let id = OrganisationId::new(&args.tpp).map_err(|error| Failure::Usage(error.to_string()))?;
    let found = known::tpps(&config)?.into_iter().find(|tpp| tpp.organisation_id == args.tpp);
    let tpp = found.unwrap_or_else(|| ListedTpp::new(&id));
    let mut certificates = Vec::new();
    for one in list::shown(&config, &world, now) {
        if one.organisation_id == id {
            let kind = match one.kind {
                Kind::Qwac => CertificateKind::Qwac,
                Kind::Qsealc => CertificateKind::Qsealc,
            };
            let sha256 = hex::encode(one.fingerprint);
            let certificate = Certificate::new(kind, sha256, one.not_after, now);
            certificates.push(Certificate { shown: true, ..certificate });
        }
    }
    enrolled(&tpp, &mut certificates, now);
    let report = Report {
        register: world.register.standing(&id, now).0.code(),
        live_tokens: known::live_tokens(&config, &id, now)?,
        certificates,
        tpp,
    };
    match args.output {
        Output::Json => {
            serde_json::to_writer_pretty(&mut *out, &report).map_err(std::io::Error::from)?;
            writeln!(out)?;
        }
        Output::Text => report.write(out)?,
    }
    let known = report.tpp.is_known() || report.live_tokens > 0 || !report.certificates.is_empty();
    Ok(if known { Answer::Good } else { Answer::No })
}

fn enrolled(tpp: &ListedTpp, certificates: &mut Vec<Certificate>, now: Timestamp) {
    for application in &tpp.applications {
        for one in &application.certificates {
            let client_id = application.client_id.clone();
            match certificates.iter_mut().find(|known| known.sha256 == one.sha256) {
                Some(known) => known.enrolled_for.push(client_id),
                None => {
                    let sha256 = one.sha256.clone();
                    let certificate = Certificate::new(one.kind, sha256, one.not_after, now);
                    let enrolled_for = vec![client_id];
                    certificates.push(Certificate { enrolled_for, ..certificate });
                }
            }
        }
    }
}

impl Certificate {
    fn new(kind: CertificateKind, sha256: String, not_after: Timestamp, now: Timestamp) -> Self {
        let days_left = not_after.duration_since(now).as_hours().div_euclid(24);
        let (shown, enrolled_for) = (false, Vec::new());
        Self { kind: kind.code(), sha256, not_after, days_left, shown, enrolled_for }
    }
}

impl Report {
    fn write(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let tpp = &self.tpp;
        writeln!(out, "{}", tpp.organisation_id)?;
        writeln!(out, "  register     {}", self.register)?;
        writeln!(out, "  live tokens  {}", self.live_tokens)?;
        if let Some(suspended) = &tpp.suspended {
            writeln!(out, "  suspended    by {}: {}", suspended.by, suspended.because)?;
        }
        if let Some(cut_at) = tpp.cut_at {
            writeln!(out, "  tokens ended {cut_at:.0}")?;
        }
        for one in &tpp.applications {
            let scopes: Vec<&str> = one.scopes.iter().map(String::as_str).collect();
            writeln!(out, "\n  application  {}", one.client_id)?;
            writeln!(out, "    name       {}", one.name)?;
            writeln!(out, "    scopes     {}", scopes.join(" "))?;
            writeln!(out, "    enrolled   {:.0}, {}", one.created_at, source(one.source))?;
            for uri in &one.redirect_uris {
                writeln!(out, "    call-back  {uri}")?;
            }
        }
        for one in &self.certificates {
            let by = if one.shown { "shown" } else { "enrolled" };
            let short = one.sha256.get(..12).unwrap_or_default();
            let ends = format!("ends {:.10}, {} days left", one.not_after, one.days_left);
            writeln!(out, "\n  certificate  {} {short}, {by}, {ends}", one.kind)?;
        }
        Ok(())
    }
}

const fn source(source: policies::client::EnrolmentSource) -> &'static str {
    match source {
        policies::client::EnrolmentSource::Portal => "by a person",
        policies::client::EnrolmentSource::Register => "by the TPP",
    }
}
