//! Questions about accounts: one behaviour for both engines, and what is left while Redis is away.

use std::sync::Arc;

use policies::probing::{
    Answer, ContentDigest, History, QUESTIONS_KEPT_MAX, Question, RequestIdDigest,
};

use super::*;
use crate::store::{Ask, Asked, EmbeddedStore, RedisStore, Store, Told};
use harness::redis_server::RedisServer;

const WINDOW: Duration = Duration::from_secs(24 * 60 * 60);
const KEPT_FOR: Duration = Duration::from_secs(600);
const ACCOUNT: [u8; 32] = [1; 32];
const NOTHING: Told<'_> = Told { answer: None, kept: None };

fn question(seconds: i64, number: u8) -> Question {
    Question {
        at: after(seconds),
        amount: u32::from(number).into(),
        id: RequestIdDigest([number; 16]),
        content: ContentDigest([number; 16]),
        answer: None,
    }
}

fn about<'a>(history: &'a [u8; 32], question: &'a Question) -> Ask<'a> {
    Ask { history, question, window: WINDOW }
}

fn yes(sealed: &[u8]) -> Told<'_> {
    Told { answer: Some(Answer::Yes), kept: Some((sealed, KEPT_FOR)) }
}

/// What stood in a history before: amounts and answers.
#[track_caller]
fn seen(asked: Asked) -> Vec<(u32, Option<Answer>)> {
    let history = match asked {
        Asked::History(history) | Asked::OwnMemory(history, _) => history,
        other => panic!("{other:?}"),
    };
    let amount = |asked: &Question| asked.amount.to_string().parse().unwrap();
    history.questions().map(|asked| (amount(asked), asked.answer)).collect()
}

async fn with_each_engine(test: impl AsyncFn(Arc<dyn Store>)) {
    let directory = tempfile::tempdir().unwrap();
    test(Arc::new(EmbeddedStore::open(&directory.path().join("store.redb")).unwrap())).await;
    let server = RedisServer::start();
    test(Arc::new(RedisStore::open(&server.url(), PATIENT).unwrap())).await;
}

#[tokio::test]
async fn each_question_is_told_those_before_it_with_their_answers() {
    with_each_engine(async |store| {
        let [one, two, three] = [question(0, 1), question(1, 2), question(2, 3)];
        assert_eq!(seen(store.question(&about(&ACCOUNT, &one)).await), []);
        assert_eq!(seen(store.question(&about(&ACCOUNT, &two)).await), [(1, None)]);
        store.told(&about(&ACCOUNT, &one), yes(b"sealed")).await;
        let no = Told { answer: Some(Answer::No), kept: None };
        store.told(&about(&ACCOUNT, &two), no).await;
        let before = seen(store.question(&about(&ACCOUNT, &three)).await);
        assert_eq!(before, [(1, Some(Answer::Yes)), (2, Some(Answer::No))]);
        // What taught nothing is forgotten, and another account knows of none of it.
        store.told(&about(&ACCOUNT, &three), NOTHING).await;
        let four = question(3, 4);
        assert_eq!(seen(store.question(&about(&ACCOUNT, &four)).await).len(), 2);
        assert_eq!(seen(store.question(&about(&[2; 32], &four)).await), []);
    })
    .await;
}

#[tokio::test]
async fn the_same_question_is_told_its_answer_and_another_content_is_not() {
    with_each_engine(async |store| {
        let one = question(0, 1);
        store.question(&about(&ACCOUNT, &one)).await;
        store.told(&about(&ACCOUNT, &one), yes(b"sealed")).await;
        let again = store.question(&about(&ACCOUNT, &one)).await;
        assert!(matches!(again, Asked::Answered(sealed) if sealed == b"sealed"));
        let other = Question { content: ContentDigest([9; 16]), ..question(1, 1) };
        assert_eq!(seen(store.question(&about(&ACCOUNT, &other)).await).len(), 1);
        let elsewhere = store.question(&about(&[2; 32], &one)).await;
        assert_eq!(seen(elsewhere), []);
    })
    .await;
}

#[tokio::test]
async fn a_kept_answer_ends_in_the_memory_of_a_process() {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(&directory.path().join("store.redb")).unwrap();
    let one = question(0, 1);
    store.question(&about(&ACCOUNT, &one)).await;
    store.told(&about(&ACCOUNT, &one), yes(b"sealed")).await;
    let just = Question { at: after(599), ..one.clone() };
    assert!(matches!(store.question(&about(&ACCOUNT, &just)).await, Asked::Answered(_)));
    let late = Question { at: after(600), ..one };
    assert_eq!(seen(store.question(&about(&ACCOUNT, &late)).await).len(), 1);
}

#[tokio::test]
async fn redis_keeps_so_many_events_for_so_long_in_one_slot() {
    let server = RedisServer::start();
    let store = RedisStore::open(&server.url(), PATIENT).unwrap();
    for number in 0..150 {
        let asked = question(i64::from(number), number);
        store.question(&about(&ACCOUNT, &asked)).await;
        store.told(&about(&ACCOUNT, &asked), yes(b"sealed")).await;
    }
    let mut connection = server.connection();
    let history = format!("octroi:questions:{{{}}}", hex::encode(ACCOUNT));
    let events: usize = redis::cmd("LLEN").arg(&history).query(&mut connection).unwrap();
    assert_eq!(events, 2 * QUESTIONS_KEPT_MAX);
    let life: i64 = redis::cmd("PTTL").arg(&history).query(&mut connection).unwrap();
    assert!(life > 0 && life <= 86_400_000, "{life}");
    let keys: Vec<String> =
        redis::cmd("KEYS").arg("octroi:questions:*").query(&mut connection).unwrap();
    assert!(keys.iter().all(|key| key.starts_with(&history)));
    for answer in keys.iter().filter(|key| **key != history) {
        let life: i64 = redis::cmd("PTTL").arg(answer).query(&mut connection).unwrap();
        assert!(life > 0 && life <= 600_000, "{life}");
    }
}

#[tokio::test]
async fn a_history_that_is_none_is_unreadable_and_not_empty() {
    let server = RedisServer::start();
    let store = RedisStore::open(&server.url(), PATIENT).unwrap();
    let history = format!("octroi:questions:{{{}}}", hex::encode(ACCOUNT));
    let mut connection = server.connection();
    let asked = question(0, 1);
    redis::cmd("RPUSH").arg(&history).arg("2 of the future").exec(&mut connection).unwrap();
    assert!(matches!(store.question(&about(&ACCOUNT, &asked)).await, Asked::Unreadable));
    redis::cmd("SET").arg(&history).arg("no list").exec(&mut connection).unwrap();
    assert!(matches!(store.question(&about(&ACCOUNT, &asked)).await, Asked::Unreadable));
}

#[tokio::test]
async fn with_redis_killed_a_gateway_remembers_its_own_questions_and_answers() {
    let mut server = RedisServer::start();
    let store = RedisStore::open(&server.url(), BRISK).unwrap();
    assert!(is_granted(&take(&store, "A", &rule(1)).await), "now it knows the other gateways");
    let [one, two] = [question(0, 1), question(1, 2)];
    store.question(&about(&ACCOUNT, &one)).await;
    store.told(&about(&ACCOUNT, &one), yes(b"sealed")).await;
    server.kill();
    let asked = store.question(&about(&ACCOUNT, &two)).await;
    assert!(matches!(asked, Asked::OwnMemory(_, 1)));
    assert_eq!(seen(asked), [(1, Some(Answer::Yes))]);
    store.told(&about(&ACCOUNT, &two), NOTHING).await;
    let again = store.question(&about(&ACCOUNT, &one)).await;
    assert!(matches!(again, Asked::Answered(sealed) if sealed == b"sealed"));
    let empty = store.question(&about(&[2; 32], &one)).await;
    assert!(matches!(empty, Asked::OwnMemory(history, 1) if history == History::default()));
}

#[tokio::test]
async fn a_gateway_that_never_heard_of_the_others_cannot_tell_what_they_were_asked() {
    let mut server = RedisServer::start();
    let store = RedisStore::open(&server.url(), BRISK).unwrap();
    server.kill();
    assert!(matches!(store.question(&about(&ACCOUNT, &question(0, 1))).await, Asked::Unreadable));
}
