//! What the qcStatements extension says (RFC 3739 §3.2.6, ETSI EN 319 412-5): that the
//! certificate is qualified, for what, and with which payment roles.

mod decode;
mod psd2;
#[cfg(test)]
mod tests;

use std::fmt;

use thiserror::Error;

pub use psd2::{Psd2Fault, Psd2Statement};

use crate::limits::{QC_STATEMENTS_BYTES_MAX, QC_STATEMENTS_MAX};

/// The statements of one certificate, as read; nothing is judged here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct QcStatements {
    /// QcCompliance stands in it: the issuer claims an EU qualified certificate
    /// (EN 319 412-5 §4.2.1).
    pub compliance: bool,
    /// What QcType declares, in the order written; empty without QcType (EN 319 412-5 §4.2.3).
    pub types: Vec<QcType>,
    /// QcSSCD: the key lives in a qualified signature creation device (EN 319 412-5 §4.2.2).
    pub sscd: bool,
    /// ISO 3166-1 codes of QcCClegislation: qualified under the law of these countries instead of
    /// the EU's (EN 319 412-5 §4.2.4).
    pub legislation: Vec<String>,
    /// The PSD2 statement (TS 119 495 §5.1).
    pub psd2: Option<Psd2Statement>,
    /// QcCompliance or QcSSCD, which are said by being there, carry a value as well.
    pub has_stray_value: bool,
    /// OIDs of all statements, in the order written.
    pub present: Vec<String>,
}

impl QcStatements {
    /// Reads the value of the extension 1.3.6.1.5.5.7.1.3.
    ///
    /// # Errors
    /// Anything but strict DER of the standard's shape, within this crate's bounds.
    pub fn from_der(der: &[u8]) -> Result<Self, QcFault> {
        decode::decode(der)
    }
}

/// For what a qualified certificate may be used (EN 319 412-5 §4.2.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QcType {
    /// 0.4.0.1862.1.6.1: a person's electronic signature.
    Esign,
    /// 0.4.0.1862.1.6.2: an organisation's electronic seal (QSEALC).
    Eseal,
    /// 0.4.0.1862.1.6.3: web authentication (QWAC).
    Web,
    /// Another OID.
    Other(String),
}

impl fmt::Display for QcType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Esign => "esign",
            Self::Eseal => "eseal",
            Self::Web => "web",
            Self::Other(oid) => oid,
        })
    }
}

/// Why the qcStatements extension cannot be read. The issuer is to blame.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum QcFault {
    /// The certificate has no such extension.
    #[error("the certificate has no qcStatements extension")]
    Absent,
    /// Too long to be looked at.
    #[error(
        "the qcStatements extension has {bytes} octets, at most {QC_STATEMENTS_BYTES_MAX} are read"
    )]
    TooLong {
        /// Octets found.
        bytes: usize,
    },
    /// BER, a long-form length, an octet left over, or too deep.
    #[error("the qcStatements extension is not strict DER")]
    NotStrictDer,
    /// The widespread test certificates of FAKENCA: one statement without the list around it.
    #[error(
        "the qcStatements extension holds one bare statement instead of a list of statements \
         (SEQUENCE OF QCStatement): the issuer left out the outer SEQUENCE"
    )]
    BareStatement,
    /// No list of statements, or more than [`QC_STATEMENTS_MAX`].
    #[error("the qcStatements extension is no list of one to {QC_STATEMENTS_MAX} statements")]
    NotAList,
    /// A statement that is not an OID with at most one value.
    #[error("statement {position} of the qcStatements extension has not the form of a statement")]
    NotAStatement {
        /// From 1.
        position: usize,
    },
    /// Two statements of one kind: which of them counts is anybody's guess.
    #[error("the qcStatements extension holds the statement {oid} twice")]
    Duplicate {
        /// The statement's OID.
        oid: String,
    },
    /// The value of a statement that we read is not what its standard says.
    #[error("the statement {name} of the qcStatements extension is malformed")]
    Malformed {
        /// The statement's name in EN 319 412-5.
        name: &'static str,
    },
    /// The PSD2 statement is malformed.
    #[error("the PSD2 statement is malformed: {0}")]
    Psd2(#[from] Psd2Fault),
}
