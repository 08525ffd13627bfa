//! The gateway's own probe of its dedicated interface, bank by bank: could a request be served now? What it
//! finds is written into the access log, for the regulator's statistics.
//!
//! It asks for all that a request needs: a log that can be written, a store that answers, and an adapter
//! that takes a connection and is not left alone because it answers nobody. It asks the bank nothing, and is
//! no request: it stands in no denominator.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use policies::InterfaceFact;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::audit::Probed;
use crate::clock;
use crate::proxy::Gateway;
use crate::upstream::Upstream;

/// How soon a probe that a reload has switched on begins.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Probes every bank again and again until `stop`.
pub async fn run(gateway: Arc<Gateway>, mut stop: watch::Receiver<bool>) {
    loop {
        let settings = gateway.settings();
        let wait = settings.probe.as_ref().map_or(LOOK_AGAIN, |probe| probe.every);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        let Some(probe) = &settings.probe else { continue };
        let world = gateway.world();
        let banks = world.routes.codetabs().zip(&settings.upstreams);
        let probes = banks.map(|(codetab, upstream)| {
            one(&gateway, codetab.code.to_string(), upstream, probe.timeout)
        });
        for probed in join_all(probes).await {
            gateway.audit.probed(probed);
        }
    }
}

/// Asks the adapters of the banks whose fallback is open whether they serve again, until `stop`: while TPPs
/// go another way, nobody else finds out.
pub async fn ask_again(gateway: Arc<Gateway>, mut stop: watch::Receiver<bool>) {
    loop {
        let settings = gateway.settings();
        let probe = settings.fallback.as_ref().and_then(|way| way.settings.probe.as_ref());
        let wait = probe.map_or(LOOK_AGAIN, |probe| probe.every);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        let (Some(fallback), Some(probe)) = (&settings.fallback, probe) else { continue };
        let asked = fallback.ways.iter().zip(&settings.upstreams).map(async |(way, upstream)| {
            if let Some(way) = way
                && matches!(way.door.interface(), InterfaceFact::Down { .. })
                && upstream.serves(&probe.path).await
            {
                way.door.serves_again(&gateway.audit);
            }
        });
        join_all(asked).await;
    }
}

async fn one(gateway: &Gateway, codetab: String, upstream: &Upstream, limit: Duration) -> Probed {
    let (time, started) = (clock::now(), Instant::now());
    let serves = async {
        !gateway.audit.is_failing()
            && gateway.store.health().await.is_ok()
            && upstream.takes_connections().await
    };
    let served = timeout(limit, serves).await.unwrap_or(false);
    Probed::new(time, codetab, served, started.elapsed())
}
