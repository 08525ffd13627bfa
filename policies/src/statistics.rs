//! The regulator's statistics of the dedicated interface (RTS (EU) 2018/389 art. 32(4),
//! EBA/GL/2018/07): what each request counts as, what a day adds up to, and when the interface was down.
//!
//! Everything adds up: the [`Stretch`] of a day is a pair of sums and two sorted lists, so that those of several
//! gateways, APIs or files merged are what one gateway that had heard everything would have counted.
//! Downtime is not a sum; it is read from the merged lists by [`Watch`]. All instants are taken in
//! milliseconds.

mod downtime;
mod fate;
mod live;
mod quarter;
mod replies;
mod service;
mod stretch;
#[cfg(test)]
mod tests;

pub use downtime::{DOWN_AFTER, DOWN_WITHIN_MS, Downtime, Ended, Watch, may_be_down, union};
pub use fate::{Closing, Fate, PATIENCE_MS};
pub use live::{Down, Live, Turn};
pub use quarter::{Day, Quarter, QuarterError};
pub use replies::{RepliesFault, Reply, decode, encode};
pub use service::Service;
pub use stretch::{RequestId, Silence, Stretch, Tally};
