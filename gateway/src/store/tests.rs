//! One behaviour for both engines, and what each of them does when its world breaks.

mod behaviour;
mod counting;
mod durability;
mod leases;
mod model;
mod outage;
mod questions;
mod servers;
mod shares;
mod topology;
mod tracking;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use certs::{OrganisationId, RoleSet};
use jiff::{SignedDuration, Timestamp};
use policies::ledger::Revoked;
use policies::quota::{Attendance, Caller, Charge, Measure, Per};
use policies::{Quota, QuotaFact, TokenDigest, TokenFact, TokenKind, TokenName, TokenRecord};

use super::{RedisPolicy, Store, StoreError, revoke};

/// Generous, so that a busy machine is not taken for an outage.
const PATIENT: RedisPolicy = RedisPolicy {
    timeout: Duration::from_secs(5),
    fresh_for: Duration::from_secs(1),
    tolerated_for: Duration::from_secs(60),
    share_for: Duration::from_secs(60),
    instance: None,
};

/// For outages, where waiting is what is measured.
const BRISK: RedisPolicy = RedisPolicy { timeout: Duration::from_millis(200), ..PATIENT };

pub(super) fn now() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

fn after(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

pub(super) fn digest(number: u32) -> TokenDigest {
    openssl::sha::sha256(&number.to_be_bytes())
}

/// A token of another authorization server.
fn named(number: u32) -> TokenName {
    TokenName::new(digest(number), None)
}

/// Whether there was such a token.
async fn remove(store: &dyn Store, number: u32) -> Result<bool, StoreError> {
    let revoked = revoke(store, &named(number), None).await?;
    Ok(matches!(revoked, Revoked::Ended(_)))
}

fn tpp(name: &str) -> OrganisationId {
    OrganisationId::new(&format!("PSDFR-ACPR-{name}")).unwrap()
}

/// A record that expires years from the real present, too.
pub(super) fn record(client: &str) -> TokenRecord {
    record_until(client, after(20 * 365 * 24 * 60 * 60))
}

fn record_until(client: &str, expires_at: Timestamp) -> TokenRecord {
    TokenRecord {
        kind: TokenKind::Access,
        organisation_id: tpp("13935"),
        client_id: client.to_owned(),
        scopes: ["cbpii".to_owned()].into(),
        codetab: "17515".to_owned(),
        psu: None,
        consent_id: None,
        issued_at: now(),
        expires_at,
        strong_authentication_at: now(),
        certificate: None,
        granted: None,
    }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// No request comes back within a test: a thousand years of patience for one bucket would be more
/// than a bucket may have, a day per request is enough.
fn rule(burst: u32) -> Arc<Quota> {
    rate(1, DAY, burst, None)
}

fn rate(requests: u32, period: Duration, burst: u32, lease: Option<Duration>) -> Arc<Quota> {
    let count = |number| NonZeroU32::new(number).unwrap();
    let (requests, burst) = (count(requests), count(burst));
    limit(Measure::Rate { requests, period, burst, lease })
}

/// Each TPP at each API, as the configuration has it where it says nothing else.
fn limit(measure: Measure) -> Arc<Quota> {
    Arc::new(Quota {
        name: "funds".to_owned(),
        measure,
        per: Per { tpp: true, api: true, ..Per::default() },
        counts: Attendance::All,
        roles: RoleSet::EMPTY,
    })
}

fn caller<'a>(organisation_id: &'a OrganisationId, api: &'a str) -> Caller<'a> {
    let (role, account) = (None, None);
    Caller {
        organisation_id,
        api,
        role,
        roles: RoleSet::EMPTY,
        codetab: "17515",
        account,
        attended: true,
    }
}

/// One request of a TPP at the API `a`.
async fn take(store: &dyn Store, name: &str, quota: &Arc<Quota>) -> QuotaFact {
    take_at(store, name, quota, now()).await
}

async fn take_at(store: &dyn Store, name: &str, quota: &Arc<Quota>, now: Timestamp) -> QuotaFact {
    let id = tpp(name);
    charge(store, &[Charge::of(quota, &caller(&id, "a"))], now).await
}

async fn charge(store: &dyn Store, charges: &[Charge<'_>], now: Timestamp) -> QuotaFact {
    match store.charge_now(charges, now) {
        Some(fact) => fact,
        None => store.charge(charges, now).await,
    }
}

#[track_caller]
fn client_of(fact: &TokenFact) -> &str {
    let TokenFact::Live { record, .. } = fact else { panic!("{fact:?} is not a live token") };
    &record.client_id
}

/// Waits for what happens by itself, but not for ever.
#[track_caller]
fn eventually(what: &str, mut happened: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let (what, deadline) = (what.to_owned(), Instant::now() + Duration::from_secs(10));
    async move {
        while !happened() {
            assert!(Instant::now() < deadline, "not within ten seconds: {what}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

fn observed_kills(store: &dyn Store) -> u64 {
    let collected: Vec<_> = store.collectors().iter().flat_map(|series| series.collect()).collect();
    let kills = |family: &&prometheus::proto::MetricFamily| {
        family.name() == "octroi_token_time_to_kill_seconds"
    };
    let family = collected.iter().find(kills).unwrap();
    family.get_metric()[0].get_histogram().get_sample_count()
}

fn is_granted(fact: &QuotaFact) -> bool {
    matches!(fact, QuotaFact::Granted(_))
}

async fn eventually_healthy(store: &dyn Store) {
    let deadline = Instant::now() + RECOVERY_MAX;
    while let Err(error) = store.health().await {
        assert!(Instant::now() < deadline, "{error} {RECOVERY_MAX:?} after Redis came back");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// From the return of Redis to the first answer: a probe period, and what the machine adds.
const RECOVERY_MAX: Duration = Duration::from_secs(10);
