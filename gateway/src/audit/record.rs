//! One record: what was asked, by whom, what was looked at, what was answered.

use std::net::SocketAddr;
use std::sync::Arc;

use certs::OrganisationId;
use jiff::Timestamp;
use policies::{Reason, Trail};
use serde::Serialize;
use uuid::Uuid;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Permitted and answered by the upstream.
    Allowed,
    /// Refused, with a reason.
    Refused,
    /// Neither: the client left, or a fault of ours cut it short. The record closes itself.
    Aborted,
}

impl Outcome {
    /// Every outcome, for metrics.
    pub const ALL: [Self; 3] = [Self::Allowed, Self::Refused, Self::Aborted];

    /// The metric label and the record's `outcome`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Refused => "refused",
            Self::Aborted => "aborted",
        }
    }
}

/// Where the time of a request went, in microseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Timing {
    /// From the request head to the last byte of the answer.
    pub total_us: u64,
    /// Waiting for the store.
    pub store_us: u64,
    /// From the permit to the head of the upstream's answer.
    pub upstream_us: u64,
}

/// One request, as the log keeps it. What a client may have forged (path, host, its own request id)
/// is bounded in length by the framing gate and escaped by JSON.
#[derive(Debug)]
pub struct Record {
    /// When the request head had been read.
    pub time: Timestamp,
    /// Ours; `X-Request-ID` towards the upstream.
    pub request_id: Uuid,
    /// The TPP's own `X-Request-ID`, if it sent an acceptable one.
    pub tpp_request_id: Option<String>,
    /// W3C trace id, 32 hex digits, of the `traceparent` that the upstream got.
    pub trace_id: Uuid,
    /// The client's address.
    pub client: SocketAddr,
    /// "TLSv1.3" or "TLSv1.2".
    pub tls_version: &'static str,
    /// SHA-256 of the client certificate.
    pub certificate_sha256: [u8; 32],
    /// Its serial number, hex.
    pub certificate_serial: String,
    /// From the certificate, if it holds one.
    pub organisation_id: Option<OrganisationId>,
    /// "HTTP/1.1" or "HTTP/2".
    pub protocol: &'static str,
    /// As sent.
    pub method: String,
    /// As sent, without the query.
    pub path: String,
    /// As sent.
    pub host: String,
    /// The codetab that the host names.
    pub codetab: Option<Arc<str>>,
    /// The API and its version that the path names.
    pub api: Option<(Arc<str>, Arc<str>)>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it was refused.
    pub reason: Option<Reason>,
    /// The sentence that the TPP got.
    pub detail: Option<String>,
    /// Every check, in order, with what it looked at.
    pub trail: Trail,
    /// The status sent, 0 if none was.
    pub status: u16,
    /// Body bytes read from the TPP.
    pub bytes_in: u64,
    /// Body bytes sent to the TPP.
    pub bytes_out: u64,
    /// The adapter that answered.
    pub upstream: Option<SocketAddr>,
    /// Where the time went.
    pub timing: Timing,
    /// The people behind the request, kept only as keyed HMACs.
    pub people: People,
}

/// What must never be written as it is; the writer turns each into an HMAC.
#[derive(Default)]
pub struct People {
    /// The PSU that the token speaks for.
    pub psu: Option<String>,
    /// The account that was asked about.
    pub iban: Option<String>,
}

impl std::fmt::Debug for People {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("People([redacted])")
    }
}

/// The JSON line. Names are documented in `docs/src/operating/audit.md`.
#[derive(Serialize)]
pub(super) struct Line<'a> {
    time: Timestamp,
    request_id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    tpp_request_id: Option<&'a str>,
    trace_id: String,
    client: String,
    tls_version: &'a str,
    certificate_sha256: String,
    certificate_serial: &'a str,
    organisation_id: Option<&'a str>,
    protocol: &'a str,
    method: &'a str,
    host: &'a str,
    path: &'a str,
    codetab: Option<&'a str>,
    api: Option<&'a str>,
    version: Option<&'a str>,
    outcome: Outcome,
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    status: u16,
    checks: Vec<CheckLine>,
    bytes_in: u64,
    bytes_out: u64,
    upstream: Option<String>,
    timing: Timing,
    #[serde(skip_serializing_if = "Option::is_none")]
    psu_hmac: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iban_hmac: Option<String>,
}

/// One check of the trail.
#[derive(Serialize)]
struct CheckLine {
    check: &'static str,
    passed: bool,
    source: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    as_of: Option<Timestamp>,
}

impl Record {
    pub(super) fn line<'a>(&'a self, hmac: impl Fn(&str) -> Option<String>) -> Line<'a> {
        Line {
            time: self.time,
            request_id: self.request_id,
            tpp_request_id: self.tpp_request_id.as_deref(),
            trace_id: self.trace_id.simple().to_string(),
            client: self.client.to_string(),
            tls_version: self.tls_version,
            certificate_sha256: hex::encode(self.certificate_sha256),
            certificate_serial: &self.certificate_serial,
            organisation_id: self.organisation_id.as_ref().map(OrganisationId::as_str),
            protocol: self.protocol,
            method: &self.method,
            host: &self.host,
            path: &self.path,
            codetab: self.codetab.as_deref(),
            api: self.api.as_ref().map(|(api, _)| &**api),
            version: self.api.as_ref().map(|(_, version)| &**version),
            outcome: self.outcome,
            code: self.reason.map(Reason::code),
            detail: self.detail.as_deref(),
            status: self.status,
            checks: self.trail.iter().map(check_line).collect(),
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            upstream: self.upstream.map(|address| address.to_string()),
            timing: self.timing,
            psu_hmac: self.people.psu.as_deref().and_then(&hmac),
            iban_hmac: self.people.iban.as_deref().and_then(&hmac),
        }
    }
}

fn check_line(check: &policies::Check) -> CheckLine {
    CheckLine {
        check: check.name.code(),
        passed: check.outcome == policies::CheckOutcome::Passed,
        source: check.looked_at.source.code(),
        version: (check.looked_at.version != 0)
            .then(|| format!("{:016x}", check.looked_at.version)),
        as_of: check.looked_at.as_of,
    }
}
