//! Who writes the log: the name of this gateway, and the key that it signs with.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::chain::SigningKey;
use super::file::{self, Author};
use super::log::AuditError;
use super::pseudonyms::Pseudonyms;
use crate::config::AuditSettings;

/// The key that was made here.
const KEY_FILE: &str = "signing-key.pem";
const HOST_NAME: &str = "/proc/sys/kernel/hostname";
/// Only its owner reads a key.
const KEY_MODE: u32 = 0o600;

/// Who writes by these settings. Makes the directory, and a key where none is named.
pub(super) fn of(settings: &AuditSettings, people: &Pseudonyms) -> Result<Author, AuditError> {
    let directory = &settings.directory;
    let open = |source| AuditError::Open { path: directory.clone(), source };
    std::fs::create_dir_all(directory).map_err(open)?;
    let fault = |place: String| move |source| AuditError::SigningKey { place, source };
    let key = match &settings.signing_key {
        Some(pem) => SigningKey::from_pem(pem.expose())
            .map_err(fault("audit.signing_key_file".to_owned()))?,
        None => {
            let pem = own_key(directory).map_err(open)?;
            let place = directory.join(KEY_FILE);
            SigningKey::from_pem(&pem).map_err(fault(place.display().to_string()))?
        }
    };
    let host = std::fs::read_to_string(HOST_NAME).unwrap_or_default();
    let gateway = format!("{}/{}", host.trim(), uuid::Uuid::now_v7().simple());
    Ok(Author { gateway, key, hmac_key: people.key_id().to_owned() })
}

/// The PEM of the key in the directory; it is made by whoever comes first.
fn own_key(directory: &Path) -> io::Result<Vec<u8>> {
    let _lock = file::lock(directory)?;
    let path = directory.join(KEY_FILE);
    match std::fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => return other,
    }
    let pem = SigningKey::generate().and_then(|key| key.to_pem()).map_err(io::Error::other)?;
    let fresh = path.with_extension("pem.part");
    let options = OpenOptions::new().create(true).truncate(true).write(true).mode(KEY_MODE).clone();
    let mut file = options.open(&fresh)?;
    file.write_all(&pem)?;
    file.sync_all()?;
    std::fs::rename(&fresh, &path)?;
    Ok(pem)
}
