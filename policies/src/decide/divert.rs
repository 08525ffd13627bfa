//! The fallback (RTS (EU) 2018/389 art. 33(4), (5)): an identified TPP on the way to the interface of
//! the bank's customers. Every check that identifies it is made, in the same order as for an API; no
//! token is looked at, because there is none that opens a customer interface.

use std::sync::Arc;

use certs::{OrganisationId, PspRole, RoleSet};
use jiff::Timestamp;

use super::permit::{Party, Permit};
use super::stages::granted;
use super::{Steps, identity};
use crate::check::{CheckName, Evidence, Source, Trail};
use crate::presented::Presented;
use crate::quota::{self, Caller, Charges, Quota, QuotaFact, Step};
use crate::reason::Reason;
use crate::routes::{Fallback, FallbackWhen, Seat};
use crate::verdict::Refusal;
use crate::world::World;

/// Whether the bank's dedicated interface serves at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum InterfaceFact {
    /// It is taken to serve until it is known that it does not.
    Serves,
    /// It has not served since then.
    Down {
        /// When the first request was received that it did not serve.
        since: Timestamp,
    },
}

/// What the store said about the bank's own decision on the TPP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum StandingFact {
    /// It has taken none.
    Free,
    /// It has suspended the TPP.
    Suspended,
    /// It did not say.
    Unavailable,
}

/// Judges who asks for the customer interface of a bank, and what for, as far as nothing else needs to
/// be asked.
///
/// # Errors
/// The first check that does not hold; `trail` ends with it.
pub fn divert(
    presented: &Presented<'_>,
    world: &Arc<World>,
    now: Timestamp,
    trail: &mut Trail,
) -> Result<Diverted, Refusal> {
    let mut step = Steps { trail, observed: world.observed };
    let routes = Evidence::of(Source::Routes);
    let (qwac, codetab) = step.caller(presented, world, now)?;
    let fallback = step.take(CheckName::Path, routes, opened(presented, codetab, world))?;
    step.take(CheckName::Method, routes, accepted(presented, fallback))?;
    let certificate = Evidence::of(Source::Certificate);
    step.hold(CheckName::Role, certificate, identity::role(qwac, fallback.required_roles))?;
    let used = fallback.required_roles.intersection(qwac.roles);
    step.registered(&qwac.organisation_id, Fallback::services(used), world, now)?;
    Ok(Diverted(Asking {
        party: Party {
            world: Arc::clone(world),
            organisation_id: qwac.organisation_id.clone(),
            roles: qwac.roles,
            codetab: Arc::clone(codetab),
        },
        fallback: Arc::clone(fallback),
        attended: presented.attended,
    }))
}

fn opened<'w>(
    presented: &Presented<'_>,
    codetab: &Seat,
    world: &'w World,
) -> Result<&'w Arc<Fallback>, Refusal> {
    let fallback = world.routes.fallback().filter(|one| one.serves(&codetab.codetab.code));
    let Some(fallback) = fallback else {
        let detail = "this bank has no fallback; leave the header fallback out to call its APIs";
        return Err(Refusal::because(Reason::FallbackClosed, detail));
    };
    if fallback.prefix(presented.target).is_some() {
        return Ok(fallback);
    }
    let detail = "the fallback does not lead to this path of the customer interface";
    Err(Refusal::because(Reason::PathUnknown, detail))
}

fn accepted(presented: &Presented<'_>, fallback: &Fallback) -> Result<(), Refusal> {
    if fallback.methods.contains(&presented.method) {
        return Ok(());
    }
    let methods = fallback.methods.join(", ");
    let detail = format!("the fallback takes {methods} only");
    Err(Refusal::because(Reason::MethodNotAllowed, detail).allowing(methods))
}

/// Who asks for the customer interface of which bank.
struct Asking {
    party: Party,
    fallback: Arc<Fallback>,
    attended: bool,
}

impl Asking {
    fn roles_used(&self) -> RoleSet {
        self.fallback.required_roles.intersection(self.party.roles)
    }

    fn caller(&self) -> Caller<'_> {
        let roles = self.roles_used();
        Caller {
            organisation_id: &self.party.organisation_id,
            api: Fallback::NAME,
            role: roles.iter().next(),
            roles,
            codetab: &self.party.codetab.codetab.code,
            account: None,
            attended: self.attended,
        }
    }

    fn limits(&self, step: Step) -> impl Iterator<Item = &Arc<Quota>> {
        quota::limits(&self.fallback.quotas, &self.caller(), step)
    }

    fn charges(&self, step: Step) -> Charges<'_> {
        quota::charges(&self.fallback.quotas, &self.caller(), step)
    }
}

/// An authorised TPP at a path of the customer interface, which may be closed.
#[must_use]
pub struct Diverted(Asking);

impl Diverted {
    /// The role of the certificate that the fallback asks for; the first one where it has several.
    #[must_use]
    pub fn role_used(&self) -> Option<PspRole> {
        self.0.roles_used().iter().next()
    }

    /// Whether it matters if the dedicated interface serves.
    #[must_use]
    pub fn asks_for_interface(&self) -> bool {
        self.0.fallback.when == FallbackWhen::Down
    }

    /// Goes on with whether the bank's dedicated interface serves.
    ///
    /// # Errors
    /// `fallback_closed`: it does, and the fallback is only for when it does not.
    pub fn with_interface(self, fact: InterfaceFact, trail: &mut Trail) -> Result<Opened, Refusal> {
        let (as_of, open) = match (self.0.fallback.when, fact) {
            (FallbackWhen::Always, _) => (None, Ok(())),
            (FallbackWhen::Down, InterfaceFact::Down { since }) => (Some(since), Ok(())),
            (FallbackWhen::Down, InterfaceFact::Serves) => {
                let detail = "the dedicated interface of this bank serves: call its APIs; this way opens \
                              when five requests to them in a row, within 30 seconds, are not served";
                (None, Err(Refusal::because(Reason::FallbackClosed, detail)))
            }
        };
        let source = match self.0.fallback.when {
            FallbackWhen::Always => Source::Routes,
            FallbackWhen::Down => Source::DedicatedInterface,
        };
        let looked_at = Evidence { source, version: 0, as_of };
        Steps::strict(trail).take(CheckName::Fallback, looked_at, open)?;
        Ok(Opened(self.0))
    }
}

/// An authorised TPP at an open customer interface, which the bank itself may have suspended.
#[must_use]
pub struct Opened(Asking);

impl Opened {
    /// Who asks.
    pub fn organisation_id(&self) -> &OrganisationId {
        &self.0.party.organisation_id
    }

    /// Goes on with what the store said about [`Opened::organisation_id`].
    ///
    /// # Errors
    /// `tpp_suspended`, `state_unavailable`.
    pub fn with_standing(self, fact: StandingFact, trail: &mut Trail) -> Result<Cleared, Refusal> {
        let standing = match fact {
            StandingFact::Free => Ok(()),
            StandingFact::Suspended => Err(Refusal::new(Reason::TppSuspended)),
            StandingFact::Unavailable => Err(Refusal::because(
                Reason::StateUnavailable,
                "the store does not say whether the TPP is suspended",
            )),
        };
        let looked_at = Evidence::of(Source::TokenStore);
        Steps::strict(trail).take(CheckName::Standing, looked_at, standing)?;
        Ok(Cleared(self.0))
    }
}

/// A TPP that may pass, as often as the limits allow.
#[must_use]
pub struct Cleared(Asking);

impl Cleared {
    /// What the limits count this request by.
    pub fn charges(&self) -> Charges<'_> {
        self.0.charges(Step::Head)
    }

    /// Goes on with what the store said about [`Cleared::charges`].
    ///
    /// # Errors
    /// `quota_exceeded`, `state_unavailable`.
    pub fn with_quota(
        self,
        fact: QuotaFact,
        now: Timestamp,
        trail: &mut Trail,
    ) -> Result<Limited, Refusal> {
        let check = (CheckName::Quota, self.0.party.world.observed);
        granted(self.0.limits(Step::Head), &fact, check, now, trail)?;
        Ok(Limited(self.0))
    }
}

/// A TPP within all its limits but those on requests at once.
#[must_use]
pub struct Limited(Asking);

impl Limited {
    /// The limits on requests at once: a place of each is held while the request lasts.
    pub fn places(&self) -> Charges<'_> {
        self.0.charges(Step::InFlight)
    }

    /// Goes on with whether there was a place for each of [`Limited::places`].
    ///
    /// # Errors
    /// `quota_exceeded`, `upstream_busy`.
    pub fn with_places(
        self,
        fact: QuotaFact,
        now: Timestamp,
        trail: &mut Trail,
    ) -> Result<Permit, Refusal> {
        if self.0.limits(Step::InFlight).next().is_some() {
            let check = (CheckName::InFlight, self.0.party.world.observed);
            granted(self.0.limits(Step::InFlight), &fact, check, now, trail)?;
        }
        Ok(Permit::of(self.0.party, None))
    }
}
