//! What the EBA says about its register: when it was published, and where its archive is.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, fmt::strtime};
use serde::Deserialize;

/// The `filemetadata.json` that the EBA publishes beside its register.
#[derive(Debug, Deserialize)]
pub struct EbaMetadata {
    timestamp: String,
    /// Where the newest archive is, below `golden_copy_path_context`.
    #[serde(default)]
    pub latest_version_relative_zip_path: String,
    /// SHA-256 of the archive.
    #[serde(default)]
    pub sha256_hash: String,
    /// What the path is relative to.
    #[serde(default)]
    pub golden_copy_path_context: String,
}

impl EbaMetadata {
    /// Reads the file.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// When the register was published.
    #[must_use]
    pub fn as_of(&self) -> Option<Timestamp> {
        eba_timestamp(&self.timestamp)
    }
}

/// "Sun Aug 16 00:00:16 UTC 2026", as the EBA writes it, or RFC 3339.
fn eba_timestamp(text: &str) -> Option<Timestamp> {
    let written =
        strtime::parse("%a %b %d %H:%M:%S UTC %Y", text).and_then(|parts| parts.to_datetime());
    let written = written.and_then(|civil: DateTime| civil.to_zoned(TimeZone::UTC));
    written.map(|zoned| zoned.timestamp()).or_else(|_| text.parse()).ok()
}

#[cfg(test)]
mod tests {
    use super::eba_timestamp;

    #[test]
    fn the_ebas_own_way_to_write_an_instant_is_read() {
        let instant = eba_timestamp("Sun Aug 16 00:00:16 UTC 2026");
        assert_eq!(instant, "2026-08-16T00:00:16Z".parse().ok());
        assert_eq!(eba_timestamp("2026-08-16T00:00:16Z"), instant);
        assert_eq!(eba_timestamp("Sun Aug 16 00:00:16 CEST 2026"), None);
        assert_eq!(eba_timestamp("16/08/2026"), None);
    }
}
