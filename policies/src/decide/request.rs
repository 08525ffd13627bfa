//! What is asked for: host, path, version and method.

use std::sync::Arc;

use jiff::Timestamp;

use crate::presented::Presented;
use crate::reason::Reason;
use crate::routes::{HostMatch, LifeStage, Method, Route, Routes, Seat, on, without_port};
use crate::verdict::Refusal;

/// SNI and Host must be one host (RFC 9110 §7.4: 421), and that host a codetab's.
pub(super) fn codetab<'r>(
    presented: &Presented<'_>,
    routes: &'r Routes,
    now: Timestamp,
) -> Result<&'r Arc<Seat>, Refusal> {
    let host = without_port(presented.host);
    let Some(sni) = presented.sni else {
        return Err(Refusal::because(
            Reason::HostMismatch,
            "the TLS handshake named no server (SNI)",
        ));
    };
    if !sni.eq_ignore_ascii_case(host) {
        return Err(Refusal::new(Reason::HostMismatch));
    }
    match routes.host(host, now) {
        HostMatch::Open(seat) => Ok(seat),
        HostMatch::Retired { since, successor, .. } => {
            let refusal = match successor {
                Some(successor) => Refusal::because(
                    Reason::HostRetired,
                    format!("this host closed on {since}; use {successor}"),
                )
                .succeeded_by(format!("https://{successor}/")),
                None => {
                    Refusal::because(Reason::HostRetired, format!("this host closed on {since}"))
                }
            };
            Err(refusal)
        }
        HostMatch::Unknown => Err(Refusal::new(Reason::HostUnknown)),
    }
}

/// A version that has not begun is as if it were not there.
pub(super) fn route<'r>(
    presented: &Presented<'_>,
    routes: &'r Routes,
    now: Timestamp,
) -> Result<&'r Arc<Route>, Refusal> {
    let route = routes.route(presented.target).filter(|route| has_begun(route, now));
    route.ok_or_else(|| Refusal::new(Reason::PathUnknown))
}

pub(super) fn has_begun(route: &Route, now: Timestamp) -> bool {
    route.version.life.stage(now) != LifeStage::Planned
}

pub(super) fn alive(route: &Route, now: Timestamp) -> Result<(), Refusal> {
    let Route { api, version, .. } = route;
    let (reason, what) = match version.life.stage(now) {
        LifeStage::Planned => return Err(Refusal::new(Reason::PathUnknown)),
        LifeStage::Active | LifeStage::Deprecated | LifeStage::KeptAlive => return Ok(()),
        LifeStage::Retired { since } => {
            (Reason::VersionRetired, format!("version {} ended on {}", version.name, on(since)))
        }
        LifeStage::BrownOut { until } => {
            let ends = version.life.sunset.map(|sunset| format!(", and ends on {}", on(sunset)));
            let ends = ends.unwrap_or_default();
            let what = format!("version {} is browned out until {until}{ends}", version.name);
            (Reason::VersionBrownOut, what)
        }
    };
    let successor = version.successor.as_ref().and_then(|name| {
        let next = api.versions.iter().find(|other| other.name == *name)?;
        Some((name, next.paths.first()?))
    });
    let refusal = match successor {
        Some((name, path)) => Refusal::because(reason, format!("{what}; use {name} at {path}"))
            .succeeded_by(path.clone()),
        None => Refusal::because(reason, what),
    };
    Err(match version.life.stage(now) {
        LifeStage::BrownOut { until } => {
            let seconds = until.duration_since(now).as_secs().saturating_add(1);
            refusal.retry_after(u32::try_from(seconds).unwrap_or(u32::MAX))
        }
        _ => refusal,
    })
}

pub(super) fn only(presented: &Presented<'_>, method: Method) -> Result<(), Refusal> {
    if presented.method == method.name() {
        Ok(())
    } else {
        let detail = format!("this path takes {} only", method.name());
        Err(Refusal::because(Reason::MethodNotAllowed, detail).allowing(method.name()))
    }
}
