//! The last stage, and what it gives.

use std::fmt;
use std::sync::Arc;

use certs::{OrganisationId, RoleSet};
use jiff::Timestamp;

use super::stages::{Admitted, Entitled, Understood, granted};
use crate::check::{CheckName, Trail};
use crate::funds_confirmation::FundsRequest;
use crate::lane::Lane;
use crate::quota::{Charges, QuotaFact, Step};
use crate::routes::{Api, ApiVersion, Codetab, Route, Seat};
use crate::token::{Psu, TokenRecord};
use crate::verdict::Refusal;
use crate::world::World;

/// A TPP within all its limits but those on requests at once.
#[must_use]
pub struct Placeable {
    understood: Understood,
}

impl Placeable {
    pub(super) fn of(understood: Understood) -> Self {
        Self { understood }
    }

    /// Who asks.
    #[must_use]
    pub fn organisation_id(&self) -> &OrganisationId {
        self.understood.entitled.organisation_id()
    }

    /// The customer. For the audit's HMAC only.
    #[must_use]
    pub fn psu(&self) -> Option<&str> {
        self.understood.entitled.record.psu.as_ref().map(Psu::expose)
    }

    /// What is asked, where the API is a funds confirmation.
    #[must_use]
    pub fn funds_request(&self) -> Option<&FundsRequest> {
        self.understood.request.as_ref()
    }

    /// The limits on requests at once: a place of each is held while the request lasts.
    pub fn places(&self) -> Charges<'_> {
        let Understood { entitled, account, .. } = &self.understood;
        entitled.admitted.charges(Step::InFlight, *account)
    }

    /// Goes on with whether there was a place for each of [`Placeable::places`].
    ///
    /// # Errors
    /// `quota_exceeded`, `upstream_busy`.
    pub fn with_places(
        self,
        fact: QuotaFact,
        now: Timestamp,
        trail: &mut Trail,
    ) -> Result<Permit, Refusal> {
        let admitted = &self.understood.entitled.admitted;
        if admitted.limits(Step::InFlight).next().is_some() {
            let limits = admitted.limits(Step::InFlight);
            let check = (CheckName::InFlight, admitted.world.observed);
            granted(limits, &fact, check, now, trail)?;
        }
        let Understood { entitled, request, .. } = self.understood;
        let Entitled { admitted, record, scope } = entitled;
        let Admitted { world, organisation_id, roles, codetab, route, .. } = admitted;
        let party = Party { world, organisation_id, roles, codetab };
        Ok(Permit::of(party, Some(Call { route, record, scope, request })))
    }
}

/// Who may pass, at whose host, and by what it was decided.
pub(super) struct Party {
    pub(super) world: Arc<World>,
    pub(super) organisation_id: OrganisationId,
    pub(super) roles: RoleSet,
    pub(super) codetab: Arc<Seat>,
}

/// Proof that every check passed. Only the last stages make one: [`Placeable::with_places`] for the
/// dedicated interface, [`Limited::with_places`](super::Limited::with_places) for the fallback.
#[must_use]
pub struct Permit {
    party: Party,
    /// Nothing on the fallback.
    call: Option<Call>,
}

impl Permit {
    pub(super) const fn of(party: Party, call: Option<Call>) -> Self {
        Self { party, call }
    }

    /// By which interface it passes.
    #[must_use]
    pub const fn lane(&self) -> Lane {
        match self.call {
            Some(_) => Lane::Dedicated,
            None => Lane::Fallback,
        }
    }

    /// The world that it was decided in.
    #[must_use]
    pub fn world(&self) -> &Arc<World> {
        &self.party.world
    }

    /// Who may pass.
    #[must_use]
    pub fn organisation_id(&self) -> &OrganisationId {
        &self.party.organisation_id
    }

    /// The roles of its certificate.
    #[must_use]
    pub fn roles(&self) -> RoleSet {
        self.party.roles
    }

    /// The place of the bank among the codetabs.
    #[must_use]
    pub fn codetab_index(&self) -> usize {
        self.party.codetab.index
    }

    /// The bank.
    #[must_use]
    pub fn codetab(&self) -> &Codetab {
        &self.party.codetab.codetab
    }

    /// What is called of the dedicated interface; nothing on the fallback.
    #[must_use]
    pub const fn call(&self) -> Option<&Call> {
        self.call.as_ref()
    }
}

/// A call of an API, with the token that opened it.
pub struct Call {
    route: Arc<Route>,
    record: Arc<TokenRecord>,
    scope: usize,
    request: Option<FundsRequest>,
}

impl Call {
    /// The API.
    #[must_use]
    pub fn api(&self) -> &Api {
        &self.route.api
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> &ApiVersion {
        &self.route.version
    }

    /// The scope of the token that opened the API.
    #[must_use]
    pub fn scope(&self) -> &str {
        self.api().scopes.get(self.scope).map_or("", String::as_str)
    }

    /// The customer. For the adapter and the audit's HMAC only.
    #[must_use]
    pub fn psu(&self) -> Option<&str> {
        self.record.psu.as_ref().map(Psu::expose)
    }

    /// The consent behind the token.
    #[must_use]
    pub fn consent_id(&self) -> Option<&str> {
        self.record.consent_id.as_deref()
    }

    /// What is asked, where the API is a funds confirmation.
    #[must_use]
    pub fn funds_request(&self) -> Option<&FundsRequest> {
        self.request.as_ref()
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("organisation_id", self.organisation_id())
            .field("lane", &self.lane())
            .finish_non_exhaustive()
    }
}
