//! From a configuration to the settings that requests are served by. What the one before has, and the
//! new one leaves as it is, goes on as it is: circuits, connections, keys.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use certs::Anchors;
use policies::World;
use prometheus::Registry;
use tokio::sync::watch;

use super::StartError;
use super::keepers;
use crate::audit::Audit;
use crate::authorization::{AuthorizationMetrics, AuthorizationServer, Sealers};
use crate::config::Upstream as UpstreamSettings;
use crate::config::{Changes, CodetabSettings, Config, RefusalMode, UpstreamAddress};
use crate::drain::{Drain, Stage};
use crate::fetch::Fetcher;
use crate::jwt::{JwtError, Jwts};
use crate::listen::head::HeadBounds;
use crate::listen::{Bounds, Rules};
use crate::metrics::Metrics;
use crate::proxy::{Door, Fallback, Interface, Settings, Way};
use crate::revocation::Watch;
use crate::sandbox;
use crate::store::Store;
use crate::upstream::{System, Upstream};

use super::keepers::Task;

/// What of the authorization server hangs on.
/// Whether it is a sandbox's, its domains say.
pub(super) const AUTHORIZATION: &[&str] =
    &["authorization", "domain", "listen.tpp.refusal", "signature"];

/// What lives as long as the process, whatever the configuration becomes.
pub(super) struct Base {
    pub(super) store: Arc<dyn Store>,
    pub(super) audit: Arc<Audit>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) drain: Drain,
    /// Whom we believe about seals.
    pub(super) seal_anchors: Arc<watch::Sender<Arc<Anchors>>>,
    /// What keeps the revocations of the moment current.
    pub(super) watch: Arc<ArcSwapOption<Watch>>,
}

/// The settings before, and what a new configuration changes of theirs.
#[derive(Clone, Copy)]
pub(super) struct Before<'a> {
    pub(super) settings: &'a Settings,
    pub(super) changes: &'a Changes,
}

/// A room that begins anew: its name, its series, and what runs there.
pub(super) type Room = (&'static str, Registry, Vec<Task>);

/// Settings that nobody is served by yet.
pub(super) struct Prepared {
    pub(super) settings: Settings,
    /// Rooms that begin anew with them.
    pub(super) rooms: Vec<Room>,
}

impl Base {
    /// Prepares the settings of `config` for `world`'s routes.
    ///
    /// # Errors
    /// What is only known by trying: a name that does not resolve, keys that do not come.
    pub(super) async fn prepare(
        &self,
        config: &Config,
        world: &World,
        before: Option<Before<'_>>,
    ) -> Result<Prepared, StartError> {
        let mut rooms: Vec<Room> = vec![("versions", Metrics::ends(&world.routes)?, Vec::new())];
        let same = |tables: &[&str]| before.filter(|before| !before.changes.touch(tables));
        let authorization = match same(AUTHORIZATION) {
            Some(before) => before.settings.authorization.clone(),
            None => {
                let series = Registry::new();
                let server = self.authorization(config, &series).await?;
                rooms.push(("authorization", series, Vec::new()));
                server
            }
        };
        let jwts = match same(&["jwt"]) {
            Some(before) => before.settings.jwts.clone(),
            None => {
                let series = Registry::new();
                let (jwts, tasks) = self.jwts(config, &series, before.is_some()).await?;
                rooms.push(("jwt", series, tasks));
                jwts
            }
        };
        let settings = Settings {
            limits: config.limits.clone(),
            rules: rules(config),
            balance_guard: config.balance_guard.clone(),
            authorization,
            jwts,
            upstreams: self
                .upstreams(config, System::Adapter, before)
                .await?
                .into_iter()
                .flatten()
                .collect(),
            fallback: self.fallback(config, before).await?,
            interfaces: self.interfaces(config, before),
            series: Arc::new(self.metrics.requests(&world.routes)),
            explains_tokens: config.listen.tpp.refusal == RefusalMode::Explain,
            problem_type_base: config.problem_type_base.clone(),
            drain: config.drain.clone(),
            probe: config.probe.clone(),
        };
        Ok(Prepared { settings, rooms })
    }

    async fn authorization(
        &self,
        config: &Config,
        series: &Registry,
    ) -> Result<Option<Arc<AuthorizationServer>>, StartError> {
        let Some(settings) = &config.authorization else { return Ok(None) };
        // By what the QSEALCs of an enrolment are judged: as those of the APIs are, where any API is
        // signed.
        let policy = config.signature.as_ref().map(|settings| settings.policy.clone());
        let sealers = Sealers {
            anchors: self.seal_anchors.subscribe(),
            policy: policy.unwrap_or_default(),
            explains: config.listen.tpp.refusal.explains(),
        };
        let server = AuthorizationServer::new(
            settings.clone(),
            sealers,
            Arc::clone(&self.store),
            Arc::clone(&self.audit),
            AuthorizationMetrics::new(series)?,
        );
        keepers::hold_store_to_account(self.store.as_ref(), &server).await?;
        let watch = Arc::clone(&self.watch);
        server.on_certificate(move |leaf, trusted| {
            if let Some(watch) = &*watch.load() {
                watch.watch(leaf, trusted);
            }
        });
        Ok(Some(Arc::new(server)))
    }

    /// What verifies JWTs, and what keeps its keys current. At a reload the keys are there before the
    /// first token is judged by them.
    async fn jwts(
        &self,
        config: &Config,
        series: &Registry,
        running: bool,
    ) -> Result<(Option<Arc<Jwts>>, Vec<Task>), StartError> {
        let Some(settings) = &config.jwt else { return Ok((None, Vec::new())) };
        let jwts = Arc::new(Jwts::new(settings.clone(), series)?);
        let fetcher = Fetcher::new(settings.allow.clone()).map_err(JwtError::Client)?;
        if running {
            jwts.prime(&fetcher).await?;
        }
        let task = Arc::clone(&jwts).run(fetcher, self.drain.watch(Stage::Closing));
        Ok((Some(jwts), vec![Box::pin(task)]))
    }

    /// Whether an interface is down is known across configurations, and also where its adapter moves.
    fn interfaces(&self, config: &Config, before: Option<Before<'_>>) -> Vec<Arc<Interface>> {
        let interface = |settings: &CodetabSettings| {
            let code = &settings.codetab.code;
            let mut known = before.iter().flat_map(|before| &before.settings.interfaces);
            known.find(|known| known.codetab() == code).cloned().unwrap_or_else(|| {
                let is_down = self.metrics.interface_down.with_label_values(&[code]);
                Arc::new(Interface::new(code.clone(), is_down))
            })
        };
        config.codetabs.iter().map(interface).collect()
    }

    /// The ways to the customer interfaces. Whether one is open is known across configurations.
    async fn fallback(
        &self,
        config: &Config,
        before: Option<Before<'_>>,
    ) -> Result<Option<Fallback>, StartError> {
        let Some(settings) = config.fallback.clone() else { return Ok(None) };
        let upstreams = self.upstreams(config, System::CustomerInterface, before).await?;
        let known: Vec<&Way> =
            before.into_iter().flat_map(|before| ways(before.settings)).collect();
        let when = settings.policy.when;
        let way = |(upstream, codetab): (Option<Arc<Upstream>>, &CodetabSettings)| {
            let code = &codetab.codetab.code;
            let door = known.iter().map(|way| &way.door).find(|door| door.is_of(code, when));
            let door = door.cloned().unwrap_or_else(|| {
                let is_open = self.metrics.fallback_open(code);
                Arc::new(Door::new(code.clone(), when, is_open))
            });
            Some(Way { upstream: upstream?, door })
        };
        let ways = upstreams.into_iter().zip(&config.codetabs).map(way).collect();
        Ok(Some(Fallback { settings, ways }))
    }

    /// This system of each codetab that has one, in their order.
    async fn upstreams(
        &self,
        config: &Config,
        system: System,
        before: Option<Before<'_>>,
    ) -> Result<Vec<Option<Arc<Upstream>>>, StartError> {
        let of = |codetab| of_codetab(codetab, system);
        let kept = |codetab: &CodetabSettings| {
            let code = codetab.codetab.code.as_str();
            let before = before?;
            let table = format!("codetab[{code}].{}", system.table());
            let same = !before.changes.touch(&[&table]);
            let mut known: Box<dyn Iterator<Item = &Arc<Upstream>>> = match system {
                System::Adapter => Box::new(before.settings.upstreams.iter()),
                System::CustomerInterface => {
                    Box::new(ways(before.settings).map(|way| &way.upstream))
                }
            };
            known.find(|known| same && known.codetab() == code).cloned()
        };
        let needs_bank =
            |upstream: &UpstreamSettings| upstream.address == UpstreamAddress::SandboxBank;
        let kept: Vec<_> = config.codetabs.iter().map(kept).collect();
        let new = config.codetabs.iter().zip(&kept).filter(|(_, kept)| kept.is_none());
        let codes: Vec<String> = new
            .filter(|(codetab, _)| of(codetab).is_some_and(needs_bank))
            .map(|(codetab, _)| codetab.codetab.code.clone())
            .collect();
        let closing = self.drain.watch(Stage::Closing);
        let banks = match system {
            System::Adapter => sandbox::bank::serve(&codes, closing).await?,
            System::CustomerInterface => sandbox::customers::serve(&codes, closing).await?,
        };
        let mut banks = banks.into_iter();
        let mut upstreams = Vec::with_capacity(kept.len());
        for (codetab, kept) in config.codetabs.iter().zip(kept) {
            upstreams.push(match (kept, of(codetab)) {
                (kept, Some(_)) if kept.is_some() => kept,
                (_, None) => None,
                (_, Some(settings)) => {
                    let bank = needs_bank(settings).then(|| banks.next()).flatten();
                    let name = (codetab.codetab.code.as_str(), system);
                    Some(Arc::new(Upstream::prepare(name, settings, bank, &self.metrics).await?))
                }
            });
        }
        Ok(upstreams)
    }
}

fn of_codetab(codetab: &CodetabSettings, system: System) -> Option<&UpstreamSettings> {
    match system {
        System::Adapter => Some(&codetab.upstream),
        System::CustomerInterface => codetab.customer_interface.as_ref(),
    }
}

/// The ways to customer interfaces.
pub(super) fn ways(settings: &Settings) -> impl Iterator<Item = &Way> {
    settings.fallback.iter().flat_map(|fallback| &fallback.ways).flatten()
}

fn rules(config: &Config) -> Rules {
    let limits = &config.limits;
    let systems = [System::Adapter, System::CustomerInterface];
    let upstreams = config
        .codetabs
        .iter()
        .flat_map(|codetab| systems.into_iter().filter_map(|system| of_codetab(codetab, system)));
    let slowest = upstreams.map(|upstream| upstream.response_timeout).max();
    let bounds = Bounds {
        handshake: limits.handshake_timeout,
        head: limits.head_timeout,
        idle: limits.keepalive_timeout,
        request: limits.body_timeout * 2 + slowest.unwrap_or_default(),
        head_size: HeadBounds::of(limits),
    };
    let (refusal, connections_max) = (config.listen.tpp.refusal, limits.connections_max);
    Rules { refusal, bounds, connections_max }
}
