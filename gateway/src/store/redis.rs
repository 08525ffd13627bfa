//! The Redis engine: tokens and quotas that any number of gateways share, in Redis or Valkey.
//!
//! What Redis says is authoritative. A record that it vouched for is used without asking again for as
//! long as Redis tells us of every change; where it does not, for `fresh_for`, and a second at most.
//! While Redis is away a record serves until it is `tolerated_for` old, and quotas fall to this
//! replica's share of the rule. Beyond that the answer is "unavailable", never "allowed".

mod clock;
mod dial;
mod finder;
mod freshness;
mod inspect;
mod layout;
mod leases;
mod ledger;
mod link;
mod map;
mod node;
mod presence;
mod pulse;
mod questions;
mod quota_metrics;
mod quotas;
pub(super) mod scripts;
mod share;
mod tokens;
mod tracking;
mod wire;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use certs::OrganisationId;
use dashmap::DashSet;
use jiff::Timestamp;
use policies::freshness::Step;
use policies::ledger::{Kind, Place};
use policies::quota::Charge;
use policies::{Partition, QuotaFact, Source, TokenDigest, TokenFact, TokenName, TokenRecord};
use prometheus::core::Collector;

use self::ledger::Undone;
use self::link::{Fault, Link};
use self::quota_metrics::QuotaMetrics;
use self::quotas::Quotas;
use self::tokens::Answer;
use self::tracking::Tracking;
use super::cache::{Kept, Ticket, TokenCache};
use super::flight::Flights;
use super::kills::TimeToKill;
use super::questions::{Ask, Asked, Questions, Told};
use super::standings::Standings;
use super::{
    Circuit, Deed, Holders, Inspection, Instance, Show, Store, StoreError, StoreReport, in_order,
};
use crate::config::RedisServers;

/// Times and shares of the Redis engine; see `[store]` in the configuration.
#[derive(Debug, Clone, Copy)]
pub struct RedisPolicy {
    /// No request waits longer than this for Redis.
    pub timeout: Duration,
    /// Where Redis does not tell of changes, a record younger than this is used without asking, and
    /// than [`UNTRACKED_FRESH_MAX`](super::limits::UNTRACKED_FRESH_MAX).
    pub fresh_for: Duration,
    /// While Redis is away, a record younger than this still serves.
    pub tolerated_for: Duration,
    /// While Redis is away, a gateway grants its share of each limit for so long.
    pub share_for: Duration,
    /// Which gateway this is, where one that is started again is to be known again.
    pub instance: Option<Instance>,
}

/// One replica's view of Redis.
pub struct RedisStore {
    link: Arc<Link>,
    policy: RedisPolicy,
    cache: Arc<TokenCache>,
    tracking: Tracking,
    time_to_kill: TimeToKill,
    flights: Flights<(Ticket, Answer)>,
    /// Tokens that are being read again beside the requests.
    renewing: Arc<DashSet<TokenDigest>>,
    quotas: Quotas,
    questions: Questions,
    tolerated: AtomicU64,
    /// Is the layout of the keys one of a later Octroi? Then nothing of it is understood.
    foreign: AtomicBool,
}

impl RedisStore {
    /// Does not connect: that is left to the first question. The URL is not kept in any text that
    /// is shown.
    pub fn open(servers: impl Into<RedisServers>, policy: RedisPolicy) -> Result<Self, StoreError> {
        let link = Arc::new(Link::new(&servers.into(), policy.timeout)?);
        let cache = Arc::new(TokenCache::new(Some(policy.tolerated_for)));
        let time_to_kill = TimeToKill::new()?;
        let tracking = Tracking::new(Arc::clone(&link), Arc::clone(&cache), time_to_kill.clone());
        let quotas = Quotas::new(
            Arc::clone(&link),
            (policy.share_for, policy.instance),
            QuotaMetrics::new()?,
        );
        Ok(RedisStore {
            link,
            policy,
            cache,
            tracking,
            time_to_kill,
            flights: Flights::new(),
            renewing: Arc::default(),
            quotas,
            questions: Questions::new(),
            tolerated: AtomicU64::new(0),
            foreign: AtomicBool::new(false),
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

    /// Asks Redis, and tells since when the answer counts.
    async fn ask(
        &self,
        token: &TokenName,
        organisation_id: &OrganisationId,
        now: Timestamp,
    ) -> (Ticket, Answer) {
        let ticket = self.cache.ticket(&token.digest);
        // Whoever came just too late for the last flight finds its answer here.
        let kept = self.cache.find(&token.digest);
        if let Some(kept) = kept.filter(|kept| self.is_fresh(kept, now)) {
            return (ticket, Answer::Record(kept));
        }
        let generation = self.tracking.live(Instant::now());
        let asked = (token, organisation_id, ticket);
        let answer = tokens::read(&self.link, &self.cache, asked, now, generation);
        (ticket, answer.await)
    }

    /// Waits until every change that Redis has told of by now has been dealt with.
    #[cfg(test)]
    pub(super) async fn settled(&self) {
        self.tracking.settled().await;
    }
}

#[async_trait]
impl Store for RedisStore {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn token_now(&self, token: &TokenName, now: Timestamp) -> Option<TokenFact> {
        let digest = &token.digest;
        if self.foreign.load(Ordering::Relaxed) {
            return Some(TokenFact::Unavailable);
        }
        let kept = self.cache.find(digest)?;
        if self.is_fresh(&kept, now) || self.renewed(token, &kept, now) {
            return Some(live(kept, Source::TokenCache));
        }
        let place = Place::new(Kind::Token, *digest);
        let refuses = self.link.refuses(|| ledger::key(token.partition, &place));
        refuses.then(|| self.tolerated(digest, now))?
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
        self.tracking.start();
        let digest = &token.digest;
        let asked = self.cache.ticket(digest);
        // What is read for one TPP says whether that one was cut off, and nothing of another.
        let flight = flight(digest, organisation_id);
        let answered = async {
            loop {
                let ask = self.ask(token, organisation_id, now);
                let (read, answer) = self.flights.join(&flight, ask).await;
                // What was read before a revocation is no answer to who asks after it. The next
                // flight begins after this one.
                if !read.is_spoilt_by(asked) {
                    return answer;
                }
            }
        };
        // A caller who inherits the question of one who went away has less time left for it.
        let joined = tokio::time::timeout(self.link.timeout(), answered);
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
        self.tracking.start();
        let doing = "changing records";
        if self.foreign.load(Ordering::Relaxed) {
            return self.check_layout().await;
        }
        match ledger::transact(&self.link, partition, deed).await {
            Ok(changes) => {
                self.cache.follow(changes.writes().iter().map(|write| &write.place));
                Ok(())
            }
            Err(Undone::Damaged(kind)) => Err(StoreError::Damaged { engine: self.name(), kind }),
            Err(Undone::Busy) => Err(StoreError::Unavailable {
                engine: self.name(),
                doing,
                why: "others changed them each time".to_owned(),
            }),
            Err(Undone::Failed(fault, doubtful)) => {
                // It may have been done all the same. What it is not about goes on to serve, or one
                // request would end the tolerance of an outage for everybody.
                self.cache.follow(&doubtful);
                Err(unavailable(doing, &fault))
            }
        }
    }

    async fn each(&self, kind: Kind, show: Show<'_>) -> Result<(), StoreError> {
        let walked = ledger::each(&self.link, kind, show).await;
        walked.map_err(|fault| unavailable("listing records", &fault))
    }

    async fn put_token(&self, token: &TokenName, record: &TokenRecord) -> Result<(), StoreError> {
        self.tracking.start();
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

    fn charge_now(&self, charges: &[Charge<'_>], _: Timestamp) -> Option<QuotaFact> {
        self.quotas.charge_now(charges)
    }

    async fn charge(&self, charges: &[Charge<'_>], now: Timestamp) -> QuotaFact {
        self.quotas.charge(charges, now).await
    }

    fn join(&self) {
        self.quotas.start();
    }

    async fn leave(&self) {
        self.quotas.leave().await;
    }

    async fn question(&self, ask: &Ask<'_>) -> Asked {
        questions::ask(&self.link, &self.questions, self.quotas.gateways(), ask).await
    }

    async fn told(&self, ask: &Ask<'_>, told: Told<'_>) {
        questions::told(&self.link, &self.questions, ask, told).await;
    }

    /// Expired records leave Redis by themselves; what is swept is this replica's memory.
    async fn sweep(&self, _: Timestamp) -> Result<usize, StoreError> {
        self.quotas.sweep();
        // Redis may have been away at the start, or was exchanged since.
        match self.check_layout().await {
            Err(error @ StoreError::Layout { .. }) => Err(error),
            _ => Ok(0),
        }
    }

    async fn inspect(&self) -> Result<Inspection, StoreError> {
        let inspected = inspect::inspect(&self.link).await;
        inspected.map_err(|fault| unavailable("telling of itself", &fault))
    }

    async fn settle(&self, token: &TokenName) -> Result<(), StoreError> {
        if self.link.replicas_acknowledge() == 0 {
            return Ok(());
        }
        let key = ledger::key(token.partition, &Place::new(Kind::Token, token.digest));
        let settled = ledger::settle(&self.link, &key).await;
        settled.map_err(|fault| unavailable("waiting for the replicas", &fault))
    }

    async fn check_layout(&self) -> Result<(), StoreError> {
        let found = layout::check(&self.link).await;
        let found = found.map_err(|fault| unavailable("telling the layout of its keys", &fault))?;
        self.foreign.store(found.is_some(), Ordering::Relaxed);
        found.map_or(Ok(()), |found| Err(StoreError::Layout { found, known: layout::VERSION }))
    }

    async fn health(&self) -> Result<(), StoreError> {
        self.tracking.start();
        let pong = self.link.ask(&redis::cmd("PING"), self.link.deadline()).await;
        pong.map(|_| ()).map_err(|fault| unavailable("answering", &fault))
    }

    fn report(&self) -> StoreReport {
        let open_since = self.link.open_since();
        let away = open_since.map_or(Duration::ZERO, |since| since.elapsed());
        let step = match open_since {
            None => Step::Fresh,
            Some(_) if away <= self.policy.tolerated_for => Step::Tolerated,
            Some(_) => Step::Expired,
        };
        StoreReport {
            engine: self.name(),
            circuit: Some(if open_since.is_some() { Circuit::Open } else { Circuit::Closed }),
            away: Some((away, step)),
            tracking: Some(self.tracking.is_live(Instant::now())),
            tokens_in_memory: self.cache.len(),
            tokens_tolerated_total: self.tolerated.load(Ordering::Relaxed),
            buckets_in_memory: self.quotas.buckets(),
        }
    }

    fn collectors(&self) -> Vec<Box<dyn Collector>> {
        let mut series = vec![self.time_to_kill.collector()];
        series.extend(self.quotas.collectors());
        series
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// The name of a question: of which token, by whom.
fn flight(digest: &TokenDigest, organisation_id: &OrganisationId) -> TokenDigest {
    certs::sha256(&[digest, organisation_id.as_str().as_bytes()].concat())
}

fn live(kept: Kept, source: Source) -> TokenFact {
    TokenFact::Live { record: kept.record, as_of: kept.as_of, source }
}

fn unavailable(doing: &'static str, fault: &Fault) -> StoreError {
    StoreError::Unavailable { engine: "redis", doing, why: fault.to_string() }
}
