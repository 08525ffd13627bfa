//! Everything a certificate can prove: who a TPP is, with which roles, vouched for by whom, until
//! when (ETSI TS 119 495, EN 319 412-1 and -5, RFC 5280).
//!
//! No I/O, no clock, no logging: bytes, anchors and the instant come in as arguments.

#![forbid(unsafe_code)]

pub mod limits;

mod anchors;
mod chain;
mod der;
mod digest;
pub mod http_signature;
mod identity;
mod leaf;
mod lint;
mod organisation;
mod profile;
mod qc_statements;
mod revocation;
mod role;
pub mod test_qtsp;
mod trusted_list;

pub use anchors::{Anchor, AnchorError, Anchors};
pub use chain::{ChainFault, IssuerId, Link, Trusted};
pub use digest::{Sha256, sha256};
pub use identity::Identity;
pub use leaf::{
    AlternativeName, ExtKeyUsage, KeyAlgorithm, KeyUsage, Leaf, LeafError, OrganisationIdValue,
    PublicKey, SignatureAlgorithm, StringType,
};
pub use lint::{Finding, Lint, Severity};
pub use organisation::{OrganisationId, OrganisationIdError, PsdForm};
pub use profile::{
    ClientAuthEku, NameFault, NotQwac, ProfileFault, ProfilePolicy, Purpose, Qsealc, Qwac,
};
pub use qc_statements::{Psd2Fault, Psd2Statement, QcFault, QcStatements, QcType};
pub use revocation::{
    CrlError, OcspAnswer, OcspFault, OcspStatus, RevocationList, RevocationSource,
    RevocationStatus, RevocationUnknown, Revocations, ocsp_request,
};
pub use role::{PspRole, RoleSet};
pub use trusted_list::{
    ListKind, Pointer, Service, ServicePeriod, TrustedList, TrustedListError, Use,
};
