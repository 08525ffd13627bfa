//! The PSU listener: browsers, without client certificates.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use axum::Router;
use axum::http::{Request, StatusCode};
use axum::response::IntoResponse as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use openssl::ssl::SslAcceptor;
use tokio::net::TcpListener;
use tower::ServiceExt;

use super::accept::{Bounds, Rules, settled};
use super::crowd::Crowd;
use super::socket::Socket;
use super::tls;
use crate::drain::{Drain, Stage};
use crate::metrics::Metrics;

/// A browser that has gone away is found out so soon (RFC 9113 §6.7).
const PING_EVERY: Duration = Duration::from_secs(10);
/// Requests of one connection at once.
const STREAMS_MAX: u32 = 32;

/// What the PSU listener opens to.
pub struct Browsers {
    /// TLS without client certificates.
    pub acceptor: Arc<ArcSwap<SslAcceptor>>,
    /// The pages of the moment.
    pub pages: Arc<ArcSwap<Router>>,
    /// The open connections.
    pub crowd: Crowd,
    /// How many may be.
    pub connections_max: usize,
    /// The rules of the moment; those about clients' certificates mean nothing here.
    pub rules: Arc<dyn Fn() -> Rules + Send + Sync>,
    /// Every series.
    pub metrics: Arc<Metrics>,
    /// Whether we are leaving.
    pub drain: Drain,
}

/// Serves browsers until the gateway closes.
pub async fn serve_psu(listener: TcpListener, browsers: Browsers) {
    let Browsers { acceptor, pages, crowd, connections_max, rules, metrics, drain } = browsers;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = drain.reached(Stage::Leaving) => return,
        };
        let Some((stream, peer)) = settled(accepted).await else { continue };
        let Some(present) = crowd.enter(connections_max) else {
            metrics.connections_closed.with_label_values(&["too_many_browsers"]).inc();
            continue;
        };
        let (acceptor, pages, drain) = (acceptor.load_full(), Arc::clone(&pages), drain.clone());
        let bounds = rules().bounds;
        tokio::spawn(async move {
            let _present = present;
            let socket = Socket::new(stream, peer);
            let Ok(tls) = tls::greet(&acceptor, socket, bounds.handshake).await else { return };
            let mut server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            server
                .http1()
                .timer(TokioTimer::new())
                .header_read_timeout(bounds.head)
                .max_buf_size(bounds.head_size.bytes_max.max(8 * 1024));
            server
                .http2()
                .timer(TokioTimer::new())
                .keep_alive_interval(PING_EVERY)
                .keep_alive_timeout(PING_EVERY)
                .max_concurrent_streams(STREAMS_MAX);
            let visit = Arc::new(Visit::new());
            let counted = Arc::clone(&visit);
            let service = service_fn(move |request: Request<Incoming>| {
                let (busy, pages) = (Busy::of(&counted), Router::clone(&pages.load()));
                async move {
                    let _busy = busy;
                    let answer = tokio::time::timeout(bounds.request, pages.oneshot(request)).await;
                    answer.unwrap_or_else(|_| Ok(StatusCode::REQUEST_TIMEOUT.into_response()))
                }
            });
            let mut serving = pin!(server.serve_connection(TokioIo::new(tls), service));
            tokio::select! {
                // A browser that goes away mid-page is no event.
                _ = serving.as_mut() => return,
                () = visit.idle(bounds) => {}
                () = drain.reached(Stage::Closing) => {}
            }
            // What is being answered is answered.
            serving.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(bounds.request, serving).await;
        });
    }
}

/// What one connection of a browser is doing.
struct Visit {
    opened: Instant,
    requests: AtomicU32,
    active: AtomicU32,
    quiet_since_ms: AtomicU64,
}

impl Visit {
    fn new() -> Self {
        let (requests, active) = (AtomicU32::new(0), AtomicU32::new(0));
        Self { opened: Instant::now(), requests, active, quiet_since_ms: AtomicU64::new(0) }
    }

    fn age_ms(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Comes back when nothing has been asked for too long: whoever opens a connection asks at once,
    /// and may then rest between two pages.
    async fn idle(&self, bounds: Bounds) {
        loop {
            let asked = self.requests.load(Ordering::Relaxed) > 0;
            let limit = if asked { bounds.idle } else { bounds.head };
            let since = self.quiet_since_ms.load(Ordering::Relaxed);
            let quiet = Duration::from_millis(self.age_ms().saturating_sub(since));
            let active = self.active.load(Ordering::Relaxed) > 0;
            match limit.checked_sub(quiet) {
                _ if active => tokio::time::sleep(bounds.head).await,
                Some(left) if !left.is_zero() => tokio::time::sleep(left).await,
                _ => return,
            }
        }
    }
}

/// A request that is being answered.
struct Busy(Arc<Visit>);

impl Busy {
    fn of(visit: &Arc<Visit>) -> Self {
        visit.requests.fetch_add(1, Ordering::Relaxed);
        visit.active.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(visit))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.quiet_since_ms.store(self.0.age_ms(), Ordering::Relaxed);
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}
