//! How long what Redis said of a token counts.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use policies::{Source, TokenDigest, TokenFact, TokenName};
use tokio::runtime::Handle;

use super::{RedisStore, live, tokens};
use crate::store::cache::Kept;
use crate::store::limits::UNTRACKED_FRESH_MAX;

/// Requests that meet at one answer began within this time.
const BEGAN_LATER_MAX: Duration = Duration::from_secs(1);

impl RedisStore {
    /// May it be used without asking? What was read while Redis told of changes is good for as long
    /// as Redis goes on telling, and not a moment longer; what was read without, by its age.
    ///
    /// Half of the tolerated time is left to a record that is in use: otherwise the one that Redis
    /// vouched for longest ago would not outlive the first second of an outage.
    pub(super) fn is_fresh(&self, kept: &Kept, now: Timestamp) -> bool {
        match kept.generation {
            None => is_younger(kept, now, self.policy.fresh_for.min(UNTRACKED_FRESH_MAX)),
            Some(_) => {
                self.tracking.live(Instant::now()) == kept.generation
                    && is_younger(kept, now, self.policy.tolerated_for / 2)
            }
        }
    }

    /// A record that has just ceased to be fresh still serves, and is read again beside the request: a
    /// token that is in use need not wait for Redis.
    pub(super) fn renewed(&self, token: &TokenName, kept: &Kept, now: Timestamp) -> bool {
        let generation = self.tracking.live(Instant::now());
        let told = generation.is_some() && generation == kept.generation;
        if !told || !is_younger(kept, now, self.policy.tolerated_for / 8 * 5) {
            return false;
        }
        if let (Ok(runtime), true) = (Handle::try_current(), self.renewing.insert(token.digest)) {
            let (link, cache) = (Arc::clone(&self.link), Arc::clone(&self.cache));
            let (renewing, record) = (Arc::clone(&self.renewing), Arc::clone(&kept.record));
            let (token, ticket) = (*token, cache.ticket(&token.digest));
            runtime.spawn(async move {
                let asked = (&token, &record.organisation_id, ticket);
                tokens::read(&link, &cache, asked, now, generation).await;
                renewing.remove(&token.digest);
            });
        }
        true
    }

    /// A kept record that is still good while Redis is away.
    pub(super) fn tolerated(&self, digest: &TokenDigest, now: Timestamp) -> Option<TokenFact> {
        let kept = self.cache.find(digest)?;
        if !is_younger(&kept, now, self.policy.tolerated_for) {
            return None;
        }
        self.tolerated.fetch_add(1, Ordering::Relaxed);
        Some(live(kept, Source::TokenCache))
    }
}

/// A record from the future, as after a step back of the clock, is not young: Redis is asked.
///
/// Of two requests at once the one that began later may have been the one that asked: what it was told is
/// new to the other, too.
fn is_younger(kept: &Kept, now: Timestamp, age: Duration) -> bool {
    let since = now.duration_since(kept.as_of);
    match Duration::try_from(since) {
        Ok(since) => since < age,
        Err(_) => since.unsigned_abs() < BEGAN_LATER_MAX,
    }
}
