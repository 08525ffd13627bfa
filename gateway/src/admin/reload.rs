//! Has the running gateway read its configuration again.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use super::client::RELOAD_PATH;
use super::{Admin, authorised, unauthorised};
use crate::config::{Changes, Problem};

/// Orders that wait for the one before.
const ORDERS_MAX: usize = 8;

/// Who wants the configuration read again, and who waits for the answer.
pub struct Order {
    /// As the log and the metric name it: "signal", "file" or "admin".
    pub by: &'static str,
    /// Gets the answer.
    pub answer: Option<oneshot::Sender<Reloaded>>,
}

/// Takes orders to read the configuration again.
#[derive(Clone)]
pub struct Orders(mpsc::Sender<Order>);

/// What came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
#[allow(clippy::exhaustive_enums)]
pub enum Reloaded {
    /// Requests that come from now on see the new configuration.
    Taken {
        /// What changed.
        changes: Changes,
    },
    /// It says what it said before.
    Unchanged,
    /// The old one stays.
    Refused {
        /// All that is wrong with the new one.
        problems: Vec<Problem>,
    },
}

impl Orders {
    /// Orders, and where they arrive.
    #[must_use]
    pub fn channel() -> (Self, mpsc::Receiver<Order>) {
        let (sender, receiver) = mpsc::channel(ORDERS_MAX);
        (Self(sender), receiver)
    }

    /// Has it read, without waiting.
    pub async fn give(&self, by: &'static str) {
        let _ = self.0.send(Order { by, answer: None }).await;
    }

    /// Has it read, and waits; `None` when the gateway is leaving.
    pub async fn ask(&self, by: &'static str) -> Option<Reloaded> {
        let (sender, answer) = oneshot::channel();
        self.0.send(Order { by, answer: Some(sender) }).await.ok()?;
        answer.await.ok()
    }
}

pub(super) fn routes() -> Router<Admin> {
    Router::new().route(RELOAD_PATH, post(reload))
}

async fn reload(State(admin): State<Admin>, headers: HeaderMap) -> Response {
    if !authorised(admin.key.as_deref(), &headers) {
        return unauthorised();
    }
    match admin.orders.ask("admin").await {
        Some(told @ Reloaded::Refused { .. }) => {
            (StatusCode::UNPROCESSABLE_ENTITY, Json(told)).into_response()
        }
        Some(told) => Json(told).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "the gateway is leaving\n").into_response(),
    }
}
