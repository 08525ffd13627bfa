//! EU trusted lists (ETSI TS 119 612, versions 5 and 6): which CAs issue qualified certificates for
//! websites and seals, and since when.
//!
//! Reading decides nothing about trust: whether the list's own signature holds is for a library that
//! knows XML signatures, over a document of the one shape that is accepted here. The two judge the
//! same octets.

mod read;
mod service;
mod shape;
#[cfg(test)]
mod tests;
mod xml;

use jiff::Timestamp;
use thiserror::Error;

pub use service::{Service, ServicePeriod, Use};

use crate::limits::{
    LIST_BYTES_MAX, LIST_DEPTH_MAX, LIST_ELEMENTS_MAX, LIST_NAMESPACES_MAX, LIST_POINTERS_MAX,
    LIST_SERVICES_MAX,
};

/// A list as read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrustedList {
    /// TSLVersionIdentifier: 5 or 6.
    pub version: u32,
    /// TSLSequenceNumber: a newer list of a territory has a higher one.
    pub sequence: u64,
    /// SchemeTerritory, such as `FR`; `EU` for the list of lists.
    pub territory: String,
    /// ListIssueDateTime.
    pub issued: Timestamp,
    /// NextUpdate; none on a list that is closed for ever.
    pub next_update: Option<Timestamp>,
    /// A national list, or the list of them.
    pub kind: ListKind,
    /// Where other lists are, and who may sign them.
    pub pointers: Vec<Pointer>,
    /// The services of all providers.
    pub services: Vec<Service>,
    /// The one certificate of the signature's KeyInfo, in DER. Nothing says yet that it signed.
    pub signer: Vec<u8>,
}

/// TSLType.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum ListKind {
    /// A member state's list.
    National,
    /// The European Commission's list of lists.
    ListOfLists,
}

/// OtherTSLPointer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pointer {
    /// SchemeTerritory.
    pub territory: String,
    /// TSLLocation.
    pub location: String,
    /// What it points at.
    pub kind: ListKind,
    /// Whether it points at XML and not at a PDF for people.
    pub is_xml: bool,
    /// The certificates of which one must have signed it, in DER.
    pub signers: Vec<Vec<u8>>,
}

/// Why a document gives no list.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TrustedListError {
    /// Refused by its length alone.
    #[error("it has {bytes} octets, at most {LIST_BYTES_MAX} are read")]
    TooLong {
        /// Octets found.
        bytes: usize,
    },
    /// Not UTF-8, or it says so.
    #[error("it is not in UTF-8")]
    Encoding,
    /// Not well-formed.
    #[error("octet {position}: it is not well-formed XML: {why}")]
    NotWellFormed {
        /// From 0.
        position: u64,
        /// The parser's reason.
        why: String,
    },
    /// A document type, where entities could be declared.
    #[error("octet {position}: it has a document type declaration, which no trusted list needs")]
    DocumentType {
        /// From 0.
        position: u64,
    },
    /// An entity that XML does not define itself.
    #[error("octet {position}: it refers to an entity")]
    Entity {
        /// From 0.
        position: u64,
    },
    /// More than any list has.
    #[error(
        "it has more than {LIST_ELEMENTS_MAX} elements, {LIST_DEPTH_MAX} levels, {LIST_NAMESPACES_MAX} namespace declarations, {LIST_SERVICES_MAX} services or {LIST_POINTERS_MAX} pointers"
    )]
    TooMuch,
    /// Another document.
    #[error("it is no trusted list: its root is {root}")]
    NotAList {
        /// The root element's name.
        root: String,
    },
    /// A version that is not 5 or 6.
    #[error("it is of version {version}, 5 and 6 are read (ETSI TS 119 612)")]
    Version {
        /// As written.
        version: String,
    },
    /// An element that must be there, once, and be readable.
    #[error("{element} is missing or cannot be read")]
    Element {
        /// Its name, and where.
        element: String,
    },
    /// A signature of a shape that could hide another document.
    #[error("its signature is not of the one shape that is accepted: {0}")]
    Signature(&'static str),
}

impl TrustedList {
    /// Reads a list, and the shape of its signature. The signature itself is not verified.
    ///
    /// # Errors
    /// What is not a list of version 5 or 6 within this crate's bounds, signed as a whole, once.
    pub fn read(xml: &[u8]) -> Result<Self, TrustedListError> {
        read::list(&xml::document(xml)?)
    }
}
