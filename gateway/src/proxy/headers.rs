//! Header hygiene both ways.
//!
//! Towards the adapter an allow-list is kept, not a deny-list: whatever a client could have forged,
//! in whatever spelling, is simply not copied; what was verified is added from the [`Permit`].

use std::borrow::Cow;
use std::fmt::Write;

use http::header::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, ALT_SVC, CACHE_CONTROL, CONTENT_ENCODING,
    CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, DATE, FORWARDED, HOST, IF_MATCH,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LINK, ORIGIN, PRAGMA, RANGE,
    REFERER, SERVER, SET_COOKIE, TRANSFER_ENCODING, UPGRADE_INSECURE_REQUESTS, USER_AGENT, VIA,
};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};
use policies::{CheckName, CheckOutcome, Lane, Permit};

use super::context::Context;
use crate::listen::Connection;
use crate::traces;

/// What passes from the client to the adapter: content negotiation, and what STET signs.
const PASSED: [HeaderName; 8] = [
    ACCEPT,
    ACCEPT_LANGUAGE,
    CONTENT_TYPE,
    DATE,
    USER_AGENT,
    HeaderName::from_static("digest"),
    HeaderName::from_static("signature"),
    HeaderName::from_static("content-digest"),
];

/// What passes from the client to a customer interface beside configured fields: what browsers send.
const PASSED_TO_CUSTOMERS: [HeaderName; 24] = [
    ACCEPT,
    ACCEPT_ENCODING,
    ACCEPT_LANGUAGE,
    CACHE_CONTROL,
    CONTENT_ENCODING,
    CONTENT_LANGUAGE,
    CONTENT_TYPE,
    COOKIE,
    DATE,
    IF_MATCH,
    IF_MODIFIED_SINCE,
    IF_NONE_MATCH,
    IF_RANGE,
    IF_UNMODIFIED_SINCE,
    ORIGIN,
    PRAGMA,
    RANGE,
    REFERER,
    UPGRADE_INSECURE_REQUESTS,
    USER_AGENT,
    HeaderName::from_static("sec-fetch-dest"),
    HeaderName::from_static("sec-fetch-mode"),
    HeaderName::from_static("sec-fetch-site"),
    HeaderName::from_static("x-requested-with"),
];

/// STET part 2: the context of the PSU's own request, `PSU-IP-Address` and its family.
const PSU_PREFIX: &str = "psu-";

/// Whether an answer ends with its head (RFC 9112 §6.3).
pub(super) fn is_bodiless(request: &RequestHeader, response: &ResponseHeader) -> bool {
    request.method == Method::HEAD
        || matches!(response.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        || response.headers.get(CONTENT_LENGTH).is_some_and(|length| length.as_bytes() == b"0")
}

/// What the adapter never says to a TPP.
const HIDDEN: [HeaderName; 6] = [
    SERVER,
    VIA,
    ALT_SVC,
    SET_COOKIE,
    HeaderName::from_static("x-powered-by"),
    HeaderName::from_static("x-aspnet-version"),
];

const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
const SUNSET: HeaderName = HeaderName::from_static("sunset");
const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const OWN_REQUEST_ID: HeaderName = HeaderName::from_static("octroi-request-id");
const TPP_REQUEST_ID: HeaderName = HeaderName::from_static("octroi-tpp-request-id");
const ORGANISATION_ID: HeaderName = HeaderName::from_static("octroi-organisation-id");
const CODETAB: HeaderName = HeaderName::from_static("octroi-codetab");
const LANE: HeaderName = HeaderName::from_static("octroi-lane");
const API: HeaderName = HeaderName::from_static("octroi-api");
const API_VERSION: HeaderName = HeaderName::from_static("octroi-api-version");
const CONSENT_ID: HeaderName = HeaderName::from_static("octroi-consent-id");
const PSU: HeaderName = HeaderName::from_static("octroi-psu");
const ROLES: HeaderName = HeaderName::from_static("octroi-roles");
const SCOPE: HeaderName = HeaderName::from_static("octroi-scope");

/// Our own prefix; in an adapter's answer only [`REASON`] means anything.
const OWN_PREFIX: &str = "octroi-";

/// By this an adapter names the reason of its refusal.
pub(super) const REASON: &str = "octroi-reason";

/// RFC 9651 keeps header values to visible ASCII; an organisation id may hold more.
const VALUE: &AsciiSet = &CONTROLS.add(b'%').add(b' ');

/// Makes of the client's request head the one that the adapter gets, `body_length` bytes of body
/// behind. The path is left alone: it is one of the configured ones, octet for octet.
///
/// # Errors
/// Pingora's, for a value that is no header value; cannot happen for values made here.
pub(super) fn to_upstream(
    request: &mut RequestHeader,
    permit: &Permit,
    connection: &Connection,
    context: &Context,
    body_length: usize,
) -> Result<()> {
    keep(request, |name| PASSED.contains(name));
    request.insert_header(CONTENT_LENGTH, body_length)?;
    identified(request, permit, connection, context)
}

/// Makes of the client's request head the one that a customer interface gets. Its body follows as it
/// comes: as long as it was announced, or in chunks. Path and query are the client's: they have one
/// spelling, and begin as configured. A token stays here.
///
/// # Errors
/// As [`to_upstream`].
pub(super) fn to_customer_interface(
    request: &mut RequestHeader,
    permit: &Permit,
    connection: &Connection,
    context: &Context,
    configured: &[HeaderName],
) -> Result<()> {
    let framing = |name: &HeaderName| *name == CONTENT_LENGTH || *name == TRANSFER_ENCODING;
    keep(request, |name| {
        PASSED_TO_CUSTOMERS.contains(name) || configured.contains(name) || framing(name)
    });
    // HTTP/2 may send each cookie in a field of its own; HTTP/1.1 knows one (RFC 9113 §8.2.3).
    let cookies: Vec<&[u8]> =
        request.headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if cookies.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&cookies.join(b"; ".as_slice()))
    {
        request.insert_header(COOKIE, joined)?;
    }
    request.insert_header(LANE, permit.lane().code().unwrap_or_default())?;
    identified(request, permit, connection, context)
}

/// Leaves only what `passes`, and the context of the customer's own request.
fn keep(request: &mut RequestHeader, passes: impl Fn(&HeaderName) -> bool) {
    let passes = |name: &HeaderName| passes(name) || name.as_str().starts_with(PSU_PREFIX);
    let others: Vec<HeaderName> =
        request.headers.keys().filter(|name| !passes(name)).cloned().collect();
    for name in &others {
        request.remove_header(name);
    }
}

/// Adds who asks, and which request this is.
fn identified(
    request: &mut RequestHeader,
    permit: &Permit,
    connection: &Connection,
    context: &Context,
) -> Result<()> {
    request.set_version(http::Version::HTTP_11);
    request.insert_header(HOST, context.asked.host.as_str())?;
    if let Some(client_cert) = connection.client_cert() {
        request.insert_header(CLIENT_CERT, client_cert.clone())?;
    }
    request.insert_header(REQUEST_ID, context.own_id())?;
    if let Some(tpp_request_id) = &context.tpp_request_id {
        request.insert_header(TPP_REQUEST_ID, tpp_request_id.clone())?;
    }
    request.insert_header(TRACEPARENT, traceparent(context))?;
    request.insert_header(FORWARDED, forwarded(connection, &context.asked.host))?;
    verified(request, permit, connection)
}

/// The facts that the adapter may rely on.
fn verified(request: &mut RequestHeader, permit: &Permit, connection: &Connection) -> Result<()> {
    let mut set = |name: HeaderName, value: &str| {
        let value: Cow<'_, str> = utf8_percent_encode(value, VALUE).into();
        request.insert_header(name, &*value)
    };
    set(CODETAB, &permit.codetab().code)?;
    set(ORGANISATION_ID, permit.organisation_id().as_str())?;
    if let Some(call) = permit.call() {
        set(API, &call.api().name)?;
        set(API_VERSION, &call.version().name)?;
        if let Some(consent_id) = call.consent_id() {
            set(CONSENT_ID, consent_id)?;
        }
        if let Some(psu) = call.psu() {
            set(PSU, psu)?;
        }
        request.insert_header(SCOPE, call.scope())?;
    }
    if let Some(roles) = connection.roles() {
        request.insert_header(ROLES, roles.clone())?;
    }
    Ok(())
}

/// W3C Trace Context level 2: a trace of ours, whatever the client claims to be part of.
fn traceparent(context: &Context) -> String {
    let span = traces::upstream_span(context.request_id);
    let flags = u8::from(context.is_sampled());
    format!("00-{}-{span:016x}-{flags:02x}", context.trace_id.simple())
}

/// RFC 7239 §4.
fn forwarded(connection: &Connection, host: &str) -> String {
    let mut value = String::with_capacity(96);
    let peer = connection.peer();
    // An IPv6 address with its port is quoted and bracketed (RFC 7239 §6); IPv4 likewise for the colon.
    let _ = write!(value, "for=\"{peer}\";host=\"{host}\";proto=https");
    value
}

/// Takes out of the adapter's answer what is not the TPP's business, and adds what is.
///
/// # Errors
/// As [`to_upstream`].
pub(super) fn to_client(response: &mut ResponseHeader, context: &Context) -> Result<()> {
    // A customer interface keeps its session in cookies; an adapter has none.
    let hidden = |name: &HeaderName| *name != SET_COOKIE || context.lane == Lane::Dedicated;
    for name in HIDDEN.iter().filter(|name| hidden(name)) {
        response.remove_header(name);
    }
    let own: Vec<HeaderName> = response
        .headers
        .keys()
        .filter(|name| name.as_str().starts_with(OWN_PREFIX))
        .cloned()
        .collect();
    for name in &own {
        response.remove_header(name);
    }
    identify(response, context)?;
    announce(response, context)?;
    if !response.headers.contains_key(http::header::CACHE_CONTROL) {
        response
            .insert_header(http::header::CACHE_CONTROL, HeaderValue::from_static("no-store"))?;
    }
    Ok(())
}

/// Every answer names its request, in the TPP's words and in ours.
///
/// # Errors
/// As [`to_upstream`].
pub(super) fn identify(response: &mut ResponseHeader, context: &Context) -> Result<()> {
    response.insert_header(REQUEST_ID, context.answer_id())?;
    response.insert_header(OWN_REQUEST_ID, context.own_id())?;
    Ok(())
}

/// Every answer of a version that has an end says so, once it is known which version was asked: then the
/// check of the path has passed.
///
/// # Errors
/// As [`to_upstream`].
pub(super) fn announce(response: &mut ResponseHeader, context: &Context) -> Result<()> {
    let routes = context.world.as_ref().map(|world| &world.routes);
    let notice = routes.zip(context.route.1).and_then(|(routes, number)| routes.notice(number));
    let Some(notice) = notice else { return Ok(()) };
    let known = |check: &policies::Check| {
        check.name == CheckName::Path && check.outcome == CheckOutcome::Passed
    };
    if !context.trail.iter().any(known) {
        return Ok(());
    }
    if let Some(deprecation) = &notice.deprecation {
        response.insert_header(DEPRECATION, deprecation.clone())?;
    }
    if let Some(sunset) = &notice.sunset {
        response.insert_header(SUNSET, sunset.clone())?;
    }
    if let Some(link) = &notice.link {
        response.append_header(LINK, link.clone())?;
    }
    Ok(())
}

/// STET part 2: at most 70 characters; held to what cannot break a log or another header.
pub(super) fn acceptable_request_id(value: &HeaderValue) -> bool {
    const REQUEST_ID_CHARS_MAX: usize = 70;
    let bytes = value.as_bytes();
    (1..=REQUEST_ID_CHARS_MAX).contains(&bytes.len())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':'))
}
