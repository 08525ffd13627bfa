//! The stages after admission, each waiting for one fact.

use std::sync::Arc;

use certs::http_signature::HttpRequest;
use certs::{OrganisationId, PspRole, RoleSet};
use jiff::Timestamp;

use super::Steps;
use super::permit::Placeable;
use crate::check::{CheckName, CheckSet, Evidence, Source, Trail};
use crate::funds_confirmation::FundsRequest;
use crate::quota::{self, Caller, Charges, Quota, QuotaFact, Step};
use crate::reason::Reason;
use crate::routes::{BodyRule, Route, Seat};
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
    pub(super) attended: bool,
}

impl Admitted {
    fn caller(&self, account: Option<AccountDigest>) -> Caller<'_> {
        let api = &self.route.api;
        Caller {
            organisation_id: &self.organisation_id,
            api: &api.name,
            role: self.role_used(),
            roles: self.roles_used(),
            codetab: &self.codetab.codetab.code,
            account,
            attended: self.attended,
        }
    }

    /// The roles that open the API.
    fn roles_used(&self) -> RoleSet {
        self.route.api.required_roles.intersection(self.roles)
    }

    /// The role of the certificate that opens the API; the first one where several do.
    #[must_use]
    pub fn role_used(&self) -> Option<PspRole> {
        self.roles_used().iter().next()
    }

    fn quotas(&self) -> &[Arc<Quota>] {
        &self.route.api.quotas
    }

    pub(super) fn limits(&self, step: Step) -> impl Iterator<Item = &Arc<Quota>> {
        quota::limits(self.quotas(), &self.caller(None), step)
    }

    pub(super) fn charges(&self, step: Step, account: Option<AccountDigest>) -> Charges<'_> {
        quota::charges(self.quotas(), &self.caller(account), step)
    }

    /// What the limits would count this request by once its token is known, as far as they need no body.
    pub fn charges_ahead(&self) -> Charges<'_> {
        self.charges(Step::Head, None)
    }

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
        let mut step = Steps { trail, observed: self.world.observed };
        let (evidence, record) = live(fact);
        let record = record.and_then(|record| {
            let code = &self.codetab.codetab.code;
            token::belongs(&record, &self.organisation_id, &self.certificate, code, now)
                .map(|()| record)
        });
        let record = step.take(CheckName::Token, evidence, record)?;
        let api = &self.route.api;
        let scope = step.take(CheckName::Scope, evidence, token::scope(&record, api))?;
        step.hold(CheckName::Consent, evidence, token::consent(&record, api, now))?;
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
    pub(super) admitted: Admitted,
    pub(super) record: Arc<TokenRecord>,
    pub(super) scope: usize,
}

impl Entitled {
    /// Who calls.
    pub fn organisation_id(&self) -> &OrganisationId {
        &self.admitted.organisation_id
    }

    /// What the limits count this request by, as far as they need no body.
    pub fn charges(&self) -> Charges<'_> {
        self.admitted.charges(Step::Head, None)
    }

    /// Goes on with what the store said about [`Entitled::charges`].
    ///
    /// # Errors
    /// `quota_exceeded`, `upstream_busy`, `state_unavailable`.
    pub fn with_quota(
        self,
        fact: QuotaFact,
        now: Timestamp,
        trail: &mut Trail,
    ) -> Result<Metered, Refusal> {
        let check = (CheckName::Quota, self.admitted.world.observed);
        granted(self.admitted.limits(Step::Head), &fact, check, now, trail)?;
        Ok(Metered { entitled: self })
    }
}

/// Whether there was room for the request in each of `limits`. A fact about others than these allows
/// nothing.
pub(super) fn granted<'q>(
    mut limits: impl Iterator<Item = &'q Arc<Quota>>,
    fact: &QuotaFact,
    (check, observed): (CheckName, CheckSet),
    now: Timestamp,
    trail: &mut Trail,
) -> Result<(), Refusal> {
    let uncounted =
        || Refusal::because(Reason::StateUnavailable, "the quota counters do not answer");
    let granted = match fact {
        QuotaFact::Granted(left) if left.len() == limits.by_ref().count() => Ok(()),
        QuotaFact::Granted(_) | QuotaFact::Unavailable => Err(uncounted()),
        QuotaFact::Exhausted { charge, retry_after } => Err(match limits.nth(*charge) {
            Some(quota) => quota::refusal(quota, *retry_after, now),
            None => uncounted(),
        }),
    };
    Steps { trail, observed }.hold(check, Evidence::of(Source::Quota), granted)
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
            let observed = world.observed;
            Steps { trail, observed }.hold(CheckName::Signature, evidence, sealed)?;
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

    /// Goes on with the whole body. `account` makes the keyed digest of an IBAN, or of a consent's id;
    /// it is asked only where the customer chose accounts, or a limit counts by them.
    ///
    /// # Errors
    /// What is wrong with it; an account that the customer did not choose.
    pub fn with_body(
        self,
        body: &[u8],
        account: impl Fn(&str) -> AccountDigest,
        trail: &mut Trail,
    ) -> Result<Understood, Refusal> {
        let read = match self.body_rule() {
            BodyRule::None if body.is_empty() => Ok(None),
            BodyRule::None => Err(Refusal::because(Reason::BodyInvalid, "this API takes no body")),
            BodyRule::FundsConfirmation => {
                let form = self.entitled.admitted.route.version.amount;
                FundsRequest::parse(body, form).map(Some).map_err(Refusal::from)
            }
        };
        let record = &self.entitled.record;
        let chosen = record.granted.as_ref().and_then(|granted| granted.accounts.as_ref());
        let counted = self.entitled.admitted.quotas().iter().any(|quota| quota.per.account);
        let asked = |request: &Option<FundsRequest>| match request {
            Some(request) if counted || chosen.is_some() => Some(account(request.iban())),
            None if counted => {
                record.consent_id.as_deref().or(record.psu.as_ref().map(Psu::expose)).map(&account)
            }
            _ => None,
        };
        let read = read.and_then(|request| {
            let account = asked(&request);
            match (chosen, account) {
                (Some(chosen), Some(account))
                    if request.is_some() && !chosen.contains(&account) =>
                {
                    Err(Refusal::new(Reason::AccountUnknown))
                }
                _ => Ok((request, account)),
            }
        });
        let (request, account) =
            Steps::strict(trail).take(CheckName::Body, Evidence::of(Source::Request), read)?;
        Ok(Understood { entitled: self.entitled, request, account })
    }
}

/// A TPP whose request is understood, with the limits of the account and the places still to be
/// looked at.
#[must_use]
pub struct Understood {
    pub(super) entitled: Entitled,
    pub(super) request: Option<FundsRequest>,
    pub(super) account: Option<AccountDigest>,
}

impl Understood {
    /// What the limits count this request by that needs the account.
    pub fn account_charges(&self) -> Charges<'_> {
        self.entitled.admitted.charges(Step::Account, self.account)
    }

    /// Goes on with what the store said about [`Understood::account_charges`].
    ///
    /// # Errors
    /// `quota_exceeded`, `upstream_busy`, `state_unavailable`.
    pub fn with_account_quota(
        self,
        fact: QuotaFact,
        now: Timestamp,
        trail: &mut Trail,
    ) -> Result<Placeable, Refusal> {
        let admitted = &self.entitled.admitted;
        if admitted.limits(Step::Account).next().is_some() {
            let limits = admitted.limits(Step::Account);
            let check = (CheckName::AccountQuota, admitted.world.observed);
            granted(limits, &fact, check, now, trail)?;
        }
        Ok(Placeable::of(self))
    }
}
