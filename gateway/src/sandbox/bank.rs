//! The sandbox bank: an ordinary upstream behind the gateway, one listener for each codetab, that
//! answers STET payment coverage requests out of the persona accounts (PSD2, article 65(3)).
//!
//! It shows what an adapter of a real core-banking system does: it believes the `octroi-*` header
//! fields, which only the gateway can set, and reports what it refuses as `octroi-reason`.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use policies::{AmountForm, FundsRequest, Reason};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::persona::Account;

/// The PSU of the token, as the gateway passes it on: here, the key of a persona.
const PSU: &str = "octroi-psu";
/// The bank that the call was made to, as the gateway passes it on.
const CODETAB: &str = "octroi-codetab";
/// Why an adapter refuses, as one of the reason codes.
const REASON: &str = "octroi-reason";
/// Where an adapter says that it can serve a call: `fallback.probe_path`.
const HEALTH: &str = "/health";
const HAL: HeaderValue = HeaderValue::from_static("application/hal+json; charset=utf-8");
/// Far more than a payment coverage request has; the gateway bounds it tighter.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Opens a listener on the loopback address for each codetab and answers there until `shutdown`
/// turns true, or its sender is gone. The addresses stand in the order of the codetabs; all of them
/// accept connections when this returns.
///
/// # Errors
/// A listener cannot be opened.
pub async fn serve(
    codetabs: &[String],
    shutdown: watch::Receiver<bool>,
) -> io::Result<Vec<SocketAddr>> {
    listen(codetabs, shutdown, router).await
}

/// Serves each codetab by a router of its own.
pub(super) async fn listen(
    codetabs: &[String],
    shutdown: watch::Receiver<bool>,
    router: fn(&str) -> Router,
) -> io::Result<Vec<SocketAddr>> {
    let mut listeners = Vec::with_capacity(codetabs.len());
    for codetab in codetabs {
        listeners.push((codetab, TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?));
    }
    let addresses = listeners.iter().map(|(_, listener)| listener.local_addr()).collect();
    for (codetab, listener) in listeners {
        let mut shutdown = shutdown.clone();
        let stopped = async move {
            // A sender that is gone stops the bank as well.
            let _ = shutdown.wait_for(|stopped| *stopped).await;
        };
        let router = router(codetab);
        tokio::spawn(
            async move { axum::serve(listener, router).with_graceful_shutdown(stopped).await },
        );
    }
    addresses
}

/// The bank of one codetab. It does not look at the path of a call: which paths exist is for the gateway.
fn router(codetab: &str) -> Router {
    Router::new()
        .route(HEALTH, get(|| async { "serving\n" }))
        .fallback_service(post(confirm).with_state(codetab.to_owned()))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

async fn confirm(
    State(codetab): State<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path();
    // The gateway has held the body against the API version; what it lets through is right here.
    let Ok(request) = FundsRequest::parse(&body, AmountForm::StringOrNumber) else {
        return Refused::new(Reason::BodyInvalid, path).into_response();
    };
    let Ok(echo) = serde_json::from_slice::<&RawValue>(&body) else {
        return Refused::new(Reason::BodyInvalid, path).into_response();
    };
    let account = Account::of_iban(request.iban()).filter(|account| {
        account.codetab == codetab
            && text(&headers, CODETAB) == Some(account.codetab)
            && text(&headers, PSU) == Some(account.persona.key())
    });
    match account {
        Some(account) => Report::new(echo, account.covers(request.amount()), path).into_response(),
        None => Refused::new(Reason::AccountUnknown, path).into_response(),
    }
}

pub(super) fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// STET `HalPaymentCoverageReport`.
#[derive(Serialize)]
struct Report<'a> {
    /// The request in the very bytes of the TPP: a decimal that is parsed and printed again may
    /// come back as another one.
    request: &'a RawValue,
    result: bool,
    #[serde(rename = "_links")]
    links: Links<'a>,
}

#[derive(Serialize)]
struct Links<'a> {
    #[serde(rename = "self")]
    this: Link<'a>,
}

#[derive(Serialize)]
struct Link<'a> {
    href: &'a str,
}

impl<'a> Report<'a> {
    fn new(request: &'a RawValue, result: bool, path: &'a str) -> Self {
        Self { request, result, links: Links { this: Link { href: path } } }
    }
}

impl IntoResponse for Report<'_> {
    fn into_response(self) -> Response {
        answer(StatusCode::OK, &self)
    }
}

/// STET `ErrorModel`, with the reason for the gateway in a header field.
struct Refused<'a> {
    reason: Reason,
    path: &'a str,
}

#[derive(Serialize)]
struct ErrorModel<'a> {
    status: u16,
    error: &'a str,
    message: &'a str,
    path: &'a str,
}

impl<'a> Refused<'a> {
    fn new(reason: Reason, path: &'a str) -> Self {
        Self { reason, path }
    }
}

impl IntoResponse for Refused<'_> {
    fn into_response(self) -> Response {
        let reason = self.reason;
        let model = ErrorModel {
            status: reason.status(),
            error: reason.title(),
            message: reason.sentence(),
            path: self.path,
        };
        let status = StatusCode::from_u16(reason.status());
        let mut response = answer(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), &model);
        response.headers_mut().insert(REASON, HeaderValue::from_static(reason.code()));
        response
    }
}

fn answer(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(body) => (status, [(header::CONTENT_TYPE, HAL)], body).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests;
