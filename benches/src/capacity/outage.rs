//! Redis fails over: which requests are still answered, token by token.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;

use super::question::Question;
use super::queue::exponential;
use super::redis::kept_for;

/// Requests that are looked at.
const REQUESTS: u32 = 20_000;
/// Before a gateway that lost Redis grants its share, the others must have noticed
/// (`PRESENCE_ALONE_AFTER` in `gateway/src/store/limits.rs`).
const SHARE_BEGINS: f64 = 1.5;

/// What happens until a replica has taken over.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Outage {
    /// Seconds.
    pub lasts: f64,
    /// Requests that are answered 503 because nobody vouches for their token.
    pub token_refused: f64,
    /// Requests with a known token that are answered 503 because no limit can be counted yet.
    pub limit_refused: f64,
    /// Requests that go on as always.
    pub served: f64,
}

impl Outage {
    /// Draws requests in the time without Redis, and for each the earlier ones with the same token at
    /// the same gateway.
    #[must_use]
    pub fn simulated(question: &Question, gateways: u32) -> Self {
        let mut random = SmallRng::seed_from_u64(question.seed);
        let lasts = question.redis_failover;
        let rate = question.requests / f64::from(gateways) / question.consents();
        let kept = kept_for(question, gateways);
        // A token that others have pushed out is not there, however long it would be tolerated.
        let tolerated =
            if kept < question.tolerated_for / 2.0 { kept } else { question.tolerated_for };
        let granted_in_advance = if question.leases.is_on() { question.lease } else { 0.0 };
        let (mut by_token, mut by_limit) = (0, 0);
        for _ in 0..REQUESTS {
            let now = lasts * random.random::<f64>();
            let known = match question.warm_tokens {
                Some(warm) => random.random::<f64>() < warm,
                None => vouched(&mut random, rate, kept, question.tolerated_for)
                    .is_some_and(|at| now + at < tolerated),
            };
            // What was taken in advance is used up at some time within its lease.
            let advance = granted_in_advance * random.random::<f64>();
            if !known {
                by_token += 1;
            } else if now < SHARE_BEGINS && now > advance {
                by_limit += 1;
            }
        }
        let share = |count: u32| f64::from(count) / f64::from(REQUESTS);
        Self {
            lasts,
            token_refused: share(by_token),
            limit_refused: share(by_limit),
            served: share(REQUESTS - by_token - by_limit),
        }
    }
}

/// How many seconds before it was lost Redis has last vouched for a token, by the requests that came
/// with it until then.
fn vouched(random: &mut SmallRng, rate: f64, kept: f64, tolerated: f64) -> Option<f64> {
    let mut before = 2.0 * tolerated;
    let mut last = None;
    loop {
        before -= exponential(random) / rate;
        if before < 0.0 {
            return last;
        }
        if last.is_none_or(|last: f64| last - before >= kept) {
            last = Some(before);
        }
    }
}
