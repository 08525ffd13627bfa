//! Why a certificate cannot be read.

use thiserror::Error;

use crate::limits::{
    EXTENSIONS_MAX, LEAF_BYTES_MAX, NAME_ATTRIBUTES_MAX, PEM_BYTES_MAX, SENT_CERTIFICATES_MAX,
    SERIAL_BYTES_MAX,
};

/// Why a certificate cannot be read. The one who issued it is to blame, or who cut it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LeafError {
    /// Refused by its length alone.
    #[error("the certificate has {bytes} octets, at most {LEAF_BYTES_MAX} are read")]
    TooLong {
        /// Octets found.
        bytes: usize,
    },
    /// Not the structure of RFC 5280 §4.1.
    #[error("the bytes are no X.509 certificate: {what} cannot be read")]
    Malformed {
        /// The part that failed.
        what: &'static str,
    },
    /// BER, a long-form length, or octets left over.
    #[error("the certificate is not strict DER, or octets follow it")]
    NotStrictDer,
    /// The algorithm inside the signed part is not the one outside (RFC 5280 §4.1.1.2).
    #[error("the certificate names two different signature algorithms")]
    SignatureAlgorithmsDiffer,
    /// No or an endless serial number (RFC 5280 §4.1.2.2).
    #[error("the serial number has {bytes} octets, 1 to {SERIAL_BYTES_MAX} are accepted")]
    Serial {
        /// Octets found.
        bytes: usize,
    },
    /// More name parts than any name has.
    #[error("a name in the certificate has more than {NAME_ATTRIBUTES_MAX} attributes")]
    TooManyNameAttributes,
    /// More extensions than any certificate has.
    #[error("the certificate has more than {EXTENSIONS_MAX} extensions")]
    TooManyExtensions,
    /// RFC 5280 §4.2: at most one instance of each extension.
    #[error("the certificate holds the extension {oid} twice")]
    DuplicateExtension {
        /// The extension's OID.
        oid: String,
    },
    /// An extension that we rely on is malformed or beyond our bounds.
    #[error("the extension {name} is malformed or too long")]
    Extension {
        /// The extension's name in RFC 5280.
        name: &'static str,
    },
    /// Too long a PEM text.
    #[error("the PEM text has {bytes} octets, at most {PEM_BYTES_MAX} are read")]
    PemTooLong {
        /// Octets found.
        bytes: usize,
    },
    /// A block is cut off or not base64.
    #[error("the PEM text has a block that is cut off or not base64")]
    Pem,
    /// PEM without any certificate: a key, or an empty file.
    #[error("the PEM text has no CERTIFICATE block")]
    NoCertificate,
    /// A bundle rather than a chain.
    #[error("the PEM text has more than {SENT_CERTIFICATES_MAX} certificates beside the leaf")]
    TooManyCertificates,
}
