//! Whether a list's own signature holds. The XML signature is judged by libxmlsec1, in a process of
//! its own that sees the document and one key, has no network, and is ended when it takes too long.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use certs::{Leaf, TrustedList, TrustedListError};
use jiff::Timestamp;

/// Longest time for one signature.
const VERIFY_TIME_MAX: Duration = Duration::from_secs(20);
/// How often its end is looked for.
const POLL: Duration = Duration::from_millis(5);

/// Why a list is not believed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// It cannot be read.
    #[error("{0}")]
    Unreadable(#[from] TrustedListError),
    /// Signed with a certificate that nobody announced.
    #[error(
        "the certificate that it is signed with (SHA-256 {0}) is none of those that may sign it"
    )]
    OtherSigner(String),
    /// Announced, but outside its time.
    #[error("the certificate that it is signed with was valid from {0} to {1}")]
    SignerOutOfTime(Timestamp, Timestamp),
    /// Announced, but unreadable.
    #[error("the certificate that it is signed with cannot be read: {0}")]
    SignerUnreadable(certs::LeafError),
    /// Its nextUpdate has passed.
    #[error("it ended on {0}")]
    Ended(Timestamp),
    /// It was issued in the future.
    #[error("it is of the future ({0})")]
    Future(Timestamp),
    /// The signature does not hold.
    #[error("its signature does not hold")]
    Signature,
    /// It took too long.
    #[error("its signature could not be verified within {} s", VERIFY_TIME_MAX.as_secs())]
    TooSlow,
    /// xmlsec1 is not here.
    #[error("xmlsec1 cannot be run ({0}). To mend: install the package xmlsec1")]
    NoVerifier(std::io::Error),
    /// The machine.
    #[error("{0}")]
    System(#[from] std::io::Error),
}

/// Reads `xml` and verifies that one of `signers` (DER) signed it as a whole, and that it counts at
/// `at`.
///
/// # Errors
/// What is wrong with it.
pub fn verified(
    xml: &[u8],
    signers: &[Vec<u8>],
    at: Timestamp,
) -> Result<TrustedList, VerifyError> {
    let list = TrustedList::read(xml)?;
    if !signers.contains(&list.signer) {
        return Err(VerifyError::OtherSigner(hex::encode(certs::sha256(&list.signer))));
    }
    let signer = Leaf::from_der(&list.signer).map_err(VerifyError::SignerUnreadable)?;
    if at < signer.not_before() || at > signer.not_after() {
        return Err(VerifyError::SignerOutOfTime(signer.not_before(), signer.not_after()));
    }
    if list.issued > at {
        return Err(VerifyError::Future(list.issued));
    }
    if let Some(ended) = list.next_update.filter(|next_update| *next_update < at) {
        return Err(VerifyError::Ended(ended));
    }
    signature_holds(xml, &list.signer)?;
    Ok(list)
}

fn signature_holds(xml: &[u8], signer: &[u8]) -> Result<(), VerifyError> {
    let written = |bytes: &[u8]| -> std::io::Result<tempfile::NamedTempFile> {
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(bytes)?;
        Ok(file)
    };
    let (document, certificate) = (written(xml)?, written(signer)?);
    let mut child = Command::new("xmlsec1")
        .arg("--verify")
        // The key is the one that was announced. KeyInfo may name it, and is not asked for another.
        .args(["--enabled-key-data", "key-name"])
        .arg("--pubkey-cert-der")
        .arg(certificate.path())
        .args(["--enabled-reference-uris", "empty,same-doc"])
        .args(["--id-attr:Id", "http://uri.etsi.org/01903/v1.3.2#:SignedProperties"])
        .args(["--id-attr:Id", "http://uri.etsi.org/02231/v2#:TrustServiceStatusList"])
        .arg(document.path())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(VerifyError::NoVerifier)?;
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return if status.success() { Ok(()) } else { Err(VerifyError::Signature) };
        }
        if began.elapsed() > VERIFY_TIME_MAX {
            child.kill()?;
            child.wait()?;
            return Err(VerifyError::TooSlow);
        }
        std::thread::sleep(POLL);
    }
}
