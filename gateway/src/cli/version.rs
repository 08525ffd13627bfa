//! `octroi version`: which program this is, and which OpenSSL it really runs with.

use std::io::Write;

use serde::Serialize;

use super::{Answer, Failure, Output};

const EXAMPLE: &str = "Example:\n  octroi version --output json";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Args {
    /// For people or for programs
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Serialize)]
struct Version {
    octroi: &'static str,
    /// What is linked, which a distribution may have replaced since the build.
    openssl: &'static str,
}

pub(super) fn run(args: Args, out: &mut dyn Write) -> Result<Answer, Failure> {
    let version =
        Version { octroi: env!("CARGO_PKG_VERSION"), openssl: openssl::version::version() };
    match args.output {
        Output::Text => writeln!(out, "octroi {}\n{}", version.octroi, version.openssl)?,
        Output::Json => {
            serde_json::to_writer(&mut *out, &version).map_err(std::io::Error::from)?;
            writeln!(out)?;
        }
    }
    Ok(Answer::Good)
}
