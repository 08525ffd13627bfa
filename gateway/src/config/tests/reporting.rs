//! How mistakes are told: all of them, each in its place, with a way out, and never a secret.

use proptest::prelude::*;

use super::material::{Place, SOUND, changed};
use super::refused;
use crate::config::environment::Environment;
use crate::config::{Config, ConfigProblems};

#[test]
fn all_problems_are_reported_at_once_in_the_order_of_the_file() {
    let text = SOUND
        .replacen("client_certificate = \"required\"", "client_certificate = \"none\"", 1)
        .replacen("address = \"127.0.0.1:8444\"", "adress = \"127.0.0.1:8444\"", 1)
        .replacen("anchors = [\"anchors.pem\"]", "anchors = []", 1)
        .replacen("embedded = \"store.redb\"", "embedded = 7", 1)
        .replacen("required_roles = [\"PSP_IC\"]", "required_roles = []", 1)
        .replacen("\"10548\"", "10548", 1);
    let problems = Place::new().problems(&text);
    let keys: Vec<_> = problems.iter().map(|problem| problem.key.as_str()).collect();
    let expected = [
        "listen.tpp.client_certificate",
        "listen.psu.address",
        "listen.psu.adress",
        "trust.anchors",
        "store",
        "store.embedded",
        "api[0].required_roles",
        "codetab[0].code",
    ];
    let mut found = keys.clone();
    found.retain(|key| expected.contains(key));
    assert_eq!(found, expected, "{problems:#?}");
    assert!(problems.iter().all(|problem| problem.line.is_some() && !problem.mend.is_empty()));
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_known_one() {
    for (find, replace, key, mend) in [
        ("crls", "crl", "trust.crl", "`crls`"),
        ("[listen.admin]", "[listen.amdin]", "listen.amdin", "`admin`"),
        ("scopes", "scope", "api[0].scope", "`scopes`"),
        ("[trust]", "[trust]\npublic_url = 1", "trust.public_url", "`listen.psu."),
        ("upstream = { ", "upstream = { zzz = 1, ", "codetab[0].upstream.zzz", "connect_timeout"),
    ] {
        let problems = Place::new().problems(&changed(find, replace));
        let problem = problems.iter().find(|problem| problem.key == key);
        let problem = problem.unwrap_or_else(|| panic!("{key}: {problems:#?}"));
        assert_eq!(problem.what, "is not a known key");
        assert!(problem.mend.contains(mend), "{problem}");
    }
}

#[test]
fn a_mistake_of_syntax_has_line_and_column_and_does_not_quote_the_line() {
    let line = "redis = \"redis://:hunter2@10.0.0.1\" oops";
    let problems = Place::new().problems(&changed("embedded = \"store.redb\"", line));
    assert_eq!((problems[0].line, problems[0].column), (Some(22), Some(37)), "{problems:?}");
    assert!(!ConfigProblems(problems).to_string().contains("hunter2"));
}

#[test]
fn a_file_that_is_missing_empty_or_too_large_is_named_with_its_key() {
    let problem = refused("\"eba.json\"", "\"nowhere.json\"");
    assert_eq!(problem.key, "register.eba.file");
    assert!(problem.what.contains("nowhere.json"), "{problem}");
    let place = Place::new();
    place.write("eba.json", "");
    assert!(place.problems(SOUND)[0].what.contains("eba.json is empty"));
    place.write("filemetadata.json", vec![b' '; 65 * 1024]);
    let large = place.problems(SOUND);
    assert!(large.iter().any(|problem| problem.key == "register.eba.metadata"), "{large:?}");
}

#[test]
fn a_configuration_that_is_missing_or_not_text_is_one_problem() {
    let place = Place::new();
    let missing = Config::load(&place.path("octroi.toml")).unwrap_err();
    assert_eq!(missing.0.len(), 1, "{missing}");
    place.write("octroi.toml", [0xff, 0xfe]);
    assert_eq!(Config::load(&place.path("octroi.toml")).unwrap_err().0.len(), 1);
}

#[test]
fn a_value_of_the_wrong_kind_or_out_of_range_is_refused() {
    for (find, replace, key) in [
        ("requests = 120", "requests = \"120\"", "quota.funds.requests"),
        ("requests = 120", "requests = -1", "quota.funds.requests"),
        ("requests = 120", "requests = 1.5", "quota.funds.requests"),
        ("method = \"POST\"", "method = \"PATCH\"", "api[0].method"),
        ("body = \"funds-confirmation\"", "body = \"any\"", "api[0].body"),
        ("scopes = [\"cbpii\"]", "scopes = \"cbpii\"", "api[0].scopes"),
        ("scopes = [\"cbpii\"]", "scopes = [1]", "api[0].scopes[0]"),
    ] {
        assert_eq!(refused(find, replace).key, key);
    }
}

#[test]
fn secrets_never_appear_in_problems_or_in_debug() {
    let place = Place::new();
    place.write("admin.key", "tell-nobody");
    place.write("audit.key", "tell-nobody");
    place.write("redis.url", "http://:tell-nobody@10.0.0.1");
    let text = changed("embedded = \"store.redb\"", "redis_file = \"redis.url\"");
    let problems = ConfigProblems(place.problems(&text));
    assert_eq!(problems.0.len(), 3, "{problems}");
    assert!(!format!("{problems} {problems:?}").contains("tell-nobody"));

    let place = Place::new();
    place.write("redis.url", "rediss://:tell-nobody@10.0.0.1\n");
    let config = place.config(&text);
    let shown = format!("{:?} {:?} {:?}", config.listen, config.store, config.audit);
    assert!(shown.contains("[redacted]") && !shown.contains("tell-nobody"));
    assert!(!shown.contains("0123456789abcdef"), "the admin key is shown");
    assert!(!format!("{config:?}").contains("tell-nobody"));
}

#[test]
fn a_variable_takes_precedence_over_the_file() {
    let place = Place::new();
    let file = place.path("octroi.toml");
    let set = |name: &str, value: &str| Environment::from([(name.to_owned(), value.to_owned())]);
    let environment = set("OCTROI_LISTEN_TPP__ADDRESS", "127.0.0.1:1");
    let config = Config::read(SOUND, &file, &environment).unwrap();
    assert_eq!(config.listen.tpp.address.port(), 1);

    let environment = set("OCTROI_LISTEN_TPP__ADDRESS", "nowhere");
    let problem = Config::read(SOUND, &file, &environment).unwrap_err().0.remove(0);
    assert_eq!((problem.line, problem.key.as_str()), (None, "listen.tpp.address"));
    assert!(problem.what.contains("OCTROI_LISTEN_TPP__ADDRESS"), "{problem}");

    let text = changed("embedded = \"store.redb\"\n", "");
    let environment = set("OCTROI_STORE__REDIS", "redis://:tell-nobody@127.0.0.1");
    assert!(Config::read(&text, &file, &environment).is_ok());
}

#[test]
fn a_variable_that_would_be_ignored_is_refused_with_the_right_name() {
    let place = Place::new();
    for (name, right) in [
        ("OCTROI_STORE_REDIS", "OCTROI_STORE__REDIS"),
        ("OCTROI_LISTEN_TPP__ADRESS", "OCTROI_LISTEN_TPP__ADDRESS"),
    ] {
        let environment = Environment::from([(name.to_owned(), "tell-nobody".to_owned())]);
        let refused = Config::read(SOUND, &place.path("octroi.toml"), &environment).unwrap_err();
        assert!(refused.0[0].mend.contains(right), "{refused}");
        assert!(!refused.to_string().contains("tell-nobody"));
    }
    let other = Environment::from([("OCTROI_CONFIG".to_owned(), "x".to_owned())]);
    assert!(Config::read(SOUND, &place.path("octroi.toml"), &other).is_ok());
}

proptest! {
    #[test]
    fn arbitrary_text_is_never_accepted_and_never_panics(text in "\\PC*") {
        prop_assert!(Config::parse(&text, "octroi.toml".as_ref()).is_err());
    }

    #[test]
    fn a_mutated_configuration_never_panics(
        at in 0..SOUND.len(),
        cut in 0..40usize,
        insert in "[\\[\\]{}=\".,\n a-z0-9é-]{0,8}",
    ) {
        let mut text = SOUND.to_owned();
        let end = (at + cut).min(text.len());
        text.replace_range(at..end, &insert);
        if let Err(problems) = Config::parse(&text, "nowhere/octroi.toml".as_ref()) {
            prop_assert!(!problems.0.is_empty());
        }
    }
}
