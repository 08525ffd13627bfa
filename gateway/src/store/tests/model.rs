//! Random histories of grants on both engines, held against a model that is too simple to be wrong.
//!
//! What must hold, whoever runs which steps at once: of one customer, TPP, scope and bank at most one
//! access and one refresh token live; ending either ends both; a refresh ends the access token before
//! it; nothing outlives the strong authentication by more than 180 days; a TPP that was cut off has no
//! token of before.

mod driver;
mod histories;
mod kills;

mod naive;
mod processes;
mod races;

mod script;
mod snapshot;

use std::collections::HashMap;

use certs::OrganisationId;
use jiff::{SignedDuration, Timestamp};
use policies::ledger::Lives;
use policies::{Partition, Scope, TokenDigest};

use super::{PATIENT, tpp};
use harness::redis_server::RedisServer;

const LIVES: Lives = Lives { access_seconds: 3_600, consent_days: 180 };
const DAY: i64 = 24 * 60 * 60;
/// TPPs of one history.
const TPPS: usize = 3;

/// Whose tokens they are: a customer's, at a TPP, for a scope, at a bank. Without a customer, the TPP's
/// own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Whose {
    psu: Option<u8>,
    tpp: usize,
    scope: Scope,
    bank: u8,
}

/// One request. Codes and tokens go by numbers; instants are seconds since the history began.
#[derive(Clone, Debug)]
enum Request {
    Keep {
        code: u32,
        whose: Whose,
        client: u8,
        challenge: Option<u8>,
        authenticated: i64,
        ends: i64,
    },
    Exchange {
        code: u32,
        by: Caller,
        uri: Option<u8>,
        challenge: Option<u8>,
        access: u32,
        refresh: u32,
    },
    Refresh {
        refresh: u32,
        by: Caller,
        access: u32,
        rotated: Option<u32>,
    },
    Give {
        whose: Whose,
        access: u32,
        ends: i64,
    },
    /// Another authorization server writes a record.
    Put {
        token: u32,
        tpp: usize,
        issued: i64,
        ends: i64,
    },
    Revoke {
        token: u32,
        of: Holder,
        by: Option<usize>,
    },
    Cut {
        tpp: usize,
        then: Then,
    },
    Sweep,
}

impl Request {
    /// The tokens that it would bring into the world. What a stranger asks for brings none.
    fn tokens(&self) -> Vec<(u32, Holder)> {
        let ours = |tpp| Holder { tpp, external: false };
        match *self {
            Request::Exchange { by, access, refresh, .. } => {
                vec![(access, ours(by.tpp)), (refresh, ours(by.tpp))]
            }
            Request::Refresh { by, access, rotated, .. } => {
                let tokens = [Some(access), rotated].into_iter().flatten();
                tokens.map(|token| (token, ours(by.tpp))).collect()
            }
            Request::Give { whose, access, .. } => vec![(access, ours(whose.tpp))],
            Request::Put { token, tpp, .. } => vec![(token, Holder { tpp, external: true })],
            _ => Vec::new(),
        }
    }
}

/// Who calls, and at which bank's host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Caller {
    tpp: usize,
    client: u8,
    bank: u8,
}

/// Which TPP a token was issued to, and by whom: that is where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Holder {
    tpp: usize,
    external: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Suspend,
    Resume,
    Stay,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Done,
    Refused,
    Replayed,
}

/// What a gateway is told of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fact {
    Live { ends: i64 },
    Expired,
    Suspended,
    Unknown,
}

/// When histories begin: later than any present, so that Redis drops nothing by its own clock while a
/// history runs through years.
fn begin() -> Timestamp {
    "2060-01-01T00:00:00Z".parse().unwrap()
}

fn at(seconds: i64) -> Timestamp {
    begin() + SignedDuration::from_secs(seconds)
}

/// The TPPs and secrets of one history; no two histories share any, so that many run on one store.
#[derive(Clone, Debug)]
struct Names {
    tpps: [OrganisationId; TPPS],
    salt: u64,
}

impl Names {
    /// The first two TPPs share a part of what is remembered.
    fn of(salt: u64) -> Self {
        let mut seen = HashMap::new();
        for number in 0_u32.. {
            let second = tpp(&format!("{salt}X{number}"));
            if let Some(first) = seen.insert(Partition::of(&second), second.clone()) {
                return Names { tpps: [first, second, tpp(&format!("{salt}Y"))], salt };
            }
        }
        unreachable!("there are more numbers than parts")
    }

    fn secret(&self, number: u32) -> TokenDigest {
        let number = u64::from(number).to_be_bytes();
        certs::sha256(&[self.salt.to_be_bytes(), number].concat())
    }

    fn tpp(&self, tpp: usize) -> &OrganisationId {
        &self.tpps[tpp]
    }

    fn partition(&self, tpp: usize) -> Partition {
        Partition::of(self.tpp(tpp))
    }
}

/// A server that waits for no disk: what it forgets in a crash is none of the business of histories.
fn quick_redis() -> RedisServer {
    let server = RedisServer::start();
    let mut quick = redis::cmd("CONFIG");
    quick.arg("SET").arg("appendfsync").arg("no").exec(&mut server.connection()).unwrap();
    server
}

/// A directory in memory, where there is one, for the same reason.
fn quick_directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// How often something is tried: a few times by default, as often as is asked for otherwise.
fn rounds(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(default)
}
