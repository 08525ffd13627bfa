//! What has the configuration read again without anybody asking for an answer: SIGHUP, and a change of
//! a file.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::admin::Orders;

/// As the metric knows a change of a file.
pub(super) const FILE: &str = "file";
/// As it knows SIGHUP.
pub(super) const SIGNAL: &str = "signal";
/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What the file system says of a file; another one stands for another content.
type Stamp = Option<(u64, u64, i64, i64)>;

/// Orders a reload with each SIGHUP until `closing`.
///
/// # Errors
/// The operating system refuses a signal handler.
pub(in crate::server) fn hang_up(
    orders: Orders,
    mut closing: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let mut hang_up = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = hang_up.recv() => orders.give(SIGNAL).await,
                _ = closing.changed() => return,
            }
        }
    });
    Ok(())
}

/// Orders a reload whenever a file has changed and two looks agree on how: one that is being written is
/// not whole yet. What was written between the start and the first look is found by reading once more.
pub(in crate::server) async fn look_at_files(
    files: Arc<ArcSwap<Vec<PathBuf>>>,
    orders: Orders,
    mut closing: watch::Receiver<bool>,
) {
    let (mut handled, mut pending) = (None, None);
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = look.tick() => {}
            _ = closing.changed() => return,
        }
        let files = files.load_full();
        let seen = Some(tokio::task::block_in_place(|| stamps(&files)));
        if seen != handled && seen == pending {
            handled.clone_from(&seen);
            orders.ask(FILE).await;
        }
        pending = seen;
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    let stamp = |file: &PathBuf| {
        let meta = fs::metadata(file).ok()?;
        Some((meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()))
    };
    files.iter().map(stamp).collect()
}
