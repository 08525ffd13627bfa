//! Who may ask for tokens: enrolled applications of TPPs, the addresses that they may be answered
//! at, and the body with which they register (RFC 6749 §2, RFC 7591, STET PSD2 registration 1.0.5).

mod answer;
mod certificate;
mod record;
mod redirect_uri;
mod registration;
mod text;
mod wire;

use certs::OrganisationId;
use serde::{Deserialize, Serialize};

pub use certificate::{CertificateKind, EnrolledCertificate, key_id};
pub use record::{Client, ClientRecordError, Contact, EnrolmentSource, GrantType};
pub use redirect_uri::{RedirectUri, RedirectUriFault};
pub use registration::{CertificateFault, Registration, RegistrationFault};
pub use text::TextFault;

use crate::limits::NEW_CLIENT_ID_BYTES_MAX;

/// Which of the two worlds a client is enrolled in. A client of one is unknown in the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(clippy::exhaustive_enums)]
pub enum Setting {
    /// Test accounts; customers may be sent to the developer's own machine.
    Sandbox,
    /// Real accounts.
    Production,
}

impl Setting {
    /// As records and tables write it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Production => "production",
        }
    }
}

/// Capitals and digits that nobody takes for each other: no I, O, 0, 1. A power of two, so that
/// every letter is as likely.
const LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// A client id of the shape that the bank group hands out: `1PSDNL-DNB-33031431-0-RWMH`, which is
/// `1`, the organisation id, `-`, and one letter for each of `N` random octets, 4 to 8.
///
/// What a client id may not have (RFC 6749 appendix A.1), or what must be escaped in a path, is
/// replaced by `_`, and a long organisation id is cut, so two organisations may share what stands
/// before the letters. Whether an id is taken already is for the caller to look up.
#[must_use]
pub fn new_client_id<const N: usize>(organisation_id: &OrganisationId, random: [u8; N]) -> String {
    const { assert!(N >= 4 && N <= 8, "four to eight letters") };
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let named = NEW_CLIENT_ID_BYTES_MAX - N - "1-".len();
    let name: String = organisation_id.as_str().chars().map(plain).take(named).collect();
    let letter = |octet: u8| LETTERS.get(usize::from(octet) % LETTERS.len()).copied();
    let letters: String = random.into_iter().filter_map(letter).map(char::from).collect();
    format!("1{name}-{letters}")
}

#[cfg(test)]
mod tests;
