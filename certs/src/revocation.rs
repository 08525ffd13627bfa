//! What issuers have revoked, from their certificate revocation lists (RFC 5280 §5).
//!
//! A list counts when the anchor that it names signed it, and until its nextUpdate. Where no list
//! counts the answer is "unknown", which is never "good".

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use jiff::Timestamp;
use openssl::x509::X509Crl;
use thiserror::Error;
use x509_parser::asn1_rs::FromDer;
use x509_parser::oid_registry as known;
use x509_parser::pem::Pem;
use x509_parser::revocation_list::CertificateRevocationList;
use x509_parser::time::ASN1Time;

use crate::anchors::Anchors;
use crate::chain::{IssuerId, Trusted};
use crate::limits::{CRL_BYTES_MAX, CRL_ENTRIES_MAX};

struct List {
    this_update: Timestamp,
    next_update: Timestamp,
    revoked: HashMap<Box<[u8]>, Timestamp>,
}

/// The newest list of each issuer.
pub struct Revocations {
    lists: HashMap<IssuerId, List>,
}

/// What is known about a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum RevocationStatus {
    /// Current lists of all its issuers name none of its certificates.
    Good {
        /// thisUpdate of the oldest of them.
        as_of: Timestamp,
    },
    /// A list names one of them. It stays so when the list has ended.
    Revoked {
        /// Since when.
        since: Timestamp,
    },
    /// Nobody can say.
    Unknown(RevocationUnknown),
}

/// Why nobody can say whether a certificate is revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[allow(clippy::exhaustive_enums)]
pub enum RevocationUnknown {
    /// An issuer of the path has no list here.
    #[error("there is no revocation list of its issuer")]
    NoList,
    /// nextUpdate has passed.
    #[error("the revocation list of its issuer ended on {since}")]
    Expired {
        /// nextUpdate.
        since: Timestamp,
    },
    /// thisUpdate lies ahead.
    #[error("the revocation list of its issuer begins on {from}")]
    NotYetValid {
        /// thisUpdate.
        from: Timestamp,
    },
}

/// Why a file gives no revocation list.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CrlError {
    /// Over the bound.
    #[error("{file}: larger than {CRL_BYTES_MAX} octets")]
    TooLarge {
        /// The file.
        file: String,
    },
    /// Neither PEM nor DER of RFC 5280 §5.1.
    #[error("{file}: not a certificate revocation list, or cut off")]
    Malformed {
        /// The file.
        file: String,
    },
    /// Without nextUpdate nobody knows until when it counts (§5.1.2.5).
    #[error("{file}: the list has no nextUpdate")]
    NoNextUpdate {
        /// The file.
        file: String,
    },
    /// A delta list, a list for some certificates only, or something unheard of (§5.2).
    #[error("{file}: the list has the critical extension {oid}, so it is no complete list")]
    Critical {
        /// The file.
        file: String,
        /// The extension.
        oid: String,
    },
    /// Too many.
    #[error("{file}: more than {CRL_ENTRIES_MAX} entries")]
    TooManyEntries {
        /// The file.
        file: String,
    },
    /// Signed by somebody else.
    #[error("{file}: no anchor signed the list; it names the issuer {issuer}")]
    NotSigned {
        /// The file.
        file: String,
        /// The issuer that it names.
        issuer: String,
    },
}

impl Revocations {
    /// No list: nobody can say anything.
    pub fn empty() -> Self {
        Self { lists: HashMap::new() }
    }

    /// Reads lists in PEM or DER, each with a name for errors. Of two lists of one issuer the
    /// newer counts.
    ///
    /// # Errors
    /// The first file that is no complete list signed by one of `anchors`.
    pub fn from_crls(crls: &[(&str, &[u8])], anchors: &Anchors) -> Result<Self, CrlError> {
        let mut revocations = Self::empty();
        for (file, bytes) in crls {
            revocations.add(file, bytes, anchors)?;
        }
        Ok(revocations)
    }

    fn add(&mut self, file: &str, bytes: &[u8], anchors: &Anchors) -> Result<(), CrlError> {
        let file = || file.to_owned();
        if bytes.len() > CRL_BYTES_MAX {
            return Err(CrlError::TooLarge { file: file() });
        }
        let malformed = || CrlError::Malformed { file: file() };
        let pem = if bytes.trim_ascii_start().starts_with(b"-----BEGIN") {
            let block = Pem::iter_from_buffer(bytes).next().and_then(Result::ok);
            Some(block.filter(|block| block.label == "X509 CRL").ok_or_else(malformed)?.contents)
        } else {
            None
        };
        let der = pem.as_deref().unwrap_or(bytes);
        let (rest, crl) = CertificateRevocationList::from_der(der).map_err(|_| malformed())?;
        if !rest.is_empty() {
            return Err(malformed());
        }
        for extension in crl.extensions() {
            if extension.critical && extension.oid != known::OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER {
                return Err(CrlError::Critical { file: file(), oid: extension.oid.to_id_string() });
            }
        }
        let verifiable = X509Crl::from_der(der).map_err(|_| malformed())?;
        let signer = anchors
            .named(crl.issuer().as_raw())
            .find(|anchor| verifiable.verify(anchor.public_key()).unwrap_or(false));
        let Some(signer) = signer else {
            let issuer = crl.issuer().to_string();
            return Err(CrlError::NotSigned { file: file(), issuer });
        };
        let next_update =
            crl.next_update().ok_or_else(|| CrlError::NoNextUpdate { file: file() })?;
        let mut revoked = HashMap::new();
        for entry in crl.iter_revoked_certificates() {
            if revoked.len() == CRL_ENTRIES_MAX {
                return Err(CrlError::TooManyEntries { file: file() });
            }
            let since = instant(entry.revocation_date).ok_or_else(malformed)?;
            revoked.insert(entry.raw_serial().into(), since);
        }
        let list = List {
            this_update: instant(crl.last_update()).ok_or_else(malformed)?,
            next_update: instant(next_update).ok_or_else(malformed)?,
            revoked,
        };
        let newer = |known: &List| known.this_update >= list.this_update;
        if !self.lists.get(&signer.issuer_id()).is_some_and(newer) {
            self.lists.insert(signer.issuer_id(), list);
        }
        Ok(())
    }

    /// What is known about `trusted` at `now`. Revoked certificates stay revoked whatever else is
    /// unknown.
    pub fn status(&self, trusted: &Trusted, now: Timestamp) -> RevocationStatus {
        let mut unknown = None;
        let mut as_of = Timestamp::MAX;
        for link in trusted.links() {
            let Some(list) = self.lists.get(&link.issuer) else {
                unknown = Some(RevocationUnknown::NoList);
                continue;
            };
            if let Some(since) = list.revoked.get(&link.serial) {
                return RevocationStatus::Revoked { since: *since };
            }
            if now > list.next_update {
                unknown = Some(RevocationUnknown::Expired { since: list.next_update });
            } else if now < list.this_update {
                unknown = Some(RevocationUnknown::NotYetValid { from: list.this_update });
            }
            as_of = as_of.min(list.this_update);
        }
        match unknown {
            Some(unknown) => RevocationStatus::Unknown(unknown),
            None if trusted.links().is_empty() => {
                RevocationStatus::Unknown(RevocationUnknown::NoList)
            }
            None => RevocationStatus::Good { as_of },
        }
    }
}

fn instant(time: ASN1Time) -> Option<Timestamp> {
    Timestamp::from_second(time.timestamp()).ok()
}
