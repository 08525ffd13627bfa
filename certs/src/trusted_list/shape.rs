//! The one shape of signature that is accepted (TS 119 612 §5.7, XAdES enveloped): the whole
//! document, signed once, with nothing in it that a verifier could take for the document.
//!
//! Signature wrapping works by letting the verifier and the reader look at different parts. Here
//! both look at the root, because the only reference besides the signed properties is to the root.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::TrustedListError;
use super::xml::{Element, Namespace};

const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
const SIGNED_PROPERTIES: &str = "http://uri.etsi.org/01903#SignedProperties";
const CANONICALIZATIONS: [&str; 3] = [
    "http://www.w3.org/2001/10/xml-exc-c14n#",
    "http://www.w3.org/TR/2001/REC-xml-c14n-20010315",
    "http://www.w3.org/2006/12/xml-c14n11",
];
const DIGESTS: [&str; 3] = [
    "http://www.w3.org/2001/04/xmlenc#sha256",
    "http://www.w3.org/2001/04/xmldsig-more#sha384",
    "http://www.w3.org/2001/04/xmlenc#sha512",
];
const METHODS: [&str; 9] = [
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384",
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512",
    "http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1",
    "http://www.w3.org/2007/05/xmldsig-more#sha384-rsa-MGF1",
    "http://www.w3.org/2007/05/xmldsig-more#sha512-rsa-MGF1",
    "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256",
    "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384",
    "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512",
];

/// The certificate of the signer, in DER.
pub(super) fn signer(root: &Element) -> Result<Vec<u8>, TrustedListError> {
    let fault = TrustedListError::Signature;
    let elements = root.every();
    let signatures =
        elements.iter().filter(|element| element.is(Namespace::Signature, "Signature"));
    if signatures.count() != 1 {
        return Err(fault("there must be exactly one signature"));
    }
    let signature = root
        .only(Namespace::Signature, "Signature")
        .ok_or(fault("the signature must be a child of the root"))?;
    unique_ids(&elements)?;
    let info =
        signature.only(Namespace::Signature, "SignedInfo").ok_or(fault("it has no SignedInfo"))?;
    if !algorithm(info, "CanonicalizationMethod")
        .is_some_and(|uri| CANONICALIZATIONS.contains(&uri))
    {
        return Err(fault("its canonicalization is not accepted"));
    }
    if !algorithm(info, "SignatureMethod").is_some_and(|uri| METHODS.contains(&uri)) {
        return Err(fault("its signature algorithm is not accepted"));
    }
    let mut roots = 0;
    for reference in info.all(Namespace::Signature, "Reference") {
        if !algorithm(reference, "DigestMethod").is_some_and(|uri| DIGESTS.contains(&uri)) {
            return Err(fault("a digest algorithm is not accepted"));
        }
        let transforms = transforms(reference);
        if reference.attribute("Type") == Some(SIGNED_PROPERTIES) {
            properties(signature, reference, &transforms)?;
        } else {
            roots += 1;
            whole(root, reference, &transforms)?;
        }
    }
    if roots != 1 {
        return Err(fault("exactly one reference must be to the document"));
    }
    unsigned(signature)?;
    certificate(signature)
}

/// What stands in the signature itself and is signed by nobody must say nothing new.
fn unsigned(signature: &Element) -> Result<(), TrustedListError> {
    let fault = TrustedListError::Signature;
    let value = signature.only(Namespace::Signature, "SignatureValue");
    if value.and_then(der).is_none() {
        return Err(fault("its SignatureValue is not base64"));
    }
    let id = signature.attribute("Id");
    let objects = signature.all(Namespace::Signature, "Object").flat_map(Element::every);
    for properties in objects.filter(|element| &*element.name == "QualifyingProperties") {
        let target = properties.attribute("Target").and_then(|target| target.strip_prefix('#'));
        if target.is_none() || target != id {
            return Err(fault("its properties qualify another signature"));
        }
    }
    Ok(())
}

/// Two elements of one Id: the verifier may find one and the reader the other.
fn unique_ids(elements: &[&Element]) -> Result<(), TrustedListError> {
    let mut ids = HashSet::new();
    for element in elements {
        for (name, value) in &element.attributes {
            let local = name.rsplit(':').next().unwrap_or_default();
            if local.eq_ignore_ascii_case("id") && !ids.insert(value) {
                return Err(TrustedListError::Signature("an Id stands on two elements"));
            }
        }
    }
    Ok(())
}

fn algorithm<'a>(parent: &'a Element, name: &str) -> Option<&'a str> {
    parent.only(Namespace::Signature, name)?.attribute("Algorithm")
}

fn transforms(reference: &Element) -> Vec<&str> {
    let Some(list) = reference.only(Namespace::Signature, "Transforms") else { return Vec::new() };
    list.children.iter().map(|transform| transform.attribute("Algorithm").unwrap_or("")).collect()
}

fn whole(root: &Element, reference: &Element, transforms: &[&str]) -> Result<(), TrustedListError> {
    let fault = TrustedListError::Signature;
    let to_root = match reference.attribute("URI") {
        Some("") => true,
        Some(uri) => uri.strip_prefix('#').is_some_and(|id| root.attribute("Id") == Some(id)),
        None => false,
    };
    if !to_root {
        return Err(fault("a reference is to something else than the document"));
    }
    match transforms {
        [ENVELOPED, canonicalization] if CANONICALIZATIONS.contains(canonicalization) => Ok(()),
        _ => Err(fault("the document is transformed before it is signed")),
    }
}

fn properties(
    signature: &Element,
    reference: &Element,
    transforms: &[&str],
) -> Result<(), TrustedListError> {
    let fault = TrustedListError::Signature;
    let id = reference.attribute("URI").and_then(|uri| uri.strip_prefix('#'));
    let within = signature.all(Namespace::Signature, "Object").flat_map(Element::every);
    let mut named = within.filter(|element| id.is_some() && element.attribute("Id") == id);
    if named.next().is_none_or(|element| &*element.name != "SignedProperties") {
        return Err(fault("the signed properties are not within the signature"));
    }
    match transforms {
        [] => Ok(()),
        [canonicalization] if CANONICALIZATIONS.contains(canonicalization) => Ok(()),
        _ => Err(fault("the signed properties are transformed")),
    }
}

/// The first certificate of KeyInfo. Whatever else KeyInfo holds is not used: the verifier is given
/// this one key.
fn certificate(signature: &Element) -> Result<Vec<u8>, TrustedListError> {
    let fault = TrustedListError::Signature;
    let info = signature
        .only(Namespace::Signature, "KeyInfo")
        .ok_or(fault("it has no KeyInfo with the signer's certificate"))?;
    let mut found = info
        .all(Namespace::Signature, "X509Data")
        .flat_map(|data| data.all(Namespace::Signature, "X509Certificate"));
    let first = found.next().ok_or(fault("its KeyInfo holds no certificate"))?;
    let signer = der(first).ok_or(fault("the certificate of its KeyInfo cannot be read"))?;
    // A key that is written out beside it must be the one in it.
    let values = info.all(Namespace::Signature, "KeyValue").flat_map(Element::every);
    for value in values.filter(|value| matches!(&*value.name, "Modulus" | "Exponent")) {
        let octets = der(value).unwrap_or_default();
        if octets.is_empty() || !signer.windows(octets.len()).any(|window| window == octets) {
            return Err(fault("its KeyInfo names another key than its certificate's"));
        }
    }
    Ok(signer)
}

/// Base64 with white space, as XML writes it.
pub(super) fn der(element: &Element) -> Option<Vec<u8>> {
    let compact: String = element.text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    STANDARD.decode(compact).ok()
}
