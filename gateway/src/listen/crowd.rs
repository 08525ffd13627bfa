//! The connections that are open, counted: the bound on them may change while they are.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::watch;

/// How many connections are open, and how many there are descriptors for.
#[derive(Clone, Debug)]
pub struct Crowd {
    open: Arc<watch::Sender<usize>>,
    room: Arc<AtomicUsize>,
}

/// One open connection, until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct Present(Crowd);

impl Crowd {
    /// Nobody yet, in a house that holds `room`, whatever the configuration allows.
    #[must_use]
    pub fn of(room: usize) -> Self {
        Self { open: Arc::new(watch::Sender::new(0)), room: Arc::new(AtomicUsize::new(room)) }
    }

    /// The house holds so many now.
    pub fn holds(&self, room: usize) {
        self.room.store(room, Ordering::Relaxed);
    }

    /// Lets one more in, where fewer than `connections_max` are there.
    pub fn enter(&self, connections_max: usize) -> Option<Present> {
        let most = connections_max.min(self.room.load(Ordering::Relaxed));
        let entered = self.open.send_if_modified(|open| {
            let room = *open < most;
            *open += usize::from(room);
            room
        });
        entered.then(|| Present(self.clone()))
    }

    /// Comes back when none is open.
    pub async fn gone(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.open.subscribe().wait_for(|open| *open == 0).await;
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.open.send_modify(|open| *open = open.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_leaves_makes_room_and_the_bounds_may_change_while_they_are_there() {
        let crowd = Crowd::of(2);
        let first = crowd.enter(2).unwrap();
        let second = crowd.enter(2).unwrap();
        assert!(crowd.enter(2).is_none() && crowd.enter(1).is_none());
        drop(first);
        assert!(crowd.enter(1).is_none());
        drop(second);
        crowd.gone().await;
        let first = crowd.enter(3);
        let second = crowd.enter(3);
        assert!(first.is_some() && second.is_some() && crowd.enter(3).is_none());
        crowd.holds(3);
        assert!(crowd.enter(3).is_some());
    }
}
