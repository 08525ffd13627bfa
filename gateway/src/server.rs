//! Puts the rooms together and keeps them running: the order of start, and of leaving.

mod keepers;

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use certs::Anchors;
use pingora::apps::{HttpServerOptions, ServerApp};
use pingora::proxy::{HttpProxy, http_proxy};
use pingora::server::configuration::ServerConf;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use crate::admin::{self, Admin};
use crate::audit::{Audit, AuditError, AuditMetrics};
use crate::authorization::{AuthorizationMetrics, AuthorizationServer, Sealers};
use crate::clock;
use crate::config::{Config, KeyPair, Listen, RefusalMode, UpstreamAddress};
use crate::descriptors::{TooFew, Wanted};
use crate::drain::{Drain, Signal, Signals, Stage};
use crate::in_flight::InFlight;
use crate::jwt::{JwtError, Jwts};
use crate::listen::head::HeadBounds;
use crate::listen::{self, Bounds, Build, Door, Renewal, RenewalMetrics};
use crate::metrics::Metrics;
use crate::pages::{self, Consents};
use crate::proxy::{AtTheGate, Gateway, Line};
use crate::revocation::WatchError;
use crate::sandbox::{self, Addresses};
use crate::seals::SealsError;
use crate::store::{self, Instance, StoreError};
use crate::upstream::{Upstream, UpstreamError};
use crate::world::{self, WorldLoadError};

/// Attempts to connect to an adapter for one request; nothing has been sent before a second one.
const CONNECT_ATTEMPTS_MAX: usize = 2;
/// Idle adapter connections kept per thread.
const UPSTREAM_POOL_CONNECTIONS: usize = 256;
/// What runs beside the requests is waited for so long when the gateway leaves.
const KEEPERS_LEAVE_MAX: Duration = Duration::from_secs(1);
/// PSU connections at once.
const PSU_CONNECTIONS_MAX: usize = 4096;

/// The gateway does not start. Nothing has been served when one of these comes back.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listen address.
    #[error("{key} = {address}: {source}; free the port or choose another")]
    Bind {
        /// The key of the configuration.
        key: &'static str,
        /// What was asked for.
        address: SocketAddr,
        /// The operating system's reason.
        source: io::Error,
    },
    /// TLS material.
    #[error("{key}: {source}")]
    Tls {
        /// The table of the configuration.
        key: &'static str,
        /// OpenSSL's reason.
        source: openssl::error::ErrorStack,
    },
    /// Anchors, registers, routes.
    #[error(transparent)]
    World(#[from] WorldLoadError),
    /// Tokens and quotas.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The access log.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// Enrolments and consents must outlive a crash.
    #[error("store: {0}")]
    StoreUnfit(String),
    /// An adapter.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The applications of the sandbox.
    #[error(transparent)]
    Clients(#[from] sandbox::ClientsError),
    /// What keeps revocations current.
    #[error(transparent)]
    Revocation(#[from] WatchError),
    /// What verifies JWTs.
    #[error(transparent)]
    Jwt(#[from] JwtError),
    /// What keeps seals current.
    #[error(transparent)]
    Seals(#[from] SealsError),
    /// What the operating system lets it open.
    #[error(transparent)]
    Descriptors(#[from] TooFew),
    /// A metric registered twice.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// Anything else of the operating system.
    #[error("{0}")]
    System(#[from] io::Error),
}

/// The three sockets, bound but not yet served: nothing that takes time happens after a client can
/// connect.
#[derive(Debug)]
pub struct Listeners {
    tpp: TcpListener,
    psu: TcpListener,
    admin: TcpListener,
    /// Where they really are.
    pub addresses: Addresses,
}

impl Listeners {
    /// Binds what is wanted; port 0 takes any that is free.
    ///
    /// # Errors
    /// The first address that cannot be had.
    pub fn bind(wanted: Addresses) -> Result<Self, StartError> {
        let tpp = bind("listen.tpp.address", wanted.tpp)?;
        let psu = bind("listen.psu.address", wanted.psu)?;
        let admin = bind("listen.admin.address", wanted.admin)?;
        let addresses = Addresses {
            tpp: tpp.local_addr()?,
            psu: psu.local_addr()?,
            admin: admin.local_addr()?,
        };
        Ok(Self { tpp, psu, admin, addresses })
    }
}

/// Runs the gateway until a signal asks it to leave; `ready` is called once every listener answers.
///
/// # Errors
/// Why it does not start.
pub async fn run(
    config: Config,
    listeners: Listeners,
    ready: impl FnOnce(Addresses) -> io::Result<()>,
) -> Result<(), StartError> {
    let Listeners { tpp, psu, admin, addresses } = listeners;
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }

    let drain = Drain::default();
    let (for_seals, seal_anchors) = watch::channel(Arc::new(world::seal_anchors(&config)?));
    let gateway = open(&config, &drain, seal_anchors.clone()).await?;
    let bounds = bounds(&config);
    keepers::watch_clock(&gateway, &drain)?;
    let room = wanted(&config).make_room()?;
    let connections = Arc::new(Semaphore::new(room.tpp));
    let proxy = Arc::new(engine(&config, &gateway));
    let for_world = Arc::clone(&gateway);
    let watch = keepers::watch_revocations(&config, &gateway, &drain)?.map(Arc::new);
    keepers::refresh_trust(&config, &gateway, &drain, for_seals)?;
    keepers::keep_seals(&config, &gateway, &drain, watch.clone(), seal_anchors).await?;
    let withdrawn = keepers::end_withdrawn(&gateway, &drain);
    keepers::refresh_register(&config, &gateway, &drain, withdrawn)?;
    keepers::fetch_jwks(&config, &gateway, &drain)?;
    let (tpp_certificate, psu_certificate) = server_certificates(&config, &gateway)?;
    let door = Door {
        noticed: Arc::new(move |identity| {
            if let Some(watch) = &watch {
                watch.notice(identity);
            }
        }),
        acceptor: tpp_certificate.acceptor(),
        world: Arc::new(move || for_world.world.load_full()),
        refusal: config.listen.tpp.refusal,
        app: Arc::clone(&proxy),
        refusing: Arc::new(AtTheGate(Arc::clone(&gateway))),
        bounds,
        connections: Arc::clone(&connections),
        metrics: Arc::clone(&gateway.metrics),
        drain: drain.clone(),
    };
    let psu_connections = Arc::new(Semaphore::new(room.psu));
    let admin_routes = admin::routes(Admin {
        gateway: Arc::clone(&gateway),
        key: config.listen.admin.key.clone().map(Arc::new),
    });

    tokio::spawn(listen::serve_tpp(tpp, Arc::new(door)));
    tokio::spawn(listen::serve_psu(
        psu,
        psu_certificate.acceptor(),
        pages::routes(consents(&config, &gateway)),
        psu_connections,
        bounds,
        (Arc::clone(&gateway.metrics), drain.clone()),
    ));
    for renewal in [tpp_certificate, psu_certificate] {
        tokio::spawn(renewal.run(drain.watch(Stage::Closing)));
    }
    tokio::spawn(async move {
        if let Err(error) = axum::serve(admin, admin_routes).await {
            tracing::error!(%error, "the admin listener ended");
        }
    });
    // Whoever is told that it is ready may ask it to leave at once.
    let mut signals = Signals::listen()?;
    drain.enter(Stage::Serving);
    ready(addresses)?;
    tracing::info!(tpp = %addresses.tpp, psu = %addresses.psu, admin = %addresses.admin, "serving");

    let signal = signals.next().await;
    leave(&config, &gateway, &proxy, (&connections, room.tpp), (signal, signals)).await;
    Ok(())
}

/// Opens everything that a request needs.
async fn open(
    config: &Config,
    drain: &Drain,
    seal_anchors: watch::Receiver<Arc<Anchors>>,
) -> Result<Arc<Gateway>, StartError> {
    let world = world::load(config)?;
    let metrics = Arc::new(Metrics::new(config.metrics.top_tpps)?);
    let audit = Arc::new(Audit::open(&config.audit, AuditMetrics::new(metrics.registry())?)?);
    let store = store::open(&config.store, instance(config))?;
    keepers::hold_store_to_its_layout(store.as_ref()).await?;
    store.join();
    if let Err(error) = store.health().await {
        tracing::warn!(%error, "the store does not answer yet");
    }
    for collector in store.collectors() {
        metrics.registry().register(collector)?;
    }
    let closing = drain.watch(Stage::Closing);
    let needs_bank = |codetab: &&crate::config::CodetabSettings| {
        matches!(codetab.upstream.address, UpstreamAddress::SandboxBank)
    };
    let codes: Vec<String> =
        config.codetabs.iter().filter(needs_bank).map(|c| c.codetab.code.to_string()).collect();
    let mut banks = sandbox::bank::serve(&codes, closing.clone()).await?.into_iter();
    let mut upstreams = Vec::with_capacity(config.codetabs.len());
    for (index, codetab) in (0_u64..).zip(&config.codetabs) {
        let bank = needs_bank(&codetab).then(|| banks.next()).flatten();
        let upstream = Arc::new(Upstream::prepare(index, codetab, bank, &metrics).await?);
        tokio::spawn(Arc::clone(&upstream).watch(Arc::clone(&metrics), closing.clone()));
        upstreams.push(upstream);
    }
    let authorization = match &config.authorization {
        Some(settings) => Some(AuthorizationServer::new(
            settings.clone(),
            sealers(config, seal_anchors),
            Arc::clone(&store),
            Arc::clone(&audit),
            AuthorizationMetrics::new(metrics.registry())?,
        )),
        None => None,
    };
    let jwts = match &config.jwt {
        Some(settings) => Some(Arc::new(Jwts::new(settings.clone(), metrics.registry())?)),
        None => None,
    };
    let gateway = Arc::new(Gateway {
        series: Arc::new(metrics.requests(&world.routes)),
        world: ArcSwap::new(world),
        store,
        audit,
        metrics,
        balance_guard: config.balance_guard.clone(),
        limits: config.limits.clone(),
        in_flight: Arc::new(InFlight::default()),
        upstreams,
        authorization: authorization.map(Arc::new),
        jwts,
        explains_tokens: config.listen.tpp.refusal == RefusalMode::Explain,
        problem_type_base: config.problem_type_base.clone(),
        drain: drain.clone(),
    });
    if let Some(server) = &gateway.authorization {
        keepers::hold_store_to_account(gateway.store.as_ref(), server).await?;
    }
    if let (Some(server), Some(_)) = (&gateway.authorization, &config.sandbox) {
        keepers::enrol_sandbox(server, config, drain).await?;
    }
    let swept = Arc::clone(&gateway);
    tokio::spawn(async move {
        store::sweep_until(swept.store.as_ref(), clock::now, closing).await;
    });
    Ok(gateway)
}

/// The connections that there should be room for. A TPP's needs one to the adapter, whose other end is ours
/// too where the sandbox plays the bank.
fn wanted(config: &Config) -> Wanted {
    let sandbox = |codetab: &crate::config::CodetabSettings| {
        matches!(codetab.upstream.address, UpstreamAddress::SandboxBank)
    };
    let each = if config.codetabs.iter().any(sandbox) { 3 } else { 2 };
    Wanted { tpp: config.limits.connections_max, each, psu: PSU_CONNECTIONS_MAX }
}

/// The same after a crash: this machine and the directory of its log, which this process holds for as long as
/// it lives. Whoever does not get it is a gateway of its own.
fn instance(config: &Config) -> Option<Instance> {
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let log = std::fs::File::open(&config.audit.directory).ok()?;
    log.try_lock().ok()?;
    let place = log.metadata().ok()?;
    let name = format!("{machine}\n{}:{}", place.dev(), place.ino());
    // Dropped, it would let another process have the name.
    std::mem::forget(log);
    certs::sha256(name.as_bytes()).first_chunk().copied()
}

/// By what the QSEALCs of an enrolment are judged: as those of the APIs are, where any API is signed.
fn sealers(config: &Config, anchors: watch::Receiver<Arc<Anchors>>) -> Sealers {
    let policy = config.signature.as_ref().map(|settings| settings.policy.clone());
    let explains = config.listen.tpp.refusal.explains();
    Sealers { anchors, policy: policy.unwrap_or_default(), explains }
}

fn engine(config: &Config, gateway: &Arc<Gateway>) -> HttpProxy<Line> {
    let conf = ServerConf {
        threads: config.threads,
        max_retries: CONNECT_ATTEMPTS_MAX,
        upstream_keepalive_pool_size: UPSTREAM_POOL_CONNECTIONS,
        ..ServerConf::default()
    };
    let mut proxy = http_proxy(&Arc::new(conf), Line(Arc::clone(gateway)));
    let mut options = HttpServerOptions::default();
    options.h2_idle_timeout = Some(config.limits.keepalive_timeout);
    proxy.server_options = Some(options);
    proxy
}

/// The pages of consents, where the authorization server is ours.
fn consents(config: &Config, gateway: &Arc<Gateway>) -> Option<Consents> {
    let server = gateway.authorization.clone()?;
    let for_world = Arc::clone(gateway);
    let banks = config.codetabs.iter().map(|codetab| codetab.codetab.clone());
    Some(Consents::new(server, Arc::new(move || for_world.world.load_full()), banks))
}

fn bounds(config: &Config) -> Bounds {
    let limits = &config.limits;
    let slowest = config.codetabs.iter().map(|codetab| codetab.upstream.response_timeout).max();
    Bounds {
        handshake: limits.handshake_timeout,
        head: limits.head_timeout,
        idle: limits.keepalive_timeout,
        request: limits.body_timeout * 2 + slowest.unwrap_or_default(),
        head_size: HeadBounds::of(limits),
    }
}

/// SIGTERM: unready, go on accepting while the load balancer notices, then end what is idle, wait
/// for what is in flight, write what is left of the log.
async fn leave(
    config: &Config,
    gateway: &Arc<Gateway>,
    proxy: &Arc<HttpProxy<Line>>,
    (connections, all): (&Arc<Semaphore>, usize),
    (signal, mut signals): (Signal, Signals),
) {
    gateway.drain.enter(Stage::Draining);
    tracing::info!(?signal, "leaving: no longer ready");
    if signal == Signal::Terminate {
        tokio::select! {
            () = tokio::time::sleep(config.drain.delay) => {}
            _ = signals.next() => {}
        }
    }
    gateway.drain.enter(Stage::Closing);
    proxy.cleanup().await;
    let all = u32::try_from(all).unwrap_or(u32::MAX);
    tokio::select! {
        _ = connections.acquire_many(all) => tracing::info!("nothing is in flight any more"),
        () = tokio::time::sleep(config.drain.timeout) => {
            tracing::warn!(in_flight = gateway.metrics.requests_in_flight.get(), "drain.timeout is over; what is still in flight is cut");
        }
        _ = signals.next() => tracing::warn!("asked to leave again; not waiting any longer"),
    }
    gateway.store.leave().await;
    close_log(gateway).await;
}

async fn close_log(gateway: &Arc<Gateway>) {
    // A request that ended this instant writes its record as its context is dropped.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(1);
    while gateway.metrics.requests_in_flight.get() > 0 && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let closing = Arc::clone(gateway);
    let _ = tokio::task::spawn_blocking(move || closing.audit.close()).await;
    // What is still at work when the runtime ends would find no clock any more.
    if tokio::time::timeout(KEEPERS_LEAVE_MAX, gateway.drain.unwatched()).await.is_err() {
        tracing::debug!("not everything that runs beside the requests has ended");
    }
}

fn bind(key: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    listen::bind(address).map_err(|source| StartError::Bind { key, address, source })
}

fn server_certificates(
    config: &Config,
    gateway: &Gateway,
) -> Result<(Renewal, Renewal), StartError> {
    let metrics = RenewalMetrics::new(gateway.metrics.registry())?;
    let listener = |key, listener, build: Build, pair: &KeyPair| {
        Renewal::new(listener, build, pair.clone(), metrics.clone())
            .map_err(|source| StartError::Tls { key, source })
    };
    let Listen { tpp, psu, .. } = &config.listen;
    Ok((
        listener("listen.tpp", "tpp", listen::tpp_acceptor, &tpp.certificate)?,
        listener("listen.psu", "psu", listen::psu_acceptor, &psu.certificate)?,
    ))
}
