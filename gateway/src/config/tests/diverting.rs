//! What a fallback must be.

use std::path::Path;

use policies::FallbackWhen;

use super::material::{Place, SOUND};
use crate::config::{Config, Judging, Problem};

const FALLBACK: &str = r#"
customer_interface = { addresses = ["127.0.0.1:8090"] }
[fallback]
when = "down"
paths = ["/login", "/accounts"]
quota = "customers"
probe_path = "/health"
[quota.customers]
requests = 60
period = "1m"
"#;

/// The sound configuration with a fallback, one text of which is another.
fn with(find: &str, replace: &str) -> String {
    let text = format!("{SOUND}{FALLBACK}");
    assert!(text.contains(find), "{find:?} does not stand in the configuration");
    text.replacen(find, replace, 1)
}

fn sound(find: &str, replace: &str) -> Config {
    Place::new().config(&with(find, replace))
}

#[track_caller]
fn refused(find: &str, replace: &str, key: &str) -> Problem {
    let problems = Place::new().problems(&with(find, replace));
    let [problem] = <[Problem; 1]>::try_from(problems).expect("exactly one problem");
    assert_eq!(problem.key, key, "{problem}");
    assert!(!problem.mend.is_empty());
    problem
}

#[test]
fn a_fallback_is_read_with_its_defaults_and_none_is_there_unless_it_is_written() {
    assert!(Place::new().config(SOUND).fallback.is_none());
    let fallback = sound("", "").fallback.unwrap();
    assert_eq!(fallback.policy.when, FallbackWhen::Down);
    assert_eq!(fallback.policy.codetabs, ["10548"]);
    assert_eq!(fallback.policy.methods, ["GET", "HEAD", "POST"]);
    assert_eq!(fallback.policy.required_roles.to_string(), "PSP_PI PSP_AI PSP_IC");
    assert_eq!(fallback.body_bytes_max, 10 * 1024 * 1024);
    assert_eq!(fallback.probe.unwrap().path, "/health");
}

#[test]
fn one_that_is_open_to_more_than_it_says_or_leads_nowhere_is_refused() {
    refused("customer_interface = { addresses = [\"127.0.0.1:8090\"] }", "", "fallback");
    refused("paths = [\"/login\", \"/accounts\"]", "paths = []", "fallback.paths");
    for path in ["login", "/a/../b", "/a//b", "/a?b", "/%61", "//", ""] {
        refused("/login", path, "fallback.paths[0]");
    }
    refused("quota = \"customers\"", "quota = \"funds\"", "fallback.quota");
    refused("quota = \"customers\"\n", "", "fallback.quota");
    refused("quota = \"customers\"", "quota = \"unheard-of\"", "fallback.quota");
    refused("[quota.customers]", "[quota.customers]\nper = [\"account\"]", "fallback.quota");
    refused("when = \"down\"\n", "", "fallback.when");
    refused("when = \"down\"", "when = \"down\"\nmethods = []", "fallback.methods");
    let roles = "when = \"down\"\nrequired_roles = ";
    refused("when = \"down\"", &format!("{roles}[]"), "fallback.required_roles");
    refused("when = \"down\"", &format!("{roles}[\"PSP_AS\"]"), "fallback.required_roles");
    refused("when = \"down\"", &format!("{roles}[\"PSP_XX\"]"), "fallback.required_roles[0]");
}

#[test]
fn one_that_would_never_close_is_refused_and_so_is_a_probe_that_closes_nothing() {
    let problem = refused("probe_path = \"/health\"\n", "", "fallback.probe_path");
    assert!(problem.mend.contains("answers 200"), "{problem}");
    refused("\"/health\"", "\"/health?deep\"", "fallback.probe_path");
    refused("\"down\"", "\"always\"", "fallback.probe_path");
}

#[test]
fn credentials_of_customers_never_leave_this_machine_in_clear() {
    let problem = refused("127.0.0.1:8090", "10.1.2.3:8090", "codetab[0].customer_interface");
    assert!(problem.mend.contains("`tls`"), "{problem}");
    refused("addresses = [\"127.0.0.1:8090\"]", "", "codetab[0].customer_interface");
}

#[test]
fn a_customer_interface_that_nothing_leads_to_is_refused() {
    let text = format!("{SOUND}customer_interface = {{ addresses = [\"127.0.0.1:8090\"] }}\n");
    let problems = Place::new().problems(&text);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0].key, "codetab[0].customer_interface");
    assert!(problems[0].mend.contains("[fallback]"), "{problems:?}");
}

#[test]
fn what_says_who_asks_can_not_be_let_through_by_configuration() {
    for name in
        ["Authorization", "Fallback", "octroi-psu", "X-Forwarded-For", "Host", "Forwarded", "a b"]
    {
        let with = format!("when = \"down\"\nheaders = [{name:?}]");
        refused("when = \"down\"", &with, "fallback.headers[0]");
    }
    let config = sound("when = \"down\"", "when = \"down\"\nheaders = [\"X-CSRF-Token\"]");
    assert_eq!(config.fallback.unwrap().headers, ["x-csrf-token"]);
}

#[test]
fn what_judges_of_it_is_kept_without_where_it_leads() {
    let config = sound("", "");
    assert!(!config.judging.contains("8090"), "{}", config.judging);
    let again = Judging::read(&config.judging, Path::new("worlds/objects/x.toml")).unwrap();
    assert_eq!(format!("{again:?}"), format!("{:?}", Judging::from(&config)));
    assert!(again.routes().unwrap().fallback().unwrap().serves("10548"));
}
