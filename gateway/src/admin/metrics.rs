//! `/metrics`: what is counted as it happens, and what is looked up when somebody asks.

use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use certs::Revocations;
use jiff::{SignedDuration, Timestamp};
use policies::freshness::Step;

use super::Admin;
use crate::clock;
use crate::metrics::{Exposition, Freshness, Issued, Ladder};
use crate::proxy::Gateway;
use crate::store::Circuit;

/// Every series, in the form that the scraper asks for.
pub(super) async fn scrape(State(admin): State<Admin>, headers: HeaderMap) -> Response {
    let gateway = &admin.gateway;
    let now = clock::now();
    show_state(gateway);
    show_store(gateway, now);
    show_world(gateway, now);
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let exposition = Exposition::wanted(accept.unwrap_or_default());
    match gateway.metrics.render(exposition) {
        Ok(text) => ([(CONTENT_TYPE, exposition.content_type())], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

fn show_state(gateway: &Gateway) {
    let metrics = &gateway.metrics;
    metrics.audit_failing.set(i64::from(gateway.audit.is_failing()));
    metrics.audit_outstanding.set(number(gateway.audit.outstanding()));
    metrics.ready.set(i64::from(gateway.drain.is_ready()));
}

fn show_store(gateway: &Gateway, now: Timestamp) {
    let (metrics, store) = (&gateway.metrics, gateway.store.report());
    metrics.store_circuit_open.set(i64::from(store.circuit == Some(Circuit::Open)));
    metrics.store_tracking.set(i64::from(store.tracking == Some(true)));
    metrics.store_tokens_tolerated.set(number(store.tokens_tolerated_total));
    metrics.standing.tokens_in_memory.set(number(store.tokens_in_memory));
    metrics.standing.buckets_in_memory.set(number(store.buckets_in_memory));
    if let Some((away, step)) = store.away {
        let since = SignedDuration::try_from(away).ok().and_then(|away| now.checked_sub(away).ok());
        metrics.standing.freshness.show(Ladder::Store, since, step);
    }
}

fn show_world(gateway: &Gateway, now: Timestamp) {
    let (standing, world) = (&gateway.metrics.standing, gateway.world());
    standing.anchors.set(number(world.anchors.len()));
    standing.organisations.set(number(world.register.len()));
    standing.ends(Issued::Anchor, world.anchors.iter().map(|anchor| anchor.not_after()), now);
    let seals = world.seals.paths().map(|(seal, _)| seal.certificate().not_after());
    standing.ends(Issued::Seal, seals, now);
    let register = world.register.sources().iter().map(|source| source.as_of).min();
    standing.freshness.show(Ladder::Register, register, world.register.freshness(now));
    show_revocations(&standing.freshness, &world.revocations, now);
    if let Some(jwts) = &gateway.settings().jwts {
        let (as_of, step) = jwts.freshness(now);
        standing.freshness.show(Ladder::Jwks, as_of, step);
    }
}

/// An answer that has ended is tolerated as long as the decision tolerates it. Without any answer there is
/// nothing to tell.
fn show_revocations(freshness: &Freshness, revocations: &Revocations, now: Timestamp) {
    let step = |until: Timestamp| match now.duration_since(until) {
        over if over <= SignedDuration::ZERO => Step::Fresh,
        over if over <= revocations.tolerated_for() => Step::Tolerated,
        _ => Step::Expired,
    };
    let lists = revocations.lists().map(|list| (list.this_update(), list.next_update()));
    let answers = revocations.answers().map(|answer| (answer.this_update, answer.until));
    let known: [(Ladder, Vec<(Timestamp, Timestamp)>); 2] =
        [(Ladder::Crl, lists.collect()), (Ladder::Ocsp, answers.collect())];
    for (ladder, known) in known {
        let oldest = known.iter().map(|(from, _)| *from).min();
        if let Some(worst) = known.iter().map(|(_, until)| step(*until)).max() {
            freshness.show(ladder, oldest, worst);
        }
    }
}

fn number(count: impl TryInto<i64>) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}
