//! What a refused caller is told: `application/problem+json` (RFC 9457) whose members also carry
//! STET's ErrorModel, so that both kinds of client read it.

use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;
use certs::http_signature::Diagnosis;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, LINK, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use jiff::Timestamp;
use policies::Refusal;
use policies::quota::Exceeded;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use uuid::Uuid;

/// STET 1.4–1.6, ErrorModel: the longest `message`, `error` and `path`.
const STET_TEXT_CHARS_MAX: usize = 140;

/// Which request is answered.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// Ours.
    pub request_id: Uuid,
    /// As sent, without the query.
    pub path: &'a str,
    /// When it is answered.
    pub now: Timestamp,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
struct Body<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    mend: &'a str,
    request_id: Uuid,
    timestamp: Timestamp,
    error: &'a str,
    message: &'a str,
    path: &'a str,
    /// The path or URL that replaces what was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    successor: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<Signature<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quota: Option<QuotaBody<'a>>,
    /// draft-ietf-httpapi-ratelimit-headers-10, "Problem Types".
    #[serde(rename = "violated-policies", skip_serializing_if = "Option::is_none")]
    violated_policies: Option<[&'a str; 1]>,
}

/// The limit that refused.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ExceededQuota")]
struct QuotaBody<'a> {
    name: &'a str,
    /// Which requests it counts: `all`, `attended` or `unattended`.
    counts: &'static str,
    limit: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    period_seconds: Option<f64>,
    left: u32,
    /// Nothing is left until then.
    until: Timestamp,
}

/// Names the two bodies of a refusal, `Problem` and `OAuthError`, among the shapes of `generator`.
pub fn describe(generator: &mut SchemaGenerator) {
    generator.subschema_for::<Body<'static>>();
    generator.subschema_for::<OauthBody<'static>>();
}

impl<'a> QuotaBody<'a> {
    fn of(exceeded: &'a Exceeded) -> Self {
        Self {
            name: &exceeded.name,
            counts: exceeded.counts.code(),
            limit: exceeded.requests,
            period_seconds: exceeded.period.map(|period| period.as_secs_f64()),
            left: 0,
            until: exceeded.until,
        }
    }
}

/// What is wrong with a signature, for its sender.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SignatureDiagnosis")]
struct Signature<'a> {
    /// What the signature was verified over.
    signing_string: Option<&'a str>,
    /// The digest of the body that arrived.
    digest: &'a str,
    /// The first line on which the sender's signing string was another, where it was found.
    first_difference: Option<Difference<'a>>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SignatureDifference")]
struct Difference<'a> {
    line: usize,
    expected: &'a str,
    signed: &'a str,
    mistake: &'a str,
}

impl<'a> Signature<'a> {
    fn of(diagnosis: &'a Diagnosis) -> Self {
        Self {
            signing_string: diagnosis.signing_string.as_deref(),
            digest: &diagnosis.digest,
            first_difference: diagnosis.differs.as_ref().map(|differs| Difference {
                line: differs.line,
                expected: &differs.ours,
                signed: &differs.theirs,
                mistake: &differs.mistake,
            }),
        }
    }
}

/// The sentence of a refusal: what is particular to this request, else the reason's own.
#[must_use]
pub fn detail(refusal: &Refusal) -> String {
    let detail = refusal.detail.to_string();
    if detail.is_empty() { refusal.reason.sentence().to_owned() } else { detail }
}

/// The response body.
#[must_use]
pub fn body(refusal: &Refusal, type_base: &str, about: About<'_>) -> Bytes {
    let reason = refusal.reason;
    let detail = detail(refusal);
    let error = StatusCode::from_u16(reason.status())
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Error");
    let body = Body {
        r#type: format!("{type_base}{}", reason.code()),
        title: reason.title(),
        status: reason.status(),
        detail: &detail,
        code: reason.code(),
        mend: reason.mend(),
        request_id: about.request_id,
        timestamp: about.now,
        error,
        message: bounded(reason.sentence()),
        path: bounded(about.path),
        successor: refusal.successor(),
        signature: refusal.diagnosis().map(Signature::of),
        quota: refusal.exceeded().map(QuotaBody::of),
        violated_policies: refusal.exceeded().map(|exceeded| [exceeded.name.as_str()]),
    };
    serde_json::to_vec(&body).map(Bytes::from).unwrap_or_default()
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OAuthError")]
struct OauthBody<'a> {
    error: &'a str,
    error_description: String,
    error_uri: String,
    code: &'a str,
    mend: &'a str,
    request_id: Uuid,
    timestamp: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<Signature<'a>>,
}

/// The response body for a caller who speaks OAuth (RFC 6749 §5.2), with our own members beside.
#[must_use]
pub fn oauth_body(refusal: &Refusal, type_base: &str, about: About<'_>) -> Bytes {
    let reason = refusal.reason;
    let body = OauthBody {
        error: refusal.oauth_error(),
        error_description: ascii(&detail(refusal)),
        error_uri: format!("{type_base}{}", reason.code()),
        code: reason.code(),
        mend: reason.mend(),
        request_id: about.request_id,
        timestamp: about.now,
        signature: refusal.diagnosis().map(Signature::of),
    };
    serde_json::to_vec(&body).map(Bytes::from).unwrap_or_default()
}

/// A text in the characters of `error_description` (RFC 6749 §4.1.2.1, §5.2).
#[must_use]
pub fn ascii(text: &str) -> String {
    let plain = |c: char| match c {
        '"' | '\\' => '\'',
        ' '..='~' => c,
        _ => '?',
    };
    text.chars().map(plain).collect()
}

/// The header fields that a refusal carries beside its body.
#[must_use]
pub fn headers(refusal: &Refusal) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = vec![
        (CONTENT_TYPE, HeaderValue::from_static("application/problem+json")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    let reason = refusal.reason;
    let mut add = |name: HeaderName, value: String| {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.push((name, value));
        }
    };
    // RFC 6750 §3: a request without any authentication information gets no error code.
    match reason.bearer_error() {
        Some("") => add(WWW_AUTHENTICATE, "Bearer realm=\"psd2\"".to_owned()),
        Some(error) => add(
            WWW_AUTHENTICATE,
            format!(
                "Bearer realm=\"psd2\", error=\"{error}\", error_description=\"{}\"",
                reason.sentence().replace(['"', '\\'], "'")
            ),
        ),
        None if reason.asks_for_signature() => add(
            WWW_AUTHENTICATE,
            "Signature realm=\"psd2\",headers=\"(request-target) date digest\"".to_owned(),
        ),
        None => {}
    }
    if let Some(seconds) = refusal.retry_after_seconds() {
        add(RETRY_AFTER, seconds.to_string());
    }
    if let Some((exceeded, period)) =
        refusal.exceeded().and_then(|exceeded| Some((exceeded, exceeded.period?)))
    {
        let mut text = String::new();
        policy(&mut text, &exceeded.name, exceeded.requests, period);
        add(HeaderName::from_static("ratelimit-policy"), text);
        let seconds = refusal.retry_after_seconds().unwrap_or_default();
        let state = format!("\"{}\";r=0;t={seconds}", exceeded.name);
        add(HeaderName::from_static("ratelimit"), state);
    }
    if let Some(method) = refusal.allow_method() {
        add(ALLOW, method.to_string());
    }
    if let Some(successor) = refusal.successor() {
        add(LINK, format!("<{successor}>; rel=\"successor-version\""));
    }
    headers
}

/// Adds one limit to a `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10): its window is in
/// whole seconds, and left out where it is shorter than one.
pub fn policy(text: &mut String, name: &str, requests: u32, period: Duration) {
    let comma = if text.is_empty() { "" } else { ", " };
    let _ = write!(text, "{comma}\"{name}\";q={requests}");
    if period.as_secs() > 0 {
        let _ = write!(text, ";w={}", period.as_secs());
    }
}

/// A whole HTTP/1.1 response, for a caller that is refused before HTTP is spoken.
#[must_use]
pub fn response(refusal: &Refusal, type_base: &str, about: About<'_>) -> Bytes {
    let body = body(refusal, type_base, about);
    let status = StatusCode::from_u16(refusal.reason.status()).unwrap_or(StatusCode::BAD_REQUEST);
    let mut response = format!("HTTP/1.1 {status}\r\n").into_bytes();
    let mut line = |name: &[u8], value: &[u8]| {
        for part in [name, b": ", value, b"\r\n"] {
            response.extend_from_slice(part);
        }
    };
    for (name, value) in headers(refusal) {
        line(name.as_str().as_bytes(), value.as_bytes());
    }
    line(b"content-length", body.len().to_string().as_bytes());
    line(b"x-request-id", about.request_id.to_string().as_bytes());
    line(b"octroi-request-id", about.request_id.to_string().as_bytes());
    line(b"connection", b"close");
    response.extend_from_slice(b"\r\n");
    response.extend_from_slice(&body);
    Bytes::from(response)
}

fn bounded(text: &str) -> &str {
    match text.char_indices().nth(STET_TEXT_CHARS_MAX) {
        Some((end, _)) => text.get(..end).unwrap_or_default(),
        None => text,
    }
}
