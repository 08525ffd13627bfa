//! Why a signature does not verify: our signing string, our digest, and the first line on which the
//! client's must have differed.
//!
//! The client's string is not in the request. But a signature verifies over exactly one string, so
//! the usual mistakes are made one at a time until it does.

use std::cell::Cell;

use super::algorithm::SignatureMethod;
use super::component::HttpRequest;
use super::{Claim, Seal, SignatureForm, SignaturePolicy, content_digest, digest};

/// Longest target or field on which mistakes are tried.
const TRIED_BYTES_MAX: usize = 4 * 1024;

/// Signatures that are verified for one diagnosis: it must not cost more than a few handshakes.
const TRIES_MAX: u32 = 256;

/// What the doctor found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnosis {
    /// What we verify the signature over; none where the headers cannot be read.
    pub signing_string: Option<String>,
    /// The Digest, or Content-Digest, that the body as we received it has.
    pub digest: String,
    /// The first line that differs, where it was found.
    pub differs: Option<Difference>,
}

/// One line, ours and theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// From 1.
    pub line: usize,
    /// As it must be.
    pub ours: String,
    /// As the client signed it.
    pub theirs: String,
    /// The mistake, in words.
    pub mistake: String,
}

/// Looks for the difference between what `seal` signed and what it should have. `theirs` is the
/// client's own signing string, if it is known.
pub fn diagnose(
    request: &HttpRequest<'_>,
    seal: Option<&Seal>,
    policy: &SignaturePolicy,
    theirs: Option<&str>,
) -> Diagnosis {
    let claim = Claim::read(request);
    let form = claim.as_ref().map_or(SignatureForm::Cavage, |claim| claim.form);
    let digest = match form {
        SignatureForm::Cavage => digest(request.body),
        SignatureForm::Message => content_digest(request.body),
    };
    let Ok(claim) = claim else {
        return Diagnosis { signing_string: None, digest, differs: None };
    };
    let differs = match theirs {
        Some(theirs) => compared(&claim.signing_string, theirs),
        None => seal.and_then(|seal| searched(request, &claim, seal, policy)),
    };
    Diagnosis { signing_string: Some(claim.signing_string), digest, differs }
}

/// Line by line.
fn compared(ours: &str, theirs: &str) -> Option<Difference> {
    let mut pairs =
        ours.split('\n').map(Some).chain([None]).zip(theirs.split('\n').map(Some).chain([None]));
    let at = pairs.position(|(ours, theirs)| ours != theirs)?;
    let line = |text: &str| text.split('\n').nth(at).unwrap_or("(nothing)").to_owned();
    let mistake = "this line differs".to_owned();
    Some(Difference { line: at + 1, ours: line(ours), theirs: line(theirs), mistake })
}

/// Makes the usual mistakes until the signature verifies.
fn searched(
    request: &HttpRequest<'_>,
    claim: &Claim,
    seal: &Seal,
    policy: &SignaturePolicy,
) -> Option<Difference> {
    if claim.signing_string.len() > TRIED_BYTES_MAX {
        return None;
    }
    let method = SignatureMethod::of(claim, seal, policy).ok()?;
    let tries = Cell::new(TRIES_MAX);
    let signed = |text: &str| {
        let left = tries.get();
        tries.set(left.saturating_sub(1));
        left > 0 && method.verifies(seal, claim.form, text.as_bytes(), &claim.signature)
    };
    if signed(&claim.signing_string) {
        return None;
    }
    let lines: Vec<&str> = claim.signing_string.split('\n').collect();
    for (index, line) in lines.iter().enumerate() {
        for (theirs, mistake) in mistakes(request, line) {
            let mut tried = lines.clone();
            tried[index] = &theirs;
            if signed(&tried.join("\n")) {
                let (ours, line) = ((*line).to_owned(), index + 1);
                return Some(Difference { line, ours, theirs, mistake: mistake.to_owned() });
            }
        }
    }
    let whole = |text: String, line: usize, mistake: &str| {
        signed(&text).then(|| Difference {
            line,
            ours: lines.get(line - 1).copied().unwrap_or_default().to_owned(),
            theirs: text.split('\n').nth(line - 1).unwrap_or_default().to_owned(),
            mistake: mistake.to_owned(),
        })
    };
    let capitals: Vec<String> = lines.iter().map(|line| capitalised(line)).collect();
    let unspaced: Vec<String> = lines.iter().map(|line| line.replacen(": ", ":", 1)).collect();
    whole(format!("{}\n", claim.signing_string), lines.len() + 1, "a line feed stands at the end")
        .or_else(|| whole(lines.join("\r\n"), 1, "lines end with CRLF, not LF"))
        .or_else(|| whole(capitals.join("\n"), 1, "header names are not in lower case"))
        .or_else(|| whole(unspaced.join("\n"), 1, "no space stands after the colon"))
        .or_else(|| reordered(request, claim, &lines, &signed))
}

/// `Content-Type: x` for `content-type: x`.
fn capitalised(line: &str) -> String {
    let (name, rest) = line.split_once(':').unwrap_or((line, ""));
    let name: Vec<String> = name
        .split('-')
        .map(|part| {
            let mut letters = part.chars();
            letters.next().map_or_else(String::new, |first| {
                first.to_ascii_uppercase().to_string() + letters.as_str()
            })
        })
        .collect();
    format!("{}:{rest}", name.join("-"))
}

/// In the order of the request, instead of the order of the list.
fn reordered(
    request: &HttpRequest<'_>,
    claim: &Claim,
    lines: &[&str],
    signed: &impl Fn(&str) -> bool,
) -> Option<Difference> {
    let place = |line: &&str| {
        let name = line.split(':').next().unwrap_or_default().trim_matches('"');
        request.fields.iter().position(|(known, _)| *known == name).map_or(0, |at| at + 1)
    };
    let mut sorted: Vec<&str> = lines.to_vec();
    sorted.sort_by_key(place);
    let theirs = sorted.join("\n");
    if claim.form == SignatureForm::Message || !signed(&theirs) {
        return None;
    }
    let mut found = compared(&claim.signing_string, &theirs)?;
    "lines are not in the order of the list of headers".clone_into(&mut found.mistake);
    Some(found)
}

/// What a client may have written for `line`.
fn mistakes(request: &HttpRequest<'_>, line: &str) -> Vec<(String, &'static str)> {
    let mut tried = Vec::new();
    let (name, value) = line.split_once(": ").unwrap_or((line, ""));
    let mut also = |value: String, mistake| tried.push((format!("{name}: {value}"), mistake));
    let bare = name.trim_matches('"');
    match bare {
        "(request-target)" => {
            let lower = request.method.to_ascii_lowercase();
            for method in ["get", "post", "put", "delete"] {
                if method != lower {
                    also(format!("{method} {}", request.target), "it is of another method");
                }
            }
            also(format!("{} {}", request.method, request.target), "the method is in capitals");
            for (target, mistake) in targets(request) {
                also(format!("{lower} {target}"), mistake);
            }
        }
        "@method" => {
            also(request.method.to_ascii_lowercase(), "the method is in lower case");
            for method in ["GET", "POST", "PUT", "DELETE"] {
                also(method.to_owned(), "it is another method");
            }
        }
        "@path" | "@request-target" => {
            for (target, mistake) in targets(request) {
                also(target, mistake);
            }
        }
        "@target-uri" => {
            also(
                format!("https://{}{}", request.authority, request.target),
                "the host as it was written",
            );
            also(format!("http://{}{}", request.authority, request.target), "it is of http");
            for (target, mistake) in targets(request) {
                also(format!("https://{}{target}", request.authority), mistake);
            }
        }
        "@query" => also(value.trim_start_matches('?').to_owned(), "the question mark is missing"),
        "digest" | "content-digest" => {
            also(digest(b""), "it is the digest of nothing");
            also(content_digest(b""), "it is the digest of nothing");
            also(digest(request.body), "it is the digest of this body, the header has another");
            also(
                content_digest(request.body),
                "it is the digest of this body, the header has another",
            );
            let trimmed = request.body.trim_ascii();
            also(digest(trimmed), "it is the digest of the body without white space at its ends");
            let longer = [request.body, b"\n"].concat();
            also(digest(&longer), "it is the digest of the body with a line feed at its end");
        }
        "@authority" | "host" => {
            also(request.authority.to_owned(), "the host as it was written");
            let name = request.authority.split(':').next().unwrap_or_default();
            also(name.to_owned(), "the port is missing");
        }
        _ => {}
    }
    also(String::new(), "the value is missing");
    also(value.to_ascii_lowercase(), "the value is in lower case");
    also(value.to_ascii_uppercase(), "the value is in capitals");
    also(format!(" {value}"), "a second space stands before the value");
    also(format!("{value} "), "a space stands after the value");
    also(format!("\"{value}\""), "the value is in quotation marks");
    tried.push((format!("{name}:{value}"), "no space stands after the colon"));
    tried.push((capitalised(line), "the name is not in lower case"));
    tried
}

/// Targets that were meant for this one.
fn targets(request: &HttpRequest<'_>) -> Vec<(String, &'static str)> {
    let (path, target) = (request.path(), request.target);
    let mut tried = vec![
        (path.to_owned(), "the query is missing"),
        (format!("{target}/"), "a slash stands at its end"),
        (target.trim_end_matches('/').to_owned(), "the slash at its end is missing"),
        (format!("https://{}{target}", request.authority), "it begins with scheme and host"),
    ];
    for (at, _) in path.match_indices('/').skip(1).take(6) {
        if let Some(tail) = target.get(at..) {
            tried.push((tail.to_owned(), "the beginning of the path is missing"));
        }
    }
    tried
}
