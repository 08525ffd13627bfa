//! One record: what was asked, by whom, what was looked at, what was answered.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use certs::{OrganisationId, PspRole};
use jiff::Timestamp;
use policies::probing::Suspicion;
use policies::{CheckName, CheckOutcome, Reason, Trail, World};
use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::foreign::Foreign;
use super::pseudonyms::Pseudonyms;

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

/// One request, as the log keeps it. What a client may have forged (method, path, host, its own request id)
/// is bounded in length by the framing gate, escaped by JSON, and [`Foreign`].
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

/// The JSON line, written without a text of its own for any member. Names are documented in
/// `docs/src/operating/audit.md`.
#[derive(Serialize)]
pub(super) struct Line<'a> {
    #[serde(rename = "@timestamp")]
    time: Timestamp,
    /// Tells requests from events.
    #[serde(rename = "event.action")]
    action: &'static str,
    /// ECS knows no refusal: "success", "failure", "unknown".
    #[serde(rename = "event.outcome")]
    ecs_outcome: &'static str,
    /// Nanoseconds.
    #[serde(rename = "event.duration")]
    duration: u64,
    #[serde(rename = "http.request.id")]
    request_id: Uuid,
    #[serde(rename = "octroi.tpp_request_id", skip_serializing_if = "Option::is_none")]
    tpp_request_id: Option<Shown<Foreign<'a>>>,
    #[serde(rename = "trace.id")]
    trace_id: Shown<uuid::fmt::Simple>,
    #[serde(rename = "client.ip")]
    client_ip: Shown<IpAddr>,
    #[serde(rename = "client.port")]
    client_port: u16,
    #[serde(rename = "tls.version")]
    tls_version: &'a str,
    #[serde(rename = "tls.client.hash.sha256")]
    certificate_sha256: &'a str,
    #[serde(rename = "tls.client.x509.serial_number")]
    certificate_serial: &'a str,
    #[serde(rename = "tls.client.server_name", skip_serializing_if = "Option::is_none")]
    server_name: Option<Shown<Foreign<'a>>>,
    #[serde(rename = "organization.id", skip_serializing_if = "Option::is_none")]
    organisation_id: Option<&'a str>,
    #[serde(rename = "http.version")]
    http_version: &'a str,
    #[serde(rename = "http.request.method")]
    method: Shown<Foreign<'a>>,
    #[serde(rename = "url.domain")]
    host: Shown<Foreign<'a>>,
    #[serde(rename = "url.path")]
    path: Shown<Foreign<'a>>,
    /// The number of the world that judged it: it stands in `worlds`.
    #[serde(rename = "octroi.world", skip_serializing_if = "Option::is_none")]
    world: Option<u64>,
    #[serde(rename = "octroi.codetab", skip_serializing_if = "Option::is_none")]
    codetab: Option<&'a str>,
    #[serde(rename = "octroi.api", skip_serializing_if = "Option::is_none")]
    api: Option<&'a str>,
    #[serde(rename = "octroi.version", skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    #[serde(rename = "octroi.role", skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(rename = "octroi.outcome")]
    outcome: Outcome,
    #[serde(rename = "event.reason", skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(rename = "message", skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(rename = "octroi.quota", skip_serializing_if = "Option::is_none")]
    quota: Option<&'a str>,
    #[serde(rename = "http.response.status_code")]
    status: u16,
    #[serde(rename = "octroi.checks")]
    checks: Checks<'a>,
    #[serde(rename = "http.request.body.bytes")]
    bytes_in: u64,
    #[serde(rename = "http.response.body.bytes")]
    bytes_out: u64,
    #[serde(rename = "server.address", skip_serializing_if = "Option::is_none")]
    upstream: Option<Shown<SocketAddr>>,
    #[serde(rename = "octroi.timing")]
    timing: Timing,
    #[serde(rename = "octroi.probing", skip_serializing_if = "Option::is_none")]
    probing: Option<Probing>,
    #[serde(rename = "octroi.answered_before", skip_serializing_if = "Option::is_none")]
    answered_before: Option<Timestamp>,
    #[serde(rename = "octroi.psu_hmac", skip_serializing_if = "Option::is_none")]
    psu_hmac: Option<Shown<Hex>>,
    #[serde(rename = "octroi.iban_hmac", skip_serializing_if = "Option::is_none")]
    iban_hmac: Option<Shown<Hex>>,
    #[serde(rename = "octroi.hmac_key", skip_serializing_if = "Option::is_none")]
    hmac_key: Option<&'a str>,
}

/// The line of a permit.
#[derive(Serialize)]
pub(super) struct PermittedLine<'a> {
    #[serde(rename = "@timestamp")]
    time: Timestamp,
    #[serde(rename = "event.action")]
    action: &'static str,
    #[serde(rename = "http.request.id")]
    request_id: Uuid,
    #[serde(rename = "trace.id")]
    trace_id: Shown<uuid::fmt::Simple>,
    #[serde(rename = "organization.id", skip_serializing_if = "Option::is_none")]
    organisation_id: Option<&'a str>,
    #[serde(rename = "octroi.codetab", skip_serializing_if = "Option::is_none")]
    codetab: Option<&'a str>,
    #[serde(rename = "octroi.api", skip_serializing_if = "Option::is_none")]
    api: Option<&'a str>,
    #[serde(rename = "octroi.version", skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
}

/// A value that is written as people read it.
struct Shown<T>(T);

impl<T: fmt::Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A digest in hexadecimal.
struct Hex([u8; 32]);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 64];
        hex::encode_to_slice(self.0, &mut text).map_err(|_| fmt::Error)?;
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

/// The checks that looked at something with an age or a version, and the one that failed. Which
/// others passed follows from the fixed order: all before the failed one, or simply all.
struct Checks<'a>(&'a Trail);

impl Serialize for Checks<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let tell = |check: &&policies::Check| match check.name {
            // These look at the same record as the token check before them.
            CheckName::Scope | CheckName::Consent => check.outcome != CheckOutcome::Passed,
            _ => {
                check.outcome != CheckOutcome::Passed
                    || check.looked_at.version != 0
                    || check.looked_at.as_of.is_some()
            }
        };
        serializer.collect_seq(self.0.iter().filter(tell).map(CheckLine::of))
    }
}

/// One check of the trail.
#[derive(Serialize)]
struct CheckLine {
    check: &'static str,
    passed: bool,
    /// The reason of a check that does not hold and was let pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<&'static str>,
    source: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<Shown<Version>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    as_of: Option<Timestamp>,
}

/// The short content hash of what a check looked at.
struct Version(u64);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl CheckLine {
    fn of(check: &policies::Check) -> Self {
        Self {
            check: check.name.code(),
            passed: !matches!(check.outcome, CheckOutcome::Failed(_)),
            warning: match check.outcome {
                CheckOutcome::Warned(reason) => Some(reason.code()),
                CheckOutcome::Passed | CheckOutcome::Failed(_) => None,
            },
            source: check.looked_at.source.code(),
            version: (check.looked_at.version != 0)
                .then_some(Shown(Version(check.looked_at.version))),
            as_of: check.looked_at.as_of,
        }
    }
}

impl Line<'_> {
    /// Ended otherwise than it was to.
    pub(super) const fn turn_into(&mut self, outcome: Outcome) {
        self.outcome = outcome;
        self.ecs_outcome = outcome.ecs();
    }
}

/// Names of where a request landed: codetab, API, version.
type Landed<'a> = (Option<&'a str>, Option<&'a str>, Option<&'a str>);

fn landed(world: Option<&Arc<World>>, route: (Option<usize>, Option<usize>)) -> Landed<'_> {
    let routes = world.map(|world| &world.routes);
    let codetab = route.0.and_then(|index| routes?.codetabs().nth(index));
    let version = route.1.and_then(|index| routes?.versions().nth(index));
    (
        codetab.map(|codetab| codetab.code.as_str()),
        version.map(|(api, _)| api.name.as_str()),
        version.map(|(_, version)| version.name.as_str()),
    )
}

impl Permitted {
    pub(super) fn line(&self) -> PermittedLine<'_> {
        let (codetab, api, version) = landed(Some(&self.world), self.route);
        PermittedLine {
            time: self.time,
            action: PERMITTED,
            request_id: self.request_id,
            trace_id: Shown(self.trace_id.simple()),
            organisation_id: self.client.organisation_id.as_ref().map(OrganisationId::as_str),
            codetab,
            api,
            version,
        }
    }
}

impl Record {
    pub(super) fn line<'a>(&'a self, people: &'a Pseudonyms) -> Line<'a> {
        let client = &*self.client;
        let (codetab, api, version) = landed(self.world.as_ref(), self.route);
        let pseudonym = |name: &String| Shown(Hex(people.of(name)));
        let foreign = |text: &'a str| Shown(Foreign { text, people: Some(people) });
        // Both are compared exactly with those of the configuration.
        let known = |text: &'a str, known: bool| {
            Shown(Foreign { text, people: (!known).then_some(people) })
        };
        let is_about_people = self.people.psu.is_some() || self.people.iban.is_some();
        Line {
            time: self.time,
            action: REQUEST,
            ecs_outcome: self.outcome.ecs(),
            duration: self.timing.total_us.saturating_mul(1000),
            request_id: self.request_id,
            tpp_request_id: self.tpp_request_id.as_deref().map(foreign),
            trace_id: Shown(self.trace_id.simple()),
            client_ip: Shown(client.address.ip()),
            client_port: client.address.port(),
            tls_version: client.tls_version.trim_start_matches("TLSv"),
            certificate_sha256: &client.certificate_sha256,
            certificate_serial: &client.certificate_serial,
            server_name: client.server_name.as_deref().map(foreign),
            organisation_id: client.organisation_id.as_ref().map(OrganisationId::as_str),
            http_version: self.protocol.trim_start_matches("HTTP/"),
            method: foreign(&self.method),
            host: known(&self.host, codetab.is_some()),
            path: known(&self.path, version.is_some()),
            world: self.world.as_ref().map(|world| world.generation),
            codetab,
            api,
            version,
            role: self.role.map(PspRole::code),
            outcome: self.outcome,
            code: self.reason.map(Reason::code),
            detail: self.detail.as_deref(),
            quota: self.quota.as_deref(),
            status: self.status,
            checks: Checks(&self.trail),
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            upstream: self.upstream.map(Shown),
            timing: self.timing,
            probing: self.probing,
            answered_before: self.answered_before,
            psu_hmac: self.people.psu.as_ref().map(pseudonym),
            iban_hmac: self.people.iban.as_ref().map(pseudonym),
            hmac_key: is_about_people.then(|| people.key_id()),
        }
    }
}
