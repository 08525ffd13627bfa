//! `octroi run`: the gateway, until SIGTERM or SIGINT.

use std::path::PathBuf;

use tokio::runtime::{Builder, Runtime};

use super::{Answer, Failure};
use crate::config::Config;
use crate::log;
use crate::sandbox::Addresses;
use crate::server::{self, Listeners, Predecessor, StartError};

const EXAMPLE: &str = "Example:
  octroi run --config /etc/octroi/octroi.toml

SIGTERM: answers unready, goes on accepting for drain.delay, finishes what is in flight, leaves.
SIGINT: leaves without that delay. SIGHUP: reads the configuration again. SIGUSR2: starts the binary that
now lies at its path, hands its sockets over, and leaves once that one serves. OCTROI_LOG=debug says more.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Args {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Take over from the gateway that starts this one: it hands its sockets over and leaves once this one
    /// serves
    #[arg(long, hide = true)]
    upgrade: bool,
}

pub(super) fn run(args: &Args) -> Result<Answer, Failure> {
    log::start();
    let predecessor = args.upgrade.then(Predecessor::of_standard_input).transpose();
    let predecessor = predecessor.map_err(StartError::Predecessor).map_err(Failure::cannot)?;
    let config = Config::load(&args.config).map_err(Failure::cannot)?;
    server::remember_program();
    let wanted = Addresses {
        tpp: config.listen.tpp.address,
        psu: config.listen.psu.address,
        admin: config.listen.admin.address,
    };
    let served = runtime(config.threads)?.block_on(async {
        let (listeners, predecessor) = match predecessor {
            Some(mut before) => (Listeners::take_over(wanted, &mut before)?, Some(before)),
            None => (Listeners::bind(wanted)?, None),
        };
        let relieve = |_| predecessor.map_or(Ok(()), Predecessor::relieve);
        Box::pin(server::run(config, listeners, relieve)).await
    });
    served.map_err(Failure::cannot)?;
    Ok(Answer::Good)
}

/// One runtime for everything: the proxy's workers are its workers.
pub(super) fn runtime(threads: usize) -> Result<Runtime, Failure> {
    Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("octroi")
        .enable_all()
        .build()
        .map_err(Failure::cannot)
}
