//! `[audit]`: where the access log goes, and the key that hides people in it.

use std::path::PathBuf;

use super::key::Key;
use super::limits::{AUDIT_KEY_BYTES, SECRET_BYTES_MAX};
use super::reading::Reading;
use super::secret::Secret;
use super::wire;

/// The access log.
#[derive(Clone, Debug)]
pub struct AuditSettings {
    /// Directory of the `.jsonl` files.
    pub directory: PathBuf,
    /// 32 bytes: the HMAC key of PSUs and IBANs.
    pub key: Secret,
    /// Records that may wait for the disk.
    pub queue_records_max: usize,
}

impl AuditSettings {
    pub(super) fn read(wire: &wire::Audit, key: &Key, reading: &mut Reading<'_>) -> Option<Self> {
        let place = key.child("key_file");
        let secret = wire.key_file.as_deref().and_then(|path| audit_key(path, &place, reading));
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
            queue_records_max: usize::try_from(wire.queue_records_max).ok()?,
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
