//! `jwks`: every key comes as a certificate, public parts only (RFC 7517 §4.7 and §5, STET
//! registration 1.0.5).

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use certs::http_signature::Seal;
use certs::{Leaf, OrganisationId, RoleSet};
use jiff::Timestamp;
use serde_json::Value;

use super::super::certificate::classify;
use super::super::{CertificateKind, EnrolledCertificate};
use super::fault::{CertificateFault, RegistrationFault};
use super::members::Members;
use crate::limits::{CLIENT_CERTIFICATES_MAX, CLIENT_CHAIN_CERTIFICATES_MAX};

pub(super) struct Keys {
    pub(super) certificates: Vec<EnrolledCertificate>,
    pub(super) first_seal: Seal,
    /// The roles in all of them.
    pub(super) roles: RoleSet,
    pub(super) ignored: Vec<String>,
}

struct Key {
    certificate: EnrolledCertificate,
    roles: RoleSet,
    seal: Option<Seal>,
}

pub(super) fn read(
    mut jwks: Members<'_>,
    owner: &OrganisationId,
    now: Timestamp,
) -> Result<Keys, RegistrationFault> {
    let found = match jwks.take("keys") {
        Some(Value::Array(keys)) if (1..=CLIENT_CERTIFICATES_MAX).contains(&keys.len()) => keys,
        _ => return Err(RegistrationFault::Keys),
    };
    let mut certificates: Vec<EnrolledCertificate> = Vec::with_capacity(found.len());
    let mut roles = RoleSet::EMPTY;
    let mut first_seal = None;
    for (key, value) in found.iter().enumerate() {
        let fault = |fault| RegistrationFault::Certificate { key, fault };
        let one = read_key(value, owner, now).map_err(fault)?;
        if certificates.iter().any(|kept| kept.fingerprint == one.certificate.fingerprint) {
            return Err(fault(CertificateFault::Twice));
        }
        certificates.push(one.certificate);
        one.roles.iter().for_each(|role| roles.insert(role));
        first_seal = first_seal.or(one.seal);
    }
    let first_seal = first_seal.ok_or(RegistrationFault::NoSeal)?;
    let ignored = jwks.ignored().into_iter().map(|name| format!("jwks.{name}")).collect();
    Ok(Keys { certificates, first_seal, roles, ignored })
}

/// Of a JWK only `x5c`, `kid` and `x5t#S256` are read. What else it says of the key, the certificate
/// says too, and more reliably.
fn read_key(
    value: &Value,
    owner: &OrganisationId,
    now: Timestamp,
) -> Result<Key, CertificateFault> {
    let members = value.as_object().ok_or(CertificateFault::Shape)?;
    let (leaf, chain) = certificate(members.get("x5c"))?;
    let (kind, organisation_id, roles) = classify(&leaf).map_err(CertificateFault::Profile)?;
    if organisation_id != *owner {
        return Err(CertificateFault::OtherOrganisation);
    }
    if leaf.not_after() < now {
        return Err(CertificateFault::Expired(leaf.not_after()));
    }
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    let thumbprint = text("x5t#S256").filter(|text| !text.is_empty());
    if thumbprint.is_some_and(|text| text != URL_SAFE_NO_PAD.encode(leaf.fingerprint())) {
        return Err(CertificateFault::Thumbprint);
    }
    let certificate = EnrolledCertificate::enrol(kind, &leaf, &chain, text("kid"));
    let seal = match kind {
        CertificateKind::Qsealc => Some(Seal::new(leaf, chain).map_err(|_| CertificateFault::Key)?),
        CertificateKind::Qwac => None,
    };
    Ok(Key { certificate, roles, seal })
}

/// The certificate, then the CAs above it: an array of base64, or of PEM, or one text of either.
fn certificate(x5c: Option<&Value>) -> Result<(Leaf, Vec<Vec<u8>>), CertificateFault> {
    let texts: Vec<&str> = match x5c {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| item.as_str().ok_or(CertificateFault::Missing))
            .collect::<Result<_, _>>()?,
        _ => return Err(CertificateFault::Missing),
    };
    let mut ders = Vec::new();
    for (index, text) in texts.into_iter().enumerate() {
        for der in decoded(text, index)? {
            ders.push((index, der));
        }
        if ders.len() > 1 + CLIENT_CHAIN_CERTIFICATES_MAX {
            return Err(CertificateFault::Chain);
        }
    }
    let read = |(index, der): &(usize, Vec<u8>)| {
        Leaf::from_der(der).map_err(|fault| CertificateFault::Leaf { index: *index, fault })
    };
    let (first, above) = ders.split_first().ok_or(CertificateFault::Missing)?;
    let leaf = read(first)?;
    // Kept in the record, so they must be certificates, whatever they are worth.
    above.iter().try_for_each(|one| read(one).map(|_| ()))?;
    Ok((leaf, above.iter().map(|(_, der)| der.clone()).collect()))
}

fn decoded(text: &str, index: usize) -> Result<Vec<Vec<u8>>, CertificateFault> {
    if text.contains("-----BEGIN") {
        let ders = Leaf::ders_of_pem(text.as_bytes());
        return ders.map_err(|fault| CertificateFault::Leaf { index, fault });
    }
    // Line breaks are what is left of PEM when its first and last line are cut off.
    let packed: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let der = STANDARD.decode(packed).map_err(|_| CertificateFault::Encoding { index })?;
    Ok(vec![der])
}
