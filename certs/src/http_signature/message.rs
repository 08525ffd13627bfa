//! RFC 9421.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use openssl::pkey::{PKey, Private};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sfv::{BareItem, Dictionary, FieldType, InnerList, ListEntry, Parser};

use super::algorithm::SignatureMethod;
use super::component::HttpRequest;
use super::{Claim, SignatureFault, SignatureForm};
use crate::limits::{SIGNATURE_BYTES_MAX, SIGNATURE_COMPONENTS_MAX};

/// The application/x-www-form-urlencoded percent-encode set, but for the space.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'*').remove(b'-').remove(b'.').remove(b'_');

const INPUT: &str = "Signature-Input";
const SIGNATURE: &str = "Signature";

fn malformed(header: &'static str, why: impl Into<String>) -> SignatureFault {
    SignatureFault::Malformed { header, why: why.into() }
}

fn dictionary(value: &str, header: &'static str) -> Result<Dictionary, SignatureFault> {
    if value.len() > SIGNATURE_BYTES_MAX {
        return Err(malformed(header, "it is too long"));
    }
    let parsed: Result<Dictionary, _> = Parser::new(value).parse();
    parsed.map_err(|_| malformed(header, "it is no dictionary (RFC 9651)"))
}

pub(super) fn read(request: &HttpRequest<'_>) -> Result<Claim, SignatureFault> {
    let inputs = dictionary(&request.value("signature-input")?, INPUT)?;
    let signatures = dictionary(&request.value("signature")?, SIGNATURE)?;
    let mut labels = inputs.iter();
    let (label, entry) = labels.next().ok_or_else(|| malformed(INPUT, "it is empty"))?;
    if labels.next().is_some() || signatures.len() != 1 {
        return Err(SignatureFault::Several);
    }
    let ListEntry::InnerList(list) = entry else {
        return Err(malformed(INPUT, "its member is no list of components"));
    };
    let Some(ListEntry::Item(signature)) = signatures.get(label) else {
        return Err(malformed(SIGNATURE, "it has no item of the same label as Signature-Input"));
    };
    let BareItem::ByteSequence(signature) = &signature.bare_item else {
        return Err(malformed(SIGNATURE, "its item is no byte sequence"));
    };
    let text = |name: &str| match list.params.get(name) {
        None => Ok(None),
        Some(BareItem::String(text)) => Ok(Some(text.as_str().to_owned())),
        Some(_) => Err(malformed(INPUT, format!("its parameter {name} is no string"))),
    };
    let instant = |name: &str| match list.params.get(name) {
        None => Ok(None),
        Some(BareItem::Integer(seconds)) => Timestamp::from_second(i64::from(*seconds))
            .map(Some)
            .map_err(|_| malformed(INPUT, format!("its parameter {name} is no instant"))),
        Some(_) => Err(malformed(INPUT, format!("its parameter {name} is no integer"))),
    };
    let (covered, signing_string) = base(request, list)?;
    Ok(Claim {
        form: SignatureForm::Message,
        key_id: text("keyid")?.ok_or_else(|| malformed(INPUT, "it has no keyid"))?,
        method: text("alg")?,
        covered,
        created: instant("created")?,
        expires: instant("expires")?,
        signature: signature.clone(),
        signing_string,
    })
}

/// The names that are covered, and the signature base (§2.5).
fn base(
    request: &HttpRequest<'_>,
    list: &InnerList,
) -> Result<(Vec<String>, String), SignatureFault> {
    if list.items.len() > SIGNATURE_COMPONENTS_MAX {
        return Err(malformed(INPUT, "it covers too many components"));
    }
    let (mut covered, mut lines) = (Vec::new(), Vec::new());
    let mut identifiers: Vec<String> = Vec::new();
    for item in &list.items {
        let BareItem::String(name) = &item.bare_item else {
            return Err(malformed(INPUT, "a component is no string"));
        };
        let name = name.as_str();
        let identifier = item.serialize();
        if identifiers.contains(&identifier) {
            return Err(malformed(INPUT, format!("it covers {identifier} twice")));
        }
        let value = component(request, name, &item.params)?;
        // A parameter narrows a component: then the whole of it is not covered.
        if item.params.is_empty() {
            covered.push(name.to_owned());
        }
        lines.push(format!("{identifier}: {value}"));
        identifiers.push(identifier);
    }
    let parameters = vec![ListEntry::InnerList(list.clone())].serialize();
    lines.push(format!("\"@signature-params\": {}", parameters.unwrap_or_default()));
    Ok((covered, lines.join("\n")))
}

/// §2.1, §2.2; what only responses have, and what we cannot rebuild, is not there.
fn component(
    request: &HttpRequest<'_>,
    name: &str,
    parameters: &sfv::Parameters,
) -> Result<String, SignatureFault> {
    let missing = || SignatureFault::NotThere(name.to_owned());
    if name == "@query-param" {
        let Some(BareItem::String(wanted)) = parameters.get("name") else { return Err(missing()) };
        return query_parameter(request, wanted.as_str()).ok_or_else(missing);
    }
    if !parameters.is_empty() {
        return Err(malformed(INPUT, format!("parameters of {name} are not understood")));
    }
    if name.bytes().any(|octet| octet.is_ascii_uppercase()) {
        return Err(malformed(INPUT, format!("{name} is not in lower case")));
    }
    Ok(match name {
        "@method" => request.method.to_owned(),
        "@authority" => authority(request),
        "@scheme" => "https".to_owned(),
        "@target-uri" => format!("https://{}{}", authority(request), request.target),
        "@request-target" => request.target.to_owned(),
        "@path" => request.path().to_owned(),
        "@query" => request.query(),
        name if name.starts_with('@') => return Err(missing()),
        name => request.value(name)?,
    })
}

/// In lower case, without the default port (§2.2.3).
fn authority(request: &HttpRequest<'_>) -> String {
    let lower = request.authority.to_ascii_lowercase();
    lower.strip_suffix(":443").map(str::to_owned).unwrap_or(lower)
}

/// The only parameter of that name, encoded anew (§2.2.8).
fn query_parameter(request: &HttpRequest<'_>, wanted: &str) -> Option<String> {
    let (_, query) = request.target.split_once('?')?;
    let decoded = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8().ok().map(std::borrow::Cow::into_owned)
    };
    let mut found = query.split('&').filter_map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name)? == wanted).then(|| decoded(value))?
    });
    let value = found.next()?;
    found.next().is_none().then(|| utf8_percent_encode(&value, QUERY).to_string())
}

/// The `Signature-Input` and `Signature` headers that a TPP would send, over `covered`.
///
/// # Errors
/// A component that is to be covered is missing, or the key signs nothing.
pub fn sign_message(
    request: &HttpRequest<'_>,
    key_id: &str,
    key: &PKey<Private>,
    method: SignatureMethod,
    covered: &[&str],
    created: Timestamp,
) -> Result<(String, String), SignatureFault> {
    let names: Vec<String> = covered.iter().map(|name| format!("\"{name}\"")).collect();
    let alg = match method {
        SignatureMethod::RsaSha256 => "rsa-v1_5-sha256",
        method => method.name(),
    };
    let input = format!(
        "sig1=({});created={};keyid=\"{key_id}\";alg=\"{alg}\"",
        names.join(" "),
        created.as_second()
    );
    let inputs = dictionary(&input, INPUT)?;
    let Some(ListEntry::InnerList(list)) = inputs.get("sig1") else {
        return Err(malformed(INPUT, "keyid cannot be written"));
    };
    let (_, text) = base(request, list)?;
    let signature = method.sign(key, SignatureForm::Message, text.as_bytes()).map_err(|_| {
        SignatureFault::Method(format!("the key cannot sign with {}", method.name()))
    })?;
    Ok((input, format!("sig1=:{}:", STANDARD.encode(signature))))
}
