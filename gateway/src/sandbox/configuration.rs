//! `octroi.toml` of the sandbox: written once out of a commented template, then only the values
//! that a start decides are set, so that what its owner changed stays.

use std::path::Path;

use jiff::Timestamp;
use serde::Deserialize;
use toml::de::{DeTable, DeValue};

use super::files::{self, Access};
use super::{Addresses, DOMAIN, SandboxError};

const TEMPLATE: &str = include_str!("template/octroi.toml");

/// Writes the configuration for the first time; `now` dates its register.
pub(super) fn provide(file: &Path, now: Timestamp) -> Result<(), SandboxError> {
    if file.exists() {
        return Ok(());
    }
    // The file writes instants to the second.
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now).to_string();
    let text =
        set(TEMPLATE, &["register", "regafi", "as_of"], &now).map_err(|why| bad(file, why))?;
    files::write(file, text.as_bytes(), Access::Public)
}

/// Sets the addresses of the three listeners, and what follows from them.
pub(super) fn set_addresses(file: &Path, addresses: Addresses) -> Result<(), SandboxError> {
    let mut text = text(file)?;
    let Addresses { tpp, psu, admin } = addresses;
    let public_url = format!("https://localhost:{}", psu.port());
    let bank_url = |port| format!("https://www.{{codetab}}.{DOMAIN}:{port}");
    for (key, value) in [
        (["listen", "tpp", "address"].as_slice(), tpp.to_string()),
        (&["listen", "psu", "address"], psu.to_string()),
        (&["listen", "psu", "public_url"], public_url),
        (&["listen", "admin", "address"], admin.to_string()),
        (&["authorization", "issuer"], bank_url(psu.port())),
        (&["authorization", "tpp_url"], bank_url(tpp.port())),
    ] {
        let value = toml::Value::String(value).to_string();
        text = set(&text, key, &value).map_err(|why| bad(file, why))?;
    }
    files::write(file, text.as_bytes(), Access::Public)
}

/// Every host name that the configuration serves, and the domains themselves.
pub(super) fn host_names(file: &Path) -> Result<Vec<String>, SandboxError> {
    #[derive(Deserialize)]
    struct Routes {
        domain: Vec<Domain>,
        codetab: Vec<Codetab>,
    }
    #[derive(Deserialize)]
    struct Domain {
        name: String,
        pattern: Option<String>,
    }
    #[derive(Deserialize)]
    struct Codetab {
        code: String,
    }
    let routes: Routes =
        toml::from_str(&text(file)?).map_err(|fault| bad(file, fault.message().to_owned()))?;
    let mut names = Vec::new();
    for Domain { name, pattern } in &routes.domain {
        let pattern = pattern.as_deref().unwrap_or("www.{codetab}.{domain}");
        names.push(name.clone());
        for Codetab { code } in &routes.codetab {
            names.push(pattern.replace("{codetab}", code).replace("{domain}", name));
        }
    }
    Ok(names)
}

fn text(file: &Path) -> Result<String, SandboxError> {
    let bytes = files::read(file)?.unwrap_or_default();
    String::from_utf8(bytes).map_err(|_| bad(file, "is not UTF-8 text".to_owned()))
}

/// `text` with the value of one key replaced by `value` (as TOML), and nothing else changed.
fn set(text: &str, key: &[&str], value: &str) -> Result<String, String> {
    let root = DeTable::parse(text).map_err(|fault| fault.message().to_owned())?;
    let missing = || format!("has no `{}`", key.join("."));
    let (name, tables) = key.split_last().ok_or_else(missing)?;
    let mut table = root.get_ref();
    for name in tables {
        table = match table.get(*name).map(toml::Spanned::get_ref) {
            Some(DeValue::Table(table)) => table,
            _ => return Err(missing()),
        };
    }
    let span = table.get(*name).ok_or_else(missing)?.span();
    let mut text = text.to_owned();
    text.replace_range(span, value);
    Ok(text)
}

fn bad(file: &Path, why: String) -> SandboxError {
    SandboxError::Configuration { file: file.to_owned(), why }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn addresses(ports: [u16; 3]) -> Addresses {
        let [tpp, psu, admin] = ports.map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        Addresses { tpp, psu, admin }
    }

    fn provided() -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("octroi.toml");
        provide(&file, "2026-11-21T04:01:54.987654Z".parse().unwrap()).unwrap();
        (dir, file)
    }

    #[test]
    fn the_default_ports_change_nothing_but_the_date_of_the_register() {
        let (_dir, file) = provided();
        set_addresses(&file, addresses([8443, 8444, 9443])).unwrap();
        let expected = TEMPLATE.replace("2026-01-01T00:00:00Z", "2026-11-21T04:01:54Z");
        assert_eq!(text(&file).unwrap(), expected);
    }

    #[test]
    fn real_ports_are_set_and_what_the_owner_changed_stays() {
        let (_dir, file) = provided();
        let owned = text(&file).unwrap().replace("requests = 600000", "requests = 3 # mine");
        files::write(&file, owned.as_bytes(), Access::Public).unwrap();
        provide(&file, Timestamp::UNIX_EPOCH).unwrap();
        set_addresses(&file, addresses([40001, 40002, 40003])).unwrap();
        let text = text(&file).unwrap();
        let table: toml::Table = text.parse().unwrap();
        let listen = table["listen"].clone();
        assert_eq!(listen["tpp"]["address"].as_str(), Some("127.0.0.1:40001"));
        assert_eq!(listen["psu"]["address"].as_str(), Some("127.0.0.1:40002"));
        assert_eq!(listen["psu"]["public_url"].as_str(), Some("https://localhost:40002"));
        assert_eq!(listen["admin"]["address"].as_str(), Some("127.0.0.1:40003"));
        assert!(text.contains("requests = 3 # mine"));
        assert_eq!(text.lines().count(), TEMPLATE.lines().count());
    }

    #[test]
    fn a_key_that_the_owner_took_out_is_named() {
        let (_dir, file) = provided();
        let broken = text(&file).unwrap().replace("public_url", "# public_url");
        files::write(&file, broken.as_bytes(), Access::Public).unwrap();
        let refused = set_addresses(&file, addresses([1, 2, 3])).unwrap_err().to_string();
        assert!(refused.contains("listen.psu.public_url"), "{refused}");
        assert_eq!(text(&file).unwrap(), broken);
    }

    #[test]
    fn the_eighteen_codetabs_have_a_host_under_each_of_the_two_domains() {
        let (_dir, file) = provided();
        let names = host_names(&file).unwrap();
        assert_eq!(names.len(), 2 * (18 + 1));
        for name in [
            "sandbox.api.localhost",
            "www.17515.sandbox.api.localhost",
            "www.42559.sandbox.api.localhost",
            "www.11315.live.api.localhost",
        ] {
            assert!(names.iter().any(|found| found == name), "{name}");
        }
    }
}
