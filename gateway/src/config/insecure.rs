//! `[insecure]`: every loosening of the gateway, by a name that reads badly.

use policies::{CheckName, CheckSet};

use super::key::Key;
use super::problem::quoted;
use super::reading::Reading;
use super::wire;

/// What the operator gave up. All false unless the file says otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub struct Insecure {
    /// Certificates are accepted although nobody knows whether they were revoked.
    pub revocation_unchecked: bool,
    /// The admin listener may stand on an address that is not loopback.
    pub admin_on_any_address: bool,
    /// Checks whose failure is written down and lets pass.
    pub observed: CheckSet,
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
            observed: observed(&wire.observed_checks, &key.child("observed_checks"), reading),
        }
    }
}

fn observed(codes: &[String], key: &Key, reading: &mut Reading<'_>) -> CheckSet {
    let mut observed = CheckSet::NONE;
    for (index, code) in codes.iter().enumerate() {
        let named = CheckName::ALL.iter().copied().find(|name| name.code() == code);
        match named.map(|name| (name, name.cannot_be_observed())) {
            Some((name, None)) => {
                let what = format!("calls that the check `{code}` should refuse are let in");
                reading.warn(key, what);
                observed = observed.with(name);
            }
            Some((_, Some(why))) => {
                let what = format!("holds {}, which cannot be observed only: {why}", quoted(code));
                reading.refuse(&key.item(index), what, "take it out: it is enforced");
            }
            None => {
                let possible = CheckName::ALL.iter().filter(|n| n.cannot_be_observed().is_none());
                let possible: Vec<&str> = possible.map(|name| name.code()).collect();
                let what = format!("is {}: no check has this name", quoted(code));
                reading.refuse(
                    &key.item(index),
                    what,
                    format!("write one of {}", possible.join(", ")),
                );
            }
        }
    }
    observed
}
