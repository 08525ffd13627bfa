//! Everything that one handshake proved, kept for the life of its connection.

use jiff::Timestamp;

use crate::anchors::Anchors;
use crate::chain::{ChainFault, Trusted};
use crate::digest::sha256;
use crate::leaf::{Leaf, LeafError};
use crate::profile::{NotQwac, ProfileFault, ProfilePolicy, Qwac};
use crate::qc_statements::QcFault;

/// A client certificate whose key the client has proved to hold, with all that was found out about
/// it. What is wrong is kept beside what is right: the decision tells it, not the handshake.
#[derive(Clone, Debug)]
pub struct Identity {
    fingerprint: [u8; 32],
    leaf: Result<Leaf, LeafError>,
    trust: Result<Trusted, ChainFault>,
    profile: Result<Qwac, ProfileFault>,
}

impl Identity {
    /// Reads and judges `leaf_der` with what was sent beside it.
    pub fn establish(
        leaf_der: &[u8],
        sent: &[Vec<u8>],
        anchors: &Anchors,
        policy: &ProfilePolicy,
        now: Timestamp,
    ) -> Self {
        let leaf = Leaf::from_der(leaf_der);
        let (trust, profile) = match &leaf {
            Ok(leaf) => (anchors.find_path(leaf, sent, now), Qwac::read(leaf, policy)),
            Err(error) => (
                Err(ChainFault::Unreadable(error.clone())),
                Err(ProfileFault::NotQwac(NotQwac::Statements(QcFault::Absent))),
            ),
        };
        Self { fingerprint: sha256(leaf_der), leaf, trust, profile }
    }

    /// SHA-256 of the certificate.
    pub fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// The serial number in lower-case hexadecimal; empty when the certificate cannot be read.
    pub fn serial_hex(&self) -> &str {
        self.leaf.as_ref().map_or("", Leaf::serial_hex)
    }

    /// The certificate.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn leaf(&self) -> Result<&Leaf, &LeafError> {
        self.leaf.as_ref()
    }

    /// The path to an anchor.
    ///
    /// # Errors
    /// There is none.
    pub fn trust(&self) -> Result<&Trusted, &ChainFault> {
        self.trust.as_ref()
    }

    /// Who it names.
    ///
    /// # Errors
    /// It is no QWAC that may be used here.
    pub fn profile(&self) -> Result<&Qwac, &ProfileFault> {
        self.profile.as_ref()
    }
}
