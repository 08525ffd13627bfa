//! What runs beside the requests and keeps the world current: revocations, trusted lists, seals,
//! registers.

mod clock;
mod withdrawn;
mod worlds;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use certs::{Anchors, OrganisationId};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use policies::client::Setting;
use policies::{Register, Seals, Standing, World};
use prometheus::Registry;
use tokio::sync::{mpsc, watch};

use super::StartError;
use crate::audit::Event;
use crate::authorization::{AuthorizationServer, EnrolFault};
use crate::config::Config;
use crate::drain::{Drain, Stage};
use crate::fetch::Fetcher;
use crate::proxy::Gateway;
use crate::register::{self, Directory, Tell};
use crate::revocation::{self, Watch, WatchError};
use crate::sandbox::{self, ClientsError};
use crate::seals::{Enrolled, SealKeeper};
use crate::store::{Store, StoreError};
use crate::tpps;
use crate::trust::{self, Import, Refresh, Source};
use crate::world::{self, Objects};

pub(super) use clock::watch_clock;
pub(super) use withdrawn::end_withdrawn;
pub(super) use worlds::prune_worlds;

/// The pause before the sandbox's TPPs are enrolled again.
const ENROL_RETRY: Duration = Duration::from_secs(1);

/// What runs beside the requests once it is spawned.
pub(super) type Task = BoxFuture<'static, ()>;

/// Keeps the world's revocations current, where the configuration says from whom. `from` is what they are
/// at the beginning.
pub(super) fn watch_revocations(
    config: &Config,
    gateway: &Arc<Gateway>,
    from: &World,
    series: &Registry,
) -> Result<Option<(Watch, Task)>, StartError> {
    let Some(settings) = &config.trust.revocation else { return Ok(None) };
    let (for_world, for_register) = (Arc::clone(gateway), Arc::clone(gateway));
    let objects = Objects::beside(&config.audit.directory);
    let (watch, task) = revocation::watch(
        (settings, objects),
        &from.anchors,
        (*from.revocations).clone(),
        series,
        (
            move |revocations| {
                for_world.change_world(|world| world.with_revocations(Arc::clone(&revocations)));
            },
            move |id: &OrganisationId| {
                let register = Arc::clone(&for_register.world().register);
                let (standing, _) = register.standing(id, crate::clock::now());
                !matches!(standing, Standing::Unknown)
            },
        ),
        gateway.drain.watch(Stage::Closing),
    )?;
    Ok(Some((watch, task.boxed())))
}

/// Keeps the world's anchors what the trusted lists say, where the configuration names some.
pub(super) fn refresh_trust(
    config: &Config,
    gateway: &Arc<Gateway>,
    for_seals: &Arc<watch::Sender<Arc<Anchors>>>,
    series: &Registry,
) -> Result<Option<Task>, StartError> {
    let Some(lists) = &config.trust.lists else { return Ok(None) };
    let import = match &lists.import {
        Some(settings) => {
            let import = Import {
                list_of_lists: Some(Source::Url(settings.list_of_lists.clone())),
                lists: Vec::new(),
                signers: settings.signers.clone(),
                territories: settings.territories.clone(),
                fetcher: Fetcher::new(settings.allow.clone()).map_err(WatchError::Client)?,
            };
            Some((import, settings.every))
        }
        None => None,
    };
    let trust = config.trust.clone();
    // The files were read, and made anchors of, before.
    let others = Box::new(move || world::other_anchors(&trust).unwrap_or_default());
    let store = trust::Store::new(&lists.directory);
    let metrics = (series, gateway.metrics.standing.freshness.clone());
    let refresh = Refresh::new(store, import, others, metrics)?;
    let (for_world, for_seals) = (Arc::clone(gateway), Arc::clone(for_seals));
    let task = refresh.run(
        move |anchors, seal_anchors| {
            for_world.change_world(|world| world.with_anchors(Arc::clone(&anchors)));
            for_seals.send_replace(seal_anchors);
        },
        gateway.drain.watch(Stage::Closing),
    );
    Ok(Some(task.boxed()))
}

/// Keeps the world's seals current, where the configuration knows some or says where they are. Beside
/// what does so: the seals as they are now, those of enrolled applications among them.
pub(super) async fn keep_seals(
    config: &Config,
    gateway: &Arc<Gateway>,
    (server, revocations): (Option<Arc<AuthorizationServer>>, Arc<ArcSwapOption<Watch>>),
    (now, anchors): (&Anchors, watch::Receiver<Arc<Anchors>>),
    series: &Registry,
) -> Result<Option<(Arc<Seals>, Vec<Task>)>, StartError> {
    let Some(settings) = &config.signature else { return Ok(None) };
    let explains = config.listen.tpp.refusal.explains();
    let metrics = (series, gateway.metrics.standing.freshness.clone());
    let keeper = SealKeeper::new(settings.clone(), explains, metrics)?;
    let mut tasks = Vec::new();
    let enrolled = match server {
        Some(server) => {
            let (enrolled, seals) = Enrolled::follow(server).await;
            tasks.push(enrolled.run(gateway.drain.watch(Stage::Closing)).boxed());
            seals
        }
        None => watch::channel(Vec::new()).1,
    };
    let known = enrolled.borrow().clone();
    let seals = Arc::new(keeper.judge(known, now));
    let for_world = Arc::clone(gateway);
    let task = keeper.run(
        anchors,
        enrolled,
        move |seals| {
            for (seal, trusted) in seals.paths() {
                if let Some(watch) = &*revocations.load() {
                    watch.watch(seal.certificate(), trusted);
                }
            }
            for_world.change_world(|world| world.with_seals(Arc::clone(&seals)));
        },
        gateway.drain.watch(Stage::Closing),
    );
    tasks.push(task.boxed());
    Ok(Some((seals, tasks)))
}

/// Keeps the world's register current, where the configuration names a directory for it. `from` is what
/// is in force at the beginning, with the APIs that a TPP may need it for.
pub(super) fn refresh_register(
    config: &Config,
    gateway: &Arc<Gateway>,
    from: &World,
    withdrawn: mpsc::UnboundedSender<Arc<Register>>,
    series: &Registry,
) -> Result<Option<Task>, StartError> {
    let settings = &config.register;
    let Some(directory) = &settings.directory else { return Ok(None) };
    let fetcher = match &settings.fetch {
        Some(fetch) if settings.urls().next().is_some() => {
            Some(Fetcher::new(fetch.allow.clone()).map_err(WatchError::Client)?)
        }
        _ => None,
    };
    let apis = from.routes.apis().cloned().collect();
    let refresh = register::Refresh::new(
        settings.clone(),
        Directory::new(directory),
        fetcher,
        apis,
        Arc::clone(&from.register),
        series,
    )?;
    let (for_known, for_world, for_log) =
        (Arc::clone(gateway), Arc::clone(gateway), Arc::clone(gateway));
    let seen = config.trust.revocation.as_ref().map(|settings| settings.directory.clone());
    let task = refresh.run(
        move || {
            let (gateway, seen) = (Arc::clone(&for_known), seen.clone());
            async move {
                let now = crate::clock::now();
                let holders = gateway.store.holders(now).await;
                let anchors = Arc::clone(&gateway.world().anchors);
                tokio::task::block_in_place(|| tpps::known(seen.as_deref(), &anchors, holders, now))
            }
        },
        move |register| {
            for_world.change_world(|world| world.with_register(Arc::clone(&register)));
            let _ = withdrawn.send(register);
        },
        move |tell| for_log.audit.event(event(tell)),
        gateway.drain.watch(Stage::Closing),
    );
    Ok(Some(task.boxed()))
}

/// In production the authorization server does not start over a store that may forget; a sandbox says
/// so. A store that is away cannot be asked, and says so too.
pub(super) async fn hold_store_to_account(
    store: &dyn Store,
    server: &AuthorizationServer,
) -> Result<(), StartError> {
    match store.unfitness().await {
        Ok(found) => {
            for unfit in found {
                if server.settings().setting == Setting::Production {
                    return Err(StartError::StoreUnfit(unfit));
                }
                tracing::warn!("store: {unfit}");
            }
        }
        Err(error) => {
            tracing::warn!(%error, "whether the store keeps what it is given is not known");
        }
    }
    Ok(())
}

/// A store that a later version has written to is not started over. One that is away is asked again
/// with every sweep.
pub(super) async fn hold_store_to_its_layout(store: &dyn Store) -> Result<(), StartError> {
    match store.check_layout().await {
        Err(error @ StoreError::Layout { .. }) => Err(error.into()),
        Err(error) => {
            tracing::warn!(%error, "whether the store is understood is not known yet");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// Enrols the sandbox's TPPs; while the store is away, again and again beside the requests.
pub(super) async fn enrol_sandbox(
    server: &Arc<AuthorizationServer>,
    config: &Config,
    drain: &Drain,
) -> Result<(), StartError> {
    let public_url = config.listen.psu.public_url.clone();
    match sandbox::enrol(server, &public_url, crate::clock::now()).await {
        Ok(()) => return Ok(()),
        Err(ClientsError::Store(error) | ClientsError::Enrol(EnrolFault::Store(error))) => {
            tracing::warn!(%error, "the sandbox's TPPs are not enrolled yet");
        }
        Err(error) => return Err(error.into()),
    }
    let (server, mut closing) = (Arc::clone(server), drain.watch(Stage::Closing));
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = tokio::time::sleep(ENROL_RETRY) => {}
                _ = closing.changed() => return,
            }
            if sandbox::enrol(&server, &public_url, crate::clock::now()).await.is_ok() {
                tracing::info!("the sandbox's TPPs are enrolled");
                return;
            }
        }
    });
    Ok(())
}

/// What the access log keeps of a change of the registers.
fn event(tell: Tell) -> Event {
    let (event, subject, detail, by) = match tell {
        Tell::InForce { snapshot, by } => {
            ("register_in_force", Some(snapshot), "another register snapshot".to_owned(), vec![by])
        }
        Tell::Held { snapshot, why } => ("register_held", Some(snapshot), why, Vec::new()),
        Tell::Failed(why) => ("register_refused", None, why, Vec::new()),
        Tell::Override { number, organisation_id, what, by } => {
            let detail = format!("override {number}: {what}");
            ("register_override", Some(organisation_id), detail, by)
        }
    };
    Event { time: crate::clock::now(), event, subject, detail, by }
}
