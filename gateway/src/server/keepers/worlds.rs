//! Removes the worlds that no log needs any more, once logs are removed.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::Config;
use crate::drain::{Drain, Stage};
use crate::world;

/// The first look; by then the worlds of this process are written down.
const FIRST_AFTER: Duration = Duration::from_secs(60);
/// How often it is looked. Logs are removed by days.
const LOOK_EVERY: Duration = Duration::from_secs(6 * 3600);

/// Looks until the gateway closes, where logs are removed at all.
pub(in crate::server) fn prune_worlds(config: &Config, drain: &Drain) {
    if config.audit.keep_for.is_none() {
        return;
    }
    let directory = config.audit.directory.clone();
    let mut closing = drain.watch(Stage::Closing);
    tokio::spawn(async move {
        let mut pause = FIRST_AFTER;
        loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => prune(directory.clone()).await,
                _ = closing.changed() => return,
            }
            pause = LOOK_EVERY;
        }
    });
}

async fn prune(directory: PathBuf) {
    match tokio::task::spawn_blocking(move || world::prune(&directory)).await {
        Ok(Ok(pruned)) if pruned == world::Pruned::default() => {}
        Ok(Ok(world::Pruned { files, objects })) => {
            tracing::info!(files, objects, "worlds that judged no record that is kept are removed");
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, "worlds that no log needs any more could not be removed");
        }
        Err(_) => {}
    }
}
