//! A line of the log as it is read again: by those who search it, count it, or judge it anew. Only
//! what readers need is typed; a line that lacks a member is read all the same.

use std::borrow::Cow;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::Deserialize;

use super::record::REQUEST;

/// A request or an event.
#[derive(Clone, Debug, Deserialize)]
pub struct Entry<'a> {
    /// When.
    #[serde(rename = "@timestamp")]
    pub time: Timestamp,
    /// `request`, or what event it is.
    #[serde(rename = "event.action", borrow)]
    pub action: Cow<'a, str>,
    /// Counts the lines of a file.
    #[serde(rename = "event.sequence", default)]
    pub sequence: u64,
    /// Ours.
    #[serde(rename = "http.request.id", borrow, default)]
    pub request_id: Option<Cow<'a, str>>,
    /// 32 hexadecimal digits.
    #[serde(rename = "trace.id", borrow, default)]
    pub trace_id: Option<Cow<'a, str>>,
    /// Whence.
    #[serde(rename = "client.ip", default)]
    pub client: Option<IpAddr>,
    /// SHA-256 in hexadecimal.
    #[serde(rename = "tls.client.hash.sha256", borrow, default)]
    pub certificate_sha256: Option<Cow<'a, str>>,
    /// In hexadecimal.
    #[serde(rename = "tls.client.x509.serial_number", borrow, default)]
    pub certificate_serial: Option<Cow<'a, str>>,
    /// The TPP.
    #[serde(rename = "organization.id", borrow, default)]
    pub organisation_id: Option<Cow<'a, str>>,
    /// The role that the request used, `PSP_IC`.
    #[serde(rename = "octroi.role", borrow, default)]
    pub role: Option<Cow<'a, str>>,
    /// As sent.
    #[serde(rename = "http.request.method", borrow, default)]
    pub method: Cow<'a, str>,
    /// As sent.
    #[serde(rename = "url.domain", borrow, default)]
    pub host: Cow<'a, str>,
    /// As sent, without its query.
    #[serde(rename = "url.path", borrow, default)]
    pub path: Cow<'a, str>,
    /// The bank.
    #[serde(rename = "octroi.codetab", borrow, default)]
    pub codetab: Option<Cow<'a, str>>,
    /// The API.
    #[serde(rename = "octroi.api", borrow, default)]
    pub api: Option<Cow<'a, str>>,
    /// Its version.
    #[serde(rename = "octroi.version", borrow, default)]
    pub version: Option<Cow<'a, str>>,
    /// `allowed`, `refused`, `aborted`.
    #[serde(rename = "octroi.outcome", borrow, default)]
    pub outcome: Cow<'a, str>,
    /// The code of the reason.
    #[serde(rename = "event.reason", borrow, default)]
    pub reason: Option<Cow<'a, str>>,
    /// The sentence that was told.
    #[serde(rename = "message", borrow, default)]
    pub message: Option<Cow<'a, str>>,
    /// 0 if none was sent.
    #[serde(rename = "http.response.status_code", default)]
    pub status: u16,
    /// Nanoseconds from the request head to the last byte of the answer.
    #[serde(rename = "event.duration", default)]
    pub duration: u64,
    /// Where the time went.
    #[serde(rename = "octroi.timing", default)]
    pub timing: Timing,
    /// What was looked at.
    #[serde(rename = "octroi.checks", borrow, default)]
    pub checks: Vec<Looked<'a>>,
    /// The adapter.
    #[serde(rename = "server.address", borrow, default)]
    pub upstream: Option<Cow<'a, str>>,
    /// What an event is about.
    #[serde(rename = "octroi.subject", borrow, default)]
    pub subject: Option<Cow<'a, str>>,
    /// The server name of the handshake.
    #[serde(rename = "tls.client.server_name", borrow, default)]
    pub server_name: Option<Cow<'a, str>>,
    /// `fallback` for a call of the customer interface.
    #[serde(rename = "octroi.lane", borrow, default)]
    pub lane: Option<Cow<'a, str>>,
    /// The number of the world that judged the request.
    #[serde(rename = "octroi.world", default)]
    pub world: Option<u64>,
}

/// Microseconds.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Timing {
    /// In all.
    pub total_us: u64,
    /// Waiting for the store.
    pub store_us: u64,
    /// Waiting for the upstream's head.
    pub upstream_us: u64,
}

/// One check of a record.
#[derive(Clone, Debug, Deserialize)]
pub struct Looked<'a> {
    /// Which.
    #[serde(borrow)]
    pub check: Cow<'a, str>,
    /// Whether it held or was let pass.
    pub passed: bool,
    /// The reason of one that does not hold and was let pass.
    #[serde(borrow, default)]
    pub warning: Option<Cow<'a, str>>,
    /// What it looked at.
    #[serde(borrow, default)]
    pub source: Cow<'a, str>,
    /// The short content hash of that.
    #[serde(borrow, default)]
    pub version: Option<Cow<'a, str>>,
    /// How old that was.
    #[serde(default)]
    pub as_of: Option<Timestamp>,
}

impl<'a> Entry<'a> {
    /// Reads one line.
    ///
    /// # Errors
    /// It is no line of an access log.
    pub fn read(line: &'a [u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(line)
    }

    /// The record of a request, not an event.
    #[must_use]
    pub fn is_request(&self) -> bool {
        self.action == REQUEST
    }
}
