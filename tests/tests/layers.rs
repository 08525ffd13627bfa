//! Holds the house in its shape: a lower room of the program never names a higher one, neighbours
//! do not name each other in a circle, and the two pure crates stay pure.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The modules of `gateway/src`, from the highest layer to the lowest.
const LAYERS: &[&[&str]] = &[
    &["main"],
    &["cli"],
    &["server", "openapi"],
    &["admin", "statistics"],
    &["pages"],
    &["sandbox", "probe"],
    &["proxy"],
    &["dossier"],
    &["listen", "replay", "revocation", "seals", "upstream"],
    &["tpps", "authorization", "jwt", "traces"],
    &["store", "trust", "world", "audit", "metrics", "introduction", "in_flight", "roadmap"],
    &["register"],
    &["fetch"],
    &["archive", "problem"],
    &["config"],
    &["clock", "descriptors", "memory", "drain", "log", "supervisor"],
];

/// What would let the pure crates wait, log or reach the outside.
const IMPURE: &[&str] =
    &["tokio", "pingora", "log", "tracing", "redis", "reqwest", "hyper", "async-trait", "axum"];

#[test]
fn every_module_of_the_gateway_names_only_its_own_layer_or_a_lower_one() {
    let faults: Vec<String> = uses()
        .iter()
        .flat_map(|(module, named)| named.iter().map(move |other| (module, other)))
        .filter(|(module, other)| layer(other) < layer(module))
        .map(|(module, other)| format!("`{module}` names `{other}`, which stands above it"))
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn modules_of_the_gateway_do_not_name_each_other_in_a_circle() {
    let mut left = uses();
    // What names nothing that is left can be taken away; a circle is what cannot.
    loop {
        let names: BTreeSet<String> = left.keys().cloned().collect();
        let before = left.len();
        left.retain(|_, named| named.iter().any(|other| names.contains(other)));
        if left.len() == before {
            break;
        }
    }
    assert!(left.is_empty(), "these modules depend on each other: {left:?}");
}

#[test]
fn certs_and_policies_cannot_wait_log_or_reach_the_outside() {
    for package in ["certs", "policies"] {
        let manifest: toml::Table = read(&root().join(package).join("Cargo.toml")).parse().unwrap();
        let dependencies = manifest.get("dependencies").and_then(toml::Value::as_table).unwrap();
        for name in dependencies.keys() {
            assert!(!IMPURE.contains(&name.as_str()), "{package} depends on {name}");
        }
    }
}

#[test]
fn certs_names_nothing_of_ours_and_policies_only_certs() {
    for (package, forbidden) in [
        ("certs", ["policies", "octroi", "harness"].as_slice()),
        ("policies", ["octroi", "harness"].as_slice()),
    ] {
        let manifest: toml::Table = read(&root().join(package).join("Cargo.toml")).parse().unwrap();
        for table in ["dependencies", "dev-dependencies"] {
            let Some(names) = manifest.get(table).and_then(toml::Value::as_table) else { continue };
            for name in names.keys() {
                assert!(!forbidden.contains(&name.as_str()), "{package} depends on {name}");
            }
        }
    }
}

#[test]
fn the_pure_crates_forbid_unsafe_code() {
    for package in ["certs", "policies"] {
        let library = read(&root().join(package).join("src/lib.rs"));
        assert!(library.contains("#![forbid(unsafe_code)]"), "{package}/src/lib.rs");
    }
}

/// Top-level module → the other top-level modules that its product code names as `crate::…`.
fn uses() -> BTreeMap<String, BTreeSet<String>> {
    let source = root().join("gateway/src");
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in rust_files(&source) {
        let path = file.strip_prefix(&source).unwrap();
        let module = path.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        if module == "lib" || file.ends_with("tests.rs") {
            continue;
        }
        let named = named_modules(&read(&file));
        let entry = uses.entry(module.to_owned()).or_default();
        entry.extend(named.into_iter().filter(|other| other != module));
    }
    uses
}

/// The first path segment after every `crate::` (in `main.rs`, after `octroi::`), groups included.
fn named_modules(text: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    let product = text.split("#[cfg(test)]").next().unwrap_or_default();
    let code: String = product
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| [line, "\n"])
        .collect();
    for root in ["crate::", "octroi::"] {
        for (at, _) in code.match_indices(root) {
            let rest = &code[at + root.len()..];
            if let Some(group) = rest.strip_prefix('{') {
                let group = group.split("};").next().unwrap_or_default();
                named.extend(group.split(',').map(first_segment).filter(|name| is_module(name)));
            } else {
                named.extend(Some(first_segment(rest)).filter(|name| is_module(name)));
            }
        }
    }
    named
}

fn first_segment(path: &str) -> String {
    path.trim_start().chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}

fn is_module(name: &str) -> bool {
    let source = root().join("gateway/src");
    source.join(format!("{name}.rs")).exists() || source.join(name).is_dir()
}

/// 0 is the highest. A module without a layer is a fault: it must be given its place on purpose.
fn layer(module: &str) -> usize {
    LAYERS
        .iter()
        .position(|layer| layer.contains(&module))
        .unwrap_or_else(|| panic!("give `{module}` its layer in tests/tests/layers.rs"))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

#[test]
fn the_reader_of_use_lines_sees_paths_groups_and_skips_comments_and_tests() {
    let text = "//! crate::server in prose\nuse crate::config::Config;\nuse crate::{cli, \
                config::{A, B}};\nfn f() { crate::main::g() }\n#[cfg(test)]\nuse crate::server;";
    let named = named_modules(text);
    assert!(named.contains("main"), "{named:?}");
    assert!(!named.contains("server"), "{named:?}");
}
