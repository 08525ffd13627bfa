//! `octroi sandbox`: the arguments of the sandbox and of its `token`.

mod sign;

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;

use self::sign::SignArgs;
use super::run::runtime;
use super::{Answer, Failure};
use crate::config::Config;
use crate::log;
use crate::sandbox::{self, DIRECTORY_DEFAULT, Persona, Ports, SandboxError, client};
use crate::server::{self, Listeners};

/// Run everything on this machine, with nothing installed: test QTSP, registers, sandbox bank,
/// gateway.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Example:\n  octroi sandbox --dir /tmp/sandbox --tpp-port 0"
)]
pub(super) struct SandboxArgs {
    /// What to do other than run the sandbox.
    #[command(subcommand)]
    pub(super) command: Option<SandboxCommand>,
    /// Where the sandbox keeps everything; what is there is used again.
    #[arg(long, value_name = "DIR", default_value = DIRECTORY_DEFAULT)]
    pub(super) dir: PathBuf,
    /// Port for TPPs; 0 takes any that is free.
    #[arg(long, value_name = "PORT", default_value_t = Ports::DOCUMENTED.tpp)]
    pub(super) tpp_port: u16,
    /// Port for the browsers of PSUs; 0 takes any that is free.
    #[arg(long, value_name = "PORT", default_value_t = Ports::DOCUMENTED.psu)]
    pub(super) psu_port: u16,
    /// Port for metrics, health and administration; 0 takes any that is free.
    #[arg(long, value_name = "PORT", default_value_t = Ports::DOCUMENTED.admin)]
    pub(super) admin_port: u16,
    /// Begin anew: removes what a sandbox wrote into DIR before. New keys, no tokens, no audit.
    #[arg(long)]
    pub(super) reset: bool,
}

impl SandboxArgs {
    /// The three ports.
    pub(super) fn ports(&self) -> Ports {
        Ports { tpp: self.tpp_port, psu: self.psu_port, admin: self.admin_port }
    }
}

/// What `octroi sandbox` can do beside running.
#[derive(Debug, Subcommand)]
pub(super) enum SandboxCommand {
    /// Print an access token that a persona "just" consented to.
    Token(TokenArgs),
    /// Print the header fields with which a TPP signs a request with its QSEALC.
    Sign(SignArgs),
}

/// Arguments of `octroi sandbox token`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  TOKEN=$(octroi sandbox token --tpp funds-co --persona gilles)")]
pub(super) struct TokenArgs {
    /// The directory of a running sandbox.
    #[arg(long, value_name = "DIR", default_value = DIRECTORY_DEFAULT)]
    pub(super) dir: PathBuf,
    /// The TPP that will call with the token: a directory under DIR/tpp.
    #[arg(long, value_name = "NAME")]
    pub(super) tpp: String,
    /// Who consents: lea, claire, georges or gilles.
    #[arg(long, value_name = "PERSONA")]
    pub(super) persona: Persona,
    /// Scopes of the token, separated by blanks.
    #[arg(long, default_value = "cbpii")]
    pub(super) scope: String,
    /// The bank that the token opens [default: the bank of the persona's accounts]
    #[arg(long)]
    pub(super) codetab: Option<String>,
    /// The token alone, or the whole token response.
    #[arg(long, value_enum, default_value_t = TokenOutput::Text)]
    pub(super) output: TokenOutput,
}

/// How a token is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum TokenOutput {
    /// The access token alone.
    Text,
    /// The token response of RFC 6749 §5.1.
    Json,
}

/// Runs the sandbox, or does what the subcommand says.
pub(super) fn run(args: &SandboxArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    match &args.command {
        Some(SandboxCommand::Token(token)) => {
            let line = runtime(1)?.block_on(token.run()).map_err(Failure::cannot)?;
            writeln!(out, "{line}")?;
        }
        Some(SandboxCommand::Sign(sign)) => return sign.run(out),
        None => serve(args, out)?,
    }
    Ok(Answer::Good)
}

fn serve(args: &SandboxArgs, out: &mut dyn Write) -> Result<(), Failure> {
    log::start();
    let prepared = sandbox::prepare(&args.dir, args.ports(), args.reset, Timestamp::now());
    let prepared = prepared.map_err(Failure::cannot)?;
    let program = std::env::current_exe()?;
    // Ports are known before the configuration is read: URLs in answers follow from them.
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    runtime(threads)?.block_on(async {
        let listeners = Listeners::bind(prepared.wanted()).map_err(Failure::cannot)?;
        prepared.set_addresses(listeners.addresses).map_err(Failure::cannot)?;
        let config = Config::load(&prepared.config_file()).map_err(Failure::cannot)?;
        let mut announced = None;
        let ready = |addresses| {
            announced = Some(prepared.announce(addresses).map_err(io::Error::other)?);
            write!(out, "{}", prepared.banner(addresses, &program))?;
            out.flush()
        };
        Box::pin(server::run(config, listeners, ready)).await.map_err(Failure::cannot)
    })
}

impl TokenArgs {
    /// Asks the running sandbox; answers with what belongs on standard output, one line.
    async fn run(&self) -> Result<String, client::TokenError> {
        let Self { dir, tpp, persona, scope, codetab, output } = self;
        let codetab = codetab.as_deref();
        let response = client::request_token(dir, tpp, *persona, scope, codetab).await?;
        match output {
            TokenOutput::Text => Ok(response.access_token),
            TokenOutput::Json => serde_json::to_string(&response).map_err(|fault| {
                SandboxError::Material { what: "token".to_owned(), why: fault.to_string() }.into()
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Octroi {
        #[command(flatten)]
        sandbox: SandboxArgs,
    }

    fn parse(words: &[&str]) -> Result<SandboxArgs, clap::Error> {
        Octroi::try_parse_from([&["sandbox"], words].concat()).map(|octroi| octroi.sandbox)
    }

    #[test]
    fn without_arguments_the_documented_ports_and_directory_are_used() {
        let sandbox = parse(&[]).unwrap();
        assert_eq!(sandbox.ports(), Ports::DOCUMENTED);
        assert_eq!(sandbox.dir, PathBuf::from(".octroi-sandbox"));
        assert!(!sandbox.reset && sandbox.command.is_none());
    }

    #[test]
    fn the_line_that_others_rely_on_is_understood() {
        let words = "token --dir D --tpp funds-co --persona gilles --scope cbpii --output json";
        let sandbox = parse(&words.split(' ').collect::<Vec<_>>()).unwrap();
        let Some(SandboxCommand::Token(token)) = sandbox.command else { panic!("{sandbox:?}") };
        assert_eq!((token.persona, token.output), (Persona::Gilles, TokenOutput::Json));
        assert_eq!((token.tpp.as_str(), token.scope.as_str()), ("funds-co", "cbpii"));
    }

    #[test]
    fn an_unknown_persona_is_a_wrong_usage_that_names_the_known_ones() {
        let words = ["token", "--tpp", "funds-co", "--persona", "bob"];
        let refused = parse(&words).unwrap_err();
        assert_eq!(refused.exit_code(), 2);
        assert!(refused.to_string().contains("lea, claire, georges or gilles"), "{refused}");
    }
}
