//! A certificate put together part by part, so that each part can be made wrong.

use std::borrow::Cow;

use jiff::Timestamp;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Padding;
use openssl::sign::{RsaPssSaltlen, Signer as OpenSslSigner};
use x509_parser::asn1_rs::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::QtspError;
use super::der::{
    bits, boolean, context, integer, null, octets, oid, sequence, set, text, time, universal,
};

pub(super) const COUNTRY: &str = "2.5.4.6";
pub(super) const ORGANISATION: &str = "2.5.4.10";
pub(super) const COMMON_NAME: &str = "2.5.4.3";
pub(super) const ORGANISATION_ID: &str = "2.5.4.97";

const SUBJECT_KEY_ID: &str = "2.5.29.14";
const AUTHORITY_KEY_ID: &str = "2.5.29.35";
pub(super) const BASIC_CONSTRAINTS: &str = "2.5.29.19";
pub(super) const KEY_USAGE: &str = "2.5.29.15";
pub(super) const EXT_KEY_USAGE: &str = "2.5.29.37";
pub(super) const ALTERNATIVE_NAME: &str = "2.5.29.17";
pub(super) const NAME_CONSTRAINTS: &str = "2.5.29.30";
pub(super) const CRL_POINTS: &str = "2.5.29.31";
pub(super) const POLICIES: &str = "2.5.29.32";
pub(super) const ISSUER_INFO: &str = "1.3.6.1.5.5.7.1.1";
pub(super) const QC_STATEMENTS: &str = "1.3.6.1.5.5.7.1.3";

/// ASN.1 tag of UTF8String.
pub(super) const UTF8: u32 = 12;
pub(super) const PRINTABLE: u32 = 19;

/// With what an issuer signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    EcdsaSha256,
    EcdsaSha384,
    EcdsaSha1,
    RsaSha256,
    RsaSha384,
    RsaSha512,
    RsaSha1,
    RsaMd5,
    PssSha256,
    PssSha1,
}

impl Algorithm {
    fn digest(self) -> MessageDigest {
        match self {
            Self::EcdsaSha256 | Self::RsaSha256 | Self::PssSha256 => MessageDigest::sha256(),
            Self::EcdsaSha384 | Self::RsaSha384 => MessageDigest::sha384(),
            Self::RsaSha512 => MessageDigest::sha512(),
            Self::EcdsaSha1 | Self::RsaSha1 | Self::PssSha1 => MessageDigest::sha1(),
            Self::RsaMd5 => MessageDigest::md5(),
        }
    }

    const fn is_pss(self) -> bool {
        matches!(self, Self::PssSha256 | Self::PssSha1)
    }

    pub(super) fn identifier(self) -> Result<Vec<u8>, QtspError> {
        let (dotted, parameters) = match self {
            Self::EcdsaSha256 => ("1.2.840.10045.4.3.2", None),
            Self::EcdsaSha384 => ("1.2.840.10045.4.3.3", None),
            Self::EcdsaSha1 => ("1.2.840.10045.4.1", None),
            Self::RsaSha256 => ("1.2.840.113549.1.1.11", Some(null()?)),
            Self::RsaSha384 => ("1.2.840.113549.1.1.12", Some(null()?)),
            Self::RsaSha512 => ("1.2.840.113549.1.1.13", Some(null()?)),
            Self::RsaSha1 => ("1.2.840.113549.1.1.5", Some(null()?)),
            Self::RsaMd5 => ("1.2.840.113549.1.1.4", Some(null()?)),
            Self::PssSha256 => ("1.2.840.113549.1.1.10", Some(pss_parameters()?)),
            // The defaults of RFC 4055 §3.1 are SHA-1 throughout.
            Self::PssSha1 => ("1.2.840.113549.1.1.10", Some(sequence(&[])?)),
        };
        sequence(&[vec![oid(dotted)?], parameters.into_iter().collect()].concat())
    }

    /// Signs `message` as it stands.
    pub(super) fn sign(self, key: &PKey<Private>, message: &[u8]) -> Result<Vec<u8>, QtspError> {
        let mut signer = OpenSslSigner::new(self.digest(), key)?;
        if self.is_pss() {
            signer.set_rsa_padding(Padding::PKCS1_PSS)?;
            signer.set_rsa_mgf1_md(self.digest())?;
            signer.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH)?;
        }
        Ok(signer.sign_oneshot_to_vec(message)?)
    }
}

fn pss_parameters() -> Result<Vec<u8>, QtspError> {
    let sha256 = sequence(&[oid("2.16.840.1.101.3.4.2.1")?, null()?])?;
    let mgf1 = sequence(&[oid("1.2.840.113549.1.1.8")?, sha256.clone()])?;
    sequence(&[
        context(0, true, &sha256)?,
        context(1, true, &mgf1)?,
        context(2, true, &integer(&[32])?)?,
    ])
}

/// One attribute of a name: OID, tag of its string type, content octets.
pub(super) type Attribute = (&'static str, u32, Vec<u8>);

/// One attribute in UTF-8; a country as the PrintableString that X.520 makes of it.
pub(super) fn attribute(dotted: &'static str, value: &str) -> Attribute {
    let tag = if dotted == COUNTRY { PRINTABLE } else { UTF8 };
    (dotted, tag, value.as_bytes().to_vec())
}

/// A name of RDNs, each of attributes.
pub(super) fn name(rdns: &[Vec<Attribute>]) -> Result<Vec<u8>, QtspError> {
    let attribute =
        |(dotted, tag, value): &Attribute| sequence(&[oid(dotted)?, universal(*tag, value)?]);
    let rdn = |attributes: &Vec<Attribute>| {
        let mut encoded: Vec<Vec<u8>> =
            attributes.iter().map(attribute).collect::<Result<_, QtspError>>()?;
        encoded.sort();
        set(&encoded)
    };
    sequence(&rdns.iter().map(rdn).collect::<Result<Vec<_>, QtspError>>()?)
}

/// One extension: OID, criticality, value.
#[derive(Clone)]
pub(super) struct Extension {
    pub(super) oid: Cow<'static, str>,
    pub(super) critical: bool,
    pub(super) value: Vec<u8>,
}

impl Extension {
    fn encode(&self) -> Result<Vec<u8>, QtspError> {
        let critical = if self.critical { boolean(true)? } else { Vec::new() };
        sequence(&[oid(&self.oid)?, critical, octets(&self.value)?])
    }
}

/// The parts of a PSD2 statement.
#[derive(Clone)]
pub(super) struct Psd2 {
    /// OID and name.
    pub(super) roles: Vec<(String, String)>,
    pub(super) authority_name: String,
    pub(super) authority_id: String,
}

impl Psd2 {
    pub(super) fn encode(&self) -> Result<Vec<u8>, QtspError> {
        let roles = self.roles.iter().map(|(dotted, name)| sequence(&[oid(dotted)?, text(name)?]));
        let roles = sequence(&roles.collect::<Result<Vec<_>, QtspError>>()?)?;
        sequence(&[roles, text(&self.authority_name)?, text(&self.authority_id)?])
    }
}

/// One statement: its OID and value.
pub(super) fn statement(dotted: &str, value: Option<Vec<u8>>) -> Result<Vec<u8>, QtspError> {
    sequence(&[vec![oid(dotted)?], value.into_iter().collect()].concat())
}

pub(super) fn qc_type(arcs: &[&str]) -> Result<Vec<u8>, QtspError> {
    let types = arcs.iter().map(|arc| oid(&format!("0.4.0.1862.1.6.{arc}")));
    statement("0.4.0.1862.1.6", Some(sequence(&types.collect::<Result<Vec<_>, _>>()?)?))
}

/// Everything that a certificate is made of.
#[derive(Clone)]
pub(super) struct Draft {
    /// Content of the version field; none means version 1.
    pub(super) version: Option<u8>,
    pub(super) serial: Vec<u8>,
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
    pub(super) subject: Vec<Vec<Attribute>>,
    /// subjectPublicKeyInfo.
    pub(super) key: Vec<u8>,
    pub(super) extensions: Vec<Extension>,
    /// Whether subjectKeyIdentifier and authorityKeyIdentifier stand before the others.
    pub(super) identified: bool,
    pub(super) algorithm: Algorithm,
    /// The algorithm in the signed part, where it is another.
    pub(super) inner_algorithm: Option<Algorithm>,
}

impl Draft {
    /// The value of the first extension `oid`, to be changed.
    pub(super) fn set(&mut self, oid: &'static str, value: Vec<u8>) {
        match self.extensions.iter_mut().find(|extension| extension.oid == oid) {
            Some(extension) => extension.value = value,
            None => self.extensions.push(Extension { oid: oid.into(), critical: false, value }),
        }
    }

    pub(super) fn remove(&mut self, oid: &str) {
        self.extensions.retain(|extension| extension.oid != oid);
    }

    /// The only attribute `oid` of the subject gets another type and value.
    pub(super) fn rename(&mut self, oid: &'static str, tag: u32, value: &[u8]) {
        for attribute in self.subject.iter_mut().flatten().filter(|found| found.0 == oid) {
            *attribute = (oid, tag, value.to_vec());
        }
    }

    /// Encodes, and signs with `key` in the name `issuer`.
    pub(super) fn sign(&self, issuer: &[u8], key: &PKey<Private>) -> Result<Vec<u8>, QtspError> {
        let algorithm = self.algorithm.identifier()?;
        let inner = self.inner_algorithm.unwrap_or(self.algorithm).identifier()?;
        let version = match self.version {
            Some(version) => context(0, true, &integer(&[version])?)?,
            None => Vec::new(),
        };
        let mut all = self.extensions.clone();
        if self.identified && !all.is_empty() {
            let issuer_key = key.public_key_to_der()?;
            for (oid, value) in [
                (AUTHORITY_KEY_ID, authority_key_id(&issuer_key)?),
                (SUBJECT_KEY_ID, subject_key_id(&self.key)?),
            ] {
                all.insert(0, Extension { oid: oid.into(), critical: false, value });
            }
        }
        let extensions = all.iter().map(Extension::encode);
        let extensions = extensions.collect::<Result<Vec<_>, QtspError>>()?;
        let extensions = if extensions.is_empty() {
            Vec::new()
        } else {
            context(3, true, &sequence(&extensions)?)?
        };
        let signed = sequence(&[
            version,
            integer(&self.serial)?,
            inner,
            issuer.to_vec(),
            sequence(&[time(self.not_before)?, time(self.not_after)?])?,
            name(&self.subject)?,
            self.key.clone(),
            extensions,
        ])?;
        let signature = self.algorithm.sign(key, &signed)?;
        sequence(&[signed, algorithm, bits(&signature)?])
    }
}

/// A key's identifier (RFC 5280 §4.2.1.2, method 1).
fn key_id(key: &[u8]) -> Result<[u8; 20], QtspError> {
    let (_, key) = SubjectPublicKeyInfo::from_der(key).map_err(|_| QtspError::Encoding("a key"))?;
    Ok(crate::digest::sha1(&key.subject_public_key.data))
}

/// subjectKeyIdentifier.
fn subject_key_id(key: &[u8]) -> Result<Vec<u8>, QtspError> {
    octets(&key_id(key)?)
}

/// authorityKeyIdentifier.
fn authority_key_id(issuer_key: &[u8]) -> Result<Vec<u8>, QtspError> {
    sequence(&[context(0, false, &key_id(issuer_key)?)?])
}

/// keyUsage with these bits, counted from the left (RFC 5280 §4.2.1.3).
pub(super) fn key_usage(positions: &[u8]) -> Result<Vec<u8>, QtspError> {
    let mask = positions.iter().fold(0_u8, |mask, position| mask | 0x80 >> position);
    let unused = u8::try_from(mask.trailing_zeros().min(7)).unwrap_or(7);
    universal(3, &[unused, mask])
}

pub(super) fn ext_key_usage(purposes: &[&str]) -> Result<Vec<u8>, QtspError> {
    let purposes = purposes.iter().map(|purpose| oid(purpose));
    sequence(&purposes.collect::<Result<Vec<_>, _>>()?)
}

pub(super) fn basic_constraints(ca: bool, path_length: Option<u8>) -> Result<Vec<u8>, QtspError> {
    let ca = if ca { boolean(true)? } else { Vec::new() };
    let length = path_length.map(|length| integer(&[length])).transpose()?.unwrap_or_default();
    sequence(&[ca, length])
}

/// subjectAltName with one dNSName.
pub(super) fn dns_name(host: &str) -> Result<Vec<u8>, QtspError> {
    sequence(&[context(2, false, host.as_bytes())?])
}

/// cRLDistributionPoints with one URL.
pub(super) fn crl_point(url: &str) -> Result<Vec<u8>, QtspError> {
    let names = context(0, true, &context(6, false, url.as_bytes())?)?;
    sequence(&[sequence(&[context(0, true, &names)?])?])
}

/// authorityInfoAccess with a responder and the issuer's certificate.
pub(super) fn issuer_info(ocsp: &str, issuer: &str) -> Result<Vec<u8>, QtspError> {
    sequence(&[access("1.3.6.1.5.5.7.48.1", ocsp)?, access("1.3.6.1.5.5.7.48.2", issuer)?])
}

/// authorityInfoAccess with a responder only.
pub(super) fn responder_info(ocsp: &str) -> Result<Vec<u8>, QtspError> {
    sequence(&[access("1.3.6.1.5.5.7.48.1", ocsp)?])
}

fn access(method: &str, url: &str) -> Result<Vec<u8>, QtspError> {
    sequence(&[oid(method)?, context(6, false, url.as_bytes())?])
}

/// nameConstraints that permit hosts under `domain` only.
pub(super) fn permitted_dns(domain: &str) -> Result<Vec<u8>, QtspError> {
    let subtree = sequence(&[context(2, false, domain.as_bytes())?])?;
    sequence(&[context(0, true, &subtree)?])
}
