//! The algorithm of a signature: the key decides, the message may only agree.

use openssl::bn::BigNum;
use openssl::ecdsa::EcdsaSig;
use openssl::hash::MessageDigest;
use openssl::pkey::{Id, PKey, Private, Public};
use openssl::rsa::Padding;
use openssl::sign::{RsaPssSaltlen, Signer, Verifier};

use super::ring::Seal;
use super::{Claim, SignatureFault, SignatureForm, SignaturePolicy};

/// An algorithm, with its names in both forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignatureMethod {
    /// RSA PKCS #1 v1.5 with SHA-256: `rsa-sha256`, `rsa-v1_5-sha256`.
    RsaSha256,
    /// RSA-PSS with SHA-512 and a salt of 64 octets: `rsa-pss-sha512`, `hs2019` with an RSA key.
    RsaPssSha512,
    /// RSA-PSS with SHA-256: `rsa-pss-sha256`.
    RsaPssSha256,
    /// ECDSA on P-256 with SHA-256: `ecdsa-sha256`, `ecdsa-p256-sha256`.
    EcdsaP256Sha256,
    /// Ed25519: `ed25519`.
    Ed25519,
}

impl SignatureMethod {
    /// Every one.
    pub const ALL: [Self; 5] = [
        Self::RsaSha256,
        Self::RsaPssSha512,
        Self::RsaPssSha256,
        Self::EcdsaP256Sha256,
        Self::Ed25519,
    ];

    /// Its name in configurations, and in signatures that we make.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RsaSha256 => "rsa-sha256",
            Self::RsaPssSha512 => "rsa-pss-sha512",
            Self::RsaPssSha256 => "rsa-pss-sha256",
            Self::EcdsaP256Sha256 => "ecdsa-p256-sha256",
            Self::Ed25519 => "ed25519",
        }
    }

    /// The one that is named `name`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "rsa-sha256" | "rsa-v1_5-sha256" => Self::RsaSha256,
            "rsa-pss-sha512" => Self::RsaPssSha512,
            "rsa-pss-sha256" => Self::RsaPssSha256,
            "ecdsa-sha256" | "ecdsa-p256-sha256" => Self::EcdsaP256Sha256,
            "ed25519" => Self::Ed25519,
            _ => return None,
        })
    }

    /// What a key is used with where a message names nothing, or `hs2019` (draft §E.2).
    pub(super) fn usual(key: &PKey<Public>) -> Option<Self> {
        match key.id() {
            Id::RSA | Id::RSA_PSS => Some(Self::RsaPssSha512),
            Id::EC => Some(Self::EcdsaP256Sha256),
            Id::ED25519 => Some(Self::Ed25519),
            _ => None,
        }
    }

    fn fits(self, key: &PKey<Public>) -> bool {
        match self {
            Self::RsaSha256 => key.id() == Id::RSA,
            Self::RsaPssSha512 | Self::RsaPssSha256 => matches!(key.id(), Id::RSA | Id::RSA_PSS),
            Self::EcdsaP256Sha256 => key.id() == Id::EC && key.bits() == 256,
            Self::Ed25519 => key.id() == Id::ED25519,
        }
    }

    pub(super) fn of(
        claim: &Claim,
        seal: &Seal,
        policy: &SignaturePolicy,
    ) -> Result<Self, SignatureFault> {
        let fault = |what: String| SignatureFault::Method(what);
        let method = match claim.method.as_deref() {
            None | Some("hs2019") => Self::usual(seal.key())
                .ok_or_else(|| fault("this kind of key signs nothing here".to_owned()))?,
            Some(name) => Self::from_name(name)
                .ok_or_else(|| fault(format!("the algorithm {name:?} is not known")))?,
        };
        if !method.fits(seal.key()) {
            return Err(fault(format!("{} does not fit the key of the QSEALC", method.name())));
        }
        if !policy.methods.contains(&method) {
            return Err(fault(format!("the algorithm {} is not accepted here", method.name())));
        }
        Ok(method)
    }

    pub(super) fn verifies(
        self,
        seal: &Seal,
        form: SignatureForm,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        self.verifies_with(seal.key(), form, message, signature)
    }

    pub(super) fn verifies_with(
        self,
        key: &PKey<Public>,
        form: SignatureForm,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        let verify = || -> Result<bool, openssl::error::ErrorStack> {
            match self {
                Self::RsaSha256 => {
                    Verifier::new(MessageDigest::sha256(), key)?.verify_oneshot(signature, message)
                }
                Self::RsaPssSha512 | Self::RsaPssSha256 => {
                    let digest = self.digest();
                    let mut verifier = Verifier::new(digest, key)?;
                    verifier.set_rsa_padding(Padding::PKCS1_PSS)?;
                    verifier.set_rsa_mgf1_md(digest)?;
                    verifier.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH)?;
                    verifier.verify_oneshot(signature, message)
                }
                Self::EcdsaP256Sha256 => {
                    let mut verifier = Verifier::new(MessageDigest::sha256(), key)?;
                    match form {
                        // The draft leaves the encoding to the field, which writes DER.
                        SignatureForm::Cavage => verifier.verify_oneshot(signature, message),
                        SignatureForm::Message => match der_of_raw(signature)? {
                            Some(der) => verifier.verify_oneshot(&der, message),
                            None => Ok(false),
                        },
                    }
                }
                Self::Ed25519 => {
                    Verifier::new_without_digest(key)?.verify_oneshot(signature, message)
                }
            }
        };
        verify().unwrap_or(false)
    }

    /// Signs `message`, for tests and for TPPs of the sandbox.
    pub(super) fn sign(
        self,
        key: &PKey<Private>,
        form: SignatureForm,
        message: &[u8],
    ) -> Result<Vec<u8>, openssl::error::ErrorStack> {
        match self {
            Self::RsaPssSha512 | Self::RsaPssSha256 => {
                let mut signer = Signer::new(self.digest(), key)?;
                signer.set_rsa_padding(Padding::PKCS1_PSS)?;
                signer.set_rsa_mgf1_md(self.digest())?;
                signer.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH)?;
                signer.sign_oneshot_to_vec(message)
            }
            Self::Ed25519 => Signer::new_without_digest(key)?.sign_oneshot_to_vec(message),
            Self::RsaSha256 | Self::EcdsaP256Sha256 => {
                let signature =
                    Signer::new(MessageDigest::sha256(), key)?.sign_oneshot_to_vec(message)?;
                if self == Self::EcdsaP256Sha256 && form == SignatureForm::Message {
                    let parts = EcdsaSig::from_der(&signature)?;
                    let (r, s) = (parts.r().to_vec_padded(32)?, parts.s().to_vec_padded(32)?);
                    return Ok([r, s].concat());
                }
                Ok(signature)
            }
        }
    }

    fn digest(self) -> MessageDigest {
        match self {
            Self::RsaPssSha512 => MessageDigest::sha512(),
            _ => MessageDigest::sha256(),
        }
    }
}

/// RFC 9421 §3.3.4: r and s, 32 octets each.
fn der_of_raw(signature: &[u8]) -> Result<Option<Vec<u8>>, openssl::error::ErrorStack> {
    let Some((r, s)) = signature.split_at_checked(32).filter(|(_, s)| s.len() == 32) else {
        return Ok(None);
    };
    let (r, s) = (BigNum::from_slice(r)?, BigNum::from_slice(s)?);
    EcdsaSig::from_private_components(r, s)?.to_der().map(Some)
}
