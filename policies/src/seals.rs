//! The known QSEALCs: whose they are, and which QTSP vouches for them.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use certs::http_signature::{
    Diagnosis, HttpRequest, Seal, SealRing, SignatureFault, SignaturePolicy, diagnose, sealed_by,
    verify,
};
use certs::{Anchors, ChainFault, OrganisationId, ProfileFault, Qsealc, Revocations, Trusted};
use jiff::Timestamp;

use crate::reason::Reason;
use crate::verdict::Refusal;

/// The seals, with what the bank asks of signatures. The default knows no seal.
#[derive(Default)]
pub struct Seals {
    ring: SealRing,
    judged: HashMap<[u8; 32], Judged>,
    policy: SignaturePolicy,
    /// Whether the sender may be told our signing string.
    explains: bool,
}

struct Judged {
    profile: Result<Qsealc, ProfileFault>,
    trust: Result<Trusted, ChainFault>,
}

impl Seals {
    /// Judges each of `seals` once: its profile, and its path to one of `anchors`. Validity and
    /// revocation are asked at each request.
    #[must_use]
    pub fn judge(
        seals: Vec<Seal>,
        anchors: &Anchors,
        policy: SignaturePolicy,
        explains: bool,
        now: Timestamp,
    ) -> Self {
        let mut all = Self { policy, explains, ..Self::default() };
        for seal in seals {
            let certificate = seal.certificate();
            let judged = Judged {
                profile: Qsealc::read(certificate),
                trust: anchors.find_path(certificate, seal.sent(), now),
            };
            all.judged.insert(*certificate.fingerprint(), judged);
            all.ring.add(seal);
        }
        all
    }

    /// How many seals are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ring.len()
    }

    /// Nobody could sign anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// Each seal with its path, where it has one.
    pub fn paths(&self) -> impl Iterator<Item = (&Seal, &Trusted)> {
        self.ring.iter().filter_map(|seal| {
            let judged = self.judged.get(seal.certificate().fingerprint())?;
            Some((seal, judged.trust.as_ref().ok()?))
        })
    }

    /// Whether `request` was sealed by `sender`, and by nobody else.
    pub(crate) fn sealed(
        &self,
        request: &HttpRequest<'_>,
        sender: &OrganisationId,
        revocations: &Revocations,
        revocation_unchecked: bool,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let found = sealed_by(request, &self.ring, &self.policy);
        let seal = found.map_err(|fault| self.refusal(request, None, &fault))?;
        let untrusted = |why: String| Refusal::because(Reason::SignatureUntrusted, why);
        let judged = self
            .judged
            .get(seal.certificate().fingerprint())
            .ok_or_else(|| untrusted("the QSEALC was not judged".to_owned()))?;
        let trusted = judged.trust.as_ref().map_err(|fault| untrusted(fault.to_string()))?;
        if now < trusted.not_before() || now > trusted.not_after() {
            return Err(untrusted(format!(
                "the QSEALC is valid from {} to {}",
                trusted.not_before(),
                trusted.not_after()
            )));
        }
        match revocations.status(trusted, now) {
            certs::RevocationStatus::Good { .. } => {}
            certs::RevocationStatus::Unknown(_) if revocation_unchecked => {}
            certs::RevocationStatus::Revoked { since } => {
                return Err(untrusted(format!("the QSEALC was revoked on {since}")));
            }
            certs::RevocationStatus::Unknown(why) => {
                return Err(Refusal::because(Reason::RevocationUnknown, why.to_string()));
            }
        }
        let qsealc = judged.profile.as_ref().map_err(|fault| untrusted(fault.to_string()))?;
        if qsealc.organisation_id != *sender {
            let detail =
                format!("the QWAC is {sender}'s, the QSEALC is {}'s", qsealc.organisation_id);
            return Err(Refusal::because(Reason::SignatureOtherOrganisation, detail));
        }
        verify(request, seal, &self.policy, now)
            .map(|_| ())
            .map_err(|fault| self.refusal(request, Some(seal), &fault))
    }

    fn refusal(
        &self,
        request: &HttpRequest<'_>,
        seal: Option<&Seal>,
        fault: &SignatureFault,
    ) -> Refusal {
        let reason = match fault {
            SignatureFault::Missing => Reason::SignatureMissing,
            SignatureFault::Time(_) => Reason::SignatureExpired,
            SignatureFault::Digest(_) => Reason::DigestMismatch,
            SignatureFault::UnknownKey => Reason::SignatureKeyUnknown,
            _ => Reason::SignatureInvalid,
        };
        let refusal = Refusal::because(reason, fault.to_string());
        if !self.explains {
            return refusal;
        }
        let diagnosis = diagnose(request, seal, &self.policy, None);
        if holds_a_secret(&diagnosis) { refusal } else { refusal.diagnosed(diagnosis) }
    }
}

/// A signing string that covers the token is told to nobody.
fn holds_a_secret(diagnosis: &Diagnosis) -> bool {
    let lines = diagnosis.signing_string.as_deref().unwrap_or_default().lines();
    let names = lines.filter_map(|line| line.split(':').next());
    names.map(|name| name.trim_matches('"')).any(|name| matches!(name, "authorization" | "cookie"))
}
