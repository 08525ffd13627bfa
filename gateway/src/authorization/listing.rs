//! The enrolled applications and the suspensions, for the bank's own people: nothing in it names a
//! person or opens a door.

use std::collections::{BTreeMap, BTreeSet};

use certs::OrganisationId;
use jiff::Timestamp;
use policies::client::{CertificateKind, Client, EnrolmentSource, GrantType, Setting};
use policies::ledger::{Kind, Standing, Suspension};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::store::{Store, StoreError};

/// A TPP that has enrolled, or that was suspended or cut off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListedTpp {
    /// Who it is.
    pub organisation_id: String,
    /// Who suspended it, and why; none: it is not.
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    pub suspended: Option<Suspension>,
    /// When all its tokens were ended last.
    pub cut_at: Option<Timestamp>,
    /// Its applications.
    pub applications: Vec<ListedApplication>,
}

/// An enrolled application, without whom to ask about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListedApplication {
    /// Under which id it asks for tokens.
    pub client_id: String,
    /// As customers are shown it.
    pub name: String,
    /// Sandbox or production.
    #[schemars(with = "String")]
    pub setting: Setting,
    /// By which door it came in.
    #[schemars(with = "String")]
    pub source: EnrolmentSource,
    /// What it may ask for.
    pub scopes: BTreeSet<String>,
    /// How.
    #[schemars(with = "BTreeSet<String>")]
    pub grant_types: BTreeSet<GrantType>,
    /// Where its customers may be sent.
    pub redirect_uris: Vec<String>,
    /// Its certificates.
    pub certificates: Vec<ListedCertificate>,
    /// When it was enrolled.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// A certificate that an application was enrolled with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListedCertificate {
    /// QWAC or QSEALC.
    #[schemars(with = "String")]
    pub kind: CertificateKind,
    /// Its fingerprint, in hexadecimal.
    pub sha256: String,
    /// When it ends.
    pub not_after: Timestamp,
}

impl ListedTpp {
    /// A TPP of which nothing is known yet.
    #[must_use]
    pub fn new(organisation_id: &OrganisationId) -> Self {
        Self {
            organisation_id: organisation_id.as_str().to_owned(),
            suspended: None,
            cut_at: None,
            applications: Vec::new(),
        }
    }

    /// Whether there is anything to tell.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.suspended.is_some() || self.cut_at.is_some() || !self.applications.is_empty()
    }
}

impl ListedApplication {
    fn of(client: &Client) -> Self {
        let certificate = |one: &policies::client::EnrolledCertificate| ListedCertificate {
            kind: one.kind,
            sha256: hex::encode(one.fingerprint),
            not_after: one.not_after,
        };
        Self {
            client_id: client.client_id.clone(),
            name: client.name.clone(),
            setting: client.setting,
            source: client.source,
            scopes: client.scopes.clone(),
            grant_types: client.grant_types.clone(),
            redirect_uris: client.redirect_uris.iter().map(ToString::to_string).collect(),
            certificates: client.certificates.iter().map(certificate).collect(),
            created_at: client.created_at,
            updated_at: client.updated_at,
        }
    }
}

/// Every TPP of which the store knows more than tokens, by organisation id.
///
/// # Errors
/// The store's.
pub async fn listed(store: &dyn Store) -> Result<Vec<ListedTpp>, StoreError> {
    let mut standings = Vec::new();
    store
        .each(Kind::Standing, &mut |_, page| match Standing::from_json(Some(page)) {
            Ok(standing) => standings.push(standing),
            Err(error) => tracing::error!(%error, "a stored standing cannot be read"),
        })
        .await?;
    let mut tpps: BTreeMap<OrganisationId, ListedTpp> = BTreeMap::new();
    for standing in standings {
        let Some(id) = standing.organisation_id else { continue };
        let tpp = ListedTpp::new(&id);
        let (suspended, cut_at) = (standing.suspended, standing.cut_at);
        tpps.insert(id, ListedTpp { suspended, cut_at, ..tpp });
    }
    for client in super::client_store::all(store).await? {
        let id = &client.organisation_id;
        let tpp = tpps.entry(id.clone()).or_insert_with(|| ListedTpp::new(id));
        tpp.applications.push(ListedApplication::of(&client));
    }
    Ok(tpps.into_values().collect())
}
