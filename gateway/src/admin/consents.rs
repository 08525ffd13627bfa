//! How a bank's own login and consent page answers (as Ory Hydra hands a login over): it is shown what
//! a challenge stands for, and accepts or rejects. Adapters ask here what a token is. Behind the admin
//! key.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Admin, authorised, unauthorised};
use crate::authorization::{Acceptance, AuthorizationServer, DecideFault};
use crate::clock;

/// The routes.
pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/authorization/requests/{challenge}", get(show))
        .route("/authorization/requests/{challenge}/accept", post(accept))
        .route("/authorization/requests/{challenge}/reject", post(reject))
        .route("/authorization/introspect", post(introspect))
}

/// Why the page rejects.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rejection {
    /// `access_denied`, `temporarily_unavailable` or `server_error` (RFC 6749 §4.1.2.1).
    error: String,
    /// For the TPP's developers; never about the customer.
    #[serde(default)]
    error_description: String,
}

/// Where the page sends the browser.
#[derive(Serialize, JsonSchema)]
pub struct SendOn {
    /// The URL.
    redirect_to: String,
}

async fn show(
    State(admin): State<Admin>,
    Path(challenge): Path<String>,
    headers: HeaderMap,
) -> Response {
    let server = match server(&admin, &headers) {
        Ok(server) => server,
        Err(response) => return *response,
    };
    match server.show(&challenge, clock::now()).await {
        Ok(shown) => Json(shown).into_response(),
        Err(fault) => refused(&fault),
    }
}

async fn accept(
    State(admin): State<Admin>,
    Path(challenge): Path<String>,
    headers: HeaderMap,
    Json(acceptance): Json<Acceptance>,
) -> Response {
    let server = match server(&admin, &headers) {
        Ok(server) => server,
        Err(response) => return *response,
    };
    decided(server.accept(&challenge, acceptance, clock::now()).await)
}

async fn reject(
    State(admin): State<Admin>,
    Path(challenge): Path<String>,
    headers: HeaderMap,
    Json(rejection): Json<Rejection>,
) -> Response {
    let server = match server(&admin, &headers) {
        Ok(server) => server,
        Err(response) => return *response,
    };
    let Rejection { error, error_description } = rejection;
    decided(server.reject(&challenge, &error, &error_description, clock::now()).await)
}

/// RFC 7662 §2.1: a form with `token`.
#[derive(Deserialize)]
struct Introspected {
    token: String,
}

async fn introspect(
    State(admin): State<Admin>,
    headers: HeaderMap,
    Form(asked): Form<Introspected>,
) -> Response {
    let server = match server(&admin, &headers) {
        Ok(server) => server,
        Err(response) => return *response,
    };
    match server.introspect_for_adapter(&asked.token, clock::now()).await {
        Ok(body) => Json(body).into_response(),
        Err(refusal) => (StatusCode::SERVICE_UNAVAILABLE, format!("{refusal}\n")).into_response(),
    }
}

fn server(admin: &Admin, headers: &HeaderMap) -> Result<Arc<AuthorizationServer>, Box<Response>> {
    if !authorised(admin.key.as_deref(), headers) {
        return Err(Box::new(unauthorised()));
    }
    let none = "the authorization server is not ours: there is no [authorization]\n";
    let settings = admin.gateway.settings();
    settings
        .authorization
        .clone()
        .ok_or_else(|| Box::new((StatusCode::NOT_FOUND, none).into_response()))
}

fn decided(decided: Result<String, DecideFault>) -> Response {
    match decided {
        Ok(redirect_to) => Json(SendOn { redirect_to }).into_response(),
        Err(fault) => refused(&fault),
    }
}

fn refused(fault: &DecideFault) -> Response {
    let status = match fault {
        DecideFault::Unknown => StatusCode::NOT_FOUND,
        DecideFault::Invalid(_) => StatusCode::BAD_REQUEST,
        DecideFault::Store(_) | DecideFault::Random(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, format!("{fault}\n")).into_response()
}
