//! `octroi sandbox token`: gets a token from the sandbox that runs in a directory.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use certs::Leaf;
use thiserror::Error;

use super::SandboxError;
use super::files;
use super::persona::Persona;
use super::ready::Ready;
use super::token::{FlowError, TokenRequest, TokenResponse, flow};

/// Gets a token for one of the TPPs of the sandbox in `dir`, as if `persona` had consented.
///
/// # Errors
/// The TPP is not one of the sandbox, no sandbox is running there, or it refuses.
pub async fn request_token(
    dir: &Path,
    tpp: &str,
    persona: Persona,
    scope: &str,
    codetab: Option<&str>,
) -> Result<TokenResponse, TokenError> {
    let not_running = || TokenError::NotRunning { dir: dir.to_owned() };
    let ready = Ready::read(dir)?.ok_or_else(not_running)?;
    let client_id = organisation_id(dir, tpp)?;
    let request = TokenRequest {
        tpp: &dir.join("tpp").join(tpp),
        client_id: &client_id,
        persona,
        scope,
        codetab: codetab.unwrap_or_else(|| persona.codetab()),
    };
    flow(dir, &ready, request).await.map_err(|error| match error {
        FlowError::Unreachable(source) if source.is_connect() => {
            TokenError::Unreachable { dir: dir.to_owned(), address: ready.psu, source }
        }
        error => TokenError::Refused(error),
    })
}

/// The organisation id in the QWAC of a TPP. The certificate is asked, not our table, so that a TPP
/// which was added to the directory by hand works as well.
fn organisation_id(dir: &Path, tpp: &str) -> Result<String, TokenError> {
    let all = dir.join("tpp");
    let known = known(&all).map_err(|source| SandboxError::File {
        doing: "read",
        file: all.clone(),
        source,
    })?;
    // Only a name that the directory listing gave is made a path.
    if !known.iter().any(|name| name == tpp) {
        return Err(TokenError::UnknownTpp { tpp: tpp.to_owned(), known: known.join(", ") });
    }
    let file = all.join(tpp).join("qwac.pem");
    let pem = files::read(&file)?.unwrap_or_default();
    let leaf = Leaf::from_pem(&pem).ok().map(|(leaf, _)| leaf);
    let ids = leaf.as_ref().map(Leaf::organisation_ids).unwrap_or_default();
    let id = ids.iter().find_map(|id| id.text.clone());
    id.map(String::from).ok_or(TokenError::Anonymous { file })
}

fn known(all: &Path) -> io::Result<Vec<String>> {
    let mut known = Vec::new();
    for entry in all.read_dir()? {
        let entry = entry?;
        if entry.file_type()?.is_dir()
            && let Ok(name) = entry.file_name().into_string()
        {
            known.push(name);
        }
    }
    known.sort();
    Ok(known)
}

/// Why there is no token. No variant shows a key or a token.
#[derive(Debug, Error)]
pub enum TokenError {
    /// There is no such directory under `tpp/`.
    #[error("there is no TPP {tpp:?} in this sandbox. To mend: name one of {known}")]
    UnknownTpp {
        /// The name that was given.
        tpp: String,
        /// Those that exist.
        known: String,
    },
    /// The certificate names nobody.
    #[error(
        "{}: no organisation id in it, so no token can be bound to its TPP. To mend: issue it with \
         one (octroi cert issue)",
        file.display()
    )]
    Anonymous {
        /// The certificate.
        file: PathBuf,
    },
    /// No `ready.json`, or no key beside it.
    #[error(
        "no sandbox is running in {0}. To mend: start it with `octroi sandbox --dir {0}`",
        dir.display()
    )]
    NotRunning {
        /// The directory that was given.
        dir: PathBuf,
    },
    /// `ready.json` is there, but nobody answers.
    #[error(
        "the sandbox in {0} does not answer at {address}: {source}. To mend: start it again with \
         `octroi sandbox --dir {0}`",
        dir.display()
    )]
    Unreachable {
        /// The directory that was given.
        dir: PathBuf,
        /// The admin listener of which `ready.json` tells.
        address: SocketAddr,
        /// What the connection says.
        source: reqwest::Error,
    },
    /// It answers, but not with a token.
    #[error("the sandbox gives no token: {0}")]
    Refused(FlowError),
    /// The directory cannot be read.
    #[error(transparent)]
    Directory(#[from] SandboxError),
}
