//! Two requests at once that want the same grant, on two replicas: whichever comes first, the rules
//! hold.

use std::collections::BTreeSet;
use std::sync::Arc;

use policies::Scope;
use policies::ledger::{GrantFault, Refresh, refresh};
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use super::driver::{bank, client_id};
use super::snapshot::Snapshot;
use super::{
    Caller, Fact, Holder, LIVES, Names, PATIENT, RedisServer, Request, Then, Told, Whose, at,
    quick_directory, quick_redis,
};
use crate::store::{EmbeddedStore, RedisStore, Store, transact};

/// Races of each kind.
const ROUNDS: u64 = 20;

const BY: Caller = Caller { tpp: 0, client: 0, bank: 0 };
const OF: Holder = Holder { tpp: 0, external: false };
const WHOSE: Whose = Whose { psu: Some(1), tpp: 0, scope: Scope::Aisp, bank: 0 };

/// Seconds after the races: what was read while Redis did not tell of changes counts no more, and
/// nothing has expired.
const LATER: i64 = 2;

/// What each race begins with: a code, the pair that came of it, and a code that waits.
const FIRST: u32 = 1;
const ACCESS: u32 = 2;
const REFRESH: u32 = 3;
const WAITING: u32 = 4;

/// Two views of what is remembered.
struct Replicas {
    stores: [Arc<dyn Store>; 2],
    redis: Vec<Arc<RedisStore>>,
    _world: (Option<RedisServer>, Option<TempDir>),
}

impl Replicas {
    fn redis() -> Self {
        let server = quick_redis();
        let open = || Arc::new(RedisStore::open(&server.url(), PATIENT).unwrap());
        let redis = vec![open(), open()];
        let stores: [Arc<dyn Store>; 2] = [redis[0].clone(), redis[1].clone()];
        Replicas { stores, redis, _world: (Some(server), None) }
    }

    /// The embedded store has one view, which all threads share.
    fn embedded() -> Self {
        let directory = quick_directory();
        let file = directory.path().join("store.redb");
        let store: Arc<dyn Store> = Arc::new(EmbeddedStore::open(&file).unwrap());
        let stores = [Arc::clone(&store), store];
        Replicas { stores, redis: Vec::new(), _world: (None, Some(directory)) }
    }

    /// Waits until each replica has heard of what the other did.
    async fn settled(&self) {
        for store in &self.redis {
            store.settled().await;
        }
    }

    async fn begin(&self, names: &Names) {
        let store = self.stores[0].as_ref();
        for request in [keep(FIRST), exchange(FIRST, ACCESS, REFRESH), keep(WAITING)] {
            assert_eq!(names.apply(store, 0, &request).await.unwrap(), Told::Done);
        }
        // Both replicas know the pair by heart when the race begins.
        for store in &self.stores {
            for token in [ACCESS, REFRESH] {
                let fact = names.fact(store.as_ref(), (token, OF), 0).await;
                assert!(matches!(fact, Ok(Fact::Live { .. })), "{fact:?}");
            }
        }
    }

    /// Runs both at once, many times, and shows how each race ended and which tokens live.
    async fn race(&self, rivals: [Request; 2], mut show: impl FnMut([Told; 2], &BTreeSet<u32>)) {
        let mut races = Vec::new();
        for salt in 0..ROUNDS {
            let names = Names::of(salt);
            self.begin(&names).await;
            let run = |rival: usize| {
                // Who is first changes from race to race.
                let turned = (rival + salt as usize) % 2;
                let (names, store) = (names.clone(), Arc::clone(&self.stores[rival]));
                let request = rivals[turned].clone();
                async move { (turned, names.apply(store.as_ref(), 0, &request).await.unwrap()) }
            };
            let (one, other) = tokio::join!(tokio::spawn(run(0)), tokio::spawn(run(1)));
            let mut told = [one.unwrap(), other.unwrap()];
            told.sort_by_key(|(rival, _)| *rival);
            races.push((names, told.map(|(_, told)| told)));
        }
        self.settled().await;
        let mut tokens: BTreeSet<u32> = [ACCESS, REFRESH].into();
        tokens.extend(rivals.iter().flat_map(Request::tokens).map(|(token, _)| token));
        for (names, told) in &races {
            let mut views = Vec::new();
            for store in &self.stores {
                let mut live = BTreeSet::new();
                for &token in &tokens {
                    let fact = names.fact(store.as_ref(), (token, OF), LATER).await.unwrap();
                    live.extend(matches!(fact, Fact::Live { .. }).then_some(token));
                }
                views.push(live);
            }
            assert_eq!(views[0], views[1], "replicas differ: {rivals:?}");
            show(*told, &views[0]);
        }
        Snapshot::of(self.stores[0].as_ref()).await.assert_sound();
    }
}

fn keep(code: u32) -> Request {
    Request::Keep { code, whose: WHOSE, client: 0, challenge: None, authenticated: 0, ends: 60 }
}

fn exchange(code: u32, access: u32, refresh: u32) -> Request {
    Request::Exchange { code, by: BY, uri: Some(0), challenge: None, access, refresh }
}

fn refreshing(access: u32, rotated: Option<u32>) -> Request {
    Request::Refresh { refresh: REFRESH, by: BY, access, rotated }
}

fn cut(then: Then) -> Request {
    Request::Cut { tpp: 0, then }
}

macro_rules! on_both_engines {
    ($($rule:ident)*) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $rule() { super::$rule(super::Replicas::embedded()).await })*
        }
        mod redis {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $rule() { super::$rule(super::Replicas::redis()).await })*
        }
    };
}

on_both_engines! {
    of_two_exchanges_of_a_code_one_wins_and_the_other_ends_it
    two_refreshes_at_once_leave_one_access_token
    of_two_refreshes_that_rotate_one_wins_and_the_other_ends_it
    a_revocation_at_the_same_time_as_a_refresh_leaves_nothing
    a_cut_at_the_same_time_as_a_step_leaves_nothing
    a_refresh_at_the_same_time_as_a_new_consent_leaves_the_new_pair
}

async fn of_two_exchanges_of_a_code_one_wins_and_the_other_ends_it(replicas: Replicas) {
    let rivals = [exchange(WAITING, 11, 12), exchange(WAITING, 21, 22)];
    let show = |told: [Told; 2], live: &BTreeSet<u32>| {
        assert!(told.contains(&Told::Done) && told.contains(&Told::Replayed), "{told:?}");
        assert!(live.is_empty(), "{live:?}");
    };
    replicas.race(rivals, show).await;
}

async fn two_refreshes_at_once_leave_one_access_token(replicas: Replicas) {
    let rivals = [refreshing(11, None), refreshing(21, None)];
    let show = |told, live: &BTreeSet<u32>| {
        assert_eq!(told, [Told::Done; 2]);
        assert!(*live == [REFRESH, 11].into() || *live == [REFRESH, 21].into(), "{live:?}");
    };
    replicas.race(rivals, show).await;
}

async fn of_two_refreshes_that_rotate_one_wins_and_the_other_ends_it(replicas: Replicas) {
    let rivals = [refreshing(11, Some(12)), refreshing(21, Some(22))];
    let show = |told: [Told; 2], live: &BTreeSet<u32>| {
        assert!(told.contains(&Told::Done) && told.contains(&Told::Replayed), "{told:?}");
        assert!(live.is_empty(), "{live:?}");
    };
    replicas.race(rivals, show).await;
}

async fn a_revocation_at_the_same_time_as_a_refresh_leaves_nothing(replicas: Replicas) {
    for by in [None, Some(0)] {
        let revocation = Request::Revoke { token: REFRESH, of: OF, by };
        let show = |told: [Told; 2], live: &BTreeSet<u32>| {
            assert_eq!(told[0], Told::Done);
            assert!(live.is_empty(), "{live:?}");
        };
        replicas.race([revocation, refreshing(11, None)], show).await;
    }
}

async fn a_cut_at_the_same_time_as_a_step_leaves_nothing(replicas: Replicas) {
    for rival in [refreshing(11, None), refreshing(11, Some(12)), exchange(WAITING, 11, 12)] {
        let show = |_, live: &BTreeSet<u32>| assert!(live.is_empty(), "{live:?}");
        replicas.race([cut(Then::Stay), rival], show).await;
    }
}

async fn a_refresh_at_the_same_time_as_a_new_consent_leaves_the_new_pair(replicas: Replicas) {
    let show = |told: [Told; 2], live: &BTreeSet<u32>| {
        assert_eq!(told[0], Told::Done);
        assert_eq!(*live, [21, 22].into());
    };
    replicas.race([exchange(WAITING, 21, 22), refreshing(11, None)], show).await;
}

/// The second use reads the token while it is there, and its grant when that names another: had it
/// seen either state whole, it would have known.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_use_between_two_questions_is_recognised() {
    let replicas = Replicas::redis();
    let [one, other] = &replicas.stores;
    let names = Names::of(0);
    replicas.begin(&names).await;
    let (client, bank) = (client_id(0), bank(0));
    let asked = Refresh {
        refresh: names.secret(REFRESH),
        organisation_id: names.tpp(0),
        client_id: &client,
        codetab: &bank,
        scope: None,
        certificate: None,
        access: names.secret(11),
        rotated: Some(names.secret(12)),
    };
    let mut calls = 0;
    let second = transact(one.as_ref(), Some(names.partition(0)), |book| {
        calls += 1;
        if calls == 2 {
            let rotation = refreshing(21, Some(22));
            let first = names.apply(other.as_ref(), 0, &rotation);
            let first = block_in_place(|| Handle::current().block_on(first));
            assert_eq!(first.unwrap(), Told::Done);
        }
        refresh(book, &asked, &LIVES, at(0))
    });
    assert_eq!(second.await.unwrap(), Err(GrantFault::Replayed));
    for token in [ACCESS, REFRESH, 11, 12, 21, 22] {
        let fact = names.fact(other.as_ref(), (token, OF), 0).await.unwrap();
        assert_eq!(fact, Fact::Unknown, "{token}");
    }
}
