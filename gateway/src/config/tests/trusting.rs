//! Certificates, keys and lists: what must belong together, and what must stay apart.

use super::material::{Authority, Place, SOUND, changed, other_key};
use super::refused;

#[test]
fn a_key_of_another_certificate_is_refused() {
    let place = Place::new();
    place.write("tpp.key", other_key());
    let problems = place.problems(SOUND);
    let keys: Vec<_> = problems.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(keys, ["listen.tpp.key_file", "listen.psu.key_file"]);
    assert!(problems[0].what.contains("listen.tpp.certificate"), "{}", problems[0]);
}

#[test]
fn certificates_and_keys_that_do_not_parse_are_refused() {
    let place = Place::new();
    place.copy("admin.key", "broken");
    let text = SOUND.replacen("certificate = \"tpp.pem\"", "certificate = \"broken\"", 1);
    let text = text.replacen("key_file = \"tpp.key\"", "key_file = \"broken\"", 1);
    let keys: Vec<_> = place.problems(&text).into_iter().map(|problem| problem.key).collect();
    assert_eq!(keys, ["listen.tpp.certificate", "listen.tpp.key_file"]);
}

#[test]
fn a_key_with_a_pass_phrase_is_refused_and_nobody_is_asked_for_it() {
    let place = Place::new();
    let key = openssl::pkey::PKey::private_key_from_pem(&other_key()).unwrap();
    let cipher = openssl::symm::Cipher::aes_256_cbc();
    place.write("tpp.key", key.private_key_to_pem_pkcs8_passphrase(cipher, b"x").unwrap());
    assert!(place.problems(SOUND)[0].mend.contains("no pass phrase"));
}

#[cfg(unix)]
#[test]
fn a_key_that_others_can_read_is_a_warning() {
    use std::os::unix::fs::PermissionsExt;

    let place = Place::new();
    assert_eq!(place.config(SOUND).warnings(), [""; 0]);
    let mode = std::fs::Permissions::from_mode(0o640);
    std::fs::set_permissions(place.path("audit.key"), mode).unwrap();
    let warnings = place.config(SOUND).warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].starts_with("audit.key_file: "), "{warnings:?}");
}

#[test]
fn anchors_without_any_crl_are_refused_unless_insecure() {
    let problem = refused("crls = [\"ca.crl\"]", "");
    assert_eq!(problem.key, "trust.crls");
    assert!(problem.what.contains("Issuing CA"), "{problem}");
    assert!(problem.mend.contains("insecure.revocation_unchecked"), "{problem}");
    let text = changed("crls = [\"ca.crl\"]", "");
    let text = format!("{text}[insecure]\nrevocation_unchecked = true\n");
    let warnings = Place::new().config(&text).warnings();
    assert!(warnings.iter().any(|line| line.contains("revocation_unchecked")), "{warnings:?}");
}

#[test]
fn one_anchor_among_others_without_a_crl_is_refused() {
    let place = Place::new();
    place.write("more.pem", Authority::new("Second CA", "Example").pem());
    let anchors = "anchors = [\"anchors.pem\", \"more.pem\"]";
    let problems = place.problems(&changed("anchors = [\"anchors.pem\"]", anchors));
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].what.contains("Second CA"), "{}", problems[0]);
}

#[test]
fn a_file_that_is_no_anchor_or_no_crl_is_refused_by_its_place() {
    let place = Place::new();
    place.write("broken", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let text = changed("[\"anchors.pem\"]", "[\"anchors.pem\", \"broken\"]");
    assert_eq!(place.problems(&text)[0].key, "trust.anchors[1]");
    let text = changed("[\"ca.crl\"]", "[\"ca.crl\", \"broken\"]");
    assert_eq!(place.problems(&text)[0].key, "trust.crls[1]");
}

#[test]
fn sandbox_parts_beside_a_real_domain_are_refused_one_by_one() {
    let place = Place::new();
    let test_qtsp = Authority::new("Octroi Test Issuing CA", "Octroi Test QTSP");
    place.write("anchors.pem", test_qtsp.pem());
    place.write("ca.crl", test_qtsp.crl());
    let text = changed("addresses = [\"127.0.0.1:8080\"]", "sandbox_bank = true");
    let text = format!("{text}[[domain]]\nname = \"sandbox.api.localhost\"\n[sandbox]\n");
    let mut keys: Vec<_> = place.problems(&text).into_iter().map(|problem| problem.key).collect();
    keys.sort();
    let expected =
        ["codetab[0].upstream.sandbox_bank", "domain[1].name", "sandbox", "trust.anchors"];
    assert_eq!(keys, expected);
}

#[test]
fn sandbox_parts_alone_are_welcome_and_told() {
    let place = Place::new();
    let test_qtsp = Authority::new("Octroi Test Issuing CA", "Octroi Test QTSP");
    place.write("anchors.pem", test_qtsp.pem());
    place.write("ca.crl", test_qtsp.crl());
    let text = changed("addresses = [\"127.0.0.1:8080\"]", "sandbox_bank = true");
    let text = text.replacen("psd2.example-bank.fr", "Sandbox.API.localhost", 1);
    let config = place.config(&format!("{text}[sandbox]\npersonas = true\n"));
    assert!(config.sandbox.is_some_and(|sandbox| sandbox.personas));
    assert!(config.warnings().iter().any(|line| line.contains("test QTSP")));
}

#[test]
fn a_test_qtsp_is_found_even_where_the_rest_of_the_trust_is_broken() {
    let place = Place::new();
    place.write("anchors.pem", Authority::new("A", "Octroi Test QTSP").pem());
    let problems = place.problems(&changed("crls = [\"ca.crl\"]", "crls = [\"missing.crl\"]"));
    assert!(problems.iter().any(|problem| problem.what.contains("test QTSP")), "{problems:?}");
}
