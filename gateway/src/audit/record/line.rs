//! The lines of a record and of a permit, as they are written.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use certs::{OrganisationId, PspRole};
use jiff::Timestamp;
use policies::{Lane, Reason, World};
use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::checks::Checks;
use super::{Outcome, PERMITTED, Permitted, Probing, REQUEST, Record, Timing};
use crate::audit::foreign::Foreign;
use crate::audit::pseudonyms::Pseudonyms;

/// The JSON line, written without a text of its own for any member. Names are documented in
/// `docs/src/operating/audit.md`.
#[derive(Serialize)]
pub(in crate::audit) struct Line<'a> {
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
    #[serde(flatten)]
    landed: Landed<'a>,
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
pub(in crate::audit) struct PermittedLine<'a> {
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
    #[serde(flatten)]
    landed: Landed<'a>,
}

/// Where a request landed.
#[derive(Serialize)]
struct Landed<'a> {
    #[serde(rename = "octroi.codetab", skip_serializing_if = "Option::is_none")]
    codetab: Option<&'a str>,
    #[serde(rename = "octroi.api", skip_serializing_if = "Option::is_none")]
    api: Option<&'a str>,
    #[serde(rename = "octroi.version", skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    #[serde(rename = "octroi.lane", skip_serializing_if = "Option::is_none")]
    lane: Option<&'static str>,
}

/// A value that is written as people read it.
pub(super) struct Shown<T>(pub(super) T);

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

impl Line<'_> {
    /// Ended otherwise than it was to.
    pub(in crate::audit) const fn turn_into(&mut self, outcome: Outcome) {
        self.outcome = outcome;
        self.ecs_outcome = outcome.ecs();
    }
}

impl<'a> Landed<'a> {
    fn of(
        world: Option<&'a Arc<World>>,
        route: (Option<usize>, Option<usize>),
        lane: Lane,
    ) -> Self {
        let routes = world.map(|world| &world.routes);
        let codetab = route.0.and_then(|index| routes?.codetabs().nth(index));
        let version = route.1.and_then(|index| routes?.versions().nth(index));
        Self {
            codetab: codetab.map(|codetab| codetab.code.as_str()),
            api: version.map(|(api, _)| api.name.as_str()),
            version: version.map(|(_, version)| version.name.as_str()),
            lane: lane.code(),
        }
    }
}

impl Permitted {
    pub(in crate::audit) fn line(&self) -> PermittedLine<'_> {
        PermittedLine {
            time: self.time,
            action: PERMITTED,
            request_id: self.request_id,
            trace_id: Shown(self.trace_id.simple()),
            organisation_id: self.client.organisation_id.as_ref().map(OrganisationId::as_str),
            landed: Landed::of(Some(&self.world), self.route, self.lane),
        }
    }
}

impl Record {
    pub(in crate::audit) fn line<'a>(&'a self, people: &'a Pseudonyms) -> Line<'a> {
        let client = &*self.client;
        let pseudonym = |name: &String| Shown(Hex(people.of(name)));
        let foreign = |text: &'a str| Shown(Foreign { text, people: Some(people) });
        // Both are compared exactly with those of the configuration.
        let known = |text: &'a str, known: bool| {
            Shown(Foreign { text, people: (!known).then_some(people) })
        };
        let landed = Landed::of(self.world.as_ref(), self.route, self.lane);
        let (host_known, dedicated) = (landed.codetab.is_some(), self.lane == Lane::Dedicated);
        let name = self.host.split(':').next().unwrap_or_default();
        let sni = |sni: &'a str| known(sni, host_known && sni.eq_ignore_ascii_case(name));
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
            server_name: client.server_name.as_deref().map(sni),
            organisation_id: client.organisation_id.as_ref().map(OrganisationId::as_str),
            http_version: self.protocol.trim_start_matches("HTTP/"),
            method: foreign(&self.method),
            host: known(&self.host, host_known),
            path: known(&self.path, dedicated && landed.version.is_some()),
            world: self.world.as_ref().map(|world| world.generation),
            landed,
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
