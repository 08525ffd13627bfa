//! Wrong codes of one login, whichever browser they come from: after several the login is locked for a
//! while.

use jiff::{SignedDuration, Timestamp};
use policies::ledger::{Changes, Kind, Pause, Place};
use serde::{Deserialize, Serialize};

use super::AuthorizationServer;
use crate::store::{self, StoreError};

/// Wrong codes in a row (RTS art. 4(3)(b): five at most).
const WRONG_MAX: u32 = 3;
/// How long a login stays locked, and how long wrong codes are remembered.
const LOCKED_FOR: SignedDuration = SignedDuration::from_mins(15);

/// Whether a login may try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum Lock {
    /// So many more times.
    Open {
        /// Tries left.
        left: u32,
    },
    /// Not for so many minutes.
    Locked {
        /// Rounded up.
        minutes: u32,
    },
}

#[derive(Default, Serialize, Deserialize)]
struct Attempts {
    wrong: u32,
    until: i64,
}

impl Attempts {
    fn lock(&self, now: Timestamp) -> Lock {
        let left = self.until - now.as_second();
        if left <= 0 {
            return Lock::Open { left: WRONG_MAX };
        }
        match WRONG_MAX.checked_sub(self.wrong) {
            Some(left @ 1..) => Lock::Open { left },
            _ => Lock::Locked { minutes: u32::try_from((left + 59) / 60).unwrap_or(u32::MAX) },
        }
    }
}

impl AuthorizationServer {
    /// Whether `login` may try.
    ///
    /// # Errors
    /// The store's.
    pub async fn lock_of(&self, login: &str, now: Timestamp) -> Result<Lock, StoreError> {
        self.attempts(login, |attempts| (attempts.lock(now), false)).await
    }

    /// Counts a try before it is judged, so that many at once are counted too; tells whether it may be
    /// judged.
    ///
    /// # Errors
    /// The store's.
    pub async fn try_once(&self, login: &str, now: Timestamp) -> Result<Lock, StoreError> {
        self.attempts(login, |attempts| {
            let lock = attempts.lock(now);
            let Lock::Open { left } = lock else { return (lock, false) };
            let until = now.checked_add(LOCKED_FOR).unwrap_or(now).as_second();
            *attempts = Attempts { wrong: WRONG_MAX - left + 1, until };
            (lock, true)
        })
        .await
    }

    /// The try was right: what was wrong before is forgotten.
    ///
    /// # Errors
    /// The store's.
    pub async fn succeeded(&self, login: &str) -> Result<(), StoreError> {
        self.attempts(login, |attempts| {
            *attempts = Attempts::default();
            ((), true)
        })
        .await
    }

    async fn attempts<T: Send>(
        &self,
        login: &str,
        mut judge: impl FnMut(&mut Attempts) -> (T, bool) + Send,
    ) -> Result<T, StoreError> {
        let place = Place::named(Kind::Attempts, login);
        store::transact(self.store.as_ref(), Some(place.own_partition()), |book| {
            let mut attempts: Attempts = match book.read(place)? {
                Some(page) => {
                    serde_json::from_slice(page).map_err(|_| Pause::Damaged(Kind::Attempts))?
                }
                None => Attempts::default(),
            };
            let (answer, changed) = judge(&mut attempts);
            let mut changes = Changes::default();
            if changed {
                let until = Timestamp::from_second(attempts.until).unwrap_or(Timestamp::MAX);
                let until = until.max(Timestamp::UNIX_EPOCH);
                let page = serde_json::to_vec(&attempts).unwrap_or_default();
                changes.put(place, page, until.checked_add(LOCKED_FOR).unwrap_or(until));
            }
            Ok((answer, changes))
        })
        .await
    }
}
