//! `octroi register`: the registers as data.

mod decide;
mod diff;
mod fetch;
mod lint;
mod list;
mod show;

use std::io::Write;
use std::path::PathBuf;

use jiff::Timestamp;
use policies::register::{Overrides, Snapshot};
use policies::{Register, World};

use super::{Answer, Failure};
use crate::admin;
use crate::config::{Config, StoreSettings};
use crate::register::{Directory, Impact, Known, Usable};
use crate::store::{self, Holders, StoreError};
use crate::{tpps, world};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Fetch what has a URL, read all files, and put the result in force if the gate lets it
    Fetch(fetch::Args),
    /// Account for every row of the files, and list what a person should look at
    Lint(lint::Args),
    /// Tell what a snapshot would change: records, TPPs that would be refused, their live tokens
    Diff(diff::Args),
    /// Tell everything that the registers say about one organisation
    Show(show::Args),
    /// Tell what is in force, or which snapshots and institutions there are
    List(list::Args),
    /// Put a snapshot in force by name, also one that the gate holds or an older one
    Accept(decide::AcceptArgs),
    /// Dated decisions that stand above the registers
    Override(decide::OverrideArgs),
}

pub(super) fn run(args: Args, out: &mut dyn Write) -> Result<Answer, Failure> {
    match args.verb {
        Verb::Fetch(args) => fetch::run(&args, out),
        Verb::Lint(args) => lint::run(&args, out),
        Verb::Diff(args) => diff::run(&args, out),
        Verb::Show(args) => show::run(&args, out),
        Verb::List(args) => list::run(&args, out),
        Verb::Accept(args) => decide::accept(&args, out),
        Verb::Override(args) => decide::overrides(args, out),
    }
}

/// Which registers are meant.
#[derive(Debug, clap::Args)]
struct Place {
    /// The configuration of the gateway
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

impl Place {
    fn config(&self) -> Result<Config, Failure> {
        Config::load(&self.config).map_err(Failure::cannot)
    }

    fn directory(config: &Config) -> Result<Directory, Failure> {
        let why = "the configuration has no `register.directory`: its registers are read once, at the \
                   start, and nothing is kept";
        let directory = config.register.directory.as_ref();
        Ok(Directory::new(directory.ok_or_else(|| Failure::Cannot(why.to_owned()))?))
    }
}

/// The beginning of a snapshot's name that people need.
fn short(name: &str) -> &str {
    name.get(..12).unwrap_or(name)
}

/// The TPPs that a gateway with this configuration knows, and whether their tokens could be counted.
fn known(config: &Config, world: &World) -> Result<(Known, bool), Failure> {
    let runtime = super::run::runtime(1)?;
    let now = Timestamp::now();
    let holders = runtime.block_on(async {
        let uncounted = |why: String| StoreError::Unavailable {
            engine: "running",
            doing: "counting live tokens",
            why,
        };
        // Asking a question must not make a file.
        if let StoreSettings::Embedded { file } = &config.store
            && !file.exists()
        {
            return Ok(Holders::new());
        }
        match store::open(&config.store, None) {
            Ok(store) => store.holders(now).await,
            Err(StoreError::InUse { .. }) => {
                admin::client::holders(config).await.map_err(|error| uncounted(error.to_string()))
            }
            Err(error) => Err(error),
        }
    });
    let seen = config.trust.revocation.as_ref().map(|settings| settings.directory.as_path());
    Ok(tpps::known(seen, &world.anchors, holders, now))
}

/// What putting `newer` in the place of `older` would do.
fn impact(
    config: &Config,
    older: &Snapshot,
    newer: &Snapshot,
    now: Timestamp,
) -> Result<Impact, Failure> {
    let policy = config.register.policy;
    let index = |snapshot: &Snapshot| {
        Register::of(snapshot, Overrides::default(), policy).map_err(Failure::cannot)
    };
    let (old, new) = (index(older)?, index(newer)?);
    let world = world::load(config).map_err(Failure::cannot)?;
    let (known, counted) = known(config, &world)?;
    let usable = Usable::of(config.apis.iter());
    Ok(Impact::of((older, &old), (newer, &new), (&known, counted), &usable, now))
}
