//! `octroi rehearse`: yesterday's traffic against tomorrow's configuration or register.

mod report;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use policies::register::{Overrides, Snapshot};
use policies::{Register, World};

use self::report::Report;
use super::{Answer, Failure, Output, progress};
use crate::config::{AsOf, Config, DatedFile, EbaPlace};
use crate::register::{self as registers, Directory, Downloads, Parts};
use crate::replay::{self, Change, Limits, Rehearsal, Span};
use crate::world::{self, Past};

const EXAMPLE: &str = "Example:
  octroi rehearse --config new.toml --log /var/log/octroi/access
  octroi rehearse --config octroi.toml --register held --log audit
  octroi rehearse --config octroi.toml --register eba-tomorrow.json --log audit --output json

Each call of the log is judged in the new world, by the code of the gateway, as if it came at the instant
--at. A call that was refused before its token may only be said to come further: what its token, its
limits and its body would have done is not known. Limits that changed are counted over the times of the
records. Exit code 0: nothing that was allowed would be refused, 1: something would.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Args {
    /// The new configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Another register: `held`, how the name of a snapshot begins, a snapshot's file, or a file of the
    /// EBA's register of payment institutions [default: what is in force for the configuration]
    #[arg(long, value_name = "REGISTER")]
    register: Option<String>,
    /// The directory of the log [default: that of the configuration]
    #[arg(long, value_name = "DIR")]
    log: Option<PathBuf>,
    /// Only records from this instant on, RFC 3339
    #[arg(long, value_name = "INSTANT")]
    from: Option<Timestamp>,
    /// Only records before this instant
    #[arg(long, value_name = "INSTANT")]
    to: Option<Timestamp>,
    /// As of when the calls are judged [default: now]
    #[arg(long, value_name = "INSTANT")]
    at: Option<Timestamp>,
    /// Examples of each change, at most
    #[arg(long, value_name = "N", default_value_t = 5)]
    examples: usize,
    /// Threads that judge
    #[arg(long, value_name = "N", default_value_t = 2)]
    threads: usize,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> Result<Answer, Failure> {
    let at = args.at.unwrap_or_else(Timestamp::now);
    let config = Config::load(&args.config).map_err(Failure::cannot)?;
    let mut world = world::load(&config).map_err(Failure::cannot)?;
    if let Some(wanted) = &args.register {
        let register = another(wanted, &config, at)?;
        world = Arc::new(world.with_register(Arc::new(register)));
    }
    let directory = args.log.as_deref().unwrap_or(&config.audit.directory);
    let before = before(directory, &config, args.to.unwrap_or(at));
    let limits = Limits::changed(&world.routes, before.as_deref().map(|world| &*world.routes));
    let span = Span { from: args.from, to: args.to };
    let bar = progress::bar(replay::bytes(directory, span).map_err(Failure::cannot)?, "rehearsing");
    let rehearsal = Rehearsal {
        directory,
        span,
        world: &world,
        offices: config.authorization.as_ref().map(|settings| &settings.paths),
        before: before.as_deref(),
        at,
        limits,
        threads: args.threads.max(1),
        examples_max: args.examples,
    };
    let began = Instant::now();
    let rehearsed = rehearsal.run(&|bytes| bar.inc(bytes)).map_err(Failure::cannot)?;
    bar.finish_and_clear();
    let refuses = rehearsed.calls(Change::WouldBeRefused) > 0;
    let report = Report { at, rehearsed, seconds: began.elapsed().as_secs_f64() };
    report.write(args.output, out)?;
    Ok(if refuses { Answer::No } else { Answer::Good })
}

/// The world that was in force last before `to`, where it was written down.
fn before(directory: &Path, config: &Config, to: Timestamp) -> Option<Arc<World>> {
    let past = Past::open(directory, config.register.directory.as_deref()).ok()?;
    past.recall(past.at(to)?).ok().map(|recalled| recalled.world)
}

/// The register that `wanted` names, with the overrides that stand.
fn another(wanted: &str, config: &Config, at: Timestamp) -> Result<Register, Failure> {
    let directory = config.register.directory.as_ref().map(Directory::new);
    let overrides = match &directory {
        Some(directory) => directory.overrides().map_err(Failure::cannot)?.into_iter().collect(),
        None => Overrides::default(),
    };
    let snapshot = snapshot(wanted, config, directory.as_ref(), at)?;
    Register::of(&snapshot, overrides, config.register.policy).map_err(Failure::cannot)
}

fn snapshot(
    wanted: &str,
    config: &Config,
    directory: Option<&Directory>,
    at: Timestamp,
) -> Result<Snapshot, Failure> {
    let file = Path::new(wanted);
    if file.is_file() {
        let bytes = std::fs::read(file)
            .map_err(|error| Failure::Cannot(format!("{}: {error}", file.display())))?;
        if let Ok(snapshot) = serde_json::from_slice::<Snapshot>(&bytes) {
            return Ok(snapshot);
        }
        let mut settings = config.register.clone();
        let (name, path) = (wanted.to_owned(), file.to_owned());
        settings.eba = Some(EbaPlace::File(DatedFile { name, path, as_of: AsOf::Fixed(at) }));
        let downloads = settings.directory.as_deref().map(Downloads::below);
        let parts = Parts::of(&settings, |url| downloads.as_ref()?.find(url));
        let built = parts.and_then(|parts| registers::build(&parts, &mut |_| {}, &|_| {}));
        return built.map_err(Failure::cannot);
    }
    let Some(directory) = directory else {
        let why = format!(
            "--register {wanted}: there is no such file, and the configuration has no `register.directory`"
        );
        return Err(Failure::Usage(why));
    };
    let name = match wanted {
        "held" => match directory.held().map_err(Failure::cannot)? {
            Some(held) => held.snapshot,
            None => return Err(Failure::Cannot("no snapshot of the registers is held".to_owned())),
        },
        name => name.to_owned(),
    };
    directory.archive().read(&name).map_err(Failure::cannot)
}
