//! The admin listener: health, readiness, metrics, and what an operator may ask of a running
//! gateway. Loopback unless configured otherwise; nothing here is reachable from the TPP listener.

pub mod client;
mod consents;
mod metrics;
mod reload;
mod tokens;
mod tpps;

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use policies::freshness::Step;
use schemars::JsonSchema;
use serde::Serialize;
use subtle::ConstantTimeEq;

use crate::clock;
use crate::config::Secret;
use crate::proxy::Gateway;

pub use client::{Answer as TokenAnswer, Question};
pub use consents::{Rejection, SendOn};
pub use reload::{Order, Orders, Reloaded};
pub use tokens::{ListedToken, Revocation};
pub use tpps::{Application, Decided, Decision, Removal, Removed};

/// What the admin routes work on.
#[derive(Clone)]
pub struct Admin {
    /// The running gateway.
    pub gateway: Arc<Gateway>,
    /// The bearer that changes of state need; without one they do not exist.
    pub key: Option<Arc<Secret>>,
    /// Takes orders to read the configuration again.
    pub orders: Orders,
}

/// The routes.
pub fn routes(admin: Admin) -> Router {
    let mut routes = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics::scrape));
    if admin.key.is_some() {
        routes = routes.merge(tokens::routes()).merge(consents::routes()).merge(tpps::routes());
        routes = routes.merge(reload::routes());
    }
    routes.with_state(admin)
}

/// What `/readyz` says.
#[derive(Serialize, JsonSchema)]
pub struct Readiness {
    /// Whether new traffic may be sent here.
    ready: bool,
    /// The listeners accept, and the gateway is not about to leave.
    serving: bool,
    /// `ok` or `failing`.
    audit: &'static str,
    /// `fresh`, `tolerated` or `expired`.
    register: &'static str,
    /// `ok` or `unavailable`.
    store: &'static str,
    /// Adapters of which an address answers.
    upstreams_healthy: usize,
    /// All adapters.
    upstreams: usize,
}

/// Ready means: would a request that deserves it be answered. A store that is away does not count
/// against it while cached answers may still serve, nor does a single adapter of many.
async fn ready(State(admin): State<Admin>) -> Response {
    let gateway = &admin.gateway;
    let view = gateway.view.load_full();
    let upstreams = &view.settings.upstreams;
    let register = view.world.register.freshness(clock::now());
    let store = gateway.store.health().await;
    let audit = !gateway.audit.is_failing();
    let upstreams_healthy = upstreams.iter().filter(|upstream| upstream.healthy() > 0).count();
    let serving = gateway.drain.is_ready();
    let ready = serving && audit && register != Step::Expired && upstreams_healthy > 0;
    let body = Readiness {
        ready,
        serving,
        audit: if audit { "ok" } else { "failing" },
        register: register.code(),
        store: if store.is_ok() { "ok" } else { "unavailable" },
        upstreams_healthy,
        upstreams: upstreams.len(),
    };
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(body)).into_response()
}

fn unauthorised() -> Response {
    let message = "the admin key is needed: Authorization: Bearer …\n";
    (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")], message).into_response()
}

fn authorised(key: Option<&Secret>, headers: &HeaderMap) -> bool {
    let sent = headers
        .get(AUTHORIZATION)
        .map(axum::http::HeaderValue::as_bytes)
        .and_then(|value| value.strip_prefix(b"Bearer "));
    match (key, sent) {
        (Some(key), Some(sent)) => bool::from(key.expose().ct_eq(sent)),
        _ => false,
    }
}
