//! The extensions of what the test QTSP issues (RFC 5280 §4.2, EN 319 412-3 and -4).

use openssl::asn1::{Asn1Object, Asn1OctetString};
use openssl::x509::X509Extension;
use openssl::x509::extension::{ExtendedKeyUsage, KeyUsage, SubjectAlternativeName};

use super::QtspError;
use super::recipe::{Defect, Kind, Recipe};

pub(super) fn key_usage(recipe: &Recipe) -> Result<X509Extension, QtspError> {
    let mut usage = KeyUsage::new();
    usage.critical();
    if recipe.has(Defect::NoDigitalSignature) {
        usage.key_agreement();
    } else {
        match recipe.kind {
            Kind::Qsealc => usage.non_repudiation(),
            _ => usage.digital_signature(),
        };
    }
    if recipe.has(Defect::Ca) {
        usage.key_cert_sign();
    }
    Ok(usage.build()?)
}

pub(super) fn ext_key_usage(recipe: &Recipe) -> Result<Option<X509Extension>, QtspError> {
    let mut usage = ExtendedKeyUsage::new();
    match recipe.kind {
        Kind::Qsealc => return Ok(None),
        Kind::Qwac if recipe.has(Defect::ServerOnly) => usage.server_auth(),
        Kind::Qwac => usage.server_auth().client_auth(),
        Kind::TlsClient => usage.client_auth(),
        Kind::TlsServer { .. } => usage.server_auth(),
    };
    Ok(Some(usage.build()?))
}

pub(super) fn alternative_names(recipe: &Recipe) -> Option<SubjectAlternativeName> {
    let mut alternatives = SubjectAlternativeName::new();
    match &recipe.kind {
        Kind::Qwac => {
            alternatives.dns(&recipe.common_name);
        }
        Kind::TlsServer { names, ips } => {
            names.iter().for_each(|name| {
                alternatives.dns(name);
            });
            ips.iter().for_each(|ip| {
                alternatives.ip(&ip.to_string());
            });
        }
        Kind::Qsealc | Kind::TlsClient => return None,
    }
    Some(alternatives)
}

/// One that OpenSSL has no builder for, not critical.
pub(super) fn extension(oid: &str, value: &[u8]) -> Result<X509Extension, QtspError> {
    let oid = Asn1Object::from_str(oid)?;
    Ok(X509Extension::new_from_der(&oid, false, &*Asn1OctetString::new_from_bytes(value)?)?)
}
