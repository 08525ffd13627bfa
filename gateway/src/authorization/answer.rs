//! What goes back to a TPP.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA};
use http::{HeaderName, HeaderValue};
use serde::Serialize;

/// An answer that is not a refusal.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Header fields beside those of every answer.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body; may be empty.
    pub body: Bytes,
}

impl Answer {
    /// JSON that nobody may keep (RFC 6749 §5.1).
    #[must_use]
    pub fn json(status: u16, body: &impl Serialize) -> Self {
        // Plain values always serialise.
        Self::of_json(status, serde_json::to_vec(body).unwrap_or_default().into())
    }

    /// The same of JSON that is written already.
    #[must_use]
    pub fn of_json(status: u16, body: Bytes) -> Self {
        let headers = vec![
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (CACHE_CONTROL, HeaderValue::from_static("no-store")),
            (PRAGMA, HeaderValue::from_static("no-cache")),
        ];
        Self { status, headers, body }
    }

    /// Nothing but a status.
    #[must_use]
    pub fn empty(status: u16) -> Self {
        let headers = vec![(CACHE_CONTROL, HeaderValue::from_static("no-store"))];
        Self { status, headers, body: Bytes::new() }
    }
}
