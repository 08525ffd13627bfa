//! The end of a consent's way: the browser comes back from the bank's page, and goes on to the call-back
//! with a code or an error.

use jiff::{SignedDuration, Timestamp};
use policies::client::Client;
use policies::ledger::{self, Changes, CodeRecord, Place};
use policies::{Partition, Psu, Refusal, Scope, SecretKind};
use uuid::Uuid;

use super::interaction::{self, Decision, Interaction};
use super::metrics::ConsentEvent;
use super::{AuthorizationServer, secret};
use crate::store::{self, StoreError};

/// Why a browser that came back is not sent on.
#[derive(Debug)]
#[allow(clippy::exhaustive_enums)]
pub enum FinishFault {
    /// No such interaction, or it was finished.
    Unknown,
    /// It took too long; the call-back is told.
    TimedOut {
        /// Where it is told.
        location: String,
    },
    /// Another browser began it.
    OtherBrowser,
    /// Something that is needed does not answer.
    Unavailable,
}

/// Where the browser goes in the end.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Finished {
    /// The call-back with a code or an error.
    pub location: String,
}

/// How a visit ends, before anybody is told.
struct Ending {
    answer: Result<Finished, FinishFault>,
    counted: ConsentEvent,
    event: &'static str,
    detail: String,
}

/// What the browser shows when it comes back, as it is compared: in digests.
struct Proof {
    verifier: String,
    browser: Option<String>,
}

impl AuthorizationServer {
    /// Sends a browser that came back on to the call-back, once. A code is kept before the visit is
    /// forgotten: when the store fails in between, the browser may come back again, and the code that
    /// nobody was told ends within a minute.
    ///
    /// # Errors
    /// See [`FinishFault`].
    pub async fn finish(
        &self,
        challenge: &str,
        verifier: &str,
        browser: Option<&str>,
        now: Timestamp,
    ) -> Result<Finished, FinishFault> {
        let place = interaction::place(challenge);
        let digest = |text: &str| hex::encode(certs::sha256(text.as_bytes()));
        let proof = Proof { verifier: digest(verifier), browser: browser.map(digest) };
        let found = self.come_back(place, &proof, now).await.map_err(lost)??;
        let ending = self.ending(&found, now).await?;
        if !self.forget(place).await.map_err(lost)? {
            return Err(FinishFault::Unknown);
        }
        self.metrics.consent(ending.counted);
        self.tell(now, ending.event, &found.request.organisation_id, ending.detail);
        ending.answer
    }

    /// The interaction, for the browser that began it and comes back from the page, or comes too late.
    async fn come_back(
        &self,
        place: Place,
        proof: &Proof,
        now: Timestamp,
    ) -> Result<Result<Interaction, FinishFault>, StoreError> {
        store::transact(self.store.as_ref(), Some(place.own_partition()), |book| {
            let nothing = Changes::default;
            let Some(page) = book.read(place)? else {
                return Ok((Err(FinishFault::Unknown), nothing()));
            };
            let found = Interaction::read(page)?;
            if proof.browser.as_ref() != Some(&found.browser) {
                return Ok((Err(FinishFault::OtherBrowser), nothing()));
            }
            let decided = found.decision.as_ref();
            let back = decided.is_some_and(|said| said.verifier() == proof.verifier);
            if !back && found.ends_at > now.as_second() {
                return Ok((Err(FinishFault::Unknown), nothing()));
            }
            Ok((Ok(found), nothing()))
        })
        .await
    }

    /// Whether it was still there: of many that come back at once, one.
    async fn forget(&self, place: Place) -> Result<bool, StoreError> {
        store::transact(self.store.as_ref(), Some(place.own_partition()), |book| {
            let mut changes = Changes::default();
            let there = book.read(place)?.is_some();
            if there {
                changes.remove(place);
            }
            Ok((there, changes))
        })
        .await
    }

    async fn ending(&self, found: &Interaction, now: Timestamp) -> Result<Ending, FinishFault> {
        let request = &found.request;
        let redirect_uri = request.call_back(self.settings.setting).map_err(refused)?;
        let to = |answer: &[(&str, &str)]| {
            self.location(&redirect_uri, request.state.as_deref(), &request.codetab, answer)
        };
        let error = |error: &str, description: &str| {
            to(&[("error", error), ("error_description", description)])
        };
        let asked = format!("{} for {} at {}", request.scope, request.client_id, request.codetab);
        if found.ends_at <= now.as_second() {
            let location = error("access_denied", "the customer took too long");
            return Ok(Ending {
                answer: Err(FinishFault::TimedOut { location }),
                counted: ConsentEvent::Refused,
                event: "consent_timed_out",
                detail: asked,
            });
        }
        let decision = found.decision.as_ref().ok_or(FinishFault::Unknown)?;
        if let Decision::Rejected { error: code, description, .. } = decision {
            return Ok(Ending {
                answer: Ok(Finished { location: error(code, description) }),
                counted: ConsentEvent::Refused,
                event: "consent_refused",
                detail: format!("{asked}: {code}"),
            });
        }
        let record = self.code_record(found, decision, now)?;
        // What was proven when the customer was sent here must still hold.
        let client = self.client_of(&record.organisation_id, &request.client_id).await;
        let enrolled = |client: &Client| client.redirect_uris.contains(&redirect_uri);
        if !client.map_err(lost)?.is_some_and(|client| enrolled(&client)) {
            self.metrics.consent(ConsentEvent::Faulty);
            return Err(FinishFault::Unknown);
        }
        let partition = Partition::of(&record.organisation_id);
        let code = secret::issue(SecretKind::Code, partition).map_err(refused)?;
        let kept = store::transact(self.store.as_ref(), Some(partition), |book| {
            ledger::keep_code(book, code.digest, record.clone())
        });
        if let Err(fault) = kept.await.map_err(lost)? {
            let location = error("unauthorized_client", &fault.to_string());
            return Ok(Ending {
                answer: Ok(Finished { location }),
                counted: ConsentEvent::Faulty,
                event: "consent_refused",
                detail: format!("{asked}: {fault}"),
            });
        }
        let psu = hex::encode(self.audit.pseudonyms().of(record.psu.expose()));
        Ok(Ending {
            answer: Ok(Finished { location: to(&[("code", &code.text)]) }),
            counted: ConsentEvent::Given,
            event: "consent_given",
            detail: format!("{asked}: consent {} of psu {psu}", record.consent_id),
        })
    }

    /// What a code stands for, once the customer consented.
    fn code_record(
        &self,
        found: &Interaction,
        decision: &Decision,
        now: Timestamp,
    ) -> Result<CodeRecord, FinishFault> {
        let Decision::Accepted { psu, accounts, strong_authentication_at, .. } = decision else {
            return Err(FinishFault::Unknown);
        };
        let request = &found.request;
        let digests = accounts.as_ref().map(interaction::digests).transpose();
        let life = SignedDuration::try_from(self.settings.code_life).unwrap_or_default();
        Ok(CodeRecord {
            organisation_id: request.tpp().map_err(refused)?,
            client_id: request.client_id.clone(),
            redirect_uri: request.redirect_uri.clone(),
            code_challenge: request.code_challenge.clone(),
            scope: Scope::from_name(&request.scope).ok_or(FinishFault::Unavailable)?,
            codetab: request.codetab.clone(),
            psu: Psu::new(psu.clone()),
            consent_id: Uuid::new_v4().to_string(),
            accounts: digests.map_err(|_| FinishFault::Unavailable)?,
            strong_authentication_at: Timestamp::from_second(*strong_authentication_at)
                .map_err(|_| FinishFault::Unavailable)?,
            expires_at: now.checked_add(life).unwrap_or(now),
            epoch: 0,
        })
    }
}

fn lost(error: StoreError) -> FinishFault {
    tracing::error!(%error, "a consent cannot be finished");
    FinishFault::Unavailable
}

fn refused(refusal: Refusal) -> FinishFault {
    tracing::error!(%refusal, "a consent cannot be finished");
    FinishFault::Unavailable
}
