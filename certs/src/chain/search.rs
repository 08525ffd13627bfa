//! A bounded search by issuer name, depth first, anchors before sent certificates.

use std::sync::Arc;

use jiff::Timestamp;

use super::{ChainFault, Link, Trusted};
use crate::anchors::{Anchor, Anchors, is_ca, issuer_id};
use crate::leaf::{AlternativeName, Leaf};
use crate::limits::{PATH_CANDIDATES_MAX, PATH_CERTIFICATES_MAX, PATH_STEPS_MAX};

pub(super) struct Search<'a> {
    anchors: &'a Anchors,
    leaf: &'a Leaf,
    /// What was sent and could issue anything; what cannot be read leads nowhere.
    sent: Vec<Arc<Leaf>>,
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
        let mut authorities: Vec<Arc<Leaf>> = Vec::new();
        for certificate in sent.iter().filter_map(|der| Leaf::from_der(der).ok()) {
            if may_issue(&certificate)
                && certificate.fingerprint() != leaf.fingerprint()
                && authorities.iter().all(|known| known.fingerprint() != certificate.fingerprint())
            {
                authorities.push(Arc::new(certificate));
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
        if self.leaf.constrains_names() {
            let why = "it has nameConstraints, which only a CA may have".to_owned();
            return Err(ChainFault::NotVerified { why });
        }
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
    fn extend(&mut self, sent: &[Arc<Leaf>], between: &mut Vec<Arc<Leaf>>) -> End {
        self.steps += 1;
        if self.steps > PATH_STEPS_MAX {
            return End::GivenUp;
        }
        let last = between.last().cloned();
        let issuer = last.as_deref().unwrap_or(self.leaf).issuer_der();
        for anchor in self.anchors.named(issuer) {
            self.candidates += 1;
            if self.candidates > PATH_CANDIDATES_MAX {
                return End::GivenUp;
            }
            match self.holds(anchor, between) {
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
        let fitting = sent.iter().filter(|certificate| certificate.subject_der() == issuer);
        for certificate in fitting.chain(self.anchors.intermediates_named(issuer)) {
            let again = between.iter().any(|used| used.fingerprint() == certificate.fingerprint());
            if again {
                continue;
            }
            between.push(Arc::clone(certificate));
            let end = self.extend(sent, between);
            between.pop();
            if !matches!(end, End::Exhausted) {
                return end;
            }
        }
        End::Exhausted
    }
}

impl Search<'_> {
    /// OpenSSL compares a wildcard with an excluded subtree as if the asterisk were a label, and so
    /// finds it outside of one that it reaches into.
    fn holds(&self, anchor: &Anchor, between: &[Arc<Leaf>]) -> Result<(), String> {
        let excluded =
            between.iter().any(|ca| ca.excludes_names()) || anchor.certificate().excludes_names();
        let wildcard = |name: &AlternativeName| matches!(name, AlternativeName::Dns(name) if name.contains('*'));
        if excluded && self.leaf.alternative_names().iter().any(wildcard) {
            return Err("a wildcard stands where names are excluded".to_owned());
        }
        anchor.verifies(self.leaf, between)
    }
}

/// A CA certificate with a key and a signature that may be relied on.
pub(crate) fn may_issue(certificate: &Leaf) -> bool {
    is_ca(certificate)
        && certificate.key().is_accepted()
        && certificate.signature_algorithm().is_accepted()
        && !certificate.is_lax()
}

fn trusted(leaf: &Leaf, between: &[Arc<Leaf>], anchor: &Anchor) -> Trusted {
    let below = || std::iter::once(leaf).chain(between.iter().map(|between| &**between));
    let issuers = between.iter().chain([anchor.certificate()]);
    let all = || below().chain([&**anchor.certificate()]);
    let not_before = all().map(Leaf::not_before).max().unwrap_or(Timestamp::MAX);
    let not_after = all().map(Leaf::not_after).min().unwrap_or(Timestamp::MIN);
    let links = below().zip(issuers).map(|(certificate, issuer)| Link {
        issuer: issuer_id(issuer),
        serial: certificate.serial().into(),
        issuer_certificate: Arc::clone(issuer),
    });
    Trusted {
        anchor_subject: anchor.subject().into(),
        not_before,
        not_after,
        links: links.collect(),
    }
}
