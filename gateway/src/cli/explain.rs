//! `octroi explain`: the decision that the gateway would make, made offline and told check by check.
//!
//! It runs the same stages of `policies` on a world loaded from the same configuration, so its code
//! is the one that stands in the response, the audit record and the metric.

mod report;
mod token;

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use certs::http_signature::HttpRequest;
use certs::{Identity, Leaf};
use jiff::Timestamp;
use policies::{
    BodyRule, InterfaceFact, Presented, QuotaFact, Refusal, StandingFact, Trail, World,
};

use self::report::Report;
use self::token::Token;
use super::{Answer, Failure, Output, files};
use crate::audit::Pseudonyms;
use crate::config::Config;
use crate::world::{self, Past, Recalled};

const EXAMPLE: &str = "Example:
  octroi explain --config octroi.toml --certificate tpp.pem \\
      --host www.17515.sandbox.api.localhost --path /stet/psd2/v1.6.2/funds-confirmations

The quota is taken as granted. Without a token option no token was presented; without --body the
request body is not judged. Exit code 0: allowed, 1: refused.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Args {
    /// The configuration to judge with
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The TPP's certificate in PEM, leaf first (`-`: standard input); without it, none was presented
    #[arg(long, value_name = "PEM")]
    certificate: Option<PathBuf>,
    /// The Host header, as sent
    #[arg(long)]
    host: String,
    /// The server name of the TLS handshake [default: the host without its port]
    #[arg(long, value_name = "NAME")]
    sni: Option<String>,
    /// The request target, as sent
    #[arg(long)]
    path: String,
    /// As a call of the fallback (with the header `fallback: 1`), which needs no token
    #[arg(long, conflicts_with_all = ["token_source", "body"])]
    fallback: bool,
    /// The request method
    #[arg(long, default_value = "POST")]
    method: String,
    #[command(flatten)]
    token: token::Args,
    /// The request body (`-`: standard input); without it, the body is not judged
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
    /// The instant of the request, RFC 3339. One that has passed is judged in the world of then, where it
    /// lies beside the log (`worlds`): configuration, anchors, revocations, registers. Where it does not,
    /// only the registers are taken as they were [default: now]
    #[arg(long, value_name = "INSTANT")]
    at: Option<Timestamp>,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// What the decision came to, and what had to be assumed for it.
struct Verdict {
    refusal: Option<Refusal>,
    assumed: Vec<&'static str>,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> Result<Answer, Failure> {
    let at = args.at.unwrap_or_else(Timestamp::now);
    let config = Config::load(&args.config).map_err(Failure::cannot)?;
    let past = args.at.filter(|at| *at <= Timestamp::now());
    let past = past.map(|at| of_then(&config, at)).transpose()?.flatten();
    let world = match &past {
        Some(past) => Arc::clone(&past.world),
        None => world::load_at(&config, args.at).map_err(Failure::cannot)?,
    };
    let identity = identity(args, &world, at)?;
    let token = args.token.read()?;
    let body = args.body.as_deref().map(files::read).transpose()?;

    let authorization = token.authorization();
    let presented = Presented {
        identity: identity.as_ref(),
        sni: Some(args.sni.as_deref().unwrap_or_else(|| without_port(&args.host))),
        host: &args.host,
        method: &args.method,
        target: &args.path,
        authorization: authorization.as_ref().map(|value| value.as_slice()),
        attended: false,
    };
    let mut trail = Trail::new();
    let verdict = match args.fallback {
        true => divert(&presented, &world, at, &mut trail),
        false => judge(&presented, &token, body.as_deref(), &config, &world, at, &mut trail)?,
    };
    let number = past.map(|past| past.line.number);
    let report = Report::new(verdict.refusal.as_ref(), &verdict.assumed, &trail, (at, number));
    report.write(args.output, out)?;
    Ok(if verdict.refusal.is_none() { Answer::Good } else { Answer::No })
}

/// The world that was in force at `at`, where it was written down.
fn of_then(config: &Config, at: Timestamp) -> Result<Option<Recalled>, Failure> {
    let register = config.register.directory.as_deref();
    let past = Past::open(&config.audit.directory, register).map_err(Failure::cannot)?;
    past.at(at).map(|number| past.recall(number)).transpose().map_err(Failure::cannot)
}

/// The stages of the gateway, in its order. An error means that no verdict can be given.
fn judge(
    presented: &Presented<'_>,
    token: &Token,
    body: Option<&[u8]>,
    config: &Config,
    world: &Arc<World>,
    at: Timestamp,
    trail: &mut Trail,
) -> Result<Verdict, Failure> {
    let mut assumed = Vec::new();
    let admitted = match policies::admit(presented, world, at, trail) {
        Ok(admitted) => admitted,
        Err(refusal) => return Ok(Verdict { refusal: Some(refusal), assumed }),
    };
    let fact = token.fact(&admitted, config, at)?;
    let entitled = match admitted.with_token(fact, at, trail) {
        Ok(entitled) => entitled,
        Err(refusal) => return Ok(Verdict { refusal: Some(refusal), assumed }),
    };
    assumed.push("the quota is granted");
    let granted = QuotaFact::assumed(&entitled.charges());
    let metered = match entitled.with_quota(granted, at, trail) {
        Ok(metered) => metered,
        Err(refusal) => return Ok(Verdict { refusal: Some(refusal), assumed }),
    };
    if metered.needs_signature() {
        assumed.push("the request is signed by its sender; `octroi cert doctor` judges signatures");
        return Ok(Verdict { refusal: None, assumed });
    }
    let unsigned = || HttpRequest {
        method: presented.method,
        target: presented.target,
        authority: presented.host,
        fields: Vec::new(),
        body: body.unwrap_or_default(),
    };
    let sealed = match metered.with_signature(unsigned, at, trail) {
        Ok(sealed) => sealed,
        Err(refusal) => return Ok(Verdict { refusal: Some(refusal), assumed }),
    };
    let body = match (body, sealed.body_rule()) {
        (Some(body), _) => body,
        (None, BodyRule::None) => &[],
        (None, BodyRule::FundsConfirmation) => {
            assumed.push("the request body is right: none was given");
            return Ok(Verdict { refusal: None, assumed });
        }
    };
    let pseudonyms = Pseudonyms::new(config.audit.key.expose()).map_err(Failure::cannot)?;
    let understood = match sealed.with_body(body, |name| pseudonyms.of(name), trail) {
        Ok(understood) => understood,
        Err(refusal) => return Ok(Verdict { refusal: Some(refusal), assumed }),
    };
    let granted = QuotaFact::assumed(&understood.account_charges());
    let refusal = understood.with_account_quota(granted, at, trail).err();
    Ok(Verdict { refusal, assumed })
}

/// The stages of the gateway for a call of the fallback.
fn divert(
    presented: &Presented<'_>,
    world: &Arc<World>,
    at: Timestamp,
    trail: &mut Trail,
) -> Verdict {
    let mut assumed = Vec::new();
    let judged = policies::divert(presented, world, at, trail).and_then(|diverted| {
        if diverted.asks_for_interface() {
            assumed.push("the dedicated interface of the bank is down");
        }
        let opened = diverted.with_interface(InterfaceFact::Down { since: at }, trail)?;
        assumed.push("the bank has not suspended the TPP");
        let cleared = opened.with_standing(StandingFact::Free, trail)?;
        assumed.push("the quota is granted");
        let granted = QuotaFact::assumed(&cleared.charges());
        cleared.with_quota(granted, at, trail).map(drop)
    });
    Verdict { refusal: judged.err(), assumed }
}

/// What the file holds is taken as sent; `certs` judges it as it does in a handshake.
fn identity(args: &Args, world: &World, at: Timestamp) -> Result<Option<Identity>, Failure> {
    let Some(file) = &args.certificate else { return Ok(None) };
    let chain = Leaf::ders_of_pem(&files::read(file)?);
    let chain = chain.map_err(|why| Failure::Cannot(format!("{}: {why}", file.display())))?;
    let Some((leaf, sent)) = chain.split_first() else { return Ok(None) };
    Ok(Some(Identity::establish(leaf, sent, &world.anchors, &world.profile, at)))
}

fn without_port(host: &str) -> &str {
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}
