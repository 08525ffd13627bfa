//! The embedded engine: tokens in one crash-safe file, quotas in memory, one process, nothing to
//! install.

mod file;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use certs::OrganisationId;
use jiff::Timestamp;
use policies::ledger::{Kind, Place, Standing, Write};
use policies::quota::Charge;
use policies::{Partition, QuotaFact, Source, TokenDigest, TokenFact, TokenName, TokenRecord};
use prometheus::core::Collector;

use tokio::runtime::{Handle, RuntimeFlavor};

use self::file::{StoreFile, Undone};
use super::cache::{Kept, TokenCache};
use super::kills::TimeToKill;
use super::questions::{Ask, Asked, Questions, Told};
use super::quota::Counters;
use super::standings::{Standings, ended};
use super::{Deed, Holders, Show, Store, StoreError, StoreReport, in_order, live};

/// The file, the records that were read from it, and the buckets.
#[derive(Debug)]
pub struct EmbeddedStore {
    tokens: Arc<Tokens>,
    counters: Counters,
    questions: Questions,
    time_to_kill: TimeToKill,
}

/// Only this process writes the file, and each write forgets the copy in memory: a record that is
/// in memory is what the file says now.
#[derive(Debug)]
struct Tokens {
    file: StoreFile,
    cache: TokenCache,
}

impl EmbeddedStore {
    /// Opens the file, or makes it, readable by its owner only. Blocks while it is being repaired
    /// after a crash.
    pub fn open(file: &Path) -> Result<Self, StoreError> {
        let tokens = Tokens { file: StoreFile::open(file)?, cache: TokenCache::new(None) };
        Ok(EmbeddedStore {
            tokens: Arc::new(tokens),
            counters: Counters::new(),
            questions: Questions::new(),
            time_to_kill: TimeToKill::new()?,
        })
    }

    /// Runs where waiting for the disk holds up no connection. A caller who goes away does not
    /// stop a write that has begun.
    async fn on_disk<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Tokens) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        let tokens = Arc::clone(&self.tokens);
        let why = match tokio::task::spawn_blocking(move || work(&tokens)).await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(error)) => error.to_string(),
            Err(stopped) => stopped.to_string(),
        };
        Err(StoreError::Unavailable { engine: "embedded", doing, why })
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    fn name(&self) -> &'static str {
        "embedded"
    }

    fn token_now(&self, token: &TokenName, now: Timestamp) -> Option<TokenFact> {
        let record = self.tokens.cache.find(&token.digest)?.record;
        Some(TokenFact::Live { record, as_of: now, source: Source::TokenCache })
    }

    async fn token(&self, token: &TokenName, _: &OrganisationId, now: Timestamp) -> TokenFact {
        if let Some(fact) = self.token_now(token, now) {
            return fact;
        }
        let digest = token.digest;
        let read = self.on_disk("reading a token", move |tokens| tokens.read(&digest, now));
        match read.await {
            Ok(fact) => fact,
            Err(error) => {
                tracing::error!(%error, "a token is refused because it could not be looked up");
                TokenFact::Unavailable
            }
        }
    }

    async fn transact(&self, _: Option<Partition>, deed: Deed<'_>) -> Result<(), StoreError> {
        // The deed borrows from its request, so it cannot go to another thread.
        let done = here(|| {
            let asked = Instant::now();
            let changes = self.tokens.file.transact(deed)?;
            self.tokens.cache.follow(changes.writes().iter().map(|write| &write.place));
            let ended = |write: &Write| write.place.kind == Kind::Token && write.page.is_none();
            if changes.writes().iter().any(ended) {
                self.time_to_kill.observe(asked.elapsed());
            }
            Ok(())
        });
        done.map_err(|undone| match undone {
            Undone::Damaged(kind) => StoreError::Damaged { engine: self.name(), kind },
            Undone::Failed(error) => StoreError::Unavailable {
                engine: self.name(),
                doing: "changing records",
                why: error.to_string(),
            },
        })
    }

    async fn each(&self, kind: Kind, show: Show<'_>) -> Result<(), StoreError> {
        let shown = here(|| match kind {
            Kind::Token => self.tokens.file.each(|digest, json| show(digest, json)),
            kind => self.tokens.file.each_record(kind, show),
        });
        shown.map_err(|error| StoreError::Unavailable {
            engine: self.name(),
            doing: "listing records",
            why: error.to_string(),
        })
    }

    async fn put_token(&self, token: &TokenName, record: &TokenRecord) -> Result<(), StoreError> {
        let (digest, expires_at, json) = (token.digest, record.expires_at, record.to_json());
        self.on_disk("writing a token", move |tokens| {
            tokens.file.write(&digest, expires_at, &json)?;
            tokens.cache.forget([&digest]);
            Ok(())
        })
        .await
    }

    async fn holders(&self, now: Timestamp) -> Result<Holders, StoreError> {
        self.on_disk("counting live tokens", move |tokens| {
            let mut holders = Holders::new();
            let standings = tokens.standings()?;
            tokens.file.each(|_, json| {
                if let Some(record) = live(json, now).filter(|record| standings.allow(record)) {
                    *holders.entry(record.organisation_id).or_default() += 1;
                }
            })?;
            Ok(holders)
        })
        .await
    }

    async fn tokens_of(
        &self,
        organisation_id: &OrganisationId,
        now: Timestamp,
    ) -> Result<Vec<(TokenName, TokenRecord)>, StoreError> {
        let organisation_id = organisation_id.clone();
        self.on_disk("listing live tokens", move |tokens| {
            let mut found = Vec::new();
            let standings = tokens.standings()?;
            tokens.file.each(|digest, json| {
                let record = live(json, now);
                let theirs = |record: &TokenRecord| {
                    record.organisation_id == organisation_id && standings.allow(record)
                };
                let name = |record: &TokenRecord| TokenName::new(digest, record.partition());
                found.extend(record.filter(theirs).map(|record| (name(&record), record)));
            })?;
            Ok(in_order(found))
        })
        .await
    }

    fn charge_now(&self, charges: &[Charge<'_>], now: Timestamp) -> Option<QuotaFact> {
        Some(self.counters.charge(charges, now))
    }

    async fn charge(&self, charges: &[Charge<'_>], now: Timestamp) -> QuotaFact {
        self.counters.charge(charges, now)
    }

    async fn question(&self, ask: &Ask<'_>) -> Asked {
        match self.questions.kept(ask) {
            Some(sealed) => Asked::Answered(sealed),
            None => Asked::History(self.questions.ask(ask)),
        }
    }

    async fn told(&self, ask: &Ask<'_>, told: Told<'_>) {
        self.questions.told(ask, told);
    }

    async fn sweep(&self, now: Timestamp) -> Result<usize, StoreError> {
        self.counters.sweep(now);
        self.on_disk("sweeping expired tokens", move |tokens| {
            let mut swept = 0;
            loop {
                let digests = tokens.file.remove_expired(now)?;
                if digests.is_empty() {
                    break;
                }
                tokens.cache.forget(&digests);
                swept += digests.len();
            }
            loop {
                match tokens.file.remove_ended(now)? {
                    0 => return Ok(swept),
                    removed => swept += removed,
                }
            }
        })
        .await
    }

    async fn health(&self) -> Result<(), StoreError> {
        self.on_disk("answering", |tokens| tokens.file.probe()).await
    }

    fn report(&self) -> StoreReport {
        StoreReport {
            engine: self.name(),
            circuit: None,
            away: None,
            tracking: None,
            tokens_in_memory: self.tokens.cache.len(),
            tokens_tolerated_total: 0,
            buckets_in_memory: self.counters.len(),
        }
    }

    fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![self.time_to_kill.collector()]
    }
}

/// Waits for the disk on this thread, for work that cannot go to another; other tasks are moved away
/// from it first, where there are other threads.
fn here<T>(work: impl FnOnce() -> T) -> T {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
        _ => work(),
    }
}

impl Tokens {
    fn read(&self, digest: &TokenDigest, now: Timestamp) -> Result<TokenFact, redb::Error> {
        let ticket = self.cache.ticket(digest);
        let Some(json) = self.file.read(digest)? else {
            return Ok(TokenFact::Unknown);
        };
        let record = match TokenRecord::from_json(&json) {
            Ok(record) => record,
            Err(error) => {
                tracing::error!(%error, "a token record in the file is unreadable: its token is refused");
                return Ok(TokenFact::Unreadable);
            }
        };
        let standing = Place::named(Kind::Standing, record.organisation_id.as_str());
        match Standing::from_json(self.file.record(standing)?.as_deref()) {
            Ok(standing) if !standing.allows(&record) => Ok(ended(&standing)),
            Ok(_) => {
                let kept = Kept { record: Arc::new(record), as_of: now, generation: None };
                self.cache.keep(ticket, digest, kept.clone());
                let Kept { record, as_of, .. } = kept;
                Ok(TokenFact::Live { record, as_of, source: Source::TokenStore })
            }
            Err(error) => {
                tracing::error!(%error, "a TPP's tokens are refused");
                Ok(TokenFact::Unreadable)
            }
        }
    }

    fn standings(&self) -> Result<Standings, redb::Error> {
        let mut standings = Standings::default();
        self.file.each_record(Kind::Standing, &mut |_, json| standings.note(json))?;
        Ok(standings)
    }
}
