//! What the black-box tests share: the real binary with its sandbox, a client that says exactly
//! what it is told to, an upstream that remembers what it heard, and a Redis.
//!
//! A broken harness fails the test that uses it, so panics are the errors here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

pub mod access_log;
pub mod audit;
pub mod bounds;
pub mod browser;
pub mod client;
pub mod collection;
pub mod collector;
pub mod dashboards;
pub mod description;
pub mod disk;
pub mod false_clock;
pub mod fault_proxy;
pub mod gateway;
pub mod http2;
pub mod lists;
pub mod load;
pub mod namespace;
pub mod oauth;
pub mod outage;
pub mod process;
pub mod prometheus;
pub mod publisher;
pub mod qtsp;
pub mod quarter;
pub mod quota;
pub mod redis_cluster;
pub mod redis_sentinel;
pub mod redis_server;
pub mod redis_tls;
pub mod registers;
pub mod replay;
pub mod replicas;
pub mod rules;
pub mod stock;
pub mod succession;
pub mod travellers;
pub mod upstream;
pub mod watched;

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// Longest wait for anything that must happen at all.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The binary under test: the one that the environment variable `OCTROI_BINARY` names, so that an
/// installed one can be tested; else the one beside the tests, where `make test` has built it.
pub fn octroi() -> PathBuf {
    if let Some(named) = std::env::var_os("OCTROI_BINARY") {
        return named.into();
    }
    let exe = std::env::current_exe().unwrap();
    let built = exe.parent().unwrap().parent().unwrap().join("octroi");
    assert!(built.exists(), "{} is missing: run `cargo build --bin octroi` first", built.display());
    built
}

/// Runs `octroi` to its end.
pub fn run(arguments: &[&str]) -> Output {
    Command::new(octroi()).args(arguments).env("RUST_BACKTRACE", "0").output().unwrap()
}

/// Asks again and again until there is an answer.
#[track_caller]
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what} within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
