//! The fallback (RTS (EU) 2018/389 art. 33): whether the way to a bank's customer interface is open, and
//! who may take it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use http::header::CONTENT_LENGTH;
use jiff::Timestamp;
use pingora::proxy::Session;
use policies::statistics::{Down, Fate, Live, Turn};
use policies::{Diverted, FallbackWhen, InterfaceFact, Permit, Reason, Refusal, StandingFact};
use prometheus::IntGauge;
use uuid::Uuid;

use super::context::Context;
use super::interface::{five, since};
use super::{Gateway, quotas};
use crate::audit::{Audit, Event};
use crate::config::FallbackSettings;
use crate::traces::Waited;
use crate::upstream::Upstream;
use crate::{clock, store};

/// The fallback as it is served.
pub struct Fallback {
    /// As configured.
    pub settings: FallbackSettings,
    /// The way of each codetab that has one, in the order of the routes.
    pub ways: Vec<Option<Way>>,
}

impl Fallback {
    /// The way of the codetab with this place in the routes.
    pub(super) fn way(&self, codetab: usize) -> Option<&Way> {
        self.ways.get(codetab)?.as_ref()
    }
}

/// The way to the customer interface of one bank.
#[derive(Clone)]
pub struct Way {
    /// Where it leads.
    pub upstream: Arc<Upstream>,
    /// Whether it is open.
    pub door: Arc<Door>,
}

/// Opens when five requests in a row to the bank's dedicated interface, received within 30 s, were not
/// served, and closes with the first that is, or when its adapter says that it serves again.
///
/// Down is what the statistics call so (EBA/GL/2018/07, Guideline 2.4), and more: a bank whose adapter
/// cannot be reached is told of by the gateway, quickly. That is a reply, and does not serve.
pub struct Door {
    codetab: String,
    when: FallbackWhen,
    live: Mutex<Live>,
    is_open: IntGauge,
}

impl Door {
    /// That of `codetab`.
    #[must_use]
    pub fn new(codetab: String, when: FallbackWhen, is_open: IntGauge) -> Self {
        is_open.set(i64::from(when == FallbackWhen::Always));
        Self { codetab, when, live: Mutex::default(), is_open }
    }

    /// Whose it is, and when it opens.
    #[must_use]
    pub fn is_of(&self, codetab: &str, when: FallbackWhen) -> bool {
        self.codetab == codetab && self.when == when
    }

    /// Whose it is.
    #[must_use]
    pub fn codetab(&self) -> &str {
        &self.codetab
    }

    /// Whether the dedicated interface serves.
    #[must_use]
    pub fn interface(&self) -> InterfaceFact {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        match live.down() {
            Some(down) => InterfaceFact::Down { since: since(down) },
            None => InterfaceFact::Serves,
        }
    }

    /// Hears what became of a request to the dedicated interface that was received at `at`.
    pub(super) fn hear(
        &self,
        (at, request): (Timestamp, Uuid),
        fate: Fate,
        reason: Option<Reason>,
        audit: &Audit,
    ) {
        let served = match (fate, reason) {
            (Fate::Failed, Some(Reason::UpstreamUnavailable)) => Fate::Silent,
            (fate, _) => fate,
        };
        let by = format!("with the answer to {request}");
        self.turn((at, request), served, || by, audit);
    }

    /// Hears that the adapter says that it serves again.
    pub fn serves_again(&self, audit: &Audit) {
        let by = || "because the bank's adapter says that it serves again".to_owned();
        self.turn((clock::now(), Uuid::nil()), Fate::Answered, by, audit);
    }

    fn turn(
        &self,
        (at, request): (Timestamp, Uuid),
        fate: Fate,
        by: impl FnOnce() -> String,
        audit: &Audit,
    ) {
        if self.when == FallbackWhen::Always {
            return;
        }
        let turn = {
            let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
            let turn = live.hear(at.as_millisecond(), request.as_u128(), fate);
            // Within the lock: the gauge must not show an older turn than the last.
            self.is_open.set(i64::from(live.down().is_some()));
            turn
        };
        match turn {
            None => {}
            Some(Turn::Down(down)) => {
                let detail = format!(
                    "open: the dedicated interface has served nothing since {}, not {}",
                    since(&down),
                    five(&down)
                );
                self.tell("fallback_opened", detail, audit);
            }
            Some(Turn::Up { was, .. }) => self.tell("fallback_closed", closed(&was, &by()), audit),
        }
    }

    /// Nobody comes this way any more. The log shall not say for ever that it is open.
    pub fn remove(&self, audit: &Audit) {
        let was = self.live.lock().unwrap_or_else(PoisonError::into_inner).down().copied();
        if let Some(was) = was {
            let by = "because the configuration has it no more";
            self.tell("fallback_closed", closed(&was, by), audit);
        }
    }

    fn tell(&self, event: &'static str, detail: String, audit: &Audit) {
        tracing::warn!(codetab = %self.codetab, "{event}: {detail}");
        let subject = Some(self.codetab.clone());
        audit.event(Event { time: clock::now(), event, subject, detail, by: Vec::new() });
    }
}

fn closed(was: &Down, by: &str) -> String {
    format!(
        "closed {by}; the dedicated interface had served nothing since {}, not {}",
        since(was),
        five(was)
    )
}

/// Goes on with a TPP that may use the fallback if it is open to it now.
///
/// # Errors
/// The first check that did not pass.
pub(super) async fn judge(
    gateway: &Gateway,
    diverted: Diverted,
    session: &Session,
    ctx: &mut Context,
) -> Result<Permit, Refusal> {
    let (view, now) = (Arc::clone(&ctx.view), ctx.now);
    ctx.role = diverted.role_used();
    let nowhere = || Refusal::because(Reason::FallbackClosed, "this bank has no fallback");
    let fallback = view.settings.fallback.as_ref().ok_or_else(nowhere)?;
    let way = ctx.route.0.and_then(|codetab| fallback.way(codetab)).ok_or_else(nowhere)?;
    let opened = diverted.with_interface(way.door.interface(), &mut ctx.trail)?;

    let asked = Instant::now();
    let suspension = store::suspension(gateway.store.as_ref(), opened.organisation_id()).await;
    ctx.waited(Waited::Store, asked);
    let standing = match suspension {
        Ok(None) => StandingFact::Free,
        Ok(Some(_)) => StandingFact::Suspended,
        Err(_) => StandingFact::Unavailable,
    };
    let cleared = opened.with_standing(standing, &mut ctx.trail)?;

    let fact = quotas::count(gateway, &cleared.charges(), ctx).await;
    let limited = cleared.with_quota(fact, now, &mut ctx.trail)?;
    let length = session.req_header().headers.get(CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > fallback.settings.body_bytes_max) {
        return Err(too_large(fallback.settings.body_bytes_max));
    }
    let fact = quotas::enter(gateway, &limited.places(), ctx);
    limited.with_places(fact, now, &mut ctx.trail)
}

/// A body that passes as it comes, and is longer than one may be.
pub(super) fn too_large(bytes_max: u64) -> Refusal {
    let detail = format!("the body is larger than the {bytes_max} bytes that the fallback takes");
    Refusal::because(Reason::BodyTooLarge, detail)
}
