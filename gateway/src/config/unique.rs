//! Names by which something is found must be found once: a duplicate would make the order of the
//! file decide.

use std::collections::BTreeMap;

use super::key::Key;
use super::problem::quoted;
use super::reading::Reading;
use super::wire;

/// Refuses duplicated domains, codetabs, APIs, versions and paths.
pub(super) fn names(document: &wire::Document, reading: &mut Reading<'_>) {
    let root = Key::root();
    let domains = document.domain.iter().flatten().map(|domain| domain.name.as_deref());
    once(domains, &root.child("domain"), "name", reading);
    let codetabs = document.codetab.iter().flatten().map(|codetab| codetab.code.as_deref());
    once(codetabs, &root.child("codetab"), "code", reading);
    let apis = document.api.iter().flatten();
    once(apis.clone().map(|api| api.name.as_deref()), &root.child("api"), "name", reading);
    let mut paths = Seen::default();
    for (index, api) in apis.enumerate() {
        let key = root.child("api").item(index).child("version");
        let versions = api.version.iter().flatten();
        once(versions.clone().map(|version| version.name.as_deref()), &key, "name", reading);
        for (index, version) in versions.enumerate() {
            let key = key.item(index).child("paths");
            for (index, path) in version.paths.iter().flatten().enumerate() {
                paths.add(path.clone(), key.item(index), reading);
            }
        }
    }
}

fn once<'w>(
    values: impl Iterator<Item = Option<&'w str>>,
    list: &Key,
    member: &str,
    reading: &mut Reading<'_>,
) {
    let mut seen = Seen::default();
    for (index, value) in values.enumerate() {
        if let Some(value) = value {
            seen.add(value.to_ascii_lowercase(), list.item(index).child(member), reading);
        }
    }
}

#[derive(Default)]
struct Seen(BTreeMap<String, Key>);

impl Seen {
    fn add(&mut self, value: String, key: Key, reading: &mut Reading<'_>) {
        match self.0.get(&value) {
            Some(first) => {
                let what = format!("is {} a second time, after `{first}`", quoted(&value));
                reading.refuse(&key, what, "give each its own, or take one out");
            }
            None => {
                self.0.insert(value, key);
            }
        }
    }
}
