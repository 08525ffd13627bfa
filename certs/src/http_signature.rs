//! Signatures over HTTP requests with a QSEALC: draft-cavage-http-signatures-12 as STET profiles it
//! (§3.5 of its part 1), and RFC 9421 with RFC 9530 digests.
//!
//! What must be covered is the bank's choice, not the client's. The algorithm is the key's: what the
//! message names must agree with it. Nothing is fetched: keys are found among known certificates.

mod algorithm;
mod cavage;
mod component;
mod digest;
mod doctor;
mod message;
mod ring;
#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};
use thiserror::Error;

pub use algorithm::SignatureMethod;
pub use component::HttpRequest;
pub use digest::{content_digest, digest};
pub use doctor::{Diagnosis, diagnose};
pub use message::sign_message;
pub use ring::{Seal, SealError, SealRing};

pub use cavage::sign_cavage;

/// Which of the two forms a signature has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum SignatureForm {
    /// draft-cavage-http-signatures-12.
    Cavage,
    /// RFC 9421.
    Message,
}

/// What the bank asks of a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)]
pub struct SignaturePolicy {
    /// The forms that are accepted.
    pub forms: Vec<SignatureForm>,
    /// The algorithms that are accepted.
    pub methods: Vec<SignatureMethod>,
    /// Header fields that must be covered besides target, date and digest, in lower case.
    pub fields: Vec<String>,
    /// How long ago a signature may have been made.
    pub age_max: SignedDuration,
    /// How far the client's clock may be ahead of ours.
    pub skew_max: SignedDuration,
    /// Whether `keyId` may name a certificate by 40 hexadecimal digits (SHA-1), as older texts do.
    pub sha1_key_ids: bool,
}

impl Default for SignaturePolicy {
    fn default() -> Self {
        Self {
            forms: vec![SignatureForm::Cavage, SignatureForm::Message],
            methods: vec![
                SignatureMethod::RsaSha256,
                SignatureMethod::RsaPssSha512,
                SignatureMethod::EcdsaP256Sha256,
            ],
            fields: vec!["x-request-id".to_owned()],
            age_max: SignedDuration::from_mins(5),
            skew_max: SignedDuration::from_secs(60),
            sha1_key_ids: true,
        }
    }
}

/// Why a request is not known to be its sender's.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SignatureFault {
    /// No Signature header.
    #[error("the request has no Signature header")]
    Missing,
    /// More than one signature, or both forms at once.
    #[error("the request has more than one signature")]
    Several,
    /// It cannot be read.
    #[error("the header {header} cannot be read: {why}")]
    Malformed {
        /// Which header.
        header: &'static str,
        /// Why.
        why: String,
    },
    /// A form that the bank does not take.
    #[error("signatures of this form are not accepted here")]
    Form,
    /// Something that must be covered is not.
    #[error("the signature does not cover {0}")]
    NotCovered(String),
    /// Something that is covered is not there, or cannot be.
    #[error("the signature covers {0}, which the request does not have once")]
    NotThere(String),
    /// Made too long ago, in the future, or ended.
    #[error("the signature is not of now: {0}")]
    Time(String),
    /// The digest is missing, of another algorithm, or wrong.
    #[error("the digest does not fit the body: {0}")]
    Digest(String),
    /// keyId names no known certificate.
    #[error(
        "keyId names no certificate that is known here; it must end with _ and the SHA-256 fingerprint of an enrolled QSEALC"
    )]
    UnknownKey,
    /// The algorithm is not accepted, or not the key's.
    #[error("{0}")]
    Method(String),
    /// The signature does not verify.
    #[error("the signature does not verify over the signing string")]
    Invalid,
}

/// A signature as read, before it is judged.
pub(crate) struct Claim {
    pub(crate) form: SignatureForm,
    pub(crate) key_id: String,
    pub(crate) method: Option<String>,
    /// What is covered, in order, as the signing string names it.
    pub(crate) covered: Vec<String>,
    pub(crate) created: Option<Timestamp>,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) signature: Vec<u8>,
    /// What is signed, as we see the request.
    pub(crate) signing_string: String,
}

/// A request whose signature holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Signed {
    /// Which form.
    pub form: SignatureForm,
    /// With what.
    pub method: SignatureMethod,
}

impl Claim {
    pub(crate) fn read(request: &HttpRequest<'_>) -> Result<Self, SignatureFault> {
        match (request.has("signature"), request.has("signature-input")) {
            (false, _) => Err(SignatureFault::Missing),
            (true, true) => message::read(request),
            (true, false) => cavage::read(request),
        }
    }
}

/// Which certificate the request says that it is signed with.
///
/// # Errors
/// No signature that can be read, or no known certificate.
pub fn sealed_by<'r>(
    request: &HttpRequest<'_>,
    ring: &'r SealRing,
    policy: &SignaturePolicy,
) -> Result<&'r Seal, SignatureFault> {
    let claim = Claim::read(request)?;
    ring.find(&claim.key_id, policy.sha1_key_ids).ok_or(SignatureFault::UnknownKey)
}

/// Verifies the one signature of `request` with the key of `seal`, as of `now`. Whose seal it is,
/// whether it is trusted and not revoked, is for the caller to judge.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn verify(
    request: &HttpRequest<'_>,
    seal: &Seal,
    policy: &SignaturePolicy,
    now: Timestamp,
) -> Result<Signed, SignatureFault> {
    let claim = Claim::read(request)?;
    if !policy.forms.contains(&claim.form) {
        return Err(SignatureFault::Form);
    }
    covers(&claim, request, policy)?;
    timely(&claim, request, policy, now)?;
    digest::fits(request, claim.form)?;
    let method = SignatureMethod::of(&claim, seal, policy)?;
    if method.verifies(seal, claim.form, claim.signing_string.as_bytes(), &claim.signature) {
        Ok(Signed { form: claim.form, method })
    } else {
        Err(SignatureFault::Invalid)
    }
}

/// What the bank wants covered stands in the signature's list.
fn covers(
    claim: &Claim,
    request: &HttpRequest<'_>,
    policy: &SignaturePolicy,
) -> Result<(), SignatureFault> {
    let has = |name: &str| claim.covered.iter().any(|covered| covered == name);
    let mut required: Vec<&str> = policy.fields.iter().map(String::as_str).collect();
    if !request.body.is_empty() {
        required.push("content-type");
    }
    required.extend(request.names().filter(|name| name.starts_with("psu-")));
    match claim.form {
        SignatureForm::Cavage => {
            required.extend(["(request-target)", "digest"]);
            if !(has("(created)") || has("date")) {
                return Err(SignatureFault::NotCovered("(created) or date".to_owned()));
            }
        }
        SignatureForm::Message => {
            required.extend(["@method", "content-digest"]);
            let path = has("@path") && (has("@query") || !request.target.contains('?'));
            if !(has("@target-uri") || (has("@authority") && (has("@request-target") || path))) {
                let what = "@target-uri, or @authority with @path and @query";
                return Err(SignatureFault::NotCovered(what.to_owned()));
            }
            if claim.created.is_none() {
                return Err(SignatureFault::NotCovered("the parameter created".to_owned()));
            }
        }
    }
    match required.into_iter().find(|name| !has(name)) {
        Some(name) => Err(SignatureFault::NotCovered(name.to_owned())),
        None => Ok(()),
    }
}

fn timely(
    claim: &Claim,
    request: &HttpRequest<'_>,
    policy: &SignaturePolicy,
    now: Timestamp,
) -> Result<(), SignatureFault> {
    let fault = |what: String| Err(SignatureFault::Time(what));
    let made = match claim.created {
        Some(created) => created,
        None => {
            let date = request.value("date")?;
            let parsed = jiff::fmt::rfc2822::parse(&date).map(|zoned| zoned.timestamp());
            match parsed {
                Ok(date) => date,
                Err(_) => return fault("its Date cannot be read".to_owned()),
            }
        }
    };
    let age = now.duration_since(made);
    if age > policy.age_max {
        return fault(format!("it was made {} s ago", age.as_secs()));
    }
    if -age > policy.skew_max {
        return fault(format!("it was made {} s ahead of our clock", -age.as_secs()));
    }
    match claim.expires {
        Some(expires) if expires < now => fault(format!("it ended on {expires}")),
        _ => Ok(()),
    }
}
