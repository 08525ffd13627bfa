//! `octroi tpp`: the TPPs that a gateway knows: those that were let in, those that have enrolled, and
//! what the bank decides about them.

mod change;
mod known;
mod list;
mod show;

use std::io::Write;

use super::{Answer, Failure};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Tell which TPPs have enrolled or been let in, with which certificates, and which of those end soon
    List(list::ListArgs),
    /// Tell everything that is known about one TPP
    Show(show::ShowArgs),
    /// End all tokens of a TPP at once, and give it no new ones
    #[command(after_help = change::SUSPEND)]
    Suspend(change::DecideArgs),
    /// Let a suspended TPP ask for tokens again
    #[command(after_help = change::RESUME)]
    Resume(change::DecideArgs),
    /// Remove an application, or all applications of a TPP, with their tokens
    Remove(change::RemoveArgs),
    /// Enrol an application, as a portal would
    Add(change::AddArgs),
}

pub(super) fn run(args: Args, out: &mut dyn Write) -> Result<Answer, Failure> {
    match args.verb {
        Verb::List(args) => list::run(&args, out),
        Verb::Show(args) => show::run(&args, out),
        Verb::Suspend(args) => change::decide(&args, true, out),
        Verb::Resume(args) => change::decide(&args, false, out),
        Verb::Remove(args) => change::remove(&args, out),
        Verb::Add(args) => change::add(&args, out),
    }
}
