//! Everything a certificate can prove: who a TPP is, with which roles, vouched for by whom, until
//! when (ETSI TS 119 495, EN 319 412-1 and -5, RFC 5280).
//!
//! No I/O, no clock, no logging: bytes, anchors and the instant come in as arguments.

#![forbid(unsafe_code)]

pub mod limits;

mod digest;
mod organisation;
mod role;

pub use digest::sha256;
pub use organisation::{OrganisationId, OrganisationIdError, PsdForm};
pub use role::{PspRole, RoleSet};
