//! Judges what was judged before once more: the same decision code, on the records of a log, in the
//! world of then or in another one.
//!
//! What comes after the token needs facts that nobody keeps (the token, the quota, the body): there a
//! record counts as it stands, once everything before it came out.

mod again;
mod certificates;
mod limits;
mod rehearsal;
pub(crate) mod stream;
mod truth;

pub use again::{Asked, Recorded, Stage};
pub use certificates::Certificates;
pub use limits::{LimitOutcome, Limits};
pub use rehearsal::{Change, Example, Group, Rehearsal, Rehearsed};
pub use stream::{Span, StreamError, bytes};
pub use truth::{Cause, Difference, Replay, Replayed};
