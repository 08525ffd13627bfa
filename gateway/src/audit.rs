//! The access log: exactly one record a request, allowed or refused, written before it can be
//! forgotten.
//!
//! A [`Slot`] is reserved before a request is judged, so a record can never be dropped for want of
//! room: when the log cannot keep up or cannot be written, requests are refused instead
//! (`state_unavailable`), as DESIGN's "fail closed" demands of every dependency. Nothing goes to the
//! bank before a line says that it may ([`Permitted`]), and no answer is whole before its record is
//! written ([`Hold`]).

mod author;
mod certificates;
pub mod chain;
pub mod entry;
pub mod export;
mod file;
mod foreign;
mod keeper;
pub mod lines;
mod log;
pub mod members;
mod metrics;
pub mod octets;
mod probed;
mod pseudonyms;
mod record;
mod room;
pub mod search;
pub mod shelf;
pub mod verify;
mod writer;

pub use entry::Entry;
pub use foreign::is_unseen;
pub use log::{Audit, AuditError, Unwritten};
pub use metrics::AuditMetrics;
pub use probed::{PROBE, Probed};
pub use pseudonyms::Pseudonyms;
pub use record::{
    Client, Event, Outcome, PERMITTED, People, Permitted, Probing, REQUEST, Record, Timing,
};
pub use room::{Hold, Slot, Unrecorded};

#[cfg(test)]
mod tests;
