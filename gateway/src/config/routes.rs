//! `[[domain]]` and `[[api]]`: what is exposed, to whom, and under which names.

use std::collections::BTreeSet;

use certs::{PspRole, RoleSet};
use jiff::civil::Date;
use policies::{AmountForm, Api, ApiVersion, BodyRule, Domain, Method, ServiceCode};

use super::key::Key;
use super::life;
use super::problem::quoted;
use super::quota::{self, Quotas};
use super::reading::Reading;
use super::safety;
use super::wire;

/// The place of the codetab in a host pattern.
const CODETAB: &str = "{codetab}";
/// The place of the domain in a host pattern.
const DOMAIN: &str = "{domain}";

pub(super) fn domains(
    wire: &[wire::Domain],
    key: &Key,
    reading: &mut Reading<'_>,
) -> Option<Vec<Domain>> {
    let domains = wire.iter().enumerate();
    let domains = domains.map(|(index, wire)| domain(wire, &key.item(index), reading));
    domains.collect::<Vec<_>>().into_iter().collect()
}

fn domain(wire: &wire::Domain, key: &Key, reading: &mut Reading<'_>) -> Option<Domain> {
    let name = wire.name.clone().filter(|name| {
        let named = is_host_name(name);
        if !named {
            let what = format!("is {}: not a domain name", quoted(name));
            reading.refuse(&key.child("name"), what, "write it as \"psd2.example-bank.fr\"");
        }
        named
    });
    let pattern = &wire.pattern;
    let example = pattern.replacen(CODETAB, "10000", 1).replacen(DOMAIN, "example.fr", 1);
    let patterned = [CODETAB, DOMAIN].iter().all(|part| pattern.matches(part).count() == 1)
        && is_host_name(&example);
    if !patterned {
        reading.refuse(
            &key.child("pattern"),
            format!("is {}: it makes no host names", quoted(pattern)),
            "write `{codetab}` and `{domain}` once each, as in \"www.{codetab}.{domain}\"",
        );
    }
    let closed = date(wire.closed.as_ref(), &key.child("closed"), reading);
    let (name, closed) = (name?, closed?);
    patterned.then(|| Domain { name, pattern: pattern.clone(), closed })
}

/// The APIs, each with its limits. `roadmap` is the page about ends of versions where none is named.
pub(super) fn apis(
    wire: &[wire::Api],
    quotas: &Quotas,
    key: &Key,
    roadmap: Option<&str>,
    reading: &mut Reading<'_>,
) -> Option<Vec<Api>> {
    let apis = wire.iter().enumerate();
    let apis = apis.map(|(index, wire)| api(wire, (quotas, roadmap), &key.item(index), reading));
    apis.collect::<Vec<_>>().into_iter().collect()
}

fn api(
    wire: &wire::Api,
    (quotas, roadmap): (&Quotas, Option<&str>),
    key: &Key,
    reading: &mut Reading<'_>,
) -> Option<Api> {
    let required_roles =
        required_roles(wire.required_roles.as_deref(), &key.child("required_roles"), reading);
    let services = services(&wire.required_services, &key.child("required_services"), reading);
    let scopes = scopes(wire.scopes.as_deref(), &key.child("scopes"), reading);
    let names = wire.quota.as_ref().map(wire::OneOrMore::as_slice);
    let quotas = names.and_then(|names| quota::named(names, quotas, &key.child("quota"), reading));
    let place = key.child("version");
    let versions =
        wire.version.as_deref().and_then(|wire| versions(wire, roadmap, &place, reading));
    Some(Api {
        name: wire.name.clone()?,
        method: match wire.method? {
            wire::HttpMethod::Get => Method::Get,
            wire::HttpMethod::Post => Method::Post,
            wire::HttpMethod::Put => Method::Put,
            wire::HttpMethod::Delete => Method::Delete,
        },
        required_roles: required_roles?,
        required_services: services?,
        scopes: scopes?,
        signed: wire.signed,
        body: match wire.body? {
            wire::Body::None => BodyRule::None,
            wire::Body::FundsConfirmation => BodyRule::FundsConfirmation,
        },
        versions: versions?,
        consent_days_max: u32::try_from(wire.consent_days_max).ok()?,
        quotas: quotas?,
    })
}

fn required_roles(
    codes: Option<&[String]>,
    key: &Key,
    reading: &mut Reading<'_>,
) -> Option<RoleSet> {
    let codes = codes?;
    let listed = safety::is_listed(codes, "the certificate", "PSP_IC", key, reading);
    listed.then(|| roles(codes, key, reading)).flatten()
}

/// The roles of these codes.
pub(super) fn roles(codes: &[String], key: &Key, reading: &mut Reading<'_>) -> Option<RoleSet> {
    let mut roles = RoleSet::default();
    let mut known = true;
    for (index, code) in codes.iter().enumerate() {
        match PspRole::from_code(code) {
            Some(role) => roles.insert(role),
            None => {
                let what = format!("is {}: not a PSD2 role", quoted(code));
                let mend = "write PSP_AS, PSP_PI, PSP_AI or PSP_IC (ETSI TS 119 495)";
                reading.refuse(&key.item(index), what, mend);
                known = false;
            }
        }
    }
    known.then_some(roles)
}

fn services(codes: &[String], key: &Key, reading: &mut Reading<'_>) -> Option<Vec<ServiceCode>> {
    let service = |(index, code): (usize, &String)| {
        let service = ServiceCode::from_code(code);
        if service.is_none() {
            let what = format!("is {}: not a payment service", quoted(code));
            let mend = "write the code of the EBA's register, for example \"PS_05A\"";
            reading.refuse(&key.item(index), what, mend);
        }
        service
    };
    codes.iter().enumerate().map(service).collect::<Vec<_>>().into_iter().collect()
}

fn scopes(names: Option<&[String]>, key: &Key, reading: &mut Reading<'_>) -> Option<Vec<String>> {
    let names = names?;
    let mut sound = safety::is_listed(names, "the token", "cbpii", key, reading);
    for (index, name) in names.iter().enumerate() {
        if name.is_empty() || !name.bytes().all(is_scope_character) {
            let what = format!("is {}: not a scope", quoted(name));
            reading.refuse(&key.item(index), what, "write a scope token (RFC 6749 §3.3)");
            sound = false;
        }
    }
    sound.then(|| names.to_vec())
}

/// `NQCHAR` of RFC 6749, appendix A.
fn is_scope_character(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e)
}

fn versions(
    wire: &[wire::Version],
    roadmap: Option<&str>,
    key: &Key,
    reading: &mut Reading<'_>,
) -> Option<Vec<ApiVersion>> {
    if wire.is_empty() {
        reading.refuse(key, "is empty: the API cannot be called", "add an `[[api.version]]`");
        return None;
    }
    let names: BTreeSet<&str> = wire.iter().filter_map(|wire| wire.name.as_deref()).collect();
    let versions = wire.iter().enumerate();
    let versions = versions
        .map(|(index, wire)| version(wire, (&names, roadmap), &key.item(index), reading))
        .collect::<Vec<_>>();
    let versions = versions.into_iter().collect::<Option<Vec<_>>>()?;
    life::judge(&versions, key, reading);
    Some(versions)
}

fn version(
    wire: &wire::Version,
    (names, roadmap): (&BTreeSet<&str>, Option<&str>),
    key: &Key,
    reading: &mut Reading<'_>,
) -> Option<ApiVersion> {
    let paths = paths(wire.paths.as_deref(), &key.child("paths"), reading);
    let life = life::read(wire, roadmap, key, reading);
    if let Some(successor) = wire.successor.as_deref()
        && (!names.contains(successor) || wire.name.as_deref() == Some(successor))
    {
        let what = format!("is {}: not another version of this API", quoted(successor));
        let known = names.iter().copied().collect::<Vec<_>>().join(", ");
        reading.refuse(&key.child("successor"), what, format!("name one of {known}"));
    }
    Some(ApiVersion {
        name: wire.name.clone()?,
        paths: paths?,
        life: life?,
        successor: wire.successor.clone(),
        amount: match wire.amount {
            wire::Amount::String => AmountForm::String,
            wire::Amount::StringOrNumber => AmountForm::StringOrNumber,
        },
    })
}

fn paths(paths: Option<&[String]>, key: &Key, reading: &mut Reading<'_>) -> Option<Vec<String>> {
    let paths = paths?;
    let mut sound = !paths.is_empty();
    if !sound {
        let what = "is empty: the version cannot be called";
        reading.refuse(key, what, "write the exact paths, for example \"/v1/funds-confirmations\"");
    }
    for (index, path) in paths.iter().enumerate() {
        if !is_exact_path(path) {
            let what = format!("is {}: not an exact path", quoted(path));
            let mend = "write segments of letters, digits, `-`, `.`, `_`, `~`, each after one `/`";
            reading.refuse(&key.item(index), what, mend);
            sound = false;
        }
    }
    sound.then(|| paths.to_vec())
}

/// Paths are compared as raw bytes: only what has exactly one spelling (RFC 3986 §2.3) may stand in
/// one, and no segment is empty or a dot segment.
pub(super) fn is_exact_path(path: &str) -> bool {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let segment =
        |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(unreserved);
    path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(segment))
}

/// Labels of letters, digits and inner hyphens (RFC 1123 §2.1), at least two.
fn is_host_name(name: &str) -> bool {
    const NAME_BYTES_MAX: usize = 253;
    const LABEL_BYTES_MAX: usize = 63;
    let label = |label: &str| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= NAME_BYTES_MAX && name.contains('.') && name.split('.').all(label)
}

/// The day, where there is one: the outer `None` stands for a mistake.
fn date(
    text: Option<&wire::DateText>,
    key: &Key,
    reading: &mut Reading<'_>,
) -> Option<Option<Date>> {
    let Some(text) = text else { return Some(None) };
    let date = text.0.parse::<Date>().ok().filter(|date| date.to_string() == text.0);
    if date.is_none() {
        let what = format!("is {}: not a day", quoted(&text.0));
        reading.refuse(key, what, "write year, month and day without quotes: 2025-09-28");
    }
    date.map(Some)
}
