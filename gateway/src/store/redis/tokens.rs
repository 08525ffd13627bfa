//! Tokens in Redis: `octroi:token:<64 hexadecimal digits>` holds one record in JSON.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;
use policies::{TokenDigest, TokenRecord};
use redis::Value;

use super::link::{Fault, Link};
use super::scripts::{self, Remove};
use crate::store::cache::{Generation, Kept, Ticket, TokenCache};
use crate::store::limits::EXPIRED_TOKEN_KEPT;

const PREFIX: &str = "octroi:token:";
/// The channel of revocations: `<time of Redis in microseconds> <64 hexadecimal digits>`.
pub(super) const KILLS: &str = "octroi:kills";

/// The keys of tokens, and of what else decides about them, begin so. Quotas do not: they change
/// with every request, and nobody keeps a copy.
pub(super) const TRACKED_PREFIXES: [&str; 2] = [PREFIX, "octroi:{"];

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

/// Asks Redis once and brings the cache in line with what it says. `ticket` and `generation`
/// are from before the question is asked.
pub(super) async fn read(
    link: &Arc<Link>,
    cache: &TokenCache,
    (digest, ticket): (&TokenDigest, Ticket),
    now: Timestamp,
    generation: Option<Generation>,
) -> Answer {
    let answer = match link.ask(redis::cmd("GET").arg(key(digest)), link.deadline()).await {
        Ok(Value::Nil) => Answer::Unknown,
        Ok(Value::BulkString(bytes)) => match TokenRecord::from_json(&bytes) {
            Ok(record) => Answer::Record(Kept { record: Arc::new(record), as_of: now, generation }),
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
    link.tell(&command, link.deadline()).await.map(|_| ())
}

/// True when there was such a token. Whoever listens on [`KILLS`] learns of it.
pub(super) async fn remove(link: &Arc<Link>, digest: &TokenDigest) -> Result<bool, Fault> {
    let (token, digest) = (key(digest), hex::encode(digest));
    let remove = Remove { token: &token, channel: KILLS, digest: &digest };
    let removed = scripts::run(link, &remove, link.deadline()).await?;
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

/// What a key that has changed is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Concern {
    Token(TokenDigest),
    /// It is not known which.
    EveryToken,
    NoToken,
}

/// The digest is what follows the last `:token:`; a standing is that of many tokens.
pub(super) fn concern(key: &[u8]) -> Concern {
    if memchr::memmem::find(key, b":standing:").is_some() {
        return Concern::EveryToken;
    }
    let Some(start) = memchr::memmem::rfind(key, b":token:") else { return Concern::NoToken };
    let mut digest = TokenDigest::default();
    match hex::decode_to_slice(key.split_at(start + b":token:".len()).1, &mut digest) {
        Ok(()) => Concern::Token(digest),
        Err(_) => Concern::NoToken,
    }
}

fn key(digest: &TokenDigest) -> String {
    format!("{PREFIX}{}", hex::encode(digest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::digest;

    #[test]
    fn keys_of_tokens_are_told_apart_from_others_with_and_without_a_slot() {
        let hex = hex::encode(digest(1));
        for key in [key(&digest(1)), format!("octroi:{{a0f}}:token:{hex}")] {
            assert_eq!(concern(key.as_bytes()), Concern::Token(digest(1)), "{key}");
        }
        let standing = format!("octroi:{{a0f}}:standing:{hex}");
        assert_eq!(concern(standing.as_bytes()), Concern::EveryToken);
        for key in ["octroi:quota:{funds.0:00}", "octroi:token:00", "octroi:{a0f}:token:", ""] {
            assert_eq!(concern(key.as_bytes()), Concern::NoToken, "{key}");
        }
    }

    #[test]
    fn every_key_that_concerns_tokens_has_a_prefix_that_is_tracked() {
        for key in [key(&digest(1)), "octroi:{a0f}:token:".into(), "octroi:{a0f}:standing:".into()]
        {
            assert!(TRACKED_PREFIXES.iter().any(|prefix| key.starts_with(prefix)), "{key}");
        }
    }
}
