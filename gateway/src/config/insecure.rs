//! `[insecure]`: every loosening of the gateway, by a name that reads badly.

use super::key::Key;
use super::reading::Reading;
use super::wire;

/// What the operator gave up. All false unless the file says otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Insecure {
    /// Certificates are accepted although nobody knows whether they were revoked.
    pub revocation_unchecked: bool,
    /// The admin listener may stand on an address that is not loopback.
    pub admin_on_any_address: bool,
}

impl Insecure {
    pub(super) fn read(wire: &wire::Insecure, key: &Key, reading: &mut Reading<'_>) -> Self {
        if wire.revocation_unchecked {
            let key = key.child("revocation_unchecked");
            reading.warn(&key, "a revoked certificate may be accepted where no CRL is known");
        }
        if wire.admin_on_any_address {
            let key = key.child("admin_on_any_address");
            reading.warn(&key, "the admin listener may be reached from other machines");
        }
        Self {
            revocation_unchecked: wire.revocation_unchecked,
            admin_on_any_address: wire.admin_on_any_address,
        }
    }
}
