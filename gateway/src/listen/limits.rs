//! Bounds of the listeners that are not configuration.

use std::time::Duration;

/// Connections that the kernel may hold before we accept them.
pub(super) const ACCEPT_BACKLOG_MAX: u32 = 1024;
/// Read buffer of one connection. A request of this API fits in one read.
pub(super) const SOCKET_READ_BUFFER_BYTES: usize = 8 * 1024;
/// Write buffer of one connection. A response head and body of this API leave in one write.
pub(super) const SOCKET_WRITE_BUFFER_BYTES: usize = 4 * 1024;
/// Longest pause after an `accept` that failed because the process has no descriptor left.
pub(super) const ACCEPT_PAUSE_MS: u64 = 100;
/// Header fields of one request, HTTP/1.1. Also the size of the parser's table.
pub(super) const FIELDS_MAX: usize = 256;
/// How long an answer waits for its record; then its connection ends.
pub(super) const HELD_MAX: Duration = Duration::from_secs(5);
/// Requests of one HTTP/2 connection that reach no hook; with the last of them the connection ends.
pub(super) const HTTP2_REFUSED_MAX: u32 = 32;
