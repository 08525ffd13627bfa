//! The CAs of the test QTSP, and what they sign.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use openssl::asn1::{Asn1Integer, Asn1Time, Asn1Type};
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::{
    AuthorityKeyIdentifier, BasicConstraints, KeyUsage, SubjectKeyIdentifier,
};
use openssl::x509::{
    X509, X509Builder, X509Crl, X509CrlBuilder, X509Name, X509NameBuilder, X509RevokedBuilder,
};

use super::draft::{CRL_POINTS, ISSUER_INFO, QC_STATEMENTS, crl_point, responder_info};
use super::extensions::{alternative_names, ext_key_usage, extension, key_usage};
use super::recipe::{Defect, KeyKind, Recipe};
use super::{QtspError, statements};
use crate::anchors::TEST_QTSP_ORGANISATION;

const ORGANISATION_IDENTIFIER: &str = "2.5.4.97";
const CRL_NUMBER: &str = "2.5.29.20";
/// Positive and unguessable (RFC 5280 §4.1.2.2).
const SERIAL_BITS: i32 = 127;

/// A root CA and the issuing CA below it, with their keys. It is not printed by `Debug`.
pub struct Authority {
    root: Signer,
    issuing: Signer,
}

struct Signer {
    certificate: X509,
    key: PKey<Private>,
}

/// A certificate and its key.
pub struct Issued {
    certificate: X509,
    issuer: X509,
    key: PKey<Private>,
}

impl Authority {
    /// Makes a root and an issuing CA whose names carry `name`.
    ///
    /// # Errors
    /// OpenSSL cannot, or `now` is not an instant of a certificate.
    pub fn generate(name: &str, now: Timestamp) -> Result<Self, QtspError> {
        let root_key = key(KeyKind::P256)?;
        let root_name = ca_name(&format!("{name} Root CA"))?;
        let root = ca(&root_name, &root_key, None, now, 10)?;
        let root = Signer { certificate: root, key: root_key };
        let issuing_key = key(KeyKind::P256)?;
        let issuing_name = ca_name(&format!("{name} Issuing CA"))?;
        let issuing = ca(&issuing_name, &issuing_key, Some(&root), now, 9)?;
        Ok(Self { root, issuing: Signer { certificate: issuing, key: issuing_key } })
    }

    /// Another CA under the same root.
    ///
    /// # Errors
    /// As [`Authority::generate`].
    pub fn generate_sibling(&self, name: &str, now: Timestamp) -> Result<Self, QtspError> {
        let issuing_key = key(KeyKind::P256)?;
        let issuing = ca(&ca_name(name)?, &issuing_key, Some(&self.root), now, 9)?;
        let root =
            Signer { certificate: self.root.certificate.clone(), key: self.root.key.clone() };
        Ok(Self { root, issuing: Signer { certificate: issuing, key: issuing_key } })
    }

    /// The root CA.
    ///
    /// # Errors
    /// OpenSSL cannot encode it.
    pub fn root_pem(&self) -> Result<Vec<u8>, QtspError> {
        Ok(self.root.certificate.to_pem()?)
    }

    /// The issuing CA: what a trusted list would name.
    ///
    /// # Errors
    /// OpenSSL cannot encode it.
    pub fn issuing_pem(&self) -> Result<Vec<u8>, QtspError> {
        Ok(self.issuing.certificate.to_pem()?)
    }

    /// The issuing CA in DER, and its key.
    pub(super) fn issuing_parts(&self) -> Result<(Vec<u8>, PKey<Private>), QtspError> {
        Ok((self.issuing.certificate.to_der()?, self.issuing.key.clone()))
    }

    /// Both CAs with their private keys, for a file that only its owner reads.
    ///
    /// # Errors
    /// OpenSSL cannot encode it.
    pub fn to_pem(&self) -> Result<Vec<u8>, QtspError> {
        let mut pem = Vec::new();
        for signer in [&self.root, &self.issuing] {
            pem.extend(signer.certificate.to_pem()?);
            pem.extend(signer.key.private_key_to_pem_pkcs8()?);
        }
        Ok(pem)
    }

    /// Reads what [`Authority::to_pem`] wrote.
    ///
    /// # Errors
    /// It is something else, or cut.
    pub fn from_pem(pem: &[u8]) -> Result<Self, QtspError> {
        let text = String::from_utf8_lossy(pem);
        let mut certificates = X509::stack_from_pem(pem)?.into_iter();
        let mut keys = text
            .split_inclusive("-----END PRIVATE KEY-----")
            .filter_map(|part| {
                part.find("-----BEGIN PRIVATE KEY-----").and_then(|at| part.get(at..))
            })
            .map(|pem| PKey::private_key_from_pem(pem.as_bytes()));
        let mut signer = |what| -> Result<Signer, QtspError> {
            let certificate = certificates.next().ok_or(QtspError::Incomplete(what))?;
            let key = keys.next().ok_or(QtspError::Incomplete(what))??;
            if certificate.public_key()?.public_eq(&key) {
                Ok(Signer { certificate, key })
            } else {
                Err(QtspError::Incomplete(what))
            }
        };
        Ok(Self { root: signer("its root CA")?, issuing: signer("its issuing CA")? })
    }

    /// Issues a certificate with a new key.
    ///
    /// # Errors
    /// OpenSSL cannot, or a value of `recipe` cannot stand in a certificate.
    pub fn issue(&self, recipe: &Recipe) -> Result<Issued, QtspError> {
        let key = key(recipe.key)?;
        let mut builder = begin(recipe.not_before, recipe.not_after, &key)?;
        let subject = subject(recipe)?;
        builder.set_subject_name(&subject)?;
        builder.set_issuer_name(self.issuing.certificate.subject_name())?;
        let mut constraints = BasicConstraints::new();
        constraints.critical();
        if recipe.has(Defect::Ca) {
            constraints.ca();
        }
        builder.append_extension(constraints.build()?)?;
        builder.append_extension(key_usage(recipe)?)?;
        if let Some(purposes) = ext_key_usage(recipe)? {
            builder.append_extension(purposes)?;
        }
        let context = builder.x509v3_context(Some(&self.issuing.certificate), None);
        let names = alternative_names(recipe);
        let names = names.map(|names| names.build(&context)).transpose()?;
        let own = SubjectKeyIdentifier::new().build(&context)?;
        let issuer = AuthorityKeyIdentifier::new().keyid(true).build(&context)?;
        for extension in names.into_iter().chain([own, issuer]) {
            builder.append_extension(extension)?;
        }
        if let Some(url) = &recipe.crl_url {
            builder.append_extension(extension(CRL_POINTS, &crl_point(url)?)?)?;
        }
        if let Some(url) = &recipe.ocsp_url {
            builder.append_extension(extension(ISSUER_INFO, &responder_info(url)?)?)?;
        }
        if let Some(statements) = statements::encode(recipe)? {
            builder.append_extension(extension(QC_STATEMENTS, &statements)?)?;
        }
        let digest =
            if recipe.has(Defect::Sha1) { MessageDigest::sha1() } else { MessageDigest::sha256() };
        builder.sign(&self.issuing.key, digest)?;
        let issuer = self.issuing.certificate.clone();
        Ok(Issued { certificate: builder.build(), issuer, key })
    }

    /// The revocation list of the issuing CA in PEM: serial numbers and since when.
    ///
    /// # Errors
    /// OpenSSL cannot, or an instant cannot stand in a list.
    pub fn crl(
        &self,
        revoked: &[(Vec<u8>, Timestamp)],
        this_update: Timestamp,
        next_update: Timestamp,
    ) -> Result<Vec<u8>, QtspError> {
        Ok(crl(&self.issuing, revoked, this_update, next_update)?.to_pem()?)
    }

    /// The revocation list of the root CA in PEM, empty.
    ///
    /// # Errors
    /// As [`Authority::crl`].
    pub fn root_crl(
        &self,
        this_update: Timestamp,
        next_update: Timestamp,
    ) -> Result<Vec<u8>, QtspError> {
        Ok(crl(&self.root, &[], this_update, next_update)?.to_pem()?)
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authority([keys redacted])")
    }
}

impl Issued {
    /// The certificate in DER.
    ///
    /// # Errors
    /// OpenSSL cannot encode it.
    pub fn der(&self) -> Result<Vec<u8>, QtspError> {
        Ok(self.certificate.to_der()?)
    }

    /// The issuing CA in DER.
    ///
    /// # Errors
    /// OpenSSL cannot encode it.
    pub fn issuer_der(&self) -> Result<Vec<u8>, QtspError> {
        Ok(self.issuer.to_der()?)
    }

    /// The certificate, then its issuing CA, in PEM.
    ///
    /// # Errors
    /// OpenSSL cannot encode it.
    pub fn chain_pem(&self) -> Result<Vec<u8>, QtspError> {
        Ok([self.certificate.to_pem()?, self.issuer.to_pem()?].concat())
    }

    /// The private key in PEM (PKCS #8).
    ///
    /// # Errors
    /// OpenSSL cannot encode it.
    pub fn key_pem(&self) -> Result<Vec<u8>, QtspError> {
        Ok(self.key.private_key_to_pem_pkcs8()?)
    }

    /// The serial number's octets, for [`Authority::crl`].
    ///
    /// # Errors
    /// OpenSSL cannot encode it.
    pub fn serial(&self) -> Result<Vec<u8>, QtspError> {
        Ok(self.certificate.serial_number().to_bn()?.to_vec())
    }
}

fn key(kind: KeyKind) -> Result<PKey<Private>, QtspError> {
    Ok(match kind {
        KeyKind::P256 => {
            let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
            PKey::from_ec_key(EcKey::generate(&group)?)?
        }
        KeyKind::Rsa(bits) => PKey::from_rsa(Rsa::generate(bits)?)?,
    })
}

fn begin(
    not_before: Timestamp,
    not_after: Timestamp,
    key: &PKey<Private>,
) -> Result<X509Builder, QtspError> {
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    let mut serial = BigNum::new()?;
    serial.rand(SERIAL_BITS, MsbOption::ONE, false)?;
    let serial = Asn1Integer::from_bn(&serial)?;
    builder.set_serial_number(&serial)?;
    builder.set_not_before(&*time(not_before)?)?;
    builder.set_not_after(&*time(not_after)?)?;
    builder.set_pubkey(key)?;
    Ok(builder)
}

fn time(instant: Timestamp) -> Result<Asn1Time, QtspError> {
    Asn1Time::from_unix(instant.as_second()).map_err(|_| QtspError::Instant(instant))
}

fn ca_name(common_name: &str) -> Result<X509Name, QtspError> {
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_nid(Nid::COUNTRYNAME, "FR")?;
    name.append_entry_by_nid(Nid::ORGANIZATIONNAME, TEST_QTSP_ORGANISATION)?;
    name.append_entry_by_nid(Nid::COMMONNAME, common_name)?;
    Ok(name.build())
}

fn ca(
    name: &X509Name,
    key: &PKey<Private>,
    parent: Option<&Signer>,
    now: Timestamp,
    years: i64,
) -> Result<X509, QtspError> {
    let hours = |hours| {
        now.checked_add(SignedDuration::from_hours(hours)).map_err(|_| QtspError::Instant(now))
    };
    // Certificates that ended years ago are issued too, and must chain.
    let mut builder = begin(hours(-24 * 365 * 5)?, hours(24 * 365 * years)?, key)?;
    builder.set_subject_name(name)?;
    builder.set_issuer_name(parent.map_or(name, |parent| parent.certificate.subject_name()))?;
    let mut constraints = BasicConstraints::new();
    constraints.critical().ca();
    if parent.is_some() {
        constraints.pathlen(0);
    }
    builder.append_extension(constraints.build()?)?;
    builder.append_extension(KeyUsage::new().critical().key_cert_sign().crl_sign().build()?)?;
    let context = builder.x509v3_context(parent.map(|parent| &*parent.certificate), None);
    let own = SubjectKeyIdentifier::new().build(&context)?;
    let issuer = match parent {
        Some(_) => Some(AuthorityKeyIdentifier::new().keyid(true).build(&context)?),
        None => None,
    };
    for extension in [own].into_iter().chain(issuer) {
        builder.append_extension(extension)?;
    }
    builder.sign(parent.map_or(key, |parent| &parent.key), MessageDigest::sha256())?;
    Ok(builder.build())
}

fn subject(recipe: &Recipe) -> Result<X509Name, QtspError> {
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_nid(Nid::COUNTRYNAME, &recipe.country)?;
    name.append_entry_by_nid(Nid::ORGANIZATIONNAME, &recipe.organisation)?;
    if let Some(id) = &recipe.organisation_id {
        let string = if recipe.has(Defect::BmpOrganisationId) {
            Asn1Type::BMPSTRING
        } else {
            Asn1Type::UTF8STRING
        };
        name.append_entry_by_text_with_type(ORGANISATION_IDENTIFIER, id, string)?;
        if recipe.has(Defect::TwoOrganisationIds) {
            name.append_entry_by_text_with_type(
                ORGANISATION_IDENTIFIER,
                "PSDFR-ACPR-00000",
                string,
            )?;
        }
    }
    name.append_entry_by_nid(Nid::COMMONNAME, &recipe.common_name)?;
    Ok(name.build())
}

fn crl(
    signer: &Signer,
    revoked: &[(Vec<u8>, Timestamp)],
    this_update: Timestamp,
    next_update: Timestamp,
) -> Result<X509Crl, QtspError> {
    let mut builder = X509CrlBuilder::new()?;
    builder.set_issuer_name(signer.certificate.subject_name())?;
    builder.set_last_update(&*time(this_update)?)?;
    builder.set_next_update(&*time(next_update)?)?;
    let base = X509::builder()?;
    let context = base.x509v3_context(Some(&signer.certificate), None);
    builder.append_extension(AuthorityKeyIdentifier::new().keyid(true).build(&context)?)?;
    builder.append_extension(extension(CRL_NUMBER, &[0x02, 0x01, 0x01])?)?;
    for (serial, since) in revoked {
        let mut entry = X509RevokedBuilder::new()?;
        let serial = Asn1Integer::from_bn(&*BigNum::from_slice(serial)?)?;
        entry.set_serial_number(&serial)?;
        entry.set_revocation_date(&*time(*since)?)?;
        builder.add_revoked(entry.build())?;
    }
    builder.sort()?;
    builder.sign(&signer.key, MessageDigest::sha256())?;
    Ok(builder.build()?)
}
