//! Tokens in Redis: `octroi:{<part>}:token:<64 hexadecimal digits>`, or without a part where another
//! authorization server wrote it, holds one record in JSON.

use std::sync::Arc;

use certs::OrganisationId;
use jiff::Timestamp;
use policies::ledger::{Kind, Place, Standing};
use policies::{Partition, TokenDigest, TokenFact, TokenName, TokenRecord};
use redis::Value;

use super::ledger::key;
use super::link::{Fault, Link};
use crate::store::cache::{Generation, Kept, Ticket, TokenCache};
use crate::store::limits::EXPIRED_TOKEN_KEPT;
use crate::store::standings::ended;

/// The channel of revocations: `<time of Redis in microseconds> <64 hexadecimal digits>`, and the part
/// in whose slot the token was, where it had one.
pub(super) const KILLS: &str = "octroi:kills";

/// The keys of tokens, and of what else decides about them, begin so. Quotas do not: they change
/// with every request, and nobody keeps a copy.
pub(super) const TRACKED_PREFIXES: [&str; 2] = ["octroi:token:", "octroi:{"];

/// What Redis said about one token.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    Record(Kept),
    /// It gives nothing, and this is why.
    Ended(TokenFact),
    Away,
}

/// Asks Redis once, for the token and whether its TPP was cut off, and brings the cache in line with
/// what it says. The ticket and `generation` are from before the question is asked.
pub(super) async fn read(
    link: &Arc<Link>,
    cache: &TokenCache,
    (token, organisation_id, ticket): (&TokenName, &OrganisationId, Ticket),
    now: Timestamp,
    generation: Option<Generation>,
) -> Answer {
    let standing = Place::named(Kind::Standing, organisation_id.as_str());
    let keys = [
        key(token.partition, &Place::new(Kind::Token, token.digest)),
        key(Some(Partition::of(organisation_id)), &standing),
    ];
    let answer = match link.read(&keys, link.deadline()).await {
        Ok(pages) => match pages.as_slice() {
            [Value::Nil, _] => Answer::Ended(TokenFact::Unknown),
            [Value::BulkString(token), standing] => judge(token, standing, now, generation),
            _ => Answer::Ended(TokenFact::Unreadable),
        },
        Err(fault @ Fault::Refused(_)) => {
            tracing::error!(%fault, "a token cannot be read from Redis: it is refused");
            Answer::Ended(TokenFact::Unreadable)
        }
        Err(Fault::CircuitOpen | Fault::TimedOut | Fault::Away(_)) => Answer::Away,
    };
    match &answer {
        // Of another TPP's token it is not known whether its own TPP was cut off.
        Answer::Record(kept) if kept.record.organisation_id != *organisation_id => (),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::digest;

    fn external(number: u32) -> String {
        key(None, &Place::new(Kind::Token, digest(number)))
    }

    #[test]
    fn keys_of_tokens_are_told_apart_from_others_with_and_without_a_slot() {
        let hex = hex::encode(digest(1));
        for key in [external(1), format!("octroi:{{a0f}}:token:{hex}")] {
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
        for key in [external(1), "octroi:{a0f}:token:".into(), "octroi:{a0f}:standing:".into()] {
            assert!(TRACKED_PREFIXES.iter().any(|prefix| key.starts_with(prefix)), "{key}");
        }
    }
}
