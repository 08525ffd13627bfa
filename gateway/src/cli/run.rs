//! `octroi run`: the gateway, until SIGTERM or SIGINT.

use std::path::PathBuf;

use tokio::runtime::{Builder, Runtime};

use super::{Answer, Failure};
use crate::config::Config;
use crate::log;
use crate::sandbox::Addresses;
use crate::server::{self, Listeners};

const EXAMPLE: &str = "Example:
  octroi run --config /etc/octroi/octroi.toml

SIGTERM: answers unready, goes on accepting for drain.delay, finishes what is in flight, leaves.
SIGINT: leaves without that delay. OCTROI_LOG=debug says more.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Args {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<Answer, Failure> {
    log::start();
    let config = Config::load(&args.config).map_err(Failure::cannot)?;
    let wanted = Addresses {
        tpp: config.listen.tpp.address,
        psu: config.listen.psu.address,
        admin: config.listen.admin.address,
    };
    let served = runtime(config.threads)?.block_on(async {
        let listeners = Listeners::bind(wanted)?;
        Box::pin(server::run(config, listeners, |_| Ok(()))).await
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
