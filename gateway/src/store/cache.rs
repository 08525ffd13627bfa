//! Live token records in memory, bounded, so that a warm token costs neither a round trip nor a
//! read of the file.

use std::hash::{BuildHasher, Hasher};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use policies::ledger::{Kind, Place};
use policies::{TokenDigest, TokenRecord};

use super::limits::TOKEN_CACHE_ENTRIES_MAX;

/// A stretch of time in which the store told of every change without a gap.
pub(super) type Generation = NonZeroU32;

/// A record and the instant at which the store was asked for it.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) record: Arc<TokenRecord>,
    pub(super) as_of: Timestamp,
    /// The stretch in which it was asked for; `None` where the store tells of no changes.
    pub(super) generation: Option<Generation>,
}

/// Only records that the store has vouched for are kept: an unknown token takes no room here, so
/// guessing tokens cannot push live ones out.
#[derive(Debug)]
pub(super) struct TokenCache {
    kept: Cache<TokenDigest, Kept, DigestHasher>,
    epochs: [Mutex<u64>; SHARDS],
}

/// A write spoils the reads under way of its own shard only, one in so many.
const SHARDS: usize = 64;

/// Taken before a record is read from the store: the record may be kept only when nothing of its
/// shard was written in between. Without it a slow reader would put a revoked token back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket(u64);

impl Ticket {
    /// Was something written between this ticket and that later one?
    pub(super) fn is_spoilt_by(self, later: Ticket) -> bool {
        self.0 < later.0
    }
}

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
        let epochs = std::array::from_fn(|_| Mutex::new(0));
        TokenCache { kept: builder.build_with_hasher(DigestHasher), epochs }
    }

    pub(super) fn find(&self, digest: &TokenDigest) -> Option<Kept> {
        self.kept.get(digest)
    }

    pub(super) fn ticket(&self, digest: &TokenDigest) -> Ticket {
        Ticket(*self.epoch(digest))
    }

    /// To be called with a ticket for this digest.
    pub(super) fn keep(&self, ticket: Ticket, digest: &TokenDigest, kept: Kept) {
        let epoch = self.epoch(digest);
        if *epoch == ticket.0 {
            self.kept.insert(*digest, kept);
        }
    }

    /// To be called after the store has been written and before the write is acknowledged.
    pub(super) fn forget<'a>(&self, digests: impl IntoIterator<Item = &'a TokenDigest>) {
        for digest in digests {
            let mut epoch = self.epoch(digest);
            *epoch = epoch.wrapping_add(1);
            self.kept.invalidate(digest);
        }
    }

    /// Forgets everything, and spoils every read that is under way.
    pub(super) fn clear(&self) {
        // A reader that keeps a record while the shards are turned on is wiped out by the last line.
        for epoch in &self.epochs {
            let mut epoch = epoch.lock().unwrap_or_else(PoisonError::into_inner);
            *epoch = epoch.wrapping_add(1);
        }
        self.kept.invalidate_all();
    }

    /// Brings the memory in line with what was written, as [`TokenCache::forget`].
    pub(super) fn follow<'a>(&self, written: impl IntoIterator<Item = &'a Place> + Clone) {
        let of_kind = |kind| written.clone().into_iter().filter(move |place| place.kind == kind);
        if of_kind(Kind::Standing).next().is_some() {
            self.clear();
        }
        self.forget(of_kind(Kind::Token).map(|place| &place.id));
    }

    pub(super) fn len(&self) -> u64 {
        self.kept.entry_count()
    }

    fn epoch(&self, digest: &TokenDigest) -> MutexGuard<'_, u64> {
        let [.., last] = *digest;
        #[expect(clippy::indexing_slicing, reason = "a remainder of the length is below it")]
        let epoch = &self.epochs[usize::from(last) % SHARDS];
        epoch.lock().unwrap_or_else(PoisonError::into_inner)
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
        Kept { record: Arc::new(record("client")), as_of: now(), generation: None }
    }

    #[test]
    fn a_slow_reader_does_not_put_a_revoked_token_back() {
        let cache = TokenCache::new(None);
        let slow = cache.ticket(&digest(1));
        cache.forget([&digest(1)]);
        cache.keep(slow, &digest(1), kept());
        assert!(cache.find(&digest(1)).is_none());

        cache.keep(cache.ticket(&digest(1)), &digest(1), kept());
        assert!(cache.find(&digest(1)).is_some());
    }

    #[test]
    fn a_write_spoils_no_read_of_another_shard() {
        let cache = TokenCache::new(None);
        let shard = |number| digest(number).last().copied().unwrap() as usize % SHARDS;
        let other = (2..).find(|&number| shard(number) != shard(1)).unwrap();
        let same = (2..).find(|&number| shard(number) == shard(1)).unwrap();
        let (reader, neighbour) = (cache.ticket(&digest(other)), cache.ticket(&digest(same)));
        cache.forget([&digest(1)]);
        cache.keep(reader, &digest(other), kept());
        cache.keep(neighbour, &digest(same), kept());
        assert!(cache.find(&digest(other)).is_some());
        assert!(cache.find(&digest(same)).is_none());
    }

    #[test]
    fn what_was_cleared_is_gone_and_no_reader_puts_it_back() {
        let cache = TokenCache::new(None);
        for number in 0..1_000 {
            cache.keep(cache.ticket(&digest(number)), &digest(number), kept());
        }
        let slow: Vec<_> = (0..1_000).map(|number| cache.ticket(&digest(number))).collect();
        cache.clear();
        for (number, ticket) in (0..).zip(slow) {
            assert!(cache.find(&digest(number)).is_none());
            cache.keep(ticket, &digest(number), kept());
            assert!(cache.find(&digest(number)).is_none());
            cache.keep(cache.ticket(&digest(number)), &digest(number), kept());
            assert!(cache.find(&digest(number)).is_some());
        }
    }

    #[test]
    fn the_memory_is_bounded() {
        let cache = TokenCache::new(None);
        for number in 0..2 * TOKEN_CACHE_ENTRIES_MAX as u32 {
            cache.keep(cache.ticket(&digest(number)), &digest(number), kept());
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
