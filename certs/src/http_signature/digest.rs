//! Digests of bodies: `Digest` (RFC 3230, RFC 5843) and `Content-Digest` (RFC 9530).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use openssl::sha::{sha256, sha512};
use sfv::{BareItem, Dictionary, ListEntry, Parser};

use super::component::HttpRequest;
use super::{SignatureFault, SignatureForm};

/// The `Digest` of `body`.
#[must_use]
pub fn digest(body: &[u8]) -> String {
    format!("SHA-256={}", STANDARD.encode(sha256(body)))
}

/// The `Content-Digest` of `body`.
#[must_use]
pub fn content_digest(body: &[u8]) -> String {
    format!("sha-256=:{}:", STANDARD.encode(sha256(body)))
}

pub(super) fn fits(request: &HttpRequest<'_>, form: SignatureForm) -> Result<(), SignatureFault> {
    match form {
        SignatureForm::Cavage => old(request),
        SignatureForm::Message => new(request),
    }
}

/// One algorithm of SHA-2; the name without case, the value exactly (RFC 3230 §4.3.2).
fn old(request: &HttpRequest<'_>) -> Result<(), SignatureFault> {
    let fault = |why: &str| SignatureFault::Digest(why.to_owned());
    let value = request.only("digest")?;
    let (name, text) = value.split_once('=').ok_or_else(|| fault("Digest is no name=value"))?;
    let ours = match name.to_ascii_uppercase().as_str() {
        "SHA-256" => sha256(request.body).to_vec(),
        "SHA-512" => sha512(request.body).to_vec(),
        _ => return Err(fault("Digest is neither SHA-256 nor SHA-512")),
    };
    let theirs = STANDARD.decode(text).map_err(|_| fault("Digest is not base64"))?;
    if openssl_equal(&ours, &theirs) { Ok(()) } else { Err(fault(&expected(&ours, name))) }
}

/// Every digest of an algorithm that we know must fit, and one must be there.
fn new(request: &HttpRequest<'_>) -> Result<(), SignatureFault> {
    let fault = |why: &str| SignatureFault::Digest(why.to_owned());
    let value = request.only("content-digest")?;
    let digests: Dictionary = Parser::new(&value)
        .parse()
        .map_err(|_| fault("Content-Digest is no dictionary (RFC 9651)"))?;
    let mut known = 0;
    for (name, entry) in &digests {
        let ours = match name.as_str() {
            "sha-256" => sha256(request.body).to_vec(),
            "sha-512" => sha512(request.body).to_vec(),
            _ => continue,
        };
        known += 1;
        let ListEntry::Item(item) = entry else { return Err(fault("Content-Digest has a list")) };
        let BareItem::ByteSequence(theirs) = &item.bare_item else {
            return Err(fault("Content-Digest is no byte sequence"));
        };
        if !openssl_equal(&ours, theirs) {
            return Err(fault(&expected(&ours, name.as_str())));
        }
    }
    if known == 0 { Err(fault("Content-Digest has neither sha-256 nor sha-512")) } else { Ok(()) }
}

fn openssl_equal(ours: &[u8], theirs: &[u8]) -> bool {
    ours.len() == theirs.len() && openssl::memcmp::eq(ours, theirs)
}

fn expected(ours: &[u8], name: &str) -> String {
    format!("we find {} = {}", name.to_lowercase(), STANDARD.encode(ours))
}
