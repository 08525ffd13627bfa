//! Whether the dedicated interface of a bank is down now (EBA/GL/2018/07, Guideline 2.4), learnt from what
//! becomes of its requests. The log keeps each turn, with the requests that brought it about.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use policies::statistics::{Down, Fate, Live, RequestId, Turn};
use prometheus::IntGauge;
use uuid::Uuid;

use crate::audit::{Audit, Event};
use crate::clock;

/// The dedicated interface of one bank.
pub struct Interface {
    codetab: String,
    live: Mutex<Live>,
    is_down: IntGauge,
}

impl Interface {
    /// That of `codetab`, up until it is known to be down.
    #[must_use]
    pub fn new(codetab: String, is_down: IntGauge) -> Self {
        is_down.set(0);
        Self { codetab, live: Mutex::default(), is_down }
    }

    /// Whose it is.
    #[must_use]
    pub fn codetab(&self) -> &str {
        &self.codetab
    }

    /// Hears what became of a request that was received at `at`.
    pub(super) fn hear(&self, at: Timestamp, request: Uuid, fate: Fate, audit: &Audit) {
        let turn = {
            let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
            let turn = live.hear(at.as_millisecond(), request.as_u128(), fate);
            // Within the lock: the gauge must not show an older turn than the last.
            self.is_down.set(i64::from(live.down().is_some()));
            turn
        };
        if let Some(turn) = turn {
            audit.event(self.event(turn));
        }
    }

    fn event(&self, turn: Turn) -> Event {
        let (event, detail) = match turn {
            Turn::Down(down) => {
                let detail = format!("down since {}: no reply to {}", since(&down), five(&down));
                ("dedicated_interface_down", detail)
            }
            Turn::Up { was, by } => {
                let detail = format!(
                    "up again with the reply to {}; it was down since {}, after no reply to {}",
                    name(by),
                    since(&was),
                    five(&was),
                );
                ("dedicated_interface_up", detail)
            }
        };
        tracing::warn!(codetab = %self.codetab, "{event}: {detail}");
        let subject = Some(self.codetab.clone());
        Event { time: clock::now(), event, subject, detail, by: Vec::new() }
    }
}

pub(super) fn since(down: &Down) -> Timestamp {
    Timestamp::from_millisecond(down.from_ms).unwrap_or_default()
}

pub(super) fn five(down: &Down) -> String {
    down.five.map(name).join(", ")
}

fn name(request: RequestId) -> String {
    Uuid::from_u128(request).to_string()
}
