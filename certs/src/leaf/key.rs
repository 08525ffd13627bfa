//! Keys and signatures by algorithm and strength (ETSI TS 119 312, RFC 5480, RFC 8410).

use std::fmt;

use x509_parser::asn1_rs::{Oid, oid};
use x509_parser::public_key::PublicKey as ParsedKey;
use x509_parser::x509::{AlgorithmIdentifier, SubjectPublicKeyInfo};

use crate::limits::{RSA_BITS_MAX, RSA_BITS_MIN};

const RSA_ENCRYPTION: Oid<'static> = oid!(1.2.840.113549.1.1.1);
const RSASSA_PSS: Oid<'static> = oid!(1.2.840.113549.1.1.10);
const EC_PUBLIC_KEY: Oid<'static> = oid!(1.2.840.10045.2.1);
const P256: Oid<'static> = oid!(1.2.840.10045.3.1.7);
const P384: Oid<'static> = oid!(1.3.132.0.34);
const P521: Oid<'static> = oid!(1.3.132.0.35);
const ED25519: Oid<'static> = oid!(1.3.101.112);

/// The kind of a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyAlgorithm {
    /// RSA, for PKCS #1 v1.5 and PSS.
    Rsa,
    /// RSA, for PSS only.
    RsaPss,
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
    /// NIST P-521.
    P521,
    /// Ed25519.
    Ed25519,
    /// Anything else; accepted nowhere.
    Other,
}

/// A public key by kind and size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey {
    /// Its kind.
    pub algorithm: KeyAlgorithm,
    /// Bits of the modulus or of the curve; 0 when unknown.
    pub bits: u32,
}

impl PublicKey {
    pub(crate) fn read(spki: &SubjectPublicKeyInfo<'_>) -> Self {
        use KeyAlgorithm::{Ed25519, Other, P256 as Nist256, P384 as Nist384, P521 as Nist521};
        let algorithm = spki.algorithm.oid();
        let curve = || spki.algorithm.parameters().and_then(crate::der::oid);
        let (algorithm, bits) = if *algorithm == RSA_ENCRYPTION {
            (KeyAlgorithm::Rsa, rsa_bits(spki))
        } else if *algorithm == RSASSA_PSS {
            (KeyAlgorithm::RsaPss, rsa_bits(spki))
        } else if *algorithm == ED25519 {
            (Ed25519, 256)
        } else if *algorithm == EC_PUBLIC_KEY {
            match curve() {
                Some(curve) if curve == P256 => (Nist256, 256),
                Some(curve) if curve == P384 => (Nist384, 384),
                Some(curve) if curve == P521 => (Nist521, 521),
                _ => (Other, 0),
            }
        } else {
            (Other, 0)
        };
        Self { algorithm, bits }
    }

    /// On a curve: it can sign, and not encrypt.
    pub const fn is_elliptic(self) -> bool {
        use KeyAlgorithm::{Ed25519, P256 as Nist256, P384 as Nist384, P521 as Nist521};
        matches!(self.algorithm, Nist256 | Nist384 | Nist521 | Ed25519)
    }

    /// RSA 2048 to 8192 bits, P-256, P-384, P-521 or Ed25519.
    pub const fn is_accepted(self) -> bool {
        match self.algorithm {
            KeyAlgorithm::Rsa | KeyAlgorithm::RsaPss => {
                self.bits >= RSA_BITS_MIN && self.bits <= RSA_BITS_MAX
            }
            KeyAlgorithm::P256
            | KeyAlgorithm::P384
            | KeyAlgorithm::P521
            | KeyAlgorithm::Ed25519 => true,
            KeyAlgorithm::Other => false,
        }
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.algorithm {
            KeyAlgorithm::Rsa => write!(f, "RSA {}", self.bits),
            KeyAlgorithm::RsaPss => write!(f, "RSA-PSS {}", self.bits),
            KeyAlgorithm::P256 => f.write_str("P-256"),
            KeyAlgorithm::P384 => f.write_str("P-384"),
            KeyAlgorithm::P521 => f.write_str("P-521"),
            KeyAlgorithm::Ed25519 => f.write_str("Ed25519"),
            KeyAlgorithm::Other => f.write_str("an unknown kind"),
        }
    }
}

/// Bits of the modulus, without leading zeros; 0 when the key cannot be read.
fn rsa_bits(spki: &SubjectPublicKeyInfo<'_>) -> u32 {
    use x509_parser::asn1_rs::Any;
    use x509_parser::asn1_rs::FromDer;

    let modulus = match spki.parsed() {
        Ok(ParsedKey::RSA(rsa)) => Some(rsa.modulus),
        // The parser knows the key only under rsaEncryption; under id-RSASSA-PSS it is the same.
        _ => Any::from_der(&spki.subject_public_key.data)
            .ok()
            .and_then(|(_, any)| crate::der::elements(&any, 2))
            .and_then(|parts| parts.first().map(|modulus| modulus.data)),
    };
    let Some(modulus) = modulus else { return 0 };
    let zeros = modulus.iter().take_while(|octet| **octet == 0).count();
    let Some(first) = modulus.get(zeros) else { return 0 };
    let bits = (modulus.len() - zeros) * 8 - first.leading_zeros() as usize;
    u32::try_from(bits).unwrap_or(0)
}

/// The algorithm of an issuer's signature, by the strength of its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignatureAlgorithm {
    /// RSA PKCS #1 v1.5 or ECDSA over SHA-2, RSA-PSS, or Ed25519.
    Accepted(&'static str),
    /// MD2, MD5 or SHA-1: collisions are bought by the hour.
    Broken(&'static str),
    /// Another OID.
    Other(Box<str>),
}

const SIGNATURE_ALGORITHMS: [(Oid<'static>, SignatureAlgorithm); 12] = [
    (oid!(1.2.840.113549.1.1.11), SignatureAlgorithm::Accepted("sha256WithRSAEncryption")),
    (oid!(1.2.840.113549.1.1.12), SignatureAlgorithm::Accepted("sha384WithRSAEncryption")),
    (oid!(1.2.840.113549.1.1.13), SignatureAlgorithm::Accepted("sha512WithRSAEncryption")),
    (oid!(1.2.840.113549.1.1.10), SignatureAlgorithm::Accepted("rsassaPss")),
    (oid!(1.2.840.10045.4.3.2), SignatureAlgorithm::Accepted("ecdsa-with-SHA256")),
    (oid!(1.2.840.10045.4.3.3), SignatureAlgorithm::Accepted("ecdsa-with-SHA384")),
    (oid!(1.2.840.10045.4.3.4), SignatureAlgorithm::Accepted("ecdsa-with-SHA512")),
    (oid!(1.3.101.112), SignatureAlgorithm::Accepted("Ed25519")),
    (oid!(1.2.840.113549.1.1.5), SignatureAlgorithm::Broken("sha1WithRSAEncryption")),
    (oid!(1.2.840.10045.4.1), SignatureAlgorithm::Broken("ecdsa-with-SHA1")),
    (oid!(1.2.840.113549.1.1.4), SignatureAlgorithm::Broken("md5WithRSAEncryption")),
    (oid!(1.2.840.113549.1.1.2), SignatureAlgorithm::Broken("md2WithRSAEncryption")),
];

impl SignatureAlgorithm {
    pub(crate) fn read(algorithm: &AlgorithmIdentifier<'_>) -> Self {
        let known = SIGNATURE_ALGORITHMS.into_iter().find(|(oid, _)| oid == algorithm.oid());
        match known {
            // PSS names its digest in the parameters, and the default is SHA-1 (RFC 4055 §3.1).
            Some((oid, _)) if oid == RSASSA_PSS && !pss_digest_is_sha2(algorithm) => {
                Self::Broken("rsassaPss with SHA-1")
            }
            Some((_, algorithm)) => algorithm,
            None => Self::Other(algorithm.oid().to_id_string().into()),
        }
    }

    /// Whether a signature of this kind may be relied on.
    pub const fn is_accepted(&self) -> bool {
        matches!(self, Self::Accepted(_))
    }
}

fn pss_digest_is_sha2(algorithm: &AlgorithmIdentifier<'_>) -> bool {
    use x509_parser::signature_algorithm::RsaSsaPssParams;

    const SHA2: [Oid<'static>; 3] =
        [oid!(2.16.840.1.101.3.4.2.1), oid!(2.16.840.1.101.3.4.2.2), oid!(2.16.840.1.101.3.4.2.3)];
    algorithm
        .parameters()
        .and_then(|parameters| RsaSsaPssParams::try_from(parameters).ok())
        .is_some_and(|parameters| SHA2.contains(parameters.hash_algorithm_oid()))
}

impl fmt::Display for SignatureAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted(name) | Self::Broken(name) => f.write_str(name),
            Self::Other(oid) => f.write_str(oid),
        }
    }
}
