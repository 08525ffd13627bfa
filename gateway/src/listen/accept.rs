//! The accept loops. They are ours and not Pingora's, because its own has no bound on handshakes
//! below a minute, hides why they fail, cannot limit connections, and closes the port the moment
//! it is told to leave.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use certs::Identity;
use openssl::ssl::SslAcceptor;
use pingora::apps::{HttpServerApp, ServerApp};
use pingora::protocols::{ALPN, Stream};
use policies::World;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::connection::{Connection, Phase};
use super::crowd::Crowd;
use super::gate::{Guarded, Refusing};
use super::head::HeadBounds;
use super::http2;
use super::limits::ACCEPT_PAUSE_MS;
use super::socket::Socket;
use super::tls::{self, Seen};
use crate::config::RefusalMode;
use crate::drain::{Drain, Stage};
use crate::metrics::Metrics;

/// A connection on which nothing was asked for so long is closed when the gateway is.
const QUIET: Duration = Duration::from_secs(2);
/// The pause before a connection that is at work is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The bounds of one TPP connection.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The whole TLS handshake.
    pub handshake: Duration,
    /// From the first byte of a request head to its last.
    pub head: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// From a request head to the last byte of its answer; beyond it the connection is cut.
    pub request: Duration,
    /// How much a request head may be.
    pub head_size: HeadBounds,
}

/// What a connection is held to; one that is open keeps what it began with.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Who gets a connection at all.
    pub refusal: RefusalMode,
    /// Bounds of one connection.
    pub bounds: Bounds,
    /// Connections at once.
    pub connections_max: usize,
}

/// What the TPP listener opens to.
pub struct Door<A> {
    /// TLS, client certificate required.
    pub acceptor: Arc<ArcSwap<SslAcceptor>>,
    /// The world that identities are read by.
    pub world: Arc<dyn Fn() -> Arc<World> + Send + Sync>,
    /// Is shown their certificates.
    pub seen: Arc<Seen>,
    /// Is told who came.
    pub noticed: Arc<dyn Fn(&Identity) + Send + Sync>,
    /// The rules of the moment.
    pub rules: Arc<dyn Fn() -> Rules + Send + Sync>,
    /// The proxy engine.
    pub app: Arc<A>,
    /// What answers a malformed head.
    pub refusing: Arc<dyn Refusing>,
    /// The open connections.
    pub crowd: Crowd,
    /// Every series.
    pub metrics: Arc<Metrics>,
    /// Whether we are leaving.
    pub drain: Drain,
}

/// Accepts TPP connections until the gateway closes.
pub async fn serve_tpp<A>(listener: TcpListener, door: Arc<Door<A>>)
where
    A: HttpServerApp + Send + Sync + 'static,
{
    let leaving = [door.drain.watch(Stage::Draining), door.drain.watch(Stage::Closing)];
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = door.drain.reached(Stage::Leaving) => return,
        };
        let Some((stream, peer)) = settled(accepted).await else { continue };
        let rules = (door.rules)();
        let Some(present) = door.crowd.enter(rules.connections_max) else {
            door.metrics.connections_closed.with_label_values(&["too_many"]).inc();
            continue;
        };
        let door = Arc::clone(&door);
        let leaving = leaving.clone();
        tokio::spawn(async move {
            let _present = present;
            door.metrics.connections.inc();
            door.connection(stream, peer, rules, leaving).await;
            door.metrics.connections.dec();
        });
    }
}

impl<A> Door<A>
where
    A: HttpServerApp + Send + Sync + 'static,
{
    async fn connection(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        Rules { refusal, bounds, .. }: Rules,
        [draining, closing]: [watch::Receiver<bool>; 2],
    ) {
        let (acceptor, world) = (self.acceptor.load_full(), (self.world)());
        let socket = Socket::new(stream, peer);
        let introduced =
            tls::introduce(&acceptor, socket, peer, (&world, &*self.seen), bounds.handshake).await;
        drop((acceptor, world));
        self.metrics.handshake(introduced.as_ref().err().copied());
        let Ok((tls, connection)) = introduced else { return };
        (self.noticed)(connection.identity());
        if !admitted(refusal, &connection) {
            self.metrics.connections_closed.with_label_values(&["certificate_refused"]).inc();
            self.refusing.cut(&connection);
            return;
        }
        let guarded = Guarded::new(
            tls,
            Arc::clone(&connection),
            Arc::clone(&self.refusing),
            bounds.head_size,
        );
        let stream: Stream = Box::new(guarded);
        // HTTP/2 says GOAWAY with the first sign of leaving, but to nobody who has just come. The other
        // protocol has no such word: each answer says `close`, and who is quiet is left for longer.
        let is_http2 = matches!(stream.selected_alpn_proto(), Some(ALPN::H2));
        let shutdown = if is_http2 && !*draining.borrow() { draining } else { closing };
        let serving = async {
            if is_http2 {
                let refused = || self.refusing.refused_by_parser(&connection, "HTTP/2");
                http2::serve(&self.app, stream, shutdown, refused).await;
            } else {
                self.app.process_new(stream, &shutdown).await;
            }
        };
        tokio::select! {
            biased;
            () = serving => {}
            () = quiet(&connection, &self.drain), if !is_http2 => {}
            cause = overstayed(&connection, bounds) => {
                self.metrics.connections_closed.with_label_values(&[cause]).inc();
            }
        }
        if connection.take_head_without_request() {
            self.refusing.refused_by_parser(&connection, "HTTP/1.1");
        }
    }
}

/// DESIGN "TLS-level refusal": whether a client with this certificate may be told anything.
fn admitted(mode: RefusalMode, connection: &Connection) -> bool {
    let identity = connection.identity();
    match mode {
        RefusalMode::Explain => true,
        RefusalMode::ExplainTrusted => identity.trust().is_ok(),
        RefusalMode::Handshake => identity.trust().is_ok() && identity.profile().is_ok(),
    }
}

/// Comes back when the gateway closes and nothing has been asked on the connection for a while: whoever
/// is just about to ask is answered once more.
async fn quiet(connection: &Connection, drain: &Drain) {
    drain.reached(Stage::Closing).await;
    loop {
        let (phase, spent_ms) = connection.phase();
        match (phase, QUIET.checked_sub(Duration::from_millis(spent_ms))) {
            (Phase::Idle, None) => return,
            (Phase::Idle, Some(left)) => tokio::time::sleep(left).await,
            (Phase::Head | Phase::Active, _) => tokio::time::sleep(LOOK_AGAIN).await,
        }
    }
}

/// Comes back when a connection has outstayed the bound of what it is doing, with the cause as a
/// metric label.
async fn overstayed(connection: &Connection, bounds: Bounds) -> &'static str {
    loop {
        let (phase, spent_ms) = connection.phase();
        let (limit, cause) = match phase {
            Phase::Idle => (bounds.idle, "idle"),
            Phase::Head => (bounds.head, "head_timeout"),
            Phase::Active => (bounds.request, "request_timeout"),
        };
        let spent = Duration::from_millis(spent_ms);
        let Some(left) = limit.checked_sub(spent).filter(|left| !left.is_zero()) else {
            return cause;
        };
        // A head can begin while we wait for the end of an idle time.
        tokio::time::sleep(left.min(bounds.head)).await;
    }
}

/// The accepted connection; on the process's own shortage, a pause instead of a spin.
pub(super) async fn settled(
    accepted: std::io::Result<(TcpStream, SocketAddr)>,
) -> Option<(TcpStream, SocketAddr)> {
    match accepted {
        Ok(accepted) => Some(accepted),
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
            None
        }
    }
}
