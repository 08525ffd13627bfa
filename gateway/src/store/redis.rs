//! The Redis engine: tokens and quotas that any number of gateways share, in Redis or Valkey.
//!
//! What Redis says is authoritative. A record that it vouched for is used for `fresh_for` without
//! asking again; while Redis is away it serves until it is `tolerated_for` old, and quotas fall to
//! this replica's share of the rule. Beyond that the answer is "unavailable", never "allowed".

mod ledger;
mod link;
mod quotas;
pub(super) mod scripts;
mod share;
mod tokens;

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use certs::OrganisationId;
use jiff::Timestamp;
use policies::ledger::Kind;
use policies::{
    Partition, QuotaFact, QuotaRule, Source, TokenDigest, TokenFact, TokenName, TokenRecord,
};
use redis::Client;

use self::ledger::Undone;
use self::link::{Fault, Link};
use self::share::LocalShare;
use self::tokens::Answer;
use super::cache::{Kept, TokenCache};
use super::flight::Flights;
use super::standings::Standings;
use super::{Circuit, Deed, Holders, Show, Store, StoreError, StoreReport, in_order};

/// Times and shares of the Redis engine; see `[store]` in the configuration.
#[derive(Debug, Clone, Copy)]
pub struct RedisPolicy {
    /// No request waits longer than this for Redis.
    pub timeout: Duration,
    /// A record younger than this is used without asking.
    pub fresh_for: Duration,
    /// While Redis is away, a record younger than this still serves.
    pub tolerated_for: Duration,
    /// The replicas that divide each quota among them while Redis is away.
    pub local_share: NonZeroU32,
}

/// One replica's view of Redis.
pub struct RedisStore {
    link: Arc<Link>,
    policy: RedisPolicy,
    cache: TokenCache,
    flights: Flights<Answer>,
    share: LocalShare,
    tolerated: AtomicU64,
}

impl RedisStore {
    /// Does not connect: that is left to the first question. The URL is not kept in any text that
    /// is shown.
    pub fn open(url: &str, policy: RedisPolicy) -> Result<Self, StoreError> {
        let client = Client::open(url).map_err(|error| StoreError::Address(error.to_string()))?;
        Ok(RedisStore {
            link: Arc::new(Link::new(client, policy.timeout)),
            policy,
            cache: TokenCache::new(Some(policy.tolerated_for)),
            flights: Flights::new(),
            share: LocalShare::new(policy.local_share),
            tolerated: AtomicU64::new(0),
        })
    }

    /// Every live token, once.
    async fn live_tokens(
        &self,
        now: Timestamp,
    ) -> Result<Vec<(TokenName, TokenRecord)>, StoreError> {
        let mut standings = Standings::default();
        self.each(Kind::Standing, &mut |_, json| standings.note(json)).await?;
        let mut found = HashMap::new();
        self.each(Kind::Token, &mut |digest, json| {
            if let Some(record) = super::live(json, now).filter(|record| standings.allow(record)) {
                found.insert(digest, (TokenName::new(digest, record.partition()), record));
            }
        })
        .await?;
        Ok(found.into_values().collect())
    }

    /// A kept record that is still good while Redis is away.
    fn tolerated(&self, digest: &TokenDigest, now: Timestamp) -> Option<TokenFact> {
        let kept = self.cache.find(digest)?;
        if !is_younger(&kept, now, self.policy.tolerated_for) {
            return None;
        }
        self.tolerated.fetch_add(1, Ordering::Relaxed);
        Some(live(kept, Source::TokenCache))
    }
}

#[async_trait]
impl Store for RedisStore {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn token_now(&self, token: &TokenName, now: Timestamp) -> Option<TokenFact> {
        let digest = &token.digest;
        let kept = self.cache.find(digest)?;
        if is_younger(&kept, now, self.policy.fresh_for) {
            return Some(live(kept, Source::TokenCache));
        }
        self.link.breaker().refuses(Instant::now()).then(|| self.tolerated(digest, now))?
    }

    async fn token(
        &self,
        token: &TokenName,
        organisation_id: &OrganisationId,
        now: Timestamp,
    ) -> TokenFact {
        if let Some(fact) = self.token_now(token, now) {
            return fact;
        }
        let digest = &token.digest;
        let ask = async {
            // Whoever came just too late for the last flight finds its answer here.
            match self
                .cache
                .find(digest)
                .filter(|kept| is_younger(kept, now, self.policy.fresh_for))
            {
                Some(kept) => Answer::Record(kept),
                None => {
                    tokens::read(&self.link, &self.cache, token, organisation_id, now, None).await
                }
            }
        };
        // A caller who inherits the question of one who went away has less time left for it.
        let joined = tokio::time::timeout(self.link.timeout(), self.flights.join(digest, ask));
        match joined.await.unwrap_or(Answer::Away) {
            Answer::Record(kept) => live(kept, Source::TokenStore),
            Answer::Ended(fact) => fact,
            Answer::Away => self.tolerated(digest, now).unwrap_or(TokenFact::Unavailable),
        }
    }

    async fn transact(
        &self,
        partition: Option<Partition>,
        deed: Deed<'_>,
    ) -> Result<(), StoreError> {
        let doing = "changing records";
        match ledger::transact(&self.link, partition, deed).await {
            Ok(changes) => {
                self.cache.follow(&changes);
                Ok(())
            }
            Err(Undone::Damaged(kind)) => Err(StoreError::Damaged { engine: self.name(), kind }),
            Err(Undone::Busy) => Err(StoreError::Unavailable {
                engine: self.name(),
                doing,
                why: "others changed them each time".to_owned(),
            }),
            Err(Undone::Failed(fault)) => {
                // It may have been done all the same.
                self.cache.clear();
                Err(unavailable(doing, &fault))
            }
        }
    }

    async fn each(&self, kind: Kind, show: Show<'_>) -> Result<(), StoreError> {
        let walked = ledger::each(&self.link, kind, show).await;
        walked.map_err(|fault| unavailable("listing records", &fault))
    }

    async fn put_token(&self, token: &TokenName, record: &TokenRecord) -> Result<(), StoreError> {
        let written = tokens::write(&self.link, token, record).await;
        self.cache.forget([&token.digest]);
        written.map_err(|fault| unavailable("writing a token", &fault))
    }

    async fn holders(&self, now: Timestamp) -> Result<Holders, StoreError> {
        let mut holders = Holders::new();
        for (_, record) in self.live_tokens(now).await? {
            *holders.entry(record.organisation_id).or_default() += 1;
        }
        Ok(holders)
    }

    async fn tokens_of(
        &self,
        organisation_id: &OrganisationId,
        now: Timestamp,
    ) -> Result<Vec<(TokenName, TokenRecord)>, StoreError> {
        let mut found = self.live_tokens(now).await?;
        found.retain(|(_, record)| record.organisation_id == *organisation_id);
        Ok(in_order(found))
    }

    fn quota_now(
        &self,
        _: &OrganisationId,
        _: u16,
        _: &QuotaRule,
        _: Timestamp,
    ) -> Option<QuotaFact> {
        None
    }

    async fn quota(
        &self,
        organisation_id: &OrganisationId,
        rule_index: u16,
        rule: &QuotaRule,
        now: Timestamp,
    ) -> QuotaFact {
        let key = (organisation_id.clone(), rule_index);
        quotas::take(&self.link, &self.share, &key, rule, now).await
    }

    /// Expired records leave Redis by themselves; what is swept is this replica's memory.
    async fn sweep(&self, now: Timestamp) -> Result<usize, StoreError> {
        self.share.sweep(now, self.policy.tolerated_for);
        Ok(0)
    }

    async fn health(&self) -> Result<(), StoreError> {
        let pong = self.link.ask(&redis::cmd("PING"), self.link.deadline()).await;
        pong.map(|_| ()).map_err(|fault| unavailable("answering", &fault))
    }

    fn report(&self) -> StoreReport {
        let open = self.link.breaker().is_open();
        StoreReport {
            engine: self.name(),
            circuit: Some(if open { Circuit::Open } else { Circuit::Closed }),
            tokens_in_memory: self.cache.len(),
            tokens_tolerated_total: self.tolerated.load(Ordering::Relaxed),
            buckets_in_memory: self.share.len(),
        }
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("policy", &self.policy).finish_non_exhaustive()
    }
}

fn live(kept: Kept, source: Source) -> TokenFact {
    TokenFact::Live { record: kept.record, as_of: kept.as_of, source }
}

/// A record from the future, as after a step back of the clock, is not young: Redis is asked.
fn is_younger(kept: &Kept, now: Timestamp, age: Duration) -> bool {
    Duration::try_from(now.duration_since(kept.as_of)).is_ok_and(|since| since < age)
}

fn unavailable(doing: &'static str, fault: &Fault) -> StoreError {
    StoreError::Unavailable { engine: "redis", doing, why: fault.to_string() }
}
