//! `octroi audit`: the access log, for those who read it.

mod asked;
mod export;
mod key;
mod place;
mod replay;
mod search;
mod show;
mod verify;

use std::io::Write;

use super::{Answer, Failure};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

// One is made for each run of the program.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Tell whether the log is what the gateway wrote, and if not, where
    Verify(verify::Args),
    /// Find or count records and events
    Search(search::Args),
    /// Tell the story of one call
    Show(show::Args),
    /// Write records in the words of OCSF or ECS, for a SIEM
    Export(export::Args),
    /// Print the public key of the log, for an auditor to keep
    Key(key::Args),
    /// Judge every record once more in the world that judged it, and tell what comes out differently
    Replay(replay::Args),
}

pub(super) fn run(args: Args, out: &mut dyn Write) -> Result<Answer, Failure> {
    match args.verb {
        Verb::Verify(args) => verify::run(&args, out),
        Verb::Search(args) => search::run(&args, out),
        Verb::Show(args) => show::run(&args, out),
        Verb::Export(args) => export::run(&args, out),
        Verb::Key(args) => key::run(&args, out),
        Verb::Replay(args) => replay::run(&args, out),
    }
}

/// As many as work on a log at once.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}
