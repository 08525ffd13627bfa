//! What the bank decides about a TPP: the running gateway does it, and writes into its log who and why.

use std::io::{self, Write};
use std::path::PathBuf;

use certs::OrganisationId;

use crate::admin::{Application, client};
use crate::cli::{Answer, Failure, run};
use crate::config::Config;

pub(super) const SUSPEND: &str = "Example:
  octroi tpp suspend PSDFR-ACPR-16948 --by 'Ada Lovelace' --because 'incident 4711' \\
    --config octroi.toml

A gateway with this configuration must run and have an admin key. JWTs of another authorization server do
not end by it.";

pub(super) const RESUME: &str = "Example:
  octroi tpp resume PSDFR-ACPR-16948 --by 'Ada Lovelace' --because 'incident 4711 is over' \\
    --config octroi.toml

A gateway with this configuration must run and have an admin key. Exit code 0: resumed, 1: it was not
suspended.";

const REMOVE: &str = "Example:
  octroi tpp remove 1PSDFR-ACPR-16948-0-RWMH --by 'Ada Lovelace' --because 'asked by letter' \\
    --config octroi.toml

A gateway with this configuration must run and have an admin key. Exit code 0: removed, 1: there was
none.";

const ADD: &str = "Example:
  octroi tpp add --organisation-id PSDFR-ACPR-16948 --name 'Coffee' \\
    --redirect-uri https://tpp.example/callback --scope cbpii --by 'Ada Lovelace' \\
    --because 'asked by letter' --config octroi.toml

A gateway with this configuration must run and have an admin key.";

#[derive(Debug, clap::Args)]
struct Decider {
    /// The configuration of the running gateway
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Who does it
    #[arg(long, value_name = "NAME")]
    by: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    because: String,
}

#[derive(Debug, clap::Args)]
pub(super) struct DecideArgs {
    /// The organisation id of the TPP
    #[arg(value_name = "OID")]
    tpp: String,
    #[command(flatten)]
    decider: Decider,
}

#[derive(Debug, clap::Args)]
#[command(after_help = REMOVE)]
pub(super) struct RemoveArgs {
    /// The client id of the application, or the organisation id of its TPP
    #[arg(value_name = "CLIENT_ID|OID")]
    which: String,
    /// All applications of this organisation id, where it has several
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    decider: Decider,
}

#[derive(Debug, clap::Args)]
#[command(after_help = ADD)]
pub(super) struct AddArgs {
    /// Whose application it is
    #[arg(long, value_name = "OID")]
    organisation_id: String,
    /// Under which id it asks for tokens [default: its organisation id]
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// Its name, as customers are shown it
    #[arg(long, value_name = "TEXT")]
    name: String,
    /// Where its customers may be sent back to; may be given again
    #[arg(long = "redirect-uri", value_name = "URI", required = true)]
    redirect_uris: Vec<String>,
    /// What it may ask for: cbpii, aisp; may be given again
    #[arg(long = "scope", value_name = "SCOPE", default_value = "cbpii")]
    scopes: Vec<String>,
    #[command(flatten)]
    decider: Decider,
}

impl Decider {
    /// The configuration, with who does it and why.
    fn read(&self) -> Result<(Config, (&str, &str)), Failure> {
        if self.by.trim().is_empty() || self.because.trim().is_empty() {
            return Err(Failure::Usage("--by and --because need words".to_owned()));
        }
        let config = Config::load(&self.config).map_err(Failure::cannot)?;
        Ok((config, (&self.by, &self.because)))
    }
}

pub(super) fn decide(
    args: &DecideArgs,
    suspends: bool,
    out: &mut dyn Write,
) -> Result<Answer, Failure> {
    let (config, who) = args.decider.read()?;
    OrganisationId::new(&args.tpp).map_err(|error| Failure::Usage(error.to_string()))?;
    let decided = run::runtime(1)?
        .block_on(client::suspend(&config, &args.tpp, suspends, who))
        .map_err(Failure::cannot)?;
    match (suspends, decided.changed) {
        (true, true) => {
            writeln!(out, "suspended {}; live tokens ended: {}", args.tpp, decided.tokens)?
        }
        (true, false) => writeln!(out, "{} was suspended already; now for this reason", args.tpp)?,
        (false, true) => writeln!(out, "resumed {}; its tokens of before stay ended", args.tpp)?,
        (false, false) => writeln!(out, "{} is not suspended", args.tpp)?,
    }
    if let Some(jwt) = config.jwt.as_ref().filter(|_| suspends) {
        writeln!(
            io::stderr(),
            "octroi: access tokens that {} has signed do NOT end by this; to keep {} out at once: octroi \
             register override add {} --withdrawn …",
            jwt.issuer,
            args.tpp,
            args.tpp,
        )?;
    }
    Ok(if suspends || decided.changed { Answer::Good } else { Answer::No })
}

pub(super) fn remove(args: &RemoveArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    let (config, who) = args.decider.read()?;
    let removed = run::runtime(1)?
        .block_on(client::remove(&config, &args.which, args.all, who))
        .map_err(Failure::cannot)?;
    for one in &removed {
        writeln!(out, "removed {}; live tokens ended: {}", one.client_id, one.tokens)?;
    }
    if removed.is_empty() {
        writeln!(out, "no such application")?;
    }
    Ok(if removed.is_empty() { Answer::No } else { Answer::Good })
}

pub(super) fn add(args: &AddArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    let (config, (by, because)) = args.decider.read()?;
    let application = Application {
        organisation_id: args.organisation_id.clone(),
        client_id: args.client_id.clone(),
        name: args.name.clone(),
        redirect_uris: args.redirect_uris.clone(),
        scopes: args.scopes.clone(),
        by: by.to_owned(),
        because: because.to_owned(),
    };
    let added =
        run::runtime(1)?.block_on(client::add(&config, &application)).map_err(Failure::cannot)?;
    writeln!(out, "enrolled {}", added.client_id)?;
    Ok(Answer::Good)
}
