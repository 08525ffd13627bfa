//! A bounded search by issuer name, depth first, anchors before sent certificates.

use jiff::Timestamp;

use super::{ChainFault, Link, Trusted};
use crate::anchors::{Anchor, Anchors, is_ca, issuer_id};
use crate::leaf::Leaf;
use crate::limits::{PATH_CANDIDATES_MAX, PATH_CERTIFICATES_MAX, PATH_STEPS_MAX};

pub(super) struct Search<'a> {
    anchors: &'a Anchors,
    leaf: &'a Leaf,
    /// What was sent and could issue anything; what cannot be read leads nowhere.
    sent: Vec<Leaf>,
    now: Timestamp,
    steps: usize,
    candidates: usize,
    /// A path that holds but is not valid now.
    late: Option<Trusted>,
    refused: Option<String>,
}

/// How a branch ended.
enum End {
    Found(Trusted),
    Exhausted,
    GivenUp,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        anchors: &'a Anchors,
        leaf: &'a Leaf,
        sent: &[Vec<u8>],
        now: Timestamp,
    ) -> Self {
        let mut authorities: Vec<Leaf> = Vec::new();
        for der in sent {
            if let Ok(certificate) = Leaf::from_der(der)
                && may_issue(&certificate)
                && certificate.fingerprint() != leaf.fingerprint()
                && authorities.iter().all(|known| known.fingerprint() != certificate.fingerprint())
            {
                authorities.push(certificate);
            }
        }
        Self {
            anchors,
            leaf,
            sent: authorities,
            now,
            steps: 0,
            candidates: 0,
            late: None,
            refused: None,
        }
    }

    pub(super) fn run(mut self) -> Result<Trusted, ChainFault> {
        let sent = std::mem::take(&mut self.sent);
        match self.extend(&sent, &mut Vec::new()) {
            End::Found(trusted) => Ok(trusted),
            End::Exhausted | End::GivenUp if self.late.is_some() => {
                self.late.ok_or(ChainFault::TooTangled)
            }
            End::GivenUp => Err(ChainFault::TooTangled),
            End::Exhausted => Err(match self.refused {
                Some(why) => ChainFault::NotVerified { why },
                None => ChainFault::NoPath { issuer: self.leaf.issuer().to_owned() },
            }),
        }
    }

    /// Looks for issuers of the last certificate of the path `leaf`, `between`.
    fn extend<'s>(&mut self, sent: &'s [Leaf], between: &mut Vec<&'s Leaf>) -> End {
        self.steps += 1;
        if self.steps > PATH_STEPS_MAX {
            return End::GivenUp;
        }
        let issuer = between.last().copied().unwrap_or(self.leaf).issuer_der();
        for anchor in self.anchors.named(issuer) {
            self.candidates += 1;
            if self.candidates > PATH_CANDIDATES_MAX {
                return End::GivenUp;
            }
            match anchor.verifies(self.leaf, between) {
                Ok(()) => {
                    let trusted = trusted(self.leaf, between, anchor);
                    if trusted.is_valid_at(self.now) {
                        return End::Found(trusted);
                    }
                    self.late.get_or_insert(trusted);
                }
                Err(why) => self.refused = Some(why),
            }
        }
        // The leaf and the anchor stand at its ends.
        if between.len() + 2 >= PATH_CERTIFICATES_MAX {
            return End::Exhausted;
        }
        for certificate in sent {
            let again = between.iter().any(|used| used.fingerprint() == certificate.fingerprint());
            if again || certificate.subject_der() != issuer {
                continue;
            }
            between.push(certificate);
            let end = self.extend(sent, between);
            between.pop();
            if !matches!(end, End::Exhausted) {
                return end;
            }
        }
        End::Exhausted
    }
}

/// A CA certificate with a key and a signature that may be relied on.
fn may_issue(certificate: &Leaf) -> bool {
    is_ca(certificate)
        && certificate.key().is_accepted()
        && certificate.signature_algorithm().is_accepted()
}

fn trusted(leaf: &Leaf, between: &[&Leaf], anchor: &Anchor) -> Trusted {
    let below = || std::iter::once(leaf).chain(between.iter().copied());
    let issuers = between.iter().map(|issuer| issuer_id(issuer)).chain([anchor.issuer_id()]);
    let all = || below().chain([anchor.certificate()]);
    let not_before = all().map(Leaf::not_before).max().unwrap_or(Timestamp::MAX);
    let not_after = all().map(Leaf::not_after).min().unwrap_or(Timestamp::MIN);
    let links = below()
        .zip(issuers)
        .map(|(certificate, issuer)| Link { issuer, serial: certificate.serial().into() });
    Trusted {
        anchor_subject: anchor.subject().into(),
        not_before,
        not_after,
        links: links.collect(),
    }
}
