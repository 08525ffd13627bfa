//! `octroi token`: the live tokens of a TPP, asked of and revoked by the running gateway, which holds
//! the store and writes the log.

use std::io::Write;
use std::path::PathBuf;

use certs::OrganisationId;
use comfy_table::{Table, presets};

use super::{Answer, Failure, Output};
use crate::admin::{ListedToken, client};
use crate::config::Config;

const EXAMPLE: &str = "Example:
  octroi token list --tpp PSDFR-ACPR-16948 --config octroi.toml
  octroi token revoke --tpp PSDFR-ACPR-16948 --token 3f2a9c --by 'Ada Lovelace' \\
    --because 'the customer called' --config octroi.toml
  octroi token revoke --tpp PSDFR-ACPR-16948 --all --by 'Ada Lovelace' \\
    --because 'incident 4711' --config octroi.toml

Tokens are named by the SHA-256 of what the TPP holds. A gateway with this configuration must run and
have an admin key. Exit code 0: there are some, or some were revoked, 1: none.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Tell which live tokens a TPP holds
    List(ListArgs),
    /// Revoke one, or all
    Revoke(RevokeArgs),
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    /// The configuration of the running gateway
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The organisation id of the TPP
    #[arg(long, value_name = "OID")]
    tpp: String,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["token", "all"]))]
struct RevokeArgs {
    /// The configuration of the running gateway
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The organisation id of the TPP
    #[arg(long, value_name = "OID")]
    tpp: String,
    /// The token's SHA-256, or how it begins
    #[arg(long, value_name = "SHA256")]
    token: Option<String>,
    /// All its tokens
    #[arg(long)]
    all: bool,
    /// Who does it
    #[arg(long, value_name = "NAME")]
    by: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    because: String,
}

pub(super) fn run(args: Args, out: &mut dyn Write) -> Result<Answer, Failure> {
    match args.verb {
        Verb::List(args) => list(&args, out),
        Verb::Revoke(args) => revoke(&args, out),
    }
}

fn list(args: &ListArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    let config = Config::load(&args.config).map_err(Failure::cannot)?;
    OrganisationId::new(&args.tpp).map_err(|error| Failure::Usage(error.to_string()))?;
    let tokens = super::run::runtime(1)?
        .block_on(client::tokens(&config, &args.tpp))
        .map_err(Failure::cannot)?;
    match args.output {
        Output::Json => {
            serde_json::to_writer_pretty(&mut *out, &tokens).map_err(std::io::Error::from)?;
            writeln!(out)?;
        }
        Output::Text if tokens.is_empty() => writeln!(out, "no live tokens")?,
        Output::Text => writeln!(out, "{}", table(&tokens))?,
    }
    Ok(if tokens.is_empty() { Answer::No } else { Answer::Good })
}

fn revoke(args: &RevokeArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    let config = Config::load(&args.config).map_err(Failure::cannot)?;
    if args.by.trim().is_empty() || args.because.trim().is_empty() {
        return Err(Failure::Usage("--by and --because need words".to_owned()));
    }
    let revoked = super::run::runtime(1)?
        .block_on(client::revoke(
            &config,
            &args.tpp,
            args.token.as_deref(),
            (&args.by, &args.because),
        ))
        .map_err(Failure::cannot)?;
    for token in &revoked {
        writeln!(out, "revoked {}", token.sha256)?;
    }
    if revoked.is_empty() {
        writeln!(out, "no live tokens")?;
    }
    Ok(if revoked.is_empty() { Answer::No } else { Answer::Good })
}

fn table(tokens: &[ListedToken]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["token", "kind", "codetab", "scopes", "issued", "expires", "authenticated"]);
    for token in tokens {
        let scopes: Vec<&str> = token.scopes.iter().map(String::as_str).collect();
        table.add_row([
            token.sha256.get(..12).unwrap_or_default().to_owned(),
            token.kind.code().to_owned(),
            token.codetab.clone(),
            scopes.join(" "),
            format!("{:.0}", token.issued_at),
            format!("{:.0}", token.expires_at),
            format!("{:.0}", token.strong_authentication_at),
        ]);
    }
    table
}
