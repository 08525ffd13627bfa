//! One record: what was asked, by whom, what was looked at, what was answered.

mod checks;
mod line;

use std::net::SocketAddr;
use std::sync::Arc;

use certs::{OrganisationId, PspRole};
use jiff::Timestamp;
use policies::probing::Suspicion;
use policies::{Lane, Reason, Trail, World};
use serde::Serialize;
use uuid::Uuid;

/// `event.action` of the record of a request; every other line is an event.
pub const REQUEST: &str = "request";
/// `event.action` of the line that stands before anything goes to the bank.
pub const PERMITTED: &str = "request_permitted";

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Permitted and answered by the upstream.
    Allowed,
    /// Refused, with a reason.
    Refused,
    /// Neither: the client left, the adapter failed in the middle of its answer, or a fault of ours cut
    /// it short. The record closes itself.
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

    /// `event.outcome` of the Elastic Common Schema.
    const fn ecs(self) -> &'static str {
        match self {
            Self::Allowed => "success",
            Self::Refused => "failure",
            Self::Aborted => "unknown",
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
    /// From the permit to the head of the upstream's answer, or to the end where none came.
    pub upstream_us: u64,
    /// Waiting for the line of the permit.
    pub audit_us: u64,
    /// The rest: the gateway's own share.
    pub gateway_us: u64,
}

impl Timing {
    /// Ends after `total_us`.
    pub const fn end(&mut self, total_us: u64) {
        self.total_us = total_us;
        let others = self.store_us.saturating_add(self.upstream_us).saturating_add(self.audit_us);
        self.gateway_us = total_us.saturating_sub(others);
    }
}

/// What does not change while a connection is open, kept once for all its records.
#[derive(Debug)]
pub struct Client {
    /// Its address.
    pub address: SocketAddr,
    /// "TLSv1.3" or "TLSv1.2".
    pub tls_version: &'static str,
    /// SHA-256 of its certificate, in hexadecimal.
    pub certificate_sha256: String,
    /// The certificate's serial number, in hexadecimal.
    pub certificate_serial: String,
    /// The server name of the handshake, if one was sent.
    pub server_name: Option<Box<str>>,
    /// From the certificate, if it holds one that can be used.
    pub organisation_id: Option<OrganisationId>,
}

/// One request, as the log keeps it. What a client may have forged (method, path, host, its own
/// request id) is bounded in length by the framing gate, escaped by JSON, and kept from showing secrets.
pub struct Record {
    /// When the request head had been read.
    pub time: Timestamp,
    /// Ours; `X-Request-ID` towards the upstream.
    pub request_id: Uuid,
    /// The TPP's own `X-Request-ID`, if it sent an acceptable one.
    pub tpp_request_id: Option<String>,
    /// W3C trace id, 32 hex digits, of the `traceparent` that the upstream got.
    pub trace_id: Uuid,
    /// Who asks.
    pub client: Arc<Client>,
    /// "HTTP/1.1" or "HTTP/2".
    pub protocol: &'static str,
    /// As sent.
    pub method: String,
    /// As sent, without the query.
    pub path: String,
    /// As sent.
    pub host: String,
    /// The world that it was judged by: `route` counts in its routes.
    pub world: Option<Arc<World>>,
    /// The codetab that the host names, and the version of an API that the path names.
    pub route: (Option<usize>, Option<usize>),
    /// Which interface of the bank it asked for.
    pub lane: Lane,
    /// The role of its certificate that opens the API.
    pub role: Option<PspRole>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it was refused.
    pub reason: Option<Reason>,
    /// The sentence that the TPP got.
    pub detail: Option<String>,
    /// The limit that refused it.
    pub quota: Option<String>,
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
    /// Why it looks like a search for a balance.
    pub probing: Option<Probing>,
    /// When it was answered before, where that answer was given again.
    pub answered_before: Option<Timestamp>,
    /// The people behind the request, kept only as keyed HMACs.
    pub people: People,
}

/// What is known of a request when it may go to the bank.
pub struct Permitted {
    /// When the request head had been read.
    pub time: Timestamp,
    /// As in its [`Record`].
    pub request_id: Uuid,
    /// As in its [`Record`].
    pub trace_id: Uuid,
    /// Who asks.
    pub client: Arc<Client>,
    /// The world that it was judged by.
    pub world: Arc<World>,
    /// As in its [`Record`].
    pub route: (Option<usize>, Option<usize>),
    /// By which interface of the bank.
    pub lane: Lane,
}

/// Something that changed what requests are judged by. It stands in the log between the requests.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// When.
    #[serde(rename = "@timestamp")]
    pub time: Timestamp,
    /// What happened: a word of a closed set.
    #[serde(rename = "event.action")]
    pub event: &'static str,
    /// What it is about: a snapshot, an organisation id.
    #[serde(rename = "octroi.subject", skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// A sentence.
    #[serde(rename = "message")]
    pub detail: String,
    /// Who did it.
    #[serde(rename = "octroi.by", skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<String>,
}

/// What the balance-oracle guard raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Probing {
    /// What gives it away.
    pub sign: &'static str,
    /// What the rule asks for: `slow`, `refuse`.
    pub action: &'static str,
    /// Whether that was done.
    pub enforced: bool,
}

impl Probing {
    /// As the record has it.
    #[must_use]
    pub const fn new(suspicion: Suspicion, enforced: bool) -> Self {
        Self { sign: suspicion.sign.code(), action: suspicion.action.code(), enforced }
    }
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
