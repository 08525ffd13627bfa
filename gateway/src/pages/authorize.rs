//! `GET /authorize` and the way back from the bank's page (RFC 6749 §4.1.1): the browser's end of the
//! authorization server.

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::bank::MessageKind;
use super::visit::{Consents, browser, keep, language, message, parameter, send_on};
use crate::authorization::{FinishFault, RequestFault};
use crate::clock;
use crate::problem;

/// The routes.
pub(super) fn routes(consents: Consents) -> Router {
    let path = consents.server.settings().authorize_path.clone();
    // Each of them takes away what it is asked with. A HEAD, as scanners of links send it, would leave
    // the customer with nothing.
    let refused = || async { StatusCode::METHOD_NOT_ALLOWED };
    Router::new()
        .route(&path, get(authorize).head(refused))
        .route(&format!("{path}/resume"), get(resume).head(refused))
        .route("/.well-known/oauth-authorization-server", get(metadata))
        .with_state(consents)
}

async fn authorize(
    State(consents): State<Consents>,
    uri: Uri,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let now = clock::now();
    let query = query.unwrap_or_default();
    let language = language(&headers, parameter(Some(&query), "ui_locales").as_deref());
    let faulty = |detail: &str| {
        message(language, StatusCode::BAD_REQUEST, MessageKind::RequestFaulty(detail), None)
    };
    let Some(bank) = consents.bank(&uri, &headers) else {
        return faulty("this host belongs to no bank; use the issuer's URL of the bank");
    };
    let server = &consents.server;
    if !server.has_room() {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        return message(language, status, MessageKind::Unavailable, None);
    }
    let request = {
        let world = (consents.world)();
        server.read_request(&query, &bank.code, &world, now).await
    };
    let request = match request {
        Ok(request) => request,
        Err(RequestFault::Here(refusal)) if refusal.reason.status() >= 500 => {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            return message(language, status, MessageKind::Unavailable, None);
        }
        Err(RequestFault::Here(refusal)) => return faulty(&problem::detail(&refusal)),
        Err(RequestFault::There { location, refusal }) => {
            server.refused_at_call_back(&location, &refusal, now);
            return send_on(&location, None);
        }
    };
    match server.begin(request, now).await {
        Ok(begun) => {
            let seconds = server.settings().interaction_life.as_secs();
            let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
            let location = match &server.settings().login_url {
                Some(url) => format!("{url}?challenge={}", begun.challenge),
                None => format!("/login/{}?lang={}", begun.challenge, language.code()),
            };
            send_on(&location, keep(&begun.challenge, &begun.browser, seconds))
        }
        Err(_) => {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            message(language, status, MessageKind::Unavailable, None)
        }
    }
}

async fn resume(
    State(consents): State<Consents>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let language = language(&headers, None);
    let query = query.as_deref();
    let (challenge, verifier) = (parameter(query, "challenge"), parameter(query, "verifier"));
    let (Some(challenge), Some(verifier)) = (challenge, verifier) else {
        return message(language, StatusCode::NOT_FOUND, MessageKind::RequestUnknown, None);
    };
    let secret = browser(&headers, &challenge);
    let now = clock::now();
    match consents.server.finish(&challenge, &verifier, secret.as_deref(), now).await {
        Ok(finished) => send_on(&finished.location, keep(&challenge, "", 0)),
        Err(fault) => ended(language, fault),
    }
}

/// The page of a visit that cannot be finished.
pub(super) fn ended(language: super::language::Language, fault: FinishFault) -> Response {
    match fault {
        FinishFault::Unknown => {
            message(language, StatusCode::NOT_FOUND, MessageKind::RequestUnknown, None)
        }
        FinishFault::OtherBrowser => {
            message(language, StatusCode::FORBIDDEN, MessageKind::BrowserOther, None)
        }
        FinishFault::TimedOut { location } => {
            message(language, StatusCode::GONE, MessageKind::TimedOut, Some(&location))
        }
        FinishFault::Unavailable => {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            message(language, status, MessageKind::Unavailable, None)
        }
    }
}

async fn metadata(State(consents): State<Consents>, uri: Uri, headers: HeaderMap) -> Response {
    let Some(bank) = consents.bank(&uri, &headers) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let answer = consents.server.metadata(&bank.code);
    let mut response = answer.body.into_response();
    for (name, value) in answer.headers {
        response.headers_mut().insert(name, value);
    }
    response
}
