//! Quotas in Redis: one script, one key and one round trip for each decision.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use policies::{QuotaFact, QuotaRule};
use redis::Value;

use super::link::{Fault, Link};
use super::scripts::{self, Take};
use super::share::LocalShare;
use crate::store::quota::{BucketKey, Limit};

/// Takes one request out of the bucket that all replicas share, or, while Redis is away, out of
/// this replica's share.
pub(super) async fn take(
    link: &Arc<Link>,
    share: &LocalShare,
    key: &BucketKey,
    rule: &QuotaRule,
    now: Timestamp,
) -> QuotaFact {
    let Some(limit) = Limit::of(rule) else {
        return QuotaFact::Unavailable;
    };
    let owed = share.settle(key, now);
    let taken = ask(link, key, rule, limit, owed.unwrap_or_default()).await;
    if owed.is_some() && taken.is_err() {
        share.owe(key);
    }
    match taken {
        Ok(Some(Taken { fact, ahead })) => {
            share.note(key, limit, now, ahead);
            fact
        }
        Ok(None) => {
            tracing::error!("the quota script gave an answer of another shape: refused");
            QuotaFact::Unavailable
        }
        Err(fault @ Fault::Refused(_)) => {
            tracing::error!(%fault, "a quota cannot be counted in Redis: refused");
            QuotaFact::Unavailable
        }
        Err(Fault::CircuitOpen | Fault::TimedOut | Fault::Away(_)) => share.take(key, rule, now),
    }
}

struct Taken {
    fact: QuotaFact,
    ahead: Duration,
}

async fn ask(
    link: &Arc<Link>,
    key: &BucketKey,
    rule: &QuotaRule,
    limit: Limit,
    owed: Duration,
) -> Result<Option<Taken>, Fault> {
    let bucket = bucket(key, rule);
    let take = Take {
        bucket: &bucket,
        cell: microseconds(limit.cell),
        full: microseconds(limit.refill()),
        owed: microseconds(owed.min(limit.refill())),
    };
    Ok(read(&scripts::run(link, &take, link.deadline()).await?))
}

fn read(reply: &Value) -> Option<Taken> {
    let Value::Array(parts) = reply else { return None };
    let [Value::Int(granted), Value::Int(amount), Value::Int(ahead)] = parts.as_slice() else {
        return None;
    };
    let fact = match granted {
        1 => QuotaFact::Granted { remaining: Some(u32::try_from(*amount).ok()?) },
        0 => QuotaFact::Exhausted {
            retry_after: Duration::from_micros(u64::try_from(*amount).ok()?),
        },
        _ => return None,
    };
    Some(Taken { fact, ahead: Duration::from_micros(u64::try_from(*ahead).ok()?) })
}

/// The braces make one slot of it in a cluster. The organisation id is hashed because its third
/// part may hold any character.
fn bucket((organisation_id, rule_index): &BucketKey, rule: &QuotaRule) -> String {
    let organisation = openssl::sha::sha256(organisation_id.as_str().as_bytes());
    format!("octroi:quota:{{{}.{rule_index}:{}}}", rule.name, hex::encode(organisation))
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
