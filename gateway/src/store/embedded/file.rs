//! The file of the embedded engine: a redb database, one durable transaction for each write.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use jiff::Timestamp;
use policies::TokenDigest;
use policies::ledger::{Book, Changes, Kind, Pause, Place, Write};
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};

use crate::store::limits::{EMBEDDED_CACHE_BYTES_MAX, EXPIRED_TOKEN_KEPT, SWEEP_RECORDS_MAX};
use crate::store::{Deed, Show, StoreError};

/// SHA-256 of the token → expiry in Unix seconds, and the record in JSON.
const TOKENS: TableDefinition<'_, [u8; 32], (i64, &[u8])> = TableDefinition::new("tokens.v1");

/// (expiry in Unix seconds, SHA-256 of the token): the order in which records are swept.
const EXPIRIES: TableDefinition<'_, (i64, [u8; 32]), ()> = TableDefinition::new("expiries.v1");

/// (kind, name) → the last second for which it is kept, and the record.
const RECORDS: TableDefinition<'_, (&str, [u8; 32]), Row> = TableDefinition::new("records.v1");

type Row = (i64, &'static [u8]);

/// (that second, kind, name): the order in which records are swept.
const RECORD_ENDS: TableDefinition<'_, (i64, &str, [u8; 32]), ()> =
    TableDefinition::new("record_ends.v1");

/// The second of what is never swept.
const FOREVER: i64 = i64::MAX;

#[derive(Debug)]
pub(super) struct StoreFile(Database);

/// How a step ended that was not made.
#[derive(Debug)]
pub(super) enum Undone {
    Damaged(Kind),
    Failed(redb::Error),
}

impl<E: Into<redb::Error>> From<E> for Undone {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl StoreFile {
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let why = |why: String| StoreError::Open { file: path.to_owned(), why };
        if !path.exists() {
            make(path).map_err(|error| why(error.to_string()))?;
        }
        let file = open_private(path).map_err(|error| why(error.to_string()))?;
        let file = StoreFile::of(file).map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => StoreError::InUse { file: path.to_owned() },
            error => why(error.to_string()),
        })?;
        file.make_tables().map_err(|error| why(error.to_string()))?;
        sync_directory(path).map_err(|error| why(error.to_string()))?;
        Ok(file)
    }

    fn of(file: File) -> Result<Self, DatabaseError> {
        let mut database = Database::builder();
        database.set_cache_size(EMBEDDED_CACHE_BYTES_MAX).create_file(file).map(StoreFile)
    }

    pub(super) fn read(&self, digest: &TokenDigest) -> Result<Option<Vec<u8>>, redb::Error> {
        let tokens = self.0.begin_read()?.open_table(TOKENS)?;
        Ok(tokens.get(digest)?.map(|row| row.value().1.to_vec()))
    }

    /// Shows every record.
    pub(super) fn each(&self, mut show: impl FnMut(TokenDigest, &[u8])) -> Result<(), redb::Error> {
        let tokens = self.0.begin_read()?.open_table(TOKENS)?;
        for row in tokens.iter()? {
            let (digest, record) = row?;
            show(digest.value(), record.value().1);
        }
        Ok(())
    }

    /// Durable when it returns.
    pub(super) fn write(
        &self,
        digest: &TokenDigest,
        expires_at: Timestamp,
        json: &[u8],
    ) -> Result<(), redb::Error> {
        let expiry = expires_at.as_second();
        let transaction = self.0.begin_write()?;
        {
            let mut tokens = transaction.open_table(TOKENS)?;
            let mut expiries = transaction.open_table(EXPIRIES)?;
            if let Some(replaced) = tokens.insert(digest, (expiry, json))? {
                expiries.remove((replaced.value().0, *digest))?;
            }
            expiries.insert((expiry, *digest), ())?;
        }
        Ok(transaction.commit()?)
    }

    /// Reads and changes within one transaction; durable when it returns. Gives back the changes.
    pub(super) fn transact(&self, deed: Deed<'_>) -> Result<Changes, Undone> {
        // Most steps only look something up, and need not wait for those who write.
        if self.look_up(&mut *deed)? {
            return Ok(Changes::default());
        }
        let transaction = self.0.begin_write()?;
        let changes = {
            let mut tokens = transaction.open_table(TOKENS)?;
            let mut expiries = transaction.open_table(EXPIRIES)?;
            let mut records = transaction.open_table(RECORDS)?;
            let mut ends = transaction.open_table(RECORD_ENDS)?;
            let changes = step(deed, &tokens, &records)?;
            for Write { place: Place { kind, id }, page } in changes.writes() {
                let (kind, id) = (kind.code(), *id);
                let page = page.as_ref().map(|(page, until)| {
                    (until.map_or(FOREVER, Timestamp::as_second), page.as_slice())
                });
                if kind == Kind::Token.code() {
                    let before = match page {
                        // The sweep adds its own time of grace to a token's expiry.
                        Some((until, page)) => {
                            let expiry =
                                until.saturating_sub_unsigned(EXPIRED_TOKEN_KEPT.as_secs());
                            expiries.insert((expiry, id), ())?;
                            let row = tokens.insert(&id, (expiry, page))?;
                            row.map(|row| (row.value().0, Some(expiry)))
                        }
                        None => tokens.remove(&id)?.map(|row| (row.value().0, None)),
                    };
                    if let Some((before, after)) = before
                        && Some(before) != after
                    {
                        expiries.remove((before, id))?;
                    }
                } else {
                    let before = match page {
                        Some((until, page)) => {
                            ends.insert((until, kind, id), ())?;
                            let row = records.insert((kind, id), (until, page))?;
                            row.map(|row| (row.value().0, Some(until)))
                        }
                        None => records.remove((kind, id))?.map(|row| (row.value().0, None)),
                    };
                    if let Some((before, after)) = before
                        && Some(before) != after
                    {
                        ends.remove((before, kind, id))?;
                    }
                }
            }
            changes
        };
        if !changes.writes().is_empty() {
            transaction.commit()?;
        }
        Ok(changes)
    }

    /// Takes a step within one state of the file; tells whether it changes nothing.
    fn look_up(&self, deed: Deed<'_>) -> Result<bool, Undone> {
        let transaction = self.0.begin_read()?;
        let (tokens, records) = (transaction.open_table(TOKENS)?, transaction.open_table(RECORDS)?);
        Ok(step(deed, &tokens, &records)?.writes().is_empty())
    }

    /// What is remembered of one name.
    pub(super) fn record(&self, place: Place) -> Result<Option<Vec<u8>>, redb::Error> {
        let records = self.0.begin_read()?.open_table(RECORDS)?;
        Ok(records.get((place.kind.code(), place.id))?.map(|row| row.value().1.to_vec()))
    }

    /// Shows every record of a kind other than tokens.
    pub(super) fn each_record(&self, kind: Kind, show: Show<'_>) -> Result<(), redb::Error> {
        let records = self.0.begin_read()?.open_table(RECORDS)?;
        for row in records.range((kind.code(), [0; 32])..=(kind.code(), [u8::MAX; 32]))? {
            let (name, record) = row?;
            show(name.value().1, record.value().1);
        }
        Ok(())
    }

    /// Removes up to [`SWEEP_RECORDS_MAX`] records that need not be kept any more; tells how many.
    pub(super) fn remove_ended(&self, now: Timestamp) -> Result<usize, redb::Error> {
        let due: Vec<(i64, String, [u8; 32])> = {
            let ends = self.0.begin_read()?.open_table(RECORD_ENDS)?;
            let due = ends.range(..(now.as_second(), "", [0; 32]))?.take(SWEEP_RECORDS_MAX);
            due.map(|row| {
                row.map(|(key, _)| {
                    let (end, kind, id) = key.value();
                    (end, kind.to_owned(), id)
                })
            })
            .collect::<Result<_, _>>()?
        };
        if due.is_empty() {
            return Ok(0);
        }
        let transaction = self.0.begin_write()?;
        {
            let mut records = transaction.open_table(RECORDS)?;
            let mut ends = transaction.open_table(RECORD_ENDS)?;
            for (end, kind, id) in &due {
                // A record that was replaced since it was found due has a row of its own.
                if ends.remove((*end, kind.as_str(), *id))?.is_some() {
                    records.remove((kind.as_str(), *id))?;
                }
            }
        }
        transaction.commit()?;
        Ok(due.len())
    }

    /// Removes up to [`SWEEP_RECORDS_MAX`] records that expired long enough ago, and names them.
    pub(super) fn remove_expired(&self, now: Timestamp) -> Result<Vec<TokenDigest>, redb::Error> {
        let kept_since = now.as_second().saturating_sub_unsigned(EXPIRED_TOKEN_KEPT.as_secs());
        let expired = ..(kept_since, [0; 32]);
        let due: Vec<(i64, [u8; 32])> = {
            let expiries = self.0.begin_read()?.open_table(EXPIRIES)?;
            let due = expiries.range(expired)?.take(SWEEP_RECORDS_MAX);
            due.map(|row| row.map(|(key, _)| key.value())).collect::<Result<_, _>>()?
        };
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let transaction = self.0.begin_write()?;
        let mut removed = Vec::with_capacity(due.len());
        {
            let mut tokens = transaction.open_table(TOKENS)?;
            let mut expiries = transaction.open_table(EXPIRIES)?;
            for (expiry, digest) in due {
                // A record that was replaced since it was found due has a row of its own.
                if expiries.remove((expiry, digest))?.is_some() {
                    tokens.remove(&digest)?;
                    removed.push(digest);
                }
            }
        }
        transaction.commit()?;
        Ok(removed)
    }

    pub(super) fn probe(&self) -> Result<(), redb::Error> {
        self.0.begin_read()?.open_table(TOKENS)?;
        Ok(())
    }

    fn make_tables(&self) -> Result<(), redb::Error> {
        let transaction = self.0.begin_write()?;
        transaction.open_table(TOKENS)?;
        transaction.open_table(EXPIRIES)?;
        transaction.open_table(RECORDS)?;
        transaction.open_table(RECORD_ENDS)?;
        Ok(transaction.commit()?)
    }
}

/// Makes a database under another name first: one that was cut short while it was being made could
/// never be opened. Whoever was faster wins.
fn make(path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
    let new = tempfile::NamedTempFile::new_in(directory.unwrap_or(Path::new(".")))?;
    drop(StoreFile::of(new.reopen()?)?);
    match new.persist_noclobber(path) {
        Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => Err(error.error.into()),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Readable and writable by its owner only, also when it was there with wider rights.
fn open_private(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(OWNER_ONLY)
        .open(path)?;
    file.set_permissions(Permissions::from_mode(OWNER_ONLY))?;
    Ok(file)
}

/// Makes the name of a new file as durable as its content.
fn sync_directory(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => File::open(directory)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

const OWNER_ONLY: u32 = 0o600;

/// What a step changes, once it was shown every record that it asks for.
fn step(
    deed: Deed<'_>,
    tokens: &impl ReadableTable<[u8; 32], Row>,
    records: &impl ReadableTable<(&'static str, [u8; 32]), Row>,
) -> Result<Changes, Undone> {
    let mut pages = HashMap::new();
    loop {
        let unread = match deed(&Book::new(&pages)) {
            Ok(changes) => return Ok(changes),
            Err(Pause::Damaged(kind)) => return Err(Undone::Damaged(kind)),
            Err(Pause::Unread(unread)) => unread,
        };
        for place in unread {
            let page = match place.kind {
                Kind::Token => tokens.get(&place.id)?.map(|row| row.value().1.to_vec()),
                kind => {
                    let row = records.get((kind.code(), place.id))?;
                    row.map(|row| row.value().1.to_vec())
                }
            };
            pages.insert(place, page);
        }
    }
}

#[cfg(test)]
mod tests {
    use redb::ReadableTableMetadata;

    use super::*;

    #[test]
    fn a_record_that_is_removed_leaves_no_row_behind() {
        let directory = tempfile::tempdir().unwrap();
        let file = StoreFile::open(&directory.path().join("store.redb")).unwrap();
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        for kind in [Kind::Standing, Kind::Token] {
            let place = Place::new(kind, [1; 32]);
            let (mut kept, mut put, mut removed) =
                (Changes::default(), Changes::default(), Changes::default());
            kept.keep(place, b"for ever".to_vec());
            put.put(place, b"for a while".to_vec(), at(2_000_000));
            removed.remove(place);
            for first in [&kept, &put] {
                for last in [&kept, &put] {
                    for changes in [first, last, &removed] {
                        file.transact(&mut |_| Ok(changes.clone())).unwrap();
                    }
                    let read = file.0.begin_read().unwrap();
                    assert_eq!(read.open_table(RECORD_ENDS).unwrap().len().unwrap(), 0);
                    assert_eq!(read.open_table(EXPIRIES).unwrap().len().unwrap(), 0);
                }
            }
        }
    }
}
