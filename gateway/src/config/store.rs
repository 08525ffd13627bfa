//! `[store]`: where tokens and quotas live.

use std::path::PathBuf;
use std::time::Duration;

use super::key::Key;
use super::limits::SECRET_BYTES_MAX;
use super::reading::Reading;
use super::safety::is_loopback;
use super::secret::Secret;
use super::wire;

/// The store: exactly one of the two.
#[derive(Clone, Debug)]
pub enum StoreSettings {
    /// One process, one file.
    Embedded {
        /// The file; it is made when it is not there.
        file: PathBuf,
    },
    /// Redis or Valkey, shared by all gateways.
    Redis {
        /// `redis://` or `rediss://` URL.
        url: Secret,
        /// How long one answer may take.
        timeout: Duration,
        /// Where Redis does not tell of changes, a token in memory younger than this is used without
        /// asking again.
        fresh_for: Duration,
        /// While Redis is away, a token in memory younger than this still serves.
        tolerated_for: Duration,
        /// While Redis is away, each gateway grants its share of each limit for so long.
        share_for: Duration,
    },
}

impl StoreSettings {
    pub(super) fn read(wire: &wire::Store, key: &Key, reading: &mut Reading<'_>) -> Option<Self> {
        let timeout = reading.duration(&key.child("timeout"), &wire.timeout);
        let fresh_for = reading.duration(&key.child("fresh_for"), &wire.fresh_for);
        let tolerated_for = reading.duration(&key.child("tolerated_for"), &wire.tolerated_for);
        let share_for = reading.duration(&key.child("share_for"), &wire.share_for);
        let (fresh_for, tolerated_for) = (fresh_for?, tolerated_for?);
        if tolerated_for < fresh_for {
            reading.refuse(
                &key.child("tolerated_for"),
                "is shorter than `fresh_for`",
                "write a duration of at least `fresh_for`",
            );
        }
        let url = match (&wire.embedded, &wire.redis, &wire.redis_file) {
            (Some(file), None, None) => return Some(Self::Embedded { file: reading.path(file) }),
            (None, Some(url), None) => redis_in_file(url, &key.child("redis"), reading)?,
            (None, None, Some(path)) => {
                let key = key.child("redis_file");
                let content = reading.secret_file(&key, path, SECRET_BYTES_MAX)?;
                redis_url(Secret::new(content.expose().trim_ascii()), &key, reading)?
            }
            _ => {
                reading.refuse(
                    key,
                    "needs exactly one of `embedded`, `redis` and `redis_file`",
                    "keep one: `embedded = \"store.redb\"` for one process, `redis_file` for more",
                );
                return None;
            }
        };
        Some(Self::Redis {
            url,
            timeout: timeout?,
            fresh_for,
            tolerated_for,
            share_for: share_for?,
        })
    }
}

fn redis_in_file(url: &str, key: &Key, reading: &mut Reading<'_>) -> Option<Secret> {
    if url.contains('@') {
        reading.warn(key, "a password may stand in the configuration file: use `redis_file`");
    }
    redis_url(Secret::new(url), key, reading)
}

/// A URL that the Redis client understands. It is never shown: it may hold a password.
fn redis_url(url: Secret, key: &Key, reading: &mut Reading<'_>) -> Option<Secret> {
    let parsed = url.expose_text().ok().and_then(redis::parse_redis_url);
    match parsed {
        Some(parsed)
            if parsed.scheme() == "redis" && !parsed.host_str().is_some_and(is_loopback) =>
        {
            reading.warn(key, "the way to Redis is not encrypted: use `rediss://`");
            Some(url)
        }
        Some(_) => Some(url),
        None => {
            reading.refuse(
                key,
                "is not a Redis URL (its value is not shown: it may hold a password)",
                "write scheme, host, port and database, for example `redis://127.0.0.1:6379/0`",
            );
            None
        }
    }
}
