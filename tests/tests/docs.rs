//! The book says what the program does: pages that can be made from the program are, and every
//! command that is shown is run. `OCTROI_BLESS=1 cargo test -p octroi-tests --test docs` writes the
//! made pages anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::gateway::Gateway;
use harness::{octroi, run};
use policies::Reason;
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn holds(page: &str, made: &str) {
    let file = root().join("docs/src").join(page);
    if std::env::var_os("OCTROI_BLESS").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, made).unwrap();
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    assert!(written == made, "docs/src/{page} is out of date: run with OCTROI_BLESS=1");
}

#[test]
fn every_reason_has_its_page_and_stands_in_the_list_and_the_summary() {
    let mut list = "# Reasons\n\nEach refusal has one reason. Its code stands in the answer \
                    (`code`), the audit record, the metric label and `octroi explain`, and never \
                    changes its meaning.\n\n| code | status | says | who can mend it |\n\
                    |---|---|---|---|\n"
        .to_owned();
    let summary = fs::read_to_string(root().join("docs/src/SUMMARY.md")).unwrap();
    for reason in Reason::ALL {
        let (code, status) = (reason.code(), reason.status());
        let row = format!(
            "| [`{code}`](reasons/{code}.md) | {status} | {} | {} |",
            reason.sentence(),
            reason.blame().code()
        );
        writeln!(list, "{row}").unwrap();
        let mut page = format!(
            "# {code}\n\n**{}** (HTTP {status})\n\n{}\n\n## What to do\n\n{}\n\nWho can mend it: \
             {}.\n\n",
            reason.title(),
            reason.sentence(),
            reason.mend(),
            reason.blame().code()
        );
        if let Some(challenge) = reason.bearer_error() {
            let error = if challenge.is_empty() { "no error" } else { challenge };
            writeln!(
                page,
                "The answer carries `WWW-Authenticate: Bearer` with {error} (RFC 6750).\n"
            )
            .unwrap();
        }
        if let Some(seconds) = reason.retry_after_seconds() {
            writeln!(page, "The answer carries `Retry-After` of at least {seconds} s.\n").unwrap();
        }
        writeln!(page, "Source: {}.", reason.clause()).unwrap();
        holds(&format!("reasons/{code}.md"), &page);
        assert!(summary.contains(&format!("(reasons/{code}.md)")), "{code} is not in SUMMARY.md");
    }
    holds("reasons.md", &list);
}

#[test]
fn the_lints_page_is_the_table_of_lints() {
    let mut page = "# Lints\n\nWhat `octroi cert inspect` remarks about a certificate. The codes never \
                    change their meaning.\n\n## They refuse\n\n| lint | says | source |\n|---|---|---|\n"
        .to_owned();
    let mut warns = false;
    for lint in certs::Lint::ALL {
        if !warns && lint.severity() == certs::Severity::Warns {
            page.push_str("\n## They warn\n\n| lint | says | source |\n|---|---|---|\n");
            warns = true;
        }
        writeln!(page, "| `{}` | {} | {} |", lint.code(), lint.sentence(), lint.clause()).unwrap();
    }
    holds("reference/lints.md", &page);
}

#[test]
fn the_command_line_page_is_what_help_prints() {
    let mut page =
        "# Command line\n\nWhat `octroi help` and the verbs' `--help` print.\n".to_owned();
    let verbs: &[&[&str]] = &[
        &[],
        &["sandbox"],
        &["sandbox", "token"],
        &["sandbox", "sign"],
        &["run"],
        &["check"],
        &["explain"],
        &["cert", "inspect"],
        &["cert", "issue"],
        &["cert", "doctor"],
        &["register", "fetch"],
        &["register", "lint"],
        &["register", "diff"],
        &["register", "show"],
        &["register", "list"],
        &["register", "accept"],
        &["register", "override", "add"],
        &["register", "override", "list"],
        &["register", "override", "revoke"],
        &["roadmap"],
        &["trust", "import"],
        &["trust", "list"],
        &["trust", "diff"],
        &["trust", "rollback"],
        &["tpp", "list"],
        &["tpp", "show"],
        &["tpp", "suspend"],
        &["tpp", "resume"],
        &["tpp", "remove"],
        &["tpp", "add"],
        &["token", "list"],
        &["token", "revoke"],
        &["audit", "verify"],
        &["audit", "search"],
        &["audit", "show"],
        &["audit", "export"],
        &["audit", "key"],
        &["audit", "replay"],
        &["dossier"],
        &["rehearse"],
        &["reload"],
        &["report"],
        &["report", "roll-up"],
        &["healthcheck"],
        &["openapi"],
        &["version"],
    ];
    for verb in verbs {
        let output = run(&[*verb, &["--help"]].concat());
        assert!(output.status.success());
        let help = String::from_utf8(output.stdout).unwrap();
        let name = [&["octroi"], *verb].concat().join(" ");
        let help: Vec<&str> = help.lines().map(str::trim_end).collect();
        write!(page, "\n## {name}\n\n```text\n{}\n```\n", help.join("\n")).unwrap();
    }
    holds("reference/command-line.md", &page);
}

#[test]
fn the_page_of_authorities_is_the_table_that_ids_are_derived_by() {
    let mut page = "# Authorities\n\nA register row carries no organisation id; it is derived as \
                    `PSD` + country + `-` + the authority's code + `-` + the national reference \
                    (TS 119 495 §5.2.1, codes of annex D). Where the register's own code of an \
                    authority (`CA_OwnerID`) has other letters than these, both lead to the row, \
                    and `octroi register lint` says so. The reference counts octet for octet: \
                    `1-23`, `123` and `12 3` are three firms.\n\nIn France the third part is the \
                    bank code (CIB). The EBA's register of payment institutions writes the SIREN \
                    there, so a French firm is found through REGAFI, which has both.\n\n\
                    | country | codes | authority | reference |\n|---|---|---|---|\n"
        .to_owned();
    for authority in policies::register::AUTHORITIES {
        let reference = match authority.reference {
            policies::register::Reference::AsWritten => "as written",
            policies::register::Reference::Cib => "CIB",
        };
        let codes: Vec<String> =
            authority.codes.iter().map(|code| format!("`{}-{code}`", authority.country)).collect();
        let (country, codes, name) = (authority.country, codes.join(", "), authority.name);
        writeln!(page, "| {country} | {codes} | {name} | {reference} |").unwrap();
    }
    holds("reference/authorities.md", &page);
}

#[test]
fn the_configuration_page_names_every_key_of_the_schema() {
    let schema = root().join("docs/src/reference/octroi.schema.json");
    let schema: Value = serde_json::from_slice(&fs::read(schema).unwrap()).unwrap();
    let mut page = "# Configuration\n\nOne TOML file. Paths in it are relative to its directory; \
                    durations are texts such as \"10s\". Unknown keys are refused with the nearest \
                    known one. Complete files: `deploy/examples/` and the `octroi.toml` that \
                    `octroi sandbox` writes. The same as [JSON Schema](octroi.schema.json).\n\n\
                    Addresses and secrets may come from the environment instead: \
                    `OCTROI_<SECTION>__<KEY>`, for example `OCTROI_STORE__REDIS`.\n\n\
                    | key | is |\n|---|---|\n"
        .to_owned();
    keys(&schema, &schema, "", &mut page);
    holds("reference/configuration.md", &page);
}

/// Walks the schema depth first; lists are written as in TOML, `[[api]]` as `api[]`.
fn keys(schema: &Value, at: &Value, path: &str, page: &mut String) {
    let at = resolved(schema, at);
    let Some(properties) = at["properties"].as_object() else { return };
    let required = at["required"].as_array();
    for (name, property) in properties {
        let own = resolved(schema, property);
        let (inner, path) = match own["items"].as_object() {
            Some(_) if resolved(schema, &own["items"])["properties"].is_object() => {
                (resolved(schema, &own["items"]), format!("{path}{name}[]"))
            }
            _ => (own, format!("{path}{name}")),
        };
        let said = property["description"].as_str().or(own["description"].as_str());
        let said = said.unwrap_or_default().replace('\n', " ").replace('|', "\\|");
        let must = required.is_some_and(|list| list.iter().any(|known| known == name));
        let default = match &property["default"] {
            Value::Null => String::new(),
            default => format!(" Default: `{default}`."),
        };
        let must = if must { " Required." } else { "" };
        writeln!(page, "| `{path}` | {said}{must}{default} |").unwrap();
        keys(schema, inner, &format!("{path}."), page);
    }
}

fn resolved<'s>(schema: &'s Value, at: &'s Value) -> &'s Value {
    let nullable =
        at["anyOf"].as_array().and_then(|any| any.iter().find(|one| !one["$ref"].is_null()));
    let at = nullable.unwrap_or(at);
    match at["$ref"].as_str().and_then(|name| name.strip_prefix('#')) {
        Some(pointer) => schema.pointer(pointer).unwrap_or(at),
        None => at,
    }
}

#[test]
fn every_page_that_is_linked_exists() {
    let source = root().join("docs/src");
    let mut pages = vec![root().join("README.md")];
    collect(&source, &mut pages);
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        assert!(!text.trim().is_empty(), "{} is empty", page.display());
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (target, heading) = link.split_once('#').unwrap_or((link, ""));
            if target.contains("://") {
                continue;
            }
            let file = match target {
                "" => page.clone(),
                target => page.parent().unwrap().join(target),
            };
            assert!(file.exists(), "{} links to {target}", page.display());
            if !heading.is_empty() && file.extension().is_some_and(|extension| extension == "md") {
                let there = headings(&fs::read_to_string(&file).unwrap());
                assert!(there.iter().any(|known| known == heading), "{}: {link}", page.display());
            }
        }
    }
}

/// The headings of a page as a link names them: in lower case, blanks as hyphens, without signs.
fn headings(text: &str) -> Vec<String> {
    let mut in_code = false;
    let lines = text.lines().filter(|line| {
        in_code ^= line.starts_with("```");
        !in_code && line.starts_with('#')
    });
    let plain = |c: char| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c.to_ascii_lowercase()),
        _ => None,
    };
    lines
        .map(|line| line.trim_start_matches('#').trim().chars().filter_map(plain).collect())
        .collect()
}

#[test]
fn every_page_of_the_book_stands_in_its_summary() {
    let source = root().join("docs/src");
    let summary = fs::read_to_string(source.join("SUMMARY.md")).unwrap();
    let mut pages = Vec::new();
    collect(&source, &mut pages);
    for page in pages {
        let name = page.strip_prefix(&source).unwrap().to_str().unwrap();
        let named = name == "SUMMARY.md" || summary.contains(&format!("({name})"));
        assert!(named, "docs/src/{name} is in no chapter of SUMMARY.md: nobody finds it");
    }
}

fn collect(folder: &Path, pages: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, pages);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
}

#[test]
fn every_command_that_is_shown_works_and_prints_what_is_shown() {
    let gateway = Gateway::sandbox();
    let port = gateway.addresses.tpp.port().to_string();
    let place = tempfile::tempdir().unwrap();
    fs::create_dir_all(place.path().join("target/debug")).unwrap();
    symlink(octroi(), place.path().join("target/debug/octroi")).unwrap();
    symlink(gateway.place().dir(), place.path().join(".octroi-sandbox")).unwrap();
    let binaries = place.path().join("target/debug");
    let path = format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap());
    let pages = [
        ("README.md", 3),
        ("docs/src/first-call.md", 4),
        ("docs/src/fallback.md", 2),
        ("docs/src/identity.md", 1),
        ("docs/src/operating/registers.md", 2),
        ("docs/src/operating/rehearse.md", 1),
        ("docs/src/operating/time-machine.md", 1),
        ("docs/src/signatures.md", 4),
        ("docs/src/enrolment.md", 4),
        ("docs/src/reference/corpus.md", 1),
    ];
    for (page, commands) in pages {
        let text =
            fs::read_to_string(root().join(page)).unwrap().replace(":8443", &format!(":{port}"));
        let mut token = String::new();
        let mut ran = 0;
        for block in text.split("```console\n").skip(1) {
            let block = block.split("```").next().unwrap();
            let Some(command) = block.strip_prefix("$ ") else { panic!("{page}: {block}") };
            // Building and testing are what this test is part of.
            if command.starts_with("make ") {
                continue;
            }
            let mut lines = command.lines();
            let mut script = String::new();
            for line in lines.by_ref() {
                script.push_str(line);
                script.push('\n');
                if !line.ends_with('\\') {
                    break;
                }
            }
            let shown: Vec<&str> = lines.collect();
            let script = format!("{token}{script}");
            if command.starts_with("TOKEN=") {
                token.clone_from(&script);
            }
            let output = Command::new("sh")
                .args(["-c", &script])
                .current_dir(place.path())
                .env("RUST_BACKTRACE", "0")
                .env("PATH", &path)
                .output()
                .unwrap();
            let printed = String::from_utf8_lossy(&output.stdout).into_owned();
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(errors.is_empty(), "{page}: {script}: {errors}");
            if !shown.is_empty() {
                assert_eq!(printed.trim_end(), shown.join("\n").trim_end(), "{page}: {script}");
            }
            ran += 1;
        }
        assert!(ran >= commands, "{page} shows commands");
    }
}
