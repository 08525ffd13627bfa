//! What issuers have revoked, from their lists (RFC 5280 §5) and their responders (RFC 6960).
//!
//! An answer counts when the issuer, or whom it authorised, signed it, and until its nextUpdate.
//! Where none counts the answer is "unknown", which is never "good".

mod list;
mod ocsp;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use thiserror::Error;
use x509_parser::time::ASN1Time;

use crate::anchors::Anchors;
use crate::chain::{IssuerId, Link, Trusted};

pub use list::{CrlError, RevocationList};
pub use ocsp::{OcspAnswer, OcspFault, OcspStatus, ocsp_request};

/// What is known of each issuer. Cloning copies pointers.
#[derive(Clone, Default)]
pub struct Revocations {
    issuers: HashMap<IssuerId, Issuer>,
    tolerated_for: SignedDuration,
}

#[derive(Clone, Default)]
struct Issuer {
    list: Option<Arc<RevocationList>>,
    answers: HashMap<Box<[u8]>, Arc<OcspAnswer>>,
}

/// Who said that a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum RevocationSource {
    /// A revocation list.
    Crl,
    /// An OCSP responder.
    Ocsp,
}

/// What is known about a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum RevocationStatus {
    /// Current answers of all its issuers name none of its certificates.
    Good {
        /// thisUpdate of the oldest of them.
        as_of: Timestamp,
        /// Who gave that one.
        source: RevocationSource,
    },
    /// One of them is named. It stays so when the answer has ended.
    Revoked {
        /// Since when.
        since: Timestamp,
    },
    /// Nobody can say.
    Unknown(RevocationUnknown),
}

/// Why nobody can say whether a certificate is revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[allow(clippy::exhaustive_enums)]
pub enum RevocationUnknown {
    /// An issuer of the path has no answer here.
    #[error("there is no revocation list of its issuer, nor an OCSP answer")]
    NoList,
    /// nextUpdate has passed.
    #[error("the revocation list of its issuer, or the OCSP answer, ended on {since}")]
    Expired {
        /// nextUpdate.
        since: Timestamp,
    },
    /// thisUpdate lies ahead.
    #[error("the revocation list of its issuer begins on {from}")]
    NotYetValid {
        /// thisUpdate.
        from: Timestamp,
    },
    /// Its issuer's responder does not know it (RFC 6960 §2.2).
    #[error("the OCSP responder of its issuer does not know it")]
    NotKnown,
}

impl Revocations {
    /// No answer: nobody can say anything.
    pub fn empty() -> Self {
        Self::default()
    }

    /// How long after its nextUpdate an answer still counts; nothing unless it is said here.
    #[must_use]
    pub fn tolerating(mut self, duration: SignedDuration) -> Self {
        self.tolerated_for = duration;
        self
    }

    /// How long after its nextUpdate an answer still counts.
    pub fn tolerated_for(&self) -> SignedDuration {
        self.tolerated_for
    }

    /// Reads lists in PEM or DER, each with a name for errors. Of two lists of one issuer the
    /// newer counts.
    ///
    /// # Errors
    /// The first file that is no complete list signed by one of `anchors` or its intermediates.
    pub fn from_crls(crls: &[(&str, &[u8])], anchors: &Anchors) -> Result<Self, CrlError> {
        let mut revocations = Self::empty();
        for (file, bytes) in crls {
            let issuers = anchors.iter().map(|anchor| anchor.certificate());
            let issuers = issuers.chain(anchors.intermediates());
            revocations.add_list(RevocationList::read(file, bytes, issuers)?);
        }
        Ok(revocations)
    }

    /// Takes `list` unless its issuer has given a newer one; tells whether.
    pub fn add_list(&mut self, list: impl Into<Arc<RevocationList>>) -> bool {
        let list = list.into();
        let issuer = self.issuers.entry(*list.issuer()).or_default();
        let newer = issuer.list.as_ref().is_none_or(|known| list.supersedes(known));
        if newer {
            issuer.list = Some(list);
        }
        newer
    }

    /// Takes `answer` unless a newer one is there, or one that says "revoked"; tells whether.
    pub fn add_answer(&mut self, answer: impl Into<Arc<OcspAnswer>>) -> bool {
        let answer = answer.into();
        let issuer = self.issuers.entry(answer.issuer).or_default();
        let newer = issuer.answers.get(&answer.serial).is_none_or(|known| {
            let revoked = matches!(known.status, OcspStatus::Revoked { .. });
            answer.this_update >= known.this_update
                && (!revoked || answer.this_update > known.this_update)
        });
        if newer {
            issuer.answers.insert(answer.serial.clone(), answer);
        }
        newer
    }

    /// Forgets the answers, of OCSP only, of which `keep` is false.
    pub fn retain_answers(&mut self, mut keep: impl FnMut(&OcspAnswer) -> bool) {
        for issuer in self.issuers.values_mut() {
            issuer.answers.retain(|_, answer| keep(answer));
        }
    }

    /// Every list.
    pub fn lists(&self) -> impl Iterator<Item = &Arc<RevocationList>> {
        self.issuers.values().filter_map(|issuer| issuer.list.as_ref())
    }

    /// Every answer.
    pub fn answers(&self) -> impl Iterator<Item = &Arc<OcspAnswer>> {
        self.issuers.values().flat_map(|issuer| issuer.answers.values())
    }

    /// What is known about `trusted` at `now`. Revoked certificates stay revoked whatever else is
    /// unknown.
    pub fn status(&self, trusted: &Trusted, now: Timestamp) -> RevocationStatus {
        let mut unknown = None;
        let mut oldest = None;
        for link in trusted.links() {
            match self.link(link, now) {
                RevocationStatus::Good { as_of, source } => {
                    if oldest.is_none_or(|(oldest, _)| as_of < oldest) {
                        oldest = Some((as_of, source));
                    }
                }
                revoked @ RevocationStatus::Revoked { .. } => return revoked,
                RevocationStatus::Unknown(why) => unknown = Some(why),
            }
        }
        match (unknown, oldest) {
            (Some(unknown), _) => RevocationStatus::Unknown(unknown),
            (None, Some((as_of, source))) => RevocationStatus::Good { as_of, source },
            (None, None) => RevocationStatus::Unknown(RevocationUnknown::NoList),
        }
    }

    fn link(&self, link: &Link, now: Timestamp) -> RevocationStatus {
        let Some(issuer) = self.issuers.get(&link.issuer) else {
            return RevocationStatus::Unknown(RevocationUnknown::NoList);
        };
        let answer = issuer.answers.get(&link.serial);
        if let Some(OcspStatus::Revoked { since }) = answer.map(|answer| answer.status) {
            return RevocationStatus::Revoked { since };
        }
        if let Some(since) = issuer.list.as_ref().and_then(|list| list.revoked.get(&link.serial)) {
            return RevocationStatus::Revoked { since: *since };
        }
        let answered = answer.map(|answer| {
            let counts = self.counts(answer.this_update, answer.until, now);
            match (counts, answer.status) {
                (Ok(as_of), OcspStatus::Unknown) => Err((as_of, RevocationUnknown::NotKnown)),
                (Ok(as_of), _) => Ok(as_of),
                (Err(why), _) => Err((answer.this_update, why)),
            }
        });
        match answered {
            Some(Ok(as_of)) => {
                return RevocationStatus::Good { as_of, source: RevocationSource::Ocsp };
            }
            // A certificate that its issuer has never heard of is not on its list either.
            Some(Err((_, why @ RevocationUnknown::NotKnown))) => {
                return RevocationStatus::Unknown(why);
            }
            _ => {}
        }
        let Some(list) = &issuer.list else {
            let why = answered.and_then(Result::err).map(|(_, why)| why);
            return RevocationStatus::Unknown(why.unwrap_or(RevocationUnknown::NoList));
        };
        match self.counts(list.this_update, list.next_update, now) {
            Ok(as_of) => RevocationStatus::Good { as_of, source: RevocationSource::Crl },
            Err(why) => RevocationStatus::Unknown(why),
        }
    }

    /// Whether an answer of this validity counts at `now`.
    fn counts(
        &self,
        from: Timestamp,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Timestamp, RevocationUnknown> {
        if now.duration_since(until) > self.tolerated_for {
            return Err(RevocationUnknown::Expired { since: until });
        }
        let ahead = SignedDuration::from_secs(crate::limits::CLOCK_SKEW_SECONDS_MAX);
        if from.duration_since(now) > ahead {
            return Err(RevocationUnknown::NotYetValid { from });
        }
        Ok(from)
    }
}

fn instant(time: ASN1Time) -> Option<Timestamp> {
    Timestamp::from_second(time.timestamp()).ok()
}
