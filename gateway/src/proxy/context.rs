//! What one request carries through Pingora's hooks, and the record that closes itself.

mod closing;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use certs::PspRole;
use http::HeaderValue;
use jiff::Timestamp;
use pingora::proxy::Session;
use policies::{Lane, Permit, Refusal, Trail, World};
use uuid::Uuid;

use super::probing::Guarded;
use super::quotas::Counted;
use super::{Gateway, Settings, View, micros};
use crate::audit::{People, Permitted, Probing, Slot, Timing, Unwritten};
use crate::in_flight::Places;
use crate::listen::Connection;
use crate::problem;
use crate::traces::{Incoming, Wait, Waited, Waits};
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
}
