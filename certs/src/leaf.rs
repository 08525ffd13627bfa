//! What the bytes of an end-entity certificate say (RFC 5280, ETSI EN 319 412). Nothing is judged
//! here: [`crate::Qwac`] judges the profile, [`crate::Anchors::find_path`] the chain.

mod error;
mod extensions;
mod key;
mod read;
mod subject;
#[cfg(test)]
mod tests;

use std::fmt;

use jiff::Timestamp;
use x509_parser::pem::Pem;

pub use error::LeafError;
pub use extensions::{AlternativeName, ExtKeyUsage, KeyUsage};
pub use key::{KeyAlgorithm, PublicKey, SignatureAlgorithm};
pub use subject::{OrganisationIdValue, StringType};

use crate::digest;
use crate::limits::{PEM_BYTES_MAX, SENT_CERTIFICATES_MAX};
use crate::qc_statements::{QcFault, QcStatements};

/// A certificate, read once and kept as typed values.
#[derive(Clone, PartialEq, Eq)]
pub struct Leaf {
    der: Box<[u8]>,
    fingerprint: [u8; 32],
    version: u32,
    serial: Box<[u8]>,
    serial_hex: Box<str>,
    subject_der: Box<[u8]>,
    issuer_der: Box<[u8]>,
    key_der: Box<[u8]>,
    subject: subject::Subject,
    issuer: Box<str>,
    not_before: Timestamp,
    not_after: Timestamp,
    key: PublicKey,
    signature_algorithm: SignatureAlgorithm,
    extensions: extensions::Extensions,
}

impl Leaf {
    /// Reads one certificate.
    ///
    /// # Errors
    /// Longer than this crate's bounds, not strict DER, octets left over, an extension twice or
    /// malformed. A malformed qcStatements extension is no error here: [`Leaf::qc`] tells it, so
    /// that its TPP can still be told who it claims to be.
    pub fn from_der(der: &[u8]) -> Result<Self, LeafError> {
        read::leaf(der)
    }

    /// Reads a PEM text: the first certificate is the leaf, the others are returned as DER, in the
    /// order written, as the chain that a client would send. Other PEM blocks are skipped.
    ///
    /// # Errors
    /// As [`Leaf::from_der`], and for a text that holds no certificate or too much.
    pub fn from_pem(pem: &[u8]) -> Result<(Self, Vec<Vec<u8>>), LeafError> {
        let mut certificates = Self::ders_of_pem(pem)?;
        let leaf = Self::from_der(&certificates.remove(0))?;
        Ok((leaf, certificates))
    }

    /// The certificates of a PEM text as they stand, at least one, none of them read yet.
    ///
    /// # Errors
    /// No PEM, no certificate in it, or too much.
    pub fn ders_of_pem(pem: &[u8]) -> Result<Vec<Vec<u8>>, LeafError> {
        if pem.len() > PEM_BYTES_MAX {
            return Err(LeafError::PemTooLong { bytes: pem.len() });
        }
        let mut certificates = Vec::new();
        for block in Pem::iter_from_buffer(pem) {
            let block = block.map_err(|_| LeafError::Pem)?;
            if block.label == "CERTIFICATE" {
                certificates.push(block.contents);
            }
            if certificates.len() > SENT_CERTIFICATES_MAX + 1 {
                return Err(LeafError::TooManyCertificates);
            }
        }
        if certificates.is_empty() {
            return Err(LeafError::NoCertificate);
        }
        Ok(certificates)
    }

    /// The certificate as it was received.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// SHA-256 of the certificate.
    pub fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// SHA-1 of the certificate, for `keyId`s that still carry it. Never an identity of its own.
    pub fn fingerprint_sha1(&self) -> [u8; 20] {
        digest::sha1(&self.der)
    }

    /// 1, 2 or 3.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The serial number's octets in lower-case hexadecimal, as encoded.
    pub fn serial_hex(&self) -> &str {
        &self.serial_hex
    }

    /// The serial number's octets, as encoded.
    pub(crate) fn serial(&self) -> &[u8] {
        &self.serial
    }

    /// The subject's encoding: names are compared by it, octet for octet.
    pub(crate) fn subject_der(&self) -> &[u8] {
        &self.subject_der
    }

    /// The issuer's encoding.
    pub(crate) fn issuer_der(&self) -> &[u8] {
        &self.issuer_der
    }

    /// The subjectPublicKeyInfo.
    pub(crate) fn key_der(&self) -> &[u8] {
        &self.key_der
    }

    /// The subject for a person to read; never to be compared or taken apart.
    pub fn subject(&self) -> &str {
        &self.subject.display
    }

    /// The issuer for a person to read; never to be compared or taken apart.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// organizationName of the subject.
    pub fn subject_organisation(&self) -> Option<&str> {
        self.subject.organisation.as_deref()
    }

    /// commonName of the subject.
    pub fn subject_common_name(&self) -> Option<&str> {
        self.subject.common_name.as_deref()
    }

    /// countryName of the subject.
    pub fn subject_country(&self) -> Option<&str> {
        self.subject.country.as_deref()
    }

    /// Every organizationIdentifier (2.5.4.97) of the subject, whatever RDN or string type it
    /// stands in.
    pub fn organisation_ids(&self) -> &[OrganisationIdValue] {
        &self.subject.organisation_ids
    }

    /// First instant of validity.
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// Last instant of validity.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Algorithm and size of the subject's key.
    pub fn key(&self) -> PublicKey {
        self.key
    }

    /// With what the issuer signed.
    pub fn signature_algorithm(&self) -> &SignatureAlgorithm {
        &self.signature_algorithm
    }

    /// basicConstraints says cA = TRUE.
    pub fn is_ca(&self) -> bool {
        self.extensions.is_ca
    }

    /// keyUsage, or `None` without that extension.
    pub fn key_usage(&self) -> Option<KeyUsage> {
        self.extensions.key_usage
    }

    /// extKeyUsage, or `None` without that extension.
    pub fn ext_key_usage(&self) -> Option<&ExtKeyUsage> {
        self.extensions.ext_key_usage.as_ref()
    }

    /// subjectAltName.
    pub fn alternative_names(&self) -> &[AlternativeName] {
        &self.extensions.alternative_names
    }

    /// Where the issuer publishes its revocation lists (cRLDistributionPoints).
    pub fn crl_urls(&self) -> &[String] {
        &self.extensions.crl_urls
    }

    /// Where the issuer answers OCSP (authorityInfoAccess).
    pub fn ocsp_urls(&self) -> &[String] {
        &self.extensions.ocsp_urls
    }

    /// Where the issuer's own certificate is published (authorityInfoAccess).
    pub fn ca_issuer_urls(&self) -> &[String] {
        &self.extensions.ca_issuer_urls
    }

    /// Whether it has nameConstraints.
    pub(crate) fn constrains_names(&self) -> bool {
        self.extensions.constrains_names
    }

    /// Whether its nameConstraints exclude names.
    pub(crate) fn excludes_names(&self) -> bool {
        self.extensions.excludes_names
    }

    /// Whether a constraint for CAs below it is not critical.
    pub(crate) fn is_lax(&self) -> bool {
        self.extensions.lax
    }

    /// OIDs of certificatePolicies.
    pub fn policies(&self) -> &[String] {
        &self.extensions.policies
    }

    /// The qcStatements extension, or why there is none to rely on.
    ///
    /// # Errors
    /// Absent or malformed.
    pub fn qc(&self) -> Result<&QcStatements, &QcFault> {
        self.extensions.qc.as_ref()
    }
}

impl fmt::Debug for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leaf")
            .field("subject", &self.subject())
            .field("issuer", &self.issuer())
            .field("serial", &self.serial_hex())
            .field("not_after", &self.not_after())
            .finish_non_exhaustive()
    }
}
