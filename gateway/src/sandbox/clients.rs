//! The applications of the sandbox's TPPs, enrolled as a portal would have done it: under their
//! organisation ids, with a call-back that the sandbox itself answers.

use certs::OrganisationId;
use jiff::Timestamp;
use policies::Scope;
use policies::client::{Client, RedirectUri, RedirectUriFault, Setting};
use thiserror::Error;

use super::tpp::{Fault, Tpp};
use crate::authorization::{AuthorizationServer, EnrolFault};
use crate::store::StoreError;

/// Where the sandbox answers as a TPP's call-back, at the PSU listener's `public_url`.
pub const CALLBACK_PATH: &str = "/callback";

/// Why an application of the sandbox is not enrolled.
#[derive(Debug, Error)]
pub enum ClientsError {
    /// The call-back.
    #[error("listen.psu.public_url makes no call-back for the sandbox's TPPs: {0}")]
    CallBack(#[from] RedirectUriFault),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Enrolment.
    #[error("an application of the sandbox cannot be enrolled: {0}")]
    Enrol(#[from] EnrolFault),
    /// No TPP of the sandbox has such a name.
    #[error("{0}")]
    Name(#[from] certs::OrganisationIdError),
}

/// Enrols what is missing. Ports change from start to start, and the call-back with them.
///
/// # Errors
/// See [`ClientsError`].
pub async fn enrol(
    server: &AuthorizationServer,
    public_url: &str,
    now: Timestamp,
) -> Result<(), ClientsError> {
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let call_back = RedirectUri::enrol(&format!("{public_url}{CALLBACK_PATH}"), Setting::Sandbox)?;
    let named = |tpp: &&Tpp| !matches!(tpp.fault, Fault::Untrusted | Fault::NoPsd2);
    for tpp in Tpp::ALL.iter().filter(named).filter(|tpp| tpp.name != "renewed") {
        let id = OrganisationId::new(tpp.organisation_id)?;
        let before = server.client_of(&id, tpp.organisation_id).await?;
        let mut client = match &before {
            Some(client) => client.clone(),
            None => new(tpp, &id, now),
        };
        if client.redirect_uris.contains(&call_back) {
            continue;
        }
        // Those that its owner added stay; the one of the last start is nobody's any more.
        client.redirect_uris.retain(|uri| !uri.as_str().ends_with(CALLBACK_PATH));
        client.redirect_uris.insert(0, call_back.clone());
        client.updated_at = now;
        match server.enrol(&client, before.as_ref()).await {
            // Its owner suspended it, or changed it this very moment.
            Ok(()) | Err(EnrolFault::Suspended | EnrolFault::Changed) => {}
            Err(fault) => return Err(fault.into()),
        }
    }
    Ok(())
}

fn new(tpp: &Tpp, id: &OrganisationId, now: Timestamp) -> Client {
    Client {
        description: Some(tpp.purpose.to_owned()),
        // What is asked for is held against the certificate and the registers each time.
        scopes: Scope::ALL.iter().map(|scope| scope.name().to_owned()).collect(),
        ..Client::by_a_person(
            id.as_str().to_owned(),
            id.clone(),
            tpp.organisation.to_owned(),
            Setting::Sandbox,
            now,
        )
    }
}
