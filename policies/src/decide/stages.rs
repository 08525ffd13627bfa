//! The stages after admission, each waiting for one fact.

use std::fmt;
use std::sync::Arc;

use certs::http_signature::HttpRequest;
use certs::{OrganisationId, RoleSet};
use jiff::Timestamp;

use super::Steps;
use crate::check::{CheckName, Evidence, Source, Trail};
use crate::funds_confirmation::FundsRequest;
use crate::quota::{QuotaFact, QuotaRule};
use crate::reason::Reason;
use crate::routes::{Api, ApiVersion, BodyRule, Codetab, Route, Seat};
use crate::token::{self, AccountDigest, Psu, TokenFact, TokenName, TokenRecord};
use crate::verdict::Refusal;
use crate::world::World;

/// A TPP that may call this API, with a token still to be looked up.
#[must_use]
pub struct Admitted {
    pub(super) world: Arc<World>,
    pub(super) organisation_id: OrganisationId,
    pub(super) roles: RoleSet,
    pub(super) codetab: Arc<Seat>,
    pub(super) route: Arc<Route>,
    pub(super) token: TokenName,
    pub(super) certificate: [u8; 32],
}

impl Admitted {
    /// Under what the token is stored.
    pub fn token(&self) -> TokenName {
        self.token
    }

    /// Who calls.
    pub fn organisation_id(&self) -> &OrganisationId {
        &self.organisation_id
    }

    /// Goes on with what the store said about the token.
    ///
    /// # Errors
    /// The first token rule that does not hold.
    pub fn with_token(
        self,
        fact: TokenFact,
        now: Timestamp,
        trail: &mut Trail,
    ) -> Result<Entitled, Refusal> {
        let mut step = Steps { trail };
        let (evidence, record) = live(fact);
        let record = record.and_then(|record| {
            let code = &self.codetab.codetab.code;
            token::belongs(&record, &self.organisation_id, &self.certificate, code, now)
                .map(|()| record)
        });
        let record = step.take(CheckName::Token, evidence, record)?;
        let api = &self.route.api;
        let scope = step.take(CheckName::Scope, evidence, token::scope(&record, api))?;
        step.take(CheckName::Consent, evidence, token::consent(&record, api, now))?;
        Ok(Entitled { admitted: self, record, scope })
    }
}

pub(super) fn live(fact: TokenFact) -> (Evidence, Result<Arc<TokenRecord>, Refusal>) {
    let asked = Evidence::of(Source::TokenStore);
    match fact {
        TokenFact::Live { record, as_of, source } => {
            (Evidence { source, version: 0, as_of: Some(as_of) }, Ok(record))
        }
        TokenFact::Unknown => (asked, Err(Refusal::new(Reason::TokenUnknown))),
        TokenFact::Suspended => (asked, Err(Refusal::new(Reason::TppSuspended))),
        TokenFact::Unreadable => (
            asked,
            Err(Refusal::because(
                Reason::StateUnavailable,
                "what is stored under this token cannot be read",
            )),
        ),
        TokenFact::Unavailable => (
            asked,
            Err(Refusal::because(Reason::StateUnavailable, "the token store does not answer")),
        ),
    }
}

/// A TPP with a token for this API and bank.
#[must_use]
pub struct Entitled {
    admitted: Admitted,
    record: Arc<TokenRecord>,
    scope: usize,
}

impl Entitled {
    /// Who calls.
    pub fn organisation_id(&self) -> &OrganisationId {
        &self.admitted.organisation_id
    }

    /// The API's place among all: quotas are counted per organisation and API.
    pub fn quota_index(&self) -> u16 {
        self.admitted.route.api_number
    }

    /// How often the API may be called.
    pub fn quota_rule(&self) -> &QuotaRule {
        &self.admitted.route.api.quota
    }

    /// Goes on with what the store said about the quota.
    ///
    /// # Errors
    /// `quota_exceeded`, `state_unavailable`.
    pub fn with_quota(self, fact: QuotaFact, trail: &mut Trail) -> Result<Metered, Refusal> {
        granted(fact, trail)?;
        Ok(Metered { entitled: self })
    }
}

/// Whether the store gave one request out of the caller's quota.
pub(super) fn granted(fact: QuotaFact, trail: &mut Trail) -> Result<(), Refusal> {
    let granted = match fact {
        QuotaFact::Granted { .. } => Ok(()),
        QuotaFact::Exhausted { retry_after } => {
            let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
            let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
            Err(Refusal::new(Reason::QuotaExceeded).retry_after(seconds))
        }
        QuotaFact::Unavailable => {
            Err(Refusal::because(Reason::StateUnavailable, "the quota counters do not answer"))
        }
    };
    Steps { trail }.take(CheckName::Quota, Evidence::of(Source::Quota), granted)
}

/// A TPP within its quota, with a body still to be read.
#[must_use]
pub struct Metered {
    entitled: Entitled,
}

impl Metered {
    /// Whether the request must be signed.
    pub fn needs_signature(&self) -> bool {
        self.entitled.admitted.route.api.signed
    }

    /// Goes on with the whole request, which is only looked at where it must be signed.
    ///
    /// # Errors
    /// It is not signed by its sender.
    pub fn with_signature<'r>(
        self,
        request: impl FnOnce() -> HttpRequest<'r>,
        now: Timestamp,
        trail: &mut Trail,
    ) -> Result<Sealed, Refusal> {
        if self.needs_signature() {
            let world = &self.entitled.admitted.world;
            let sealed = world.seals.sealed(
                &request(),
                self.entitled.organisation_id(),
                &world.revocations,
                world.revocation_unchecked,
                now,
            );
            let evidence = Evidence::of(Source::Request);
            Steps { trail }.take(CheckName::Signature, evidence, sealed)?;
        }
        Ok(Sealed { entitled: self.entitled })
    }
}

/// A TPP whose request is its own, with a body still to be understood.
#[must_use]
pub struct Sealed {
    entitled: Entitled,
}

impl Sealed {
    /// What the body must be.
    pub fn body_rule(&self) -> BodyRule {
        self.entitled.admitted.route.api.body
    }

    /// Goes on with the whole body. `account` is the keyed digest of an IBAN, asked for only where the
    /// customer chose accounts.
    ///
    /// # Errors
    /// What is wrong with it; an account that the customer did not choose.
    pub fn with_body(
        self,
        body: &[u8],
        account: impl FnOnce(&str) -> AccountDigest,
        trail: &mut Trail,
    ) -> Result<Permit, Refusal> {
        let read = match self.body_rule() {
            BodyRule::None if body.is_empty() => Ok(None),
            BodyRule::None => Err(Refusal::because(Reason::BodyInvalid, "this API takes no body")),
            BodyRule::FundsConfirmation => {
                let form = self.entitled.admitted.route.version.amount;
                FundsRequest::parse(body, form).map(Some).map_err(Refusal::from)
            }
        };
        let granted = self.entitled.record.granted.as_ref();
        let chosen = granted.and_then(|granted| granted.accounts.as_ref());
        let read = read.and_then(|read| match (&read, chosen) {
            (Some(request), Some(chosen)) if !chosen.contains(&account(request.iban())) => {
                Err(Refusal::new(Reason::AccountUnknown))
            }
            _ => Ok(read),
        });
        let request = Steps { trail }.take(CheckName::Body, Evidence::of(Source::Request), read)?;
        Ok(Permit { entitled: self.entitled, request })
    }
}

/// Proof that every check passed. Only [`Sealed::with_body`] makes one.
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
