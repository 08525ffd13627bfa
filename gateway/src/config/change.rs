//! What differs between two configurations, key by key, and whether a running gateway can take it in.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use toml::de::{DeTable, DeValue};

use super::reading::NamedFile;

/// A table whose key stands here takes effect with a reload, and so does each of its keys.
const AT_ONCE: &[&str] = &[
    "api",
    "authorization",
    "balance_guard",
    "codetab",
    "domain",
    "drain",
    "fallback",
    "insecure.observed_checks",
    "insecure.revocation_unchecked",
    "jwt",
    "limits",
    "listen.psu.certificate",
    "listen.psu.key_file",
    "listen.tpp.certificate",
    "listen.tpp.client_certificate",
    "listen.tpp.key_file",
    "listen.tpp.refusal",
    "probe",
    "problem_type_base",
    "quota",
    "register",
    "report",
    "signature",
    "trust",
];

/// What a process is told once, when it starts: a reload that changes one of these is refused.
pub(super) const AT_START: &[&str] = &[
    "audit",
    "insecure.admin_on_any_address",
    "listen.admin",
    "listen.psu.address",
    "listen.psu.public_url",
    "listen.tpp.address",
    "metrics",
    "sandbox",
    "store",
    "threads",
    "tracing",
];

/// The pairs whose files `listen::renewal` looks at.
pub(super) const RENEWED: [&str; 4] = [
    "listen.tpp.certificate",
    "listen.tpp.key_file",
    "listen.psu.certificate",
    "listen.psu.key_file",
];

/// A table without keys.
const EMPTY: &str = "{}";

/// When a key takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Applies {
    AtOnce,
    AtStart,
}

/// When the key takes effect; `None` for one that nobody has thought about.
pub(super) fn applies(key: &str) -> Option<Applies> {
    let within = |tables: &[&str]| tables.iter().any(|table| is_within(key, table));
    match (within(AT_ONCE), within(AT_START)) {
        (true, false) => Some(Applies::AtOnce),
        (false, true) => Some(Applies::AtStart),
        _ => None,
    }
}

/// Whether `key` is `table` or stands in it: `codetab[17515].name` stands in `codetab`.
fn is_within(key: &str, table: &str) -> bool {
    key.strip_prefix(table).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// What a configuration says, as it is compared with another one.
#[derive(Clone, Debug, Default)]
pub struct Stated {
    /// Each key that stands in the file, with its value as the file would write it.
    values: BTreeMap<String, String>,
    /// Each file that a key names, with its SHA-256 or, for one that is read elsewhere, its stamp.
    files: BTreeMap<String, (String, String)>,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Which key; the tables of a list go by their name: `codetab[17515].upstream.addresses`.
    pub key: String,
    /// What it was; absent for a key that did not stand there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// What it is; absent for a key that stands there no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, before, after } = self;
        match (before, after) {
            (Some(before), Some(after)) => write!(f, "{key}: {before} → {after}"),
            (None, Some(after)) => write!(f, "{key}: added {after}"),
            (Some(before), None) => write!(f, "{key}: removed, was {before}"),
            (None, None) => write!(f, "{key}: changed"),
        }
    }
}

/// All differences, in the order of their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Changes(pub Vec<Change>);

impl Changes {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether anything in one of these tables differs.
    #[must_use]
    pub fn touch(&self, tables: &[&str]) -> bool {
        self.0.iter().any(|change| tables.iter().any(|table| is_within(&change.key, table)))
    }

    /// The keys that a running process cannot change.
    pub fn at_start(&self) -> impl Iterator<Item = &Change> {
        self.0.iter().filter(|change| applies(&change.key) != Some(Applies::AtOnce))
    }
}

impl Stated {
    pub(super) fn of(root: &DeTable<'_>, files: &[NamedFile]) -> Self {
        let mut stated = Self::default();
        let mut names = BTreeMap::new();
        stated.table(("", ""), root, &mut names);
        for NamedFile { key, path, version } in files {
            let key = named(key, &names);
            stated.files.insert(key, (path.display().to_string(), version.clone()));
        }
        stated
    }

    /// What `after` changes.
    #[must_use]
    pub fn changes(&self, after: &Self) -> Changes {
        let mut changes: Vec<Change> = Vec::new();
        let keys: BTreeSet<&String> = self.values.keys().chain(after.values.keys()).collect();
        for key in keys {
            let (was, is) = (self.values.get(key), after.values.get(key));
            if was != is {
                let (before, after) = (was.cloned(), is.cloned());
                changes.push(Change { key: key.clone(), before, after });
            }
        }
        for (key, (path, version)) in &self.files {
            let now = after.files.get(key);
            let same_path = now.is_some_and(|(other, _)| other == path);
            if same_path && now.is_some_and(|(_, now)| now != version) {
                let (before, after) = (Some(path.clone()), Some("another content".to_owned()));
                changes.push(Change { key: key.clone(), before, after });
            }
        }
        changes.sort_by(|a, b| a.key.cmp(&b.key));
        Changes(changes)
    }

    /// `place` is the key by names and by numbers: the latter is how files are known.
    fn table(
        &mut self,
        (by_name, by_number): (&str, &str),
        table: &DeTable<'_>,
        names: &mut BTreeMap<String, String>,
    ) {
        // Some parts are on because their table stands there, with nothing in it.
        if table.is_empty() && applies(by_name).is_some() {
            self.values.insert(by_name.to_owned(), EMPTY.to_owned());
        }
        for (name, value) in table {
            let name = name.get_ref();
            self.value((&child(by_name, name), &child(by_number, name)), value.get_ref(), names);
        }
    }

    fn value(
        &mut self,
        (by_name, by_number): (&str, &str),
        value: &DeValue<'_>,
        names: &mut BTreeMap<String, String>,
    ) {
        match value {
            DeValue::Table(table) => self.table((by_name, by_number), table, names),
            DeValue::Array(items)
                if items.iter().any(|item| matches!(item.get_ref(), DeValue::Table(_))) =>
            {
                for (index, item) in items.iter().enumerate() {
                    let called = called(item.get_ref()).unwrap_or_else(|| index.to_string());
                    let inner = format!("{by_name}[{called}]");
                    let numbered = format!("{by_number}[{index}]");
                    names.insert(numbered.clone(), inner.clone());
                    self.value((&inner, &numbered), item.get_ref(), names);
                }
            }
            other => {
                self.values.insert(by_name.to_owned(), shown(by_name, other));
            }
        }
    }
}

fn child(key: &str, name: &str) -> String {
    if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") }
}

/// What the operator calls a table of a list.
fn called(item: &DeValue<'_>) -> Option<String> {
    let DeValue::Table(table) = item else { return None };
    ["code", "name"].iter().find_map(|key| Some(table.get(*key)?.get_ref().as_str()?.to_owned()))
}

/// The key of a file, by names instead of by numbers.
fn named(key: &str, names: &BTreeMap<String, String>) -> String {
    let longest = names
        .iter()
        .filter(|(numbered, _)| is_within(key, numbered))
        .max_by_key(|(numbered, _)| numbered.len());
    longest.map_or_else(
        || key.to_owned(),
        |(numbered, name)| format!("{name}{}", key.get(numbered.len()..).unwrap_or_default()),
    )
}

/// The value as a log may hold it. The URL of a store may carry a password.
fn shown(key: &str, value: &DeValue<'_>) -> String {
    if is_within(key, "store") {
        return "(not shown)".to_owned();
    }
    match value {
        DeValue::String(text) => format!("\"{}\"", text.escape_default()),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(switch) => switch.to_string(),
        DeValue::Datetime(instant) => instant.to_string(),
        DeValue::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| shown(key, item.get_ref())).collect();
            format!("[{}]", items.join(", "))
        }
        DeValue::Table(_) => "{…}".to_owned(),
    }
}
