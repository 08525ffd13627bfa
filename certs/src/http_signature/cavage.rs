//! draft-cavage-http-signatures-12.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use openssl::pkey::{PKey, Private};

use super::algorithm::SignatureMethod;
use super::component::HttpRequest;
use super::{Claim, SignatureFault, SignatureForm};
use crate::limits::{SIGNATURE_BYTES_MAX, SIGNATURE_COMPONENTS_MAX};

fn malformed(why: impl Into<String>) -> SignatureFault {
    SignatureFault::Malformed { header: "Signature", why: why.into() }
}

pub(super) fn read(request: &HttpRequest<'_>) -> Result<Claim, SignatureFault> {
    let value = request.only("signature")?;
    let parameters = parameters(&value)?;
    let text = |name: &str| {
        let found = parameters.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| *value)
    };
    let instant = |name: &str| match text(name) {
        None => Ok(None),
        Some(seconds) => seconds
            .parse()
            .ok()
            .and_then(|seconds| Timestamp::from_second(seconds).ok())
            .map(Some)
            .ok_or_else(|| malformed(format!("{name} is no Unix time in seconds"))),
    };
    let (created, expires) = (instant("created")?, instant("expires")?);
    let key_id = text("keyId").ok_or_else(|| malformed("it has no keyId"))?;
    let signature = text("signature").ok_or_else(|| malformed("it has no signature"))?;
    let signature =
        STANDARD.decode(signature).map_err(|_| malformed("its signature is not base64"))?;
    let method = text("algorithm").map(str::to_owned);
    // Without a list the draft has `(created)`, or `date` for the older algorithms (§2.1.6).
    let covered: Vec<String> = match text("headers") {
        Some(list) => list.split(' ').map(str::to_owned).collect(),
        None if created.is_some() => vec!["(created)".to_owned()],
        None => vec!["date".to_owned()],
    };
    if covered.len() > SIGNATURE_COMPONENTS_MAX || covered.iter().any(String::is_empty) {
        return Err(malformed("its list of headers is empty, too long or not single-spaced"));
    }
    for (index, name) in covered.iter().enumerate() {
        if covered.iter().take(index).any(|earlier| earlier == name) {
            return Err(malformed(format!("its list of headers names {name} twice")));
        }
        if name.bytes().any(|octet| octet.is_ascii_uppercase()) {
            return Err(malformed(format!("its list of headers is not in lower case: {name}")));
        }
    }
    let dated = |name: &str| covered.iter().any(|covered| covered == name);
    let older = method.as_deref().is_some_and(|method| {
        ["rsa", "hmac", "ecdsa"].iter().any(|start| method.starts_with(start))
    });
    if older && (dated("(created)") || dated("(expires)")) {
        return Err(malformed("(created) and (expires) need the algorithm hs2019 (§2.3)"));
    }
    let signing_string = signing_string(request, &covered, created, expires)?;
    Ok(Claim {
        form: SignatureForm::Cavage,
        key_id: key_id.to_owned(),
        method,
        // What is not covered is not known.
        created: created.filter(|_| dated("(created)")),
        expires,
        covered,
        signature,
        signing_string,
    })
}

/// `name="text"` or `name=number`, comma-separated, each name once (§2.1, §4.1).
fn parameters(value: &str) -> Result<Vec<(&str, &str)>, SignatureFault> {
    if value.len() > SIGNATURE_BYTES_MAX {
        return Err(malformed("it is too long"));
    }
    let mut parameters: Vec<(&str, &str)> = Vec::new();
    let mut rest = value;
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=').ok_or_else(|| malformed("a name has no value"))?;
        let name = name.trim_matches([' ', '\t']);
        if name.is_empty() || !name.bytes().all(|octet| octet.is_ascii_alphanumeric()) {
            return Err(malformed("a parameter has no proper name"));
        }
        let (text, after) = match after.strip_prefix('"') {
            Some(quoted) => {
                quoted.split_once('"').ok_or_else(|| malformed("a quotation does not end"))?
            }
            None => after.split_at(after.find(',').unwrap_or(after.len())),
        };
        if text.contains('\\') {
            return Err(malformed("a value has a backslash"));
        }
        if parameters.iter().any(|(known, _)| *known == name) {
            return Err(malformed(format!("{name} stands twice")));
        }
        parameters.push((name, text));
        let after = after.trim_start_matches([' ', '\t']);
        rest = match after.strip_prefix(',') {
            Some(more) => more.trim_start_matches([' ', '\t']),
            None if after.is_empty() => after,
            None => return Err(malformed("something follows a value that is no comma")),
        };
    }
    Ok(parameters)
}

/// §2.3.
fn signing_string(
    request: &HttpRequest<'_>,
    covered: &[String],
    created: Option<Timestamp>,
    expires: Option<Timestamp>,
) -> Result<String, SignatureFault> {
    let mut lines = Vec::with_capacity(covered.len());
    for name in covered {
        let missing = || SignatureFault::NotThere(name.clone());
        let value = match name.as_str() {
            "(request-target)" => {
                format!("{} {}", request.method.to_ascii_lowercase(), request.target)
            }
            "(created)" => created.ok_or_else(missing)?.as_second().to_string(),
            "(expires)" => expires.ok_or_else(missing)?.as_second().to_string(),
            name => request.value(name)?,
        };
        lines.push(format!("{name}: {value}"));
    }
    Ok(lines.join("\n"))
}

/// The `Signature` header that a TPP would send with this request, over `covered`.
///
/// # Errors
/// A header that is to be covered is missing, or the key signs nothing.
pub fn sign_cavage(
    request: &HttpRequest<'_>,
    key_id: &str,
    key: &PKey<Private>,
    method: SignatureMethod,
    covered: &[&str],
) -> Result<String, SignatureFault> {
    let covered: Vec<String> = covered.iter().map(|name| (*name).to_owned()).collect();
    let text = signing_string(request, &covered, None, None)?;
    let signature = method.sign(key, SignatureForm::Cavage, text.as_bytes()).map_err(|_| {
        SignatureFault::Method(format!("the key cannot sign with {}", method.name()))
    })?;
    let name = if method == SignatureMethod::RsaPssSha512 { "hs2019" } else { method.name() };
    Ok(format!(
        "keyId=\"{key_id}\",algorithm=\"{name}\",headers=\"{}\",signature=\"{}\"",
        covered.join(" "),
        STANDARD.encode(signature)
    ))
}
