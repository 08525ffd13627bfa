//! OpenTelemetry traces: one span a request, with a child for each wait, sent over OTLP/HTTP beside the
//! requests. A queue of bounded length lies between: whoever collects cannot hold anybody up, and what does
//! not fit is counted and dropped.

mod incoming;
mod otlp;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use certs::OrganisationId;
use jiff::Timestamp;
use policies::{Reason, World};
use prometheus::{IntCounter, IntCounterVec, Opts, Registry};
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use crate::audit::Outcome;
use crate::config::TracingSettings;

pub use incoming::Incoming;

/// Requests whose spans wait to be sent.
const QUEUE_REQUESTS_MAX: usize = 2048;
/// Requests whose spans go out together.
const BATCH_REQUESTS_MAX: usize = 256;
/// How long the first of them waits for others.
const BATCH_EVERY: Duration = Duration::from_millis(500);
/// How long the collector may take.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// Waits of one request that have spans of their own.
pub const WAITS_MAX: usize = 8;

/// What a request waited for. The names are span names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// The store of tokens and limits.
    Store,
    /// The line of the permit.
    Audit,
    /// The adapter, from the permit on.
    Upstream,
}

/// One wait.
#[derive(Clone, Copy, Debug)]
pub struct Wait {
    /// For what.
    pub waited: Waited,
    /// Since when.
    pub since: Instant,
    /// For how long.
    pub took: Duration,
}

/// What a request waited for, in order.
pub type Waits = ArrayVec<Wait, WAITS_MAX>;

/// What the spans of one request tell. Nothing of it is a secret, or a person's.
pub struct Traced {
    /// Its trace.
    pub trace_id: Uuid,
    /// The request; its lower half is the id of the first span.
    pub request_id: Uuid,
    /// What the TPP says it is part of, where that is listened to.
    pub incoming: Option<Incoming>,
    /// Wall time of the beginning.
    pub at: Timestamp,
    /// The same by the monotonic clock.
    pub started: Instant,
    /// Until the last byte of the answer.
    pub took: Duration,
    /// What it waited for.
    pub waits: Waits,
    /// As sent, if it is one of HTTP's own.
    pub method: &'static str,
    /// "HTTP/1.1" or "HTTP/2".
    pub protocol: &'static str,
    /// Where it came from.
    pub client: SocketAddr,
    /// Who asks, as its certificate says.
    pub organisation_id: Option<OrganisationId>,
    /// The world that it was judged by: `route` counts in its routes.
    pub world: Option<Arc<World>>,
    /// The codetab that the host names, and the version of an API that the path names.
    pub route: (Option<usize>, Option<usize>),
    /// How it ended.
    pub outcome: Outcome,
    /// Why it was refused.
    pub reason: Option<Reason>,
    /// The status sent, 0 if none was.
    pub status: u16,
    /// The adapter that it went to.
    pub upstream: Option<SocketAddr>,
}

/// Takes the spans of requests.
pub struct Traces {
    settings: TracingSettings,
    queue: mpsc::Sender<Traced>,
    dropped: IntCounter,
}

/// Sends them.
pub struct Exporter {
    settings: TracingSettings,
    client: reqwest::Client,
    queue: mpsc::Receiver<Traced>,
    engine: &'static str,
    exported: IntCounter,
    failed: IntCounter,
}

/// The counters, at 0 where nothing is traced.
///
/// # Errors
/// Prometheus' own, for a name registered twice.
pub fn series(registry: &Registry) -> prometheus::Result<IntCounterVec> {
    let opts = Opts::new("octroi_spans_total", "Spans of traces, by what became of them");
    let spans = IntCounterVec::new(opts, &["outcome"])?;
    for outcome in ["exported", "dropped", "failed"] {
        spans.with_label_values(&[outcome]);
    }
    registry.register(Box::new(spans.clone()))?;
    Ok(spans)
}

impl Traces {
    /// Both ends of the queue. `engine` is what the store is called.
    ///
    /// # Errors
    /// The HTTP client cannot be made.
    pub fn new(
        settings: &TracingSettings,
        spans: &IntCounterVec,
        engine: &'static str,
    ) -> reqwest::Result<(Self, Exporter)> {
        let (sender, receiver) = mpsc::channel(QUEUE_REQUESTS_MAX);
        let client = reqwest::Client::builder()
            .user_agent(concat!("octroi/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(EXPORT_TIMEOUT)
            .build()?;
        let counter = |outcome| spans.with_label_values(&[outcome]);
        let traces =
            Self { settings: settings.clone(), queue: sender, dropped: counter("dropped") };
        let exporter = Exporter {
            settings: settings.clone(),
            client,
            queue: receiver,
            engine,
            exported: counter("exported"),
            failed: counter("failed"),
        };
        Ok((traces, exporter))
    }

    /// Whether a trace is kept: the same answer at every gateway, and not for a caller to choose.
    #[must_use]
    pub fn samples(&self, trace_id: Uuid) -> bool {
        // The upper 48 bits of a random UUID are all random.
        let (upper, _) = trace_id.as_u64_pair();
        (upper >> 16) < self.settings.sampled_below
    }

    /// Whether what a TPP says about its own trace is noted.
    #[must_use]
    pub fn trusts_incoming(&self) -> bool {
        self.settings.trust_incoming
    }

    /// Hands the spans of a request over. Nobody is waited for.
    pub fn tell(&self, traced: Traced) {
        let spans = spans_of(&traced);
        if self.queue.try_send(traced).is_err() {
            self.dropped.inc_by(spans);
        }
    }
}

impl Exporter {
    /// Sends what comes until `closing`, and then what is left.
    pub async fn run(mut self, mut closing: watch::Receiver<bool>) {
        let mut batch = Vec::with_capacity(BATCH_REQUESTS_MAX);
        loop {
            let first = tokio::select! {
                first = self.queue.recv() => first,
                _ = closing.changed() => None,
            };
            let Some(first) = first else { break };
            batch.push(first);
            let until = tokio::time::Instant::now() + BATCH_EVERY;
            while batch.len() < BATCH_REQUESTS_MAX {
                match tokio::time::timeout_at(until, self.queue.recv()).await {
                    Ok(Some(traced)) => batch.push(traced),
                    Ok(None) | Err(_) => break,
                }
            }
            self.send(&mut batch).await;
        }
        self.queue.close();
        while let Ok(traced) = self.queue.try_recv() {
            batch.push(traced);
        }
        if !batch.is_empty() {
            self.send(&mut batch).await;
        }
    }

    async fn send(&self, batch: &mut Vec<Traced>) {
        let count = batch.iter().map(spans_of).sum();
        let body = otlp::request(&self.settings.service_name, self.engine, batch);
        batch.clear();
        let sent = self
            .client
            .post(&self.settings.endpoint)
            .header(http::header::CONTENT_TYPE, "application/x-protobuf")
            .body(body)
            .send()
            .await
            .and_then(reqwest::Response::error_for_status);
        match sent {
            Ok(_) => self.exported.inc_by(count),
            Err(error) => {
                self.failed.inc_by(count);
                tracing::debug!(%error, "spans were not taken by the collector");
            }
        }
    }
}

/// The span of the request, and one for each wait.
fn spans_of(traced: &Traced) -> u64 {
    1 + u64::try_from(traced.waits.len()).unwrap_or_default()
}

/// The id of the span of a request: what its records, and adapters without spans of ours, know it by.
fn first_span(request_id: Uuid) -> u64 {
    request_id.as_u64_pair().1
}

/// The id of the span in which the adapter is asked: its own spans are children of it.
#[must_use]
pub fn upstream_span(request_id: Uuid) -> u64 {
    first_span(request_id) ^ 1
}
