//! `[audit]`: where the access log goes, what a line of it survives, and its two keys: the one that
//! hides people, and the one that signs.

use std::path::PathBuf;
use std::time::Duration;

use openssl::pkey::{Id, PKey};

use super::key::Key;
use super::limits::{AUDIT_KEEP_MIN, AUDIT_KEY_BYTES, SECRET_BYTES_MAX};
use super::reading::Reading;
use super::secret::Secret;
use super::wire;

/// The access log.
#[derive(Clone, Debug)]
pub struct AuditSettings {
    /// Directory of the log.
    pub directory: PathBuf,
    /// 32 bytes: the HMAC key of PSUs and IBANs.
    pub key: Secret,
    /// PEM of the Ed25519 key that signs; one is made in the directory where there is none.
    pub signing_key: Option<Secret>,
    /// Records that may wait for the disk.
    pub queue_records_max: usize,
    /// When a line counts as written.
    pub durability: Durability,
    /// What becomes of requests while the log cannot be written.
    pub when_unwritable: WhenUnwritable,
    /// Lines between two checkpoints at most.
    pub checkpoint_records: u64,
    /// How long a line waits for a checkpoint at most.
    pub checkpoint_every: Duration,
    /// Bytes of a file, roughly.
    pub file_bytes_max: u64,
    /// Whether closed files are compressed.
    pub compress: bool,
    /// How long files are kept after their day; for ever where it is not said.
    pub keep_for: Option<Duration>,
}

/// When a line counts as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// When the operating system has it.
    Process,
    /// When the disk has it.
    Fsync,
}

/// What becomes of requests while the log cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenUnwritable {
    /// They are refused.
    Refuse,
    /// They go on, and records may be lost.
    ContinueAndAlarm,
}

impl AuditSettings {
    pub(super) fn read(wire: &wire::Audit, key: &Key, reading: &mut Reading<'_>) -> Option<Self> {
        let place = key.child("key_file");
        let secret = wire.key_file.as_deref().and_then(|path| audit_key(path, &place, reading));
        let place = key.child("signing_key_file");
        let signing_key = match wire.signing_key_file.as_deref() {
            Some(path) => signing_key(path, &place, reading).map(Some),
            None => Some(None),
        };
        let checkpoint_every =
            reading.duration(&key.child("checkpoint_every"), &wire.checkpoint_every);
        let keep_for = match &wire.keep_for {
            Some(text) => keep_for(text, &key.child("keep_for"), reading).map(Some),
            None => Some(None),
        };
        let when_unwritable = match wire.when_unwritable {
            wire::WhenUnwritable::Refuse => WhenUnwritable::Refuse,
            wire::WhenUnwritable::ContinueAndAlarm => {
                let what =
                    "while the log cannot be written, requests go on and may leave no record";
                reading.warn(&key.child("when_unwritable"), what);
                WhenUnwritable::ContinueAndAlarm
            }
        };
        let directory = wire.directory.as_deref().map(|path| reading.path(path));
        let place = key.child("directory");
        if let Some(path) = directory.as_ref().filter(|path| path.exists() && !path.is_dir()) {
            let what = format!("{} is not a directory", path.display());
            reading.refuse(&place, what, "name a directory that only the audit log uses");
            return None;
        }
        Some(Self {
            directory: directory?,
            key: secret?,
            signing_key: signing_key?,
            queue_records_max: usize::try_from(wire.queue_records_max).ok()?,
            durability: match wire.durability {
                wire::Durability::Process => Durability::Process,
                wire::Durability::Fsync => Durability::Fsync,
            },
            when_unwritable,
            checkpoint_records: wire.checkpoint_records,
            checkpoint_every: checkpoint_every?,
            file_bytes_max: wire.file_bytes_max,
            compress: wire.compress,
            keep_for: keep_for?,
        })
    }
}

/// 32 bytes, raw or as hexadecimal digits with white space around them.
fn audit_key(path: &str, key: &Key, reading: &mut Reading<'_>) -> Option<Secret> {
    let secret = reading.secret_file(key, path, SECRET_BYTES_MAX)?;
    if secret.expose().len() == AUDIT_KEY_BYTES {
        return Some(secret);
    }
    match hex::decode(secret.expose().trim_ascii()) {
        Ok(bytes) if bytes.len() == AUDIT_KEY_BYTES => Some(Secret::new(bytes)),
        _ => {
            reading.refuse(
                key,
                format!("does not hold {AUDIT_KEY_BYTES} bytes"),
                "make it with `openssl rand -hex 32`",
            );
            None
        }
    }
}

/// PKCS #8 in PEM, Ed25519 and nothing else.
fn signing_key(path: &str, key: &Key, reading: &mut Reading<'_>) -> Option<Secret> {
    let secret = reading.secret_file(key, path, SECRET_BYTES_MAX)?;
    // Without a callback OpenSSL would ask for the pass phrase on the terminal and wait.
    let private = PKey::private_key_from_pem_callback(secret.expose(), |_| Ok(0));
    if private.is_ok_and(|private| private.id() == Id::ED25519) {
        return Some(secret);
    }
    reading.refuse(
        key,
        "holds no Ed25519 key",
        "make it with `openssl genpkey -algorithm ed25519`, without a pass phrase",
    );
    None
}

fn keep_for(text: &wire::DurationText, key: &Key, reading: &mut Reading<'_>) -> Option<Duration> {
    let keep_for = reading.duration(key, text)?;
    if keep_for < AUDIT_KEEP_MIN {
        let what = "is less than a day: files of the day before would be gone by noon";
        reading.refuse(key, what, "write what the law asks for, for example \"43800h\" (5 years)");
        return None;
    }
    Some(keep_for)
}
