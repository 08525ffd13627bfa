//! The answers of a refusal, by status: which reasons each stage of the line can give.

use std::collections::BTreeMap;

use policies::Reason;
use serde_json::{Map, Value, json};

use super::{identified, text};

/// Whatever a TPP asks: its words, its certificate, the host.
pub(super) const CALLER: &[Reason] = &[
    Reason::RequestMalformed,
    Reason::InternalFault,
    Reason::CertificateMissing,
    Reason::CertificateUntrusted,
    Reason::CertificateExpired,
    Reason::CertificateNotYetValid,
    Reason::CertificateRevoked,
    Reason::CertificateNotQwac,
    Reason::CertificatePurpose,
    Reason::OrganisationIdMissing,
    Reason::OrganisationIdAmbiguous,
    Reason::RevocationUnknown,
    Reason::HostMismatch,
    Reason::HostUnknown,
    Reason::HostRetired,
    Reason::PathUnknown,
    Reason::MethodNotAllowed,
    Reason::FallbackClosed,
    Reason::StateUnavailable,
];
/// What the registers say.
pub(super) const REGISTER: &[Reason] = &[
    Reason::RegisterUnknown,
    Reason::RegisterWithdrawn,
    Reason::RegisterUndetermined,
    Reason::RegisterRoleMissing,
    Reason::RegisterPassportMissing,
    Reason::RegisterStale,
];
/// A bearer token.
pub(super) const TOKEN: &[Reason] = &[
    Reason::TokenMissing,
    Reason::TokenMalformed,
    Reason::TokenUnknown,
    Reason::TokenExpired,
    Reason::TokenOtherTpp,
    Reason::TokenOtherCertificate,
    Reason::TokenOtherBank,
    Reason::TokenScope,
    Reason::TppSuspended,
];
/// Limits.
pub(super) const QUOTA: &[Reason] = &[Reason::QuotaExceeded, Reason::UpstreamBusy];
/// A request that must be signed.
pub(super) const SIGNATURE: &[Reason] = &[
    Reason::SignatureMissing,
    Reason::SignatureInvalid,
    Reason::SignatureExpired,
    Reason::SignatureKeyUnknown,
    Reason::SignatureUntrusted,
    Reason::SignatureOtherOrganisation,
    Reason::DigestMismatch,
];
/// The bank's system.
pub(super) const UPSTREAM: &[Reason] =
    &[Reason::AccountUnknown, Reason::UpstreamUnavailable, Reason::UpstreamTimeout];

/// In which words a refusal is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Words {
    /// RFC 9457 with STET's members.
    Problem,
    /// RFC 6749 §5.2. What goes wrong before it is known what is asked for is told in the others.
    Oauth,
}

/// Why an operation may be refused.
pub(super) struct Refusals<'a> {
    pub(super) words: Words,
    pub(super) reasons: &'a [&'a [Reason]],
}

impl Refusals<'_> {
    /// One response for each status.
    pub(super) fn responses(&self) -> impl Iterator<Item = (u16, Value)> {
        let mut by_status: BTreeMap<u16, Vec<Reason>> = BTreeMap::new();
        for reason in self.reasons.iter().copied().flatten() {
            let reasons = by_status.entry(reason.status()).or_default();
            if !reasons.contains(reason) {
                reasons.push(*reason);
            }
        }
        let words = self.words;
        by_status.into_iter().map(move |(status, reasons)| (status, response(words, &reasons)))
    }
}

/// Moves what several operations answer alike to one place, which is given back.
pub(super) fn shared(paths: &mut Map<String, Value>) -> Map<String, Value> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    each(paths, |_, response| *seen.entry(response.to_string()).or_default() += 1);
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    let mut common = Map::new();
    each(paths, |status, response| {
        let text = response.to_string();
        if seen.get(&text).is_none_or(|count| *count < 2) {
            return;
        }
        let next = names.len() + 1;
        let name = names.entry(text).or_insert_with(|| format!("Answer{status}-{next}")).clone();
        let reference = json!({ "$ref": format!("#/components/responses/{name}") });
        common.insert(name, std::mem::replace(response, reference));
    });
    common
}

fn each(paths: &mut Map<String, Value>, mut visit: impl FnMut(&str, &mut Value)) {
    let operations = paths.values_mut().filter_map(Value::as_object_mut).flat_map(Map::values_mut);
    for operation in operations {
        let responses = operation.get_mut("responses").and_then(Value::as_object_mut);
        responses.into_iter().flatten().for_each(|(status, response)| visit(status, response));
    }
}

fn response(words: Words, reasons: &[Reason]) -> Value {
    let told: Vec<String> = reasons
        .iter()
        .map(|reason| format!("- `{}`: {}", reason.code(), reason.sentence()))
        .collect();
    let codes: Vec<&str> = reasons.iter().map(|reason| reason.code()).collect();
    let of = |name: &str| {
        json!({ "schema": { "allOf": [
            { "$ref": format!("#/components/schemas/{name}") },
            { "properties": { "code": { "enum": codes } } },
        ] } })
    };
    let mut content = Map::new();
    if words == Words::Oauth {
        content.insert("application/json".to_owned(), of("OAuthError"));
    }
    let early = [Reason::RequestMalformed, Reason::PathUnknown, Reason::StateUnavailable];
    if words == Words::Problem || reasons.iter().any(|reason| early.contains(reason)) {
        content.insert("application/problem+json".to_owned(), of("Problem"));
    }
    json!({ "description": told.join("\n"), "headers": headers(reasons), "content": content })
}

fn headers(reasons: &[Reason]) -> Value {
    let mut headers = identified();
    let mut add = |name: &str, required: bool, description: &str| {
        if let Some(headers) = headers.as_object_mut() {
            let header =
                json!({ "description": description, "required": required, "schema": text() });
            headers.insert(name.to_owned(), header);
        }
    };
    let any = |of: fn(&Reason) -> bool| (reasons.iter().any(of), reasons.iter().all(of));
    if let (true, all) = any(|reason| reason.retry_after_seconds().is_some()) {
        add("Retry-After", all, "Seconds after which trying again makes sense.");
    }
    if let (true, all) = any(|r| r.bearer_error().is_some() || r.asks_for_signature()) {
        add("WWW-Authenticate", all, "What is asked for (RFC 6750 §3).");
    }
    if reasons.contains(&Reason::MethodNotAllowed) {
        add("Allow", true, "The methods of this path.");
    }
    if reasons.contains(&Reason::VersionRetired) {
        add("Link", false, "The successor of this version.");
    }
    headers
}
