//! The collections for Bruno and Postman are the description of the interface, and each of their requests
//! is answered. `OCTROI_BLESS=1 cargo test -p octroi-tests --test collections` writes them anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use harness::collection::{self, Body, Entry};
use harness::description::{Caller, Description};
use harness::gateway::Gateway;
use harness::oauth::form;
use serde_json::Value;

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("deploy")
}

fn files(folder: &Path, below: &Path, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, below, found);
        } else {
            let name = path.strip_prefix(below).unwrap().to_str().unwrap().to_owned();
            found.insert(name, fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn the_collections_are_what_the_description_says_and_all_of_it() {
    let gateway = Gateway::sandbox();
    let description = Description::of(&gateway);
    let usual = Description(description.usual(&gateway));
    let entries = collection::entries(&usual);
    let bruno = collection::bruno(&entries);
    let postman = collection::postman(&entries);
    let postman = format!("{}\n", serde_json::to_string_pretty(&postman).unwrap());
    let (folder, file) = (deploy().join("bruno"), deploy().join("postman/octroi-sandbox.json"));
    if std::env::var_os("OCTROI_BLESS").is_some() {
        let _ = fs::remove_dir_all(&folder);
        for (name, text) in &bruno {
            let file = folder.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, &postman).unwrap();
    }
    let mut written = BTreeMap::new();
    files(&folder, &folder, &mut written);
    assert!(written == bruno, "deploy/bruno is out of date: OCTROI_BLESS=1");
    let same = fs::read_to_string(&file).unwrap_or_default() == postman;
    assert!(same, "deploy/postman is out of date: OCTROI_BLESS=1");
}

/// Sends each request of a collection with a sandbox in the place of its variables.
fn answered(gateway: &Gateway, entries: &[Entry]) {
    let caller = Caller::of(gateway);
    for entry in entries {
        let (listener, path) = entry.url.split_once("}}").unwrap();
        let listener = listener.trim_start_matches('{');
        let (media, body) = match &entry.body {
            Some(Body::Json(json)) => ("application/json", json.clone()),
            Some(Body::Form(fields)) => {
                let fields: Vec<_> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
                ("application/x-www-form-urlencoded", form(&fields))
            }
            None => ("", String::new()),
        };
        let fields: Vec<_> =
            (!media.is_empty()).then_some(("Content-Type", media)).into_iter().collect();
        let answer =
            caller.ask((listener, entry.bearer.as_deref()), (&entry.method, path), &fields, &body);
        assert!(
            entry.statuses.contains(&answer.status),
            "{}: {} of {:?}: {}",
            entry.name,
            answer.status,
            entry.statuses,
            String::from_utf8_lossy(&answer.body)
        );
    }
}

#[test]
fn each_request_of_the_bruno_collection_is_answered() {
    let gateway = Gateway::sandbox();
    let mut written = BTreeMap::new();
    let folder = deploy().join("bruno");
    files(&folder, &folder, &mut written);
    let entries: Vec<Entry> = written
        .iter()
        .filter(|(name, _)| name.ends_with(".bru") && !name.starts_with("environments/"))
        .map(|(name, text)| Entry::of_bruno(name.split('/').next().unwrap(), text))
        .collect();
    assert!(entries.len() > 40, "{}", entries.len());
    answered(&gateway, &entries);
}

#[test]
fn each_request_of_the_postman_collection_is_answered() {
    let gateway = Gateway::sandbox();
    let file = fs::read(deploy().join("postman/octroi-sandbox.json")).unwrap();
    let collection: Value = serde_json::from_slice(&file).unwrap();
    let mut entries = Vec::new();
    for folder in collection["item"].as_array().unwrap() {
        let name = folder["name"].as_str().unwrap();
        let items = folder["item"].as_array().unwrap().iter();
        entries.extend(items.map(|item| Entry::of_postman(name, item)));
    }
    assert!(entries.len() > 40, "{}", entries.len());
    answered(&gateway, &entries);
}
