//! The signatures of JWTs (RFC 7518 §3) by OpenSSL, which everything else here uses too.

use std::sync::Once;

use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::signature::Verifier as Verifies;
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::{EcGroup, EcKey, EcPoint};
use openssl::ecdsa::EcdsaSig;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Public};
use openssl::rsa::{Padding, Rsa};
use openssl::sign::{RsaPssSaltlen, Verifier};

/// Octets of each half of an ES256 signature.
const ES256_HALF_BYTES: usize = 32;

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::InvalidAlgorithm.into()),
    verifier_factory: |algorithm, key| Ok(Box::new(Key::read(*algorithm, key)?)),
    key_utils: KeyUtils::new_unimplemented(),
};

/// Has the library use it, once in a process.
pub(super) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // Whoever was first is this very provider.
        let _ = PROVIDER.install_default();
    });
}

enum Key {
    Rsa(Algorithm, PKey<Public>),
    Ec(EcKey<Public>),
}

impl Key {
    fn read(algorithm: Algorithm, key: &DecodingKey) -> Result<Self, Error> {
        let unfit = |_: ErrorStack| Error::from(ErrorKind::InvalidKeyFormat);
        match (algorithm, key.kind()) {
            (Algorithm::RS256 | Algorithm::PS256, DecodingKeyKind::RsaModulusExponent { n, e }) => {
                let key = rsa(n, e).map_err(unfit)?;
                if key.bits() < RSA_BITS_MIN {
                    return Err(ErrorKind::InvalidKeyFormat.into());
                }
                Ok(Self::Rsa(algorithm, key))
            }
            (Algorithm::ES256, DecodingKeyKind::SecretOrDer(point)) => {
                ec(point).map(Self::Ec).map_err(unfit)
            }
            _ => Err(ErrorKind::InvalidAlgorithm.into()),
        }
    }

    fn holds(&self, message: &[u8], signature: &[u8]) -> Result<bool, ErrorStack> {
        match self {
            Self::Rsa(algorithm, key) => {
                let mut verifier = Verifier::new(MessageDigest::sha256(), key)?;
                if *algorithm == Algorithm::PS256 {
                    verifier.set_rsa_padding(Padding::PKCS1_PSS)?;
                    verifier.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH)?;
                    verifier.set_rsa_mgf1_md(MessageDigest::sha256())?;
                }
                verifier.verify_oneshot(signature, message)
            }
            Self::Ec(key) => {
                let Some((r, s)) = signature.split_at_checked(ES256_HALF_BYTES) else {
                    return Ok(false);
                };
                if s.len() != ES256_HALF_BYTES {
                    return Ok(false);
                }
                let halves = [BigNum::from_slice(r)?, BigNum::from_slice(s)?];
                let [r, s] = halves;
                let signature = EcdsaSig::from_private_components(r, s)?;
                signature.verify(&certs::sha256(message), key)
            }
        }
    }
}

fn rsa(n: &[u8], e: &[u8]) -> Result<PKey<Public>, ErrorStack> {
    let key = Rsa::from_public_components(BigNum::from_slice(n)?, BigNum::from_slice(e)?)?;
    PKey::from_rsa(key)
}

/// RFC 7518 §3.3.
const RSA_BITS_MIN: u32 = 2048;

fn ec(point: &[u8]) -> Result<EcKey<Public>, ErrorStack> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    let mut context = BigNumContext::new()?;
    let point = EcPoint::from_bytes(&group, point, &mut context)?;
    let key = EcKey::from_public_key(&group, &point)?;
    key.check_key()?;
    Ok(key)
}

impl Verifies<Vec<u8>> for Key {
    fn verify(
        &self,
        message: &[u8],
        signature: &Vec<u8>,
    ) -> Result<(), jsonwebtoken::signature::Error> {
        match self.holds(message, signature) {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(jsonwebtoken::signature::Error::new()),
        }
    }
}

impl JwtVerifier for Key {
    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Rsa(algorithm, _) => *algorithm,
            Self::Ec(_) => Algorithm::ES256,
        }
    }
}
