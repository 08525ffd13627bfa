//! `octroi cert`: reads any certificate as the gateway would, and issues test ones.

mod corpus;
mod doctor;
mod inspect;
mod issue;

use std::io::Write;

use super::{Answer, Failure};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Tell who a QWAC or QSEALC names, in which roles, and whether this gateway would accept it
    Inspect(inspect::Args),
    /// Tell why a signed request is refused, and which line of its signing string differs
    Doctor(doctor::Args),
    /// Issue a test certificate with the sandbox's QTSP
    Issue(issue::Args),
}

pub(super) fn run(args: Args, out: &mut dyn Write) -> Result<Answer, Failure> {
    match args.verb {
        Verb::Inspect(args) => inspect::run(&args, out),
        Verb::Doctor(args) => doctor::run(&args, out),
        Verb::Issue(args) => issue::run(&args, out),
    }
}
