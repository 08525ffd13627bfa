//! How the gateway leaves: nothing that was accepted is lost, and nobody who can go elsewhere is refused.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::drain::{Signal, Signals, Stage};
use crate::listen::Crowd;
use crate::proxy::Gateway;

/// What runs beside the requests is waited for so long when the gateway leaves.
const KEEPERS_LEAVE_MAX: Duration = Duration::from_secs(1);
/// A connection that is closed because nothing is asked on it needs no longer than this.
const QUIET_LEAVE_MAX: Duration = Duration::from_secs(5);

/// Why the gateway leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// It was told to.
    Told(Signal),
    /// Another one serves on the same sockets.
    TakenOver,
}

/// Unready first; then accepting nothing more, then nothing in flight, then the end of the log.
pub(super) async fn leave(
    gateway: &Arc<Gateway>,
    crowds: [&Crowd; 2],
    (why, mut signals): (Why, Signals),
) {
    let drain = gateway.settings().drain.clone();
    gateway.drain.enter(Stage::Draining);
    tracing::info!(?why, "leaving: no longer ready");
    match why {
        // Load balancers have to notice; until then their connections are welcome.
        Why::Told(Signal::Terminate) => {
            tokio::select! {
                () = sleep(drain.delay) => {}
                _ = signals.next() => {}
            }
        }
        Why::Told(Signal::Interrupt) => {}
        // Nobody has to notice anything, and nothing is urgent: who is quiet may ask once more, and is
        // then told to connect again.
        Why::TakenOver => {
            gateway.drain.enter(Stage::Leaving);
            tokio::select! {
                () = gone(crowds) => {}
                () = sleep(drain.timeout) => {}
                _ = signals.next() => {}
            }
        }
    }
    gateway.drain.enter(Stage::Closing);
    let limit = if why == Why::TakenOver { QUIET_LEAVE_MAX } else { drain.timeout };
    tokio::select! {
        () = gone(crowds) => tracing::info!("nothing is in flight any more"),
        () = sleep(limit) => {
            tracing::warn!(in_flight = gateway.metrics.requests_in_flight.get(), "drain.timeout is over; what is still in flight is cut");
        }
        _ = signals.next() => tracing::warn!("asked to leave again; not waiting any longer"),
    }
    gateway.store.leave().await;
    close_log(gateway).await;
}

async fn gone(crowds: [&Crowd; 2]) {
    for crowd in crowds {
        crowd.gone().await;
    }
}

async fn close_log(gateway: &Arc<Gateway>) {
    // A request that ended this instant writes its record as its context is dropped.
    let deadline = Instant::now() + Duration::from_secs(1);
    while gateway.metrics.requests_in_flight.get() > 0 && Instant::now() < deadline {
        sleep(Duration::from_millis(5)).await;
    }
    let closing = Arc::clone(gateway);
    let _ = tokio::task::spawn_blocking(move || closing.audit.close()).await;
    // What is still at work when the runtime ends would find no clock any more.
    if timeout(KEEPERS_LEAVE_MAX, gateway.drain.unwatched()).await.is_err() {
        tracing::debug!("not everything that runs beside the requests has ended");
    }
}
