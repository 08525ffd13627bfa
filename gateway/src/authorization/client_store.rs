//! The enrolled applications, as the store keeps them.

use certs::OrganisationId;
use jiff::Timestamp;
use policies::Partition;
use policies::client::Client;
use policies::ledger::{self, Changes, Cut, Kind, Pause, Place, Revoked, Standing, Suspension};

use super::AuthorizationServer;
use crate::store::{self, StoreError};

/// Why an application is not enrolled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnrolFault {
    /// Another one has its name.
    #[error(
        "an application named like this is enrolled already; names are shown to customers, so each is one"
    )]
    NameTaken,
    /// Another one has its client id.
    #[error("this client_id is taken")]
    IdTaken,
    /// It was changed or removed meanwhile.
    #[error("the application was removed or changed meanwhile")]
    Changed,
    /// The bank suspended its TPP.
    #[error("the bank has suspended this TPP")]
    Suspended,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where an application lies, within its TPP's part.
pub(super) fn place(client_id: &str) -> Place {
    Place::named(Kind::Client, client_id)
}

/// Where it stands whose an application is.
fn owner(client_id: &str) -> Place {
    Place::named(Kind::Owner, client_id)
}

/// Where it stands which application has a name. Case and blanks make no other name for a person.
fn name(client: &Client) -> Place {
    let folded: Vec<String> = client.name.split_whitespace().map(str::to_lowercase).collect();
    Place::named(Kind::Owner, &format!("name {} {}", client.setting.code(), folded.join(" ")))
}

impl AuthorizationServer {
    /// The application of this client id, whosever it is.
    ///
    /// # Errors
    /// The store's.
    pub async fn client(&self, client_id: &str) -> Result<Option<Client>, StoreError> {
        let place = owner(client_id);
        let owner = store::transact(self.store.as_ref(), Some(place.own_partition()), |book| {
            let page = book.read(place)?;
            let id = page.map(|page| std::str::from_utf8(page).ok().map(OrganisationId::new));
            match id {
                None => Ok((None, Changes::default())),
                Some(Some(Ok(id))) => Ok((Some(id), Changes::default())),
                Some(_) => Err(Pause::Damaged(Kind::Owner)),
            }
        });
        match owner.await? {
            Some(owner) => self.client_of(&owner, client_id).await,
            None => Ok(None),
        }
    }

    /// The application of this client id, if it is this TPP's.
    ///
    /// # Errors
    /// The store's.
    pub async fn client_of(
        &self,
        organisation_id: &OrganisationId,
        client_id: &str,
    ) -> Result<Option<Client>, StoreError> {
        let place = place(client_id);
        let partition = Some(Partition::of(organisation_id));
        let client = store::transact(self.store.as_ref(), partition, |book| {
            let client = book.read(place)?.map(Client::from_json).transpose();
            Ok((client.map_err(|_| Pause::Damaged(Kind::Client))?, Changes::default()))
        });
        let theirs = |client: &Client| {
            client.organisation_id == *organisation_id && client.client_id == client_id
        };
        Ok(client.await?.filter(theirs))
    }

    /// Every application, in no order.
    ///
    /// # Errors
    /// The store's.
    pub async fn clients(&self) -> Result<Vec<Client>, StoreError> {
        let mut clients = Vec::new();
        let mut read = |_, page: &[u8]| match Client::from_json(page) {
            Ok(client) => clients.push(client),
            Err(error) => tracing::error!(%error, "a stored application cannot be read"),
        };
        self.store.each(Kind::Client, &mut read).await?;
        clients.sort_by(|one, other| one.client_id.cmp(&other.client_id));
        clients.dedup_by(|one, other| one.client_id == other.client_id);
        Ok(clients)
    }

    /// Enrols an application, or changes the one of which `before` was read. When this returns the
    /// application is whole; a crash before leaves names reserved that the next attempt finds its own.
    ///
    /// # Errors
    /// See [`EnrolFault`]; then nothing is enrolled.
    pub async fn enrol(&self, client: &Client, before: Option<&Client>) -> Result<(), EnrolFault> {
        let id = &client.organisation_id;
        let named = name(client);
        if !self.reserve(named, &client.client_id).await? {
            return Err(EnrolFault::NameTaken);
        }
        if before.is_none() && !self.reserve(owner(&client.client_id), id.as_str()).await? {
            return Err(EnrolFault::IdTaken);
        }
        let place = place(&client.client_id);
        let (page, expected) = (client.to_json(), before.map(Client::to_json));
        let written = store::transact(self.store.as_ref(), Some(Partition::of(id)), |book| {
            let standing = ledger::read_standing(book, id)?;
            let mut changes = Changes::default();
            if standing.suspended.is_some() {
                return Ok((Err(EnrolFault::Suspended), changes));
            }
            if book.read(place)? != expected.as_deref() {
                return Ok((Err(EnrolFault::Changed), changes));
            }
            changes.keep(place, page.clone());
            Ok((Ok(()), changes))
        });
        written.await??;
        if let Some(old) = before.map(name).filter(|old| *old != named) {
            self.release(old).await?;
        }
        Ok(())
    }

    /// Removes an application with all its tokens; tells how many were live.
    ///
    /// # Errors
    /// The store's. What was not removed can be removed by trying again.
    pub async fn remove(&self, client: &Client, now: Timestamp) -> Result<usize, StoreError> {
        let id = &client.organisation_id;
        let mut ended = self.end_tokens(client, now).await?;
        let place = place(&client.client_id);
        store::transact(self.store.as_ref(), Some(Partition::of(id)), |book| {
            let mut changes = Changes::default();
            if book.read(place)?.is_some() {
                changes.remove(place);
            }
            Ok(((), changes))
        })
        .await?;
        // A code may have been exchanged between the two.
        ended += self.end_tokens(client, now).await?;
        self.release(name(client)).await?;
        self.release(owner(&client.client_id)).await?;
        Ok(ended)
    }

    /// Ends all tokens of a TPP at once, and says what it may do from then on.
    ///
    /// # Errors
    /// The store's.
    pub async fn cut(
        &self,
        organisation_id: &OrganisationId,
        then: &Cut,
        now: Timestamp,
    ) -> Result<Standing, StoreError> {
        let partition = Some(Partition::of(organisation_id));
        store::transact(self.store.as_ref(), partition, |book| {
            ledger::cut(book, organisation_id, then, now)
        })
        .await
    }

    /// Who suspended a TPP, and why.
    ///
    /// # Errors
    /// The store's.
    pub async fn suspension(
        &self,
        organisation_id: &OrganisationId,
    ) -> Result<Option<Suspension>, StoreError> {
        let partition = Some(Partition::of(organisation_id));
        store::transact(self.store.as_ref(), partition, |book| {
            Ok((ledger::read_standing(book, organisation_id)?.suspended, Changes::default()))
        })
        .await
    }

    async fn end_tokens(&self, client: &Client, now: Timestamp) -> Result<usize, StoreError> {
        let mut ended = 0;
        for (token, record) in self.store.tokens_of(&client.organisation_id, now).await? {
            if record.client_id == client.client_id
                && let Revoked::Ended(_) = store::revoke(self.store.as_ref(), &token, None).await?
            {
                ended += 1;
            }
        }
        Ok(ended)
    }

    /// Writes `holder` at a place that nobody else holds; tells whether it is theirs now.
    async fn reserve(&self, place: Place, holder: &str) -> Result<bool, StoreError> {
        store::transact(self.store.as_ref(), Some(place.own_partition()), |book| {
            let mut changes = Changes::default();
            let held = match book.read(place)? {
                Some(held) => held == holder.as_bytes(),
                None => {
                    changes.keep(place, holder.as_bytes().to_vec());
                    true
                }
            };
            Ok((held, changes))
        })
        .await
    }

    async fn release(&self, place: Place) -> Result<(), StoreError> {
        store::transact(self.store.as_ref(), Some(place.own_partition()), |book| {
            let mut changes = Changes::default();
            if book.read(place)?.is_some() {
                changes.remove(place);
            }
            Ok(((), changes))
        })
        .await
    }
}
