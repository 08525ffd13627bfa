//! The pages of the PSU listener, reachable by any browser: what this host is, and one page per
//! reason, to which every refusal's `type` points. The views of the bank's login and consent are in
//! [`bank`]; who serves them decides when.

mod authorize;
pub mod bank;
pub mod language;
mod login;
pub mod roadmap;
pub mod style;
mod texts;
mod visit;

use axum::Router;
use axum::extract::{Path, RawQuery};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::map_response;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use policies::Reason;
use policies::client::Setting;
use url::form_urlencoded;

use crate::sandbox::CALLBACK_PATH;

pub use visit::Consents;

/// Of every answer that does not say otherwise, also where the router answers by itself: nothing is
/// loaded, nothing runs, nothing is sent, nobody frames it.
const HEADERS: [(HeaderName, &str); 4] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; \
         form-action 'none'",
    ),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:42rem;margin:2rem auto;\
padding:0 1rem;color:#1b1b1b;background:#fff}h1{font-size:1.4rem}code{background:#f1f1f1;\
padding:.1em .3em;overflow-wrap:anywhere}dt{font-weight:600;margin-top:1rem}dd{margin:0}a{color:#0b57a4}";

/// The routes; with those of consents where the authorization server is ours. `world` gives the one that
/// requests are judged by now.
pub fn routes(consents: Option<Consents>, world: roadmap::Worlds) -> Router {
    // A sandbox's hosts are everybody's own machine: no browser should remember anything about them.
    let lasting = consents
        .as_ref()
        .is_some_and(|consents| consents.server.settings().setting == Setting::Production);
    let consents = consents.map(|consents| {
        let routes = authorize::routes(consents.clone());
        match consents.server.settings().login_url {
            Some(_) => routes,
            None => routes.route(CALLBACK_PATH, get(call_back)).merge(login::routes(consents)),
        }
    });
    Router::new()
        .merge(consents.unwrap_or_default())
        .merge(roadmap::routes(world))
        .route("/", get(|| async { page(StatusCode::OK, "Octroi", &front()) }))
        .route("/reasons/", get(|| async { page(StatusCode::OK, "Reasons", &index()) }))
        .route("/reasons/{code}", get(reason))
        .fallback(|| async {
            page(StatusCode::NOT_FOUND, "Not found", "<p>There is no such page.</p>")
        })
        .layer(map_response(move |response| guarded(response, lasting)))
}

async fn guarded(mut response: Response, lasting: bool) -> Response {
    let lasting = lasting.then_some((STRICT_TRANSPORT_SECURITY, "max-age=31536000"));
    for (name, value) in HEADERS.into_iter().chain(lasting) {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

async fn reason(Path(code): Path<String>) -> Response {
    match Reason::from_code(&code) {
        Some(reason) => page(StatusCode::OK, reason.code(), &article(reason)),
        None => page(
            StatusCode::NOT_FOUND,
            "Not found",
            "<p>There is no such reason. <a href=\"/reasons/\">All reasons</a></p>",
        ),
    }
}

/// The sandbox's stand-in for a TPP's own page.
async fn call_back(RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let rows: String = form_urlencoded::parse(query.as_bytes())
        .map(|(name, value)| {
            format!("<dt>{}</dt><dd><code>{}</code></dd>", escaped(&name), escaped(&value))
        })
        .collect();
    let body = format!(
        "<p>Here a TPP takes its customer back. This page of the sandbox shows what came; a TPP \
         compares <code>state</code> and <code>iss</code>, and exchanges <code>code</code> at once \
         at the token endpoint.</p><dl>{rows}</dl>"
    );
    let mut response = page(StatusCode::OK, "Back at the TPP", &body);
    // A code stands in it.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn front() -> String {
    "<p>This host belongs to a PSD2 gateway. Customers of the bank come here from a third-party \
     provider to identify themselves and to consent; there is nothing to do here on your own.</p>\
     <p>Developers: <a href=\"/reasons/\">why a call was refused</a>, <a href=\"/roadmap\">which \
     versions come and go</a>.</p>"
        .to_owned()
}

fn index() -> String {
    let rows: String = Reason::ALL
        .iter()
        .map(|reason| {
            let (code, status, title) = (reason.code(), reason.status(), escaped(reason.title()));
            format!("<li><a href=\"/reasons/{code}\"><code>{code}</code></a> {status} {title}</li>")
        })
        .collect();
    format!("<p>Every refusal names one of these codes.</p><ul>{rows}</ul>")
}

fn article(reason: Reason) -> String {
    format!(
        "<p><strong>{}</strong></p><dl><dt>What happened</dt><dd>{}</dd><dt>How to mend it</dt>\
         <dd>{}</dd><dt>HTTP status</dt><dd>{}</dd><dt>Source</dt><dd>{}</dd></dl>\
         <p><a href=\"/reasons/\">All reasons</a></p>",
        escaped(reason.title()),
        escaped(reason.sentence()),
        escaped(reason.mend()),
        reason.status(),
        escaped(reason.clause()),
    )
}

fn page(status: StatusCode, title: &str, body: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style></head><body>\
         <h1>{title}</h1>{body}</body></html>"
    );
    (status, Html(html)).into_response()
}

/// Most texts are our own; escaping them keeps a future `<` in one of them from becoming markup.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
