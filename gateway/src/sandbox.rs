//! The sandbox: everything that a TPP developer needs on one machine, nothing installed: a test
//! QTSP, TPPs good and bad, registers, a bank with fictional people, and the configuration that
//! ties them to the real gateway.
//!
//! A start goes: [`prepare`] the directory → bind the listeners → [`Prepared::set_addresses`] →
//! load [`Prepared::config_file`] as any configuration → serve, with [`bank::serve`] as the upstream
//! of each codetab → [`Prepared::announce`] → print [`Prepared::banner`].

pub mod bank;
mod banner;
pub mod client;
mod clients;
mod configuration;
pub mod customers;
mod directory;
mod files;
mod material;
pub mod persona;
mod provision;
mod ready;
mod registers;
mod token;
mod tpp;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use thiserror::Error;

pub use banner::Banner;
pub use clients::{CALLBACK_PATH, ClientsError, enrol};
pub use persona::{Account, Persona};
pub use provision::{Prepared, prepare};
pub use ready::{Ready, ReadyFile};
pub use token::{FlowError, TokenResponse};
pub use tpp::{Fault, Keys, Tpp};

/// The domain of the sandbox. It resolves to the loopback address by itself (RFC 6761 §6.3).
pub const DOMAIN: &str = "sandbox.api.localhost";
/// Where a sandbox lives when nobody says otherwise.
pub const DIRECTORY_DEFAULT: &str = ".octroi-sandbox";

/// The ports of a sandbox; 0 takes any that is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// TPP traffic.
    pub tpp: u16,
    /// PSU traffic.
    pub psu: u16,
    /// Metrics, health and administration.
    pub admin: u16,
}

impl Ports {
    /// The ports that the documentation shows.
    pub const DOCUMENTED: Self = Self { tpp: 8443, psu: 8444, admin: 9443 };
}

/// The addresses of the three listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// TPP traffic.
    pub tpp: SocketAddr,
    /// PSU traffic.
    pub psu: SocketAddr,
    /// Metrics, health and administration.
    pub admin: SocketAddr,
}

impl From<Ports> for Addresses {
    /// On the loopback address: a sandbox is for one machine.
    fn from(Ports { tpp, psu, admin }: Ports) -> Self {
        let [tpp, psu, admin] = [tpp, psu, admin].map(|port| (Ipv4Addr::LOCALHOST, port).into());
        Self { tpp, psu, admin }
    }
}

/// Why there is no sandbox in a directory.
#[derive(Debug, Error)]
pub enum SandboxError {
    /// The directory holds what looks like a sandbox, or like production, without our marker.
    #[error(
        "{} is not a sandbox, but {} is there. To mend: name another directory with --dir",
        dir.display(),
        file.display()
    )]
    Foreign {
        /// The directory that was given.
        dir: PathBuf,
        /// What would have been overwritten.
        file: PathBuf,
    },
    /// Another process runs a sandbox there.
    #[error("a sandbox is running in {}. To mend: stop it, or name another --dir", dir.display())]
    InUse {
        /// The directory that was given.
        dir: PathBuf,
    },
    /// A file of the sandbox resists.
    #[error("{} cannot be {doing}: {source}", file.display())]
    File {
        /// "read", "written"…
        doing: &'static str,
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// `octroi.toml` was changed into something that cannot be brought up to date.
    #[error(
        "{} {why}. To mend: correct it, or begin anew with --reset",
        file.display()
    )]
    Configuration {
        /// The configuration.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A key, a certificate or a list could not be made.
    #[error("{what} cannot be made: {why}")]
    Material {
        /// The file, relative to the directory.
        what: String,
        /// What the library says.
        why: String,
    },
}

impl SandboxError {
    fn material(what: impl Into<String>, why: &impl ToString) -> Self {
        Self::Material { what: what.into(), why: why.to_string() }
    }
}
