//! The enrolled applications, as the store keeps them.

use certs::OrganisationId;
use jiff::Timestamp;
use policies::Partition;
use policies::client::Client;
use policies::ledger::{self, Changes, Kind, Pause, Place, Revoked};

use super::AuthorizationServer;
use crate::store::{self, Store, StoreError};

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

/// How long a name stays reserved for an application that is not there yet.
const RESERVED_SECONDS: i64 = 5 * 60;

/// What became of a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reserved {
    /// It was made just now.
    New,
    /// It was made before, by the same holder.
    Held,
    /// Somebody else has it.
    Taken,
}

/// Where an application lies, within its TPP's part.
pub(super) fn place(client_id: &str) -> Place {
    Place::named(Kind::Client, client_id)
}

/// Where it stands whose an application is.
fn owner(client_id: &str) -> Place {
    Place::named(Kind::Owner, client_id)
}

/// Where the changes of applications are counted. No client id that is looked up has a blank in it.
fn version() -> Place {
    Place::named(Kind::Owner, "changes of applications")
}

/// Where it stands which application has a name. Case and blanks make no other name for a person.
fn name(client: &Client) -> Place {
    let folded: Vec<String> = client.name.split_whitespace().map(str::to_lowercase).collect();
    Place::named(Kind::Owner, &format!("name {} {}", client.setting.code(), folded.join(" ")))
}

/// Every application, by its client id.
pub(super) async fn all(store: &dyn Store) -> Result<Vec<Client>, StoreError> {
    let mut clients = Vec::new();
    let mut read = |_, page: &[u8]| match Client::from_json(page) {
        Ok(client) => clients.push(client),
        Err(error) => tracing::error!(%error, "a stored application cannot be read"),
    };
    store.each(Kind::Client, &mut read).await?;
    clients.sort_by(|one, other| one.client_id.cmp(&other.client_id));
    clients.dedup_by(|one, other| one.client_id == other.client_id);
    Ok(clients)
}

impl AuthorizationServer {
    /// The application of this client id, whosever it is.
    ///
    /// # Errors
    /// The store's.
    pub async fn client(&self, client_id: &str) -> Result<Option<Client>, StoreError> {
        // Records of ours that lie beside have a blank in their names.
        if client_id.contains(' ') {
            return Ok(None);
        }
        let place = owner(client_id);
        let owner = store::transact(self.store.as_ref(), Some(place.own_partition()), |book| {
            let page = book.read(place)?;
            match page.map(|page| OrganisationId::new(reservation(page).0)) {
                None => Ok((None, Changes::default())),
                Some(Ok(id)) => Ok((Some(id), Changes::default())),
                Some(Err(_)) => Err(Pause::Damaged(Kind::Owner)),
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

    /// Every application, by its client id.
    ///
    /// # Errors
    /// The store's.
    pub async fn clients(&self) -> Result<Vec<Client>, StoreError> {
        all(self.store.as_ref()).await
    }

    /// Enrols an application, or changes the one of which `before` was read. When this returns the
    /// application is whole. A crash before leaves its name reserved for a while.
    ///
    /// # Errors
    /// See [`EnrolFault`]; then nothing is enrolled.
    pub async fn enrol(&self, client: &Client, before: Option<&Client>) -> Result<(), EnrolFault> {
        let (id, now) = (&client.organisation_id, client.updated_at.as_second());
        let named = self.reserve_name(client, now).await?;
        let owned = match before {
            Some(_) => Ok(Reserved::Held),
            None => self.reserve(owner(&client.client_id), id.as_str(), now).await,
        };
        let written = match &owned {
            Ok(Reserved::Taken) => Err(EnrolFault::IdTaken),
            Ok(_) => self.write(client, before).await,
            Err(error) => Err(error.clone().into()),
        };
        if let Err(fault) = written {
            // A store that does not answer may have written: nothing is given up then.
            if !matches!(fault, EnrolFault::Store(_)) {
                if named == Reserved::New {
                    self.release(name(client), &client.client_id).await?;
                }
                if matches!(owned, Ok(Reserved::New)) {
                    self.release(owner(&client.client_id), id.as_str()).await?;
                }
            }
            return Err(fault);
        }
        if let Some(old) = before.filter(|old| name(old) != name(client)) {
            self.release(name(old), &old.client_id).await?;
        }
        self.clients_changed().await;
        Ok(())
    }

    async fn write(&self, client: &Client, before: Option<&Client>) -> Result<(), EnrolFault> {
        let id = &client.organisation_id;
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
        written.await?
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
        self.release(name(client), &client.client_id).await?;
        self.release(owner(&client.client_id), id.as_str()).await?;
        self.clients_changed().await;
        Ok(ended)
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

    /// Counts the changes of applications, so that a gateway need not read them all to know that none
    /// has changed.
    ///
    /// # Errors
    /// The store's.
    pub async fn clients_version(&self) -> Result<u64, StoreError> {
        let place = version();
        store::transact(self.store.as_ref(), Some(place.own_partition()), |book| {
            Ok((number(book.read(place)?), Changes::default()))
        })
        .await
    }

    /// Tells this gateway at once, and the others soon.
    async fn clients_changed(&self) {
        let place = version();
        let counted = store::transact(self.store.as_ref(), Some(place.own_partition()), |book| {
            let mut changes = Changes::default();
            let next = number(book.read(place)?).wrapping_add(1);
            changes.keep(place, next.to_string().into_bytes());
            Ok(((), changes))
        });
        if let Err(error) = counted.await {
            tracing::warn!(%error, "the other gateways learn of an enrolment only when they look");
        }
        self.changed.send_replace(());
    }

    /// Reserves a client's name for it. Of a name that is reserved for an application that never came
    /// to be, the reservation ends: its gateway stopped in the middle.
    async fn reserve_name(&self, client: &Client, now: i64) -> Result<Reserved, EnrolFault> {
        let (place, id) = (name(client), client.client_id.as_str());
        match self.reserve(place, id, now).await? {
            Reserved::Taken => {}
            reserved => return Ok(reserved),
        }
        let partition = Some(place.own_partition());
        let held = store::transact(self.store.as_ref(), partition, |book| {
            Ok((book.read(place)?.map(<[u8]>::to_vec), Changes::default()))
        });
        let Some(page) = held.await? else { return Err(EnrolFault::NameTaken) };
        let (holder, since) = reservation(&page);
        let lives = match self.client(holder).await? {
            Some(other) => name(&other) == place,
            None => now.saturating_sub(since) < RESERVED_SECONDS,
        };
        if lives {
            return Err(EnrolFault::NameTaken);
        }
        let taken = store::transact(self.store.as_ref(), partition, |book| {
            let mut changes = Changes::default();
            let same = book.read(place)? == Some(page.as_slice());
            if same {
                changes.keep(place, format!("{id}\n{now}").into_bytes());
            }
            Ok((same, changes))
        });
        if taken.await? { Ok(Reserved::New) } else { Err(EnrolFault::NameTaken) }
    }

    /// Writes `holder`, and when, at a place that nobody else holds.
    async fn reserve(&self, place: Place, holder: &str, now: i64) -> Result<Reserved, StoreError> {
        let page = format!("{holder}\n{now}");
        store::transact(self.store.as_ref(), Some(place.own_partition()), |book| {
            let mut changes = Changes::default();
            let reserved = match book.read(place)? {
                Some(held) if reservation(held).0 == holder => Reserved::Held,
                Some(_) => Reserved::Taken,
                None => {
                    changes.keep(place, page.clone().into_bytes());
                    Reserved::New
                }
            };
            Ok((reserved, changes))
        })
        .await
    }

    /// Gives up what `holder` holds.
    async fn release(&self, place: Place, holder: &str) -> Result<(), StoreError> {
        store::transact(self.store.as_ref(), Some(place.own_partition()), |book| {
            let mut changes = Changes::default();
            if book.read(place)?.is_some_and(|held| reservation(held).0 == holder) {
                changes.remove(place);
            }
            Ok(((), changes))
        })
        .await
    }
}

/// Who holds what is reserved, and since when in seconds; a record without an instant is old.
fn reservation(page: &[u8]) -> (&str, i64) {
    let text = std::str::from_utf8(page).unwrap_or_default();
    let (holder, since) = text.split_once('\n').unwrap_or((text, ""));
    (holder, since.parse().unwrap_or_default())
}

fn number(page: Option<&[u8]>) -> u64 {
    let text = page.and_then(|page| std::str::from_utf8(page).ok());
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}
