//! A TPP whose authorisation has ended holds no tokens: they end when the register that says so comes
//! into force, so that none of them lives again should the TPP be authorised anew (PSD2 art. 13).

use std::sync::Arc;
use std::time::Duration;

use arc_swap::Guard;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use policies::ledger::Cut;
use policies::{Register, withdrawal};

use crate::audit::Event;
use crate::clock;
use crate::drain::{Drain, Stage};
use crate::proxy::Gateway;
use crate::store::{self, StoreError};

/// How often the register in force is compared with the one of the last look.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The pause after a look that the store did not answer.
const RETRY: Duration = Duration::from_secs(30);

/// Ends the tokens of TPPs whose authorisation has ended, now, with each register that comes into
/// force, and when the day changes: an end may be dated ahead.
pub(in crate::server) fn end_withdrawn(gateway: &Arc<Gateway>, drain: &Drain) {
    let (gateway, mut closing) = (Arc::clone(gateway), drain.watch(Stage::Closing));
    tokio::spawn(async move {
        let mut done = None;
        loop {
            let (now, register) = (clock::now(), Arc::clone(&gateway.world.load().register));
            let mut pause = LOOK_EVERY;
            if !is_done(done.as_ref(), &register, now) {
                match end(&gateway, now).await {
                    Ok(()) => done = Some((register, day(now))),
                    Err(error) => {
                        pause = RETRY;
                        tracing::warn!(%error, "tokens of withdrawn TPPs cannot be ended; they are refused");
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = closing.changed() => return,
            }
        }
    });
}

fn is_done(
    done: Option<&(Arc<Register>, jiff::civil::Date)>,
    register: &Arc<Register>,
    now: Timestamp,
) -> bool {
    done.is_some_and(|(last, on)| Arc::ptr_eq(last, register) && *on == day(now))
}

fn day(now: Timestamp) -> jiff::civil::Date {
    now.to_zoned(TimeZone::UTC).date()
}

async fn end(gateway: &Gateway, now: Timestamp) -> Result<(), StoreError> {
    let store = gateway.store.as_ref();
    for (id, tokens) in store.holders(now).await? {
        let world = Guard::into_inner(gateway.world.load());
        let Some(why) = withdrawal(&id, &world, now) else { continue };
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
