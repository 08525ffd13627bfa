//! A TPP whose authorisation has ended holds no tokens: they end when the register that says so comes
//! into force, so that none of them lives again should the TPP be authorised anew (PSD2 art. 13).

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use policies::ledger::Cut;
use policies::{Register, withdrawal};
use tokio::sync::mpsc;

use crate::audit::Event;
use crate::clock;
use crate::drain::{Drain, Stage};
use crate::proxy::Gateway;
use crate::store::{self, StoreError};

/// How often it is asked whether another day has begun.
const DAY_EVERY: Duration = Duration::from_secs(60);
/// The pause after a try that the store did not answer.
const RETRY: Duration = Duration::from_secs(10);

/// Ends the tokens of TPPs whose authorisation has ended: now, with each register that the sender
/// passes on, and when the day changes, as an end may be dated ahead.
pub(in crate::server) fn end_withdrawn(
    gateway: &Arc<Gateway>,
    drain: &Drain,
) -> mpsc::UnboundedSender<Arc<Register>> {
    let (sender, mut registers) = mpsc::unbounded_channel();
    let (gateway, mut closing) = (Arc::clone(gateway), drain.watch(Stage::Closing));
    let mut register = Arc::clone(&gateway.world().register);
    tokio::spawn(async move {
        loop {
            let began = day(clock::now());
            while let Err(error) = end(&gateway, &register, clock::now()).await {
                tracing::warn!(%error, "tokens of withdrawn TPPs cannot be ended yet; they are refused");
                tokio::select! {
                    () = tokio::time::sleep(RETRY) => {}
                    _ = closing.changed() => return,
                }
            }
            // Each in turn: one that was in force for a moment only has ended what it ended.
            tokio::select! {
                Some(next) = registers.recv() => register = next,
                () = another_day(began) => {}
                _ = closing.changed() => return,
            }
        }
    });
    sender
}

async fn another_day(began: Date) {
    while day(clock::now()) == began {
        tokio::time::sleep(DAY_EVERY).await;
    }
}

fn day(now: Timestamp) -> Date {
    now.to_zoned(TimeZone::UTC).date()
}

async fn end(gateway: &Gateway, register: &Register, now: Timestamp) -> Result<(), StoreError> {
    let store = gateway.store.as_ref();
    for (id, tokens) in store.holders(now).await? {
        let Some(why) = withdrawal(&id, register, now) else { continue };
        store::cut(store, &id, &Cut::Only, now).await?;
        tracing::info!(tpp = %id, tokens, "all tokens of a TPP have ended: {why}");
        gateway.audit.event(Event {
            time: now,
            event: "tokens_ended",
            subject: Some(id.as_str().to_owned()),
            detail: why,
            by: Vec::new(),
        });
    }
    Ok(())
}
