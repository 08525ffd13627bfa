//! `[authorization]`: the authorization server and the enrolment.

use std::collections::BTreeSet;
use std::time::Duration;

use policies::Scope;
use policies::client::Setting;
use policies::ledger::Lives;

use super::key::Key;
use super::listen::https_url;
use super::problem::quoted;
use super::production::is_local;
use super::reading::Reading;
use super::routes::is_exact_path;
use super::wire;

/// The place of the bank in a URL.
const CODETAB: &str = "{codetab}";
/// The longest life of an access token: the source documents say an hour.
const ACCESS_LIFE_MAX: Duration = Duration::from_secs(60 * 60);
/// The longest life of a code (RFC 6749 §4.1.2).
const CODE_LIFE_MAX: Duration = Duration::from_secs(10 * 60);

/// The authorization server.
#[derive(Clone, Debug)]
pub struct AuthorizationSettings {
    /// Where browsers come, per bank.
    pub issuer: BankUrl,
    /// Where TPPs come, per bank.
    pub tpp_url: BankUrl,
    /// Where consents are asked for, at the issuer.
    pub authorize_path: String,
    /// The paths at the TPP listener.
    pub paths: TppPaths,
    /// The bank's page for login and consent; none: the sandbox's.
    pub login_url: Option<String>,
    /// What customers can consent to.
    pub scopes: BTreeSet<Scope>,
    /// What is given without a customer.
    pub client_credentials: BTreeSet<Scope>,
    /// Each request must carry a PKCE challenge.
    pub pkce_required: bool,
    /// Each request must be pushed first.
    pub par_required: bool,
    /// A refresh gives a new refresh token.
    pub rotate_refresh_tokens: bool,
    /// Access tokens are bound to the certificate that got them.
    pub bound_tokens: bool,
    /// How long tokens and consents live.
    pub lives: Lives,
    /// How long a code lives.
    pub code_life: Duration,
    /// How long login and consent may take.
    pub interaction_life: Duration,
    /// Sandbox or production: which call-backs may be enrolled.
    pub setting: Setting,
}

/// The paths of the authorization server at the TPP listener.
#[derive(Clone, Debug)]
pub struct TppPaths {
    /// Tokens.
    pub token: String,
    /// Pushed authorization requests (RFC 9126).
    pub par: String,
    /// Revocation (RFC 7009).
    pub revoke: String,
    /// Introspection (RFC 7662).
    pub introspect: String,
    /// Enrolment (RFC 7591), and below it each application (RFC 7592).
    pub register: String,
}

/// A URL with the place of the bank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BankUrl(String);

impl BankUrl {
    /// The URL of one bank, without a slash at the end.
    #[must_use]
    pub fn of(&self, codetab: &str) -> String {
        self.0.replace(CODETAB, codetab)
    }

    fn read(text: &str, banks: usize, key: &Key, reading: &mut Reading<'_>) -> Option<Self> {
        let url = https_url(&text.replace(CODETAB, "10000"), key, reading)?;
        if url.matches('/').count() > 2 {
            reading.refuse(
                key,
                format!("is {}: it has a path", quoted(text)),
                "leave the path out",
            );
            return None;
        }
        if banks > 1 && !text.contains(CODETAB) {
            let what = format!("is {}: the same for {banks} banks", quoted(text));
            reading.refuse(key, what, "write `{codetab}` where the bank's codetab belongs");
            return None;
        }
        Some(Self(text.trim_end_matches('/').to_owned()))
    }
}

impl AuthorizationSettings {
    pub(super) fn read(
        wire: &wire::Authorization,
        document: &wire::Document,
        key: &Key,
        reading: &mut Reading<'_>,
    ) -> Option<Self> {
        let banks = document.codetab.as_ref().map_or(0, Vec::len);
        let mut url = |name: &str, text: Option<&str>| {
            text.and_then(|text| BankUrl::read(text, banks, &key.child(name), reading))
        };
        let issuer = url("issuer", wire.issuer.as_deref());
        let tpp_url = url("tpp_url", wire.tpp_url.as_deref());
        let authorize_path = path(&wire.authorize_path, &key.child("authorize_path"), reading);
        let token = path(&wire.token_path, &key.child("token_path"), reading);
        let register = path(&wire.register_path, &key.child("register_path"), reading);
        let login = login_url(wire, document, key, reading);
        let scopes = scopes(&wire.scopes, &key.child("scopes"), reading);
        if wire.scopes.is_empty() {
            let what = "is empty: nobody could consent to anything";
            reading.refuse(&key.child("scopes"), what, "write `scopes = [\"cbpii\"]`");
        }
        let place = key.child("client_credentials");
        let client_credentials = scopes_of(&wire.client_credentials, &place, reading);
        let access = bounded(
            &wire.access_token_life,
            ACCESS_LIFE_MAX,
            &key.child("access_token_life"),
            reading,
        );
        let code_life = bounded(&wire.code_life, CODE_LIFE_MAX, &key.child("code_life"), reading);
        let interaction_life =
            reading.duration(&key.child("interaction_life"), &wire.interaction_life);
        let domains = document.domain.iter().flatten().filter_map(|domain| domain.name.as_deref());
        let sandbox = domains.clone().count() > 0 && domains.clone().all(is_local);
        let paths = TppPaths::of(token?, register?);
        paths.stand_alone(document, key, reading)?;
        Some(Self {
            issuer: issuer?,
            tpp_url: tpp_url?,
            authorize_path: authorize_path?,
            paths,
            login_url: login?,
            scopes: scopes?,
            client_credentials: client_credentials?,
            pkce_required: wire.pkce_required,
            par_required: wire.par_required,
            rotate_refresh_tokens: wire.rotate_refresh_tokens,
            bound_tokens: wire.bound_tokens,
            lives: Lives {
                access_seconds: i64::try_from(access?.as_secs()).ok()?,
                consent_days: i64::try_from(wire.consent_days).ok()?,
            },
            code_life: code_life?,
            interaction_life: interaction_life?,
            setting: if sandbox { Setting::Sandbox } else { Setting::Production },
        })
    }
}

impl TppPaths {
    /// The others lie beside that of tokens.
    pub(super) fn of(token: String, register: String) -> Self {
        let beside = |name: &str| {
            let (folder, _) = token.rsplit_once('/').unwrap_or_default();
            format!("{folder}/{name}")
        };
        let (par, revoke, introspect) = (beside("par"), beside("revoke"), beside("introspect"));
        Self { par, revoke, introspect, register, token }
    }

    /// Every path, with what it is for.
    pub fn all(&self) -> [&str; 5] {
        [&self.token, &self.par, &self.revoke, &self.introspect, &self.register]
    }

    /// No API may lie at one of them, or below the enrolment.
    fn stand_alone(
        &self,
        document: &wire::Document,
        key: &Key,
        reading: &mut Reading<'_>,
    ) -> Option<()> {
        let mut seen = BTreeSet::new();
        for path in self.all() {
            if !seen.insert(path) {
                let what = format!("would lie twice at {}", quoted(path));
                reading.refuse(key, what, "give `token_path` and `register_path` other names");
                return None;
            }
        }
        let versions = document.api.iter().flatten().flat_map(|api| api.version.iter().flatten());
        let below = format!("{}/", self.register);
        for path in versions.flat_map(|version| version.paths.iter().flatten()) {
            if seen.contains(path.as_str()) || path.starts_with(&below) {
                let what = format!("lies where an API has its path: {}", quoted(path));
                reading.refuse(key, what, "give the API, or the authorization server, another");
                return None;
            }
        }
        Some(())
    }
}

fn path(text: &str, key: &Key, reading: &mut Reading<'_>) -> Option<String> {
    if is_exact_path(text) {
        return Some(text.to_owned());
    }
    let mend = "write segments of letters, digits, `-`, `.`, `_`, `~`, each after one `/`";
    reading.refuse(key, format!("is {}: not an exact path", quoted(text)), mend);
    None
}

/// The outer `None` stands for a mistake.
fn login_url(
    wire: &wire::Authorization,
    document: &wire::Document,
    key: &Key,
    reading: &mut Reading<'_>,
) -> Option<Option<String>> {
    let key = key.child("login_url");
    let admin = document.listen.as_ref().and_then(|listen| listen.admin.as_ref());
    match &wire.login_url {
        Some(_) if admin.is_some_and(|admin| admin.key_file.is_none()) => {
            let what = "is a page that could not answer: the admin listener has no key";
            reading.refuse(&key, what, "set `listen.admin.key_file`");
            None
        }
        Some(url) => https_url(url, &key, reading).map(Some),
        None if document.sandbox.as_ref().is_some_and(|sandbox| sandbox.personas) => Some(None),
        None => {
            let what = "is missing: nobody would identify the customer";
            reading.refuse(&key, what, "name the bank's page for login and consent");
            None
        }
    }
}

fn scopes(names: &[String], key: &Key, reading: &mut Reading<'_>) -> Option<BTreeSet<Scope>> {
    scopes_of(names, key, reading).filter(|scopes| !scopes.is_empty())
}

fn scopes_of(names: &[String], key: &Key, reading: &mut Reading<'_>) -> Option<BTreeSet<Scope>> {
    let scope = |(index, name): (usize, &String)| {
        let scope = Scope::from_name(name);
        if scope.is_none() {
            let known = Scope::ALL.map(Scope::name).join(", ");
            let what = format!("is {}: not a scope of customers", quoted(name));
            reading.refuse(&key.item(index), what, format!("write one of {known}"));
        }
        scope
    };
    names.iter().enumerate().map(scope).collect::<Vec<_>>().into_iter().collect()
}

fn bounded(
    text: &wire::DurationText,
    longest: Duration,
    key: &Key,
    reading: &mut Reading<'_>,
) -> Option<Duration> {
    let duration = reading.duration(key, text)?;
    if duration.as_secs() > 0 && duration <= longest {
        return Some(duration);
    }
    let what =
        format!("is {}: it must be from 1 to {} seconds", quoted(&text.0), longest.as_secs());
    reading.refuse(key, what, "write a shorter one, in seconds or minutes");
    None
}
