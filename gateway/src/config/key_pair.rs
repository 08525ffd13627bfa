//! A certificate and the private key that must belong to it.

use std::cmp::Ordering;
use std::io;
use std::path::{Path, PathBuf};

use openssl::asn1::Asn1Time;
use openssl::pkey::{PKey, Private};
use openssl::x509::X509;

use super::key::Key;
use super::limits::{PEM_BYTES_MAX, SECRET_BYTES_MAX};
use super::reading::{Reading, read_bounded};
use super::secret::Secret;

/// A certificate with its intermediates and its private key, and where they were read.
#[derive(Clone, Debug)]
pub struct KeyPair {
    /// The PEM chain, leaf first.
    pub certificate_pem: Vec<u8>,
    /// The PEM private key of the leaf.
    pub key_pem: Secret,
    certificate_file: PathBuf,
    key_file: PathBuf,
}

/// Why the files of a [`KeyPair`], as they stand now, are not put to use.
#[derive(Debug, thiserror::Error)]
pub enum RenewalError {
    /// A file is away, or not for us.
    #[error("{file}: {source}", file = file.display())]
    Read {
        /// Which one.
        file: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// A file holds something else, or more than it may.
    #[error("{file} holds no readable {what}", file = file.display())]
    Unreadable {
        /// Which one.
        file: PathBuf,
        /// What should stand there.
        what: &'static str,
    },
    /// One of the two was exchanged without the other.
    #[error(
        "{key} is not the key of the first certificate in {certificate}",
        key = key.display(),
        certificate = certificate.display()
    )]
    Mismatch {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// What is in use may still be good; this is not.
    #[error("the first certificate in {certificate} has expired", certificate = certificate.display())]
    Expired {
        /// The certificate.
        certificate: PathBuf,
    },
}

impl KeyPair {
    /// From now on [`KeyPair::read_again`] reads the files of `other`.
    pub fn look_at_files_of(&mut self, other: &Self) {
        self.certificate_file.clone_from(&other.certificate_file);
        self.key_file.clone_from(&other.key_file);
    }

    /// The files as they stand now; `None` when they hold what this pair holds.
    ///
    /// # Errors
    /// Why they are no pair that could be served with.
    pub fn read_again(&self) -> Result<Option<Self>, RenewalError> {
        let (certificate_file, key_file) = (self.certificate_file.clone(), self.key_file.clone());
        let certificate_pem = contents(&certificate_file, PEM_BYTES_MAX)?;
        let key_pem = Secret::new(contents(&key_file, SECRET_BYTES_MAX)?);
        if certificate_pem == self.certificate_pem && key_pem.expose() == self.key_pem.expose() {
            return Ok(None);
        }
        let unreadable =
            |file: &Path, what| RenewalError::Unreadable { file: file.to_owned(), what };
        let leaf =
            leaf(&certificate_pem).ok_or_else(|| unreadable(&certificate_file, "certificate"))?;
        let private = private_key(&key_pem).ok_or_else(|| unreadable(&key_file, "private key"))?;
        if !belongs(&private, &leaf) {
            let (certificate, key) = (certificate_file, key_file);
            return Err(RenewalError::Mismatch { certificate, key });
        }
        let now = Asn1Time::days_from_now(0).ok();
        let stands = now.is_some_and(|now| {
            leaf.not_after().compare(&now).is_ok_and(|order| order == Ordering::Greater)
        });
        if !stands {
            return Err(RenewalError::Expired { certificate: certificate_file });
        }
        Ok(Some(Self { certificate_pem, key_pem, certificate_file, key_file }))
    }
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
    let leaf = certificate_pem.as_deref().and_then(|pem| {
        is_certificates(pem, certificate_key, reading).then(|| leaf(pem)).flatten()
    });
    let private = key_pem.as_ref().and_then(|pem| {
        let private = private_key(pem);
        if private.is_none() {
            reading.refuse(
                key_key,
                "holds no readable private key",
                "give a PEM file with a `-----BEGIN PRIVATE KEY-----` block and no pass phrase",
            );
        }
        private
    });
    if !belongs(&private?, &leaf?) {
        reading.refuse(
            key_key,
            format!("is not the key of the certificate in `{certificate_key}`"),
            "name the key with which this certificate was requested; the leaf stands first in its \
             file",
        );
        return None;
    }
    Some(KeyPair {
        certificate_pem: certificate_pem?,
        key_pem: key_pem?,
        certificate_file: reading.path(certificate?),
        key_file: reading.path(key?),
    })
}

/// Whether a PEM file holds certificates, and nothing that is broken.
/// `client_certificate` and `client_key_file` of a table, where it has them: `None` stands for a mistake.
pub(super) fn read_optional(
    (certificate, private): (Option<&str>, Option<&str>),
    key: &Key,
    reading: &mut Reading<'_>,
) -> Option<Option<KeyPair>> {
    if certificate.is_none() && private.is_none() {
        return Some(None);
    }
    if certificate.is_none() || private.is_none() {
        let what = "needs `client_certificate` and `client_key_file`, or neither";
        reading.refuse(key, what, "add the one that is missing");
        return None;
    }
    let pair = read(
        (&key.child("client_certificate"), certificate),
        (&key.child("client_key_file"), private),
        reading,
    )?;
    Some(Some(pair))
}

pub(super) fn is_certificates(pem: &[u8], key: &Key, reading: &mut Reading<'_>) -> bool {
    let holds = leaf(pem).is_some();
    if !holds {
        reading.refuse(
            key,
            "holds no readable certificate",
            "give a PEM file with `-----BEGIN CERTIFICATE-----` blocks",
        );
    }
    holds
}

fn contents(file: &Path, bytes_max: u64) -> Result<Vec<u8>, RenewalError> {
    let read = |source| RenewalError::Read { file: file.to_owned(), source };
    let bytes = read_bounded(file, bytes_max).map_err(read)?;
    if bytes.len() as u64 > bytes_max {
        return Err(read(io::Error::other(format!("larger than {bytes_max} bytes"))));
    }
    Ok(bytes)
}

fn leaf(pem: &[u8]) -> Option<X509> {
    X509::stack_from_pem(pem).ok().and_then(|stack| stack.into_iter().next())
}

fn private_key(pem: &Secret) -> Option<PKey<Private>> {
    // Without a callback OpenSSL would ask for the pass phrase on the terminal and wait.
    PKey::private_key_from_pem_callback(pem.expose(), |_| Ok(0)).ok()
}

fn belongs(private: &PKey<Private>, leaf: &X509) -> bool {
    leaf.public_key().is_ok_and(|public| private.public_eq(&public))
}
