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
    a_request_that_one_limit_refuses_costs_nothing_of_the_others
    the_limit_with_the_longest_wait_is_named
    a_window_holds_exactly_its_requests
    limits_that_tpps_share_are_counted_beside_their_own
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
        let fact = take(&*store, "A", &rule(5)).await;
        assert_eq!(left_of(&fact), left);
    }
    let fact = take(&*store, "A", &rule(5)).await;
    let QuotaFact::Exhausted { charge: 0, retry_after } = fact else { panic!("{fact:?}") };
    assert!(retry_after <= DAY, "one request comes back in one period");
    assert!(retry_after > DAY - Duration::from_secs(60));
}

#[track_caller]
fn left_of(fact: &QuotaFact) -> u32 {
    let QuotaFact::Granted(all) = fact else { panic!("{fact:?}") };
    all[0].requests
}

async fn each_tpp_and_each_route_has_its_own_bucket(rig: Rig) {
    let (store, rule) = (rig.store(), rule(1));
    for name in ["A", "B", "Ä}{:*"] {
        let id = tpp(name);
        for api in ["a", "b", ""] {
            let charges = [Charge::of(&rule, &caller(&id, api))];
            assert!(is_granted(&charge(&*store, &charges, now()).await));
            assert!(!is_granted(&charge(&*store, &charges, now()).await));
        }
    }
}

async fn a_request_that_one_limit_refuses_costs_nothing_of_the_others(rig: Rig) {
    let store = rig.store();
    let wide = rule(9);
    let narrow = Arc::new(Quota { name: "narrow".to_owned(), ..Quota::clone(&rule(2)) });
    let five = NonZeroU32::new(5).unwrap();
    let window = limit(Measure::Window { requests: five, period: DAY });
    let window = Arc::new(Quota { name: "window".to_owned(), ..Quota::clone(&window) });
    let id = tpp("A");
    let charges = [&wide, &narrow, &window].map(|quota| Charge::of(quota, &caller(&id, "a")));
    for left in [1, 0] {
        let QuotaFact::Granted(all) = charge(&*store, &charges, now()).await else { panic!() };
        let requests: Vec<u32> = all.iter().map(|left| left.requests).collect();
        assert_eq!(requests, [left + 7, left, left + 3]);
    }
    for _ in 0..20 {
        let fact = charge(&*store, &charges, now()).await;
        assert!(matches!(fact, QuotaFact::Exhausted { charge: 1, .. }), "{fact:?}");
    }
    assert_eq!(left_of(&charge(&*store, &charges[..1], now()).await), 6);
    assert_eq!(left_of(&charge(&*store, &charges[2..], now()).await), 2);
}

async fn the_limit_with_the_longest_wait_is_named(rig: Rig) {
    let store = rig.store();
    let short = rate(1, Duration::from_secs(3600), 1, None);
    let long = Arc::new(Quota { name: "long".to_owned(), ..Quota::clone(&rule(1)) });
    let id = tpp("A");
    let charges = [&short, &long].map(|quota| Charge::of(quota, &caller(&id, "a")));
    assert!(is_granted(&charge(&*store, &charges, now()).await));
    let fact = charge(&*store, &charges, now()).await;
    assert!(matches!(fact, QuotaFact::Exhausted { charge: 1, .. }), "{fact:?}");
}

async fn a_window_holds_exactly_its_requests(rig: Rig) {
    let store = rig.store();
    let four = NonZeroU32::new(4).unwrap();
    let window = limit(Measure::Window { requests: four, period: DAY });
    for left in (0..4).rev() {
        assert_eq!(left_of(&take(&*store, "A", &window).await), left);
    }
    let fact = take(&*store, "A", &window).await;
    let QuotaFact::Exhausted { charge: 0, retry_after } = fact else { panic!("{fact:?}") };
    assert!(retry_after <= DAY && retry_after > DAY - Duration::from_secs(60), "{retry_after:?}");
}

async fn limits_that_tpps_share_are_counted_beside_their_own(rig: Rig) {
    let store = rig.store();
    let own = rule(2);
    let shared = Quota { name: "bank".to_owned(), ..Quota::clone(&rule(3)) };
    let shared = Arc::new(Quota { per: Per { codetab: true, ..Per::default() }, ..shared });
    let mut granted = 0;
    for name in ["A", "A", "A", "B", "B"] {
        let id = tpp(name);
        let charges = [&own, &shared].map(|quota| Charge::of(quota, &caller(&id, "a")));
        granted += u32::from(is_granted(&charge(&*store, &charges, now()).await));
    }
    assert_eq!(granted, 3, "two of A, and one of B before the bank has enough");
}

async fn concurrent_requests_never_take_more_than_the_burst(rig: Rig) {
    const BURST: u32 = 60;
    let takers: Vec<_> = (0..8)
        .map(|_| {
            let store = rig.store();
            tokio::spawn(async move {
                let mut granted = 0;
                for _ in 0..40 {
                    granted += u32::from(is_granted(&take(&*store, "A", &rule(BURST)).await));
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
        assert!(is_granted(&take(&*store, "A", &rule(4)).await));
    }
    assert!(!is_granted(&take(&*store, "A", &rule(4)).await));
    assert!(is_granted(&take(&*store, "A", &rule(6)).await), "four of six are used");
    assert!(is_granted(&take(&*store, "A", &rule(6)).await), "five of six are used");
    assert!(!is_granted(&take(&*store, "A", &rule(6)).await));
    assert!(!is_granted(&take(&*store, "A", &rule(2)).await));
    assert!(!is_granted(&take(&*store, "A", &rule(6)).await), "nor does it refill");
}

async fn a_rule_that_cannot_be_counted_grants_nothing(rig: Rig) {
    for period in [Duration::MAX, Duration::ZERO] {
        let fact = take(&*rig.store(), "A", &rate(1, period, 3, None)).await;
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
