//! Histories one after the other: each answer, and each token after each request, is what the model
//! says.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::naive::Model;
use super::script::Script;
use super::snapshot::Snapshot;
use super::{Fact, Holder, Names, PATIENT, Request, Told, quick_directory, quick_redis, rounds};
use crate::store::{EmbeddedStore, RedisStore, Store};

/// Requests of one history.
const LENGTH: usize = 30;
/// Histories in an ordinary run.
const FEW: u64 = 100;
/// The number.
const MANY: u64 = 10_000;
/// Attempts at one history that has failed; more than its length makes possible.
const NAMES_MAX: u64 = 10_000;
/// The variable that says how many.
const HISTORIES: &str = "OCTROI_HISTORIES";

/// What came to pass: a run in which nothing ever lived would prove nothing.
#[derive(Debug, Default)]
struct Tally {
    done: u64,
    refused: u64,
    replayed: u64,
    questions: u64,
    live: u64,
}

impl Tally {
    fn add(&mut self, other: &Tally) {
        self.done += other.done;
        self.refused += other.refused;
        self.replayed += other.replayed;
        self.questions += other.questions;
        self.live += other.live;
    }
}

/// Plays a history; an error says at which request store and model part.
async fn play(
    store: &dyn Store,
    names: &Names,
    history: &[(i64, Request)],
) -> Result<Tally, String> {
    let mut model = Model::of(store);
    let mut issued: HashMap<u32, Holder> = HashMap::new();
    let mut tally = Tally::default();
    for (step, (now, request)) in history.iter().enumerate() {
        let place = |what: String| format!("at request {step}: {what}");
        let expected = model.apply(*now, request);
        let told = names.apply(store, *now, request).await;
        let told = told.map_err(|error| place(error.to_string()))?;
        if told != expected {
            return Err(place(format!("{told:?} instead of {expected:?}")));
        }
        match told {
            Told::Done => tally.done += 1,
            Told::Refused => tally.refused += 1,
            Told::Replayed => tally.replayed += 1,
        }
        issued.extend(request.tokens());
        let live = compare(store, names, &model, &issued, *now).await.map_err(place)?;
        tally.questions += issued.len() as u64;
        tally.live += live;
    }
    Ok(tally)
}

/// Asks for every token that was ever issued, and tells how many live.
pub(super) async fn compare(
    store: &dyn Store,
    names: &Names,
    model: &Model,
    issued: &HashMap<u32, Holder>,
    now: i64,
) -> Result<u64, String> {
    let mut live = Vec::new();
    for (&token, &of) in issued {
        let fact = names.fact(store, (token, of), now).await?;
        let expected = model.fact(token, now);
        if fact != expected {
            return Err(format!("token {token} is {fact:?} instead of {expected:?}"));
        }
        if matches!(fact, Fact::Live { .. }) {
            live.push(token);
        }
    }
    match model.broken_rule(&live, now) {
        Some(broken) => Err(broken),
        None => Ok(live.len() as u64),
    }
}

/// Leaves out what the fault does not need. Each attempt has names of its own.
async fn shrunk(
    store: &dyn Store,
    mut salt: u64,
    mut history: Vec<(i64, Request)>,
) -> Vec<(i64, Request)> {
    let mut place = 0;
    while place < history.len() {
        let mut shorter = history.clone();
        shorter.remove(place);
        salt += 1;
        match play(store, &Names::of(salt), &shorter).await {
            Ok(_) => place += 1,
            Err(_) => (history, place) = (shorter, 0),
        }
    }
    history
}

async fn play_or_tell(store: &dyn Store, seed: u64) -> Tally {
    let history: Vec<_> = Script::of(seed).take(LENGTH).collect();
    let fault = match play(store, &Names::of(seed), &history).await {
        Ok(tally) => return tally,
        Err(fault) => fault,
    };
    // Beyond the names of every history that is asked for.
    let history = shrunk(store, u64::MAX - (seed + 1) * NAMES_MAX, history).await;
    let mut text = String::new();
    for (step, (now, request)) in history.iter().enumerate() {
        writeln!(text, "{step:3} at {now:9}: {request:?}").unwrap();
    }
    panic!("{}, seed {seed}: {fault}; what is left of the history:\n{text}", store.name());
}

/// Several lanes at once, where no sweep of one reaches into the time of another.
async fn run(store: Arc<dyn Store>, lanes: usize, histories: u64) {
    let (began, next) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let lane = || {
        let (store, next) = (Arc::clone(&store), Arc::clone(&next));
        tokio::spawn(async move {
            let mut tally = Tally::default();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= histories {
                    return tally;
                }
                tally.add(&play_or_tell(store.as_ref(), seed).await);
            }
        })
    };
    let lanes: Vec<_> = std::iter::repeat_with(lane).take(lanes).collect();
    let mut tally = Tally::default();
    for lane in lanes {
        match lane.await {
            Ok(of_lane) => tally.add(&of_lane),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
    assert!(tally.replayed > 0 && tally.live > tally.questions / 20, "{tally:?}");
    let snapshot = Snapshot::of(store.as_ref()).await;
    snapshot.assert_sound();
    println!(
        "{}: {histories} histories of {LENGTH} requests in {:.1?}: {tally:?}; {} tokens and {} \
         grants are left",
        store.name(),
        began.elapsed(),
        snapshot.tokens(),
        snapshot.grants()
    );
}

async fn on_redis(histories: u64) {
    let server = quick_redis();
    run(Arc::new(RedisStore::open(&server.url(), PATIENT).unwrap()), 4, histories).await;
}

async fn on_the_embedded_store(histories: u64) {
    let directory = quick_directory();
    let store = EmbeddedStore::open(&directory.path().join("store.redb")).unwrap();
    run(Arc::new(store), 1, histories).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_agrees_with_the_model() {
    on_redis(rounds(HISTORIES, FEW)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_store_agrees_with_the_model() {
    on_the_embedded_store(rounds(HISTORIES, FEW)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "ten thousand histories take minutes: OCTROI_HISTORIES says how many"]
async fn redis_agrees_with_the_model_ten_thousand_times() {
    on_redis(rounds(HISTORIES, MANY)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "ten thousand histories take minutes: OCTROI_HISTORIES says how many"]
async fn the_embedded_store_agrees_with_the_model_ten_thousand_times() {
    on_the_embedded_store(rounds(HISTORIES, MANY)).await;
}
