//! `[register]`: the snapshots of the registers, and how old they may become.

use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, fmt::strtime};
use serde::Deserialize;

use super::key::Key;
use super::limits::{METADATA_BYTES_MAX, REGISTER_BYTES_MAX};
use super::problem::quoted;
use super::reading::Reading;
use super::safety;
use super::wire;

/// The register files; at least one register is there.
#[derive(Clone, Debug)]
pub struct RegisterFiles {
    /// The EBA's register of payment institutions.
    pub eba: Option<RegisterFile>,
    /// The French register of financial agents.
    pub regafi: Option<RegafiFiles>,
    /// As long as a snapshot is younger than this, all is well.
    pub fresh_for: Duration,
    /// A snapshot older than this decides nothing any more.
    pub tolerated_for: Duration,
}

/// A register in one file.
#[derive(Clone, Debug)]
pub struct RegisterFile {
    /// The file, as the configuration names it.
    pub file: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// When it was published.
    pub as_of: Timestamp,
}

/// The two tables of a REGAFI export, each with its file.
#[derive(Clone, Debug)]
pub struct RegafiFiles {
    /// The entities.
    pub entities: (String, Vec<u8>),
    /// Their authorisations.
    pub authorisations: (String, Vec<u8>),
    /// When the export was made.
    pub as_of: Timestamp,
}

impl RegisterFiles {
    pub(super) fn read(
        wire: &wire::Register,
        key: &Key,
        reading: &mut Reading<'_>,
    ) -> Option<Self> {
        let fresh_for = reading.duration(&key.child("fresh_for"), &wire.fresh_for);
        let tolerated_for = reading.duration(&key.child("tolerated_for"), &wire.tolerated_for);
        let named = safety::has_register(wire, key, reading);
        let place = key.child("eba");
        let eba = wire.eba.as_ref().map(|wire| eba(wire, &place, reading));
        let place = key.child("regafi");
        let regafi = wire.regafi.as_ref().map(|wire| regafi(wire, &place, reading));
        let (fresh_for, tolerated_for) = (fresh_for?, tolerated_for?);
        if tolerated_for < fresh_for {
            reading.refuse(
                &key.child("tolerated_for"),
                "is shorter than `fresh_for`",
                "write a duration of at least `fresh_for`",
            );
            return None;
        }
        let eba = eba.map_or(Some(None), |eba| eba.map(Some))?;
        let regafi = regafi.map_or(Some(None), |regafi| regafi.map(Some))?;
        named.then_some(Self { eba, regafi, fresh_for, tolerated_for })
    }
}

fn eba(wire: &wire::Eba, key: &Key, reading: &mut Reading<'_>) -> Option<RegisterFile> {
    let place = key.child("file");
    let file = wire.file.as_deref().and_then(|file| named(file, &place, reading));
    let as_of = match (&wire.as_of, &wire.metadata) {
        (Some(text), None) => instant(text, &key.child("as_of"), reading),
        (None, Some(path)) => published(path, &key.child("metadata"), reading),
        _ => {
            let what = "needs exactly one of `as_of` and `metadata`";
            let mend = "name the `filemetadata.json` that was published with the register";
            reading.refuse(key, what, mend);
            None
        }
    };
    let (file, bytes) = file?;
    Some(RegisterFile { file, bytes, as_of: as_of? })
}

fn regafi(wire: &wire::Regafi, key: &Key, reading: &mut Reading<'_>) -> Option<RegafiFiles> {
    let mut table = |name, file: &Option<String>| {
        file.as_deref().and_then(|file| named(file, &key.child(name), reading))
    };
    let entities = table("entities", &wire.entities);
    let authorisations = table("authorisations", &wire.authorisations);
    let place = key.child("as_of");
    let as_of = wire.as_of.as_ref().and_then(|text| instant(text, &place, reading));
    Some(RegafiFiles { entities: entities?, authorisations: authorisations?, as_of: as_of? })
}

fn named(file: &str, key: &Key, reading: &mut Reading<'_>) -> Option<(String, Vec<u8>)> {
    let bytes = reading.file(key, file, REGISTER_BYTES_MAX)?;
    Some((file.to_owned(), bytes))
}

fn instant(text: &wire::InstantText, key: &Key, reading: &mut Reading<'_>) -> Option<Timestamp> {
    let instant = text.0.parse().ok();
    if instant.is_none() {
        let what = format!("is {}: not an instant with its offset", quoted(&text.0));
        reading.refuse(key, what, "write RFC 3339, for example 2026-08-16T00:00:16Z");
    }
    instant
}

/// The `filemetadata.json` that the EBA publishes beside its register; the other members describe
/// the archive.
#[derive(Deserialize)]
struct Metadata {
    timestamp: String,
}

fn published(path: &str, key: &Key, reading: &mut Reading<'_>) -> Option<Timestamp> {
    let bytes = reading.file(key, path, METADATA_BYTES_MAX)?;
    let metadata = serde_json::from_slice::<Metadata>(&bytes).ok();
    let as_of = metadata.and_then(|metadata| eba_timestamp(&metadata.timestamp));
    if as_of.is_none() {
        reading.refuse(
            key,
            format!(
                "{} does not say when the register was published",
                reading.path(path).display()
            ),
            "give the `filemetadata.json` of the EBA unchanged, or write `as_of`",
        );
    }
    as_of
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
