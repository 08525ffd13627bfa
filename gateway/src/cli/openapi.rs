//! `octroi openapi`: what a configuration serves, as OpenAPI.

use std::io::{self, Write};
use std::path::PathBuf;

use super::{Answer, Failure};
use crate::config::Config;
use crate::openapi;

const EXAMPLE: &str = "Example:
  octroi openapi --config /etc/octroi/octroi.toml > openapi.json
  octroi openapi --config .octroi-sandbox/octroi.toml

OpenAPI 3.1 as JSON, made of the configuration: paths, bodies, answers, and every reason that each
operation can be refused with. x-octroi-listener says which listener answers it.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Args {
    /// The configuration to describe
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> Result<Answer, Failure> {
    let config = Config::load(&args.config).map_err(Failure::cannot)?;
    serde_json::to_writer_pretty(&mut *out, &openapi::document(&config))
        .map_err(io::Error::from)?;
    writeln!(out)?;
    Ok(Answer::Good)
}
