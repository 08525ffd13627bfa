//! Whom we believe: the certificates of issuing CAs that trusted lists name (ETSI TS 119 612) or
//! that a bank gives as PEM files.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use openssl::stack::Stack;
use openssl::x509::store::{X509Store, X509StoreBuilder};
use openssl::x509::verify::X509VerifyFlags;
use openssl::x509::{X509, X509StoreContext};
use thiserror::Error;
use x509_parser::pem::Pem;

use crate::chain::IssuerId;
use crate::chain::search::may_issue;
use crate::digest::sha256;
use crate::leaf::{Leaf, LeafError};
use crate::limits::{ANCHORS_MAX, INTERMEDIATES_MAX};

/// The organisation that every CA of the test QTSP carries in its subject.
pub(crate) const TEST_QTSP_ORGANISATION: &str = "Octroi Test QTSP";

/// One CA that is believed.
pub struct Anchor {
    certificate: Arc<Leaf>,
    /// Holds this CA alone, so that a path that OpenSSL verifies in it ends here.
    store: X509Store,
}

impl Anchor {
    /// The subject for a person to read.
    pub fn subject(&self) -> &str {
        self.certificate.subject()
    }

    /// SHA-256 of the certificate.
    pub fn fingerprint(&self) -> &[u8; 32] {
        self.certificate.fingerprint()
    }

    /// Last instant of validity.
    pub fn not_after(&self) -> Timestamp {
        self.certificate.not_after()
    }

    /// Whether anybody can make certificates in its name with `octroi cert issue`.
    pub fn is_test_qtsp(&self) -> bool {
        self.certificate.subject_organisation() == Some(TEST_QTSP_ORGANISATION)
    }

    /// Its certificate.
    pub fn certificate(&self) -> &Arc<Leaf> {
        &self.certificate
    }

    /// Whether OpenSSL finds every signature and constraint of `leaf`, over `between`, to this
    /// anchor right. Validity is not looked at: it is judged at each request.
    pub(crate) fn verifies(&self, leaf: &Leaf, between: &[Arc<Leaf>]) -> Result<(), String> {
        let verify = || -> Result<Result<(), String>, openssl::error::ErrorStack> {
            let target = X509::from_der(leaf.der())?;
            let mut untrusted = Stack::new()?;
            for certificate in between {
                untrusted.push(X509::from_der(certificate.der())?)?;
            }
            let mut context = X509StoreContext::new()?;
            context.init(&self.store, &target, &untrusted, |context| {
                Ok(if context.verify_cert()? {
                    Ok(())
                } else {
                    Err(context.error().error_string().to_owned())
                })
            })
        };
        verify().unwrap_or_else(|_| Err("OpenSSL cannot read the certificates".to_owned()))
    }
}

/// The set of CAs that are believed.
#[derive(Default)]
pub struct Anchors {
    anchors: Vec<Anchor>,
    by_subject: HashMap<Box<[u8]>, Vec<usize>>,
    fingerprints: HashSet<[u8; 32]>,
    intermediates: HashMap<Box<[u8]>, Vec<Arc<Leaf>>>,
}

/// Why a PEM text gives no anchors.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AnchorError {
    /// Cut off or not base64.
    #[error("{source_name}: has a PEM block that is cut off or not base64")]
    Pem {
        /// The file.
        source_name: String,
    },
    /// No certificate in it.
    #[error("{source_name}: holds no certificate in PEM")]
    Nothing {
        /// The file.
        source_name: String,
    },
    /// A certificate that cannot be read.
    #[error("{source_name}: certificate {position}: {error}")]
    Unreadable {
        /// The file.
        source_name: String,
        /// From 1.
        position: usize,
        /// Why.
        error: LeafError,
    },
    /// A certificate that cannot issue others.
    #[error("{source_name}: certificate {position} ({subject}) is not a CA and can be no anchor")]
    NotCa {
        /// The file.
        source_name: String,
        /// From 1.
        position: usize,
        /// Whose it is.
        subject: String,
    },
    /// A key that nothing should be built on.
    #[error("{source_name}: certificate {position} ({subject}) has a weak key ({key})")]
    WeakKey {
        /// The file.
        source_name: String,
        /// From 1.
        position: usize,
        /// Whose it is.
        subject: String,
        /// Such as "RSA 1024".
        key: String,
    },
    /// Too many.
    #[error("{source_name}: more than {ANCHORS_MAX} anchors")]
    TooMany {
        /// The file.
        source_name: String,
    },
}

impl Anchors {
    /// Reads the CAs of PEM texts, each with a name for errors. One that stands twice counts once.
    ///
    /// # Errors
    /// A text that holds no or unusable certificates. No text at all gives an empty set.
    pub fn from_pem(sources: &[(&str, &[u8])]) -> Result<Self, AnchorError> {
        let mut set = Self::default();
        for (name, pem) in sources {
            for (position, der) in (1..).zip(certificates(name, pem)?) {
                set.add(name, position, &der)?;
            }
        }
        Ok(set)
    }

    /// Adds CAs that are no anchors but complete paths, for TPPs that send their leaf alone.
    /// Nothing ends at them: every path over them is verified up to an anchor.
    ///
    /// # Errors
    /// As [`Anchors::from_pem`].
    pub fn add_intermediates(&mut self, sources: &[(&str, &[u8])]) -> Result<(), AnchorError> {
        for (name, pem) in sources {
            for (position, der) in (1..).zip(certificates(name, pem)?) {
                if self.intermediates().count() == INTERMEDIATES_MAX {
                    return Err(AnchorError::TooMany { source_name: (*name).to_owned() });
                }
                let certificate = ca(name, position, &der)?;
                if may_issue(&certificate) {
                    let subject = certificate.subject_der().into();
                    self.intermediates.entry(subject).or_default().push(Arc::new(certificate));
                }
            }
        }
        Ok(())
    }

    /// Adds one CA in DER; `name` and `position` are for errors.
    ///
    /// # Errors
    /// It is no CA that can be read, or one too many.
    pub fn add(&mut self, name: &str, position: usize, der: &[u8]) -> Result<(), AnchorError> {
        if self.anchors.len() == ANCHORS_MAX {
            return Err(AnchorError::TooMany { source_name: name.to_owned() });
        }
        let certificate = ca(name, position, der)?;
        if !self.fingerprints.insert(*certificate.fingerprint()) {
            return Ok(());
        }
        let store = store_of(der).map_err(|_| AnchorError::Unreadable {
            source_name: name.to_owned(),
            position,
            error: LeafError::Malformed { what: "its key, by OpenSSL," },
        })?;
        let subject = self.by_subject.entry(certificate.subject_der().into()).or_default();
        subject.push(self.anchors.len());
        self.anchors.push(Anchor { certificate: Arc::new(certificate), store });
        Ok(())
    }

    /// Whether the CA with this SHA-256 is an anchor.
    pub fn contains(&self, fingerprint: &[u8; 32]) -> bool {
        self.fingerprints.contains(fingerprint)
    }

    /// The CAs that complete paths.
    pub fn intermediates(&self) -> impl Iterator<Item = &Arc<Leaf>> {
        self.intermediates.values().flatten()
    }

    pub(crate) fn intermediates_named(
        &self,
        subject_der: &[u8],
    ) -> impl Iterator<Item = &Arc<Leaf>> {
        self.intermediates.get(subject_der).into_iter().flatten()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.anchors.len()
    }

    /// None: nobody is believed.
    pub fn is_empty(&self) -> bool {
        self.anchors.is_empty()
    }

    /// The anchors, in the order read.
    pub fn iter(&self) -> impl Iterator<Item = &Anchor> {
        self.anchors.iter()
    }

    pub(crate) fn named(&self, subject_der: &[u8]) -> impl Iterator<Item = &Anchor> {
        let places = self.by_subject.get(subject_der).map(Vec::as_slice).unwrap_or_default();
        places.iter().filter_map(|place| self.anchors.get(*place))
    }
}

/// Whether other certificates may be signed with its key (RFC 5280 §4.2.1.3, §4.2.1.9).
pub(crate) fn is_ca(certificate: &Leaf) -> bool {
    certificate.is_ca() && certificate.key_usage().is_none_or(|usage| usage.key_cert_sign())
}

/// Names a CA by its name and key together: either alone may be shared.
pub(crate) fn issuer_id(certificate: &Leaf) -> IssuerId {
    sha256(&[certificate.subject_der(), certificate.key_der()].concat())
}

/// The certificates of a PEM text; other blocks are skipped.
fn certificates(name: &str, pem: &[u8]) -> Result<Vec<Vec<u8>>, AnchorError> {
    let source_name = || name.to_owned();
    let mut found = Vec::new();
    for block in Pem::iter_from_buffer(pem) {
        let block = block.map_err(|_| AnchorError::Pem { source_name: source_name() })?;
        if block.label == "CERTIFICATE" {
            found.push(block.contents);
        }
    }
    if found.is_empty() {
        return Err(AnchorError::Nothing { source_name: source_name() });
    }
    Ok(found)
}

fn ca(name: &str, position: usize, der: &[u8]) -> Result<Leaf, AnchorError> {
    let source_name = name.to_owned();
    let certificate = Leaf::from_der(der).map_err(|error| AnchorError::Unreadable {
        source_name,
        position,
        error,
    })?;
    let (source_name, subject) = (name.to_owned(), certificate.subject().to_owned());
    if !is_ca(&certificate) {
        return Err(AnchorError::NotCa { source_name, position, subject });
    }
    if !certificate.key().is_accepted() {
        let key = certificate.key().to_string();
        return Err(AnchorError::WeakKey { source_name, position, subject, key });
    }
    Ok(certificate)
}

fn store_of(der: &[u8]) -> Result<X509Store, openssl::error::ErrorStack> {
    let mut builder = X509StoreBuilder::new()?;
    builder.add_cert(X509::from_der(der)?)?;
    // Without STRICT, OpenSSL looks away from much that RFC 5280 §4.2 demands of CAs.
    builder.set_flags(
        X509VerifyFlags::PARTIAL_CHAIN
            | X509VerifyFlags::NO_CHECK_TIME
            | X509VerifyFlags::X509_STRICT,
    )?;
    Ok(builder.build())
}
