//! `[quota.*]`: what a limit may be.

use policies::quota::{Attendance, Measure, Per};

use super::super::Config;
use super::material::{self, Place};
use super::refused;

/// The one limit of the sound configuration, replaced.
const SOUND: &str = "[quota.funds]\nrequests = 120\nperiod = \"1m\"\n";

fn sound(limit: &str) -> Config {
    let place = Place::new();
    read(&place, &material::changed(SOUND, limit))
}

fn read(place: &Place, text: &str) -> Config {
    Config::parse(text, &place.path("octroi.toml")).unwrap()
}

#[test]
fn a_limit_says_how_it_counts_whom_and_which_requests() {
    let special = "[quota.unattended]\nrequests = 4\nperiod = \"24h\"\nexact = true\n\
                   per = [\"tpp\", \"account\"]\ncounts = \"unattended\"\nroles = [\"PSP_AI\"]\n";
    let text = material::changed(SOUND, &format!("{SOUND}{special}"));
    let text = text.replace("quota = \"funds\"", "quota = [\"funds\", \"unattended\"]");
    let config = read(&Place::new(), &text);
    let quota = &config.apis[0].quotas[1];
    assert!(matches!(quota.measure, Measure::Window { .. }));
    assert_eq!(quota.per, Per { tpp: true, account: true, ..Per::default() });
    assert_eq!(quota.counts, Attendance::Unattended);
    assert_eq!(quota.roles.len(), 1);

    let config = sound(SOUND);
    let usual = Per { tpp: true, api: true, ..Per::default() };
    assert_eq!(config.apis[0].quotas[0].per, usual);
}

#[test]
fn several_limits_may_count_one_api() {
    let place = Place::new();
    let text = material::changed(SOUND, &format!("{SOUND}[quota.core]\nconcurrent = 40\n"));
    let text = text.replace("quota = \"funds\"", "quota = [\"funds\", \"core\"]");
    let config = read(&place, &text);
    let names: Vec<&str> = config.apis[0].quotas.iter().map(|quota| quota.name.as_str()).collect();
    assert_eq!(names, ["funds", "core"]);
    assert_eq!(config.apis[0].quotas[1].per, Per { codetab: true, ..Per::default() });
}

#[test]
fn a_limit_that_makes_no_sense_is_refused_where_it_is_wrong() {
    for (limit, key, what) in [
        ("[quota.funds]\nconcurrent = 4\nperiod = \"1m\"\n", "quota.funds.period", "at once"),
        ("[quota.funds]\nrequests = 4\n", "quota.funds.period", "missing"),
        ("[quota.funds]\nperiod = \"1m\"\n", "quota.funds.requests", "missing"),
        (
            "[quota.funds]\nrequests = 4\nperiod = \"1m\"\nexact = true\nburst = 2\n",
            "quota.funds.burst",
            "no meaning",
        ),
        (
            "[quota.funds]\nrequests = 101\nperiod = \"1m\"\nexact = true\n",
            "quota.funds.requests",
            "at most 100",
        ),
        (
            "[quota.funds]\nrequests = 1000\nperiod = \"1s\"\nlease = \"600ms\"\n",
            "quota.funds.lease",
            "not within",
        ),
        (
            "[quota.funds]\nrequests = 1000\nperiod = \"1s\"\nlease = \"1ms\"\n",
            "quota.funds.lease",
            "not within",
        ),
        (
            "[quota.funds]\nrequests = 1\nperiod = \"1h\"\nburst = 4\nlease = \"1s\"\n",
            "quota.funds.lease",
            "many requests",
        ),
        (
            "[quota.funds]\nrequests = 4\nperiod = \"1m\"\nroles = [\"PSP_XX\"]\n",
            "quota.funds.roles[0]",
            "not a PSD2 role",
        ),
        (
            "[quota.funds]\nrequests = 4\nperiod = \"1m\"\nper = [\"ttp\"]\n",
            "quota.funds.per[0]",
            "ttp",
        ),
    ] {
        let problem = refused(SOUND, limit);
        assert_eq!(problem.key, key, "{problem}");
        assert!(problem.what.contains(what), "{problem}");
    }
    let problem = refused(
        SOUND,
        "[quota.\"fün\"]\nrequests = 4\nperiod = \"1m\"\n[quota.funds]\nrequests = 4\nperiod = \"1m\"\n",
    );
    assert!(problem.what.contains("TPPs are told this name"), "{problem}");
}

#[test]
fn an_api_needs_a_limit_on_requests_in_a_period() {
    let problem = refused(SOUND, "[quota.funds]\nconcurrent = 4\n");
    assert_eq!(problem.key, "api[0].quota");
    assert!(problem.what.contains("without end"), "{problem}");
    for evaded in ["counts = \"unattended\"", "counts = \"attended\"", "roles = [\"PSP_IC\"]"] {
        let problem = refused(SOUND, &format!("{SOUND}{evaded}\n"));
        assert!(problem.what.contains("without end"), "{evaded}: {problem}");
    }
    let twice = refused("quota = \"funds\"", "quota = [\"funds\", \"funds\"]");
    assert!(twice.what.contains("twice"), "{twice}");
    let number = refused("quota = \"funds\"", "quota = 3");
    assert!(number.what.contains("wrong kind"), "{number}");
    let empty = refused("quota = \"funds\"", "quota = []");
    assert!(empty.what.contains("without end"), "{empty}");
}

#[test]
fn a_busy_limit_that_tpps_share_is_warned_of_where_nothing_is_taken_in_advance() {
    let busy = "[quota.funds]\nrequests = 1000\nperiod = \"1s\"\nper = [\"codetab\"]\n";
    let warned = |config: &Config| config.warnings().iter().any(|text| text.contains("`lease`"));
    assert!(warned(&sound(busy)));
    assert!(!warned(&sound(&format!("{busy}lease = \"100ms\"\n"))));
}
