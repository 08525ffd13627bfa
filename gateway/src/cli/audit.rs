//! `octroi audit`: the access log, as data.

mod replay;

use std::io::Write;

use super::{Answer, Failure};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Judge every record once more in the world that judged it, and tell what comes out differently
    Replay(replay::Args),
}

pub(super) fn run(args: Args, out: &mut dyn Write) -> Result<Answer, Failure> {
    match args.verb {
        Verb::Replay(args) => replay::run(&args, out),
    }
}
