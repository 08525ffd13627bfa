//! What a judgement before the token takes from a configuration, as a text of its own: it names no
//! file, holds no secret, and can be read when nothing else of that day is left.

use std::path::Path;
use std::time::Duration;

use certs::ProfilePolicy;
use policies::register::RegisterPolicy;
use policies::{Api, CheckSet, Codetab, Domain, Fallback, Routes, RoutesError};
use serde::Deserialize;
use toml::{Table, Value};

use super::key::{Key, Lines};
use super::problem::ConfigProblems;
use super::reading::Reading;
use super::{Config, TppPaths, fallback, filled, insecure, quota, register, routes, trust, wire};

/// The tables that are taken whole.
const WHOLE: [&str; 5] = ["api", "domain", "fallback", "insecure", "quota"];
/// The keys that are taken of the other tables.
const PARTS: [(&str, &[&str]); 3] = [
    ("authorization", &["token_path", "register_path"]),
    ("register", &["fresh_for", "tolerated_for", "country", "passport", "undetermined"]),
    ("trust", &["client_auth_eku"]),
];

/// What a judgement before the token takes from a configuration.
#[derive(Clone, Debug)]
pub struct Judging {
    /// The domains under which the codetab hosts are served.
    pub domains: Vec<Domain>,
    /// The banks.
    pub codetabs: Vec<Codetab>,
    /// The APIs.
    pub apis: Vec<Api>,
    /// The way to the customer interfaces, where there is one.
    pub fallback: Option<Fallback>,
    /// The paths of the authorization server, where there is one.
    pub offices: Option<TppPaths>,
    /// How the registers are used.
    pub register: RegisterPolicy,
    /// What a QWAC must look like.
    pub profile: ProfilePolicy,
    /// A certificate on which no revocation list speaks is let through.
    pub revocation_unchecked: bool,
    /// Checks whose failure is written down and lets pass.
    pub observed: CheckSet,
    /// How long after its end an answer about a revocation still counts.
    pub tolerated_for: Duration,
}

impl From<&Config> for Judging {
    fn from(config: &Config) -> Self {
        let tolerated_for = config.trust.revocation.as_ref().map(|settings| settings.tolerated_for);
        Self {
            domains: config.domains.clone(),
            codetabs: config.codetabs.iter().map(|codetab| codetab.codetab.clone()).collect(),
            apis: unexplained(config.apis.clone()),
            fallback: config.fallback.as_ref().map(|settings| settings.policy.clone()),
            offices: config.authorization.as_ref().map(|settings| settings.paths.clone()),
            register: config.register.policy,
            profile: config.trust.profile,
            revocation_unchecked: config.insecure.revocation_unchecked,
            observed: config.insecure.observed,
            tolerated_for: tolerated_for.unwrap_or_default(),
        }
    }
}

/// Pages that explain a version judge nothing, and where none is named another part of the configuration
/// names one.
fn unexplained(mut apis: Vec<Api>) -> Vec<Api> {
    for version in apis.iter_mut().flat_map(|api| &mut api.versions) {
        version.life.documentation = None;
    }
    apis
}

/// The part of a whole, sound configuration that judges.
pub(super) fn text(whole: &str) -> String {
    let Ok(mut whole) = whole.parse::<Table>() else { return String::new() };
    let mut kept = Table::new();
    for name in WHOLE {
        kept.extend(whole.remove_entry(name));
    }
    for (name, keys) in PARTS {
        let Some(Value::Table(mut table)) = whole.remove(name) else { continue };
        let mut part: Table = keys.iter().filter_map(|key| table.remove_entry(*key)).collect();
        if let Some(Value::Table(mut revocation)) = table.remove("revocation") {
            let tolerated: Table = revocation.remove_entry("tolerated_for").into_iter().collect();
            part.insert("revocation".to_owned(), Value::Table(tolerated));
        }
        kept.insert(name.to_owned(), Value::Table(part));
    }
    let banks = match whole.remove("codetab") {
        Some(Value::Array(banks)) => banks,
        _ => Vec::new(),
    };
    let named = banks.into_iter().filter_map(|bank| match bank {
        Value::Table(mut bank) => {
            let named = ["code", "name"].into_iter().filter_map(|key| bank.remove_entry(key));
            let mut named: Table = named.collect();
            // Whether there is one judges, where it is does not.
            if bank.contains_key("customer_interface") {
                named.insert("customer_interface".to_owned(), Value::Table(Table::new()));
            }
            Some(Value::Table(named))
        }
        _ => None,
    });
    kept.insert("codetab".to_owned(), Value::Array(named.collect()));
    kept.to_string()
}

impl Judging {
    /// The routes of it.
    ///
    /// # Errors
    /// They do not fit together.
    pub fn routes(&self) -> Result<Routes, RoutesError> {
        Routes::build(&self.domains, self.codetabs.clone(), self.apis.clone())?
            .with_fallback(self.fallback.clone())
    }

    /// Reads what [`Config::judging`] once was; `file` names it in problems.
    ///
    /// # Errors
    /// It is none, or of another version of this program.
    pub fn read(text: &str, file: &Path) -> Result<Self, ConfigProblems> {
        let mut reading = Reading::new(file, Lines::default());
        let read = typed(text, &mut reading);
        match read {
            Some(read) if reading.is_sound() => Ok(read),
            _ => {
                if reading.is_sound() {
                    let mend = "it was written by another version of octroi, or changed";
                    reading.refuse(&Key::root(), "it lacks a part", mend);
                }
                Err(ConfigProblems(reading.finish().0))
            }
        }
    }
}

fn typed(text: &str, reading: &mut Reading<'_>) -> Option<Judging> {
    let root = Key::root();
    let key = |name| root.child(name);
    let wire = toml::Deserializer::parse(text).and_then(wire::Document::deserialize);
    let mend = "it was written by another version of octroi, or changed";
    let wire = wire.map_err(|fault| reading.refuse(&root, fault.message(), mend)).ok()?;
    let quotas = quota::read(&wire.quota, &key("quota"), reading);
    let domains = filled(&wire.domain, &key("domain"), reading)
        .and_then(|wire| routes::domains(wire, &key("domain"), reading));
    let apis = filled(&wire.api, &key("api"), reading)
        .and_then(|wire| routes::apis(wire, &quotas, &key("api"), None, reading));
    let fallback = match &wire.fallback {
        Some(_) => Some(fallback::policy(&wire, &quotas, &key("fallback"), reading)?),
        None => None,
    };
    let codetabs = filled(&wire.codetab, &key("codetab"), reading)?.iter();
    let codetabs = codetabs
        .map(|bank| Some(Codetab { code: bank.code.clone()?, name: bank.name.clone()? }))
        .collect::<Option<Vec<_>>>();
    let register = register::policy(wire.register.as_ref()?, &key("register"), reading);
    let trust = wire.trust.as_ref();
    let tolerated = trust.and_then(|trust| trust.revocation.as_ref()?.tolerated_for.as_ref());
    let place = key("trust").child("revocation").child("tolerated_for");
    let tolerated_for = match tolerated {
        Some(text) => reading.duration(&place, text)?,
        None => Duration::ZERO,
    };
    let eku = trust.map(|trust| trust.client_auth_eku).unwrap_or_default();
    let insecure = insecure::Insecure::read(&wire.insecure, &key("insecure"), reading);
    Some(Judging {
        domains: domains?,
        codetabs: codetabs?,
        apis: unexplained(apis?),
        fallback,
        offices: wire.authorization.map(|wire| TppPaths::of(wire.token_path, wire.register_path)),
        register: register?,
        profile: trust::profile(eku, &key("trust"), reading),
        revocation_unchecked: insecure.revocation_unchecked,
        observed: insecure.observed,
        tolerated_for,
    })
}
