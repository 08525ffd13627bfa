//! What is refused of `[authorization]` and `[jwt]`.

use super::material::{Place, SOUND};
use super::refused;
use crate::config::Problem;

const SERVER: &str = "[authorization]\n\
    issuer = \"https://psu.{codetab}.example-bank.fr\"\n\
    tpp_url = \"https://www.{codetab}.example-bank.fr\"\n\
    login_url = \"https://login.example-bank.fr/psd2\"\n";
const JWT: &str = "[jwt]\n\
    issuer = \"https://as.example-bank.fr\"\n\
    audience = \"https://psd2.example-bank.fr\"\n\
    jwks_url = \"https://as.example-bank.fr/jwks\"\n\
    allow = [\"https://as.example-bank.fr\"]\n";

/// The one problem of a sound configuration with `table`, in which `line` stands for `instead`.
#[track_caller]
fn with(table: &str, line: &str, instead: &str) -> Problem {
    assert!(table.contains(line), "{line}");
    let table = table.replace(line, instead);
    refused("[store]", &format!("{table}[store]"))
}

#[test]
fn a_configuration_with_both_is_sound() {
    let text = SOUND.replace("[store]", &format!("{SERVER}{JWT}[store]"));
    let config = Place::new().config(&text);
    let server = config.authorization.as_ref().unwrap();
    assert_eq!(server.issuer.of("17515"), "https://psu.17515.example-bank.fr");
    assert_eq!(server.paths.par, "/stet/psd2/oauth/par");
    assert_eq!(config.jwt.as_ref().unwrap().algorithms.len(), 2);
}

#[test]
fn an_authorization_server_that_nobody_could_reach_or_trust_is_refused() {
    for (line, instead, key) in [
        ("https://psu.{codetab}.example-bank.fr", "http://psu.{codetab}.example-bank.fr", "issuer"),
        ("https://psu.{codetab}.example-bank.fr", "https://psu.{codetab}.example/a", "issuer"),
        ("https://www.{codetab}.example-bank.fr", "www", "tpp_url"),
        ("login_url = \"https://login.example-bank.fr/psd2\"\n", "", "login_url"),
        ("https://login.example-bank.fr/psd2", "javascript:alert(1)", "login_url"),
    ] {
        let problem = with(SERVER, line, instead);
        assert_eq!(problem.key, format!("authorization.{key}"), "{problem}");
    }
    for (line, key) in [
        ("scopes = []", "scopes"),
        ("scopes = [\"openid\"]", "scopes[0]"),
        ("client_credentials = [\"pisp\"]", "client_credentials[0]"),
        ("access_token_life = \"61m\"", "access_token_life"),
        ("access_token_life = \"100ms\"", "access_token_life"),
        ("code_life = \"11m\"", "code_life"),
        ("consent_days = 181", "consent_days"),
        ("token_path = \"/a/../b\"", "token_path"),
        ("register_path = \"/stet/psd2/oauth/token\"", ""),
        ("token_path = \"/v1/funds-confirmations\"", ""),
    ] {
        let problem = with(SERVER, "login_url", &format!("{line}\nlogin_url"));
        let key = if key.is_empty() { String::new() } else { format!(".{key}") };
        assert_eq!(problem.key, format!("authorization{key}"), "{problem}");
    }
}

#[test]
fn keys_that_would_prove_nothing_are_refused() {
    for (line, key) in [
        ("algorithms = []", "algorithms"),
        ("algorithms = [\"none\"]", "algorithms[0]"),
        ("algorithms = [\"HS256\"]", "algorithms[0]"),
        ("tolerated_for = \"5m\"", "tolerated_for"),
    ] {
        let problem = with(JWT, "issuer", &format!("{line}\nissuer"));
        assert_eq!(problem.key, format!("jwt.{key}"), "{problem}");
    }
    let problem = with(JWT, "https://as.example-bank.fr/jwks", "https://other.example/jwks");
    assert_eq!(problem.key, "jwt.jwks_url");
}
