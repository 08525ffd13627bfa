//! The access log: exactly one record a request, allowed or refused, written before it can be
//! forgotten.
//!
//! A [`Slot`] is reserved before a request is judged, so a record can never be dropped for want of
//! room: when the log cannot keep up or cannot be written, requests are refused instead
//! (`state_unavailable`), as DESIGN's "fail closed" demands of every dependency.

pub mod chain;
pub mod entry;
mod record;
pub mod shelf;
mod writer;

pub use entry::Entry;
pub use record::{Client, Event, Outcome, People, Probing, REQUEST, Record, Timing};
pub use writer::{Audit, AuditError, Pseudonyms, Slot};

#[cfg(test)]
mod tests;
