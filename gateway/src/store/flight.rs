//! Single flight: however many requests ask for one cold token at once, the store is asked once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use policies::TokenDigest;
use tokio::sync::OnceCell;

/// The questions that are under way. Bounded by the requests that are waiting.
#[derive(Debug)]
pub(super) struct Flights<T>(Mutex<HashMap<TokenDigest, Arc<OnceCell<T>>>>);

impl<T: Clone> Flights<T> {
    pub(super) fn new() -> Self {
        Flights(Mutex::new(HashMap::new()))
    }

    /// The answer to the question that is under way for this digest, or to `ask`, run when there is
    /// none. A caller who goes away while asking hands the question to the next one in line.
    pub(super) async fn join(&self, digest: &TokenDigest, ask: impl Future<Output = T>) -> T {
        let seat = Seat { flights: self, digest, cell: self.cell(digest) };
        seat.cell.get_or_init(|| ask).await.clone()
    }

    #[cfg(test)]
    pub(super) fn under_way(&self) -> usize {
        self.cells().len()
    }

    fn cell(&self, digest: &TokenDigest) -> Arc<OnceCell<T>> {
        Arc::clone(self.cells().entry(*digest).or_default())
    }

    fn cells(&self) -> MutexGuard<'_, HashMap<TokenDigest, Arc<OnceCell<T>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One caller's place in a flight. The first to leave with an answer closes the flight, so that a
/// later caller asks anew; the last to leave without one closes it too.
struct Seat<'a, T: Clone> {
    flights: &'a Flights<T>,
    digest: &'a TokenDigest,
    cell: Arc<OnceCell<T>>,
}

impl<T: Clone> Drop for Seat<'_, T> {
    fn drop(&mut self) {
        let mut cells = self.flights.cells();
        let ours = cells.get(self.digest).is_some_and(|cell| Arc::ptr_eq(cell, &self.cell));
        let last = Arc::strong_count(&self.cell) == 2;
        if ours && (self.cell.initialized() || last) {
            cells.remove(self.digest);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::store::tests::digest;

    #[tokio::test]
    async fn those_who_ask_together_ask_once_and_those_who_come_later_ask_anew() {
        let flights = Flights::new();
        let asked = AtomicU32::new(0);
        let ask = async || {
            tokio::task::yield_now().await;
            asked.fetch_add(1, Ordering::Relaxed)
        };
        let (one, two) = (digest(1), digest(2));
        let (first, second, other) = tokio::join!(
            flights.join(&one, ask()),
            flights.join(&one, ask()),
            flights.join(&two, ask()),
        );
        assert_eq!(first, second);
        assert_ne!(first, other);
        assert_eq!(flights.join(&one, ask()).await, 2);
        assert_eq!(flights.under_way(), 0);
    }

    #[tokio::test]
    async fn a_caller_who_goes_away_hands_the_question_on() {
        let flights = Flights::new();
        let one = digest(1);
        let mut leaver = Box::pin(flights.join(&one, std::future::pending()));
        let mut heir = Box::pin(flights.join(&one, async { "answer" }));
        tokio::select! {
            biased;
            _ = &mut leaver => unreachable!("the question is never answered"),
            _ = &mut heir => unreachable!("the question is under way"),
            () = tokio::task::yield_now() => (),
        }
        drop(leaver);
        assert_eq!(heir.await, "answer");
        assert_eq!(flights.under_way(), 0);
    }

    #[tokio::test]
    async fn when_all_go_away_nothing_is_left() {
        let flights = Flights::<()>::new();
        let one = digest(1);
        let mut leaver = Box::pin(flights.join(&one, std::future::pending()));
        tokio::select! {
            biased;
            () = &mut leaver => unreachable!("the question is never answered"),
            () = tokio::task::yield_now() => (),
        }
        assert_eq!(flights.under_way(), 1);
        drop(leaver);
        assert_eq!(flights.under_way(), 0);
    }
}
