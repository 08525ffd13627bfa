//! What one request carries through Pingora's hooks, and the record that closes itself.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use certs::{OrganisationId, PspRole};
use http::HeaderValue;
use jiff::Timestamp;
use pingora::proxy::Session;
use policies::statistics::{Closing, Fate};
use policies::{Call, Check, CheckName, CheckOutcome, Lane, Permit, Reason, Refusal, Trail, World};
use uuid::Uuid;

use super::probing::Guarded;
use super::quotas::Counted;
use super::{Gateway, Settings, View, micros};
use crate::audit::{Outcome, People, Permitted, Probing, Record, Slot, Timing, Unwritten};
use crate::in_flight::Places;
use crate::listen::Connection;
use crate::metrics::{Finished, NONE};
use crate::problem;
use crate::traces::{Incoming, Traced, Wait, Waited, Waits};
use crate::upstream::{Deadline, Upstream};

/// The state of one request. Its record is handed over before the end of its answer can leave
/// ([`Context::close`]); where there is no end, its drop does it, because a panic or a forced shutdown
/// skips every hook of Pingora's but not a drop.
pub struct Context {
    gateway: Arc<Gateway>,
    /// What it is judged and served by, from its beginning to its end.
    pub(super) view: Arc<View>,
    /// The connection that it came on; absent until `request_filter`.
    pub(super) connection: Option<Arc<Connection>>,
    /// The world that it is judged by.
    pub(super) world: Option<Arc<World>>,
    /// Room for the record.
    pub(super) slot: Option<Slot>,
    /// Wall time of the judgement.
    pub(super) now: Timestamp,
    started: Instant,
    /// Ours.
    pub(super) request_id: Uuid,
    /// The trace that we start.
    pub(super) trace_id: Uuid,
    /// The client's own `X-Request-ID`, if acceptable.
    pub(super) tpp_request_id: Option<HeaderValue>,
    /// Every check so far.
    pub(super) trail: Trail,
    /// What was asked.
    pub(super) asked: Asked,
    /// Which interface of the bank it asks for.
    pub(super) lane: Lane,
    /// Its body passes to the customer interface as it comes, and has not ended yet.
    pub(super) is_uploading: bool,
    /// Whether its caller reads RFC 6749 errors.
    pub(super) speaks_oauth: bool,
    /// What is left of the limits that it was counted by.
    pub(super) counted: Counted,
    /// The places that it holds until it ends.
    pub(super) places: Option<Places>,
    /// The role of its certificate that opens the API.
    pub(super) role: Option<PspRole>,
    /// Set when every check has passed.
    pub(super) permit: Option<Permit>,
    /// A funds confirmation whose answer is still to be noted.
    pub(super) guarded: Option<Guarded>,
    /// Why it looks like a search for a balance.
    pub(super) probing: Option<Probing>,
    /// When it was answered before, if it was answered here.
    pub(super) answered_before: Option<Timestamp>,
    /// Whom it was about, where there is no permit any more.
    pub(super) people: Option<People>,
    /// Set when one has not.
    pub(super) refusal: Option<Refusal>,
    /// The refusal's body, while it replaces an upstream's.
    pub(super) replacement: Option<bytes::Bytes>,
    /// Where in the configuration the request landed: codetab and version indices.
    pub(super) route: (Option<usize>, Option<usize>),
    /// The address that it is to go to.
    pub(super) chosen: Option<SocketAddr>,
    /// The address that it went to.
    pub(super) upstream: Option<SocketAddr>,
    pub(super) permitted_at: Option<Instant>,
    /// Ends the exchange with the adapter in time.
    pub(super) limit: Option<Deadline>,
    /// Body bytes read while judging.
    pub(super) bytes_in: u64,
    pub(super) timing: Timing,
    /// What it waited for, where it is traced.
    waits: Waits,
    is_traced: bool,
    /// What the TPP says that it is part of.
    pub(super) incoming: Option<Incoming>,
    /// The status that passes on to the client, and how many bytes of the body have.
    pub(super) passing: (u16, u64),
    /// Status and body bytes sent, once known.
    sent: Option<(u16, u64)>,
    is_cut_short: bool,
    /// The log does not take what this request does: its refusal does not wait for a record.
    is_unrecordable: bool,
    /// It was counted, and its record handed over.
    is_closed: bool,
}

/// The request as sent, for the record.
#[derive(Default)]
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) host: String,
    pub(super) protocol: &'static str,
}

impl Context {
    pub(super) fn new(gateway: Arc<Gateway>) -> Self {
        gateway.metrics.requests_in_flight.inc();
        let trace_id = Uuid::new_v4();
        let is_traced = gateway.traces.as_ref().is_some_and(|traces| traces.samples(trace_id));
        Self {
            now: crate::clock::now(),
            slot: gateway.audit.reserve(),
            view: gateway.view.load_full(),
            gateway,
            connection: None,
            world: None,
            started: Instant::now(),
            request_id: Uuid::now_v7(),
            trace_id,
            is_traced,
            waits: Waits::new(),
            incoming: None,
            tpp_request_id: None,
            trail: Trail::new(),
            asked: Asked::default(),
            lane: Lane::Dedicated,
            is_uploading: false,
            speaks_oauth: false,
            counted: Counted::new(),
            places: None,
            role: None,
            permit: None,
            guarded: None,
            probing: None,
            answered_before: None,
            people: None,
            refusal: None,
            replacement: None,
            route: (None, None),
            chosen: None,
            upstream: None,
            permitted_at: None,
            limit: None,
            bytes_in: 0,
            timing: Timing::default(),
            passing: (0, 0),
            sent: None,
            is_cut_short: false,
            is_unrecordable: false,
            is_closed: false,
        }
    }

    /// The answer's `X-Request-ID`: the TPP's own where it sent one (STET), else ours.
    pub(super) fn answer_id(&self) -> HeaderValue {
        self.tpp_request_id.clone().unwrap_or_else(|| self.own_id())
    }

    /// Our request id as a header value.
    pub(super) fn own_id(&self) -> HeaderValue {
        let mut buffer = Uuid::encode_buffer();
        let text = self.request_id.hyphenated().encode_lower(&mut buffer);
        HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
    }

    /// How it is served.
    pub(super) fn settings(&self) -> &Settings {
        &self.view.settings
    }

    /// Which request is answered, for a problem body.
    pub(super) fn about(&self) -> problem::About<'_> {
        problem::About { request_id: self.request_id, path: &self.asked.path, now: self.now }
    }

    /// The instant by which the adapter's whole answer must be there.
    pub(super) fn deadline(&self, upstream: &Upstream) -> Instant {
        self.permitted_at.unwrap_or(self.started) + upstream.response_timeout()
    }

    /// The exchange with the adapter failed after its answer had begun to pass.
    pub(super) fn cut_short(&mut self, refusal: Refusal) {
        self.refusal = Some(refusal);
        self.is_cut_short = true;
    }

    /// Whether the answer had begun to pass when the exchange with the adapter failed.
    pub(super) fn is_cut_short(&self) -> bool {
        self.is_cut_short
    }

    /// Writes down that the request may go to the bank.
    ///
    /// # Errors
    /// It must not: there would be nothing to show for it.
    pub(super) async fn record_permit(&mut self) -> Result<(), Unwritten> {
        let asked = Instant::now();
        let (Some(connection), Some(world), Some(slot)) =
            (&self.connection, &self.world, &self.slot)
        else {
            return Err(Unwritten);
        };
        let line = Permitted {
            time: self.now,
            request_id: self.request_id,
            trace_id: self.trace_id,
            client: Arc::clone(connection.client()),
            world: Arc::clone(world),
            route: self.route,
            lane: self.lane,
        };
        let written = self.gateway.audit.permitted(line, slot).await;
        self.waited(Waited::Audit, asked);
        self.is_unrecordable = written.is_err();
        written
    }

    /// The answer is whole with `status` and `bytes_out` of body, and about to leave: it is counted, and
    /// the end of it waits until its record is written.
    pub(super) fn close(&mut self, status: u16, bytes_out: u64) {
        self.sent = Some((status, bytes_out));
        self.end(!self.is_unrecordable);
    }

    /// The answer has been written as far as it will be.
    pub(super) fn complete(&mut self, session: &Session) {
        if self.is_closed {
            return;
        }
        if let Some(header) = session.response_written() {
            let body = u64::try_from(session.body_bytes_sent()).unwrap_or(u64::MAX);
            self.sent = Some((header.status.as_u16(), body));
        }
        self.is_cut_short = true;
    }

    /// Counts the request and hands its record over, once.
    fn end(&mut self, is_held: bool) {
        if std::mem::replace(&mut self.is_closed, true) {
            return;
        }
        if let (Some(permitted_at), 0) = (self.permitted_at, self.timing.upstream_us) {
            self.waited(Waited::Upstream, permitted_at);
        }
        self.timing.end(micros(self.started.elapsed()));
        let reason = self.refusal.as_ref().map(|refusal| refusal.reason);
        self.count(reason);
        self.tell_interface(reason);
        self.gateway.metrics.observed(&self.trail, self.view.world.observed);
        self.trace(reason);
        if let (Some(connection), Some(slot)) = (self.connection.clone(), self.slot.take()) {
            let record = self.record(&connection, reason);
            self.gateway.audit.write(record, slot, is_held.then(|| connection.hold()));
        }
    }

    /// Notes a wait that began at `since` and is over.
    pub(super) fn waited(&mut self, waited: Waited, since: Instant) {
        let took = since.elapsed();
        match waited {
            Waited::Store => self.timing.store_us += micros(took),
            Waited::Audit => self.timing.audit_us = micros(took),
            Waited::Upstream => self.timing.upstream_us = micros(took),
        }
        if self.is_traced {
            // One more than there is room for is part of its parent.
            let _ = self.waits.try_push(Wait { waited, since, took });
        }
    }

    /// What the upstream is to know of the trace: whether it is kept. Where nothing is traced here that is
    /// for the upstream to decide.
    pub(super) fn is_sampled(&self) -> bool {
        self.is_traced || self.gateway.traces.is_none()
    }

    fn trace(&mut self, reason: Option<Reason>) {
        let (Some(traces), Some(connection), true) =
            (&self.gateway.traces, &self.connection, self.is_traced)
        else {
            return;
        };
        traces.tell(Traced {
            trace_id: self.trace_id,
            request_id: self.request_id,
            incoming: self.incoming,
            at: self.now,
            started: self.started,
            took: self.started.elapsed(),
            waits: std::mem::take(&mut self.waits),
            method: known_method(&self.asked.method),
            protocol: self.asked.protocol,
            client: connection.peer(),
            organisation_id: connection.client().organisation_id.clone(),
            world: self.world.clone(),
            route: self.route,
            outcome: self.outcome(),
            reason,
            status: self.sent.unwrap_or_default().0,
            upstream: self.upstream,
        });
    }

    fn count(&self, reason: Option<Reason>) {
        let outcome = self.outcome();
        match self.lane {
            Lane::Dedicated => self.view.settings.series.count(&Finished {
                route: self.route,
                outcome,
                reason,
                timing: self.timing,
                trace_id: self.trace_id,
                at: self.now,
            }),
            Lane::Fallback => {
                let codetab =
                    self.route.0.and_then(|place| self.view.settings.interfaces.get(place));
                let codetab = codetab.map_or(NONE, |interface| interface.codetab());
                self.gateway.metrics.fallback(codetab, outcome, reason);
            }
        }
        if let Some(id) = self.listed_tpp() {
            let counted = self.counted.iter().map(|(quota, left)| (quota, *left));
            self.gateway.metrics.listed_tpp(id, outcome, counted);
        }
    }

    /// Who asks, if the registers were asked and list it.
    fn listed_tpp(&self) -> Option<&OrganisationId> {
        let passed = |check: &Check| {
            check.name == CheckName::Register && check.outcome == CheckOutcome::Passed
        };
        self.trail.iter().any(passed).then_some(())?;
        self.connection.as_ref()?.client().organisation_id.as_ref()
    }

    /// What became of a call of an API says whether the bank's interface replies, and whether it serves.
    fn tell_interface(&self, reason: Option<Reason>) {
        let (Lane::Dedicated, (Some(codetab), Some(_))) = (self.lane, self.route) else { return };
        let settings = self.settings();
        let Some(interface) = settings.interfaces.get(codetab) else { return };
        let fate = Fate::of(&Closing {
            is_whole: self.outcome() != Outcome::Aborted,
            is_permitted: self.permit.is_some(),
            reason: reason.map(Reason::code),
            status: self.sent.map_or(0, |(status, _)| status),
            took_ms: u32::try_from(self.timing.total_us / 1000).unwrap_or(u32::MAX),
        });
        if fate.counts() {
            interface.hear(self.now, self.request_id, fate, &self.gateway.audit);
            if let Some(way) = settings.fallback.as_ref().and_then(|ways| ways.way(codetab)) {
                way.door.hear((self.now, self.request_id), fate, reason, &self.gateway.audit);
            }
        }
    }

    fn outcome(&self) -> Outcome {
        match (&self.refusal, self.sent.is_some() && !self.is_cut_short) {
            (_, false) => Outcome::Aborted,
            (Some(_), true) => Outcome::Refused,
            (None, true) => Outcome::Allowed,
        }
    }

    fn people_of_permit(&self) -> People {
        let call = self.permit.as_ref().and_then(Permit::call);
        let funds = call.and_then(Call::funds_request);
        People {
            psu: call.and_then(Call::psu).map(str::to_owned),
            iban: funds.map(|funds| funds.iban().to_owned()),
        }
    }

    /// Behind the paths that lead to a customer interface there may be names and account numbers: of them
    /// only what is configured is kept.
    fn recorded_path(&mut self) -> String {
        let asked = std::mem::take(&mut self.asked.path);
        let routes = self.world.as_ref().map(|world| &world.routes);
        match self.lane {
            Lane::Dedicated => asked,
            Lane::Fallback => {
                let prefix = routes.and_then(|routes| routes.fallback()?.prefix(&asked));
                prefix.unwrap_or("/").to_owned()
            }
        }
    }

    fn record(&mut self, connection: &Connection, reason: Option<Reason>) -> Record {
        let (status, bytes_out) = self.sent.unwrap_or_default();
        Record {
            time: self.now,
            request_id: self.request_id,
            tpp_request_id: self
                .tpp_request_id
                .as_ref()
                .and_then(|id| id.to_str().ok())
                .map(str::to_owned),
            trace_id: self.trace_id,
            client: Arc::clone(connection.client()),
            protocol: self.asked.protocol,
            method: std::mem::take(&mut self.asked.method),
            path: self.recorded_path(),
            host: std::mem::take(&mut self.asked.host),
            world: self.world.take(),
            route: self.route,
            lane: self.lane,
            role: self.role,
            outcome: self.outcome(),
            reason,
            detail: self.refusal.as_ref().map(problem::detail),
            quota: self
                .refusal
                .as_ref()
                .and_then(Refusal::exceeded)
                .map(|limit| limit.name.clone()),
            trail: std::mem::take(&mut self.trail),
            status,
            bytes_in: self.bytes_in,
            bytes_out,
            upstream: self.upstream,
            timing: self.timing,
            probing: self.probing,
            answered_before: self.answered_before,
            people: self.people.take().unwrap_or_else(|| self.people_of_permit()),
        }
    }
}

/// HTTP's own methods; semantic conventions call any other one `_OTHER`.
fn known_method(method: &str) -> &'static str {
    const KNOWN: [&str; 9] =
        ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    KNOWN.into_iter().find(|known| *known == method).unwrap_or("_OTHER")
}

impl Drop for Context {
    fn drop(&mut self) {
        // Nothing leaves after this.
        self.end(false);
        self.gateway.metrics.requests_in_flight.dec();
        if let Some(connection) = self.connection.take() {
            connection.request_ends();
        }
    }
}
