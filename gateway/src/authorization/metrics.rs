//! What the authorization server counts.

use policies::Reason;
use prometheus::{IntCounterVec, Opts, Registry};

use super::Endpoint;

/// Its series. Labels come from closed sets.
#[derive(Clone)]
pub struct AuthorizationMetrics {
    requests: IntCounterVec,
    consents: IntCounterVec,
}

/// What became of a customer who was sent here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConsentEvent {
    Asked,
    Given,
    Refused,
    Faulty,
}

impl ConsentEvent {
    const fn code(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Given => "given",
            Self::Refused => "refused",
            Self::Faulty => "faulty",
        }
    }
}

impl AuthorizationMetrics {
    /// Registers the series.
    ///
    /// # Errors
    /// Prometheus' own, for a name registered twice.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let requests = IntCounterVec::new(
            Opts::new(
                "octroi_oauth_requests_total",
                "Requests of TPPs to the authorization server; an empty reason is an answer",
            ),
            &["endpoint", "reason"],
        )?;
        let consents = IntCounterVec::new(
            Opts::new("octroi_consents_total", "Customers who were sent here by TPPs"),
            &["event"],
        )?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(consents.clone()))?;
        Ok(Self { requests, consents })
    }

    pub(super) fn answered(&self, endpoint: &Endpoint, reason: Option<Reason>) {
        let reason = reason.map_or("", Reason::code);
        self.requests.with_label_values(&[endpoint.code(), reason]).inc();
    }

    pub(super) fn consent(&self, event: ConsentEvent) {
        self.consents.with_label_values(&[event.code()]).inc();
    }
}
