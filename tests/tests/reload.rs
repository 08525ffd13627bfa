//! A configuration that changes while the gateway serves: taken in whole or not at all, by the next
//! request, with no connection cut.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::thread;
use std::time::Duration;

use harness::client::{Request, post};
use harness::gateway::{GILLES_IBAN, Gateway, HOST, body, path_text, upstream};
use harness::load::{Asker, Load, tally};
use harness::upstream::{Manner, Upstream};
use harness::{eventually, run};

/// A gateway before a bank of the test, and a token for it.
fn before(bank: &Upstream, change: impl FnOnce(&mut toml::Table)) -> (Gateway, String) {
    let sandbox = Gateway::sandbox();
    let token = sandbox.fresh_token("funds-co", "gilles", &[]);
    let settings = bank.settings();
    let gateway = Gateway::run_in(sandbox.leave(), |config| {
        upstream(config, "17515", settings);
        change(config);
    });
    (gateway, token)
}

fn bank() -> Upstream {
    Upstream::start(Manner::default())
}

/// Writes another configuration in the place of the one that runs, whole.
fn rewrite(gateway: &Gateway, change: impl FnOnce(&mut toml::Table)) {
    let mut config = gateway.config();
    change(&mut config);
    replace(gateway, &toml::to_string(&config).unwrap());
}

fn replace(gateway: &Gateway, text: &str) {
    let (file, new) = (gateway.config_file(), gateway.place().file("new.toml"));
    fs::write(&new, text).unwrap();
    fs::rename(new, file).unwrap();
}

fn count(gateway: &Gateway, outcome: &str) -> u32 {
    let series = format!("octroi_config_reloads_total{{outcome=\"{outcome}\"}} ");
    let metrics = gateway.metrics();
    let line = metrics.lines().find_map(|line| line.strip_prefix(&series)).unwrap();
    line.parse().unwrap()
}

/// Sends SIGHUP and waits until it has come to this.
fn hang_up(gateway: &Gateway, outcome: &str) {
    let before = count(gateway, outcome);
    gateway.signal("HUP");
    eventually("the configuration is read again", || {
        (count(gateway, outcome) > before).then_some(())
    });
}

/// A limit on all APIs; used up requests are counted one by one.
fn limit(config: &mut toml::Table, requests: i64) {
    let quota = format!("requests = {requests}\nperiod = \"24h\"\nexact = true");
    let quota: toml::Table = quota.parse().unwrap();
    config["quota"].as_table_mut().unwrap().insert("few".to_owned(), quota.into());
    for api in config["api"].as_array_mut().unwrap() {
        api.as_table_mut().unwrap().insert("quota".to_owned(), "few".into());
    }
}

#[test]
fn a_limit_that_changes_counts_for_the_next_request_of_an_open_connection_and_forgets_nothing() {
    let bank = bank();
    let (gateway, token) = before(&bank, |config| limit(config, 10));
    let mut connection = gateway.tpp("funds-co").connect(HOST).unwrap();
    let octets = gateway.request(&token).octets();
    for _ in 0..3 {
        assert_eq!(connection.exchange(&octets).unwrap().status, 200);
    }
    rewrite(&gateway, |config| limit(config, 4));
    hang_up(&gateway, "ok");
    let answer = connection.exchange(&octets).unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.header("ratelimit").unwrap().starts_with("\"few\";r=0;"), "{answer:?}");
    assert_eq!(connection.exchange(&octets).unwrap().code(), "quota_exceeded");
    rewrite(&gateway, |config| limit(config, 10));
    hang_up(&gateway, "ok");
    let answer = connection.exchange(&octets).unwrap();
    assert!(answer.header("ratelimit").unwrap().starts_with("\"few\";r=5;"), "{answer:?}");
}

#[test]
fn a_request_ends_where_it_began_and_the_next_one_goes_to_the_new_adapter() {
    let slow = Upstream::start(Manner { delay: Duration::from_secs(3), ..Manner::default() });
    let new = bank();
    let (gateway, token) = before(&slow, |_| {});
    let octets = gateway.request(&token).octets();
    let client = gateway.tpp("funds-co");
    let asking = {
        let (client, octets) = (client.clone(), octets.clone());
        thread::spawn(move || client.connect(HOST).unwrap().exchange(&octets).unwrap())
    };
    eventually("the old adapter has it", || (slow.heard().len() == 1).then_some(()));
    let settings = new.settings();
    rewrite(&gateway, |config| upstream(config, "17515", settings));
    hang_up(&gateway, "ok");
    assert!(!asking.is_finished(), "the old adapter takes longer than the reload");
    assert_eq!(client.connect(HOST).unwrap().exchange(&octets).unwrap().status, 200);
    assert_eq!((slow.heard().len(), new.heard().len()), (1, 1));
    assert_eq!(asking.join().unwrap().status, 200);
}

#[test]
fn a_codetab_that_goes_takes_its_series_along_and_comes_back_when_the_file_does() {
    let bank = bank();
    let (gateway, token) = before(&bank, |_| {});
    let ask = || gateway.tpp("funds-co").send(&gateway.request(&token));
    assert_eq!(ask().status, 200);
    let known = "octroi_requests_total{api=\"funds-confirmation\",codetab=\"17515\"";
    assert!(gateway.metrics().contains(known), "{}", gateway.metrics());
    let with = fs::read_to_string(gateway.config_file()).unwrap();
    rewrite(&gateway, |config| {
        let codetabs = config["codetab"].as_array_mut().unwrap();
        codetabs.retain(|codetab| codetab["code"].as_str() != Some("17515"));
        // It is the only one that has a fallback.
        config.remove("fallback");
    });
    // Nobody has to be told that the file changed.
    eventually("the bank is gone", || (ask().code() == "host_unknown").then_some(()));
    let metrics = gateway.metrics();
    assert!(!metrics.contains("codetab=\"17515\""), "{metrics}");
    replace(&gateway, &with);
    eventually("the bank is back", || (ask().status == 200).then_some(()));
    assert!(gateway.metrics().contains(known));
}

#[test]
fn what_cannot_be_used_changes_nothing_and_every_problem_is_told_with_its_line_and_key() {
    let bank = bank();
    let (gateway, token) = before(&bank, |config| limit(config, 100));
    let sound = fs::read_to_string(gateway.config_file()).unwrap();
    rewrite(&gateway, |config| {
        limit(config, 50);
        config["listen"]["tpp"]["client_certificate"] = "optional".into();
        config["api"][0]["required_roles"] = vec!["PSP_XX"].into();
    });
    hang_up(&gateway, "failed");
    let log = gateway.place().log();
    for key in ["listen.tpp.client_certificate", "api[0].required_roles[0]"] {
        let told = log.lines().find(|line| line.contains(key)).unwrap_or_else(|| panic!("{log}"));
        assert!(told.contains("changed.toml:"), "{told}");
    }
    assert!(gateway.metrics().contains("octroi_config_last_reload_successful 0"));
    let answer = gateway.tpp("funds-co").send(&gateway.request(&token));
    assert!(answer.header("ratelimit").unwrap().starts_with("\"few\";r=99;"), "{answer:?}");
    replace(&gateway, &sound);
    eventually("the sound file counts again", || {
        gateway.metrics().contains("octroi_config_last_reload_successful 1").then_some(())
    });
}

#[test]
fn a_key_that_only_a_start_takes_in_refuses_the_whole_file_and_is_named() {
    let bank = bank();
    let (gateway, token) = before(&bank, |config| limit(config, 100));
    rewrite(&gateway, |config| {
        limit(config, 50);
        config["listen"]["tpp"]["address"] = "127.0.0.1:1".into();
        let audit = config["audit"].as_table_mut().unwrap();
        audit.insert("queue_records_max".to_owned(), 4321.into());
    });
    let told = run(&["reload", "--config", path_text(&gateway.config_file())]);
    assert_eq!(told.status.code(), Some(1));
    let told = String::from_utf8(told.stderr).unwrap();
    for key in ["listen.tpp.address: a running", "audit.queue_records_max: a running"] {
        assert!(told.contains(key), "{told}");
    }
    assert!(told.contains("restart or upgrade") && !told.contains("quota"), "{told}");
    let answer = gateway.tpp("funds-co").send(&gateway.request(&token));
    assert!(answer.header("ratelimit").unwrap().starts_with("\"few\";r=99;"), "{answer:?}");
}

#[test]
fn the_difference_is_told_to_who_asks_and_to_the_access_log_and_the_same_before_it_is_made() {
    let bank = bank();
    let (gateway, _) = before(&bank, |_| {});
    let config = gateway.config_file();
    let old = gateway.place().file("old.toml");
    fs::copy(&config, &old).unwrap();
    rewrite(&gateway, |config| {
        config["limits"]["body_bytes_max"] = 4000.into();
        let adapter = config["codetab"][10]["upstream"].as_table_mut().unwrap();
        adapter.insert("idle_timeout".to_owned(), "7s".into());
        config["drain"]["delay"] = "1s".into();
    });
    let code = gateway.config()["codetab"][10]["code"].as_str().unwrap().to_owned();
    let changed = format!("codetab[{code}].upstream.idle_timeout: added \"7s\"");
    let before = run(&["check", "--config", path_text(&config), "--against", path_text(&old)]);
    assert!(before.status.success());
    let before = String::from_utf8(before.stdout).unwrap();
    assert!(before.contains(&changed), "{before}");
    assert_eq!(gateway.admin("/reload").status, 405);
    let told = run(&["reload", "--config", path_text(&config)]);
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(
        told.contains(&changed) && told.contains("limits.body_bytes_max: 16384 → 4000"),
        "{told}"
    );
    for line in told.lines().filter(|line| *line != "in force") {
        assert!(before.contains(line), "{line} in {before}");
    }
    let event = eventually("the event", || {
        let mut events = gateway.place().events().into_iter();
        events.find(|event| event["event.action"] == "config_reloaded")
    });
    let message = event["message"].as_str().unwrap();
    assert!(message.contains(&changed), "{message}");
    let sha256 = event["octroi.subject"].as_str().unwrap();
    let info = format!("octroi_config_info{{sha256=\"{sha256}\"}} 1");
    let metrics = gateway.metrics();
    assert!(metrics.contains(&info) && metrics.matches("octroi_config_info{").count() == 1);
    let again = run(&["reload", "--config", path_text(&config)]);
    assert_eq!(String::from_utf8(again.stdout).unwrap(), "nothing has changed\n");
}

#[test]
fn more_connections_than_there_are_descriptors_for_are_refused_with_the_number_that_fits() {
    let place = Gateway::sandbox().leave().under(&["prlimit", "--nofile=1024:1024"]);
    let most = |most: i64| {
        move |config: &mut toml::Table| {
            let limits = config["limits"].as_table_mut().unwrap();
            limits.insert("connections_max".to_owned(), most.into());
        }
    };
    let gateway = Gateway::run_in(place, most(50));
    let reload = || run(&["reload", "--config", path_text(&gateway.config_file())]);
    let old = gateway.place().file("old.toml");
    fs::copy(gateway.config_file(), &old).unwrap();
    rewrite(&gateway, most(5000));
    let told = reload();
    assert_eq!(told.status.code(), Some(1));
    let told = String::from_utf8(told.stderr).unwrap();
    assert!(told.contains("limits.connections_max: there is room for"), "{told}");
    assert!(told.contains("RLIMIT_NOFILE"), "{told}");
    let (_, fits) = told.split_once("room for ").unwrap();
    let fits: i64 = fits.split_once(" connections").unwrap().0.parse().unwrap();
    assert!((51..1024).contains(&fits), "{told}");

    let config = gateway.config_file();
    let before = run(&["check", "--config", path_text(&config), "--against", path_text(&old)]);
    let before = String::from_utf8(before.stdout).unwrap();
    // Of its 17 sandbox banks and this one the other end is its own, too.
    assert!(before.contains("may not open 19144 descriptors"), "{before}");

    rewrite(&gateway, most(fits));
    let told = reload();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    rewrite(&gateway, most(fits + 1));
    assert_eq!(reload().status.code(), Some(1));
}

#[test]
fn a_part_that_is_on_by_its_empty_table_comes_with_a_reload_and_a_bank_that_never_served_has_no_series()
 {
    let gateway = Gateway::configured(|_| {});
    rewrite(&gateway, |config| {
        config.insert("probe".to_owned(), toml::Table::new().into());
    });
    hang_up(&gateway, "ok");
    rewrite(&gateway, |config| {
        let banks = config["codetab"].as_array_mut().unwrap();
        for (code, address) in [("99997", "127.0.0.1:1"), ("99998", "nowhere.invalid:1")] {
            let text = format!(
                "code = \"{code}\"\nname = \"New\"\nupstream = {{ addresses = [\"{address}\"] }}"
            );
            banks.push(text.parse::<toml::Table>().unwrap().into());
        }
    });
    hang_up(&gateway, "failed");
    let metrics = gateway.metrics();
    assert!(!metrics.contains("9999"), "{metrics}");
}

#[test]
fn whoever_has_no_admin_key_cannot_have_the_configuration_read() {
    let gateway = Gateway::sandbox();
    let answer = post(gateway.addresses.admin, "/reload");
    assert_eq!(answer.status, 401);
}

#[test]
fn anchors_that_change_count_within_seconds_and_a_broken_file_leaves_them_as_they_are() {
    let bank = bank();
    let (gateway, token) = before(&bank, |config| {
        let trust = config["trust"].as_table_mut().unwrap();
        trust["anchors"] = vec!["server-ca.pem"].into();
        trust.remove("crls");
        let unchecked = toml::Table::from_iter([("revocation_unchecked".into(), true.into())]);
        config.insert("insecure".to_owned(), unchecked.into());
    });
    let ask = || gateway.tpp("funds-co").send(&gateway.request(&token));
    assert_eq!(ask().code(), "certificate_untrusted");
    let anchors = gateway.server_ca();
    let server = fs::read(&anchors).unwrap();
    let qtsp = fs::read(gateway.place().file("qtsp/anchors.pem")).unwrap();
    // Clients of the test verify the server by the same file.
    let both = [&qtsp[..], &server].concat();
    fs::write(&anchors, &both).unwrap();
    eventually("the QTSP is believed", || (ask().status == 200).then_some(()));
    fs::write(&anchors, [&both[..], b"-----BEGIN CERTIFICATE-----\nno\n"].concat()).unwrap();
    eventually("the broken file is refused", || (count(&gateway, "failed") > 0).then_some(()));
    fs::write(&anchors, &both).unwrap();
    assert_eq!(ask().status, 200);
}

#[test]
fn no_request_fails_while_the_configuration_changes_again_and_again() {
    let banks = [bank(), bank()];
    let (gateway, token) = before(&banks[0], |_| {});
    let client = gateway.tpp("funds-co");
    let asker = |_| Asker {
        client: client.clone(),
        host: HOST.to_owned(),
        request: {
            let request = gateway.request(&token);
            Box::new(move |number| {
                let body = body(GILLES_IBAN, "100").replace("MyCoverage", &format!("n{number}-"));
                Request { body, ..request.clone() }.octets()
            })
        },
        kind: 0,
    };
    let load = Load::start((0..8).map(asker).collect(), None);
    for round in 0..6 {
        let settings = banks[(round + 1) % 2].settings();
        rewrite(&gateway, |config| {
            upstream(config, "17515", settings);
            config["limits"]["keepalive_timeout"] = format!("{}s", 60 + round).into();
        });
        hang_up(&gateway, "ok");
    }
    let told = load.stop();
    let tally = tally(&told);
    assert!(tally.len() == 1 && tally.contains_key(&(200, String::new())), "{tally:?}");
    let heard: usize = banks.iter().map(|bank| bank.heard().len()).sum();
    assert_eq!(heard, told.len());
}
