//! What the store knows of TPPs: read where it can be opened beside the gateway, and asked of the gateway
//! where that holds the file.

use std::sync::Arc;

use certs::OrganisationId;
use jiff::Timestamp;

use crate::admin::{ListedToken, client};
use crate::authorization::{self, ListedTpp};
use crate::cli::{Failure, run};
use crate::config::{Config, StoreSettings};
use crate::store::{self, Store, StoreError};

/// The TPPs that have enrolled, or were suspended or cut off.
pub(super) fn tpps(config: &Config) -> Result<Vec<ListedTpp>, Failure> {
    run::runtime(1)?.block_on(async {
        match open(&config.store)? {
            Opened::Nothing => Ok(Vec::new()),
            Opened::Store(store) => {
                authorization::listed(store.as_ref()).await.map_err(Failure::cannot)
            }
            Opened::Elsewhere => client::tpps(config).await.map_err(Failure::cannot),
        }
    })
}

/// How many live tokens a TPP holds.
pub(super) fn live_tokens(
    config: &Config,
    id: &OrganisationId,
    now: Timestamp,
) -> Result<usize, Failure> {
    run::runtime(1)?.block_on(async {
        match open(&config.store)? {
            Opened::Nothing => Ok(0),
            Opened::Store(store) => {
                let tokens = store.tokens_of(id, now).await;
                tokens.map(|tokens| tokens.len()).map_err(Failure::cannot)
            }
            Opened::Elsewhere => {
                let tokens: Result<Vec<ListedToken>, _> = client::tokens(config, id.as_str()).await;
                tokens.map(|tokens| tokens.len()).map_err(Failure::cannot)
            }
        }
    })
}

enum Opened {
    /// No gateway has run yet.
    Nothing,
    Store(Arc<dyn Store>),
    /// A running gateway holds the file.
    Elsewhere,
}

fn open(settings: &StoreSettings) -> Result<Opened, Failure> {
    match settings {
        // Asking a question must not make a file.
        StoreSettings::Embedded { file } if !file.exists() => Ok(Opened::Nothing),
        settings => match store::open(settings, None) {
            Ok(store) => Ok(Opened::Store(store)),
            Err(StoreError::InUse { .. }) => Ok(Opened::Elsewhere),
            Err(error) => Err(Failure::cannot(error)),
        },
    }
}
