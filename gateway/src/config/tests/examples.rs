//! The examples in `deploy/examples` are configurations, not prose.

use std::fs;

use super::material::Place;
use crate::config::{Config, UpstreamAddress};

fn example(name: &str) -> Config {
    let path = format!("{}/../deploy/examples/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(path).unwrap();
    let place = Place::new();
    for name in ["tls/tpp", "tls/psu", "tls/core-client"] {
        place.copy("tpp.pem", &format!("{name}.pem"));
        place.copy("tpp.key", &format!("{name}.key"));
    }
    place.copy("anchors.pem", "trust/anchors.pem");
    place.copy("anchors.pem", "trust/core-ca.pem");
    place.copy("ca.crl", "trust/issuing-ca.crl");
    place.copy("admin.key", "secrets/admin.key");
    place.copy("audit.key", "secrets/audit.key");
    let signing = openssl::pkey::PKey::generate_ed25519().unwrap();
    place.write("secrets/audit-signing.pem", signing.private_key_to_pem_pkcs8().unwrap());
    place.write("secrets/redis.url", "rediss://octroi:password@redis.internal:6380/0\n");
    place.copy("eba.json", "register/eba.json");
    place.copy("filemetadata.json", "register/filemetadata.json");
    place.write("register/regafi-entities.csv", "a;b\n");
    place.write("register/regafi-authorisations.csv", "a;b\n");
    place.config(&text)
}

#[test]
fn the_group_of_18_has_each_bank_with_its_own_adapter() {
    let config = example("group-of-18.toml");
    assert_eq!(config.warnings(), [""; 0]);
    assert_eq!(config.codetabs.len(), 18);
    let mut sockets: Vec<_> = config.codetabs.iter().map(|bank| &bank.upstream.address).collect();
    assert!(sockets.iter().all(|address| **address != UpstreamAddress::SandboxBank));
    sockets.sort_by_key(|address| format!("{address:?}"));
    sockets.dedup();
    assert_eq!(sockets.len(), 18);
    let ceidf = config.codetabs.iter().find(|bank| bank.codetab.code == "17515").unwrap();
    assert_eq!(ceidf.codetab.name, "CEIDF");
    let versions: Vec<_> = config.apis[0].versions.iter().map(|v| v.name.as_str()).collect();
    assert_eq!(versions, ["v1", "v1.4.2", "v1.6.2"]);
    assert_eq!(config.domains[1].closed, Some(jiff::civil::date(2025, 9, 28)));
}

#[test]
fn one_bank_needs_nothing_but_its_defaults() {
    let config = example("one-bank.toml");
    assert_eq!(config.warnings(), [""; 0]);
    assert_eq!(config.codetabs.len(), 1);
}
