//! A certificate and the private key that must belong to it.

use openssl::pkey::PKey;
use openssl::x509::X509;

use super::key::Key;
use super::limits::{PEM_BYTES_MAX, SECRET_BYTES_MAX};
use super::reading::Reading;
use super::secret::Secret;

/// A PEM chain, leaf first, and the PEM private key of the leaf.
pub(super) struct KeyPair {
    pub(super) certificate_pem: Vec<u8>,
    pub(super) key_pem: Secret,
}

/// Reads both files and holds them against each other. The keys name the two settings.
pub(super) fn read(
    (certificate_key, certificate): (&Key, Option<&str>),
    (key_key, key): (&Key, Option<&str>),
    reading: &mut Reading<'_>,
) -> Option<KeyPair> {
    let certificate_pem =
        certificate.and_then(|path| reading.file(certificate_key, path, PEM_BYTES_MAX));
    let key_pem = key.and_then(|path| reading.secret_file(key_key, path, SECRET_BYTES_MAX));
    let leaf = certificate_pem.as_deref().and_then(|pem| leaf(pem, certificate_key, reading));
    let private = key_pem.as_ref().and_then(|pem| private_key(pem, key_key, reading));
    let (leaf, private) = (leaf?, private?);
    let public = leaf.public_key().ok()?;
    if !private.public_eq(&public) {
        reading.refuse(
            key_key,
            format!("is not the key of the certificate in `{certificate_key}`"),
            "name the key with which this certificate was requested; the leaf stands first in its \
             file",
        );
        return None;
    }
    Some(KeyPair { certificate_pem: certificate_pem?, key_pem: key_pem? })
}

/// Whether a PEM file holds certificates, and nothing that is broken.
pub(super) fn is_certificates(pem: &[u8], key: &Key, reading: &mut Reading<'_>) -> bool {
    leaf(pem, key, reading).is_some()
}

fn leaf(pem: &[u8], key: &Key, reading: &mut Reading<'_>) -> Option<X509> {
    let first = X509::stack_from_pem(pem).ok().and_then(|stack| stack.into_iter().next());
    if first.is_none() {
        reading.refuse(
            key,
            "holds no readable certificate",
            "give a PEM file with `-----BEGIN CERTIFICATE-----` blocks",
        );
    }
    first
}

fn private_key(
    pem: &Secret,
    key: &Key,
    reading: &mut Reading<'_>,
) -> Option<PKey<openssl::pkey::Private>> {
    // Without a callback OpenSSL would ask for the pass phrase on the terminal and wait.
    let private = PKey::private_key_from_pem_callback(pem.expose(), |_| Ok(0)).ok();
    if private.is_none() {
        reading.refuse(
            key,
            "holds no readable private key",
            "give a PEM file with a `-----BEGIN PRIVATE KEY-----` block and no pass phrase",
        );
    }
    private
}
