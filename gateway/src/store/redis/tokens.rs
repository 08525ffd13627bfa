//! Tokens in Redis: `octroi:{<part>}:token:<64 hexadecimal digits>`, or without a part where another
//! authorization server wrote it, holds one record in JSON.

use std::sync::Arc;

use certs::OrganisationId;
use jiff::Timestamp;
use policies::ledger::{Kind, Place, Standing};
use policies::{Partition, TokenFact, TokenName, TokenRecord};
use redis::Value;

use super::ledger::key;
use super::link::{Fault, Link};
use crate::store::cache::{Generation, Kept, TokenCache};
use crate::store::limits::EXPIRED_TOKEN_KEPT;
use crate::store::standings::ended;

/// What Redis said about one token.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    Record(Kept),
    /// It gives nothing, and this is why.
    Ended(TokenFact),
    Away,
}

/// Asks Redis once, for the token and whether its TPP was cut off, and brings the cache in line with
/// what it says. `generation` is that of the invalidations that arrived before the question was asked.
pub(super) async fn read(
    link: &Arc<Link>,
    cache: &TokenCache,
    token: &TokenName,
    organisation_id: &OrganisationId,
    now: Timestamp,
    generation: Option<Generation>,
) -> Answer {
    let ticket = cache.ticket(&token.digest);
    let standing = Place::named(Kind::Standing, organisation_id.as_str());
    let mut command = redis::cmd("MGET");
    command
        .arg(key(token.partition, &Place::new(Kind::Token, token.digest)))
        .arg(key(Some(Partition::of(organisation_id)), &standing));
    let answer = match link.ask(&command, link.deadline()).await {
        Ok(Value::Array(pages)) => match pages.as_slice() {
            [Value::Nil, _] => Answer::Ended(TokenFact::Unknown),
            [Value::BulkString(token), standing] => judge(token, standing, now, generation),
            _ => Answer::Ended(TokenFact::Unreadable),
        },
        Ok(_) => Answer::Ended(TokenFact::Unreadable),
        Err(fault @ Fault::Refused(_)) => {
            tracing::error!(%fault, "a token cannot be read from Redis: it is refused");
            Answer::Ended(TokenFact::Unreadable)
        }
        Err(Fault::CircuitOpen | Fault::TimedOut | Fault::Away(_)) => Answer::Away,
    };
    match &answer {
        Answer::Record(kept) => cache.keep(ticket, &token.digest, kept.clone()),
        Answer::Ended(_) => cache.forget([&token.digest]),
        Answer::Away => (),
    }
    answer
}

fn judge(token: &[u8], standing: &Value, now: Timestamp, generation: Option<Generation>) -> Answer {
    let standing = match standing {
        Value::Nil => Standing::from_json(None),
        Value::BulkString(page) => Standing::from_json(Some(page)),
        _ => return Answer::Ended(TokenFact::Unreadable),
    };
    match (TokenRecord::from_json(token), standing) {
        (Ok(record), Ok(standing)) if !standing.allows(&record) => Answer::Ended(ended(&standing)),
        (Ok(record), Ok(_)) => {
            Answer::Record(Kept { record: Arc::new(record), as_of: now, generation })
        }
        (Err(error), _) => {
            tracing::error!(%error, "a token record in Redis is unreadable: its token is refused");
            Answer::Ended(TokenFact::Unreadable)
        }
        (_, Err(error)) => {
            tracing::error!(%error, "a TPP's tokens are refused");
            Answer::Ended(TokenFact::Unreadable)
        }
    }
}

/// Redis drops the key by itself, a while after the token has expired.
pub(super) async fn write(
    link: &Arc<Link>,
    token: &TokenName,
    record: &TokenRecord,
) -> Result<(), Fault> {
    let kept_until = record.expires_at.as_millisecond() + EXPIRED_TOKEN_KEPT.as_millis() as i64;
    let mut command = redis::cmd("SET");
    let key = key(token.partition, &Place::new(Kind::Token, token.digest));
    command.arg(key).arg(record.to_json()).arg("PXAT").arg(kept_until);
    link.tell(&command, link.deadline()).await.map(|_| ())
}
