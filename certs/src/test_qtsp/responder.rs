//! The OCSP responder of the test QTSP (RFC 6960 §4.2), honest or not.

use jiff::Timestamp;
use openssl::ec::{EcGroup, EcKey};
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use x509_parser::asn1_rs::{Any, FromDer};
use x509_parser::certificate::X509Certificate;

use super::der::{
    bits, context, enumerated, generalized_time, integer, null, octets, oid, sequence,
};
use super::draft::{
    Algorithm, COMMON_NAME, Draft, EXT_KEY_USAGE, Extension, attribute, ext_key_usage, name,
};
use super::{Authority, QtspError};
use crate::digest::sha1;

const OCSP_SIGNING: &str = "1.3.6.1.5.5.7.3.9";
const CLIENT_AUTH: &str = "1.3.6.1.5.5.7.3.2";
const BASIC: &str = "1.3.6.1.5.5.7.48.1.1";

/// tryLater (§4.2.1).
pub const TRY_LATER: u32 = 3;

/// What the responder says of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum Said {
    /// Not revoked.
    Good,
    /// Revoked since then.
    Revoked(Timestamp),
    /// Never heard of.
    Unknown,
}

/// Who signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum SignedBy {
    /// The issuer itself.
    Issuer,
    /// A responder that it authorised.
    Delegate,
    /// A certificate of the issuer that is no responder's.
    DelegateWithoutPurpose,
    /// A responder whose certificate has ended.
    ExpiredDelegate,
    /// A key that nobody knows, in the issuer's name.
    Stranger,
    /// The issuer, and then the answer was changed.
    Tampered,
}

/// One answer.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs)]
pub struct Reply {
    /// What it says.
    pub said: Said,
    /// thisUpdate.
    pub this_update: Timestamp,
    /// nextUpdate.
    pub next_update: Option<Timestamp>,
    /// Who signs it.
    pub signed_by: SignedBy,
}

impl Authority {
    /// An OCSP response of the issuing CA about the certificate with `serial`, in DER.
    ///
    /// # Errors
    /// It cannot be encoded or signed.
    pub fn ocsp(&self, serial: &[u8], reply: &Reply) -> Result<Vec<u8>, QtspError> {
        let (issuer_der, issuer_key) = self.issuing_parts()?;
        let unreadable = |_| QtspError::Encoding("the issuing CA");
        let (_, issuer) = X509Certificate::from_der(&issuer_der).map_err(unreadable)?;
        let issuer_name = issuer.subject().as_raw().to_vec();
        let id = sequence(&[
            sequence(&[oid("1.3.14.3.2.26")?, null()?])?,
            octets(&sha1(&issuer_name))?,
            octets(&sha1(&issuer.public_key().subject_public_key.data))?,
            integer(serial)?,
        ])?;
        let status = match reply.said {
            Said::Good => context(0, false, &[])?,
            Said::Revoked(since) => context(1, true, &generalized_time(since)?)?,
            Said::Unknown => context(2, false, &[])?,
        };
        let next_update = match reply.next_update {
            Some(next_update) => context(0, true, &generalized_time(next_update)?)?,
            None => Vec::new(),
        };
        let single = sequence(&[id, status, generalized_time(reply.this_update)?, next_update])?;
        let signer = Signer::new(reply, &issuer_name, &issuer_key)?;
        let mut data = sequence(&[
            context(1, true, &signer.name)?,
            generalized_time(reply.this_update)?,
            sequence(&[single])?,
        ])?;
        let signature = Algorithm::EcdsaSha256.sign(&signer.key, &data)?;
        if reply.signed_by == SignedBy::Tampered
            && let Some(last) = data.last_mut()
        {
            // Within nextUpdate, or thisUpdate: a second more or less.
            *last = if *last == b'Z' { b'Y' } else { b'Z' };
        }
        let certificates = match signer.certificate {
            Some(certificate) => context(0, true, &sequence(&[certificate])?)?,
            None => Vec::new(),
        };
        let basic = sequence(&[
            data,
            Algorithm::EcdsaSha256.identifier()?,
            bits(&signature)?,
            certificates,
        ])?;
        let bytes = sequence(&[oid(BASIC)?, octets(&basic)?])?;
        sequence(&[enumerated(0)?, context(0, true, &bytes)?])
    }
}

/// An error that nobody signs, such as [`TRY_LATER`].
///
/// # Errors
/// It cannot be encoded.
pub fn refusal(status: u32) -> Result<Vec<u8>, QtspError> {
    sequence(&[enumerated(status)?])
}

/// The serial number that a request in DER asks about.
#[must_use]
pub fn requested_serial(request: &[u8]) -> Option<Vec<u8>> {
    let (_, request) = Any::from_der(request).ok()?;
    let mut at = request;
    // tbsRequest, requestList, the first Request, its CertID.
    for _ in 0..4 {
        at = crate::der::elements(&at, 8)?.into_iter().next()?;
    }
    let serial = crate::der::elements(&at, 4)?.into_iter().nth(3)?;
    Some(serial.data.to_vec())
}

struct Signer {
    name: Vec<u8>,
    key: PKey<Private>,
    certificate: Option<Vec<u8>>,
}

impl Signer {
    fn new(
        reply: &Reply,
        issuer_name: &[u8],
        issuer_key: &PKey<Private>,
    ) -> Result<Self, QtspError> {
        let own = |key: PKey<Private>| Self { name: issuer_name.to_vec(), key, certificate: None };
        let purpose = match reply.signed_by {
            SignedBy::Issuer | SignedBy::Tampered => return Ok(own(issuer_key.clone())),
            SignedBy::Stranger => return Ok(own(new_key()?)),
            SignedBy::Delegate | SignedBy::ExpiredDelegate => OCSP_SIGNING,
            SignedBy::DelegateWithoutPurpose => CLIENT_AUTH,
        };
        let key = new_key()?;
        let subject = vec![vec![attribute(COMMON_NAME, "Octroi Test Responder")]];
        let day = jiff::SignedDuration::from_hours(24);
        let at = |instant: Result<Timestamp, jiff::Error>| {
            instant.map_err(|_| QtspError::Instant(reply.this_update))
        };
        let ended = reply.signed_by == SignedBy::ExpiredDelegate;
        let draft = Draft {
            version: Some(2),
            serial: vec![0x4f, 0x43, 0x53, 0x50],
            not_before: at(reply.this_update.checked_sub(3 * day))?,
            not_after: at(if ended {
                reply.this_update.checked_sub(2 * day)
            } else {
                reply.this_update.checked_add(300 * day)
            })?,
            subject: subject.clone(),
            key: key.public_key_to_der()?,
            extensions: vec![Extension {
                oid: EXT_KEY_USAGE.into(),
                critical: false,
                value: ext_key_usage(&[purpose])?,
            }],
            identified: true,
            algorithm: Algorithm::EcdsaSha256,
            inner_algorithm: None,
        };
        let certificate = draft.sign(issuer_name, issuer_key)?;
        Ok(Self { name: name(&subject)?, key, certificate: Some(certificate) })
    }
}

fn new_key() -> Result<PKey<Private>, QtspError> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    Ok(PKey::from_ec_key(EcKey::generate(&group)?)?)
}
