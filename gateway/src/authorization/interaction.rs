//! A customer on the way through login and consent: begun by `GET /authorize`, decided by the bank's
//! page, finished in the browser that began it.

use std::collections::BTreeSet;

use jiff::Timestamp;
use policies::AccountDigest;
use policies::ledger::{Changes, Kind, Pause, Place};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::request::AuthorizationRequest;

/// What is kept of one.
#[derive(Clone, Serialize, Deserialize)]
pub struct Interaction {
    /// What is asked.
    pub request: AuthorizationRequest,
    /// SHA-256 of the secret that the browser keeps.
    pub(super) browser: String,
    /// When it began, and when it ends.
    pub(super) begun_at: i64,
    pub(super) ends_at: i64,
    /// What the bank's page said.
    pub(super) decision: Option<Decision>,
    /// How far the customer is, on the sandbox's pages.
    #[serde(default)]
    pub progress: Progress,
}

/// How far a customer is on the sandbox's pages.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Who the customer says to be.
    pub login: Option<String>,
    /// When the last code was sent, in seconds.
    pub code_sent_at: Option<i64>,
    /// When the code was right, in seconds.
    pub authenticated_at: Option<i64>,
}

/// What the bank's page said.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Decision {
    Accepted {
        psu: String,
        /// Keyed HMACs of the IBANs, in hexadecimal; none: the bank keeps them itself.
        accounts: Option<BTreeSet<String>>,
        strong_authentication_at: i64,
        /// SHA-256 of the secret with which the browser comes back.
        verifier: String,
    },
    Rejected {
        error: String,
        description: String,
        verifier: String,
    },
}

/// What the bank's page is shown of an interaction.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "ConsentRequest")]
pub struct Shown {
    /// The application.
    pub client_id: String,
    /// Its name.
    pub client_name: String,
    /// Whose it is.
    pub organisation_id: String,
    /// `cbpii` or `aisp`.
    pub scope: String,
    /// At which bank.
    pub codetab: String,
    /// The call-back: where the browser will be sent in the end.
    pub redirect_uri: String,
    /// Days that the consent will last.
    pub consent_days: i64,
    /// When it was begun.
    pub begun_at: Timestamp,
    /// When it is too late.
    pub ends_at: Timestamp,
}

impl Interaction {
    /// Whether `secret` is what the browser was given that began it.
    #[must_use]
    pub fn began_in(&self, secret: &str) -> bool {
        self.browser == hex::encode(certs::sha256(secret.as_bytes()))
    }

    /// Whether the bank's page has decided.
    #[must_use]
    pub fn is_decided(&self) -> bool {
        self.decision.is_some()
    }

    /// When it is too late.
    #[must_use]
    pub fn ends_at(&self) -> Timestamp {
        Timestamp::from_second(self.ends_at).unwrap_or(Timestamp::MIN)
    }

    pub(super) fn shown(&self, consent_days: i64) -> Shown {
        let request = &self.request;
        Shown {
            client_id: request.client_id.clone(),
            client_name: request.client_name.clone(),
            organisation_id: request.organisation_id.clone(),
            scope: request.scope.clone(),
            codetab: request.codetab.clone(),
            redirect_uri: request.redirect_uri.clone(),
            consent_days,
            begun_at: Timestamp::from_second(self.begun_at).unwrap_or(Timestamp::MIN),
            ends_at: self.ends_at(),
        }
    }

    pub(super) fn read(page: &[u8]) -> Result<Self, Pause> {
        serde_json::from_slice(page).map_err(|_| Pause::Damaged(Kind::Interaction))
    }

    pub(super) fn put(&self, changes: &mut Changes, place: Place) {
        // A struct of texts and numbers always serialises.
        let page = serde_json::to_vec(self).unwrap_or_default();
        // Kept a little longer: who comes late is told so.
        let until = self.ends_at + jiff::SignedDuration::from_mins(10).as_secs();
        changes.put(place, page, Timestamp::from_second(until).unwrap_or(Timestamp::MAX));
    }
}

impl Decision {
    pub(super) fn verifier(&self) -> &str {
        match self {
            Self::Accepted { verifier, .. } | Self::Rejected { verifier, .. } => verifier,
        }
    }
}

/// Where an interaction lies.
pub(super) fn place(challenge: &str) -> Place {
    Place::named(Kind::Interaction, challenge)
}

/// Digests as they stand in a record.
pub(super) fn digests(texts: &BTreeSet<String>) -> Result<BTreeSet<AccountDigest>, Pause> {
    let digest = |text: &String| {
        let mut digest = AccountDigest::default();
        hex::decode_to_slice(text, &mut digest)
            .map(|()| digest)
            .map_err(|_| Pause::Damaged(Kind::Interaction))
    };
    texts.iter().map(digest).collect()
}
