//! The worlds that requests were judged by, kept beside the log so that each can be made again.
//!
//! `<audit.directory>/worlds` holds a file a process, named by the number of its first world:
//! `<number>.jsonl`. Each line is a world ([`Line`]), written before the first request is judged by it, and
//! sealed to the line before as the lines of the access log are. What a line names by a hash lies in
//! `worlds/objects`; snapshots of registers lie in `register.directory`, where there is one. Secrets are in
//! none of them.

mod objects;
mod prune;
mod recall;
mod write;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use objects::Objects;
pub use prune::{Pruned, prune};
pub use recall::{Past, PastError, Recalled};
pub(super) use write::Writer;

/// The directory, within that of the log.
pub const WORLDS: &str = "worlds";
/// The event of the log that tells of a world.
pub const IN_FORCE: &str = "world_in_force";

/// One world, as the line of it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Since when requests are judged by it.
    #[serde(rename = "@timestamp")]
    pub time: Timestamp,
    /// `octroi.world` of the records of these requests.
    #[serde(rename = "octroi.world")]
    pub number: u64,
    /// SHA-256 of the whole configuration.
    pub configuration: String,
    /// The object with the part of it that judges.
    pub judging: String,
    /// The object with the anchors.
    pub anchors: String,
    /// The object with the CAs that complete paths, if there are any.
    pub intermediates: Option<String>,
    /// The snapshot of the registers.
    pub register: String,
    /// How many lines of `overrides.jsonl` counted.
    pub override_lines: usize,
    /// The revocation lists and OCSP answers that were not in the line before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers_added: Vec<String>,
    /// Those of the line before that are not known any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers_dropped: Vec<String>,
}
