//! `[register]`: which registers, how they are used, and how they stay current.

mod metadata;

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use policies::freshness::Freshness;
use policies::register::{Columns, Passport, RegisterPolicy, WhenUndetermined};

use super::key::Key;
use super::limits::METADATA_BYTES_MAX;
use super::origin::{Origin, origins};
use super::problem::quoted;
use super::reading::{Reading, read_bounded};
use super::safety;
use super::wire;

pub use metadata::EbaMetadata;

/// The registers; at least one is there.
#[derive(Clone, Debug)]
pub struct RegisterSettings {
    /// The EBA's register of payment institutions.
    pub eba: Option<EbaPlace>,
    /// The EBA's register of credit institutions.
    pub eba_credit: Option<DatedFile>,
    /// The French register of financial agents.
    pub regafi: Option<RegafiPlace>,
    /// How they are used.
    pub policy: RegisterPolicy,
    /// Where snapshots are.
    pub directory: Option<PathBuf>,
    /// How long one is kept after another took its place.
    pub kept_for: Duration,
    /// When a new one is held.
    pub gate: GateSettings,
    /// How what has a URL is fetched.
    pub fetch: Option<RegisterFetch>,
}

/// What a new snapshot may lose before a person must accept it: shares from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GateSettings {
    /// Of a register's rows.
    pub rows_lost_max: f64,
    /// Of the known TPPs.
    pub tpps_lost_max: f64,
}

/// The fetching of registers.
#[derive(Clone, Debug)]
pub struct RegisterFetch {
    /// Who may be asked.
    pub allow: Vec<Origin>,
    /// How often.
    pub every: Duration,
}

/// Where the EBA's register of payment institutions is.
#[derive(Clone, Debug)]
pub enum EbaPlace {
    /// A file.
    File(DatedFile),
    /// The metadata that lead to it.
    Url(String),
}

/// A register in one file.
#[derive(Clone, Debug)]
pub struct DatedFile {
    /// As the configuration names it.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// When it was published.
    pub as_of: AsOf,
}

/// What dates a file.
#[derive(Clone, Debug)]
pub enum AsOf {
    /// The configuration.
    Fixed(Timestamp),
    /// The `filemetadata.json` beside it.
    Metadata(PathBuf),
}

/// Where REGAFI's two tables are.
#[derive(Clone, Debug)]
pub struct RegafiPlace {
    /// The entities.
    pub entities: TablePlace,
    /// Their authorisations.
    pub authorisations: TablePlace,
    /// How their columns are called.
    pub columns: Columns,
}

/// Where one table is.
#[derive(Clone, Debug)]
pub enum TablePlace {
    /// A file.
    File(DatedFile),
    /// Its export.
    Url(String),
}

impl AsOf {
    /// The instant, read from the metadata where it stands there.
    ///
    /// # Errors
    /// The metadata cannot be read, or do not say it; as a sentence.
    pub fn read(&self) -> Result<Timestamp, String> {
        match self {
            Self::Fixed(instant) => Ok(*instant),
            Self::Metadata(path) => {
                let bytes = read_bounded(path, METADATA_BYTES_MAX)
                    .map_err(|error| format!("{}: {error}", path.display()))?;
                let published = EbaMetadata::read(&bytes).and_then(|metadata| metadata.as_of());
                published.ok_or_else(|| {
                    format!("{} does not say when the register was published", path.display())
                })
            }
        }
    }
}

impl RegisterSettings {
    pub(super) fn read(
        wire: &wire::Register,
        key: &Key,
        reading: &mut Reading<'_>,
    ) -> Option<Self> {
        let kept_for = reading.duration(&key.child("kept_for"), &wire.kept_for);
        let named = safety::has_register(wire, key, reading);
        let shares = [("rows_lost_max", wire.rows_lost_max), ("tpps_lost_max", wire.tpps_lost_max)]
            .map(|(name, share)| {
                let sound = (0.0..=1.0).contains(&share);
                if !sound {
                    let mend = "write a share from 0 to 1, for example 0.05";
                    reading.refuse(&key.child(name), format!("is {share}"), mend);
                }
                sound
            });
        let place = key.child("eba");
        let eba = wire.eba.as_ref().map(|wire| eba(wire, &place, reading));
        let place = key.child("eba_credit");
        let eba_credit = wire.eba_credit.as_ref().map(|wire| {
            dated(wire.file.as_deref()?, wire.as_of.as_ref(), None, &place, "file", reading)
        });
        let place = key.child("regafi");
        let regafi = wire.regafi.as_ref().map(|wire| regafi(wire, &place, reading));
        let fetched = fetched(wire, key, reading);
        let policy = policy(wire, key, reading)?;
        let sound = named && shares.iter().all(|sound| *sound);
        let settings = Self {
            eba: whole(eba)?,
            eba_credit: whole(eba_credit)?,
            regafi: whole(regafi)?,
            policy,
            directory: wire.directory.as_deref().map(|path| reading.path(path)),
            kept_for: kept_for?,
            gate: GateSettings {
                rows_lost_max: wire.rows_lost_max,
                tpps_lost_max: wire.tpps_lost_max,
            },
            fetch: whole(fetched)?,
        };
        sound.then_some(settings)
    }

    /// Every URL that is to be fetched.
    pub fn urls(&self) -> impl Iterator<Item = &str> {
        let eba = self.eba.iter().filter_map(|place| match place {
            EbaPlace::Url(url) => Some(url.as_str()),
            EbaPlace::File(_) => None,
        });
        let tables = self.regafi.iter().flat_map(|place| [&place.entities, &place.authorisations]);
        eba.chain(tables.filter_map(|table| match table {
            TablePlace::Url(url) => Some(url.as_str()),
            TablePlace::File(_) => None,
        }))
    }
}

/// How the registers are used.
pub(super) fn policy(
    wire: &wire::Register,
    key: &Key,
    reading: &mut Reading<'_>,
) -> Option<RegisterPolicy> {
    let fresh_for = reading.duration(&key.child("fresh_for"), &wire.fresh_for);
    let tolerated_for = reading.duration(&key.child("tolerated_for"), &wire.tolerated_for);
    let country = wire.country.parse();
    if let Err(why) = country {
        reading.refuse(&key.child("country"), why, "write ISO 3166-1, for example \"FR\"");
    }
    let undetermined = match wire.undetermined {
        wire::Undetermined::Refuse => WhenUndetermined::Refuse,
        wire::Undetermined::Warn => {
            let what = "a TPP about which the registers cannot tell passes on its certificate";
            reading.warn(&key.child("undetermined"), what);
            WhenUndetermined::Warn
        }
    };
    let passport = match wire.passport {
        wire::Passport::Off => Passport::Off,
        wire::Passport::Warn => Passport::Warn,
        wire::Passport::Enforce => Passport::Enforce,
    };
    let (fresh_for, tolerated_for) = (fresh_for?, tolerated_for?);
    if tolerated_for < fresh_for {
        reading.refuse(
            &key.child("tolerated_for"),
            "is shorter than `fresh_for`",
            "write a duration of at least `fresh_for`",
        );
        return None;
    }
    let freshness = Freshness { fresh_for, tolerated_for };
    Some(RegisterPolicy { freshness, country: country.ok()?, passport, undetermined })
}

/// What is not there is sound; what is there must be.
fn whole<T>(part: Option<Option<T>>) -> Option<Option<T>> {
    part.map_or(Some(None), |part| part.map(Some))
}

fn eba(wire: &wire::Eba, key: &Key, reading: &mut Reading<'_>) -> Option<EbaPlace> {
    match (&wire.file, &wire.url) {
        (Some(file), None) => {
            let metadata = wire.metadata.as_deref();
            dated(file, wire.as_of.as_ref(), metadata, key, "file", reading).map(EbaPlace::File)
        }
        (None, Some(url)) if wire.as_of.is_none() && wire.metadata.is_none() => {
            Some(EbaPlace::Url(url.clone()))
        }
        (None, Some(_)) => {
            let what = "has `url` beside `as_of` or `metadata`";
            reading.refuse(key, what, "take those out: what the URL leads to dates itself");
            None
        }
        _ => {
            let what = "needs exactly one of `file` and `url`";
            reading.refuse(key, what, "name the register's file, or where it is published");
            None
        }
    }
}

fn regafi(wire: &wire::Regafi, key: &Key, reading: &mut Reading<'_>) -> Option<RegafiPlace> {
    let mut table =
        |name: &'static str, file: &Option<String>, url: &Option<String>| match (file, url) {
            (Some(file), None) => {
                let as_of = wire.as_of.as_ref();
                dated(file, as_of, None, key, name, reading).map(TablePlace::File)
            }
            (None, Some(url)) => Some(TablePlace::Url(url.clone())),
            _ => {
                let what = format!("needs exactly one of `{name}` and `{name}_url`");
                reading.refuse(key, what, "name the export's file, or where it is exported");
                None
            }
        };
    let entities = table("entities", &wire.entities, &wire.entities_url);
    let authorisations = table("authorisations", &wire.authorisations, &wire.authorisations_url);
    let columns = match &wire.columns {
        None => Some(Columns::default()),
        Some(path) => columns(path, &key.child("columns"), reading),
    };
    Some(RegafiPlace { entities: entities?, authorisations: authorisations?, columns: columns? })
}

fn columns(path: &str, key: &Key, reading: &mut Reading<'_>) -> Option<Columns> {
    let bytes = reading.file(key, path, METADATA_BYTES_MAX)?;
    let text = String::from_utf8_lossy(&bytes);
    match toml::from_str(&text) {
        Ok(columns) => Some(columns),
        Err(error) => {
            let what = format!("{path}: {}", error.message());
            let mend =
                "name columns as `siren = \"numero_siren\"`; the known names are those of REGAFI";
            reading.refuse(key, what, mend);
            None
        }
    }
}

/// A file that is there, with its date.
fn dated(
    name: &str,
    as_of: Option<&wire::InstantText>,
    metadata: Option<&str>,
    key: &Key,
    file: &'static str,
    reading: &mut Reading<'_>,
) -> Option<DatedFile> {
    let path = reading.path(name);
    let place = key.child(file);
    reading.names(&place, &path);
    let there = File::open(&path).and_then(|open| open.metadata());
    let there = match there {
        Ok(metadata) if metadata.is_file() && metadata.len() > 0 => true,
        Ok(metadata) if metadata.is_file() => {
            let mend = "give the file as its authority published it";
            reading.refuse(&place, format!("{} is empty", path.display()), mend);
            false
        }
        Ok(_) => {
            reading.refuse(&place, format!("{} is no file", path.display()), "name a file");
            false
        }
        Err(error) => {
            let mend = "give the file as its authority published it";
            reading.refuse(&place, format!("{}: {error}", path.display()), mend);
            false
        }
    };
    let as_of = match (as_of, metadata) {
        (Some(text), None) => instant(text, &key.child("as_of"), reading).map(AsOf::Fixed),
        (None, Some(text)) => {
            let path = reading.path(text);
            reading.names(&key.child("metadata"), &path);
            let as_of = AsOf::Metadata(path);
            let mend = "give the `filemetadata.json` of the EBA unchanged, or write `as_of`";
            let read = as_of.read();
            let read = read.map_err(|why| reading.refuse(&key.child("metadata"), why, mend));
            read.ok().map(|_| as_of)
        }
        _ => {
            let what = "needs exactly one of `as_of` and `metadata`";
            let mend = "say when it was published; the EBA's `filemetadata.json` says it";
            reading.refuse(key, what, mend);
            None
        }
    };
    (there).then_some(DatedFile { name: name.to_owned(), path, as_of: as_of? })
}

fn fetched(
    wire: &wire::Register,
    key: &Key,
    reading: &mut Reading<'_>,
) -> Option<Option<RegisterFetch>> {
    let urls = [
        wire.eba.as_ref().and_then(|eba| eba.url.as_ref()),
        wire.regafi.as_ref().and_then(|regafi| regafi.entities_url.as_ref()),
        wire.regafi.as_ref().and_then(|regafi| regafi.authorisations_url.as_ref()),
    ];
    let urls: Vec<&String> = urls.into_iter().flatten().collect();
    let Some(fetch) = &wire.fetch else {
        if !urls.is_empty() {
            let mend = "add `[register.fetch]` with the origins that may be asked";
            reading.refuse(&key.child("fetch"), "is missing, and a register has a URL", mend);
            return Some(None);
        }
        return None;
    };
    let place = key.child("fetch");
    let every = reading.duration(&place.child("every"), &fetch.every);
    let allow = fetch.allow.as_deref().unwrap_or_default();
    let allow = origins(allow, &place.child("allow"), reading);
    if wire.directory.is_none() && !urls.is_empty() {
        let mend = "name a directory that the gateway may write";
        reading.refuse(&key.child("directory"), "is missing, and a register has a URL", mend);
        return Some(None);
    }
    for url in urls {
        let origin = reqwest::Url::parse(url).ok().and_then(|url| Origin::of(&url));
        let allowed =
            allow.as_ref().is_some_and(|allow| origin.is_some_and(|o| allow.contains(&o)));
        if !allowed {
            let what = format!("does not hold the origin of {}", quoted(url));
            let mend = "add its scheme and host";
            reading.refuse(&place.child("allow"), what, mend);
            return Some(None);
        }
    }
    Some(allow.zip(every).map(|(allow, every)| RegisterFetch { allow, every }))
}

fn instant(text: &wire::InstantText, key: &Key, reading: &mut Reading<'_>) -> Option<Timestamp> {
    let instant = text.0.parse().ok();
    if instant.is_none() {
        let what = format!("is {}: not an instant with its offset", quoted(&text.0));
        reading.refuse(key, what, "write RFC 3339, for example 2026-08-16T00:00:16Z");
    }
    instant
}
