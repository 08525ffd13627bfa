//! `ready.json`: the sign by which others know that every listener of the sandbox answers.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files::{self, Access};
use super::{Addresses, DOMAIN, SandboxError};

const FILE: &str = "ready.json";

/// What `ready.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// Where TPPs call.
    pub tpp: SocketAddr,
    /// Where PSUs come.
    pub psu: SocketAddr,
    /// Metrics, health and administration.
    pub admin: SocketAddr,
    /// The domain under which the codetab hosts are.
    pub domain: String,
    /// The process that answers.
    pub pid: u32,
}

impl Ready {
    /// This process, at these addresses.
    pub fn new(addresses: Addresses) -> Self {
        let Addresses { tpp, psu, admin } = addresses;
        Self { tpp, psu, admin, domain: DOMAIN.to_owned(), pid: std::process::id() }
    }

    /// What the sandbox in `dir` says; `None` when none is running there.
    pub(super) fn read(dir: &Path) -> Result<Option<Self>, SandboxError> {
        let file = dir.join(FILE);
        let Some(bytes) = files::read(&file)? else { return Ok(None) };
        let ready = serde_json::from_slice(&bytes);
        ready.map(Some).map_err(|fault| SandboxError::File {
            doing: "understood",
            file,
            source: fault.into(),
        })
    }

    pub(super) fn publish(&self, dir: &Path) -> Result<ReadyFile, SandboxError> {
        let file = dir.join(FILE);
        let text =
            serde_json::to_vec(self).map_err(|fault| SandboxError::material(FILE, &fault))?;
        files::write(&file, &text, Access::Public)?;
        Ok(ReadyFile(file))
    }
}

/// Removes what a process left that was killed. The caller holds the directory.
pub(super) fn forget(dir: &Path) -> Result<(), SandboxError> {
    files::remove(&dir.join(FILE))
}

/// `ready.json` is there for as long as this value is.
#[must_use = "dropping it says that the sandbox is gone"]
#[derive(Debug)]
pub struct ReadyFile(PathBuf);

impl Drop for ReadyFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::warn!(file = %self.0.display(), %error, "ready file stays behind");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ready() -> Ready {
        let [tpp, psu, admin] = [8443, 8444, 9443].map(|port| ([127, 0, 0, 1], port).into());
        Ready::new(Addresses { tpp, psu, admin })
    }

    #[test]
    fn the_file_has_the_fields_that_others_rely_on() {
        let dir = tempfile::tempdir().unwrap();
        let _file = ready().publish(dir.path()).unwrap();
        let text = fs::read(dir.path().join("ready.json")).unwrap();
        let expected = json!({
            "tpp": "127.0.0.1:8443",
            "psu": "127.0.0.1:8444",
            "admin": "127.0.0.1:9443",
            "domain": "sandbox.api.localhost",
            "pid": std::process::id(),
        });
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&text).unwrap(), expected);
    }

    #[test]
    fn the_file_goes_when_the_sandbox_goes() {
        let dir = tempfile::tempdir().unwrap();
        let file = ready().publish(dir.path()).unwrap();
        assert_eq!(Ready::read(dir.path()).unwrap(), Some(ready()));
        drop(file);
        assert_eq!(Ready::read(dir.path()).unwrap(), None);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
