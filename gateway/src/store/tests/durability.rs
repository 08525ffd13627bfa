//! The embedded file: who may read it, what a crash leaves, what a sweep removes.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use policies::TokenFact;

use super::*;
use crate::store::limits::EXPIRED_TOKEN_KEPT;
use crate::store::{EmbeddedStore, Store, StoreError};

const FILE_VARIABLE: &str = "OCTROI_TEST_STORE_FILE";
const FIRST_VARIABLE: &str = "OCTROI_TEST_FIRST_TOKEN";

/// The writer ends by itself after so many; it is killed long before.
const WRITER_TOKENS: usize = 10_000;

#[tokio::test]
async fn what_was_acknowledged_before_kill_9_is_there_after_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store.redb");
    let mut acknowledged = Vec::new();
    for (round, count) in (0..).step_by(WRITER_TOKENS).zip([1, 2, 3, 7, 19]) {
        kill_writer_after(&file, round, count);
        acknowledged.extend(round..round + count);

        let store = EmbeddedStore::open(&file).unwrap();
        for &number in &acknowledged {
            let fact = store.token(&named(number), &tpp("13935"), now()).await;
            if is_removed_again(number) {
                assert!(matches!(fact, TokenFact::Unknown), "{number} has come back: {fact:?}");
            } else {
                assert_eq!(client_of(&fact), number.to_string());
            }
        }
    }
}

#[test]
fn the_file_is_private_even_when_it_was_not() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store.redb");
    drop(EmbeddedStore::open(&file).unwrap());
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    drop(EmbeddedStore::open(&file).unwrap());
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_second_process_is_told_that_the_file_is_in_use() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store.redb");
    let _first = EmbeddedStore::open(&file).unwrap();
    assert!(matches!(EmbeddedStore::open(&file), Err(StoreError::InUse { .. })));
}

#[test]
fn a_file_that_is_no_store_is_refused_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("notes.txt");
    std::fs::write(&file, "not a store, however one looks at it").unwrap();
    let error = EmbeddedStore::open(&file).unwrap_err();
    assert!(matches!(error, StoreError::Open { .. }), "{error}");
    assert!(error.to_string().contains("notes.txt"));
    assert_eq!(std::fs::read(&file).unwrap(), b"not a store, however one looks at it");
}

#[tokio::test]
async fn an_expired_token_is_told_for_a_while_and_then_swept_from_memory_and_file() {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(&directory.path().join("store.redb")).unwrap();
    let kept = i64::try_from(EXPIRED_TOKEN_KEPT.as_secs()).unwrap();
    store.put_token(&named(1), &record_until("short", after(60))).await.unwrap();
    store.put_token(&named(2), &record_until("renewed", after(60))).await.unwrap();
    store.put_token(&named(2), &record_until("renewed", after(7_200 + kept))).await.unwrap();
    assert_eq!(client_of(&store.token(&named(1), &tpp("13935"), after(61)).await), "short");

    assert_eq!(store.sweep(after(60 + kept)).await.unwrap(), 0);
    assert_eq!(client_of(&store.token(&named(1), &tpp("13935"), after(60 + kept)).await), "short");

    assert_eq!(store.sweep(after(61 + kept)).await.unwrap(), 1);
    assert!(store.token_now(&named(1), after(61 + kept)).is_none());
    assert!(matches!(
        store.token(&named(1), &tpp("13935"), after(61 + kept)).await,
        TokenFact::Unknown
    ));
    assert_eq!(
        client_of(&store.token(&named(2), &tpp("13935"), after(61 + kept)).await),
        "renewed"
    );
}

/// Puts tokens one after the other and says so, until it is killed. Runs only as the child of the
/// test above.
#[test]
#[ignore = "the child process of what_was_acknowledged_before_kill_9_is_there_after_it"]
fn writer() {
    let (Ok(file), Ok(first)) = (std::env::var(FILE_VARIABLE), std::env::var(FIRST_VARIABLE))
    else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let store = EmbeddedStore::open(Path::new(&file)).unwrap();
    let first: u32 = first.parse().unwrap();
    for number in (first..).take(WRITER_TOKENS) {
        let client = number.to_string();
        runtime.block_on(store.put_token(&named(number), &record(&client))).unwrap();
        if is_removed_again(number) {
            assert!(runtime.block_on(remove(&store, number)).unwrap());
        }
        println!("\nacknowledged {number}");
    }
}

/// Starts the writer and kills it once it has acknowledged so many tokens.
fn kill_writer_after(file: &Path, first: u32, count: u32) {
    let mut writer = Command::new(std::env::current_exe().unwrap())
        .args(["store::tests::durability::writer", "--exact", "--ignored", "--nocapture"])
        .env(FILE_VARIABLE, file)
        .env(FIRST_VARIABLE, first.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let acknowledged = BufReader::new(writer.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap)
        .filter(|line| line.starts_with("acknowledged "))
        .take(count as usize)
        .count();
    writer.kill().unwrap();
    writer.wait().unwrap();
    assert_eq!(acknowledged, count as usize, "the writer ended by itself");
}

fn is_removed_again(number: u32) -> bool {
    number.is_multiple_of(3)
}
