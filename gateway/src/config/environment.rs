//! Environment variables that take precedence over the file: addresses and the places of secrets.
//!
//! The name is `OCTROI_<SECTION>__<KEY>`. Everything else is configured in the file alone, so that
//! the file says what the gateway does.

use std::borrow::Cow;
use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::key::Key;
use super::reading::Reading;

/// Each variable and the key that it sets.
const OVERRIDES: [(&str, &[&str]); 12] = [
    ("OCTROI_LISTEN_TPP__ADDRESS", &["listen", "tpp", "address"]),
    ("OCTROI_LISTEN_TPP__KEY_FILE", &["listen", "tpp", "key_file"]),
    ("OCTROI_LISTEN_PSU__ADDRESS", &["listen", "psu", "address"]),
    ("OCTROI_LISTEN_PSU__KEY_FILE", &["listen", "psu", "key_file"]),
    ("OCTROI_LISTEN_PSU__PUBLIC_URL", &["listen", "psu", "public_url"]),
    ("OCTROI_LISTEN_ADMIN__ADDRESS", &["listen", "admin", "address"]),
    ("OCTROI_LISTEN_ADMIN__KEY_FILE", &["listen", "admin", "key_file"]),
    ("OCTROI_STORE__EMBEDDED", &["store", "embedded"]),
    ("OCTROI_STORE__REDIS", &["store", "redis"]),
    ("OCTROI_STORE__REDIS_FILE", &["store", "redis_file"]),
    ("OCTROI_AUDIT__KEY_FILE", &["audit", "key_file"]),
    ("OCTROI_AUDIT__SIGNING_KEY_FILE", &["audit", "signing_key_file"]),
];

/// The variables that concern the configuration.
pub(super) type Environment = BTreeMap<String, String>;

/// The variables of this process.
pub(super) fn of_process() -> Environment {
    let all = std::env::vars_os();
    let ours = all.filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    let ours = ours.filter(|(name, _)| name.starts_with("OCTROI_"));
    ours.map(|(name, value)| (name, value.to_string_lossy().into_owned())).collect()
}

/// Sets the keys that have a variable, and refuses a variable that looks like one but is none: an
/// override that is silently ignored is worse than none.
pub(super) fn apply(environment: &Environment, root: &mut DeTable<'_>, reading: &mut Reading<'_>) {
    for (name, value) in environment {
        if let Some((variable, path)) = OVERRIDES.iter().find(|(known, _)| known == name) {
            set(root, path, value);
            let key = path.iter().fold(Key::root(), |key, name| key.child(name));
            reading.comes_from_environment(key, variable);
        } else if let Some(known) = meant(name) {
            let what = format!("the environment variable {name} is not read");
            reading.refuse(&Key::root(), what, format!("name it {known}"));
        }
    }
}

/// The override that a variable probably means: the same words, or one with `__` in its name.
fn meant(name: &str) -> Option<&'static str> {
    let words = |name: &str| name.replace('_', "");
    let same = OVERRIDES.iter().map(|(known, _)| *known).find(|known| words(known) == words(name));
    same.or_else(|| {
        let nearest = OVERRIDES.iter().map(|(known, _)| (strsim::levenshtein(known, name), *known));
        nearest.min().map(|(_, known)| known).filter(|_| name.contains("__"))
    })
}

fn set(table: &mut DeTable<'_>, path: &[&'static str], value: &str) {
    let Some((name, rest)) = path.split_first() else { return };
    let name = Spanned::new(0..0, Cow::Borrowed(*name));
    if rest.is_empty() {
        table.insert(name, Spanned::new(0..0, DeValue::String(Cow::Owned(value.to_owned()))));
        return;
    }
    let inner =
        table.entry(name).or_insert_with(|| Spanned::new(0..0, DeValue::Table(DeTable::new())));
    if let DeValue::Table(inner) = inner.get_mut() {
        set(inner, rest, value);
    }
}
