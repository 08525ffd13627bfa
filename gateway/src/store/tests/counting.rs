//! Both engines count by the same arithmetic, and neither grants more than the rule in any window.

use std::cell::RefCell;

use jiff::Timestamp;
use policies::QuotaFact;
use proptest::prelude::*;
use redis::{Connection, Script};

use super::*;
use crate::store::limits::QUOTA_KEYS_MAX;
use crate::store::quota::{BucketKey, Buckets, Limit, Unseen};
use crate::store::redis::scripts::source_with_given_clock;
use harness::redis_server::RedisServer;

/// A rule, and microseconds between one request and the next. Now and then the rule changes.
fn histories() -> impl Strategy<Value = Vec<(QuotaRule, Vec<u64>)>> {
    let rule =
        (1..=50_u32, 1..=120_000_u64, 1..=20_u32).prop_map(|(requests, period, burst)| QuotaRule {
            name: "funds".to_owned(),
            requests: NonZeroU32::new(requests).unwrap(),
            period: Duration::from_millis(period),
            burst: NonZeroU32::new(burst).unwrap(),
        });
    let gap = prop_oneof![Just(0), Just(1), 0..=1_000_u64, 0..=10_000_000_u64];
    let chapter = (rule, prop::collection::vec(gap, 1..40));
    prop::collection::vec(chapter, 1..3)
}

#[test]
fn governor_and_the_redis_script_decide_alike_at_every_instant() {
    let server = RedisServer::start();
    let script = Script::new(&source_with_given_clock());
    let connection = RefCell::new(server.connection());
    let case = RefCell::new(0_u32);
    proptest!(ProptestConfig::with_cases(100), |(history in histories())| {
        *case.borrow_mut() += 1;
        let bucket = format!("octroi:quota:{{test:{}}}", case.borrow());
        let buckets = Buckets::new();
        let mut elapsed = 0;
        for (rule, gaps) in &history {
            let limit = Limit::of(rule).unwrap();
            for gap in gaps {
                elapsed += gap;
                let here = decide(&buckets, limit, elapsed);
                let there = ask(&mut connection.borrow_mut(), &script, &bucket, limit, elapsed);
                prop_assert_eq!(here, there, "after {} µs under {:?}", elapsed, limit);
            }
        }
    });
}

proptest! {
    /// The definition of the rule: a burst, and one request more for each cell of time.
    #[test]
    fn no_window_of_any_length_holds_more_than_the_rule(history in histories()) {
        let (rule, gaps) = &history[0];
        let limit = Limit::of(rule).unwrap();
        let buckets = Buckets::new();
        let mut elapsed = 0;
        let mut granted = Vec::new();
        for gap in gaps {
            elapsed += gap;
            if decide(&buckets, limit, elapsed)[0] == 1 {
                granted.push(elapsed);
            }
        }
        let cell = limit.cell.as_micros() as u64;
        for (first, &start) in granted.iter().enumerate() {
            for (last, &end) in granted.iter().enumerate().skip(first) {
                let requests = (last - first + 1) as u64;
                let allowed = u64::from(rule.burst.get()) + (end - start) / cell;
                prop_assert!(requests <= allowed, "{} of {} in {} µs", requests, allowed, end - start);
            }
        }
    }

    /// What is refused is told when to come back: not a microsecond too early, nor too late.
    #[test]
    fn a_refused_request_is_granted_at_the_instant_that_it_was_told(history in histories()) {
        let (rule, gaps) = &history[0];
        let limit = Limit::of(rule).unwrap();
        let buckets = Buckets::new();
        let mut elapsed = 0;
        for gap in gaps {
            elapsed += gap;
            let [granted, wait] = decide(&buckets, limit, elapsed);
            if granted == 0 {
                prop_assert!(wait > 0);
                prop_assert_eq!(decide(&buckets, limit, elapsed + wait - 1)[0], 0);
                prop_assert_eq!(decide(&buckets, limit, elapsed + wait)[0], 1);
                elapsed += wait;
            }
        }
    }

    /// Shares of a rule, each used to the last request, are together no more than the rule.
    #[test]
    fn the_shares_of_a_rule_are_no_more_than_the_rule(
        requests in 1..=1_000_u32,
        burst in 1..=100_u32,
        shares in 1..=20_u32,
    ) {
        let rule = QuotaRule {
            name: "funds".to_owned(),
            requests: NonZeroU32::new(requests).unwrap(),
            period: Duration::from_secs(60),
            burst: NonZeroU32::new(burst).unwrap(),
        };
        let whole = Limit::of(&rule).unwrap();
        if let Some(share) = Limit::share_of(&rule, NonZeroU32::new(shares).unwrap()) {
            prop_assert!(share.burst.get() * shares <= whole.burst.get());
            prop_assert!(share.cell.as_nanos() >= u128::from(shares) * 60_000_000_000 / u128::from(requests));
        } else {
            prop_assert!(burst < shares);
        }
    }
}

#[test]
fn a_clock_that_is_set_back_neither_refills_a_bucket_nor_holds_it_up() {
    let buckets = Buckets::new();
    let limit = Limit::of(&QuotaRule { period: Duration::from_secs(10), ..rule(1) }).unwrap();
    let year = after(365 * 24 * 60 * 60);
    assert!(is_granted(&buckets.take(&key(0), limit, year, Unseen::Full)));
    for seconds in 0..10 {
        let fact = buckets.take(&key(0), limit, after(seconds), Unseen::Full);
        assert!(matches!(fact, QuotaFact::Exhausted { .. }), "{fact:?} after {seconds} s");
    }
    assert!(is_granted(&buckets.take(&key(0), limit, after(10), Unseen::Full)));
}

#[test]
fn a_redis_clock_that_is_set_back_neither_refills_a_bucket_nor_holds_it_up() {
    let server = RedisServer::start();
    let script = Script::new(&source_with_given_clock());
    let connection = &mut server.connection();
    let limit = Limit::of(&QuotaRule { period: Duration::from_secs(10), ..rule(1) }).unwrap();
    let year = 365 * 24 * 60 * 60 * SECOND;
    assert_eq!(ask(connection, &script, "bucket", limit, year)[0], 1);
    for seconds in 0..10 {
        assert_eq!(ask(connection, &script, "bucket", limit, seconds * SECOND)[0], 0);
    }
    assert_eq!(ask(connection, &script, "bucket", limit, 10 * SECOND)[0], 1);
}

#[test]
fn there_is_room_for_so_many_buckets_and_a_sweep_makes_room_again() {
    let buckets = Buckets::new();
    let limit = Limit::of(&QuotaRule { period: Duration::from_secs(1), ..rule(1) }).unwrap();
    for number in 0..QUOTA_KEYS_MAX {
        assert!(is_granted(&buckets.take(&key(number), limit, now(), Unseen::Full)));
    }
    let one_more = key(QUOTA_KEYS_MAX);
    let fact = buckets.take(&one_more, limit, now(), Unseen::Full);
    assert!(matches!(fact, QuotaFact::Unavailable), "{fact:?}");
    assert_eq!(buckets.len(), QUOTA_KEYS_MAX);
    assert!(!is_granted(&buckets.take(&key(0), limit, now(), Unseen::Full)), "the others count on");

    assert!(is_granted(&buckets.take(&one_more, limit, after(1), Unseen::Full)));
    assert_eq!(buckets.len(), 1, "buckets that are full again are dropped");
}

const SECOND: u64 = 1_000_000;

fn key(number: usize) -> BucketKey {
    (tpp(&number.to_string()), 0)
}

/// `[1, requests left]` or `[0, microseconds to wait]`.
fn decide(buckets: &Buckets, limit: Limit, elapsed: u64) -> [u64; 2] {
    match buckets.take(&key(0), limit, instant(elapsed), Unseen::Full) {
        QuotaFact::Granted { remaining } => [1, u64::from(remaining.unwrap())],
        QuotaFact::Exhausted { retry_after } => [0, retry_after.as_micros() as u64],
        QuotaFact::Unavailable => panic!("{limit:?} cannot be counted"),
    }
}

fn ask(
    connection: &mut Connection,
    script: &Script,
    bucket: &str,
    limit: Limit,
    elapsed: u64,
) -> [u64; 2] {
    let answer: Vec<u64> = script
        .key(bucket)
        .arg(limit.cell.as_micros() as u64)
        .arg(limit.refill().as_micros() as u64)
        .arg(0)
        .arg(instant(elapsed).as_microsecond())
        .invoke(connection)
        .unwrap();
    [answer[0], answer[1]]
}

fn instant(elapsed: u64) -> Timestamp {
    now() + Duration::from_micros(elapsed)
}
