//! The registers of the sandbox, in the shapes in which the EBA and the ACPR publish theirs: who of
//! its TPPs is authorised for what, among records that do not matter.

use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use super::SandboxError;
use super::files::{self, Access};

const EBA: &[u8] = include_bytes!("template/register/eba.json");
const REGAFI_ENTITIES: &[u8] = include_bytes!("template/register/regafi-entites.csv");
const REGAFI_AUTHORISATIONS: &[u8] = include_bytes!("template/register/regafi-autorisations.csv");

/// The `filemetadata.json` that the EBA publishes beside its register. Only its timestamp means
/// something here: there is no archive.
#[derive(Serialize)]
struct EbaMetadata {
    latest_version_relative_zip_path: String,
    latest_version_relative_zip_size: String,
    sha256_hash: String,
    timestamp: String,
    golden_copy_path_context: &'static str,
}

impl EbaMetadata {
    fn of(register: &[u8], now: Timestamp) -> Self {
        let day = now.strftime("%Y%m%d");
        Self {
            latest_version_relative_zip_path: format!("{day}/sandbox-{day}0000.zip"),
            latest_version_relative_zip_size: register.len().to_string(),
            sha256_hash: hex::encode(certs::sha256(register)),
            timestamp: now.strftime("%a %b %d %H:%M:%S UTC %Y").to_string(),
            golden_copy_path_context: "https://register.sandbox.api.localhost/downloads/",
        }
    }
}

/// Writes the registers into `directory`, where they are missing.
pub(super) fn provide(directory: &Path, now: Timestamp) -> Result<(), SandboxError> {
    files::directory(directory)?;
    let metadata = serde_json::to_vec(&EbaMetadata::of(EBA, now))
        .map_err(|fault| SandboxError::material("register/eba.metadata.json", &fault))?;
    for (name, bytes) in [
        ("eba.json", EBA),
        ("eba.metadata.json", metadata.as_slice()),
        ("regafi-entites.csv", REGAFI_ENTITIES),
        ("regafi-autorisations.csv", REGAFI_AUTHORISATIONS),
    ] {
        let file = directory.join(name);
        if !file.exists() {
            files::write(&file, bytes, Access::Public)?;
        }
    }
    Ok(())
}
