//! The file of the embedded engine: a redb database, one durable transaction for each write.

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use jiff::Timestamp;
use policies::TokenDigest;
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};

use crate::store::StoreError;
use crate::store::limits::{EMBEDDED_CACHE_BYTES_MAX, EXPIRED_TOKEN_KEPT, SWEEP_RECORDS_MAX};

/// SHA-256 of the token → expiry in Unix seconds, and the record in JSON.
const TOKENS: TableDefinition<'_, [u8; 32], (i64, &[u8])> = TableDefinition::new("tokens.v1");

/// (expiry in Unix seconds, SHA-256 of the token): the order in which records are swept.
const EXPIRIES: TableDefinition<'_, (i64, [u8; 32]), ()> = TableDefinition::new("expiries.v1");

#[derive(Debug)]
pub(super) struct TokenFile(Database);

impl TokenFile {
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let why = |why: String| StoreError::Open { file: path.to_owned(), why };
        let file = open_private(path).map_err(|error| why(error.to_string()))?;
        let database = Database::builder()
            .set_cache_size(EMBEDDED_CACHE_BYTES_MAX)
            .create_file(file)
            .map_err(|error| match error {
                DatabaseError::DatabaseAlreadyOpen => StoreError::InUse { file: path.to_owned() },
                error => why(error.to_string()),
            })?;
        let file = TokenFile(database);
        file.make_tables().map_err(|error| why(error.to_string()))?;
        sync_directory(path).map_err(|error| why(error.to_string()))?;
        Ok(file)
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

    /// Durable when it returns. True when there was such a token.
    pub(super) fn remove(&self, digest: &TokenDigest) -> Result<bool, redb::Error> {
        let transaction = self.0.begin_write()?;
        let removed = {
            let mut tokens = transaction.open_table(TOKENS)?;
            let mut expiries = transaction.open_table(EXPIRIES)?;
            match tokens.remove(digest)? {
                Some(removed) => expiries.remove((removed.value().0, *digest))?.is_some(),
                None => false,
            }
        };
        transaction.commit()?;
        Ok(removed)
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
        Ok(transaction.commit()?)
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
