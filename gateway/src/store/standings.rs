//! Which TPPs were cut off, for those who read many tokens at once.

use std::collections::HashMap;

use certs::OrganisationId;
use policies::ledger::Standing;
use policies::{TokenFact, TokenRecord};

/// The standings of the TPPs that have one.
#[derive(Debug, Default)]
pub(super) struct Standings(HashMap<OrganisationId, Standing>);

impl Standings {
    /// Takes in a stored standing; what cannot be read ends nobody's tokens here, and refuses them
    /// where they are used.
    pub(super) fn note(&mut self, json: &[u8]) {
        if let Ok(standing) = Standing::from_json(Some(json))
            && let Some(id) = standing.organisation_id.clone()
        {
            self.0.insert(id, standing);
        }
    }

    pub(super) fn allow(&self, record: &TokenRecord) -> bool {
        self.0.get(&record.organisation_id).is_none_or(|standing| standing.allows(record))
    }
}

/// What a token is whose TPP was cut off after it was issued.
pub(super) fn ended(standing: &Standing) -> TokenFact {
    if standing.suspended.is_some() { TokenFact::Suspended } else { TokenFact::Unknown }
}
