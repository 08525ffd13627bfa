//! Both engines count by the same arithmetic, and neither grants more than the rule in any window.

use std::cell::RefCell;

use jiff::Timestamp;
use policies::QuotaFact;
use policies::quota::BucketId;
use proptest::prelude::*;
use redis::{Connection, Script};

use super::*;
use crate::store::limits::QUOTA_KEYS_MAX;
use crate::store::quota::{Buckets, Counters, Limit, Taken, Unseen};
use crate::store::redis::scripts::source_with_given_clock;
use harness::redis_server::RedisServer;

/// A rule, and microseconds between one request and the next. Now and then the rule changes.
fn histories() -> impl Strategy<Value = Vec<(Limit, Vec<u64>)>> {
    let rule = (1..=50_u32, 1..=120_000_u64, 1..=20_u32).prop_map(|(requests, period, burst)| {
        Limit::of(&rate(requests, Duration::from_millis(period), burst, None)).unwrap()
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
        let buckets = Buckets::holding(QUOTA_KEYS_MAX);
        let mut elapsed = 0;
        for (rule, gaps) in &history {
            let limit = *rule;
            for gap in gaps {
                elapsed += gap;
                let here = decide(&buckets, limit, elapsed);
                let there = ask(&mut connection.borrow_mut(), &script, &bucket, limit, elapsed);
                prop_assert_eq!(here, there, "after {} µs under {:?}", elapsed, limit);
            }
        }
    });
}

#[test]
fn requests_that_are_taken_together_are_those_that_would_be_taken_one_by_one() {
    let server = RedisServer::start();
    let script = Script::new(&source_with_given_clock());
    let connection = RefCell::new(server.connection());
    let case = RefCell::new(0_u32);
    proptest!(ProptestConfig::with_cases(50), |(history in histories(), wanted in 1..30_u64)| {
        *case.borrow_mut() += 1;
        let bucket = format!("octroi:quota:{{test:{}}}", case.borrow());
        let buckets = Buckets::holding(QUOTA_KEYS_MAX);
        let (limit, gaps) = &history[0];
        let mut elapsed = 0;
        for gap in gaps {
            elapsed += gap;
            let here = (0..wanted).take_while(|_| decide(&buckets, *limit, elapsed)[0] == 1).count();
            let connection = &mut connection.borrow_mut();
            let [given, _] = ask_for(connection, &script, &bucket, *limit, (wanted, elapsed));
            prop_assert_eq!(here as u64, given, "after {} µs under {:?}", elapsed, limit);
        }
    });
}

#[test]
fn both_engines_count_windows_alike_and_neither_by_more_than_the_rule() {
    let server = RedisServer::start();
    let script = Script::new(&source_with_given_clock());
    let connection = RefCell::new(server.connection());
    let case = RefCell::new(0_u32);
    let gap = prop_oneof![Just(0_u64), Just(1), 0..=1_000_u64, 0..=2_000_000_u64];
    let gaps = prop::collection::vec(gap, 1..60);
    let config = ProptestConfig::with_cases(60);
    proptest!(config, |(requests in 1..=8_u32, period in 1..=5_000_u64, gaps in gaps)| {
        *case.borrow_mut() += 1;
        let bucket = format!("octroi:quota:{{window:{}}}", case.borrow());
        let requests = NonZeroU32::new(requests).unwrap();
        let period = Duration::from_millis(period);
        let window = limit(Measure::Window { requests, period });
        let id = tpp("A");
        let charge = Charge::of(&window, &caller(&id, "a"));
        let (counters, mut elapsed) = (Counters::new(), 0);
        let mut granted: Vec<u64> = Vec::new();
        for gap in gaps {
            elapsed += gap;
            let here = match counters.charge(&[charge], instant(elapsed)) {
                QuotaFact::Granted(all) => [1, u64::from(all[0].requests)],
                QuotaFact::Exhausted { retry_after, .. } => [0, retry_after.as_micros() as u64],
                QuotaFact::Unavailable => panic!("there is room"),
            };
            let answer: Vec<u64> = script
                .key(&bucket)
                .arg("window")
                .arg(requests.get())
                .arg(period.as_micros() as u64)
                .arg(1)
                .arg(instant(elapsed).as_microsecond())
                .invoke(&mut *connection.borrow_mut())
                .unwrap();
            let there = [answer[0], answer[3]];
            prop_assert_eq!(here, there);
            if here[0] == 1 {
                let counted = granted.iter().filter(|then| elapsed - **then < period.as_micros() as u64);
                prop_assert!(counted.count() < requests.get() as usize);
                granted.push(elapsed);
            }
        }
    });
}

proptest! {
    /// The definition of the rule: a burst, and one request more for each cell of time.
    #[test]
    fn no_window_of_any_length_holds_more_than_the_rule(history in histories()) {
        let (limit, gaps) = &history[0];
        let limit = *limit;
        let buckets = Buckets::holding(QUOTA_KEYS_MAX);
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
                let allowed = u64::from(limit.burst.get()) + (end - start) / cell;
                prop_assert!(requests <= allowed, "{} of {} in {} µs", requests, allowed, end - start);
            }
        }
    }

    /// What is refused is told when to come back: not a microsecond too early, nor too late.
    #[test]
    fn a_refused_request_is_granted_at_the_instant_that_it_was_told(history in histories()) {
        let (limit, gaps) = &history[0];
        let limit = *limit;
        let buckets = Buckets::holding(QUOTA_KEYS_MAX);
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
        let whole = Limit::of(&rate(requests, Duration::from_secs(60), burst, None)).unwrap();
        if let Some(share) = whole.share(NonZeroU32::new(shares).unwrap()) {
            prop_assert!(share.burst.get() * shares <= whole.burst.get());
            prop_assert!(share.cell.as_nanos() >= u128::from(shares) * 60_000_000_000 / u128::from(requests));
        } else {
            prop_assert!(burst < 2 * shares);
        }
    }
}

#[test]
fn a_clock_that_is_set_back_neither_refills_a_bucket_nor_holds_it_up() {
    let buckets = Buckets::holding(QUOTA_KEYS_MAX);
    let limit = Limit::of(&rate(1, Duration::from_secs(10), 1, None)).unwrap();
    let year = after(365 * 24 * 60 * 60);
    assert!(is_taken(&buckets.take(&key(0), limit, year, Unseen::Full)));
    for seconds in 0..10 {
        let fact = buckets.take(&key(0), limit, after(seconds), Unseen::Full);
        assert!(matches!(fact, Taken::Wait(_)), "{fact:?} after {seconds} s");
    }
    assert!(is_taken(&buckets.take(&key(0), limit, after(10), Unseen::Full)));
}

#[test]
fn a_redis_clock_that_is_set_back_neither_refills_a_bucket_nor_holds_it_up() {
    let server = RedisServer::start();
    let script = Script::new(&source_with_given_clock());
    let connection = &mut server.connection();
    let limit = Limit::of(&rate(1, Duration::from_secs(10), 1, None)).unwrap();
    let year = 365 * 24 * 60 * 60 * SECOND;
    assert_eq!(ask(connection, &script, "bucket", limit, year)[0], 1);
    for seconds in 0..10 {
        assert_eq!(ask(connection, &script, "bucket", limit, seconds * SECOND)[0], 0);
    }
    assert_eq!(ask(connection, &script, "bucket", limit, 10 * SECOND)[0], 1);
}

#[test]
fn there_is_room_for_so_many_buckets_and_a_sweep_makes_room_again() {
    let buckets = Buckets::holding(QUOTA_KEYS_MAX);
    let limit = Limit::of(&rate(1, Duration::from_secs(1), 1, None)).unwrap();
    for number in 0..QUOTA_KEYS_MAX {
        assert!(is_taken(&buckets.take(&key(number), limit, now(), Unseen::Full)));
    }
    let one_more = key(QUOTA_KEYS_MAX);
    let fact = buckets.take(&one_more, limit, now(), Unseen::Full);
    assert!(matches!(fact, Taken::NoRoom), "{fact:?}");
    assert_eq!(buckets.len(), QUOTA_KEYS_MAX);
    assert!(!is_taken(&buckets.take(&key(0), limit, now(), Unseen::Full)), "the others count on");

    assert!(is_taken(&buckets.take(&one_more, limit, after(1), Unseen::Full)));
    assert_eq!(buckets.len(), 1, "buckets that are full again are dropped");
}

const SECOND: u64 = 1_000_000;

fn key(number: usize) -> BucketId {
    Charge::of(&rule(1), &caller(&tpp(&number.to_string()), "a")).bucket
}

fn is_taken(taken: &Taken) -> bool {
    matches!(taken, Taken::Granted(_))
}

/// `[1, requests left]` or `[0, microseconds to wait]`.
fn decide(buckets: &Buckets, limit: Limit, elapsed: u64) -> [u64; 2] {
    match buckets.take(&key(0), limit, instant(elapsed), Unseen::Full) {
        Taken::Granted(left) => [1, u64::from(left.requests)],
        Taken::Wait(wait) => [0, wait.as_micros() as u64],
        Taken::NoRoom => panic!("{limit:?} cannot be counted"),
    }
}

fn ask(
    connection: &mut Connection,
    script: &Script,
    bucket: &str,
    limit: Limit,
    elapsed: u64,
) -> [u64; 2] {
    let [granted, left] = ask_for(connection, script, bucket, limit, (1, elapsed));
    [granted, left]
}

/// `[requests given, requests left]` or `[0, microseconds to wait]`.
fn ask_for(
    connection: &mut Connection,
    script: &Script,
    bucket: &str,
    limit: Limit,
    (wanted, elapsed): (u64, u64),
) -> [u64; 2] {
    let answer: Vec<u64> = script
        .key(bucket)
        .arg("rate")
        .arg(limit.cell.as_micros() as u64)
        .arg(limit.refill().as_micros() as u64)
        .arg(wanted)
        .arg(instant(elapsed).as_microsecond())
        .invoke(connection)
        .unwrap();
    match answer[0] {
        1 => [answer[2], answer[3]],
        _ => [0, answer[3]],
    }
}

fn instant(elapsed: u64) -> Timestamp {
    now() + Duration::from_micros(elapsed)
}
