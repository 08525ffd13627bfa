//! The end of a request: it is counted, told to whoever watches, and its record handed over, once.

use std::sync::Arc;

use certs::OrganisationId;
use policies::statistics::{Closing, Fate};
use policies::{Call, Check, CheckName, CheckOutcome, Lane, Permit, Reason, Refusal};

use super::super::micros;
use super::Context;
use crate::audit::{Outcome, People, Record};
use crate::listen::Connection;
use crate::metrics::{Finished, NONE};
use crate::problem;
use crate::traces::{Traced, Waited};

impl Context {
    /// Counts the request and hands its record over, once.
    pub(super) fn end(&mut self, is_held: bool) {
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
