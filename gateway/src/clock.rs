//! The one place where wall time enters the program; everything below takes it as an argument.

use jiff::Timestamp;

/// The current instant.
#[must_use]
pub fn now() -> Timestamp {
    Timestamp::now()
}
