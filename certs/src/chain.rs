//! The path from a certificate to an anchor (RFC 5280 §6).
//!
//! OpenSSL alone takes the first issuer that fits by name; a TPP that sends its chain in another
//! order, an old cross-certificate beside the good one, or none at all is then refused. So the paths
//! are searched here, within bounds, and OpenSSL verifies each that was found.

pub(crate) mod search;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use jiff::Timestamp;
use thiserror::Error;

use crate::anchors::Anchors;
use crate::leaf::{Leaf, LeafError};
use crate::limits::{PATH_CANDIDATES_MAX, PATH_STEPS_MAX, SENT_BYTES_MAX, SENT_CERTIFICATES_MAX};

/// Names a CA: SHA-256 of its encoded name and public key.
pub type IssuerId = [u8; 32];

/// Proof of a path from a leaf to an anchor, of which every signature and constraint was verified.
/// Whether it is valid now, and not revoked, is asked at each request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trusted {
    anchor_subject: Box<str>,
    not_before: Timestamp,
    not_after: Timestamp,
    links: Box<[Link]>,
}

/// One certificate of a path below the anchor, by what its issuer knows it by.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Link {
    /// Who issued it.
    pub issuer: IssuerId,
    /// Its serial number, as encoded.
    pub serial: Box<[u8]>,
    /// The certificate of who issued it.
    pub issuer_certificate: Arc<Leaf>,
}

impl Trusted {
    /// The anchor's subject, for a person to read.
    pub fn anchor_subject(&self) -> &str {
        &self.anchor_subject
    }

    /// The first instant at which all of the path is valid.
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// The last instant at which all of the path is valid.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// The path below the anchor, the leaf first.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// SHA-256 of the anchor's certificate.
    pub fn anchor_fingerprint(&self) -> Option<&[u8; 32]> {
        self.links.last().map(|link| link.issuer_certificate.fingerprint())
    }

    fn is_valid_at(&self, now: Timestamp) -> bool {
        self.not_before <= now && now <= self.not_after
    }
}

/// Why no path leads from a certificate to an anchor.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ChainFault {
    /// The certificate itself cannot be read.
    #[error("{0}")]
    Unreadable(LeafError),
    /// More beside the leaf than any chain has.
    #[error(
        "more than {SENT_CERTIFICATES_MAX} certificates or {SENT_BYTES_MAX} octets were sent \
         beside it"
    )]
    TooMuchSent,
    /// Nobody we know issued it.
    #[error(
        "no trusted QTSP issued it, nor any certificate that was sent with it (its issuer is \
         {issuer}); send the intermediate certificates along"
    )]
    NoPath {
        /// The issuer that it names.
        issuer: String,
    },
    /// The names fit, the signatures or constraints do not.
    #[error("its path to a trusted QTSP does not hold: {why}")]
    NotVerified {
        /// What OpenSSL said about the last path tried.
        why: String,
    },
    /// A lattice of certificates made to be searched for ever.
    #[error(
        "its path was given up after {PATH_STEPS_MAX} steps or {PATH_CANDIDATES_MAX} candidates"
    )]
    TooTangled,
}

impl Anchors {
    /// Finds a path from `leaf` over any of the certificates `sent` beside it, in whatever order,
    /// to an anchor. A path that is valid at `now` is preferred.
    ///
    /// # Errors
    /// No path was found, or none that holds.
    pub fn find_path(
        &self,
        leaf: &Leaf,
        sent: &[Vec<u8>],
        now: Timestamp,
    ) -> Result<Trusted, ChainFault> {
        let bytes = sent.iter().fold(0_usize, |sum, der| sum.saturating_add(der.len()));
        if sent.len() > SENT_CERTIFICATES_MAX || bytes > SENT_BYTES_MAX {
            return Err(ChainFault::TooMuchSent);
        }
        search::Search::new(self, leaf, sent, now).run()
    }
}
