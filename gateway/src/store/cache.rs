//! Live token records in memory, bounded, so that a warm token costs neither a round trip nor a
//! read of the file.

use std::hash::{BuildHasher, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use policies::{TokenDigest, TokenRecord};

use super::limits::TOKEN_CACHE_ENTRIES_MAX;

/// A record and the instant at which the store was asked for it.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) record: Arc<TokenRecord>,
    pub(super) as_of: Timestamp,
}

/// Only records that the store has vouched for are kept: an unknown token takes no room here, so
/// guessing tokens cannot push live ones out.
#[derive(Debug)]
pub(super) struct TokenCache {
    kept: Cache<TokenDigest, Kept, DigestHasher>,
    epoch: Mutex<u64>,
}

/// Taken before a record is read from the store: the record may be kept only when nothing was
/// written in between. Without it a slow reader would put a revoked token back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket(u64);

impl TokenCache {
    /// `kept_for` bounds an entry's life by the monotonic clock, so that no step of the wall clock
    /// can prolong it.
    pub(super) fn new(kept_for: Option<Duration>) -> Self {
        let builder = Cache::builder()
            .max_capacity(TOKEN_CACHE_ENTRIES_MAX)
            .eviction_policy(EvictionPolicy::lru());
        let builder = match kept_for {
            Some(duration) => builder.time_to_live(duration),
            None => builder,
        };
        TokenCache { kept: builder.build_with_hasher(DigestHasher), epoch: Mutex::new(0) }
    }

    pub(super) fn find(&self, digest: &TokenDigest) -> Option<Kept> {
        self.kept.get(digest)
    }

    pub(super) fn ticket(&self) -> Ticket {
        Ticket(*self.epoch())
    }

    pub(super) fn keep(&self, ticket: Ticket, digest: &TokenDigest, kept: Kept) {
        let epoch = self.epoch();
        if *epoch == ticket.0 {
            self.kept.insert(*digest, kept);
        }
    }

    /// To be called after the store has been written and before the write is acknowledged.
    pub(super) fn forget<'a>(&self, digests: impl IntoIterator<Item = &'a TokenDigest>) {
        let mut epoch = self.epoch();
        *epoch = epoch.wrapping_add(1);
        for digest in digests {
            self.kept.invalidate(digest);
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.kept.entry_count()
    }

    fn epoch(&self) -> MutexGuard<'_, u64> {
        self.epoch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The key is a SHA-256 already: its first eight bytes are as good a hash as any. Only digests of
/// tokens that the bank issued are ever inserted, so nobody outside chooses which ones collide.
#[derive(Debug, Clone, Copy, Default)]
struct DigestHasher;

impl BuildHasher for DigestHasher {
    type Hasher = DigestHash;

    fn build_hasher(&self) -> DigestHash {
        DigestHash(0)
    }
}

struct DigestHash(u64);

impl Hasher for DigestHash {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(head) = bytes.first_chunk() {
            self.0 = u64::from_ne_bytes(*head);
        }
    }

    /// The length prefix of an array: the same for every digest.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::{digest, now, record};

    fn kept() -> Kept {
        Kept { record: Arc::new(record("client")), as_of: now() }
    }

    #[test]
    fn a_slow_reader_does_not_put_a_revoked_token_back() {
        let cache = TokenCache::new(None);
        let slow = cache.ticket();
        cache.forget([&digest(1)]);
        cache.keep(slow, &digest(1), kept());
        assert!(cache.find(&digest(1)).is_none());

        cache.keep(cache.ticket(), &digest(1), kept());
        assert!(cache.find(&digest(1)).is_some());
    }

    #[test]
    fn the_memory_is_bounded() {
        let cache = TokenCache::new(None);
        for number in 0..2 * TOKEN_CACHE_ENTRIES_MAX as u32 {
            cache.keep(cache.ticket(), &digest(number), kept());
        }
        cache.kept.run_pending_tasks();
        assert!(cache.len() <= TOKEN_CACHE_ENTRIES_MAX);
    }

    #[test]
    fn digests_are_spread_by_their_own_bytes() {
        let hash = |number| DigestHasher.hash_one(digest(number));
        let distinct: std::collections::HashSet<u64> = (0..1_000).map(hash).collect();
        assert_eq!(distinct.len(), 1_000);
    }
}
