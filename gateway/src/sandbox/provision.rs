//! Fills the directory of a sandbox: what is missing is made, what is about to expire is made anew,
//! and everything else stays as it is.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::banner::Banner;
use super::directory::Directory;
use super::files::{self, Access};
use super::ready::{Ready, ReadyFile};
use super::{Addresses, Ports, SandboxError};
use super::{configuration, material, ready, registers};

/// Random bytes of `admin.key` and `audit.key`; they are written as hexadecimal digits.
const KEY_BYTES: usize = 32;

/// Takes the directory of a sandbox and fills it; `reset` begins anew. `ports` may have zeros: see
/// [`Prepared::set_addresses`].
///
/// # Errors
/// The directory is somebody else's or in use, or a file in it cannot be read, made or written.
pub fn prepare(
    dir: &Path,
    ports: Ports,
    reset: bool,
    now: Timestamp,
) -> Result<Prepared, SandboxError> {
    let directory = Directory::take(dir, reset)?;
    // Whoever wrote it was killed: this process holds the directory.
    ready::forget(directory.path())?;
    for name in ["admin.key", "audit.key"] {
        secret(&directory.join(name))?;
    }
    files::directory(&directory.join("audit"))?;
    registers::provide(&directory.join("register"), now)?;
    let prepared = Prepared { directory, wanted: ports.into() };
    let config_file = prepared.config_file();
    configuration::provide(&config_file, now)?;
    configuration::set_addresses(&config_file, prepared.wanted)?;
    let host_names = configuration::host_names(&config_file)?;
    material::provide(prepared.dir(), &host_names, now)?;
    Ok(prepared)
}

fn secret(file: &Path) -> Result<(), SandboxError> {
    if file.exists() {
        return Ok(());
    }
    let mut bytes = [0; KEY_BYTES];
    openssl::rand::rand_bytes(&mut bytes)
        .map_err(|fault| SandboxError::material(file.display().to_string(), &fault))?;
    files::write(file, hex::encode(bytes).as_bytes(), Access::Owner)
}

/// A sandbox directory with everything in it, held by this process until the value is dropped.
#[derive(Debug)]
pub struct Prepared {
    directory: Directory,
    wanted: Addresses,
}

impl Prepared {
    /// The directory, absolute.
    pub fn dir(&self) -> &Path {
        self.directory.path()
    }

    /// The configuration to load.
    pub fn config_file(&self) -> PathBuf {
        self.directory.join("octroi.toml")
    }

    /// Where to listen; a port may be 0.
    pub fn wanted(&self) -> Addresses {
        self.wanted
    }

    /// Writes the addresses that the listeners really got into the configuration. To be called
    /// between binding and loading, since URLs in answers follow from it.
    ///
    /// # Errors
    /// The configuration was changed so that it has no place for them, or cannot be written.
    pub fn set_addresses(&self, addresses: Addresses) -> Result<(), SandboxError> {
        configuration::set_addresses(&self.config_file(), addresses)
    }

    /// Says to others that every listener answers, by `ready.json`, until the value is dropped.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn announce(&self, addresses: Addresses) -> Result<ReadyFile, SandboxError> {
        Ready::new(addresses).publish(self.dir())
    }

    /// What to print then; `program` is the running binary (`std::env::current_exe`).
    pub fn banner<'a>(&'a self, addresses: Addresses, program: &'a Path) -> Banner<'a> {
        Banner { ready: Ready::new(addresses), dir: self.dir(), program }
    }
}
