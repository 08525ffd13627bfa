//! Answers of OCSP responders (RFC 6960), asked for by SHA-1 of the issuer as RFC 5019 §2.1.1 has
//! it: the hash only names the issuer, the responder's signature is what is believed.

use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use openssl::asn1::Asn1GeneralizedTimeRef;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::ocsp::{
    OcspCertId, OcspCertStatus, OcspFlag, OcspRequest, OcspResponse, OcspResponseStatus,
};
use openssl::stack::Stack;
use openssl::x509::X509;
use openssl::x509::store::{X509Store, X509StoreBuilder};
use openssl::x509::verify::{X509VerifyFlags, X509VerifyParam};
use thiserror::Error;

use crate::anchors::issuer_id;
use crate::chain::IssuerId;
use crate::digest::sha256;
use crate::leaf::Leaf;
use crate::limits::{CLOCK_SKEW_SECONDS_MAX, OCSP_BYTES_MAX, OCSP_HOURS_MAX};

/// What a responder says about one certificate (RFC 6960 §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum OcspStatus {
    /// Not revoked.
    Good,
    /// Revoked, or on hold.
    Revoked {
        /// Since when.
        since: Timestamp,
    },
    /// The responder does not know it. That is not good.
    Unknown,
}

/// A verified answer. Whether it counts now is asked at each request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OcspAnswer {
    /// SHA-256 of the whole response in DER.
    pub fingerprint: [u8; 32],
    /// Who issued the certificate.
    pub issuer: IssuerId,
    /// Its serial number.
    pub serial: Box<[u8]>,
    /// What is said.
    pub status: OcspStatus,
    /// When it was true.
    pub this_update: Timestamp,
    /// Until when it counts: nextUpdate, and a day at most.
    pub until: Timestamp,
}

/// Why a response gives no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OcspFault {
    /// Over the bound.
    #[error("the response has {bytes} octets, at most {OCSP_BYTES_MAX} are read")]
    TooLarge {
        /// Octets found.
        bytes: usize,
    },
    /// Not RFC 6960 §4.2.1.
    #[error("the response is no OCSP response")]
    Malformed,
    /// tryLater, internalError, unauthorized…: an error that nobody signed.
    #[error("the responder refuses to answer ({0})")]
    Refused(&'static str),
    /// By nobody, by a stranger, by a responder without the right, with a broken key.
    #[error("neither the issuer nor a responder that it authorised signed the response: {0}")]
    NotSigned(String),
    /// About something else.
    #[error("the response is about another certificate")]
    OtherCertificate,
    /// thisUpdate lies ahead of us.
    #[error("the response is from the future ({from})")]
    Future {
        /// thisUpdate.
        from: Timestamp,
    },
    /// nextUpdate has passed.
    #[error("the response counted until {until}")]
    Stale {
        /// Its end.
        until: Timestamp,
    },
}

/// The question about `subject`, issued by `issuer`, in DER.
///
/// # Errors
/// OpenSSL cannot read one of them.
pub fn ocsp_request(subject: &Leaf, issuer: &Leaf) -> Result<Vec<u8>, OcspFault> {
    let request = || -> Result<Vec<u8>, ErrorStack> {
        let mut request = OcspRequest::new()?;
        request.add_id(id(subject, issuer)?)?;
        request.to_der()
    };
    request().map_err(|_| OcspFault::Malformed)
}

impl OcspAnswer {
    /// Reads and verifies what a responder sent about `subject`, which `issuer` issued.
    ///
    /// # Errors
    /// Anything but a current answer about this certificate, signed by its issuer or by whom that
    /// one authorised (id-kp-OCSPSigning, §4.2.2.2).
    pub fn read(
        response: &[u8],
        subject: &Leaf,
        issuer: &Leaf,
        now: Timestamp,
    ) -> Result<Self, OcspFault> {
        if response.len() > OCSP_BYTES_MAX {
            return Err(OcspFault::TooLarge { bytes: response.len() });
        }
        let fingerprint = sha256(response);
        let response = OcspResponse::from_der(response).map_err(|_| OcspFault::Malformed)?;
        if response.status() != OcspResponseStatus::SUCCESSFUL {
            return Err(OcspFault::Refused(refusal(response.status())));
        }
        let basic = response.basic().map_err(|_| OcspFault::Malformed)?;
        let unread = |_: ErrorStack| OcspFault::Malformed;
        let issuer_x509 = X509::from_der(issuer.der()).map_err(unread)?;
        let mut signers = Stack::new().map_err(unread)?;
        signers.push(issuer_x509.clone()).map_err(unread)?;
        let store = store(issuer_x509, now).map_err(unread)?;
        basic
            .verify(&signers, &store, OcspFlag::empty())
            .map_err(|errors| OcspFault::NotSigned(why(&errors)))?;
        let id = id(subject, issuer).map_err(unread)?;
        let found = basic.find_status(&id).ok_or(OcspFault::OtherCertificate)?;
        let instant = |time: &Asn1GeneralizedTimeRef| instant(time).ok_or(OcspFault::Malformed);
        let this_update = instant(found.this_update)?;
        let next_update = found.next_update().map(instant).transpose()?;
        let day = this_update
            .checked_add(SignedDuration::from_hours(OCSP_HOURS_MAX))
            .map_err(|_| OcspFault::Malformed)?;
        let until = next_update.map_or(day, |next_update| next_update.min(day));
        let ahead = now
            .checked_add(SignedDuration::from_secs(CLOCK_SKEW_SECONDS_MAX))
            .map_err(|_| OcspFault::Malformed)?;
        if this_update > ahead {
            return Err(OcspFault::Future { from: this_update });
        }
        if now > until {
            return Err(OcspFault::Stale { until });
        }
        let status = match found.status {
            OcspCertStatus::GOOD => OcspStatus::Good,
            OcspCertStatus::REVOKED => OcspStatus::Revoked {
                since: found.revocation_time.map(instant).transpose()?.unwrap_or(this_update),
            },
            _ => OcspStatus::Unknown,
        };
        Ok(Self {
            fingerprint,
            issuer: issuer_id(issuer),
            serial: subject.serial().into(),
            status,
            this_update,
            until,
        })
    }
}

fn id(subject: &Leaf, issuer: &Leaf) -> Result<OcspCertId, ErrorStack> {
    let (subject, issuer) = (X509::from_der(subject.der())?, X509::from_der(issuer.der())?);
    OcspCertId::from_cert(MessageDigest::sha1(), &subject, &issuer)
}

/// The issuer alone is believed, at `now`, which OpenSSL would otherwise take from the system.
fn store(issuer: X509, now: Timestamp) -> Result<X509Store, ErrorStack> {
    let mut builder = X509StoreBuilder::new()?;
    builder.add_cert(issuer)?;
    let mut parameters = X509VerifyParam::new()?;
    parameters.set_flags(X509VerifyFlags::PARTIAL_CHAIN)?;
    parameters.set_time(now.as_second());
    builder.set_param(&parameters)?;
    Ok(builder.build())
}

fn refusal(status: OcspResponseStatus) -> &'static str {
    match status {
        OcspResponseStatus::MALFORMED_REQUEST => "malformedRequest",
        OcspResponseStatus::INTERNAL_ERROR => "internalError",
        OcspResponseStatus::TRY_LATER => "tryLater",
        OcspResponseStatus::SIG_REQUIRED => "sigRequired",
        OcspResponseStatus::UNAUTHORIZED => "unauthorized",
        _ => "unknown status",
    }
}

fn why(errors: &ErrorStack) -> String {
    let first = errors.errors().first();
    first.and_then(|error| error.reason()).unwrap_or("no reason given").to_owned()
}

/// OpenSSL lends a GeneralizedTime only as the text that `ASN1_GENERALIZEDTIME_print` writes.
fn instant(time: &Asn1GeneralizedTimeRef) -> Option<Timestamp> {
    let broken_down = strtime::parse("%b %e %H:%M:%S %Y GMT", time.to_string()).ok()?;
    let civil: DateTime = broken_down.to_datetime().ok()?;
    civil.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}
