//! The way of a consent to its decision: begin, look, accept or reject (as Ory Hydra hands a login over:
//! a challenge goes to the bank's page, the page answers on a private way, the browser comes back).

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use policies::ledger::Changes;
use policies::limits::{CLOCK_SKEW_SECONDS_MAX, TOKEN_TEXT_BYTES_MAX};
use policies::{Refusal, electronic_iban};
use schemars::JsonSchema;
use serde::Deserialize;

use super::interaction::{self, Decision, Interaction, Progress, Shown};
use super::metrics::ConsentEvent;
use super::request::AuthorizationRequest;
use super::{AuthorizationServer, secret, unavailable};
use crate::problem::ascii;
use crate::store::{self, StoreError};

/// Accounts of one consent.
const ACCOUNTS_MAX: usize = 64;
/// Errors with which a bank's page may reject (RFC 6749 §4.1.2.1).
const REJECTIONS: [&str; 3] = ["access_denied", "temporarily_unavailable", "server_error"];
/// Characters of a rejection's description.
const DESCRIPTION_CHARS_MAX: usize = 200;

/// What the bank's page says when the customer consented.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Acceptance {
    /// The bank's reference of the customer. It goes to the adapter, and into no log.
    pub psu: String,
    /// IBANs of the accounts that the customer chose; none: the bank keeps them with the consent.
    #[serde(default)]
    pub accounts: Option<Vec<String>>,
    /// When the customer was strongly authenticated.
    pub strong_authentication_at: Timestamp,
}

/// Why a decision is not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecideFault {
    /// No such interaction, or it is over.
    #[error("no customer is waiting under this challenge: it is unknown, decided, or over")]
    Unknown,
    /// The decision itself.
    #[error("{0}")]
    Invalid(&'static str),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No random numbers.
    #[error("{0}")]
    Random(Refusal),
}

/// What a browser that was sent here is given.
pub struct Begun {
    /// Goes to the bank's page in the URL.
    pub challenge: String,
    /// Stays in the browser.
    pub browser: String,
}

impl AuthorizationServer {
    /// Tells the log of a customer who is sent back at once.
    pub fn refused_at_call_back(&self, location: &str, refusal: &Refusal, now: Timestamp) {
        self.metrics.consent(ConsentEvent::Faulty);
        // The call-back is one that was enrolled; its query holds the error and the TPP's own state.
        let call_back = location.split('?').next().unwrap_or_default();
        self.tell(now, "authorization_refused", call_back, refusal.to_string());
    }

    /// Whether one more customer may be sent here in this second. To be asked before anything is looked
    /// up for whoever sends them.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.begins.check().is_ok()
    }

    /// Begins the way of a customer.
    ///
    /// # Errors
    /// The store's, or the random numbers'.
    pub async fn begin(
        &self,
        request: AuthorizationRequest,
        now: Timestamp,
    ) -> Result<Begun, Refusal> {
        let begun = Begun { challenge: secret::random()?, browser: secret::random()? };
        let place = interaction::place(&begun.challenge);
        let life = SignedDuration::try_from(self.settings.interaction_life).unwrap_or_default();
        let interaction = Interaction {
            request,
            browser: hex::encode(certs::sha256(begun.browser.as_bytes())),
            begun_at: now.as_second(),
            ends_at: now.checked_add(life).unwrap_or(now).as_second(),
            decision: None,
            progress: Progress::default(),
        };
        store::transact(self.store.as_ref(), Some(place.own_partition()), |_| {
            let mut changes = Changes::default();
            interaction.put(&mut changes, place);
            Ok(((), changes))
        })
        .await
        .map_err(|error| unavailable(&error))?;
        self.metrics.consent(ConsentEvent::Asked);
        Ok(begun)
    }

    /// The interaction behind a challenge, decided or over as it may be.
    ///
    /// # Errors
    /// The store's.
    pub async fn interaction(&self, challenge: &str) -> Result<Option<Interaction>, StoreError> {
        // What we never gave is not looked up.
        if !secret::is_one(challenge) {
            return Ok(None);
        }
        let place = interaction::place(challenge);
        store::transact(self.store.as_ref(), Some(place.own_partition()), |book| {
            let read = book.read(place)?.map(Interaction::read).transpose()?;
            Ok((read, Changes::default()))
        })
        .await
    }

    /// Notes how far the customer is; tells whether somebody still waits.
    ///
    /// # Errors
    /// The store's.
    pub async fn advance(&self, challenge: &str, progress: &Progress) -> Result<bool, StoreError> {
        let place = interaction::place(challenge);
        store::transact(self.store.as_ref(), Some(place.own_partition()), |book| {
            let mut changes = Changes::default();
            let Some(page) = book.read(place)? else { return Ok((false, changes)) };
            let found = Interaction::read(page)?;
            if found.decision.is_some() {
                return Ok((false, changes));
            }
            Interaction { progress: progress.clone(), ..found }.put(&mut changes, place);
            Ok((true, changes))
        })
        .await
    }

    /// What a bank's page is shown of a customer who waits.
    ///
    /// # Errors
    /// Nobody waits under this challenge.
    pub async fn show(&self, challenge: &str, now: Timestamp) -> Result<Shown, DecideFault> {
        let interaction = self.interaction(challenge).await?;
        let waiting = interaction
            .filter(|waiting| waiting.decision.is_none() && waiting.ends_at > now.as_second());
        let shown = waiting.map(|waiting| waiting.shown(self.settings.lives.consent_days));
        shown.ok_or(DecideFault::Unknown)
    }

    /// The customer consented; answers with where to send the browser.
    ///
    /// # Errors
    /// See [`DecideFault`].
    pub async fn accept(
        &self,
        challenge: &str,
        acceptance: Acceptance,
        now: Timestamp,
    ) -> Result<String, DecideFault> {
        let Acceptance { psu, accounts, strong_authentication_at } = acceptance;
        let usable = !psu.is_empty()
            && psu.len() <= TOKEN_TEXT_BYTES_MAX
            && !psu.chars().any(char::is_control);
        if !usable {
            return Err(DecideFault::Invalid(
                "psu must be 1 to 256 bytes without control characters",
            ));
        }
        let age = now.duration_since(strong_authentication_at);
        if age < SignedDuration::from_secs(-CLOCK_SKEW_SECONDS_MAX) {
            return Err(DecideFault::Invalid("strong_authentication_at lies in the future"));
        }
        if age.as_hours() >= 24 * self.settings.lives.consent_days {
            return Err(DecideFault::Invalid(
                "strong_authentication_at is older than the consent may become",
            ));
        }
        let pseudonyms = self.audit.pseudonyms();
        let accounts = match accounts {
            Some(accounts) if accounts.is_empty() || accounts.len() > ACCOUNTS_MAX => {
                return Err(DecideFault::Invalid("accounts must be 1 to 64 IBANs, or be left out"));
            }
            Some(accounts) => {
                let ibans: Option<Vec<String>> =
                    accounts.iter().map(|iban| electronic_iban(iban)).collect();
                let ibans = ibans.ok_or(DecideFault::Invalid("accounts holds what is no IBAN"))?;
                let digests = ibans.iter().map(|iban| hex::encode(pseudonyms.of(iban)));
                Some(digests.collect::<BTreeSet<_>>())
            }
            None => None,
        };
        let strong_authentication_at = strong_authentication_at.min(now).as_second();
        self.decide(challenge, now, |verifier| Decision::Accepted {
            psu: psu.clone(),
            accounts: accounts.clone(),
            strong_authentication_at,
            verifier,
        })
        .await
    }

    /// The customer refused, or something went wrong; answers with where to send the browser.
    ///
    /// # Errors
    /// See [`DecideFault`].
    pub async fn reject(
        &self,
        challenge: &str,
        error: &str,
        description: &str,
        now: Timestamp,
    ) -> Result<String, DecideFault> {
        if !REJECTIONS.contains(&error) {
            return Err(DecideFault::Invalid(
                "error must be access_denied, temporarily_unavailable or server_error",
            ));
        }
        if description.chars().count() > DESCRIPTION_CHARS_MAX {
            return Err(DecideFault::Invalid("error_description may have 200 characters"));
        }
        let description = ascii(description);
        self.decide(challenge, now, |verifier| Decision::Rejected {
            error: error.to_owned(),
            description: description.clone(),
            verifier,
        })
        .await
    }

    /// Notes a decision, once, and makes the way back.
    async fn decide(
        &self,
        challenge: &str,
        now: Timestamp,
        decision: impl Fn(String) -> Decision + Send + Sync,
    ) -> Result<String, DecideFault> {
        let place = interaction::place(challenge);
        let verifier = secret::random().map_err(DecideFault::Random)?;
        let digest = hex::encode(certs::sha256(verifier.as_bytes()));
        let codetab = store::transact(self.store.as_ref(), Some(place.own_partition()), |book| {
            let mut changes = Changes::default();
            let Some(page) = book.read(place)? else { return Ok((None, changes)) };
            let found = Interaction::read(page)?;
            if found.decision.is_some() || found.ends_at <= now.as_second() {
                return Ok((None, changes));
            }
            let codetab = found.request.codetab.clone();
            Interaction { decision: Some(decision(digest.clone())), ..found }
                .put(&mut changes, place);
            Ok((Some(codetab), changes))
        });
        let codetab = codetab.await?.ok_or(DecideFault::Unknown)?;
        let settings = &self.settings;
        Ok(format!(
            "{}{}/resume?challenge={challenge}&verifier={verifier}",
            settings.issuer.of(&codetab),
            settings.authorize_path,
        ))
    }
}
