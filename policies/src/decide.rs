//! The decision, in the order in which it is made. Each stage is a type that only the stage before
//! it can make, so that no check can be left out, and a [`Permit`] that nothing else can make.
//!
//! On the path that allows nothing is allocated, except what the body rule reads into.

mod divert;
mod enrol;
mod identity;
mod introduce;
mod office;
mod permit;
mod questions;
mod request;
mod stages;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use certs::{OrganisationId, Qwac};
use jiff::Timestamp;

use crate::check::{Check, CheckName, CheckOutcome, CheckSet, Evidence, Source, Trail};
use crate::presented::Presented;
use crate::reason::Reason;
use crate::register::ServiceSet;
use crate::routes::Seat;
use crate::token::{self, TokenName};
use crate::verdict::Refusal;
use crate::world::World;

pub use divert::{Cleared, Diverted, InterfaceFact, Limited, Opened, StandingFact, divert};
pub use enrol::{Met, Sealing};
pub use introduce::{Introduction, Opening, asks_who_it_is, introduce};
pub use office::{Approached, approach, may_be_sent_customers, withdrawal};
pub use permit::{Call, Permit, Placeable};
pub use questions::{GuardMode, QuestionsFact, observe};
pub use stages::{Admitted, Entitled, Metered, Sealed, Understood};

/// Judges everything that can be judged without asking the store: who calls, and what for.
///
/// # Errors
/// The first check that does not hold; `trail` ends with it.
pub fn admit(
    presented: &Presented<'_>,
    world: &Arc<World>,
    now: Timestamp,
    trail: &mut Trail,
) -> Result<Admitted, Refusal> {
    let mut step = Steps { trail, observed: world.observed };
    let certificate = Evidence::of(Source::Certificate);
    let routes = Evidence::of(Source::Routes);

    let (qwac, codetab) = step.caller(presented, world, now)?;
    let route =
        step.take(CheckName::Path, routes, request::route(presented, &world.routes, now))?;
    step.hold(CheckName::Version, routes, request::alive(route, now))?;
    step.take(CheckName::Method, routes, request::only(presented, route.api.method))?;

    step.hold(CheckName::Role, certificate, identity::role(qwac, route.api.required_roles))?;
    step.registered(&qwac.organisation_id, route.api.services(), world, now)?;

    let bearer = presented.authorization.ok_or_else(|| Refusal::new(Reason::TokenMissing));
    let bearer = bearer.and_then(token::bearer);
    let bearer = step.take(CheckName::TokenForm, Evidence::of(Source::Request), bearer)?;
    Ok(Admitted {
        world: world.clone(),
        organisation_id: qwac.organisation_id.clone(),
        roles: qwac.roles,
        codetab: codetab.clone(),
        route: route.clone(),
        token: TokenName::of(bearer),
        certificate: presented.identity.map(|identity| *identity.fingerprint()).unwrap_or_default(),
        attended: presented.attended,
    })
}

/// Writes each check into the trail as it ends.
struct Steps<'t> {
    trail: &'t mut Trail,
    /// What [`Steps::hold`] lets pass.
    observed: CheckSet,
}

impl<'t> Steps<'t> {
    /// For checks of which none can be observed only.
    fn strict(trail: &'t mut Trail) -> Self {
        Self { trail, observed: CheckSet::NONE }
    }

    /// Who calls, and at which bank's host: what comes before every other question.
    fn caller<'a>(
        &mut self,
        presented: &Presented<'a>,
        world: &'a World,
        now: Timestamp,
    ) -> Result<(&'a Qwac, &'a Arc<Seat>), Refusal> {
        let certificate = Evidence::of(Source::Certificate);
        let anchors =
            Evidence { source: Source::Anchors, version: world.anchors_version(), as_of: None };
        let (identity, trusted) =
            self.take(CheckName::Trust, anchors, identity::trusted(presented, world))?;
        self.hold(CheckName::Validity, certificate, identity::valid(trusted, now))?;
        let (evidence, revocation) = identity::unrevoked(trusted, world, now);
        self.hold(CheckName::Revocation, evidence, revocation)?;
        let qwac = identity.profile();
        self.take(CheckName::Profile, certificate, identity::profiled(qwac))?;
        let qwac = self.take(CheckName::OrganisationId, certificate, identity::named(qwac))?;
        let codetab = request::codetab(presented, &world.routes, now);
        let codetab = self.take(CheckName::Host, Evidence::of(Source::Routes), codetab)?;
        Ok((qwac, codetab))
    }

    /// Whether the registers list one of `services`, for this country too where that is asked.
    fn registered(
        &mut self,
        id: &OrganisationId,
        services: ServiceSet,
        world: &World,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let (evidence, registered) = identity::registered(id, services, world, now);
        let (standing, warning) = match registered {
            Ok(registered) => registered,
            Err(refusal) => return self.hold(CheckName::Register, evidence, Err(refusal)),
        };
        self.pass(CheckName::Register, evidence, warning);
        match identity::passported(id, services, standing, world) {
            None => {}
            Some(Ok(warning)) => self.pass(CheckName::Passport, evidence, warning),
            Some(Err(refusal)) => self.hold(CheckName::Passport, evidence, Err(refusal))?,
        }
        Ok(())
    }

    fn pass(&mut self, name: CheckName, looked_at: Evidence, warning: Option<Reason>) {
        let outcome = warning.map_or(CheckOutcome::Passed, CheckOutcome::Warned);
        self.trail.push(Check { name, outcome, looked_at });
    }

    /// As [`Steps::take`] for a check that finds nothing which others need: where it is only observed,
    /// its failure is written down and lets pass.
    fn hold(
        &mut self,
        name: CheckName,
        looked_at: Evidence,
        result: Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        match result {
            Err(refusal) if self.observed.contains(name) => {
                self.pass(name, looked_at, Some(refusal.reason));
                Ok(())
            }
            result => self.take(name, looked_at, result),
        }
    }

    fn take<T>(
        &mut self,
        name: CheckName,
        looked_at: Evidence,
        result: Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let outcome = match &result {
            Ok(_) => CheckOutcome::Passed,
            Err(refusal) => CheckOutcome::Failed(refusal.reason),
        };
        self.trail.push(Check { name, outcome, looked_at });
        result
    }
}
