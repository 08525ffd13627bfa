//! All that the registers said at one time, as one value that is never changed: what was read, from
//! which files, and the records that came of it.

use std::io::Read;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::account::{Account, OnRejection};
use super::authority::carries_siren;
use super::record::{Origin, Record};
use super::regafi::Columns;
use super::{RegisterError, eba, regafi};

/// What the first member of a snapshot's file says.
pub const SNAPSHOT_FORMAT: &str = "octroi register snapshot 1";

/// A register file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SourceFile {
    /// Which register.
    pub origin: Origin,
    /// The file's name, without its directory.
    pub file: String,
    /// SHA-256 of its octets, in hexadecimal.
    pub sha256: String,
    /// When it was published.
    pub as_of: Timestamp,
    /// What became of its rows.
    pub account: Account,
}

/// A snapshot. Its records stand in a fixed order, so that the same files give the same octets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// [`SNAPSHOT_FORMAT`].
    pub format: String,
    /// The files that were read.
    pub sources: Vec<SourceFile>,
    /// The rows that are used.
    pub records: Vec<Record>,
}

/// A file to be read, and when it was published.
pub struct Published<'a> {
    /// Its name, for errors.
    pub file: &'a str,
    /// Its octets.
    pub reader: &'a mut dyn Read,
    /// When it was published.
    pub as_of: Timestamp,
}

impl Snapshot {
    /// Nothing read yet.
    #[must_use]
    pub fn empty() -> Self {
        Self { format: SNAPSHOT_FORMAT.to_owned(), sources: Vec::new(), records: Vec::new() }
    }

    /// Adds one of the EBA's registers; `told` hears of each row that is rejected.
    ///
    /// # Errors
    /// The file is not what it should be, or nobody can be found in it.
    pub fn add_eba(
        &mut self,
        origin: Origin,
        published: Published<'_>,
        told: OnRejection<'_>,
    ) -> Result<(), RegisterError> {
        let mut reader = Hashing::new(published.reader);
        let (records, account) = eba::read(published.file, origin, &mut reader, told)?;
        self.sources.push(source(origin, published.file, reader, published.as_of, account));
        self.take(records);
        Ok(())
    }

    /// Adds REGAFI's two exports.
    ///
    /// # Errors
    /// A file is not what it should be, or nobody can be found in them.
    pub fn add_regafi(
        &mut self,
        entities: Published<'_>,
        authorisations: Published<'_>,
        columns: &Columns,
        told: OnRejection<'_>,
    ) -> Result<(), RegisterError> {
        let (mut first, mut second) =
            (Hashing::new(entities.reader), Hashing::new(authorisations.reader));
        let (records, of_entities, of_authorisations) = regafi::read(
            (entities.file, &mut first),
            (authorisations.file, &mut second),
            columns,
            told,
        )?;
        for (published, reader, account) in
            [(entities.file, first, of_entities), (authorisations.file, second, of_authorisations)]
        {
            let as_of = entities.as_of.min(authorisations.as_of);
            self.sources.push(source(Origin::Regafi, published, reader, as_of, account));
        }
        self.take(records);
        Ok(())
    }

    fn take(&mut self, records: Vec<Record>) {
        self.records.extend(records);
        self.records.sort_unstable();
        // A row that is written twice says nothing more than once.
        self.records.dedup();
        self.records.shrink_to_fit();
    }

    /// Every record that says something about `id`: its own, and for a French firm those under its
    /// SIREN.
    pub fn about(&self, id: &str) -> impl Iterator<Item = &Record> {
        let is_own = move |record: &&Record| record.ids.iter().any(|known| **known == *id);
        let own = self.records.iter().filter(is_own);
        let french = own.clone().filter(|record| record.origin == Origin::Regafi);
        let sirens: Vec<&str> = french.map(|record| &*record.reference).collect();
        let through = move |record: &&Record| {
            carries_siren(record.origin, &record.authority)
                && sirens.contains(&&*record.reference)
                && !record.ids.iter().any(|known| **known == *id)
        };
        own.chain(self.records.iter().filter(through))
    }

    /// When the oldest of its files was published.
    #[must_use]
    pub fn as_of(&self) -> Option<Timestamp> {
        self.sources.iter().map(|source| source.as_of).min()
    }

    /// When the files of one register were published.
    #[must_use]
    pub fn as_of_origin(&self, origin: Origin) -> Option<Timestamp> {
        let of_it = self.sources.iter().filter(|source| source.origin == origin);
        of_it.map(|source| source.as_of).min()
    }
}

fn source(
    origin: Origin,
    file: &str,
    reader: Hashing<'_>,
    as_of: Timestamp,
    account: Account,
) -> SourceFile {
    let name = file.rsplit('/').next().unwrap_or(file).to_owned();
    SourceFile { origin, file: name, sha256: reader.sha256(), as_of, account }
}

/// Hashes what passes.
struct Hashing<'a> {
    reader: &'a mut dyn Read,
    hash: certs::Sha256,
}

impl<'a> Hashing<'a> {
    fn new(reader: &'a mut dyn Read) -> Self {
        Self { reader, hash: certs::Sha256::default() }
    }

    fn sha256(self) -> String {
        let digest = self.hash.finish();
        digest.iter().map(|octet| format!("{octet:02x}")).collect()
    }
}

impl Read for Hashing<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.reader.read(into)?;
        self.hash.update(into.get(..read).unwrap_or_default());
        Ok(read)
    }
}
