//! Whom we believe: the certificates of issuing CAs that trusted lists name (ETSI TS 119 612) or
//! that a bank gives as PEM files.

use std::collections::HashMap;

use jiff::Timestamp;
use openssl::stack::Stack;
use openssl::x509::store::{X509Store, X509StoreBuilder};
use openssl::x509::verify::X509VerifyFlags;
use openssl::x509::{X509, X509StoreContext};
use thiserror::Error;
use x509_parser::pem::Pem;

use crate::chain::IssuerId;
use crate::digest::sha256;
use crate::leaf::{Leaf, LeafError};
use crate::limits::ANCHORS_MAX;

/// The organisation that every CA of the test QTSP carries in its subject.
pub(crate) const TEST_QTSP_ORGANISATION: &str = "Octroi Test QTSP";

/// One CA that is believed.
pub struct Anchor {
    certificate: Leaf,
    issuer_id: IssuerId,
    /// Holds this CA alone, so that a path that OpenSSL verifies in it ends here.
    store: X509Store,
    public_key: openssl::pkey::PKey<openssl::pkey::Public>,
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

    pub(crate) fn certificate(&self) -> &Leaf {
        &self.certificate
    }

    pub(crate) fn issuer_id(&self) -> IssuerId {
        self.issuer_id
    }

    pub(crate) fn public_key(&self) -> &openssl::pkey::PKey<openssl::pkey::Public> {
        &self.public_key
    }

    /// Whether OpenSSL finds every signature and constraint of `leaf`, over `between`, to this
    /// anchor right. Validity is not looked at: it is judged at each request.
    pub(crate) fn verifies(&self, leaf: &Leaf, between: &[&Leaf]) -> Result<(), String> {
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
pub struct Anchors {
    anchors: Vec<Anchor>,
    by_subject: HashMap<Box<[u8]>, Vec<usize>>,
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
        let mut set = Self { anchors: Vec::new(), by_subject: HashMap::new() };
        for (name, pem) in sources {
            let source_name = || (*name).to_owned();
            let mut position = 0;
            for block in Pem::iter_from_buffer(pem) {
                let block = block.map_err(|_| AnchorError::Pem { source_name: source_name() })?;
                if block.label != "CERTIFICATE" {
                    continue;
                }
                position += 1;
                if set.anchors.len() == ANCHORS_MAX {
                    return Err(AnchorError::TooMany { source_name: source_name() });
                }
                set.add(name, position, &block.contents)?;
            }
            if position == 0 {
                return Err(AnchorError::Nothing { source_name: source_name() });
            }
        }
        Ok(set)
    }

    fn add(&mut self, name: &str, position: usize, der: &[u8]) -> Result<(), AnchorError> {
        let unreadable =
            |error| AnchorError::Unreadable { source_name: name.to_owned(), position, error };
        let certificate = Leaf::from_der(der).map_err(unreadable)?;
        if !is_ca(&certificate) {
            return Err(AnchorError::NotCa {
                source_name: name.to_owned(),
                position,
                subject: certificate.subject().to_owned(),
            });
        }
        if self.iter().any(|anchor| anchor.fingerprint() == certificate.fingerprint()) {
            return Ok(());
        }
        let (store, public_key) = store_of(der)
            .map_err(|_| unreadable(LeafError::Malformed { what: "its key, by OpenSSL," }))?;
        let subject = self.by_subject.entry(certificate.subject_der().into()).or_default();
        subject.push(self.anchors.len());
        let issuer_id = issuer_id(&certificate);
        self.anchors.push(Anchor { certificate, issuer_id, store, public_key });
        Ok(())
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

type StoreAndKey = (X509Store, openssl::pkey::PKey<openssl::pkey::Public>);

fn store_of(der: &[u8]) -> Result<StoreAndKey, openssl::error::ErrorStack> {
    let certificate = X509::from_der(der)?;
    let key = certificate.public_key()?;
    let mut builder = X509StoreBuilder::new()?;
    builder.add_cert(certificate)?;
    builder.set_flags(X509VerifyFlags::PARTIAL_CHAIN | X509VerifyFlags::NO_CHECK_TIME)?;
    Ok((builder.build(), key))
}
