//! From octets to a [`Leaf`]: bounds first, then structure, then values.

use jiff::Timestamp;
use x509_parser::certificate::X509CertificateParser;
use x509_parser::nom::Parser;
use x509_parser::time::ASN1Time;

use super::extensions::Extensions;
use super::subject::{self, Subject};
use super::{Leaf, LeafError, PublicKey, SignatureAlgorithm};
use crate::der;
use crate::digest::sha256;
use crate::limits::{LEAF_BYTES_MAX, SERIAL_BYTES_MAX};

pub(super) fn leaf(bytes: &[u8]) -> Result<Leaf, LeafError> {
    if bytes.len() > LEAF_BYTES_MAX {
        return Err(LeafError::TooLong { bytes: bytes.len() });
    }
    if !der::is_strict(bytes) {
        return Err(LeafError::NotStrictDer);
    }
    // Extensions are decoded by us, one by one: the parser reads a malformed one as absent.
    let (rest, certificate) = X509CertificateParser::new()
        .with_deep_parse_extensions(false)
        .parse(bytes)
        .map_err(|_| LeafError::Malformed { what: "its structure" })?;
    if !rest.is_empty() {
        return Err(LeafError::NotStrictDer);
    }
    let signed = &certificate.tbs_certificate;
    if signed.signature != certificate.signature_algorithm {
        return Err(LeafError::SignatureAlgorithmsDiffer);
    }
    let serial = signed.raw_serial();
    if !(1..=SERIAL_BYTES_MAX).contains(&serial.len()) {
        return Err(LeafError::Serial { bytes: serial.len() });
    }
    Ok(Leaf {
        der: bytes.into(),
        fingerprint: sha256(bytes),
        version: signed.version().0.saturating_add(1),
        serial_hex: hex::encode(serial).into(),
        serial: serial.into(),
        subject_der: signed.subject().as_raw().into(),
        issuer_der: signed.issuer().as_raw().into(),
        key_der: signed.public_key().raw.into(),
        subject: Subject::read(signed.subject())?,
        issuer: subject::display(signed.issuer())?,
        not_before: instant(signed.validity().not_before)?,
        not_after: instant(signed.validity().not_after)?,
        key: PublicKey::read(signed.public_key()),
        signature_algorithm: SignatureAlgorithm::read(&certificate.signature_algorithm),
        extensions: Extensions::read(signed.extensions())?,
    })
}

fn instant(time: ASN1Time) -> Result<Timestamp, LeafError> {
    Timestamp::from_second(time.timestamp())
        .map_err(|_| LeafError::Malformed { what: "its validity" })
}
