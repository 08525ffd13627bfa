//! SIGKILL in the middle of a history: what was acknowledged is there, what was under way is there
//! whole or not at all, and no rule is broken.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::histories::compare;
use super::naive::Model;
use super::script::Script;
use super::snapshot::Snapshot;
use super::{Names, PATIENT, RedisServer, Request, rounds};
use crate::store::{EmbeddedStore, RedisStore, Store};

const FILE_VARIABLE: &str = "OCTROI_TEST_KILLED_FILE";
const SEED_VARIABLE: &str = "OCTROI_TEST_KILLED_SEED";
/// The variable that says how many rounds.
const KILLS: &str = "OCTROI_KILLS";
const FEW: u64 = 20;
const MANY: u64 = 200;

/// The longest history; each is killed before its end.
const LENGTH: usize = 5_000;
/// Requests after which the axe falls, at most.
const LIFE: u32 = 30;

/// Whether the store is what the model says after so many requests, or one more: that one was under
/// way. Tells which.
async fn check(store: &dyn Store, seed: u64, acknowledged: usize) -> usize {
    let (names, mut model, mut issued) = (Names::of(seed), Model::of(store), HashMap::new());
    let history: Vec<(i64, Request)> = Script::of(seed).take(acknowledged + 1).collect();
    let now = history[acknowledged].0;
    for (_, request) in &history {
        issued.extend(request.tokens());
    }
    for (now, request) in &history[..acknowledged] {
        model.apply(*now, request);
    }
    let Err(without) = compare(store, &names, &model, &issued, now).await else {
        return acknowledged;
    };
    model.apply(now, &history[acknowledged].1);
    if let Err(with) = compare(store, &names, &model, &issued, now).await {
        let done = history[..acknowledged].iter().map(|step| format!("{step:?}\n"));
        panic!(
            "{} of seed {seed}: {acknowledged} requests were acknowledged: {without}; with {:?}: \
             {with}\n{}",
            store.name(),
            history[acknowledged],
            done.collect::<String>()
        );
    }
    acknowledged + 1
}

async fn kill_the_embedded_store(rounds: u64) {
    let (began, mut acknowledged, mut finished) = (Instant::now(), 0, 0);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store.redb");
    for seed in 0..rounds {
        let done = kill_writer(&file, seed);
        let store = EmbeddedStore::open(&file).unwrap();
        acknowledged += done;
        finished += check(&store, seed, done).await - done;
        Snapshot::of(&store).await.assert_sound();
    }
    println!(
        "embedded: killed {rounds} times in {:.1?}; {acknowledged} requests acknowledged, none \
         lost; {finished} more were made whole before the end",
        began.elapsed()
    );
}

async fn kill_redis(rounds: u64) {
    let (began, mut acknowledged, mut finished) = (Instant::now(), 0, 0);
    let mut server = RedisServer::start();
    for seed in 0..rounds {
        let done = run_until_killed(&server, seed).await;
        server.kill();
        server.restart();
        // A replica that was not there: nothing but what is on disk counts.
        let store = RedisStore::open(&server.url(), PATIENT).unwrap();
        acknowledged += done;
        finished += check(&store, seed, done).await - done;
        Snapshot::of_redis(&mut server.connection()).assert_sound();
    }
    println!(
        "redis: killed {rounds} times in {:.1?}; {acknowledged} requests acknowledged, none lost; \
         {finished} more were made whole before the end",
        began.elapsed()
    );
}

/// Plays a history until Redis is gone; tells how many requests were acknowledged.
async fn run_until_killed(server: &RedisServer, seed: u64) -> usize {
    let store = RedisStore::open(&server.url(), PATIENT).unwrap();
    let names = Names::of(seed);
    let (requests, rest) =
        (rand::random_range(0..LIFE as usize), Duration::from_micros(rand::random_range(0..5_000)));
    std::thread::scope(|scope| {
        let played = async {
            for (done, (now, request)) in Script::of(seed).take(LENGTH).enumerate() {
                if done == requests {
                    scope.spawn(|| {
                        std::thread::sleep(rest);
                        server.crash();
                    });
                }
                if names.apply(&store, now, &request).await.is_err() {
                    return done;
                }
            }
            panic!("the history ended before the server did");
        };
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(played))
    })
}

/// Starts a writer and kills it at some point of its history; tells how many requests it has
/// acknowledged.
fn kill_writer(file: &Path, seed: u64) -> usize {
    let mut writer = Command::new(std::env::current_exe().unwrap())
        .args(["store::tests::model::kills::writer", "--exact", "--ignored", "--nocapture"])
        .env(FILE_VARIABLE, file)
        .env(SEED_VARIABLE, seed.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(writer.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut acknowledged = lines.filter(|line| line.starts_with("acknowledged "));
    let life = rand::random_range(0..LIFE);
    let mut done = acknowledged.by_ref().take(life as usize).count();
    // Not always between two requests.
    let deadline = Instant::now() + Duration::from_micros(rand::random_range(0..5_000));
    while Instant::now() < deadline {
        std::hint::spin_loop();
    }
    writer.kill().unwrap();
    done += acknowledged.count();
    assert!(!writer.wait().unwrap().success(), "the writer ended by itself");
    done
}

/// Plays a history and says so, until it is killed. Runs only as the child of the tests below.
#[test]
#[ignore = "the child process of the tests of kill -9"]
fn writer() {
    let (Ok(file), Ok(seed)) = (std::env::var(FILE_VARIABLE), std::env::var(SEED_VARIABLE)) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let store = EmbeddedStore::open(Path::new(&file)).unwrap();
    let seed = seed.parse().unwrap();
    let names = Names::of(seed);
    for (step, (now, request)) in Script::of(seed).take(LENGTH).enumerate() {
        runtime.block_on(names.apply(&store, now, &request)).unwrap();
        println!("\nacknowledged {step}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_of_the_gateway_loses_nothing_and_breaks_no_rule() {
    kill_the_embedded_store(rounds(KILLS, FEW)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_of_redis_loses_nothing_and_breaks_no_rule() {
    kill_redis(rounds(KILLS, FEW)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "two hundred kills take a while: OCTROI_KILLS says how many"]
async fn two_hundred_times_kill_9_of_the_gateway_loses_nothing() {
    kill_the_embedded_store(rounds(KILLS, MANY)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "two hundred kills take a while: OCTROI_KILLS says how many"]
async fn two_hundred_times_kill_9_of_redis_loses_nothing() {
    kill_redis(rounds(KILLS, MANY)).await;
}
