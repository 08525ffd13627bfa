//! `[limits]`: bounds on connections and requests, and the bounds of the configuration itself.

use std::time::Duration;

use super::key::Key;
use super::reading::Reading;
use super::wire;

/// Bytes of the configuration file.
pub(super) const CONFIG_BYTES_MAX: u64 = 1024 * 1024;
/// Bytes of a PEM file with certificates.
pub(super) const PEM_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Bytes of a file with a key or a URL.
pub(super) const SECRET_BYTES_MAX: u64 = 64 * 1024;
/// Bytes of a certificate revocation list.
pub(super) const CRL_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Shortest period between two questions to one source of revocations.
pub(super) const REVOCATION_REFRESH_MIN: Duration = Duration::from_secs(1);
/// Bytes of the register's `filemetadata.json`.
pub(super) const METADATA_BYTES_MAX: u64 = 64 * 1024;
/// Characters of the admin key at least: 128 bits as hexadecimal digits.
pub(super) const ADMIN_KEY_CHARS_MIN: usize = 32;
/// Characters of a limit's name: it stands in a header of each response.
pub(super) const QUOTA_NAME_CHARACTERS_MAX: usize = 40;
/// For how long requests may be taken in advance.
pub(super) const LEASE_MAX: Duration = Duration::from_secs(1);
/// Bytes of the audit key, exactly: the width of HMAC-SHA-256.
pub(super) const AUDIT_KEY_BYTES: usize = 32;
/// For how long closed files of the access log are kept at least.
pub(super) const AUDIT_KEEP_MIN: Duration = Duration::from_secs(24 * 60 * 60);
/// Bytes of a request body that the proxy can keep for a second attempt upstream.
pub const RETRY_BUFFER_BYTES: usize = 64 * 1024;

/// Bounds on the TPP listener.
#[derive(Clone, Debug)]
pub struct Limits {
    /// From the first byte of a connection to the end of its TLS handshake.
    pub handshake_timeout: Duration,
    /// From the first byte of a request to the end of its header fields.
    pub head_timeout: Duration,
    /// From the end of the header fields to the end of the body.
    pub body_timeout: Duration,
    /// How long a connection may wait for its next request.
    pub keepalive_timeout: Duration,
    /// Connections at once.
    pub connections_max: usize,
    /// Bytes of the request line and all header fields together.
    pub head_bytes_max: usize,
    /// Header fields of a request.
    pub fields_max: usize,
    /// Bytes of a request body, at most [`RETRY_BUFFER_BYTES`].
    pub body_bytes_max: usize,
}

impl Limits {
    pub(super) fn read(wire: &wire::Limits, key: &Key, reading: &mut Reading<'_>) -> Option<Self> {
        let mut duration = |name, text| reading.duration(&key.child(name), text);
        let handshake_timeout = duration("handshake_timeout", &wire.handshake_timeout);
        let head_timeout = duration("head_timeout", &wire.head_timeout);
        let body_timeout = duration("body_timeout", &wire.body_timeout);
        let keepalive_timeout = duration("keepalive_timeout", &wire.keepalive_timeout);
        Some(Self {
            handshake_timeout: handshake_timeout?,
            head_timeout: head_timeout?,
            body_timeout: body_timeout?,
            keepalive_timeout: keepalive_timeout?,
            connections_max: usize::try_from(wire.connections_max).ok()?,
            head_bytes_max: usize::try_from(wire.head_bytes_max).ok()?,
            fields_max: usize::try_from(wire.fields_max).ok()?,
            body_bytes_max: usize::try_from(wire.body_bytes_max)
                .ok()
                .filter(|bytes| *bytes <= RETRY_BUFFER_BYTES)?,
        })
    }
}
