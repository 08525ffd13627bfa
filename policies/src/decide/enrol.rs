//! Whom the enrolment listens to (RFC 7591, RFC 7592, STET registration 1.0.5): a TPP with a token of
//! its own, and, where it says something, whose word is sealed with the QSEALC that it brings.

#[cfg(test)]
mod tests;

use certs::http_signature::{HttpRequest, Seal, SignaturePolicy};
use certs::{Anchors, Leaf, RevocationStatus, Trusted};
use jiff::Timestamp;

use super::office::Approached;
use super::{Steps, stages};
use crate::check::{CheckName, Evidence, Source, Trail};
use crate::client::{CertificateKind, Registration};
use crate::reason::Reason;
use crate::seals::Seals;
use crate::token::{self, TokenFact, TokenName};
use crate::verdict::Refusal;

/// What a seal that is not known before is judged by.
#[derive(Clone, Copy)]
#[allow(clippy::exhaustive_structs)]
pub struct Sealing<'a> {
    /// Who is believed to issue QSEALCs.
    pub anchors: &'a Anchors,
    /// What the bank asks of signatures.
    pub policy: &'a SignaturePolicy,
    /// Whether the sender may be told our signing string.
    pub explains: bool,
}

/// Is shown certificates, each with its path.
pub type Met<'a> = &'a mut dyn FnMut(&Leaf, &Trusted);

impl Approached<'_> {
    /// Under what the caller's token is stored.
    ///
    /// # Errors
    /// `token_missing`, `token_malformed`.
    pub fn bearer(
        &self,
        authorization: Option<&[u8]>,
        trail: &mut Trail,
    ) -> Result<TokenName, Refusal> {
        let bearer = authorization.ok_or_else(|| Refusal::new(Reason::TokenMissing));
        let bearer = bearer.and_then(token::bearer);
        let bearer = Steps::strict(trail).take(
            CheckName::TokenForm,
            Evidence::of(Source::Request),
            bearer,
        )?;
        Ok(TokenName::of(bearer))
    }

    /// Whether the token is the caller's, who has shown `certificate`, of this bank, and carries
    /// `scope`.
    ///
    /// # Errors
    /// The first token rule that does not hold.
    pub fn holds(
        &self,
        fact: TokenFact,
        certificate: &[u8; 32],
        scope: &str,
        now: Timestamp,
        trail: &mut Trail,
    ) -> Result<(), Refusal> {
        let mut step = Steps::strict(trail);
        let (evidence, record) = stages::live(fact);
        let record = record.and_then(|record| {
            let code = &self.codetab().code;
            let id = &self.qwac().organisation_id;
            token::belongs(&record, id, certificate, code, now).map(|()| record)
        });
        let record = step.take(CheckName::Token, evidence, record)?;
        let carried = if record.scopes.contains(scope) {
            Ok(())
        } else {
            let detail = format!("this needs a token of the scope {scope}");
            Err(Refusal::because(Reason::TokenScope, detail))
        };
        step.take(CheckName::Scope, evidence, carried)
    }

    /// Whether `registration` is the caller's own: it names the caller, and `request`, whose body it
    /// is, was sealed with the first QSEALC in it. Every certificate in it must come from a trusted
    /// QTSP, and not be known to be revoked.
    ///
    /// `met` is shown each certificate with its path before anything is asked about revocation, so
    /// that what is not known yet may be found out.
    ///
    /// # Errors
    /// `registration_invalid`, `signature_…`, `revocation_unknown` of the seal that signed.
    pub fn owns(
        &self,
        registration: &Registration,
        request: &HttpRequest<'_>,
        sealing: Sealing<'_>,
        now: Timestamp,
        met: Met<'_>,
        trail: &mut Trail,
    ) -> Result<(), Refusal> {
        let mut step = Steps::strict(trail);
        let body = Evidence::of(Source::Request);
        let sender = &self.qwac().organisation_id;
        let named = if registration.organisation_id() == sender {
            Ok(())
        } else {
            let detail = format!("provider_legal_id must be {sender}, as the QWAC says");
            Err(Refusal::because(Reason::RegistrationInvalid, detail))
        };
        step.take(CheckName::OrganisationId, body, named)?;
        let sealed = self.sealed(registration.first_seal(), request, sealing, now, met);
        step.take(CheckName::Signature, body, sealed)?;
        let anchors = Evidence {
            source: Source::Anchors,
            version: self.world().anchors_version(),
            as_of: None,
        };
        let vouched = self.vouched(registration, sealing.anchors, now, met);
        step.take(CheckName::Trust, anchors, vouched)
    }

    fn sealed(
        &self,
        seal: &Seal,
        request: &HttpRequest<'_>,
        sealing: Sealing<'_>,
        now: Timestamp,
        met: Met<'_>,
    ) -> Result<(), Refusal> {
        let Sealing { anchors, policy, explains } = sealing;
        let seals = Seals::judge(vec![seal.clone()], anchors, policy.clone(), explains, now);
        seals.paths().for_each(|(seal, trusted)| met(seal.certificate(), trusted));
        let world = self.world();
        seals.sealed(
            request,
            &self.qwac().organisation_id,
            &world.revocations,
            world.revocation_unchecked,
            now,
        )
    }

    fn vouched(
        &self,
        registration: &Registration,
        seal_anchors: &Anchors,
        now: Timestamp,
        met: Met<'_>,
    ) -> Result<(), Refusal> {
        let world = self.world();
        for (index, certificate) in registration.certificates().iter().enumerate() {
            let refused = |why: String| {
                let detail = format!("jwks.keys[{index}] cannot be enrolled: {why}");
                Err(Refusal::because(Reason::RegistrationInvalid, detail))
            };
            let anchors = match certificate.kind {
                CertificateKind::Qwac => &world.anchors,
                CertificateKind::Qsealc => seal_anchors,
            };
            let (leaf, above) = match Leaf::from_pem(certificate.pem.as_bytes()) {
                Ok(read) => read,
                Err(fault) => return refused(fault.to_string()),
            };
            let trusted = match anchors.find_path(&leaf, &above, now) {
                Ok(trusted) => trusted,
                Err(fault) => return refused(fault.to_string()),
            };
            met(&leaf, &trusted);
            // One that is not known to be good is judged again whenever it is used.
            if let RevocationStatus::Revoked { since } = world.revocations.status(&trusted, now) {
                return refused(format!("its QTSP revoked it on {since}; use another"));
            }
        }
        Ok(())
    }
}
