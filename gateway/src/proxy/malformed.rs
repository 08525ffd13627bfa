//! The answer and the record of requests that never became one: the framing gate refused them
//! before Pingora saw a byte.

use std::sync::Arc;

use bytes::Bytes;
use policies::{Lane, Reason, Refusal, Trail};
use uuid::Uuid;

use super::Gateway;
use crate::audit::{Outcome, People, Record, Timing};
use crate::clock;
use crate::listen::head::HeadFault;
use crate::listen::{Connection, Refusing};
use crate::metrics::Finished;
use crate::problem::{self, About};

/// The status of a record whose request got no answer.
const NOTHING_SENT: u16 = 0;

/// What is spoken where the gate stands, and where a client is cut before it says anything.
const HTTP1: &str = "HTTP/1.1";

/// Refuses at the gate.
pub struct AtTheGate(pub Arc<Gateway>);

impl Refusing for AtTheGate {
    fn refuse(&self, connection: &Connection, fault: HeadFault) -> Bytes {
        let refusal = Refusal::because(Reason::RequestMalformed, fault.to_string());
        let request_id = Uuid::now_v7();
        let status = refusal.reason.status();
        self.record((connection, HTTP1), &refusal, request_id, status);
        let about = About { request_id, path: "", now: clock::now() };
        problem::response(&refusal, &self.0.settings().problem_type_base, about)
    }

    fn cut(&self, connection: &Connection) {
        let identity = connection.identity();
        let refusal = match (identity.trust(), identity.profile()) {
            (Err(fault), _) => Refusal::because(Reason::CertificateUntrusted, fault.to_string()),
            (_, Err(fault)) => Refusal::because(Reason::CertificateNotQwac, fault.to_string()),
            (Ok(_), Ok(_)) => return,
        };
        self.record((connection, HTTP1), &refusal, Uuid::now_v7(), NOTHING_SENT);
    }

    fn refused_by_parser(&self, connection: &Connection, protocol: &'static str) {
        let refusal = Refusal::new(Reason::RequestMalformed);
        let status = refusal.reason.status();
        self.record((connection, protocol), &refusal, Uuid::now_v7(), status);
    }
}

impl AtTheGate {
    /// The bytes of a malformed head are nobody's method, path or host: none of them is kept.
    fn record(
        &self,
        (connection, protocol): (&Connection, &'static str),
        refusal: &Refusal,
        request_id: Uuid,
        status: u16,
    ) {
        let gateway = &self.0;
        let (trace_id, now) = (Uuid::new_v4(), clock::now());
        gateway.view.load().settings.series.count(&Finished {
            route: (None, None),
            outcome: Outcome::Refused,
            reason: Some(refusal.reason),
            timing: Timing::default(),
            trace_id,
            at: now,
        });
        let Some(slot) = gateway.audit.reserve() else { return };
        let record = Record {
            time: now,
            request_id,
            tpp_request_id: None,
            trace_id,
            client: Arc::clone(connection.client()),
            protocol,
            method: String::new(),
            path: String::new(),
            host: String::new(),
            world: None,
            route: (None, None),
            lane: Lane::Dedicated,
            role: None,
            outcome: Outcome::Refused,
            reason: Some(refusal.reason),
            detail: Some(problem::detail(refusal)),
            quota: None,
            trail: Trail::new(),
            status,
            bytes_in: 0,
            bytes_out: 0,
            upstream: None,
            timing: Timing::default(),
            probing: None,
            answered_before: None,
            people: People::default(),
        };
        // Where an answer follows, it waits for this record.
        let hold = (status != NOTHING_SENT).then(|| connection.hold());
        gateway.audit.write(record, slot, hold);
    }
}
