//! What every engine promises, whatever its servers are.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use policies::{QuotaFact, Source, TokenDigest, TokenFact};
use redb::{Database, TableDefinition};
use tempfile::TempDir;

use super::servers::Servers;
use super::*;
use crate::store::{EmbeddedStore, RedisStore, Store};

/// One engine and the world it stands on.
enum Rig {
    Embedded { store: Option<Arc<EmbeddedStore>>, directory: TempDir },
    Redis { store: Arc<RedisStore>, servers: Servers },
}

impl Rig {
    fn embedded() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(&directory.path().join("store.redb")).unwrap();
        Rig::Embedded { store: Some(Arc::new(store)), directory }
    }

    fn redis(servers: Servers) -> Self {
        let store = Arc::new(RedisStore::open(servers.settings(), PATIENT).unwrap());
        Rig::Redis { store, servers }
    }

    fn store(&self) -> Arc<dyn Store> {
        match self {
            Rig::Embedded { store, .. } => store.clone().unwrap(),
            Rig::Redis { store, .. } => store.clone(),
        }
    }

    /// A record is kept only if nothing is heard of it between question and answer. What Redis has
    /// still to tell of our own write would count.
    async fn settled(&self) {
        if let Rig::Redis { store, .. } = self {
            store.settled().await;
        }
    }

    /// The gateway is started anew, and so is Redis.
    fn restart(&mut self) {
        let file = self.file();
        match self {
            Rig::Embedded { store, .. } => {
                *store = None;
                *store = Some(Arc::new(EmbeddedStore::open(&file).unwrap()));
            }
            Rig::Redis { store, servers } => {
                servers.restart();
                *store = Arc::new(RedisStore::open(servers.settings(), PATIENT).unwrap());
            }
        }
    }

    /// Somebody else writes what is not a record.
    fn garble(&mut self, digest: &TokenDigest) {
        let file = self.file();
        match self {
            Rig::Embedded { store, .. } => {
                const TOKENS: TableDefinition<'_, [u8; 32], (i64, &[u8])> =
                    TableDefinition::new("tokens.v1");
                *store = None;
                let database = Database::open(&file).unwrap();
                let transaction = database.begin_write().unwrap();
                let mut tokens = transaction.open_table(TOKENS).unwrap();
                tokens.insert(digest, (0, b"{\"version\":".as_slice())).unwrap();
                drop(tokens);
                transaction.commit().unwrap();
                drop(database);
                *store = Some(Arc::new(EmbeddedStore::open(&file).unwrap()));
            }
            Rig::Redis { servers, .. } => {
                let key = format!("octroi:token:{}", hex::encode(digest));
                let mut connection = servers.of(&key).connection();
                ::redis::cmd("SET").arg(key).arg("{\"version\":").exec(&mut connection).unwrap();
            }
        }
    }

    fn file(&self) -> PathBuf {
        match self {
            Rig::Embedded { directory, .. } => directory.path().join("store.redb"),
            Rig::Redis { .. } => PathBuf::new(),
        }
    }
}

macro_rules! on_every_engine {
    ($($behaviour:ident)*) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $behaviour() { super::$behaviour(super::Rig::embedded()).await })*
        }
        mod redis {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $behaviour() { super::$behaviour(super::Rig::redis(super::Servers::one())).await })*
        }
        mod redis_sentinel {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $behaviour() { super::$behaviour(super::Rig::redis(super::Servers::watched())).await })*
        }
        mod redis_cluster {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $behaviour() { super::$behaviour(super::Rig::redis(super::Servers::cluster())).await })*
        }
    };
}

on_every_engine! {
    a_token_that_was_put_is_live_and_then_warm
    a_token_that_was_never_put_is_unknown
    a_removed_token_is_unknown_at_once
    a_replaced_record_answers_at_once
    tokens_survive_a_restart
    an_unreadable_record_is_not_taken_for_an_unknown_token
    five_hundred_first_requests_are_all_answered
    a_burst_is_granted_to_the_last_request_and_no_further
    each_tpp_and_each_route_has_its_own_bucket
    concurrent_requests_never_take_more_than_the_burst
    a_changed_rule_counts_at_once_and_forgets_nothing
    a_rule_that_cannot_be_counted_grants_nothing
    a_store_in_order_is_healthy
    the_time_that_a_removal_took_is_observed
}

async fn a_token_that_was_put_is_live_and_then_warm(rig: Rig) {
    let store = rig.store();
    store.put_token(&named(1), &record("client")).await.unwrap();

    rig.settled().await;
    assert!(store.token_now(&named(1), now()).is_none(), "nothing is warm before it was read");
    let cold = store.token(&named(1), &tpp("13935"), now()).await;
    assert_eq!(client_of(&cold), "client");
    assert!(matches!(cold, TokenFact::Live { source: Source::TokenStore, .. }));

    let warm = store.token_now(&named(1), now()).expect("a token that was read is warm");
    assert_eq!(client_of(&warm), "client");
    assert!(matches!(warm, TokenFact::Live { source: Source::TokenCache, as_of, .. }
        if as_of == now()));
    assert_eq!(store.report().tokens_in_memory.min(1), store.report().tokens_in_memory);
}

async fn a_token_that_was_never_put_is_unknown(rig: Rig) {
    assert!(matches!(rig.store().token(&named(1), &tpp("13935"), now()).await, TokenFact::Unknown));
    assert!(rig.store().token_now(&named(1), now()).is_none());
}

async fn a_removed_token_is_unknown_at_once(rig: Rig) {
    let store = rig.store();
    store.put_token(&named(1), &record("client")).await.unwrap();
    store.put_token(&named(2), &record("other")).await.unwrap();
    assert_eq!(client_of(&store.token(&named(1), &tpp("13935"), now()).await), "client");

    assert!(remove(&*store, 1).await.unwrap());
    assert!(store.token_now(&named(1), now()).is_none());
    assert!(matches!(store.token(&named(1), &tpp("13935"), now()).await, TokenFact::Unknown));
    assert!(!remove(&*store, 1).await.unwrap(), "it was there only once");
    assert_eq!(client_of(&store.token(&named(2), &tpp("13935"), now()).await), "other");
}

async fn a_replaced_record_answers_at_once(rig: Rig) {
    let store = rig.store();
    for client in ["first", "second", "third"] {
        store.put_token(&named(1), &record(client)).await.unwrap();
        assert_eq!(client_of(&store.token(&named(1), &tpp("13935"), now()).await), client);
        assert_eq!(client_of(&store.token(&named(1), &tpp("13935"), now()).await), client);
    }
}

async fn tokens_survive_a_restart(mut rig: Rig) {
    rig.store().put_token(&named(1), &record("kept")).await.unwrap();
    rig.store().put_token(&named(2), &record("removed")).await.unwrap();
    remove(&*rig.store(), 2).await.unwrap();
    rig.restart();
    assert_eq!(client_of(&rig.store().token(&named(1), &tpp("13935"), now()).await), "kept");
    assert!(matches!(rig.store().token(&named(2), &tpp("13935"), now()).await, TokenFact::Unknown));
}

async fn an_unreadable_record_is_not_taken_for_an_unknown_token(mut rig: Rig) {
    rig.store().put_token(&named(1), &record("client")).await.unwrap();
    rig.garble(&digest(1));
    assert!(matches!(
        rig.store().token(&named(1), &tpp("13935"), now()).await,
        TokenFact::Unreadable
    ));
    assert!(rig.store().token_now(&named(1), now()).is_none());
}

async fn five_hundred_first_requests_are_all_answered(rig: Rig) {
    rig.store().put_token(&named(1), &record("client")).await.unwrap();
    rig.settled().await;
    let asked: Vec<_> = (0..500)
        .map(|_| {
            let store = rig.store();
            tokio::spawn(async move { store.token(&named(1), &tpp("13935"), now()).await })
        })
        .collect();
    for asked in asked {
        assert_eq!(client_of(&asked.await.unwrap()), "client");
    }
    if let Rig::Redis { servers, .. } = &rig {
        let asked = servers.calls(&["mget"]);
        assert_eq!(asked, servers.per_read(), "the store was asked once for all of them");
    }
}

async fn a_burst_is_granted_to_the_last_request_and_no_further(rig: Rig) {
    let store = rig.store();
    for left in (0..5).rev() {
        let fact = store.quota(&tpp("A"), 0, &rule(5), now()).await;
        assert!(
            matches!(fact, QuotaFact::Granted { remaining: Some(remaining) } if remaining == left),
            "{fact:?} where {left} are left"
        );
    }
    let fact = store.quota(&tpp("A"), 0, &rule(5), now()).await;
    let QuotaFact::Exhausted { retry_after } = fact else { panic!("{fact:?}") };
    assert!(retry_after <= rule(5).period, "one request comes back in one period");
    assert!(retry_after > rule(5).period - Duration::from_secs(60));
}

async fn each_tpp_and_each_route_has_its_own_bucket(rig: Rig) {
    let store = rig.store();
    for name in ["A", "B", "Ä}{:*"] {
        for route in [0, 1, u16::MAX] {
            assert!(is_granted(&store.quota(&tpp(name), route, &rule(1), now()).await));
            assert!(!is_granted(&store.quota(&tpp(name), route, &rule(1), now()).await));
        }
    }
}

async fn concurrent_requests_never_take_more_than_the_burst(rig: Rig) {
    const BURST: u32 = 60;
    let takers: Vec<_> = (0..8)
        .map(|_| {
            let store = rig.store();
            tokio::spawn(async move {
                let mut granted = 0;
                for _ in 0..40 {
                    let fact = store.quota(&tpp("A"), 0, &rule(BURST), now()).await;
                    granted += u32::from(is_granted(&fact));
                }
                granted
            })
        })
        .collect();
    let mut granted = 0;
    for taker in takers {
        granted += taker.await.unwrap();
    }
    assert_eq!(granted, BURST);
}

async fn a_changed_rule_counts_at_once_and_forgets_nothing(rig: Rig) {
    let store = rig.store();
    for _ in 0..4 {
        assert!(is_granted(&store.quota(&tpp("A"), 0, &rule(4), now()).await));
    }
    assert!(!is_granted(&store.quota(&tpp("A"), 0, &rule(4), now()).await));
    assert!(is_granted(&store.quota(&tpp("A"), 0, &rule(6), now()).await), "four of six are used");
    assert!(is_granted(&store.quota(&tpp("A"), 0, &rule(6), now()).await), "five of six are used");
    assert!(!is_granted(&store.quota(&tpp("A"), 0, &rule(6), now()).await));
    assert!(!is_granted(&store.quota(&tpp("A"), 0, &rule(2), now()).await));
    assert!(!is_granted(&store.quota(&tpp("A"), 0, &rule(6), now()).await), "nor does it refill");
}

async fn a_rule_that_cannot_be_counted_grants_nothing(rig: Rig) {
    let endless = QuotaRule { period: Duration::MAX, ..rule(3) };
    let nothing = QuotaRule { period: Duration::ZERO, ..rule(3) };
    for rule in [endless, nothing] {
        let fact = rig.store().quota(&tpp("A"), 0, &rule, now()).await;
        assert!(matches!(fact, QuotaFact::Unavailable), "{fact:?}");
    }
}

async fn a_store_in_order_is_healthy(rig: Rig) {
    rig.store().health().await.unwrap();
}

async fn the_time_that_a_removal_took_is_observed(rig: Rig) {
    let store = rig.store();
    rig.settled().await;
    store.put_token(&named(1), &record("client")).await.unwrap();
    assert!(remove(&*store, 1).await.unwrap());
    eventually("the removal is observed", || observed_kills(store.as_ref()) == 1).await;
    assert!(!remove(&*store, 1).await.unwrap());
    rig.settled().await;
    assert_eq!(observed_kills(store.as_ref()), 1, "what was not there was not removed");
}
