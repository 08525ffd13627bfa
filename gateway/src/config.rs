//! `octroi.toml` → [`Config`]: typed once at the edge, every mistake reported at once, and nothing
//! that would leave the gate open.
//!
//! The way of a configuration: text → syntax (`toml`) → environment → [`structure`] against the
//! schema of the [`wire`] types → the typed parts, each in the file of its table → [`safety`],
//! [`production`] and [`unique`], the rules that look across them.

mod audit;
mod authorization;
mod balance_guard;
mod change;
mod drain;
mod environment;
mod fallback;
mod insecure;
mod judging;
mod jwt;
mod key;
mod key_pair;
mod life;
mod limits;
mod listen;
mod metrics;
mod origin;
mod problem;
mod production;
mod quota;
mod reading;
mod redis;
mod register;
mod report;
mod routes;
mod safety;
mod sandbox;
mod schema;
mod secret;
mod signature;
mod store;
mod structure;
#[cfg(test)]
mod tests;
mod tracing;
mod trust;
mod unique;
mod upstream;
mod wire;

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::thread;

use openssl::sha::sha256;
use serde::Deserialize;
use toml::Spanned;
use toml::de::DeTable;

pub use audit::{AuditSettings, Durability, WhenUnwritable};
pub use authorization::{AuthorizationSettings, BankUrl, TppPaths};
pub use balance_guard::BalanceGuardSettings;
pub use change::{Change, Changes, Stated};
pub use drain::DrainSettings;
pub use fallback::{FallbackSettings, InterfaceProbe};
pub use insecure::Insecure;
pub use judging::Judging;
pub use jwt::JwtSettings;
pub use key_pair::{KeyPair, RenewalError};
pub use limits::{Limits, RETRY_BUFFER_BYTES};
pub use listen::{AdminListener, Listen, PsuListener, RefusalMode, TppListener};
pub use metrics::MetricsSettings;
pub use origin::Origin;
pub use problem::{ConfigProblems, Problem};
pub use redis::{RedisServers, RedisTopology};
pub use register::{
    AsOf, DatedFile, EbaMetadata, EbaPlace, GateSettings, RegafiPlace, RegisterFetch,
    RegisterSettings, TablePlace,
};
pub use report::{ProbeSettings, ReportSettings};
pub use sandbox::SandboxSettings;
pub use secret::Secret;
pub use signature::{SealFetch, SignatureSettings};
pub use store::StoreSettings;
pub use tracing::TracingSettings;
pub(crate) use trust::borrowed;
pub use trust::{ListImport, ListSettings, RevocationSettings, Trust};
pub use upstream::{CodetabSettings, Upstream, UpstreamAddress, UpstreamTls};

use environment::Environment;
use key::{Key, Lines};
use limits::CONFIG_BYTES_MAX;
use reading::Reading;
use schema::Shape;

/// Everything that the gateway is told. The files that it names were read, and parse.
#[derive(Clone)]
pub struct Config {
    /// The file that this configuration was read from.
    pub file: PathBuf,
    /// SHA-256 of its text.
    pub text_sha256: [u8; 32],
    /// The part of it that [`Judging::read`] reads.
    pub judging: String,
    /// Worker threads of the proxy, at least 1.
    pub threads: usize,
    /// The three listeners.
    pub listen: Listen,
    /// Anchors, revocation lists, and what a QWAC must look like.
    pub trust: Trust,
    /// The registers of authorised TPPs.
    pub register: RegisterSettings,
    /// What is asked of signed requests, and who may sign them.
    pub signature: Option<SignatureSettings>,
    /// Where tokens and quotas live.
    pub store: StoreSettings,
    /// The authorization server.
    pub authorization: Option<AuthorizationSettings>,
    /// JWT access tokens of the bank's own authorization server.
    pub jwt: Option<JwtSettings>,
    /// The access log.
    pub audit: AuditSettings,
    /// The domains under which the codetab hosts are served.
    pub domains: Vec<policies::Domain>,
    /// The banks, each with its adapter.
    pub codetabs: Vec<CodetabSettings>,
    /// The APIs that are exposed.
    pub apis: Vec<policies::Api>,
    /// The way to the banks' customer interfaces, where there is one.
    pub fallback: Option<FallbackSettings>,
    /// Bounds on connections and requests.
    pub limits: Limits,
    /// The guard against searches for a balance, where it is on.
    pub balance_guard: Option<BalanceGuardSettings>,
    /// What is told about TPPs by name.
    pub metrics: MetricsSettings,
    /// Where traces go.
    pub tracing: Option<TracingSettings>,
    /// How the gateway leaves.
    pub drain: DrainSettings,
    /// How the regulator's statistics are counted.
    pub report: ReportSettings,
    /// The gateway's own probe, where it is on.
    pub probe: Option<ProbeSettings>,
    /// Fictional people and accounts, if this is a sandbox.
    pub sandbox: Option<SandboxSettings>,
    /// What the operator gave up.
    pub insecure: Insecure,
    /// The URL under which the reason pages are served; ends with a slash.
    pub problem_type_base: String,
    /// What it says, key by key.
    pub stated: Stated,
    /// Every file that it names and that counts as a part of it, itself first.
    pub files: Vec<PathBuf>,
    warnings: Vec<String>,
}

impl fmt::Debug for Config {
    /// Registers and lists are megabytes: a configuration is shown by its name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Config {
    /// Reads a configuration, the files that it names, and the environment variables that take
    /// precedence (`OCTROI_<SECTION>__<KEY>`, for addresses and secrets).
    pub fn load(file: &Path) -> Result<Self, ConfigProblems> {
        Self::read(&Self::text_of(file)?, file, &environment::of_process())
    }

    fn text_of(file: &Path) -> Result<String, ConfigProblems> {
        read_text(file).map_err(|error| {
            let mut reading = Reading::new(file, Lines::default());
            let what = format!("cannot be read: {error}");
            reading.refuse(&Key::root(), what, "name a readable TOML file");
            ConfigProblems(reading.finish().0)
        })
    }

    /// The admin listener that a configuration names, whatever else is wrong with it: for asking the
    /// gateway that runs by what stood there before.
    pub fn admin_of(file: &Path) -> Result<AdminListener, ConfigProblems> {
        let text = Self::text_of(file)?;
        let (mut root, faults) = DeTable::parse_recoverable(&text);
        let mut reading = Reading::new(file, Lines::of(&text, root.get_ref()));
        environment::apply(&environment::of_process(), root.get_mut(), &mut reading);
        let admin = root.get_ref().get("listen").and_then(|listen| listen.get_ref().get("admin"));
        let admin = admin.and_then(|admin| {
            wire::Admin::deserialize(toml::de::ValueDeserializer::from(admin.clone())).ok()
        });
        let key = Key::root().child("listen").child("admin");
        let insecure = Insecure { admin_on_any_address: true, ..Insecure::default() };
        let admin = admin.and_then(|wire| listen::admin(&wire, insecure, &key, &mut reading));
        match admin {
            Some(admin) => Ok(admin),
            None => {
                for fault in &faults {
                    let offset = fault.span().map_or(0, |span| span.start);
                    let mend = "correct the TOML at this place";
                    reading.refuse_at(key::position(&text, offset), fault.message(), mend);
                }
                if reading.is_sound() {
                    reading.refuse(
                        &key,
                        "names no admin listener",
                        "write `address` and `key_file`",
                    );
                }
                Err(ConfigProblems(reading.finish().0))
            }
        }
    }

    /// As [`Config::load`] for a text that is at hand, without the environment. `file` names it in
    /// problems, and its directory is where relative paths start.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigProblems> {
        Self::read(text, file, &Environment::new())
    }

    /// Every loosening and every risk that this configuration takes, for the operator to see at
    /// each start.
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }

    /// The JSON Schema (draft 2020-12) of the file.
    pub fn schema() -> serde_json::Value {
        schema::schema()
    }

    fn read(text: &str, file: &Path, environment: &Environment) -> Result<Self, ConfigProblems> {
        let (mut root, faults) = DeTable::parse_recoverable(text);
        let mut reading = Reading::new(file, Lines::of(text, root.get_ref()));
        for fault in &faults {
            let offset = fault.span().map_or(0, |span| span.start);
            // Only the message: the parser's own report quotes the line, and with it any secret.
            let mend = "correct the TOML at this place";
            reading.refuse_at(key::position(text, offset), fault.message(), mend);
        }
        let config = faults.is_empty().then(|| {
            environment::apply(environment, root.get_mut(), &mut reading);
            structure::examine(root.get_mut(), Shape::root(), &Key::root(), &mut reading);
            document(text, root.clone(), &mut reading)
        });
        let config = config.flatten().and_then(|wire| typed(&wire, file, &mut reading));
        match config {
            Some(mut config) if reading.is_sound() => {
                let mut named = reading.named_files();
                // Those who keep its snapshots look at its files themselves.
                let kept = config.register.directory.is_some();
                named.retain(|file| {
                    let looked_at = kept && file.key.starts_with("register.");
                    let renewed = change::RENEWED.contains(&file.key.as_str());
                    !(looked_at || renewed)
                });
                config.stated = Stated::of(root.get_ref(), &named);
                let paths = named.into_iter().map(|file| file.path);
                config.files = std::iter::once(file.to_owned()).chain(paths).collect();
                let (_, warnings) = reading.finish();
                Ok(Self {
                    text_sha256: sha256(text.as_bytes()),
                    judging: judging::text(text),
                    warnings,
                    ..config
                })
            }
            _ => Err(ConfigProblems(reading.finish().0)),
        }
    }
}

fn document(
    text: &str,
    root: Spanned<DeTable<'_>>,
    reading: &mut Reading<'_>,
) -> Option<wire::Document> {
    let document = wire::Document::deserialize(toml::Deserializer::from(root));
    let fault = |fault: toml::de::Error| {
        let offset = fault.span().map_or(0, |span| span.start);
        let mend = "write the value as the reference of this key describes it";
        reading.refuse_at(key::position(text, offset), fault.message(), mend);
    };
    document.map_err(fault).ok()
}

/// Every part is read before the first one that failed counts.
fn typed(wire: &wire::Document, file: &Path, reading: &mut Reading<'_>) -> Option<Config> {
    let root = Key::root();
    let key = |name| root.child(name);
    let insecure = Insecure::read(&wire.insecure, &key("insecure"), reading);
    let threads = threads(wire.threads);
    let listen = part(&wire.listen, |wire| Listen::read(wire, insecure, &key("listen"), reading));
    let (trust, anchors) = match &wire.trust {
        Some(wire) => Trust::read(wire, insecure, &key("trust"), reading),
        None => (None, None),
    };
    let register =
        part(&wire.register, |wire| RegisterSettings::read(wire, &key("register"), reading));
    let store = part(&wire.store, |wire| StoreSettings::read(wire, &key("store"), reading));
    let place = key("signature");
    let signature = part(&wire.signature, |signature| {
        SignatureSettings::read(signature, wire.authorization.is_some(), &place, reading)
    });
    if wire.signature.is_none() || signature.is_some() {
        signature::somebody_signs(wire, signature.as_ref(), reading);
    }
    let place = key("authorization");
    let authorization =
        part(&wire.authorization, |part| AuthorizationSettings::read(part, wire, &place, reading));
    let place = key("jwt");
    let jwt = part(&wire.jwt, |wire| JwtSettings::read(wire, &place, reading));
    let audit = part(&wire.audit, |wire| AuditSettings::read(wire, &key("audit"), reading));
    let place = key("tracing");
    let tracing = part(&wire.tracing, |wire| TracingSettings::read(wire, &place, reading));
    let limits = Limits::read(&wire.limits, &key("limits"), reading);
    let place = key("balance_guard");
    let balance_guard = BalanceGuardSettings::read(&wire.balance_guard, &place, reading);
    let drain = DrainSettings::read(&wire.drain, &key("drain"), reading);
    let place = key("probe");
    let probe = part(&wire.probe, |wire| ProbeSettings::read(wire, &place, reading));
    let probes = wire.probe.is_some();
    let report = ReportSettings::read(&wire.report, probes, &key("report"), reading);
    let quotas = quota::read(&wire.quota, &key("quota"), reading);
    let domains = filled(&wire.domain, &key("domain"), reading)
        .and_then(|wire| routes::domains(wire, &key("domain"), reading));
    let roadmap = roadmap(wire);
    let apis = filled(&wire.api, &key("api"), reading)
        .and_then(|wire| routes::apis(wire, &quotas, &key("api"), roadmap.as_deref(), reading));
    let codetabs = filled(&wire.codetab, &key("codetab"), reading)
        .and_then(|wire| upstream::read(wire, &key("codetab"), reading));
    let place = key("fallback");
    let fallback = FallbackSettings::read(wire, &quotas, &place, reading);
    production::has_no_sandbox_parts(wire, anchors.as_ref(), reading);
    unique::names(wire, reading);
    let problem_types = problem_type_base(wire, &key("problem_type_base"), reading);
    Some(Config {
        file: file.to_owned(),
        text_sha256: [0; 32],
        judging: String::new(),
        threads,
        listen: listen?,
        trust: trust?,
        register: register?,
        store: store?,
        signature,
        authorization,
        jwt,
        audit: audit?,
        domains: domains?,
        codetabs: codetabs?,
        apis: apis?,
        fallback,
        limits: limits?,
        balance_guard: balance_guard?,
        metrics: MetricsSettings::read(&wire.metrics),
        tracing,
        drain: drain?,
        report: report?,
        probe,
        sandbox: wire.sandbox.as_ref().map(SandboxSettings::from),
        insecure,
        problem_type_base: problem_types?,
        stated: Stated::default(),
        files: Vec::new(),
        warnings: Vec::new(),
    })
}

fn part<W, T>(wire: &Option<W>, read: impl FnOnce(&W) -> Option<T>) -> Option<T> {
    wire.as_ref().and_then(read)
}

/// A list that is there; one that is there and empty is refused.
fn filled<'w, W>(
    list: &'w Option<Vec<W>>,
    key: &Key,
    reading: &mut Reading<'_>,
) -> Option<&'w [W]> {
    let list = list.as_deref()?;
    if list.is_empty() {
        reading.refuse(key, "is empty", format!("add at least one `[[{key}]]`"));
        return None;
    }
    Some(list)
}

fn threads(wire: Option<u64>) -> usize {
    let configured = wire.and_then(|threads| usize::try_from(threads).ok());
    configured.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from))
}

/// The page of a reason is this URL and its code.
fn problem_type_base(
    wire: &wire::Document,
    key: &Key,
    reading: &mut Reading<'_>,
) -> Option<String> {
    if let Some(text) = &wire.problem_type_base {
        return listen::https_url(text, key, reading).map(|url| format!("{url}/"));
    }
    let public_url = wire.listen.as_ref()?.psu.as_ref()?.public_url.as_deref()?;
    Some(format!("{}/reasons/", public_url.trim_end_matches('/')))
}

/// The page about ends of versions that the PSU listener serves.
fn roadmap(wire: &wire::Document) -> Option<String> {
    let public_url = wire.listen.as_ref()?.psu.as_ref()?.public_url.as_deref()?;
    Some(format!("{}/roadmap", public_url.trim_end_matches('/')))
}

fn read_text(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    let bytes =
        File::open(file)?.take(CONFIG_BYTES_MAX.saturating_add(1)).read_to_string(&mut text)?;
    if bytes as u64 > CONFIG_BYTES_MAX {
        return Err(io::Error::other(format!("larger than {CONFIG_BYTES_MAX} bytes")));
    }
    Ok(text)
}
