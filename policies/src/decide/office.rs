//! Whom the authorization server and the enrolment listen to: any caller who is known, and, once it is
//! clear what is asked for, only one who may have that.

use std::sync::Arc;

use certs::{OrganisationId, Qwac, RoleSet};
use jiff::Timestamp;

use super::{Steps, identity, stages};
use crate::check::{CheckName, Evidence, Source, Trail};
use crate::presented::Presented;
use crate::quota::{Charge, QuotaFact};
use crate::reason::Reason;
use crate::register::ServiceSet;
use crate::register::{Register, Standing};
use crate::routes::Codetab;
use crate::scope::Scope;
use crate::verdict::Refusal;
use crate::world::World;

/// A caller who is known, at the host of a bank.
#[derive(Clone, Copy)]
#[must_use]
pub struct Approached<'a> {
    qwac: &'a Qwac,
    codetab: &'a Codetab,
    world: &'a World,
}

/// Judges who calls: the same checks, in the same order, as [`admit`](super::admit) makes up to the
/// method. `methods` are those of the path, as `Allow` lists them.
///
/// # Errors
/// The first check that does not hold; `trail` ends with it.
pub fn approach<'a>(
    presented: &Presented<'a>,
    world: &'a Arc<World>,
    methods: &'static str,
    now: Timestamp,
    trail: &mut Trail,
) -> Result<Approached<'a>, Refusal> {
    let mut step = Steps { trail, observed: world.observed };
    let (qwac, seat) = step.caller(presented, world, now)?;
    let routes = Evidence::of(Source::Routes);
    step.take(CheckName::Path, routes, Ok(()))?;
    let known = methods.split(", ").any(|method| method == presented.method);
    let method = if known {
        Ok(())
    } else {
        let detail = format!("this path takes {methods} only");
        Err(Refusal::because(Reason::MethodNotAllowed, detail).allowing(methods))
    };
    step.take(CheckName::Method, routes, method)?;
    Ok(Approached { qwac, codetab: &seat.codetab, world })
}

/// Whether the registers allow a TPP what `scope` opens, before a customer is asked for it: its
/// certificate is not at hand then.
///
/// # Errors
/// What the registers say.
pub fn may_be_sent_customers(
    organisation_id: &OrganisationId,
    scope: Scope,
    world: &World,
    now: Timestamp,
) -> Result<(), Refusal> {
    let mut step = Steps { trail: &mut Trail::new(), observed: world.observed };
    step.registered(organisation_id, scope.services(), world, now)
}

/// What the registers, or the bank's own people, say of a TPP whose authorisation has ended; nothing
/// of any other. How old the registers are does not matter: an end stays one.
#[must_use]
pub fn withdrawal(
    organisation_id: &OrganisationId,
    register: &Register,
    now: Timestamp,
) -> Option<String> {
    let (standing, evidence) = register.standing(organisation_id, now);
    let Standing::Withdrawn { since } = standing else { return None };
    let decided = evidence.source == Source::RegisterOverride;
    let why = identity::ended(organisation_id, since, decided);
    Some(why.unwrap_or_else(|| Reason::RegisterWithdrawn.sentence().to_owned()))
}

impl<'a> Approached<'a> {
    /// Who calls.
    #[must_use]
    pub fn qwac(&self) -> &'a Qwac {
        self.qwac
    }

    /// At which bank's host.
    #[must_use]
    pub fn codetab(&self) -> &'a Codetab {
        self.codetab
    }

    /// The world that it is judged by.
    #[must_use]
    pub fn world(&self) -> &'a World {
        self.world
    }

    /// Goes on with what the store said about the quota.
    ///
    /// # Errors
    /// `quota_exceeded`, `state_unavailable`.
    pub fn within(
        &self,
        charge: Charge<'_>,
        fact: &QuotaFact,
        now: Timestamp,
        trail: &mut Trail,
    ) -> Result<(), Refusal> {
        let observed = self.world.observed;
        stages::granted(
            std::iter::once(charge.quota),
            fact,
            (CheckName::Quota, observed),
            now,
            trail,
        )
    }

    /// Whether the registers know the caller as one that is authorised, for whatever service.
    ///
    /// # Errors
    /// What the registers say.
    pub fn is_listed(&self, now: Timestamp, trail: &mut Trail) -> Result<(), Refusal> {
        let id = &self.qwac.organisation_id;
        Steps { trail, observed: self.world.observed }.registered(
            id,
            ServiceSet::all(),
            self.world,
            now,
        )
    }

    /// Whether the certificate's roles and the registers allow the caller what `scope` opens. The
    /// source documents demand it at every token, not only at the first.
    ///
    /// # Errors
    /// `role_missing`, or what the registers say.
    pub fn may(&self, scope: Scope, now: Timestamp, trail: &mut Trail) -> Result<(), Refusal> {
        let mut step = Steps { trail, observed: self.world.observed };
        let mut roles = RoleSet::default();
        roles.insert(scope.role());
        let role = identity::role(self.qwac, roles);
        step.hold(CheckName::Role, Evidence::of(Source::Certificate), role)?;
        step.registered(&self.qwac.organisation_id, scope.services(), self.world, now)
    }
}
