//! Leaving without breaking a promise: unready first, then no new connections, then nothing in
//! flight, then gone.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How far the process is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Not ready yet: listeners are being opened.
    Starting,
    /// Serving.
    Serving,
    /// Still accepting, but unready, and every answer asks the client to reconnect elsewhere.
    Draining,
    /// Accepting nothing; whoever is connected may ask once more, and is told to go.
    Leaving,
    /// What is in flight ends, and nothing else begins.
    Closing,
}

/// The stage of the process, shared by all.
#[derive(Clone)]
pub struct Drain {
    stage: Arc<watch::Sender<Stage>>,
    /// One receiver for each watch that somebody still holds.
    watches: Arc<watch::Sender<()>>,
}

impl Default for Drain {
    fn default() -> Self {
        Self {
            stage: Arc::new(watch::Sender::new(Stage::Starting)),
            watches: Arc::new(watch::Sender::new(())),
        }
    }
}

impl Drain {
    /// Moves on; a stage never comes back.
    pub fn enter(&self, stage: Stage) {
        self.stage.send_if_modified(|now| {
            let later = stage > *now;
            *now = (*now).max(stage);
            later
        });
    }

    /// Whether `/readyz` says yes.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        *self.stage.borrow() == Stage::Serving
    }

    /// Whether clients are asked to reconnect elsewhere.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        *self.stage.borrow() >= Stage::Draining
    }

    /// Comes back when `stage` has been reached.
    pub async fn reached(&self, stage: Stage) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.stage.subscribe().wait_for(|now| *now >= stage).await;
    }

    /// A Pingora-shaped watch that turns true with `stage`.
    #[must_use]
    pub fn watch(&self, stage: Stage) -> watch::Receiver<bool> {
        let (sender, receiver) = watch::channel(false);
        let drain = self.clone();
        let held = self.watches.subscribe();
        tokio::spawn(async move {
            let _held = held;
            // Whoever listened may be gone long before: what a reload ends leaves nothing behind.
            tokio::select! {
                () = drain.reached(stage) => {}
                () = sender.closed() => return,
            }
            // Held until everyone who listens is gone, so that no listener sees a closed channel.
            let _ = sender.send(true);
            sender.closed().await;
        });
        receiver
    }

    /// Comes back when nobody holds a watch any more: whoever was told to end has ended.
    pub async fn unwatched(&self) {
        self.watches.closed().await;
    }
}

/// Which signal asked the process to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: an orchestrator; drain in order.
    Terminate,
    /// SIGINT: a person at a terminal; do not make them wait for a load balancer.
    Interrupt,
}

/// The signals that ask the gateway to leave. One that comes after this was made is not lost, whether
/// anybody waits for it yet or not.
#[derive(Debug)]
pub struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    /// Begins to listen.
    ///
    /// # Errors
    /// The operating system refuses a signal handler.
    pub fn listen() -> std::io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self { terminate, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The next one.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Terminate,
            _ = self.interrupt.recv() => Signal::Interrupt,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn readiness_ends_with_draining_and_no_stage_comes_back() {
        let drain = Drain::default();
        assert!(!drain.is_ready(), "not before the listeners answer");
        drain.enter(Stage::Serving);
        assert!(drain.is_ready() && !drain.is_draining());
        drain.enter(Stage::Draining);
        assert!(!drain.is_ready() && drain.is_draining());
        drain.enter(Stage::Serving);
        assert!(!drain.is_ready(), "a late listener must not make a leaving gateway ready");
    }

    #[tokio::test]
    async fn a_watch_that_nobody_holds_any_more_is_gone_before_its_stage() {
        let drain = Drain::default();
        drop(drain.watch(Stage::Closing));
        drain.unwatched().await;
    }

    #[tokio::test]
    async fn a_watch_turns_true_with_its_stage_and_not_before() {
        let drain = Drain::default();
        let mut draining = drain.watch(Stage::Draining);
        drain.enter(Stage::Serving);
        assert!(!*draining.borrow());
        drain.enter(Stage::Closing);
        draining.wait_for(|reached| *reached).await.unwrap();
    }
}
