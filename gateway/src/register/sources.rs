//! From the files of the registers to a snapshot. A file may be of any size: it is read as a stream,
//! out of its archive where it comes in one.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;
use policies::register::{
    Columns, OnRejection, Origin, Published, RegisterError, Rejection, Snapshot,
};
use thiserror::Error;

use crate::config::{AsOf, DatedFile, EbaPlace, RegisterSettings, TablePlace};

/// Octets of a register, unpacked: four times the EBA's of 2026.
const REGISTER_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Octets of a REGAFI table: ten times those of 2026. A quote that nobody closes makes the rest of a
/// table one field.
const TABLE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Octets of the hash beside a register in its archive.
const SIDECAR_BYTES_MAX: u64 = 1024;
/// What a zip archive begins with.
const ZIP: &[u8] = b"PK\x03\x04";

/// Why no snapshot can be built.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ImportError {
    /// A file is not what it should be.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// A file cannot be read.
    #[error("{file}: {error}")]
    File {
        /// Which.
        file: String,
        /// Why.
        error: io::Error,
    },
    /// Its archive cannot be used.
    #[error("{file}: {why}")]
    Archive {
        /// Which.
        file: String,
        /// Why.
        why: String,
    },
    /// Nothing says when it was published.
    #[error("{0}")]
    Date(String),
    /// Its octets are not those that were published.
    #[error("{file}: its SHA-256 is {found}, and {expected} was published with it")]
    Hash {
        /// Which.
        file: String,
        /// What its octets have.
        found: String,
        /// What was published.
        expected: String,
    },
    /// It has a URL and was never fetched.
    #[error("{0} was not fetched yet. To mend: run `octroi register fetch --config FILE`")]
    NotFetched(String),
}

/// A file that is ready to be read, with its date.
#[derive(Clone, Debug)]
pub(super) struct Part {
    name: String,
    path: PathBuf,
    as_of: Timestamp,
}

/// The files of all registers.
#[derive(Clone, Debug)]
pub struct Parts {
    eba: Option<Part>,
    eba_credit: Option<Part>,
    regafi: Option<(Part, Part, Columns)>,
}

impl Parts {
    /// The files that `settings` name; those that have a URL as `fetched` finds them.
    ///
    /// # Errors
    /// A file has no date, or was never fetched.
    pub fn of(
        settings: &RegisterSettings,
        fetched: impl Fn(&str) -> Option<(PathBuf, Timestamp)>,
    ) -> Result<Self, ImportError> {
        let downloaded = |url: &str| {
            let (path, as_of) = fetched(url).ok_or(ImportError::NotFetched(url.to_owned()))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Ok(Part { name, path, as_of })
        };
        let table = |place: &TablePlace| match place {
            TablePlace::File(file) => Part::of(file),
            TablePlace::Url(url) => downloaded(url),
        };
        Ok(Self {
            eba: match &settings.eba {
                None => None,
                Some(EbaPlace::File(file)) => Some(Part::of(file)?),
                Some(EbaPlace::Url(url)) => Some(downloaded(url)?),
            },
            eba_credit: settings.eba_credit.as_ref().map(Part::of).transpose()?,
            regafi: match &settings.regafi {
                None => None,
                Some(place) => Some((
                    table(&place.entities)?,
                    table(&place.authorisations)?,
                    place.columns.clone(),
                )),
            },
        })
    }

    /// One file alone, as `octroi register lint` is given it.
    #[must_use]
    pub fn one(origin: Origin, path: &Path, as_of: Timestamp) -> Self {
        let name = path.display().to_string();
        let part = Some(Part { name, path: path.to_owned(), as_of });
        let none = Self { eba: None, eba_credit: None, regafi: None };
        match origin {
            Origin::EbaCredit => Self { eba_credit: part, ..none },
            _ => Self { eba: part, ..none },
        }
    }

    /// REGAFI's two tables alone.
    #[must_use]
    pub fn tables(
        entities: &Path,
        authorisations: &Path,
        columns: Columns,
        as_of: Timestamp,
    ) -> Self {
        let part =
            |path: &Path| Part { name: path.display().to_string(), path: path.to_owned(), as_of };
        let regafi = Some((part(entities), part(authorisations), columns));
        Self { eba: None, eba_credit: None, regafi }
    }

    /// Octets of all files, as they are on disk.
    #[must_use]
    pub fn octets(&self) -> u64 {
        let tables = self.regafi.iter().flat_map(|(entities, others, _)| [entities, others]);
        let parts = self.eba.iter().chain(&self.eba_credit).chain(tables);
        parts.filter_map(|part| fs::metadata(&part.path).ok()).map(|meta| meta.len()).sum()
    }
}

impl Part {
    fn of(file: &DatedFile) -> Result<Self, ImportError> {
        let as_of = file.as_of.read().map_err(ImportError::Date)?;
        Ok(Self { name: file.name.clone(), path: file.path.clone(), as_of })
    }
}

/// Reads all parts into one snapshot; `told` hears of each row that is rejected, `passed` of the
/// octets that were read from disk.
///
/// # Errors
/// The first file that cannot be used.
pub fn build(
    parts: &Parts,
    told: OnRejection<'_>,
    passed: &dyn Fn(u64),
) -> Result<Snapshot, ImportError> {
    let mut snapshot = Snapshot::empty();
    for (origin, part) in [(Origin::EbaPayment, &parts.eba), (Origin::EbaCredit, &parts.eba_credit)]
    {
        let Some(part) = part else { continue };
        let expected = opened(part, passed, |reader| {
            let published = Published { file: &part.name, reader, as_of: part.as_of };
            snapshot.add_eba(origin, published, &mut *told).map_err(ImportError::from)
        })?;
        let found = snapshot.sources.last().map(|source| source.sha256.clone()).unwrap_or_default();
        if let Some(expected) = expected
            && expected != found
        {
            return Err(ImportError::Hash { file: part.name.clone(), found, expected });
        }
    }
    if let Some((entities, authorisations, columns)) = &parts.regafi {
        let open = |part: &Part| {
            let file = File::open(&part.path)
                .map_err(|error| ImportError::File { file: part.name.clone(), error })?;
            Ok::<_, ImportError>(Passing { reader: bounded(file, TABLE_BYTES_MAX), passed })
        };
        let (mut first, mut second) = (open(entities)?, open(authorisations)?);
        snapshot.add_regafi(
            Published { file: &entities.name, reader: &mut first, as_of: entities.as_of },
            Published {
                file: &authorisations.name,
                reader: &mut second,
                as_of: authorisations.as_of,
            },
            columns,
            &mut |rejection: &Rejection| told(rejection),
        )?;
    }
    if snapshot.sources.is_empty() {
        return Err(RegisterError::None.into());
    }
    Ok(snapshot)
}

/// Opens a file, or the one register in it when it is an archive, and gives it to `read`. The
/// register's SHA-256 comes back, where the archive holds it.
fn opened(
    part: &Part,
    passed: &dyn Fn(u64),
    read: impl FnOnce(&mut dyn Read) -> Result<(), ImportError>,
) -> Result<Option<String>, ImportError> {
    let failed = |error| ImportError::File { file: part.name.clone(), error };
    let mut file = File::open(&part.path).map_err(failed)?;
    let mut begin = [0; 4];
    let is_zip = file.read_exact(&mut begin).is_ok() && begin == ZIP;
    let file = File::open(&part.path).map_err(failed)?;
    if !is_zip {
        read(&mut Passing { reader: bounded(file, REGISTER_BYTES_MAX), passed })?;
        return Ok(None);
    }
    let useless = |why: String| ImportError::Archive { file: part.name.clone(), why };
    let broken =
        |error: zip::result::ZipError| useless(format!("not a whole zip archive: {error}"));
    let mut archive = zip::ZipArchive::new(BufReader::new(file)).map_err(broken)?;
    let names: Result<Vec<String>, _> =
        archive.file_names().map(|name| name.map(std::borrow::Cow::into_owned)).collect();
    let names = names.map_err(broken)?;
    let of = |end: &'static str| {
        names.iter().filter(move |name| name.to_ascii_lowercase().ends_with(end))
    };
    let mut registers = of(".json");
    let (Some(register), None) = (registers.next(), registers.next()) else {
        return Err(useless("the archive does not hold exactly one .json file".to_owned()));
    };
    let mut expected = None;
    if let Some(sidecar) = of(".sha256").next() {
        let mut text = String::new();
        let entry = archive.by_name(sidecar).map_err(broken)?;
        entry
            .take(SIDECAR_BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(|error| useless(format!("{sidecar}: {error}")))?;
        let digest = text.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
        if digest.len() != 64 || !digest.bytes().all(|octet| octet.is_ascii_hexdigit()) {
            return Err(useless(format!("{sidecar} does not hold a SHA-256")));
        }
        expected = Some(digest);
    }
    let entry = archive.by_name(register).map_err(broken)?;
    read(&mut Passing { reader: bounded(entry, REGISTER_BYTES_MAX), passed })?;
    Ok(expected)
}

/// Ends with an error, not quietly, where there is more than a register may have.
fn bounded<R: Read>(reader: R, octets_max: u64) -> Bounded<R> {
    Bounded { reader, octets_max, left: octets_max }
}

struct Bounded<R> {
    reader: R,
    octets_max: u64,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(into)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            let why = format!("it has more than {} octets", self.octets_max);
            io::Error::new(io::ErrorKind::FileTooLarge, why)
        })?;
        Ok(read)
    }
}

/// Tells how much has passed.
struct Passing<'a, R> {
    reader: R,
    passed: &'a dyn Fn(u64),
}

impl<R: Read> Read for Passing<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(into)?;
        (self.passed)(read as u64);
        Ok(read)
    }
}

/// What changes when somebody puts other files in the place of those that `settings` name.
#[must_use]
pub fn stamps(settings: &RegisterSettings) -> Vec<Option<(u64, SystemTime)>> {
    let eba = settings.eba.iter().filter_map(|place| match place {
        EbaPlace::File(file) => Some(file),
        EbaPlace::Url(_) => None,
    });
    let tables = settings.regafi.iter().flat_map(|place| [&place.entities, &place.authorisations]);
    let tables = tables.filter_map(|place| match place {
        TablePlace::File(file) => Some(file),
        TablePlace::Url(_) => None,
    });
    let files = eba.chain(&settings.eba_credit).chain(tables);
    let stamp = |path: &Path| {
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.len(), metadata.modified().ok()?))
    };
    files
        .flat_map(|file| {
            let beside = match &file.as_of {
                AsOf::Metadata(path) => Some(path.as_path()),
                AsOf::Fixed(_) => None,
            };
            std::iter::once(file.path.as_path()).chain(beside)
        })
        .map(stamp)
        .collect()
}
