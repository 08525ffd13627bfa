//! The core-banking adapters and the customer interfaces behind the codetabs: where they are, whether
//! they answer, how to reach them. Nothing here can be used without a [`Permit`].

mod circuit;
mod deadline;
mod discovery;

use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use openssl::pkey::PKey;
use openssl::x509::X509;
use pingora::lb::health_check::{HealthCheck, HttpHealthCheck, TcpHealthCheck};
use pingora::lb::selection::RoundRobin;
use pingora::lb::{Backend, Backends, LoadBalancer};
use pingora::protocols::ALPN;
use pingora::upstreams::peer::{HttpPeer, HttpUpstreamRequestPolicy, Peer};
use pingora::utils::tls::CertKey;
use policies::Permit;
use prometheus::IntGauge;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::config;
use crate::metrics::Metrics;

use circuit::Circuit;
use deadline::Sockets;

pub use deadline::Deadline;

/// Which system of a bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// The core-banking adapter: the dedicated interface.
    Adapter,
    /// Where its customers are served: the fallback.
    CustomerInterface,
}

impl System {
    /// The table of a `[[codetab]]` that says where it is.
    #[must_use]
    pub const fn table(self) -> &'static str {
        match self {
            Self::Adapter => "upstream",
            Self::CustomerInterface => "customer_interface",
        }
    }

    /// Healthy addresses, and those left alone.
    fn gauges(self, metrics: &Metrics, codetab: &str) -> [IntGauge; 2] {
        let [healthy, circuit_open] = match self {
            Self::Adapter => [&metrics.upstream_healthy, &metrics.upstream_circuit_open],
            Self::CustomerInterface => {
                [&metrics.customer_interface_healthy, &metrics.customer_interface_circuit_open]
            }
        };
        [healthy, circuit_open].map(|series| series.with_label_values(&[codetab]))
    }
}

/// One system of a codetab: its addresses, which of them answer, and how to speak to it.
pub struct Upstream {
    codetab: String,
    system: System,
    addresses: Arc<LoadBalancer<RoundRobin>>,
    template: HttpPeer,
    connect_timeout: Duration,
    response_timeout: Duration,
    health_interval: Duration,
    circuit: Circuit,
    healthy_addresses: IntGauge,
    circuit_open: IntGauge,
    sockets: Arc<Sockets>,
    watching: OnceLock<AbortHandle>,
}

/// How a request that went to an adapter ended there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// The whole answer came, whatever it says.
    Answered,
    /// No connection came about, or it ended before the answer did.
    Failed,
}

/// An adapter of the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// No address could be found at start.
    #[error(
        "codetab {codetab}: {}.addresses: {source}; give host:port that this machine can resolve",
        system.table()
    )]
    Address {
        /// Whose.
        codetab: String,
        /// Which of its systems.
        system: System,
        /// Why.
        source: io::Error,
    },
    /// Certificates or keys of the TLS settings.
    #[error("codetab {codetab}: {}.tls: {source}", system.table())]
    Tls {
        /// Whose.
        codetab: String,
        /// Which of its systems.
        system: System,
        /// Why.
        source: openssl::error::ErrorStack,
    },
    /// A certificate file without a certificate.
    #[error(
        "codetab {codetab}: {}.tls.{key} holds no certificate; give a PEM file with at least one",
        system.table()
    )]
    Empty {
        /// Whose.
        codetab: String,
        /// Which of its systems.
        system: System,
        /// Which key.
        key: &'static str,
    },
}

impl Upstream {
    /// Resolves the addresses and prepares the peer of a system of the bank `codetab`.
    ///
    /// # Errors
    /// What the configuration check could not know: names that do not resolve here and now.
    pub async fn prepare(
        (codetab, system): (&str, System),
        upstream: &config::Upstream,
        sandbox_bank: Option<SocketAddr>,
        metrics: &Metrics,
    ) -> Result<Self, UpstreamError> {
        let codetab = codetab.to_owned();
        let addresses = match &upstream.address {
            config::UpstreamAddress::Sockets(addresses) => addresses.clone(),
            config::UpstreamAddress::SandboxBank => {
                sandbox_bank.iter().map(SocketAddr::to_string).collect()
            }
        };
        let fail = |source| UpstreamError::Address { codetab: codetab.clone(), system, source };
        let discovery = discovery::Addresses::new(addresses);
        let mut addresses = LoadBalancer::from_backends(Backends::new(Box::new(discovery)));
        addresses.set_health_check(health_check(upstream.connect_timeout));
        addresses.update().await.map_err(|error| fail(io::Error::other(error.to_string())))?;
        if addresses.backends().get_backend().is_empty() {
            return Err(fail(io::Error::other("no address")));
        }
        let [healthy_addresses, circuit_open] = system.gauges(metrics, &codetab);
        Ok(Self {
            template: template((&codetab, system), upstream)?,
            addresses: Arc::new(addresses),
            connect_timeout: upstream.connect_timeout,
            response_timeout: upstream.response_timeout,
            health_interval: upstream.health_interval,
            circuit: Circuit::default(),
            healthy_addresses,
            circuit_open,
            sockets: Arc::default(),
            watching: OnceLock::new(),
            codetab,
            system,
        })
    }

    /// The address for a permitted request that `failed` did not serve, if any is healthy and not left
    /// alone. One that is may be named once in a while: the request finds out whether it serves again.
    #[must_use]
    pub fn choose(&self, _permit: &Permit, failed: Option<SocketAddr>) -> Option<SocketAddr> {
        let serves = |backend: &Backend, healthy: bool| {
            let address = backend.addr.as_inet().filter(|address| Some(**address) != failed);
            healthy && address.is_some_and(|address| self.circuit.admits(address, Instant::now()))
        };
        let backend = self.addresses.select_with(b"", ADDRESSES_TRIED_MAX, serves)?;
        backend.addr.as_inet().copied()
    }

    /// The peer for a permitted request that has this much time left.
    #[must_use]
    pub fn peer(&self, _permit: &Permit, address: SocketAddr, left: Duration) -> Box<HttpPeer> {
        let mut peer = self.template.clone();
        peer._address = address.into();
        let options = &mut peer.options;
        let connect = Some(left.min(self.connect_timeout));
        options.connection_timeout = connect;
        options.total_connection_timeout = connect;
        options.read_timeout = Some(left);
        options.write_timeout = Some(left);
        self.sockets.follow(options);
        Box::new(peer)
    }

    /// Ends the connection with this descriptor at that instant, unless what is returned is dropped
    /// before.
    #[must_use]
    pub fn limit(&self, connection: RawFd, deadline: Instant) -> Option<Deadline> {
        self.sockets.limit(connection, deadline.into())
    }

    /// Learns how a request ended that went to this address.
    pub fn note(&self, address: SocketAddr, exchange: Exchange) {
        let (codetab, system) = (&self.codetab, self.system.table());
        let turned = match exchange {
            Exchange::Answered => self.circuit.succeeded(&address),
            Exchange::Failed => self.circuit.failed(address, Instant::now()),
        };
        if !turned {
            return;
        }
        match exchange {
            Exchange::Answered => tracing::info!(%codetab, system, %address, "it answers again"),
            Exchange::Failed => tracing::warn!(
                %codetab,
                system,
                %address,
                "it fails one request after another and is left alone: one a second tries it"
            ),
        }
        self.show_circuit();
    }

    fn show_circuit(&self) {
        self.circuit_open.set(i64::try_from(self.circuit.open()).unwrap_or(i64::MAX));
    }

    /// Whose it is.
    #[must_use]
    pub fn codetab(&self) -> &str {
        &self.codetab
    }

    /// Longest time from the permit to the last byte of the adapter's answer.
    #[must_use]
    pub fn response_timeout(&self) -> Duration {
        self.response_timeout
    }

    /// Whether any address that is not left alone takes a connection now.
    pub async fn takes_connections(&self) -> bool {
        let backends = self.addresses.backends().get_backend();
        let addresses = backends.iter().filter_map(|backend| backend.addr.as_inet());
        for address in addresses.filter(|address| !self.circuit.leaves_alone(address)) {
            let connecting = tokio::net::TcpStream::connect(*address);
            if matches!(tokio::time::timeout(self.connect_timeout, connecting).await, Ok(Ok(_))) {
                return true;
            }
        }
        false
    }

    /// Whether any address answers a GET of `path` with 200. One that does is not left alone any more.
    pub async fn serves(&self, path: &str) -> bool {
        let host = self.template.sni();
        let mut check =
            HttpHealthCheck::new(if host.is_empty() { &self.codetab } else { host }, false);
        check.peer_template = self.template.clone();
        let options = &mut check.peer_template.options;
        options.connection_timeout = Some(self.connect_timeout);
        options.total_connection_timeout = Some(self.connect_timeout);
        options.read_timeout = Some(self.response_timeout);
        options.write_timeout = Some(self.response_timeout);
        if check.req.set_raw_path(path.as_bytes()).is_err() {
            return false;
        }
        let backends = self.addresses.backends().get_backend();
        let limit = self.connect_timeout + self.response_timeout;
        for backend in backends.iter() {
            let answered = tokio::time::timeout(limit, check.check(backend)).await;
            if let (Ok(Ok(())), Some(address)) = (answered, backend.addr.as_inet()) {
                self.note(*address, Exchange::Answered);
                return true;
            }
        }
        false
    }

    /// How many addresses answer their probe.
    #[must_use]
    pub fn healthy(&self) -> usize {
        let backends = self.addresses.backends();
        backends.get_backend().iter().filter(|backend| backends.ready(backend)).count()
    }

    /// Begins to probe the addresses, and to look their names up again, until `stop` or
    /// [`Upstream::retire`].
    pub fn watch(self: &Arc<Self>, stop: watch::Receiver<bool>) {
        let task = tokio::spawn(Arc::clone(self).probe(stop));
        let _ = self.watching.set(task.abort_handle());
    }

    /// No new request comes here: ends the probing. Requests under way finish.
    pub fn retire(&self) {
        if let Some(task) = self.watching.get() {
            task.abort();
        }
    }

    async fn probe(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut round: u32 = 0;
        loop {
            self.addresses.backends().run_health_check(true).await;
            self.healthy_addresses.set(i64::try_from(self.healthy()).unwrap_or_default());
            round = round.wrapping_add(1);
            if round.is_multiple_of(ROUNDS_PER_LOOKUP)
                && let Err(error) = self.addresses.update().await
            {
                tracing::warn!(codetab = %self.codetab, system = self.system.table(), %error, "names do not resolve; the known addresses stay");
            }
            let known = self.addresses.backends().get_backend();
            self.circuit.retain(|address| {
                known.iter().any(|backend| backend.addr.as_inet() == Some(address))
            });
            self.show_circuit();
            tokio::select! {
                () = tokio::time::sleep(self.health_interval) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }
}

/// Addresses looked at for one request before giving up.
const ADDRESSES_TRIED_MAX: usize = 64;
/// How many adapters were prepared so far.
static PREPARED: AtomicU64 = AtomicU64::new(0);
/// Health rounds between two look-ups of names.
const ROUNDS_PER_LOOKUP: u32 = 6;

fn health_check(connect_timeout: Duration) -> Box<TcpHealthCheck> {
    let mut check = TcpHealthCheck::new();
    check.peer_template.options.connection_timeout = Some(connect_timeout);
    check
}

/// All that is the same for every request to one adapter; address and times are filled in later.
fn template(
    (codetab, system): (&str, System),
    upstream: &config::Upstream,
) -> Result<HttpPeer, UpstreamError> {
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let tls = |source| UpstreamError::Tls { codetab: codetab.to_owned(), system, source };
    let name = upstream.tls.as_ref().map(|tls| tls.name.clone()).unwrap_or_default();
    let mut peer = HttpPeer::new(nowhere, upstream.tls.is_some(), name);
    if let Some(settings) = &upstream.tls {
        let ca = certificates((codetab, system), "ca", &settings.ca_pem)?;
        peer.options.ca = Some(Arc::new(ca.into_boxed_slice()));
        if let Some(pair) = &settings.client {
            let chain =
                certificates((codetab, system), "client_certificate", &pair.certificate_pem)?;
            let key = PKey::private_key_from_pem(pair.key_pem.expose()).map_err(tls)?;
            peer.client_cert_key = Some(Arc::new(CertKey::new(chain, key)));
        }
    }
    // The pool's key holds neither the CA nor the codetab: without this, two adapters on one
    // address, or one before and after a reload, would share connections.
    peer.group_key = PREPARED.fetch_add(1, Ordering::Relaxed);
    peer.options.alpn = ALPN::H1;
    peer.options.idle_timeout = Some(upstream.idle_timeout);
    peer.options.http_upstream_request_policy = HttpUpstreamRequestPolicy::deny_upgrades();
    Ok(peer)
}

fn certificates(
    (codetab, system): (&str, System),
    key: &'static str,
    pem: &[u8],
) -> Result<Vec<X509>, UpstreamError> {
    let fault = |source| UpstreamError::Tls { codetab: codetab.to_owned(), system, source };
    let certificates = X509::stack_from_pem(pem).map_err(fault)?;
    if certificates.is_empty() {
        return Err(UpstreamError::Empty { codetab: codetab.to_owned(), system, key });
    }
    Ok(certificates)
}
