//! Tokens in Redis: `octroi:token:<64 hexadecimal digits>` holds one record in JSON.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;
use policies::{TokenDigest, TokenRecord};
use redis::Value;

use super::link::{Fault, Link};
use crate::store::cache::{Kept, TokenCache};
use crate::store::limits::EXPIRED_TOKEN_KEPT;

const PREFIX: &str = "octroi:token:";
/// Keys that Redis looks at in one step of a walk.
const SCAN_STEP: usize = 500;

/// What Redis said about one token.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    Record(Kept),
    Unknown,
    Unreadable,
    Away,
}

/// Asks Redis once and brings the cache in line with what it says.
pub(super) async fn read(
    link: &Arc<Link>,
    cache: &TokenCache,
    digest: &TokenDigest,
    now: Timestamp,
) -> Answer {
    let ticket = cache.ticket();
    let answer = match link.ask(redis::cmd("GET").arg(key(digest)), link.deadline()).await {
        Ok(Value::Nil) => Answer::Unknown,
        Ok(Value::BulkString(bytes)) => match TokenRecord::from_json(&bytes) {
            Ok(record) => Answer::Record(Kept { record: Arc::new(record), as_of: now }),
            Err(error) => {
                tracing::error!(%error, "a token record in Redis is unreadable: its token is refused");
                Answer::Unreadable
            }
        },
        Ok(_) => Answer::Unreadable,
        Err(fault @ Fault::Refused(_)) => {
            tracing::error!(%fault, "a token cannot be read from Redis: it is refused");
            Answer::Unreadable
        }
        Err(Fault::CircuitOpen | Fault::TimedOut | Fault::Away(_)) => Answer::Away,
    };
    match &answer {
        Answer::Record(kept) => cache.keep(ticket, digest, kept.clone()),
        Answer::Unknown | Answer::Unreadable => cache.forget([digest]),
        Answer::Away => (),
    }
    answer
}

/// Redis drops the key by itself, a while after the token has expired.
pub(super) async fn write(
    link: &Arc<Link>,
    digest: &TokenDigest,
    record: &TokenRecord,
) -> Result<(), Fault> {
    let kept_until = record.expires_at.as_millisecond() + EXPIRED_TOKEN_KEPT.as_millis() as i64;
    let mut command = redis::cmd("SET");
    command.arg(key(digest)).arg(record.to_json()).arg("PXAT").arg(kept_until);
    link.tell(&command).await.map(|_| ())
}

/// True when there was such a token.
pub(super) async fn remove(link: &Arc<Link>, digest: &TokenDigest) -> Result<bool, Fault> {
    let removed = link.tell(redis::cmd("DEL").arg(key(digest))).await?;
    Ok(matches!(removed, Value::Int(1..)))
}

/// Shows every token's record, in steps, so that nobody else waits long for Redis. Each is
/// shown once.
pub(super) async fn each(
    link: &Arc<Link>,
    mut show: impl FnMut(TokenDigest, &[u8]),
) -> Result<(), Fault> {
    let mut seen = HashSet::new();
    let mut cursor = "0".to_owned();
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(&cursor).arg("MATCH").arg(format!("{PREFIX}*")).arg("COUNT").arg(SCAN_STEP);
        let found = link.ask(&scan, link.deadline()).await?;
        let (next, keys): (String, Vec<String>) =
            redis::from_redis_value(found).map_err(|error| Fault::Refused(error.into()))?;
        if !keys.is_empty() {
            let records = link.ask(redis::cmd("MGET").arg(&keys), link.deadline()).await?;
            let records: Vec<Option<Vec<u8>>> =
                redis::from_redis_value(records).map_err(|error| Fault::Refused(error.into()))?;
            for (key, json) in keys.iter().zip(&records) {
                let mut digest = TokenDigest::default();
                let hex = key.strip_prefix(PREFIX).unwrap_or_default();
                if let Some(json) = json
                    && hex::decode_to_slice(hex, &mut digest).is_ok()
                    && seen.insert(digest)
                {
                    show(digest, json);
                }
            }
        }
        if next == "0" {
            return Ok(());
        }
        cursor = next;
    }
}

fn key(digest: &TokenDigest) -> String {
    format!("{PREFIX}{}", hex::encode(digest))
}
