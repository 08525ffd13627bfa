//! What is asked for: host, path, version and method.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::presented::Presented;
use crate::reason::Reason;
use crate::routes::{HostMatch, Method, Route, Routes, Seat, without_port};
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

pub(super) fn route<'r>(
    presented: &Presented<'_>,
    routes: &'r Routes,
) -> Result<&'r Arc<Route>, Refusal> {
    routes.route(presented.target).ok_or_else(|| Refusal::new(Reason::PathUnknown))
}

pub(super) fn alive(route: &Route, now: Timestamp) -> Result<(), Refusal> {
    let Route { api, version, .. } = route;
    let today = || now.to_zoned(TimeZone::UTC).date();
    match version.decommissioned {
        Some(since) if !version.alive && today() >= since => {
            let successor = version.successor.as_ref().and_then(|name| {
                let next = api.versions.iter().find(|other| other.name == *name)?;
                Some((name, next.paths.first()?))
            });
            Err(match successor {
                Some((name, path)) => Refusal::because(
                    Reason::VersionRetired,
                    format!("version {} ended on {since}; use {name} at {path}", version.name),
                )
                .succeeded_by(path.clone()),
                None => Refusal::because(
                    Reason::VersionRetired,
                    format!("version {} ended on {since}", version.name),
                ),
            })
        }
        _ => Ok(()),
    }
}

pub(super) fn only(presented: &Presented<'_>, method: Method) -> Result<(), Refusal> {
    if presented.method == method.name() {
        Ok(())
    } else {
        let detail = format!("this path takes {} only", method.name());
        Err(Refusal::because(Reason::MethodNotAllowed, detail).allowing(method.name()))
    }
}
