//! `octroi register accept` and `override`: what people decide.

use std::io::Write;

use jiff::Timestamp;
use policies::register::{Decision, Override};
use policies::{ServiceCode, ServiceSet};

use super::{Place, short};
use crate::cli::{Answer, Failure, Output};

const ACCEPT_EXAMPLE: &str = "Example:
  octroi register accept 3f2a9c --by 'Ada Lovelace' --config octroi.toml

A running gateway takes it in within seconds, and writes it in its log.";

#[derive(Debug, clap::Args)]
#[command(after_help = ACCEPT_EXAMPLE)]
pub(super) struct AcceptArgs {
    #[command(flatten)]
    place: Place,
    /// The snapshot, or how its name begins
    #[arg(value_name = "SNAPSHOT")]
    name: String,
    /// Who accepts it
    #[arg(long, value_name = "NAME")]
    by: String,
}

pub(super) fn accept(args: &AcceptArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    let config = args.place.config()?;
    let directory = Place::directory(&config)?;
    let by = args.by.trim();
    if by.is_empty() || by == "gateway" {
        return Err(Failure::Usage("--by needs the name of a person".to_owned()));
    }
    let taken = directory.take(&args.name, by, Timestamp::now()).map_err(Failure::cannot)?;
    writeln!(out, "in force  {}", short(&taken.snapshot))?;
    Ok(Answer::Good)
}

const OVERRIDE_EXAMPLE: &str = "Example:
  octroi register override add PSDFR-ACPR-16948 --authorised PS_05A --until 2026-12-24T00:00:00Z \\
    --because 'ACPR confirmed by letter, the register is late' --by 'Ada Lovelace' --by 'Alan Turing' \\
    --config octroi.toml
  octroi register override revoke 3 --by 'Ada Lovelace' --config octroi.toml";

#[derive(Debug, clap::Args)]
#[command(after_help = OVERRIDE_EXAMPLE)]
pub(super) struct OverrideArgs {
    #[command(subcommand)]
    verb: OverrideVerb,
}

#[derive(Debug, clap::Subcommand)]
enum OverrideVerb {
    /// Decide about one organisation for a while; two people must stand for it
    Add(AddArgs),
    /// Tell which decisions stand
    List(ListArgs),
    /// Take a decision back
    Revoke(RevokeArgs),
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("decision").required(true).args(["authorised", "withdrawn"]))]
struct AddArgs {
    #[command(flatten)]
    place: Place,
    /// The organisation id, as in the certificate
    #[arg(value_name = "OID")]
    id: String,
    /// It may provide this service, such as PS_05A; once for each
    #[arg(long, value_name = "SERVICE", value_parser = service)]
    authorised: Vec<ServiceCode>,
    /// It may provide nothing
    #[arg(long)]
    withdrawn: bool,
    /// When the decision ends, RFC 3339; a year away at most
    #[arg(long, value_name = "INSTANT")]
    until: Timestamp,
    /// Why
    #[arg(long, value_name = "TEXT")]
    because: String,
    /// Who decides: two different names
    #[arg(long, value_name = "NAME", required = true)]
    by: Vec<String>,
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    #[command(flatten)]
    place: Place,
    /// Those that are over as well
    #[arg(long)]
    all: bool,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, clap::Args)]
struct RevokeArgs {
    #[command(flatten)]
    place: Place,
    /// Its number
    #[arg(value_name = "NUMBER")]
    number: u64,
    /// Who takes it back
    #[arg(long, value_name = "NAME")]
    by: String,
}

fn service(code: &str) -> Result<ServiceCode, String> {
    ServiceCode::from_code(code).ok_or_else(|| {
        let known: Vec<&str> = ServiceCode::ALL.iter().map(|service| service.code()).collect();
        format!("no service code; one of {}", known.join(" "))
    })
}

pub(super) fn overrides(args: OverrideArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    match args.verb {
        OverrideVerb::Add(args) => add(&args, out),
        OverrideVerb::List(args) => list(&args, out),
        OverrideVerb::Revoke(args) => revoke(&args, out),
    }
}

fn add(args: &AddArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    let config = args.place.config()?;
    let directory = Place::directory(&config)?;
    let known = directory.overrides().map_err(Failure::cannot)?;
    let number = known.iter().map(|one| one.number).max().unwrap_or_default() + 1;
    let decision = if args.withdrawn {
        Decision::Withdrawn
    } else {
        Decision::Authorised(args.authorised.iter().copied().collect::<ServiceSet>())
    };
    let period = (Timestamp::now(), args.until);
    let made = Override::new(number, &args.id, decision, period, &args.because, &args.by)
        .map_err(|error| Failure::Usage(error.to_string()))?;
    directory.decide(&made).map_err(Failure::cannot)?;
    write_override(&made, out)?;
    Ok(Answer::Good)
}

fn list(args: &ListArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    let config = args.place.config()?;
    let directory = Place::directory(&config)?;
    let now = Timestamp::now();
    let mut all = directory.overrides().map_err(Failure::cannot)?;
    all.retain(|one| args.all || one.stands(now));
    match args.output {
        Output::Json => {
            serde_json::to_writer_pretty(&mut *out, &all).map_err(std::io::Error::from)?;
            writeln!(out)?;
        }
        Output::Text => all.iter().try_for_each(|one| write_override(one, out))?,
    }
    Ok(if all.is_empty() { Answer::No } else { Answer::Good })
}

fn revoke(args: &RevokeArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    let config = args.place.config()?;
    let directory = Place::directory(&config)?;
    if args.by.trim().is_empty() {
        return Err(Failure::Usage("--by needs the name of a person".to_owned()));
    }
    let found = directory.revoke(args.number, args.by.trim(), Timestamp::now());
    if found.map_err(Failure::cannot)? {
        writeln!(out, "override {} is taken back", args.number)?;
        return Ok(Answer::Good);
    }
    Err(Failure::Cannot(format!("there is no override {}", args.number)))
}

fn write_override(one: &Override, out: &mut dyn Write) -> Result<(), std::io::Error> {
    let [first, second] = &one.by;
    let revoked = match one.revoked_at {
        Some(at) => format!(", taken back {at:.0}"),
        None => String::new(),
    };
    writeln!(
        out,
        "override {}: {} {} from {:.0} until {:.0}{revoked}, by {first} and {second}: {}",
        one.number, one.organisation_id, one.decision, one.from, one.until, one.because
    )
}
