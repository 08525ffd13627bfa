//! `[fallback]`: the way of identified TPPs to the customer interface.

use std::time::Duration;

use http::HeaderName;
use policies::{FallbackWhen, ServiceCode};

use super::key::Key;
use super::problem::quoted;
use super::quota::{self, Quotas};
use super::reading::Reading;
use super::routes::{self, is_exact_path};
use super::safety;
use super::wire;

/// The fallback.
#[derive(Clone, Debug)]
pub struct FallbackSettings {
    /// What it opens to whom.
    pub policy: policies::Fallback,
    /// Further header fields that pass to the customer interface.
    pub headers: Vec<HeaderName>,
    /// Longest request body.
    pub body_bytes_max: u64,
    /// How it is found out that the dedicated interface serves again, where that closes it.
    pub probe: Option<InterfaceProbe>,
}

/// How an adapter is asked whether it serves again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceProbe {
    /// A path of the adapter.
    pub path: String,
    /// How often.
    pub every: Duration,
}

/// What makes a request what it is, or says who asks: the gateway sets it, or it stays here.
const NEVER_PASSED: [&str; 16] = [
    "authorization",
    "proxy-authorization",
    "client-cert",
    "client-cert-chain",
    "connection",
    "content-length",
    "expect",
    "fallback",
    "forwarded",
    "host",
    "keep-alive",
    "te",
    "traceparent",
    "transfer-encoding",
    "upgrade",
    "x-request-id",
];

impl FallbackSettings {
    /// Reads it, and whether each bank's customer interface has a way that leads there.
    pub(super) fn read(
        document: &wire::Document,
        quotas: &Quotas,
        key: &Key,
        reading: &mut Reading<'_>,
    ) -> Option<Self> {
        let Some(wire) = &document.fallback else {
            nobody_waits(document, reading);
            return None;
        };
        let policy = policy(document, quotas, key, reading);
        let headers = headers(&wire.headers, &key.child("headers"), reading);
        let every = reading.duration(&key.child("probe_every"), &wire.probe_every);
        let probe = probe(wire, every, key, reading);
        let settings = Self {
            policy: policy?,
            headers: headers?,
            body_bytes_max: wire.body_bytes_max,
            probe: probe?,
        };
        own_limits(document, &settings.policy, &key.child("quota"), reading);
        Some(settings)
    }
}

/// The part of it that judges.
pub(super) fn policy(
    document: &wire::Document,
    quotas: &Quotas,
    key: &Key,
    reading: &mut Reading<'_>,
) -> Option<policies::Fallback> {
    let wire = document.fallback.as_ref()?;
    let banks = document.codetab.iter().flatten();
    let codetabs: Vec<String> = banks
        .filter(|bank| bank.customer_interface.is_some())
        .filter_map(|bank| bank.code.clone())
        .collect();
    if codetabs.is_empty() {
        let mend =
            "add `customer_interface = { addresses = [\"10.1.2.3:8443\"] }` to a `[[codetab]]`";
        reading.refuse(key, "leads nowhere: no bank has a customer interface", mend);
    }
    let paths = paths(wire.paths.as_deref(), &key.child("paths"), reading);
    let required_roles = roles(&wire.required_roles, &key.child("required_roles"), reading);
    let place = key.child("methods");
    if wire.methods.is_empty() {
        reading.refuse(&place, "is empty: nothing would pass", "name at least \"GET\"");
    }
    let names = wire.quota.as_ref().map(wire::OneOrMore::as_slice);
    let quotas = names.and_then(|names| quota::named(names, quotas, &key.child("quota"), reading));
    Some(policies::Fallback {
        when: match wire.when? {
            wire::FallbackWhen::Always => FallbackWhen::Always,
            wire::FallbackWhen::Down => FallbackWhen::Down,
        },
        codetabs,
        paths: paths?,
        methods: wire.methods.iter().map(|method| method.name()).collect(),
        required_roles: required_roles?,
        quotas: quotas?,
    })
}

/// A customer interface that nothing leads to is a mistake, not a fallback that is off.
fn nobody_waits(document: &wire::Document, reading: &mut Reading<'_>) {
    for (index, bank) in document.codetab.iter().flatten().enumerate() {
        if bank.customer_interface.is_some() {
            let key = Key::root().child("codetab").item(index).child("customer_interface");
            let mend = "add `[fallback]` with `when`, `paths` and `quota`, or take it out";
            reading.refuse(&key, "nothing leads there", mend);
        }
    }
}

fn roles(codes: &[String], key: &Key, reading: &mut Reading<'_>) -> Option<certs::RoleSet> {
    safety::is_listed(codes, "the certificate", "PSP_AI", key, reading).then_some(())?;
    let roles = routes::roles(codes, key, reading)?;
    if let Some(role) = roles.iter().find(|role| ServiceCode::of_role(*role).is_none()) {
        let what = format!("names {role}, of which the registers know no service");
        reading.refuse(key, what, "name roles of TPPs: PSP_PI, PSP_AI, PSP_IC");
        return None;
    }
    Some(roles)
}

fn paths(paths: Option<&[String]>, key: &Key, reading: &mut Reading<'_>) -> Option<Vec<String>> {
    let paths = paths?;
    let mut sound = !paths.is_empty();
    if !sound {
        let mend =
            "write the paths of the customer interface, for example [\"/login\", \"/accounts\"]";
        reading.refuse(key, "is empty: the fallback would lead nowhere", mend);
    }
    for (index, path) in paths.iter().enumerate() {
        if path != "/" && !is_exact_path(path) {
            let what = format!("is {}: not a path", quoted(path));
            let mend = "write \"/\", or segments of letters, digits, `-`, `.`, `_`, `~`, each after one `/`";
            reading.refuse(&key.item(index), what, mend);
            sound = false;
        }
    }
    sound.then(|| paths.to_vec())
}

fn headers(names: &[String], key: &Key, reading: &mut Reading<'_>) -> Option<Vec<HeaderName>> {
    let mut headers = Some(Vec::new());
    for (index, name) in names.iter().enumerate() {
        let key = key.item(index);
        let ours = |name: &HeaderName| {
            NEVER_PASSED.contains(&name.as_str())
                || ["octroi-", "x-forwarded-"].iter().any(|own| name.as_str().starts_with(own))
        };
        match HeaderName::from_bytes(name.as_bytes()) {
            Ok(name) if ours(&name) => {
                let what = format!("is {}: it never comes from a TPP", quoted(name.as_str()));
                let mend = "take it out; the customer interface gets what the gateway itself says";
                reading.refuse(&key, what, mend);
                headers = None;
            }
            Ok(name) => headers.iter_mut().for_each(|headers| headers.push(name.clone())),
            Err(_) => {
                let what = format!("is {}: not the name of a header field", quoted(name));
                reading.refuse(&key, what, "write it as \"X-CSRF-Token\"");
                headers = None;
            }
        }
    }
    headers
}

/// The outer `None` stands for a mistake.
fn probe(
    wire: &wire::Fallback,
    every: Option<Duration>,
    key: &Key,
    reading: &mut Reading<'_>,
) -> Option<Option<InterfaceProbe>> {
    let place = key.child("probe_path");
    match (wire.when?, &wire.probe_path) {
        (wire::FallbackWhen::Always, None) => Some(None),
        (wire::FallbackWhen::Always, Some(_)) => {
            let what = "closes nothing: the fallback is always open";
            reading.refuse(&place, what, "take it out, or write `when = \"down\"`");
            None
        }
        (wire::FallbackWhen::Down, None) => {
            let what = "is missing: while TPPs use the fallback nothing else would tell that the \
                        dedicated interface serves again";
            let mend = "name a path of the adapter that answers 200 when it can serve a call";
            reading.refuse(&place, what, mend);
            None
        }
        (wire::FallbackWhen::Down, Some(path)) if is_exact_path(path) => {
            Some(Some(InterfaceProbe { path: path.clone(), every: every? }))
        }
        (wire::FallbackWhen::Down, Some(path)) => {
            let what = format!("is {}: not an exact path", quoted(path));
            reading.refuse(&place, what, "write it as \"/health\"");
            None
        }
    }
}

/// What is used here is not taken from the dedicated interface, nor the other way round; and no account is
/// named that a limit could count.
fn own_limits(
    document: &wire::Document,
    policy: &policies::Fallback,
    key: &Key,
    reading: &mut Reading<'_>,
) {
    let apis = document.api.iter().flatten();
    let named: Vec<&String> =
        apis.flat_map(|api| api.quota.iter().flat_map(wire::OneOrMore::as_slice)).collect();
    for quota in &policy.quotas {
        let name = &quota.name;
        if named.contains(&name) {
            let what = format!("names {}, which an API names too", quoted(name));
            reading.refuse(key, what, "give the fallback limits of its own");
        }
        if quota.per.account {
            let what = format!("names {}, which counts by accounts", quoted(name));
            let mend = "name limits that count by TPP, role or bank: the fallback sees no accounts";
            reading.refuse(key, what, mend);
        }
    }
}
