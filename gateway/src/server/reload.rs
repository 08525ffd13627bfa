//! A changed configuration taken in by the running gateway: read and prepared whole, then put in force
//! in one step, or refused with everything that is wrong with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use certs::Anchors;
use policies::{Register, World};
use prometheus::Registry;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::capacity::Capacity;
use super::keepers;
use super::serving::{AUTHORIZATION, Base, Before, Prepared, Room, ways};
use super::{StartError, page_routes};
use crate::admin::{Order, Reloaded};
use crate::audit::Event;
use crate::clock;
use crate::config::{Change, Changes, Config, ConfigProblems, KeyPair, Problem};
use crate::proxy::{Gateway, Settings, View, Way};
use crate::supervisor;
use crate::upstream::Upstream;
use crate::world::{self, WorldLoadError};

mod metrics;
mod triggers;

pub(super) use metrics::ReloadMetrics;
pub(super) use triggers::{hang_up, look_at_files};

/// What of the world hangs on: anchors, revocations, what a QWAC is.
const TRUST: &[&str] = &["trust", "insecure.revocation_unchecked"];
/// The register, and what keeps it current.
const REGISTER: &[&str] = &["register"];
/// What keeps the register current also weighs which APIs a TPP would lose.
const REGISTER_KEEPER: &[&str] = &["api", "register", "trust"];
/// Seals, which enrolled applications bring as well.
const SEALS: &[&str] = &["authorization", "listen.tpp.refusal", "signature", "trust"];
/// Changes that one event of the log spells out.
const TOLD_MAX: usize = 100;

/// What runs by the configuration, and begins anew with another one.
pub(super) struct Rooms {
    pub(super) base: Base,
    pub(super) gateway: Arc<Gateway>,
    pub(super) pages: Arc<ArcSwap<Router>>,
    pub(super) withdrawn: mpsc::UnboundedSender<Arc<Register>>,
    /// Where the renewals of the two listeners learn of other files.
    pub(super) certificates: Option<[watch::Sender<KeyPair>; 2]>,
    /// Room for more connections.
    pub(super) capacity: Option<Capacity>,
    pub(super) metrics: ReloadMetrics,
    /// Every file that the configuration in force names.
    pub(super) files: Arc<ArcSwap<Vec<std::path::PathBuf>>>,
    pub(super) running: BTreeMap<&'static str, Vec<JoinHandle<()>>>,
    pub(super) config: Config,
}

/// Parts of the world that a configuration makes anew; the others stay what they have become.
#[derive(Default)]
struct NewParts {
    world: Option<World>,
    trust: bool,
    register: bool,
    seals: bool,
    seal_anchors: Option<Arc<Anchors>>,
}

impl Rooms {
    /// Begins `prepared` and everything that keeps the world current.
    pub(super) async fn begin(&mut self, prepared: Vec<Room>) -> Result<(), StartError> {
        let world = self.gateway.world();
        let all = |_: &[&str]| true;
        let config = self.config.clone();
        let authorization = self.gateway.settings().authorization.clone();
        let seal_anchors = Arc::clone(&*self.base.seal_anchors.borrow());
        let kept = self.keepers(&config, &world, authorization, &seal_anchors, all).await?;
        if let Some(seals) = kept.seals {
            self.gateway.change_world(|world| world.with_seals(Arc::clone(&seals)));
        }
        self.start(prepared, None);
        self.start(kept.rooms, kept.watch);
        Ok(())
    }

    /// Carries orders out, one after the other.
    pub(super) async fn obey(mut self, mut orders: mpsc::Receiver<Order>) {
        let mut shown = false;
        while let Some(order) = orders.recv().await {
            // An instant of shutdown is no time for another configuration.
            if self.gateway.drain.is_draining() {
                continue;
            }
            if order.by == triggers::SIGNAL {
                supervisor::reloading();
            }
            let told = self.reload(order.by).await;
            let refused = matches!(told, Reloaded::Refused { .. });
            // Who has begun to leave meanwhile has said so.
            if !self.gateway.drain.is_draining() {
                match order.by {
                    triggers::SIGNAL => supervisor::ready(status(refused)),
                    _ if refused != shown => supervisor::show(status(refused)),
                    _ => {}
                }
                shown = refused;
            }
            if let Some(answer) = order.answer {
                let _ = answer.send(told);
            }
        }
    }

    async fn reload(&mut self, by: &'static str) -> Reloaded {
        let file = self.config.file.clone();
        let read = tokio::task::block_in_place(|| Config::load(&file));
        let new = match read {
            Ok(new) => new,
            Err(ConfigProblems(problems)) => return self.refuse(by, problems),
        };
        let changes = self.config.stated.changes(&new.stated);
        if changes.is_empty() {
            // The last one that was refused is taken back with this.
            self.metrics.unchanged(by);
            return Reloaded::Unchanged;
        }
        let mut fixed: Vec<Problem> =
            changes.at_start().map(|change| self.only_at_start(change)).collect();
        if let Some(capacity) = &self.capacity {
            fixed.extend(capacity.widen(&self.config, &new));
        }
        if !fixed.is_empty() {
            return self.refuse(by, fixed);
        }
        let codetabs: Vec<String> =
            new.codetabs.iter().map(|codetab| codetab.codetab.code.clone()).collect();
        match self.put_in_force(new, &changes).await {
            Ok(()) => self.tell(by, changes),
            Err(error) => {
                let problem = self.problem(&error);
                for codetab in codetabs.iter().filter(|codetab| !self.has(codetab)) {
                    self.base.metrics.forget_codetab(codetab);
                    self.base.metrics.forget_fallback(codetab);
                }
                self.refuse(by, vec![problem])
            }
        }
    }

    /// Everything that can fail comes first; then the new view is there for whoever comes next.
    async fn put_in_force(&mut self, new: Config, changes: &Changes) -> Result<(), StartError> {
        let now = self.gateway.world();
        let before = self.gateway.settings();
        let mut parts = tokio::task::block_in_place(|| NewParts::load(&new, &now, changes))?;
        let world = parts.world.take().unwrap_or_else(|| World::clone(&now));
        let prior = Some(Before { settings: &before, changes });
        let Prepared { settings, rooms } = self.base.prepare(&new, &world, prior).await?;
        let seal_anchors = match &parts.seal_anchors {
            Some(anchors) => Arc::clone(anchors),
            None => Arc::clone(&*self.base.seal_anchors.borrow()),
        };
        let touched = |tables: &[&str]| changes.touch(tables);
        let authorization = settings.authorization.clone();
        let kept = self.keepers(&new, &world, authorization, &seal_anchors, touched).await?;
        let world = match &kept.seals {
            Some(seals) => world.with_seals(Arc::clone(seals)),
            None => world,
        };

        // Whoever would go on with the old one ends before the new one is there.
        let ending: Vec<_> = rooms.iter().chain(&kept.rooms).map(|room| room.0).collect();
        for room in ending {
            self.end(room).await;
        }
        let settings = Arc::new(settings);
        self.gateway.replace(Some(&new), |view| View {
            world: Arc::new(parts.onto(&view.world, &world)),
            settings: Arc::clone(&settings),
        });
        before.series.give_way_to(&settings.series);
        self.retire(&before, &settings);
        if let Some(anchors) = parts.seal_anchors {
            self.base.seal_anchors.send_replace(anchors);
        }
        if parts.register {
            let _ = self.withdrawn.send(Arc::clone(&world.register));
        }
        self.pages.store(Arc::new(page_routes(&new, &self.gateway)));
        if let Some([tpp, psu]) = &self.certificates {
            tpp.send_replace(new.listen.tpp.certificate.clone());
            psu.send_replace(new.listen.psu.certificate.clone());
        }
        self.start(rooms, None);
        self.start(kept.rooms, kept.watch);
        self.files.store(Arc::new(new.files.clone()));
        self.metrics.in_force(&new.text_sha256);
        for warning in new.warnings() {
            tracing::warn!("{warning}");
        }
        self.config = new;
        Ok(())
    }

    /// Systems of banks that the new settings do not have: their probing ends, and series of codetabs that
    /// are gone go with them.
    fn retire(&self, before: &Settings, after: &Settings) {
        let all = |settings: &Settings| -> Vec<Arc<Upstream>> {
            let customers = ways(settings).map(|way| &way.upstream);
            settings.upstreams.iter().chain(customers).cloned().collect()
        };
        let (old, new) = (all(before), all(after));
        for upstream in &old {
            if !new.iter().any(|kept| Arc::ptr_eq(kept, upstream)) {
                upstream.retire();
            }
        }
        for upstream in &before.upstreams {
            if !after.upstreams.iter().any(|kept| kept.codetab() == upstream.codetab()) {
                self.base.metrics.forget_codetab(upstream.codetab());
            }
        }
        for Way { door, .. } in ways(before) {
            if !ways(after).any(|kept| Arc::ptr_eq(&kept.door, door)) {
                door.remove(&self.base.audit);
            }
            if !ways(after).any(|kept| kept.door.codetab() == door.codetab()) {
                self.base.metrics.forget_fallback(door.codetab());
            }
        }
        for upstream in &new {
            if !old.iter().any(|known| Arc::ptr_eq(known, upstream)) {
                upstream.watch(self.base.drain.watch(crate::drain::Stage::Closing));
            }
        }
    }

    async fn end(&mut self, room: &str) {
        for task in self.running.remove(room).unwrap_or_default() {
            task.abort();
            let _ = task.await;
        }
    }

    fn start(&mut self, rooms: Vec<Room>, watch: Option<Option<Arc<crate::revocation::Watch>>>) {
        for (room, series, tasks) in rooms {
            self.base.metrics.show_room(room, series);
            self.running.insert(room, tasks.into_iter().map(tokio::spawn).collect());
        }
        if let Some(watch) = watch {
            self.base.watch.store(watch);
        }
    }

    fn has(&self, codetab: &str) -> bool {
        self.config.codetabs.iter().any(|known| known.codetab.code == codetab)
    }

    fn only_at_start(&self, change: &Change) -> Problem {
        Problem {
            file: self.config.file.clone(),
            line: None,
            column: None,
            key: change.key.clone(),
            what: format!("a running gateway cannot change it ({change})"),
            mend: "restart or upgrade the gateway, or take the change back".to_owned(),
        }
    }

    fn problem(&self, error: &StartError) -> Problem {
        if let StartError::World(fault) = error {
            return fault.problem(&self.config.file);
        }
        Problem {
            file: self.config.file.clone(),
            line: None,
            column: None,
            key: String::new(),
            what: error.to_string(),
            mend: "see the message; the gateway goes on with the configuration that it has"
                .to_owned(),
        }
    }

    fn refuse(&self, by: &'static str, problems: Vec<Problem>) -> Reloaded {
        for problem in &problems {
            tracing::error!("{problem}");
        }
        let count = problems.len();
        tracing::error!(
            by,
            problems = count,
            "the new configuration is refused; the old one stays"
        );
        self.metrics.refused();
        Reloaded::Refused { problems }
    }

    fn tell(&self, by: &'static str, changes: Changes) -> Reloaded {
        for change in &changes.0 {
            tracing::info!("{change}");
        }
        tracing::info!(by, changes = changes.0.len(), "another configuration is in force");
        self.metrics.taken();
        let mut detail: Vec<String> =
            changes.0.iter().take(TOLD_MAX).map(ToString::to_string).collect();
        if let Some(more) = changes.0.len().checked_sub(TOLD_MAX).filter(|more| *more > 0) {
            detail.push(format!("and {more} more"));
        }
        self.base.audit.event(Event {
            time: clock::now(),
            event: "config_reloaded",
            subject: Some(hex::encode(self.config.text_sha256)),
            detail: detail.join("; "),
            by: vec![by.to_owned()],
        });
        Reloaded::Taken { changes }
    }
}

fn status(refused: bool) -> &'static str {
    if refused { super::SERVING_OLD } else { super::SERVING }
}

impl NewParts {
    fn load(new: &Config, now: &World, changes: &Changes) -> Result<Self, WorldLoadError> {
        let (trust, register) = (changes.touch(TRUST), changes.touch(REGISTER));
        let seals = changes.touch(SEALS);
        let routes = Arc::new(world::routes(new)?);
        let mut world = now.with_routes(routes).with_observed(new.insecure.observed);
        let mut seal_anchors = None;
        if trust {
            let (anchors, revocations) = world::trust(new)?;
            world = world
                .with_anchors(Arc::new(anchors))
                .with_revocations(Arc::new(revocations))
                .with_profile(new.trust.profile, new.insecure.revocation_unchecked);
            seal_anchors = Some(Arc::new(world::seal_anchors(new)?));
        }
        if register {
            world::register_files(new)?;
            world = world.with_register(Arc::new(world::register(new, None)?));
        }
        Ok(Self { world: Some(world), trust, register, seals, seal_anchors })
    }

    /// What the world has become meanwhile stays, where the configuration says nothing new of it.
    fn onto(&self, now: &World, new: &World) -> World {
        let routes = Arc::clone(&new.routes);
        let mut world = now.with_routes(routes).with_observed(new.observed);
        if self.trust {
            world = world
                .with_anchors(Arc::clone(&new.anchors))
                .with_revocations(Arc::clone(&new.revocations))
                .with_profile(new.profile, new.revocation_unchecked);
        }
        if self.register {
            world = world.with_register(Arc::clone(&new.register));
        }
        if self.seals {
            world = world.with_seals(Arc::clone(&new.seals));
        }
        world
    }
}

/// What keeps the world current, ready to be started.
struct KeptCurrent {
    rooms: Vec<Room>,
    /// The seals as they are at the beginning, where their keeper begins anew.
    seals: Option<Arc<policies::Seals>>,
    /// What watches revocations, where that begins anew: perhaps nothing.
    watch: Option<Option<Arc<crate::revocation::Watch>>>,
}

impl Rooms {
    async fn keepers(
        &self,
        config: &Config,
        world: &World,
        authorization: Option<Arc<crate::authorization::AuthorizationServer>>,
        seal_anchors: &Arc<Anchors>,
        touched: impl Fn(&[&str]) -> bool,
    ) -> Result<KeptCurrent, StartError> {
        let gateway = &self.gateway;
        let mut kept = KeptCurrent { rooms: Vec::new(), seals: None, watch: None };
        if touched(TRUST) {
            let series = Registry::new();
            let watch = keepers::watch_revocations(config, gateway, world, &series)?;
            let (watch, task) = watch.unzip();
            kept.watch = Some(watch.map(Arc::new));
            kept.rooms.push(("revocation", series, task.into_iter().collect()));
            let series = Registry::new();
            let task = keepers::refresh_trust(config, gateway, &self.base.seal_anchors, &series)?;
            kept.rooms.push(("trust", series, task.into_iter().collect()));
        }
        if touched(REGISTER_KEEPER) {
            let series = Registry::new();
            let withdrawn = self.withdrawn.clone();
            let task = keepers::refresh_register(config, gateway, world, withdrawn, &series)?;
            kept.rooms.push(("register", series, task.into_iter().collect()));
        }
        if touched(SEALS) || touched(AUTHORIZATION) {
            let series = Registry::new();
            let anchors = self.base.seal_anchors.subscribe();
            let watch = Arc::clone(&self.base.watch);
            let kept_seals = keepers::keep_seals(
                config,
                gateway,
                (authorization, watch),
                (seal_anchors, anchors),
                &series,
            );
            let (seals, tasks) = kept_seals.await?.unzip();
            // Without a `[signature]` nobody's seal is known.
            kept.seals = Some(seals.unwrap_or_default());
            kept.rooms.push(("seals", series, tasks.unwrap_or_default()));
        }
        Ok(kept)
    }
}
