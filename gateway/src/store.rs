//! What the gateway remembers between requests: live tokens (RFC 6749) and quotas, in one of two
//! engines behind one trait.
//!
//! Answers are facts for the decision, not errors: a store that is away says so, and `policies`
//! refuses. The token itself never comes here, only its SHA-256, and no digest is logged.

mod breaker;
mod cache;
mod embedded;
mod flight;
mod inspection;
mod kills;
pub mod limits;
mod questions;
mod quota;
mod redis;
mod standings;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use certs::OrganisationId;
use jiff::Timestamp;
use policies::freshness;
use policies::ledger::{
    self, Book, Changes, Cut, Kind, Pause, Revoked, Standing, Step, Suspension,
};
use policies::quota::Charge;
use policies::{Partition, QuotaFact, TokenFact, TokenName, TokenRecord};
use prometheus::core::Collector;
use thiserror::Error;
use tokio::sync::watch;

use crate::config::{RedisServers, StoreSettings};

pub use self::embedded::EmbeddedStore;
pub use self::inspection::{Finding, Inspection, ServerFound, Weight};
pub use self::questions::{Ask, Asked, HistoryName, Told};

pub use self::redis::{RedisPolicy, RedisStore};

/// The two questions that a decision asks, and the writes of whoever issues tokens.
///
/// Each question has a form that answers at once, without I/O and without allocation, when it
/// can. Ask that one first, and await the other when it says `None`:
///
/// ```ignore
/// let fact = match store.token_now(&digest, now) {
///     Some(fact) => fact,
///     None => store.token(&digest, now).await,
/// };
/// ```
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync {
    /// The engine, for people and metrics: `embedded` or `redis`.
    fn name(&self) -> &'static str;

    /// The token, when it is known here and now.
    fn token_now(&self, token: &TokenName, now: Timestamp) -> Option<TokenFact>;

    /// The token, for a caller who is `organisation_id`. An expired one is still told for
    /// [`limits::EXPIRED_TOKEN_KEPT`]: what it is worth is for `policies` to say.
    async fn token(
        &self,
        token: &TokenName,
        organisation_id: &OrganisationId,
        now: Timestamp,
    ) -> TokenFact;

    /// Reads what `deed` asks for in one part of what is remembered (none: what other authorization
    /// servers wrote, one record at a time), and makes its changes, all at
    /// once or not at all; nobody else's change comes in between. `deed` may run several times. When
    /// this returns `Ok` the changes are as durable as the engine makes them, and every later question
    /// to this store is answered with them. An error says nothing about whether they were made.
    async fn transact(
        &self,
        partition: Option<Partition>,
        deed: Deed<'_>,
    ) -> Result<(), StoreError>;

    /// Shows every record of a kind; reads them all.
    async fn each(&self, kind: Kind, show: Show<'_>) -> Result<(), StoreError>;

    /// Keeps a token's record as another authorization server would write it.
    async fn put_token(&self, token: &TokenName, record: &TokenRecord) -> Result<(), StoreError>;

    /// Who holds live tokens, and how many. Reads every record: for the rare question what a change
    /// of the register would do.
    async fn holders(&self, now: Timestamp) -> Result<Holders, StoreError>;

    /// The live tokens of one TPP, those that end first before. Reads every record, as
    /// [`Store::holders`] does.
    async fn tokens_of(
        &self,
        organisation_id: &OrganisationId,
        now: Timestamp,
    ) -> Result<Vec<(TokenName, TokenRecord)>, StoreError>;

    /// Takes one request out of the bucket of every charge, or of none, when that needs no I/O. `Some`
    /// has counted; `None` has not.
    fn charge_now(&self, charges: &[Charge<'_>], now: Timestamp) -> Option<QuotaFact>;

    /// Takes one request out of the bucket of every charge. A rule that differs from the last one
    /// counts from this request on; what was used stays used.
    async fn charge(&self, charges: &[Charge<'_>], now: Timestamp) -> QuotaFact;

    /// Becomes one of the gateways that share the limits. Who only reads or changes records does not.
    fn join(&self) {}

    /// Gives back what was taken in advance, and says good-bye to the other gateways. Nothing is to be
    /// charged afterwards.
    async fn leave(&self) {}

    /// Notes a question about an account, and tells those before it; or, where the very same one was
    /// answered and the answer is kept, tells that and notes nothing.
    async fn question(&self, ask: &Ask<'_>) -> Asked;

    /// Notes what became of a question.
    async fn told(&self, ask: &Ask<'_>, told: Told<'_>);

    /// Drops what is over: records that expired [`limits::EXPIRED_TOKEN_KEPT`] ago, buckets that are full
    /// again. Tells how many records it dropped.
    async fn sweep(&self, now: Timestamp) -> Result<usize, StoreError>;

    /// A close look at the engine, before it is relied upon.
    ///
    /// # Errors
    /// It does not answer.
    async fn inspect(&self) -> Result<Inspection, StoreError> {
        Ok(Inspection { topology: self.name(), ..Inspection::default() })
    }

    /// What makes the engine unfit to keep enrolments and consents for months; nothing, where it is fit.
    ///
    /// # Errors
    /// It does not say.
    async fn unfitness(&self) -> Result<Vec<String>, StoreError> {
        self.inspect().await.map(Inspection::unfitness)
    }

    /// Waits until what is known of this token would survive whatever a change of it would.
    ///
    /// # Errors
    /// That cannot be said of it.
    async fn settle(&self, _: &TokenName) -> Result<(), StoreError> {
        Ok(())
    }

    /// Does what is remembered have the form that is understood here?
    ///
    /// # Errors
    /// It has that of a later version, or does not say.
    async fn check_layout(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Does the engine answer at this moment?
    async fn health(&self) -> Result<(), StoreError>;

    /// What metrics show of the engine. Asks nobody.
    fn report(&self) -> StoreReport;

    /// The series that the engine keeps itself, to be registered once.
    fn collectors(&self) -> Vec<Box<dyn Collector>> {
        Vec::new()
    }
}

/// What is to be changed, told from what was read: see [`policies::ledger`].
pub type Deed<'a> = &'a mut (dyn FnMut(&Book<'_>) -> Result<Changes, Pause> + Send);

/// Is shown the name of a record and what it says.
pub type Show<'a> = &'a mut (dyn FnMut([u8; 32], &[u8]) + Send);

/// Ends a token and its pair; see [`policies::ledger::revoke`].
///
/// # Errors
/// The engine did not do it.
pub async fn revoke(
    store: &dyn Store,
    token: &TokenName,
    owner: Option<&OrganisationId>,
) -> Result<Revoked, StoreError> {
    let revoked =
        transact(store, token.partition, |book| ledger::revoke(book, token.digest, owner)).await?;
    // An earlier attempt may have ended it without the replicas: then it is not gone for good.
    if !matches!(revoked, Revoked::Ended(_)) {
        store.settle(token).await?;
    }
    Ok(revoked)
}

/// Ends every token of a TPP at once, and says what it may do from then on; see
/// [`policies::ledger::cut`].
///
/// # Errors
/// The engine did not do it.
pub async fn cut(
    store: &dyn Store,
    organisation_id: &OrganisationId,
    then: &Cut,
    now: Timestamp,
) -> Result<Standing, StoreError> {
    let partition = Some(Partition::of(organisation_id));
    transact(store, partition, |book| ledger::cut(book, organisation_id, then, now)).await
}

/// Who suspended a TPP, and why.
///
/// # Errors
/// The engine did not tell.
pub async fn suspension(
    store: &dyn Store,
    organisation_id: &OrganisationId,
) -> Result<Option<Suspension>, StoreError> {
    transact(store, Some(Partition::of(organisation_id)), |book| {
        Ok((ledger::read_standing(book, organisation_id)?.suspended, Changes::default()))
    })
    .await
}

/// [`Store::transact`] with an answer.
///
/// # Errors
/// The engine did not do it.
pub async fn transact<T: Send>(
    store: &dyn Store,
    partition: Option<Partition>,
    mut step: impl FnMut(&Book<'_>) -> Step<T> + Send,
) -> Result<T, StoreError> {
    let mut answer = None;
    let mut deed = |book: &Book<'_>| {
        let (told, changes) = step(book)?;
        answer = Some(told);
        Ok(changes)
    };
    store.transact(partition, &mut deed).await?;
    answer.ok_or_else(|| StoreError::Unavailable {
        engine: store.name(),
        doing: "changing records",
        why: "the step was never taken".to_owned(),
    })
}

/// Live tokens by who holds them.
pub type Holders = BTreeMap<OrganisationId, usize>;

/// A stored record, if it is one and lives.
fn live(json: &[u8], now: Timestamp) -> Option<TokenRecord> {
    TokenRecord::from_json(json).ok().filter(|record| record.expires_at > now)
}

/// Those that end first before.
fn in_order(mut tokens: Vec<(TokenName, TokenRecord)>) -> Vec<(TokenName, TokenRecord)> {
    tokens.sort_by_key(|(token, record)| (record.expires_at, token.digest));
    tokens
}

/// What an engine says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreReport {
    /// See [`Store::name`].
    pub engine: &'static str,
    /// `None` where no network lies between.
    pub circuit: Option<Circuit>,
    /// For how long the engine has not answered, and what may still serve from memory; `None` where no
    /// network lies between.
    pub away: Option<(Duration, freshness::Step)>,
    /// Does the engine tell this gateway of every change now? `None` where nobody else writes.
    pub tracking: Option<bool>,
    /// Token records in memory.
    pub tokens_in_memory: u64,
    /// Answers since the start that were served from memory because the engine was away.
    pub tokens_tolerated_total: u64,
    /// Quota buckets in memory.
    pub buckets_in_memory: usize,
}

/// Is Redis asked, or left alone for a while?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Circuit {
    /// Every question goes to Redis.
    Closed,
    /// Redis failed several times in a row: one question a second tries it again.
    Open,
}

/// Why the store cannot do what it was asked to do.
#[derive(Debug, Clone, Error)]
pub enum StoreError {
    /// The file of the embedded engine is not usable.
    #[error(
        "store file {}: cannot be opened: {why}. To mend: make its directory writable for this \
         user, or move a damaged file away (its tokens are lost)",
        file.display()
    )]
    Open {
        /// The file.
        file: PathBuf,
        /// What the system or the database says.
        why: String,
    },
    /// Another process has the file of the embedded engine open.
    #[error(
        "store file {}: another process is using it. To mend: stop that process, or let several \
         gateways share a Redis instead",
        file.display()
    )]
    InUse {
        /// The file.
        file: PathBuf,
    },
    /// The address of Redis cannot be used. The address is not shown: it may hold a password.
    #[error("store: the Redis URL cannot be used: {0}. To mend: write redis://host:port/database")]
    Address(String),
    /// A record that is needed cannot be read: nothing was changed.
    #[error("{engine} store: a {} record cannot be read; nothing was changed", kind.code())]
    Damaged {
        /// See [`Store::name`].
        engine: &'static str,
        /// What kind of record.
        kind: Kind,
    },
    /// A later version of Octroi has been here.
    #[error(
        "store: octroi:layout says {found}, and this Octroi knows layout {known} only. To mend: run \
         the version that wrote it, or give this one another Redis"
    )]
    Layout {
        /// What stands there.
        found: String,
        /// What is known here.
        known: u32,
    },
    /// The series of the engine: a fault of ours.
    #[error("store: its metrics cannot be made: {0}. To mend: report it, with the version")]
    Metrics(String),
    /// The engine did not do it, or did not say so in time.
    #[error("{engine} store: {doing} failed: {why}")]
    Unavailable {
        /// See [`Store::name`].
        engine: &'static str,
        /// What was being done.
        doing: &'static str,
        /// What the engine says.
        why: String,
    },
}

/// What tells one gateway from another, and stays when it is started again: only one process at a time may
/// have it.
pub type Instance = [u8; 16];

/// Opens the engine that the configuration names.
///
/// # Errors
/// The file or the address cannot be used. Redis itself may be away: that is found out by asking.
pub fn open(
    settings: &StoreSettings,
    instance: Option<Instance>,
) -> Result<Arc<dyn Store>, StoreError> {
    Ok(match settings {
        StoreSettings::Embedded { file } => Arc::new(EmbeddedStore::open(file)?),
        StoreSettings::Redis { servers, timeout, fresh_for, tolerated_for, share_for } => {
            let policy = RedisPolicy {
                timeout: *timeout,
                fresh_for: *fresh_for,
                tolerated_for: *tolerated_for,
                share_for: *share_for,
                instance,
            };
            Arc::new(RedisStore::open(RedisServers::clone(servers), policy)?)
        }
    })
}

/// Sweeps the store every [`limits::SWEEP_PERIOD`] until `stopped` turns true or its sender is gone.
pub async fn sweep_until(
    store: &dyn Store,
    now: impl Fn() -> Timestamp + Send,
    mut stopped: watch::Receiver<bool>,
) {
    let mut turns = tokio::time::interval(limits::SWEEP_PERIOD);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = turns.tick() => {}
            // The guard that it comes back with must not live across the sweep.
            () = async { drop(stopped.wait_for(|stopped| *stopped).await) } => return,
        }
        match store.sweep(now()).await {
            Ok(0) => (),
            Ok(swept) => tracing::debug!(swept, "expired tokens removed"),
            Err(error) => tracing::warn!(%error, "the store was not swept"),
        }
    }
}
