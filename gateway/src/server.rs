//! Puts the rooms together and keeps them running: the order of start, and of leaving.

mod capacity;
mod keepers;
mod leaving;
mod reload;
mod serving;
mod sockets;
mod upgrade;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use futures_util::FutureExt;
use pingora::proxy::{HttpProxy, http_proxy};
use pingora::server::configuration::ServerConf;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};

use crate::admin::{self, Admin, Orders};
use crate::audit::{Audit, AuditError, AuditMetrics};
use crate::clock;
use crate::config::{Config, KeyPair, Listen};
use crate::descriptors::TooFew;
use crate::drain::{Drain, Signals, Stage};
use crate::in_flight::InFlight;
use crate::jwt::JwtError;
use crate::listen::{self, Browsers, Build, Door, Renewal, RenewalMetrics, Rules};
use crate::metrics::Metrics;
use crate::pages::{self, Consents};
use crate::probe;
use crate::proxy::{AtTheGate, Gateway, Line, View};
use crate::revocation::WatchError;
use crate::sandbox::{self, Addresses};
use crate::seals::SealsError;
use crate::store::{self, Instance, StoreError};
use crate::supervisor;
use crate::traces::{self, Traces};
use crate::upstream::UpstreamError;
use crate::world::{self, Chronicle, WorldLoadError};

use capacity::{Capacity, PSU_CONNECTIONS_MAX};
use leaving::Why;
use reload::{ReloadMetrics, Rooms};
use serving::Base;
use upgrade::Upgrades;

pub use capacity::descriptors;
pub use sockets::{Listeners, Predecessor};
pub use upgrade::remember_program;

/// Attempts to connect to an adapter for one request; nothing has been sent before a second one.
const CONNECT_ATTEMPTS_MAX: usize = 2;
/// Idle adapter connections kept per thread.
const UPSTREAM_POOL_CONNECTIONS: usize = 256;
/// What the service manager shows while all is well.
const SERVING: &str = "serving";
/// What it shows while the configuration on disk is one that was refused.
const SERVING_OLD: &str =
    "serving; the configuration on disk is refused, the one before is in force";

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
    /// A socket of the service manager.
    #[error(
        "the service manager hands over a socket at {0}, and no listener is to be there; give \
         octroi.socket and the configuration the same three addresses"
    )]
    Unwanted(SocketAddr),
    /// The gateway that this one was to take over from.
    #[error("--upgrade: {0}; a running gateway starts its successor itself: send it SIGUSR2")]
    Predecessor(io::Error),
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
    /// What requests are judged by cannot be kept.
    #[error("{directory}/worlds: {source}; let this user write there", directory = directory.display())]
    Worlds {
        /// `audit.directory`.
        directory: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
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
    /// What sends traces.
    #[error("tracing: {0}")]
    Tracing(reqwest::Error),
    /// A metric registered twice.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// Anything else of the operating system.
    #[error("{0}")]
    System(#[from] io::Error),
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
    // One that comes while it starts asks for what the start does anyway; unheard, it would end it.
    for kind in [SignalKind::hangup(), SignalKind::user_defined2()] {
        drop(signal(kind)?);
    }
    let shared = listeners.shared()?;
    let Listeners { tpp, psu, admin, addresses } = listeners;
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }

    let drain = Drain::default();
    let store = config.store.clone();
    let rooms = open(config, drain.clone()).await?;
    let gateway = Arc::clone(&rooms.gateway);
    keepers::watch_clock(&gateway, &drain)?;
    keepers::prune_worlds(&rooms.config, &drain);
    tokio::spawn(probe::run(Arc::clone(&gateway), drain.watch(Stage::Closing)));
    tokio::spawn(probe::ask_again(Arc::clone(&gateway), drain.watch(Stage::Closing)));
    let capacity = Capacity::make(&rooms.config)?;
    let (engine, pages) = (engine(&rooms.config, &gateway), Arc::clone(&rooms.pages));
    let (watch, files) = (Arc::clone(&rooms.base.watch), Arc::clone(&rooms.files));
    let (crowd, browsing) = (capacity.tpp.clone(), capacity.psu.clone());
    let (mut rooms, orders) = (rooms, Orders::channel());
    let (certificates, names) = server_certificates(&rooms.config, &gateway)?;
    rooms.certificates = Some(names);
    rooms.capacity = Some(capacity);
    let [tpp_certificate, psu_certificate] = certificates;
    let (for_world, for_rules) = (Arc::clone(&gateway), Arc::clone(&gateway));
    let rules: Arc<dyn Fn() -> Rules + Send + Sync> =
        Arc::new(move || for_rules.view.load().settings.rules);
    let log = Arc::clone(&gateway.audit);
    let door = Door {
        seen: Arc::new(move |identity, leaf, sent| log.certificate(identity, leaf, sent)),
        noticed: Arc::new(move |identity| {
            if let Some(watch) = &*watch.load() {
                watch.notice(identity);
            }
        }),
        acceptor: tpp_certificate.acceptor(),
        world: Arc::new(move || for_world.world()),
        rules: Arc::clone(&rules),
        app: Arc::new(engine),
        refusing: Arc::new(AtTheGate(Arc::clone(&gateway))),
        crowd: crowd.clone(),
        metrics: Arc::clone(&gateway.metrics),
        drain: drain.clone(),
    };
    let browsers = Browsers {
        acceptor: psu_certificate.acceptor(),
        pages,
        crowd: browsing.clone(),
        connections_max: PSU_CONNECTIONS_MAX,
        rules,
        metrics: Arc::clone(&gateway.metrics),
        drain: drain.clone(),
    };
    let admin_routes = admin::routes(Admin {
        gateway: Arc::clone(&gateway),
        key: rooms.config.listen.admin.key.clone().map(Arc::new),
        orders: orders.0.clone(),
    });

    tokio::spawn(listen::serve_tpp(tpp, Arc::new(door)));
    tokio::spawn(listen::serve_psu(psu, browsers));
    for renewal in [tpp_certificate, psu_certificate] {
        tokio::spawn(renewal.run(drain.watch(Stage::Closing)));
    }
    // To the end it says that this gateway is not ready; but who asks once another one has taken over
    // means that one.
    let (relieved, over) = oneshot::channel::<()>();
    tokio::spawn(async move {
        let serving = axum::serve(admin, admin_routes).with_graceful_shutdown(over.map(drop));
        if let Err(error) = serving.await {
            tracing::error!(%error, "the admin listener ended");
        }
    });
    let mut upgrades = Upgrades::listen(shared, &store, gateway.metrics.registry())?;
    reload::hang_up(orders.0.clone(), drain.watch(Stage::Closing))?;
    tokio::spawn(reload::look_at_files(files, orders.0, drain.watch(Stage::Closing)));
    tokio::spawn(rooms.obey(orders.1));
    // Whoever is told that it is ready may ask it to leave at once.
    let mut signals = Signals::listen()?;
    drain.enter(Stage::Serving);
    ready(addresses)?;
    tracing::info!(tpp = %addresses.tpp, psu = %addresses.psu, admin = %addresses.admin, "serving");
    supervisor::ready(SERVING);
    tokio::spawn(supervisor::keep_alive(addresses.admin));

    let why = tokio::select! {
        signal = signals.next() => Why::Told(signal),
        pid = upgrades.taken_over() => {
            supervisor::handed_over(pid);
            Why::TakenOver
        }
    };
    let relieved = match why {
        Why::TakenOver => None,
        Why::Told(_) => {
            supervisor::stopping();
            Some(relieved)
        }
    };
    leaving::leave(&gateway, [&crowd, &browsing], (why, signals)).await;
    drop(relieved);
    Ok(())
}

/// Opens everything that a request needs.
async fn open(config: Config, drain: Drain) -> Result<Rooms, StartError> {
    let world = world::load(&config)?;
    let metrics = Arc::new(Metrics::new(config.metrics.top_tpps)?);
    let audit = Arc::new(Audit::open(&config.audit, AuditMetrics::new(metrics.registry())?)?);
    let store = store::open(&config.store, instance(&config))?;
    keepers::hold_store_to_its_layout(store.as_ref()).await?;
    store.join();
    if let Err(error) = store.health().await {
        tracing::warn!(%error, "the store does not answer yet");
    }
    for collector in store.collectors() {
        metrics.registry().register(collector)?;
    }
    let base = Base {
        store: Arc::clone(&store),
        audit: Arc::clone(&audit),
        metrics: Arc::clone(&metrics),
        drain: drain.clone(),
        seal_anchors: Arc::new(watch::Sender::new(Arc::new(world::seal_anchors(&config)?))),
        watch: Arc::default(),
    };
    let prepared = base.prepare(&config, &world, None).await?;
    let settings = Arc::new(prepared.settings);
    let customers = serving::ways(&settings).map(|way| &way.upstream);
    for upstream in settings.upstreams.iter().chain(customers) {
        upstream.watch(drain.watch(Stage::Closing));
    }
    let spans = traces::series(metrics.registry())?;
    let traces = match &config.tracing {
        Some(settings) => {
            let (traces, exporter) =
                Traces::new(settings, &spans, store.name()).map_err(StartError::Tracing)?;
            tokio::spawn(exporter.run(drain.watch(Stage::Closing)));
            Some(traces)
        }
        None => None,
    };
    let gateway = Arc::new(Gateway {
        chronicle: Chronicle::begin(&config, &world, Arc::clone(&audit)).map_err(|source| {
            StartError::Worlds { directory: config.audit.directory.clone(), source }
        })?,
        traces,
        view: ArcSwap::from_pointee(View { world, settings: Arc::clone(&settings) }),
        store,
        audit,
        metrics: Arc::clone(&metrics),
        in_flight: Arc::new(InFlight::default()),
        drain: drain.clone(),
    });
    if let (Some(server), Some(_)) = (&settings.authorization, &config.sandbox) {
        keepers::enrol_sandbox(server, &config, &drain).await?;
    }
    let (swept, closing) = (Arc::clone(&gateway), drain.watch(Stage::Closing));
    tokio::spawn(async move {
        store::sweep_until(swept.store.as_ref(), clock::now, closing).await;
    });
    let reloads = ReloadMetrics::new(metrics.registry())?;
    reloads.in_force(&config.text_sha256);
    let mut rooms = Rooms {
        pages: Arc::new(ArcSwap::from_pointee(page_routes(&config, &gateway))),
        withdrawn: keepers::end_withdrawn(&gateway, &drain),
        certificates: None,
        capacity: None,
        metrics: reloads,
        files: Arc::new(ArcSwap::from_pointee(config.files.clone())),
        running: BTreeMap::new(),
        base,
        gateway,
        config,
    };
    rooms.begin(prepared.rooms).await?;
    Ok(rooms)
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

fn engine(config: &Config, gateway: &Arc<Gateway>) -> HttpProxy<Line> {
    let conf = ServerConf {
        threads: config.threads,
        max_retries: CONNECT_ATTEMPTS_MAX,
        upstream_keepalive_pool_size: UPSTREAM_POOL_CONNECTIONS,
        ..ServerConf::default()
    };
    http_proxy(&Arc::new(conf), Line(Arc::clone(gateway)))
}

/// The pages; those of consents where the authorization server is ours.
fn page_routes(config: &Config, gateway: &Arc<Gateway>) -> Router {
    let consents = gateway.settings().authorization.clone().map(|server| {
        let for_world = Arc::clone(gateway);
        let banks = config.codetabs.iter().map(|codetab| codetab.codetab.clone());
        Consents::new(server, Arc::new(move || for_world.world()), banks)
    });
    let for_world = Arc::clone(gateway);
    pages::routes(consents, Arc::new(move || for_world.world()))
}

fn server_certificates(
    config: &Config,
    gateway: &Gateway,
) -> Result<([Renewal; 2], [watch::Sender<KeyPair>; 2]), StartError> {
    let metrics = RenewalMetrics::new(gateway.metrics.registry())?;
    let listener = |key, listener, build: Build, pair: &KeyPair| {
        Renewal::new(listener, build, pair.clone(), metrics.clone())
            .map_err(|source| StartError::Tls { key, source })
    };
    let Listen { tpp, psu, .. } = &config.listen;
    let tpp = listener("listen.tpp", "tpp", listen::tpp_acceptor, &tpp.certificate)?;
    let psu = listener("listen.psu", "psu", listen::psu_acceptor, &psu.certificate)?;
    Ok(([tpp.0, psu.0], [tpp.1, psu.1]))
}
