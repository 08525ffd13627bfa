//! Bounds of what is read and decided.

/// A stored token record, bytes.
pub const TOKEN_RECORD_BYTES_MAX: usize = 8 * 1024;
/// A text member of a token record, bytes.
pub const TOKEN_TEXT_BYTES_MAX: usize = 256;
/// How far two clocks may differ, seconds.
pub const CLOCK_SKEW_SECONDS_MAX: i64 = 60;
/// A host name, bytes (RFC 1035 §2.3.4).
pub const HOST_BYTES_MAX: usize = 253;
/// A funds-confirmation body, bytes. STET's longest request is a tenth of it.
pub const FUNDS_REQUEST_BYTES_MAX: usize = 16 * 1024;
/// Rejected register rows that are kept with their reason; the rest is only counted.
pub const REJECTED_ROWS_KEPT_MAX: usize = 1000;
/// A record of the authorization server other than a token or a client, bytes.
pub const LEDGER_RECORD_BYTES_MAX: usize = 32 * 1024;
