//! The version of the layout of the keys, in a key of its own.

use std::sync::Arc;

use super::link::{Fault, Link};

/// The layout that is written and read here; what changed with each is told in
/// `docs/src/reference/redis.md`.
pub(super) const VERSION: u32 = 1;

const KEY: &str = "octroi:layout";

/// The version that stands in Redis, where it is not ours. Where there is none, ours is written.
pub(super) async fn check(link: &Arc<Link>) -> Result<Option<String>, Fault> {
    let odd = |error: redis::ParsingError| Fault::Refused(error.into());
    let mut write = redis::cmd("SET");
    write.arg(KEY).arg(VERSION).arg("NX");
    link.ask(&write, link.deadline()).await?;
    let read = link.ask(redis::cmd("GET").arg(KEY), link.deadline()).await?;
    let found: Option<String> = redis::from_redis_value(read).map_err(odd)?;
    Ok(found.filter(|found| found.parse() != Ok(VERSION)))
}
