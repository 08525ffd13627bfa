//! A test QTSP: it issues QWACs and QSEALCs as real ones do, and bad ones for every rule of this
//! crate. Nobody should trust it: its CAs carry the organisation "Octroi Test QTSP", and a
//! configuration with a real domain refuses them as anchors.

mod authority;
pub mod corpus;
mod der;
mod draft;
mod extensions;
mod recipe;
pub mod responder;
mod statements;
#[cfg(test)]
mod tests;

use thiserror::Error;

pub use authority::{Authority, Issued};
pub use recipe::{Defect, KeyKind, Kind, Recipe};

/// Why a certificate, key or list could not be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum QtspError {
    /// OpenSSL refused.
    #[error("OpenSSL cannot make it: {0}")]
    OpenSsl(#[from] openssl::error::ErrorStack),
    /// A validity outside what a certificate can say.
    #[error("the instant {0} cannot stand in a certificate")]
    Instant(jiff::Timestamp),
    /// A text too long or odd for DER.
    #[error("{0} cannot be encoded")]
    Encoding(&'static str),
    /// A stored authority without one of its four parts.
    #[error("the stored QTSP lacks {0}; remove it, and a new one is made")]
    Incomplete(&'static str),
}
