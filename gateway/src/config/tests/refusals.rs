//! One test for each configuration that would leave the gate open, or that cannot work.

use super::material::{Place, SOUND, changed};
use super::refused;

#[test]
fn a_client_certificate_that_is_only_optional_is_refused() {
    for value in ["optional", "none", "Required", ""] {
        let line = format!("client_certificate = {value:?}");
        let problem = refused("client_certificate = \"required\"", &line);
        assert_eq!(problem.key, "listen.tpp.client_certificate");
        assert_eq!(problem.line, Some(6));
        assert!(problem.mend.contains("\"required\""), "{problem}");
    }
}

#[test]
fn a_client_certificate_that_is_not_spoken_of_is_refused() {
    let problem = refused("client_certificate = \"required\"\n", "");
    assert_eq!(problem.key, "listen.tpp.client_certificate");
    assert_eq!(problem.what, "is missing");
    assert!(problem.mend.contains("\"required\""), "{problem}");
}

#[test]
fn an_empty_anchor_set_is_refused() {
    let problem = refused("anchors = [\"anchors.pem\"]", "anchors = []");
    assert_eq!(problem.key, "trust.anchors");
}

#[test]
fn a_configuration_without_any_register_is_refused() {
    let tables = "[register.eba]\nfile = \"eba.json\"\nmetadata = \"filemetadata.json\"\n";
    assert_eq!(refused(tables, "").key, "register");
    let problem = refused(tables, "[register]\nfresh_for = \"1h\"\n");
    assert_eq!(problem.key, "register");
    assert!(problem.mend.contains("[register.eba]"), "{problem}");
}

#[test]
fn an_api_without_a_required_role_is_refused() {
    let line = "required_roles = [\"PSP_IC\"]";
    assert_eq!(refused(line, "required_roles = []").key, "api[0].required_roles");
    assert_eq!(refused(&format!("{line}\n"), "").key, "api[0].required_roles");
    let problem = refused(line, "required_roles = [\"PSP_XX\"]");
    assert_eq!(problem.key, "api[0].required_roles[0]");
    assert!(problem.what.contains("PSP_XX"), "{problem}");
}

#[test]
fn an_api_without_versions_paths_or_scopes_is_refused() {
    assert_eq!(refused("scopes = [\"cbpii\"]", "scopes = []").key, "api[0].scopes");
    let paths = "paths = [\"/v2/funds-confirmations\"]";
    assert_eq!(refused(paths, "paths = []").key, "api[0].version[1].paths");
    let version = "[[api.version]]\nname = \"v1\"\npaths = [\"/v1/funds-confirmations\"]\n\
                   successor = \"v2\"\n[[api.version]]\nname = \"v2\"\n\
                   paths = [\"/v2/funds-confirmations\"]\n";
    assert_eq!(refused(version, "").key, "api[0].version");
    assert_eq!(refused(version, "version = []\n").key, "api[0].version");
}

#[test]
fn a_path_with_more_than_one_spelling_is_refused() {
    for path in
        ["v1", "/v1/", "/", "//v1", "/v1/../v2", "/v1/%66unds", "/v1;a", "/v1?a", "/é", "/a b"]
    {
        let problem = refused("/v1/funds-confirmations", path);
        assert_eq!(problem.key, "api[0].version[0].paths[0]", "{path}");
    }
}

#[test]
fn an_admin_listener_that_other_machines_reach_is_refused_unless_insecure() {
    for address in ["0.0.0.0:9443", "[::]:9443", "10.0.0.1:9443"] {
        assert_eq!(refused("127.0.0.1:9443", address).key, "listen.admin.address");
    }
    let text = changed("127.0.0.1:9443", "0.0.0.0:9443");
    let text = format!("{text}\n[insecure]\nadmin_on_any_address = true\n");
    let config = Place::new().config(&text);
    assert!(config.warnings().iter().any(|line| line.contains("admin_on_any_address")));
}

#[test]
fn tls_to_an_adapter_without_a_name_is_refused() {
    for name in ["", " ", "a b", "host:443"] {
        let place = Place::new();
        let tls = format!(
            "upstream = {{ addresses = [\"127.0.0.1:8080\"], \
             tls = {{ name = {name:?}, ca = \"anchors.pem\" }} }}"
        );
        let text = changed("upstream = { addresses = [\"127.0.0.1:8080\"] }", &tls);
        let problems = place.problems(&text);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].key, "codetab[0].upstream.tls.name");
    }
}

#[test]
fn a_codetab_without_an_upstream_is_refused() {
    let upstream = "upstream = { addresses = [\"127.0.0.1:8080\"] }";
    assert_eq!(refused(upstream, "").key, "codetab[0].upstream");
    assert_eq!(refused(upstream, "upstream = {}").key, "codetab[0].upstream");
    assert_eq!(refused(upstream, "upstream = { addresses = [] }").key, "codetab[0].upstream");
    let both = "upstream = { addresses = [\"127.0.0.1:8080\"], sandbox_bank = true }";
    assert!(
        Place::new()
            .problems(&changed(upstream, both))
            .iter()
            .any(|problem| { problem.key == "codetab[0].upstream" })
    );
    for address in ["127.0.0.1", "127.0.0.1:0", ":8080", "user@core:80", "a b:80"] {
        let problem = refused("127.0.0.1:8080", address);
        assert_eq!(problem.key, "codetab[0].upstream.addresses[0]", "{address}");
    }
}

#[test]
fn a_store_that_is_both_or_none_is_refused() {
    let line = "embedded = \"store.redb\"";
    assert_eq!(refused(line, "").key, "store");
    let both = "embedded = \"store.redb\"\nredis = \"redis://127.0.0.1\"";
    assert_eq!(refused(line, both).key, "store");
}

#[test]
fn a_body_limit_beyond_the_retry_buffer_is_refused() {
    let place = Place::new();
    let problems = place.problems(&format!("{SOUND}\n[limits]\nbody_bytes_max = 65_537\n"));
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0].key, "limits.body_bytes_max");
    assert!(problems[0].mend.contains("65536"), "{problems:?}");
    assert!(place.problems(&format!("{SOUND}\n[limits]\nbody_bytes_max = 0\n")).len() == 1);
}

#[test]
fn a_duration_of_zero_or_without_a_unit_is_refused() {
    for text in ["0s", "-5s", "10", "soon", "", "1 fortnight"] {
        let problem = refused("period = \"1m\"", &format!("period = {text:?}"));
        assert_eq!(problem.key, "quota.funds.period", "{text}");
    }
}

#[test]
fn a_successor_that_is_no_other_version_is_refused() {
    for name in ["v3", "v1"] {
        let problem = refused("successor = \"v2\"", &format!("successor = {name:?}"));
        assert_eq!(problem.key, "api[0].version[0].successor");
    }
}

#[test]
fn duplicated_codes_names_and_paths_are_refused() {
    let place = Place::new();
    let again = [
        (
            "[[codetab]]\ncode = \"10548\"\nname = \"B\"\n\
          upstream = { addresses = [\"127.0.0.1:81\"] }\n",
            "codetab[1].code",
        ),
        ("[[domain]]\nname = \"PSD2.example-bank.fr\"\n", "domain[1].name"),
        ("[[api.version]]\nname = \"v2\"\npaths = [\"/v3/funds\"]\n", "api[0].version[2].name"),
        (
            "[[api.version]]\nname = \"v3\"\npaths = [\"/v1/funds-confirmations\"]\n",
            "api[0].version[2].paths[0]",
        ),
    ];
    for (more, key) in again {
        let problems = place.problems(&format!("{SOUND}{more}"));
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].key, key);
    }
}

#[test]
fn a_quota_that_does_not_exist_is_refused_with_the_known_ones() {
    let problem = refused("quota = \"funds\"", "quota = \"found\"");
    assert_eq!(problem.key, "api[0].quota");
    assert!(problem.mend.contains("funds"), "{problem}");
}

#[test]
fn a_codetab_that_is_not_five_digits_is_refused() {
    for code in ["1054", "105480", "1054a", "１０５４８"] {
        assert_eq!(refused("\"10548\"", &format!("{code:?}")).key, "codetab[0].code");
    }
}

#[test]
fn a_host_pattern_without_codetab_or_domain_is_refused() {
    let name = "name = \"psd2.example-bank.fr\"";
    for pattern in
        ["www.{domain}", "www.{codetab}", "{codetab}_{domain}", "{codetab}.{codetab}.{domain}"]
    {
        let problem = refused(name, &format!("{name}\npattern = {pattern:?}"));
        assert_eq!(problem.key, "domain[0].pattern", "{pattern}");
    }
}

#[test]
fn a_closing_day_that_is_no_day_is_refused() {
    let name = "name = \"psd2.example-bank.fr\"";
    for day in ["2025-09-28T00:00:00Z", "\"28/09/2025\"", "\"2025-02-30\""] {
        assert_eq!(refused(name, &format!("{name}\nclosed = {day}")).key, "domain[0].closed");
    }
    let config = Place::new().config(&changed(name, &format!("{name}\nclosed = 2025-09-28")));
    assert_eq!(config.domains[0].closed, Some(jiff::civil::date(2025, 9, 28)));
}

#[test]
fn a_register_without_one_date_is_refused() {
    let line = "metadata = \"filemetadata.json\"";
    assert_eq!(refused(line, "").key, "register.eba");
    assert_eq!(refused(line, &format!("{line}\nas_of = 2026-08-16T00:00:00Z")).key, "register.eba");
    assert_eq!(refused(line, "as_of = \"yesterday\"").key, "register.eba.as_of");
    assert_eq!(refused(line, "metadata = \"eba.json\"").key, "register.eba.metadata");
}

#[test]
fn a_balance_guard_that_could_not_work_is_refused_and_told_how_it_can() {
    let place = Place::new();
    for (line, key) in [
        ("mode = \"enforced\"", "mode"),
        ("window = \"169h\"", "window"),
        ("questions_max = 61", "questions_max"),
        ("questions_max = 3", "questions_max"),
        ("precision_percent = 0", "precision_percent"),
        ("slow_at = 7.0", "slow_at"),
        ("refuse_at = 0.5", "refuse_at"),
        ("slow_by = \"11s\"", "slow_by"),
        ("idempotent_for = \"25h\"", "idempotent_for"),
    ] {
        let problems = place.problems(&format!("{SOUND}\n[balance_guard]\n{line}\n"));
        assert_eq!(problems.len(), 1, "{line}: {problems:?}");
        assert_eq!(problems[0].key, format!("balance_guard.{key}"));
        assert!(!problems[0].mend.is_empty(), "{line}");
    }
}

#[test]
fn the_balance_guard_observes_unless_it_is_told_otherwise() {
    let place = Place::new();
    let guard = place.config(SOUND).balance_guard.unwrap();
    assert_eq!(guard.mode, policies::GuardMode::Observe);
    let of = |mode| place.config(&format!("{SOUND}\n[balance_guard]\nmode = {mode:?}\n"));
    assert_eq!(of("enforce").balance_guard.unwrap().mode, policies::GuardMode::Enforce);
    assert!(of("off").balance_guard.is_none());
}

#[test]
fn a_key_that_cannot_sign_the_access_log_is_refused() {
    let place = Place::new();
    place.write("log.pem", super::material::other_key());
    let named = "key_file = \"audit.key\"\nsigning_key_file = \"log.pem\"";
    let problems = place.problems(&changed("key_file = \"audit.key\"", named));
    assert_eq!(problems[0].key, "audit.signing_key_file");
    assert!(problems[0].mend.contains("ed25519"), "{}", problems[0]);
    let key = openssl::pkey::PKey::generate_ed25519().unwrap();
    place.write("log.pem", key.private_key_to_pem_pkcs8().unwrap());
    assert!(place.config(&changed("key_file = \"audit.key\"", named)).audit.signing_key.is_some());
}

#[test]
fn an_access_log_that_is_gone_by_noon_is_refused() {
    let line = "key_file = \"audit.key\"";
    assert_eq!(refused(line, &format!("{line}\nkeep_for = \"23h\"")).key, "audit.keep_for");
}

#[test]
fn going_on_without_an_access_log_is_said_at_each_start() {
    let line = "key_file = \"audit.key\"";
    let text = changed(line, &format!("{line}\nwhen_unwritable = \"continue-and-alarm\""));
    let warnings = Place::new().config(&text).warnings();
    assert!(
        warnings.iter().any(|line| line.starts_with("audit.when_unwritable: ")),
        "{warnings:?}"
    );
}
