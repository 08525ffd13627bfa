//! Every command that the page about `octroi audit` shows is run on the log that it speaks of, and prints
//! what the page shows. `OCTROI_BLESS=1 cargo test -p octroi-tests --test audit_docs` writes it anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::Path;
use std::process::Command;

use harness::octroi;
use octroi::audit::chain::SigningKey;
use octroi_benches::audit_log::Plan;
use openssl::pkey::{Id, PKey};

/// Always the same, so that the page stays the same.
fn key() -> SigningKey {
    let key = PKey::private_key_from_raw_bytes(&[7; 32], Id::ED25519).unwrap();
    SigningKey::from_pem(&key.private_key_to_pem_pkcs8().unwrap()).unwrap()
}

fn place() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let log = place.path().join("audit");
    fs::create_dir(&log).unwrap();
    let made =
        Plan { checkpoint_lines: 100, ..Plan::new(400, 3) }.write_signed(&log, key()).unwrap();
    fs::write(place.path().join("gateway-key.pem"), &made.public_pem).unwrap();
    let changed = place.path().join("changed");
    fs::create_dir(&changed).unwrap();
    for entry in fs::read_dir(&log).unwrap() {
        let entry = entry.unwrap();
        let mut text = fs::read_to_string(entry.path()).unwrap();
        if entry.file_name() == "access-2026-11-22.000002.jsonl" {
            let at = text.match_indices("\"organization.id\":\"PSDFR-ACPR-1").nth(100).unwrap().0;
            let digit = at + "\"organization.id\":\"PSDFR-ACPR-".len();
            text.replace_range(digit..=digit, "2");
        }
        fs::write(changed.join(entry.file_name()), text).unwrap();
    }
    place
}

#[test]
fn every_command_of_the_page_works_and_prints_what_is_shown() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/operating/audit-tools.md");
    let text = fs::read_to_string(&page).unwrap();
    let place = place();
    let path = format!("{}:/usr/bin:/bin", octroi().parent().unwrap().display());
    let mut made = String::new();
    let mut ran = 0;
    for (at, part) in text.split("```console\n$ ").enumerate() {
        if at == 0 {
            made.push_str(part);
            continue;
        }
        let (block, rest) = part.split_once("```").unwrap();
        let command = block.lines().next().unwrap();
        let output = Command::new("sh")
            .args(["-c", command])
            .current_dir(place.path())
            .env("PATH", &path)
            .env("OCTROI_AUDIT_INDEXES", place.path().join("indexes"))
            .env("RUST_BACKTRACE", "0")
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code().is_some_and(|code| code < 2), "{command}: {errors}");
        let printed = String::from_utf8(output.stdout).unwrap();
        made.push_str(&format!("```console\n$ {command}\n{printed}```{rest}"));
        ran += 1;
    }
    assert!(ran >= 6, "the page shows commands");
    if std::env::var_os("OCTROI_BLESS").is_some() {
        fs::write(&page, &made).unwrap();
    }
    assert!(
        made == fs::read_to_string(&page).unwrap(),
        "{} is out of date: run with OCTROI_BLESS=1",
        page.display()
    );
}
