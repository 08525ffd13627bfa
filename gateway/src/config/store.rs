//! `[store]`: where tokens and quotas live.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use super::key::Key;
use super::limits::SECRET_BYTES_MAX;
use super::reading::Reading;
use super::redis::{self, RedisServers};
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
        /// Which servers, and how to speak to them.
        servers: RedisServers,
        /// How long one answer may take.
        timeout: Duration,
        /// Where Redis does not tell of changes, a token in memory younger than this is used without
        /// asking again.
        fresh_for: Duration,
        /// While Redis is away, a token in memory younger than this still serves.
        tolerated_for: Duration,
        /// While Redis is away, each gateway grants a quota divided by this number.
        local_share: NonZeroU32,
    },
}

impl StoreSettings {
    pub(super) fn read(wire: &wire::Store, key: &Key, reading: &mut Reading<'_>) -> Option<Self> {
        let timeout = reading.duration(&key.child("timeout"), &wire.timeout);
        let fresh_for = reading.duration(&key.child("fresh_for"), &wire.fresh_for);
        let tolerated_for = reading.duration(&key.child("tolerated_for"), &wire.tolerated_for);
        let (fresh_for, tolerated_for) = (fresh_for?, tolerated_for?);
        if tolerated_for < fresh_for {
            reading.refuse(
                &key.child("tolerated_for"),
                "is shorter than `fresh_for`",
                "write a duration of at least `fresh_for`",
            );
        }
        let servers = match (&wire.embedded, &wire.redis, &wire.redis_file) {
            (Some(file), None, None) => {
                redis::refuse_beside_embedded(wire, key, reading);
                return Some(Self::Embedded { file: reading.path(file) });
            }
            (None, Some(url), None) => {
                let url = redis::url_in_file(url, &key.child("redis"), reading);
                redis::read((url?, &key.child("redis")), wire, key, reading)?
            }
            (None, None, Some(path)) => {
                let file = key.child("redis_file");
                let content = reading.secret_file(&file, path, SECRET_BYTES_MAX)?;
                let url = Secret::new(content.expose().trim_ascii());
                redis::read((url, &file), wire, key, reading)?
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
            servers,
            timeout: timeout?,
            fresh_for,
            tolerated_for,
            local_share: u32::try_from(wire.local_share).ok().and_then(NonZeroU32::new)?,
        })
    }
}
