//! What the pages of one visit share: which bank's host it is, which browser, which language, and how
//! what goes wrong is shown.

use std::collections::HashMap;
use std::sync::Arc;

use axum::http::header::{ACCEPT_LANGUAGE, COOKIE, HOST, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};
use cookie::{Cookie, SameSite};
use policies::{Codetab, World};
use url::form_urlencoded;

use super::bank::{Message, MessageKind};
use super::language::Language;
use super::style;
use crate::authorization::AuthorizationServer;

/// How the cookie of an interaction begins; `__Host-` keeps it to this host, over TLS (RFC 6265bis).
const COOKIE_PREFIX: &str = "__Host-octroi-";
/// Characters of the challenge that make the cookie's name: two consents may go on in one browser.
const COOKIE_NAME_CHARS: usize = 16;

/// What the pages work on.
#[derive(Clone)]
pub struct Consents {
    /// The authorization server.
    pub server: Arc<AuthorizationServer>,
    /// The world that requests are judged by.
    pub world: Arc<dyn Fn() -> Arc<World> + Send + Sync>,
    /// The banks, by the host of their issuer.
    pub(super) banks: Arc<HashMap<String, Codetab>>,
}

impl Consents {
    /// The pages of `server`'s banks.
    #[must_use]
    pub fn new(
        server: Arc<AuthorizationServer>,
        world: Arc<dyn Fn() -> Arc<World> + Send + Sync>,
        banks: impl Iterator<Item = Codetab>,
    ) -> Self {
        let issuer = &server.settings().issuer;
        let banks = banks
            .map(|codetab| {
                let url = issuer.of(&codetab.code);
                let host = url.trim_start_matches("https://").to_ascii_lowercase();
                (host, codetab)
            })
            .collect();
        Self { server, world, banks: Arc::new(banks) }
    }

    /// The bank at whose host the browser is.
    pub(super) fn bank(&self, uri: &Uri, headers: &HeaderMap) -> Option<&Codetab> {
        let host = uri.authority().map(|authority| authority.as_str());
        let host = host.or_else(|| headers.get(HOST)?.to_str().ok())?.to_ascii_lowercase();
        self.banks.get(&host).or_else(|| self.banks.get(host.strip_suffix(":443")?))
    }
}

/// The language of the visit.
pub(super) fn language(headers: &HeaderMap, chosen: Option<&str>) -> Language {
    let wished = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    Language::of(wished, chosen)
}

/// One parameter of a query.
pub(super) fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query?.as_bytes());
    pairs.find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

/// The secret that the browser keeps for a challenge.
pub(super) fn browser(headers: &HeaderMap, challenge: &str) -> Option<String> {
    let name = cookie_name(challenge);
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut cookies = lines.flat_map(Cookie::split_parse).filter_map(Result::ok);
    cookies.find(|cookie| cookie.name() == name).map(|cookie| cookie.value().to_owned())
}

/// Has the browser keep `secret`; an empty one is forgotten.
pub(super) fn keep(challenge: &str, secret: &str, seconds: i64) -> Option<HeaderValue> {
    let cookie = Cookie::build((cookie_name(challenge), secret))
        .path("/")
        .secure(true)
        .http_only(true)
        // The browser comes from the TPP's page, and a form is posted to us only from our own.
        .same_site(SameSite::Lax)
        .max_age(cookie::time::Duration::seconds(seconds));
    HeaderValue::try_from(cookie.to_string()).ok()
}

fn cookie_name(challenge: &str) -> String {
    let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let name: String = challenge.chars().filter(plain).take(COOKIE_NAME_CHARS).collect();
    format!("{COOKIE_PREFIX}{name}")
}

/// Sends the browser on by GET, whatever it came by (RFC 9700 §4.12: never 307).
pub(super) fn send_on(location: &str, cookie: Option<HeaderValue>) -> Response {
    let Ok(location) = HeaderValue::try_from(location) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let mut response = StatusCode::SEE_OTHER.into_response();
    for (name, value) in style::headers(None) {
        response.headers_mut().insert(name, value);
    }
    response.headers_mut().insert(LOCATION, location);
    if let Some(cookie) = cookie {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

/// A page of the bank; `form_target` is where its last form ends.
pub(super) fn page(status: StatusCode, html: String, form_target: Option<&str>) -> Response {
    let mut response = (status, Html(html)).into_response();
    // One by one: an array of them would be added to axum's own, not put in their place.
    for (name, value) in style::headers(form_target) {
        response.headers_mut().insert(name, value);
    }
    response
}

/// A page that ends the visit.
pub(super) fn message(
    language: Language,
    status: StatusCode,
    kind: MessageKind<'_>,
    back: Option<&str>,
) -> Response {
    page(status, Message { language, kind, back }.render(), None)
}
