//! `octroi reload`: has the running gateway read its configuration again, and tells what came of it.

use std::io::Write;
use std::path::PathBuf;

use super::{Answer, Failure, Output};
use crate::admin::{Reloaded, client};
use crate::config::Config;

const EXAMPLE: &str = "Example:
  octroi reload --config /etc/octroi/octroi.toml

The gateway that runs with this file must have an admin key. A file that changes is read again within a
few seconds anyhow, and at once with SIGHUP; this verb tells what came of it. Exit code 0: the file is in
force, 1: it is refused and the gateway goes on as before.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Args {
    /// The configuration of the running gateway
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> Result<Answer, Failure> {
    // Only the address and the key are taken from the file: it may be wrong otherwise, and the gateway
    // is to say so.
    let admin = Config::admin_of(&args.config).map_err(Failure::cannot)?;
    let told = super::run::runtime(1)?.block_on(client::reload(&admin)).map_err(Failure::cannot)?;
    if args.output == Output::Json {
        serde_json::to_writer_pretty(&mut *out, &told).map_err(std::io::Error::from)?;
        writeln!(out)?;
    }
    let text = args.output == Output::Text;
    match told {
        Reloaded::Taken { changes } => {
            if text {
                changes.0.iter().try_for_each(|change| writeln!(out, "{change}"))?;
                writeln!(out, "in force")?;
            }
            Ok(Answer::Good)
        }
        Reloaded::Unchanged => {
            if text {
                writeln!(out, "nothing has changed")?;
            }
            Ok(Answer::Good)
        }
        Reloaded::Refused { problems } => {
            if text {
                problems.iter().for_each(|problem| eprintln!("{problem}"));
                eprintln!("refused; the gateway goes on with the configuration that it has");
            }
            Ok(Answer::No)
        }
    }
}
