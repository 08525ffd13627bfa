//! The command line: the verbs in the order in which a newcomer meets them, and what their ends mean.

mod audit;
mod cert;
mod check;
mod dossier;
mod explain;
mod files;
mod healthcheck;
mod openapi;
mod progress;
mod register;
mod rehearse;
mod reload;
mod report;
mod roadmap;
mod run;
mod sandbox;
mod token;
mod tpp;
mod trust;
mod version;

use std::io::{self, Write};

use clap::{Parser, Subcommand, ValueEnum};
use thiserror::Error;

/// A PSD2 gateway: from a TPP's TLS handshake to the core-banking adapter, through every control.
#[derive(Debug, Parser)]
#[command(name = "octroi", version, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

const EXIT_CODES: &str = "Exit codes: 0 good, 1 the answer is \"no\", 2 wrong usage, 3 cannot do it, 4 only a part can be told.";

#[derive(Debug, Subcommand)]
enum Verb {
    Sandbox(sandbox::SandboxArgs),
    /// Run the gateway with a configuration
    Run(run::Args),
    /// Have the running gateway read its configuration again
    Reload(reload::Args),
    /// Tell whether a configuration is sound, and what it amounts to
    Check(check::CheckArgs),
    /// Tell the verdict for a certificate, host, path and token, check by check, offline
    Explain(explain::Args),
    /// Read any QWAC or QSEALC; issue test ones
    Cert(cert::Args),
    /// Registers as data: fetch, lint, diff, show, list, accept, override
    Register(register::Args),
    /// Tell which API versions come and go, and who must still move
    Roadmap(roadmap::Args),
    /// Trusted lists as data: import, list, diff, rollback
    Trust(trust::Args),
    /// TPPs: list, show, suspend, resume, enrol, remove
    Tpp(tpp::Args),
    /// Live tokens: list, revoke
    Token(token::Args),
    /// The access log: verify, search, show, export, key, replay
    Audit(Box<audit::Args>),
    /// Freeze the evidence about a TPP that is refused, and draft what the law asks to be said
    Dossier(dossier::Args),
    /// Yesterday's traffic against tomorrow's configuration or register
    Rehearse(rehearse::Args),
    /// The regulator's quarterly statistics, from the access log
    Report(report::Args),
    /// Ask a gateway on this machine how it is
    Healthcheck(healthcheck::Args),
    /// Describe what a configuration serves, as OpenAPI
    Openapi(openapi::Args),
    /// Tell which program and which OpenSSL this is
    Version(version::Args),
}

/// For whom a verb prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    #[default]
    Text,
    /// One JSON value, for programs
    Json,
}

/// What a verb that did its work answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Answer {
    /// Exit code 0.
    Good,
    /// Exit code 1: the verb works, and the answer to its question is "no".
    No,
    /// Exit code 4: the answer is "yes" as far as it goes, and it does not go all the way.
    Partly,
}

/// Why a verb could not do its work.
#[derive(Debug, Error)]
pub enum Failure {
    /// Exit code 2: the options do not make sense together.
    #[error("{0}")]
    Usage(String),
    /// Exit code 3: something that it needs is missing or broken. Says what, and how to mend it.
    #[error("{0}")]
    Cannot(String),
    /// Exit code 3: the answer could not be written.
    #[error("cannot write the answer: {0}")]
    Output(#[from] io::Error),
}

impl Cli {
    /// Runs the verb. Data go to `out`, which may be piped; messages go to standard error.
    ///
    /// # Errors
    /// The verb could not do its work: see [`Failure`].
    pub fn run(self, out: &mut dyn Write) -> Result<Answer, Failure> {
        match self.verb {
            Verb::Sandbox(args) => sandbox::run(&args, out),
            Verb::Run(args) => run::run(&args),
            Verb::Reload(args) => reload::run(&args, out),
            Verb::Check(args) => check::run(&args, out),
            Verb::Explain(args) => explain::run(&args, out),
            Verb::Cert(args) => cert::run(args, out),
            Verb::Register(args) => register::run(args, out),
            Verb::Roadmap(args) => roadmap::run(&args, out),
            Verb::Trust(args) => trust::run(args, out),
            Verb::Tpp(args) => tpp::run(args, out),
            Verb::Token(args) => token::run(args, out),
            Verb::Audit(args) => audit::run(*args, out),
            Verb::Dossier(args) => dossier::run(&args, out),
            Verb::Rehearse(args) => rehearse::run(&args, out),
            Verb::Report(args) => report::run(args, out),
            Verb::Healthcheck(args) => healthcheck::run(&args, out),
            Verb::Openapi(args) => openapi::run(&args, out),
            Verb::Version(args) => version::run(args, out),
        }
    }
}

impl Failure {
    fn cannot(what: impl ToString) -> Self {
        Self::Cannot(what.to_string())
    }

    /// The exit code of the process.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Cannot(_) | Self::Output(_) => 3,
        }
    }

    /// The reader of a pipe has what it wanted and left: nothing to tell anyone.
    pub fn is_reader_gone(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// What stands in a log may come from anybody: nothing of it moves the cursor of the reader, or turns the
/// direction of what he reads.
fn printable(text: &str) -> String {
    let unseen = |c: char| c.is_control() || crate::audit::is_unseen(c);
    text.chars().map(|c| if unseen(c) { '\u{FFFD}' } else { c }).collect()
}
