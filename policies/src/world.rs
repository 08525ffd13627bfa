//! Everything that a decision is made from, as one immutable value: it is replaced whole, never
//! changed in place.

use std::sync::Arc;

use certs::{Anchors, ProfilePolicy, Revocations};

use crate::check::CheckSet;
use crate::register::Register;
use crate::routes::Routes;
use crate::seals::Seals;

/// What a world is built from.
pub struct WorldParts {
    /// Hosts, codetabs, APIs.
    pub routes: Routes,
    /// The register snapshot.
    pub register: Arc<Register>,
    /// Whom we believe.
    pub anchors: Arc<Anchors>,
    /// What they have revoked.
    pub revocations: Revocations,
    /// The known QSEALCs.
    pub seals: Seals,
    /// What a QWAC must look like.
    pub profile: ProfilePolicy,
    /// A certificate on which no revocation list speaks is let through. Unsafe.
    pub revocation_unchecked: bool,
    /// Checks whose failure is written down and lets pass. Unsafe.
    pub observed: CheckSet,
    /// Names the first world of a process among all; each that follows has the next number.
    pub generation: u64,
}

/// A consistent whole, with nothing missing that a check needs. Cloning copies pointers.
#[derive(Clone)]
pub struct World {
    /// Hosts, codetabs, APIs.
    pub routes: Arc<Routes>,
    /// The register snapshot.
    pub register: Arc<Register>,
    /// Whom we believe.
    pub anchors: Arc<Anchors>,
    /// What they have revoked.
    pub revocations: Arc<Revocations>,
    /// The known QSEALCs.
    pub seals: Arc<Seals>,
    /// What a QWAC must look like.
    pub profile: ProfilePolicy,
    /// A certificate on which no revocation list speaks is let through.
    pub revocation_unchecked: bool,
    /// Checks whose failure is written down and lets pass.
    pub observed: CheckSet,
    /// Names it among all worlds of all processes.
    pub generation: u64,
    anchors_version: u64,
}

/// Why no world can be made of the parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WorldError {
    /// Nobody would be believed.
    #[error("the set of trust anchors is empty")]
    NoAnchors,
}

impl World {
    /// Checks the parts against each other. [`Routes::build`] and [`Register::read`] have refused
    /// what is unsafe in theirs.
    ///
    /// # Errors
    /// What would make every or no request pass.
    pub fn build(parts: WorldParts) -> Result<Self, WorldError> {
        if parts.anchors.is_empty() {
            return Err(WorldError::NoAnchors);
        }
        let anchors_version = version(&parts.anchors);
        Ok(Self {
            routes: Arc::new(parts.routes),
            register: parts.register,
            anchors: parts.anchors,
            revocations: Arc::new(parts.revocations),
            seals: Arc::new(parts.seals),
            profile: parts.profile,
            revocation_unchecked: parts.revocation_unchecked,
            observed: parts.observed,
            generation: parts.generation,
            anchors_version,
        })
    }

    /// The same world with what else was found out about revocations.
    #[must_use]
    pub fn with_revocations(&self, revocations: Arc<Revocations>) -> Self {
        Self { revocations, generation: self.generation + 1, ..self.clone() }
    }

    /// The same world with other anchors. An empty set believes nobody.
    #[must_use]
    pub fn with_anchors(&self, anchors: Arc<Anchors>) -> Self {
        let anchors_version = version(&anchors);
        Self { anchors, anchors_version, generation: self.generation + 1, ..self.clone() }
    }

    /// The same world with another snapshot of the registers.
    #[must_use]
    pub fn with_register(&self, register: Arc<Register>) -> Self {
        Self { register, generation: self.generation + 1, ..self.clone() }
    }

    /// The same world with other seals, or with the same ones judged anew.
    #[must_use]
    pub fn with_seals(&self, seals: Arc<Seals>) -> Self {
        Self { seals, generation: self.generation + 1, ..self.clone() }
    }

    /// The same world with other hosts, codetabs and APIs.
    #[must_use]
    pub fn with_routes(&self, routes: Arc<Routes>) -> Self {
        Self { routes, generation: self.generation + 1, ..self.clone() }
    }

    /// The same world with another idea of what a QWAC must look like, and of whether one passes on
    /// which no revocation list speaks.
    #[must_use]
    pub fn with_profile(&self, profile: ProfilePolicy, revocation_unchecked: bool) -> Self {
        let generation = self.generation + 1;
        Self { profile, revocation_unchecked, generation, ..self.clone() }
    }

    /// The same world with other checks that are only observed.
    #[must_use]
    pub fn with_observed(&self, observed: CheckSet) -> Self {
        Self { observed, generation: self.generation + 1, ..self.clone() }
    }

    /// A short content hash of the anchors.
    #[must_use]
    pub fn anchors_version(&self) -> u64 {
        self.anchors_version
    }
}

/// A short content hash.
fn version(anchors: &Anchors) -> u64 {
    let mut fingerprints: Vec<[u8; 32]> =
        anchors.iter().map(|anchor| *anchor.fingerprint()).collect();
    fingerprints.sort_unstable();
    let [a, b, c, d, e, f, g, h, ..] = certs::sha256(fingerprints.as_flattened());
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}
