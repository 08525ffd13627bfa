//! What the container file promises: nobody is root, nothing secret is in it, and it says how it is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Instructions with their arguments, continued lines joined.
fn instructions() -> Vec<(String, String)> {
    let text = fs::read_to_string(root().join("deploy/Containerfile")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let joined = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let split = |line: &str| {
        let (name, rest) = line.trim().split_once(' ')?;
        Some((name.to_owned(), rest.split_whitespace().collect::<Vec<_>>().join(" ")))
    };
    joined.lines().filter_map(split).collect()
}

fn of(name: &str) -> Vec<String> {
    let all = instructions().into_iter();
    all.filter(|(known, _)| known == name).map(|(_, rest)| rest).collect()
}

#[test]
fn the_image_runs_as_nobody_of_the_host_and_says_how_it_is() {
    let stages = of("FROM");
    assert_eq!(stages, ["${BUILD_IMAGE} AS build", "${BASE_IMAGE}"]);
    assert_eq!(of("USER"), ["65532:65532"], "by number, so that an orchestrator can tell");
    let health = of("HEALTHCHECK");
    assert!(health[0].contains(r#"CMD ["/usr/bin/octroi", "healthcheck"]"#), "{health:?}");
    assert_eq!(of("ENTRYPOINT"), [r#"["/usr/bin/octroi"]"#]);
    assert_eq!(of("STOPSIGNAL"), ["SIGTERM"]);
    let last = instructions().iter().rposition(|(name, _)| name == "USER");
    let writes = instructions().iter().rposition(|(name, _)| name == "RUN" || name == "COPY");
    assert!(last > writes, "nothing is changed in the image after it has become nobody's");
    let environment = of("ENV").join(" ");
    assert_eq!(environment, "OPENSSL_NO_VENDOR=1", "no secret stands in the image's environment");
    for verb in ["healthcheck", "run"] {
        assert!(harness::run(&[verb, "--help"]).status.success(), "octroi {verb}");
    }
}

#[test]
fn nothing_but_the_source_is_copied_and_all_of_it_is_there() {
    assert!(of("ADD").is_empty(), "ADD fetches and unpacks");
    let copied: Vec<String> = of("COPY")
        .iter()
        .filter(|copied| !copied.starts_with("--from="))
        .flat_map(|copied| {
            let words: Vec<&str> = copied.split(' ').collect();
            words[..words.len() - 1].iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()
        })
        .collect();
    let manifest: toml::Table =
        fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let members = manifest["workspace"]["members"].as_array().unwrap().iter();
    let mut expected: Vec<String> = members.map(|name| name.as_str().unwrap().to_owned()).collect();
    expected.extend(["Cargo.toml".to_owned(), "Cargo.lock".to_owned()]);
    let (mut copied, mut expected) = (copied, expected);
    copied.sort();
    expected.sort();
    assert_eq!(copied, expected);
    let ignored = fs::read_to_string(root().join("deploy/Containerfile.dockerignore")).unwrap();
    assert!(
        ignored.lines().any(|line| line == "*"),
        "what is not named is not sent to the builder"
    );
    for name in expected {
        assert!(ignored.lines().any(|line| line == format!("!{name}")), "{name}");
    }
    for kept_out in ["**/target", "**/.octroi-sandbox", "**/*.key"] {
        assert!(ignored.lines().any(|line| line == kept_out), "{kept_out}");
    }
}

#[test]
fn the_product_is_built_without_what_lies_outside_the_copied_folders() {
    let mut found = Vec::new();
    for room in ["certs/src", "policies/src", "gateway/src"] {
        included(&root().join(room), &root(), &mut found);
    }
    assert!(found.is_empty(), "{found:?}");
}

/// Files outside the crate that product code includes.
fn included(folder: &Path, root: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            included(&path, root, found);
            continue;
        }
        if path.extension().is_none_or(|extension| extension != "rs") || path.ends_with("tests.rs")
        {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let product = text.split("#[cfg(test)]").next().unwrap();
        for part in product.split("include_").skip(1) {
            let Some(name) = part.split('"').nth(1).filter(|_| part.contains("!(")) else {
                continue;
            };
            let target = path.parent().unwrap().join(name);
            let rooms = ["certs", "policies", "gateway"].map(|room| root.join(room));
            let inside = fs::canonicalize(&target)
                .is_ok_and(|file| rooms.iter().any(|room| file.starts_with(room)));
            if !inside && target.extension().is_some() {
                found.push(format!("{}: {name}", path.display()));
            }
        }
    }
}
