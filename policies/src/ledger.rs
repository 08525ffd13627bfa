//! What the authorization server remembers, and how it may change: each change is a pure function
//! of what was read, made whole or not at all by whichever store keeps it.
//!
//! A change asks the [`Book`] for the records that it needs. What was not read yet it names
//! ([`Pause::Unread`]), the store reads that and asks again; the last answer is what to write, and the
//! store writes it only if nothing of what was read has changed meanwhile.

mod ending;
mod grant;
mod pair;
mod records;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use jiff::Timestamp;

use crate::token::Partition;

pub use ending::{Cut, Revoked, cut, revoke};
pub use grant::{Exchange, GrantFault, Issued, Lives, Refresh, exchange, give, keep_code, refresh};
pub use pair::read_standing;
pub use records::{CodeRecord, GrantRecord, RecordError, Standing, Suspension};

/// The kinds of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(clippy::exhaustive_enums)]
pub enum Kind {
    /// A token record, under the SHA-256 of the token.
    Token,
    /// The one pair of tokens of a customer, TPP and scope at a bank.
    Grant,
    /// An authorization code, under its SHA-256.
    Code,
    /// A code or refresh token that was used: whoever brings it again has stolen it, or was robbed.
    Spent,
    /// Whether a TPP may hold tokens, under the SHA-256 of its organisation id.
    Standing,
    /// An enrolled application, under the SHA-256 of its client id.
    Client,
    /// Whose application it is: a client id alone does not tell where the client lies.
    Owner,
    /// A customer on the way through login and consent, under the SHA-256 of the challenge.
    Interaction,
    /// A pushed authorization request (RFC 9126), under the SHA-256 of its reference.
    Pushed,
    /// Wrong codes and passwords of one login.
    Attempts,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Token,
        Self::Grant,
        Self::Code,
        Self::Spent,
        Self::Standing,
        Self::Client,
        Self::Owner,
        Self::Interaction,
        Self::Pushed,
        Self::Attempts,
    ];

    /// As keys write it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Grant => "grant",
            Self::Code => "code",
            Self::Spent => "spent",
            Self::Standing => "standing",
            Self::Client => "client",
            Self::Owner => "owner",
            Self::Interaction => "interaction",
            Self::Pushed => "pushed",
            Self::Attempts => "attempts",
        }
    }
}

/// Where one record lies, within a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(clippy::exhaustive_structs)]
pub struct Place {
    /// What kind of record it is.
    pub kind: Kind,
    /// Its name, as a digest.
    pub id: [u8; 32],
}

impl Place {
    /// A place by its digest.
    #[must_use]
    pub const fn new(kind: Kind, id: [u8; 32]) -> Self {
        Self { kind, id }
    }

    /// The place of something that has a text for a name.
    #[must_use]
    pub fn named(kind: Kind, name: &str) -> Self {
        Self::new(kind, certs::sha256(name.as_bytes()))
    }

    /// The part of something whose name alone says where it lies.
    #[must_use]
    pub fn own_partition(&self) -> Partition {
        Partition::of_digest(&self.id)
    }
}

/// Why a change cannot be told yet, or at all.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum Pause {
    /// These records are needed.
    Unread(Vec<Place>),
    /// A record of this kind cannot be read: nothing is changed and nothing is granted.
    Damaged(Kind),
}

/// The records that were read so far.
pub struct Book<'a>(&'a HashMap<Place, Option<Vec<u8>>>);

impl<'a> Book<'a> {
    /// A view of what was read; `None` stands for a record that does not exist.
    #[must_use]
    pub fn new(pages: &'a HashMap<Place, Option<Vec<u8>>>) -> Self {
        Self(pages)
    }

    /// Asks for several records at once.
    ///
    /// # Errors
    /// Some were not read yet.
    pub fn need(&self, places: &[Place]) -> Result<(), Pause> {
        let unread: Vec<Place> =
            places.iter().filter(|place| !self.0.contains_key(place)).copied().collect();
        if unread.is_empty() { Ok(()) } else { Err(Pause::Unread(unread)) }
    }

    /// What lies at `place`.
    ///
    /// # Errors
    /// It was not read yet.
    pub fn read(&self, place: Place) -> Result<Option<&'a [u8]>, Pause> {
        match self.0.get(&place) {
            Some(page) => Ok(page.as_deref()),
            None => Err(Pause::Unread(vec![place])),
        }
    }
}

/// One record to write, or to remove.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)]
pub struct Write {
    /// Where.
    pub place: Place,
    /// What, and until when it is kept; none removes it.
    pub page: Option<(Vec<u8>, Option<Timestamp>)>,
}

/// What a change answers, with what it writes.
pub type Step<T> = Result<(T, Changes), Pause>;

/// All that one step changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes(Vec<Write>);

impl Changes {
    /// Writes a record that may be forgotten from `until` on.
    pub fn put(&mut self, place: Place, page: Vec<u8>, until: Timestamp) {
        self.0.push(Write { place, page: Some((page, Some(until))) });
    }

    /// Writes a record that is never forgotten by itself.
    pub fn keep(&mut self, place: Place, page: Vec<u8>) {
        self.0.push(Write { place, page: Some((page, None)) });
    }

    /// Removes a record.
    pub fn remove(&mut self, place: Place) {
        self.0.push(Write { place, page: None });
    }

    /// The writes, in order: of two at one place the later one counts.
    #[must_use]
    pub fn writes(&self) -> &[Write] {
        &self.0
    }
}
