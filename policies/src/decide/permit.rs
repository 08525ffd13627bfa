//! The last stage, and what it gives.

use std::fmt;
use std::sync::Arc;

use certs::{OrganisationId, RoleSet};
use jiff::Timestamp;

use super::stages::{Entitled, Understood, granted};
use crate::check::{CheckName, Trail};
use crate::funds_confirmation::FundsRequest;
use crate::quota::{Charges, QuotaFact, Step};
use crate::routes::{Api, ApiVersion, Codetab};
use crate::token::Psu;
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
        Ok(Permit { entitled, request })
    }
}

/// Proof that every check passed. Only [`Placeable::with_places`] makes one.
#[must_use]
pub struct Permit {
    entitled: Entitled,
    request: Option<FundsRequest>,
}

impl Permit {
    /// The world that it was decided in.
    #[must_use]
    pub fn world(&self) -> &Arc<World> {
        &self.entitled.admitted.world
    }

    /// Who may pass.
    #[must_use]
    pub fn organisation_id(&self) -> &OrganisationId {
        &self.entitled.admitted.organisation_id
    }

    /// The roles of its certificate.
    #[must_use]
    pub fn roles(&self) -> RoleSet {
        self.entitled.admitted.roles
    }

    /// The place of the bank among the codetabs.
    #[must_use]
    pub fn codetab_index(&self) -> usize {
        self.entitled.admitted.codetab.index
    }

    /// The bank.
    #[must_use]
    pub fn codetab(&self) -> &Codetab {
        &self.entitled.admitted.codetab.codetab
    }

    /// The API.
    #[must_use]
    pub fn api(&self) -> &Api {
        &self.entitled.admitted.route.api
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> &ApiVersion {
        &self.entitled.admitted.route.version
    }

    /// The scope of the token that opened the API.
    #[must_use]
    pub fn scope(&self) -> &str {
        self.api().scopes.get(self.entitled.scope).map_or("", String::as_str)
    }

    /// The customer. For the adapter and the audit's HMAC only.
    #[must_use]
    pub fn psu(&self) -> Option<&str> {
        self.entitled.record.psu.as_ref().map(Psu::expose)
    }

    /// The consent behind the token.
    #[must_use]
    pub fn consent_id(&self) -> Option<&str> {
        self.entitled.record.consent_id.as_deref()
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
            .finish_non_exhaustive()
    }
}
