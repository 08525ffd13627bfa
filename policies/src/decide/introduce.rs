//! What a TPP may learn about itself: who it is taken for, and what is open to it, before it has a
//! token for anything.

use std::sync::Arc;

use certs::Qwac;
use jiff::Timestamp;

use super::{Steps, identity, request};
use crate::check::{CheckName, Evidence, Source, Trail};
use crate::presented::Presented;
use crate::register::Standing;
use crate::routes::{Api, ApiVersion, Codetab, Method, SELF_PATH};
use crate::verdict::Refusal;
use crate::world::World;

/// A caller who is known, and what each API of the bank would say to it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Introduction<'a> {
    /// What its certificate says.
    pub qwac: &'a Qwac,
    /// The bank at whose host it asks.
    pub codetab: &'a Codetab,
    /// What the registers say about it.
    pub standing: Standing,
    /// Which register said it.
    pub register: Evidence,
    /// Every version of every API.
    pub openings: Vec<Opening<'a>>,
}

/// One version of an API, and whether the caller could call it with a token.
#[derive(Debug)]
#[non_exhaustive]
pub struct Opening<'a> {
    /// The API.
    pub api: &'a Api,
    /// Its version.
    pub version: &'a ApiVersion,
    /// Why the caller would be refused, whatever its token.
    pub refusal: Option<Refusal>,
}

/// Judges who calls, and tells it what is open to it. The same checks, in the same order, as in
/// [`admit`](super::admit), except those of a token.
///
/// # Errors
/// The first check of the caller's identity or of the host that does not hold; `trail` ends with it.
pub fn introduce<'a>(
    presented: &Presented<'a>,
    world: &'a Arc<World>,
    now: Timestamp,
    trail: &mut Trail,
) -> Result<Introduction<'a>, Refusal> {
    let mut step = Steps { trail, observed: world.observed };
    let (qwac, seat) = step.caller(presented, world, now)?;
    let routes = Evidence::of(Source::Routes);
    let method = request::only(presented, Method::Get);
    step.take(CheckName::Method, routes, method)?;
    let (standing, register) = world.register.standing(&qwac.organisation_id, now);
    let openings = world.routes.all().filter(|route| request::has_begun(route, now)).map(|route| {
        let open = request::alive(route, now)
            .and_then(|()| identity::role(qwac, route.api.required_roles))
            .and_then(|()| {
                Steps { trail: &mut Trail::new(), observed: world.observed }.registered(
                    &qwac.organisation_id,
                    route.api.services(),
                    world,
                    now,
                )
            });
        Opening { api: &route.api, version: &route.version, refusal: open.err() }
    });
    let openings = openings.collect();
    Ok(Introduction { qwac, codetab: &seat.codetab, standing, register, openings })
}

/// Whether `target` asks for the caller's own introduction.
#[must_use]
pub fn asks_who_it_is(target: &str) -> bool {
    target == SELF_PATH
}
