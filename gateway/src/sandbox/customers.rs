//! Where the customers of the sandbox bank are served: a login and a page of accounts, as small as a bank's
//! own site can be. The fallback leads here (RTS (EU) 2018/389 art. 33(4)).
//!
//! A session is a cookie. Which TPP comes with a customer's credentials is told by the `octroi-*` header
//! fields, which only the gateway can set.

use std::collections::VecDeque;
use std::fmt::Write;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{DefaultBodyLimit, Form, State};
use axum::http::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use serde::Deserialize;
use tokio::sync::watch;
use uuid::Uuid;

use super::bank::{self, text};
use super::persona::{ACCOUNTS, Account, SMS_CODE};

/// The page of the login.
const LOGIN: &str = "/login";
/// The page of a customer's accounts.
const ACCOUNTS_PAGE: &str = "/accounts";
/// The cookie of a session.
const SESSION: &str = "session";
/// Sessions that are remembered: the oldest ends first.
const SESSIONS_MAX: usize = 256;
/// A login has two short fields.
const BODY_BYTES_MAX: usize = 4 * 1024;
/// The TPP that comes for the customer.
const ORGANISATION_ID: &str = "octroi-organisation-id";

/// Opens a listener for each codetab, as [`bank::serve`] does.
///
/// # Errors
/// A listener cannot be opened.
pub async fn serve(
    codetabs: &[String],
    shutdown: watch::Receiver<bool>,
) -> io::Result<Vec<SocketAddr>> {
    bank::listen(codetabs, shutdown, router).await
}

/// Who is logged in.
type Sessions = Arc<Mutex<VecDeque<(Uuid, &'static str)>>>;

fn router(codetab: &str) -> Router {
    Router::new()
        .route(LOGIN, get(form).post(log_in))
        .route(ACCOUNTS_PAGE, get(accounts))
        .layer(Extension(Arc::<str>::from(codetab)))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(Sessions::default())
}

async fn form() -> Response {
    page(
        StatusCode::OK,
        "<h1>Sandbox bank</h1><form method=\"post\" action=\"/login\">\
         <label>Customer number <input name=\"login\" autocomplete=\"username\"></label> \
         <label>Code <input name=\"code\" type=\"password\" autocomplete=\"one-time-code\"></label> \
         <button>Log in</button></form>",
    )
}

#[derive(Deserialize)]
struct Credentials {
    login: String,
    code: String,
}

async fn log_in(
    State(sessions): State<Sessions>,
    Extension(codetab): Extension<Arc<str>>,
    Form(credentials): Form<Credentials>,
) -> Response {
    let of_login =
        |account: &&Account| account.login == credentials.login && account.codetab == &*codetab;
    let Some(account) = ACCOUNTS.iter().find(of_login).filter(|_| credentials.code == SMS_CODE)
    else {
        return page(StatusCode::FORBIDDEN, "<p>Wrong customer number or code.</p>");
    };
    let session = Uuid::new_v4();
    let mut sessions = sessions.lock().unwrap_or_else(PoisonError::into_inner);
    if sessions.len() == SESSIONS_MAX {
        sessions.pop_front();
    }
    sessions.push_back((session, account.login));
    let cookie = format!("{SESSION}={session}; Path=/; Secure; HttpOnly; SameSite=Lax");
    let headers = [(SET_COOKIE, cookie), (LOCATION, ACCOUNTS_PAGE.to_owned())];
    (StatusCode::SEE_OTHER, headers).into_response()
}

async fn accounts(
    State(sessions): State<Sessions>,
    Extension(codetab): Extension<Arc<str>>,
    headers: HeaderMap,
) -> Response {
    let session = headers.get_all(COOKIE).iter().find_map(|cookie| {
        let mut pairs = cookie.to_str().ok()?.split("; ");
        pairs.find_map(|pair| pair.strip_prefix(SESSION)?.strip_prefix('=')?.parse::<Uuid>().ok())
    });
    let known = session.and_then(|session| {
        let sessions = sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.iter().find(|(known, _)| *known == session).map(|(_, login)| *login)
    });
    let Some(login) = known else {
        return (StatusCode::SEE_OTHER, [(LOCATION, LOGIN)]).into_response();
    };
    let mut rows = String::new();
    let mine = |account: &&Account| account.login == login && account.codetab == &*codetab;
    for Account { iban, holder, balance, .. } in ACCOUNTS.iter().filter(mine) {
        let _ = write!(rows, "<tr><td>{iban}</td><td>{holder}</td><td>{balance} EUR</td></tr>");
    }
    let plain = |id: &&str| id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let tpp = text(&headers, ORGANISATION_ID).filter(plain).unwrap_or("nobody");
    page(
        StatusCode::OK,
        &format!("<h1>Accounts</h1><table>{rows}</table><p>Shown to {tpp} for this customer.</p>"),
    )
}

fn page(status: StatusCode, body: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Sandbox bank</title>{body}</html>\n"
    );
    (status, [(CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response()
}
