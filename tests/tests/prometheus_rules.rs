//! Prometheus' rules: they parse, their own tests pass, and every alert has a page that says what to do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::dashboards::ERRORS;
use harness::rules::{Rule, folder, rules};
use policies::Reason;

const RUNBOOKS: &str = "https://docs.bank.example/octroi/runbooks";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn promtool(arguments: &[&str], files: &[PathBuf]) {
    let output = Command::new("promtool").args(arguments).args(files).output();
    let output = output.expect("promtool is missing: run `.ci/deps test`, or install Prometheus");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complained}");
}

fn tests() -> Vec<PathBuf> {
    let files = fs::read_dir(folder().join("tests")).unwrap();
    let mut files: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn promtool_understands_the_rules_and_finds_their_tests_true() {
    promtool(&["check", "rules"], &[folder().join("rules.yml"), folder().join("alerts.yml")]);
    let tests = tests();
    assert!(!tests.is_empty());
    promtool(&["test", "rules"], &tests);
}

#[test]
fn every_alert_has_a_runbook_that_its_annotation_links_and_no_runbook_is_without_alert() {
    let summary = fs::read_to_string(root().join("docs/src/SUMMARY.md")).unwrap();
    let index = fs::read_to_string(root().join("docs/src/runbooks/index.md")).unwrap();
    let mut named = BTreeSet::from(["index.md".to_owned()]);
    for rule in rules("alerts.yml") {
        let alert = rule.alert.expect("alerts.yml holds alerts only");
        let annotations = rule.annotations.expect("annotations");
        assert_eq!(annotations.runbook_url, format!("{RUNBOOKS}/{alert}.html"));
        assert!(!annotations.summary.is_empty() && !annotations.description.is_empty());
        let severity = rule.labels.expect("a severity").severity;
        assert!(["page", "ticket"].contains(&severity.as_str()), "{alert}: {severity}");
        let page = fs::read_to_string(root().join(format!("docs/src/runbooks/{alert}.md")))
            .unwrap_or_else(|error| panic!("{alert} has no runbook: {error}"));
        for part in ["## Who is hit", "## First look", "## Mend", "## Wake somebody"] {
            assert!(page.contains(part), "the runbook of {alert} lacks {part}");
        }
        // The page shows the condition as it is.
        let shown = page.split("```promql\n").nth(1).and_then(|rest| rest.split("```").next());
        let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(squeezed(shown.unwrap()), squeezed(&rule.expr), "the runbook of {alert}");
        assert!(index.contains(&format!("| [{alert}]({alert}.md) | {severity} |")), "{alert}");
        assert!(summary.contains(&format!("(runbooks/{alert}.md)")), "{alert}");
        named.insert(format!("{alert}.md"));
    }
    let pages = fs::read_dir(root().join("docs/src/runbooks")).unwrap();
    let pages: BTreeSet<String> =
        pages.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(pages, named);
}

#[test]
fn every_alert_is_seen_firing_in_a_test_of_its_own() {
    let tests: String = tests().iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    for alert in rules("alerts.yml").iter().filter_map(|rule| rule.alert.as_ref()) {
        let named = format!("alertname=\"{alert}\"");
        let mut expected = tests.lines().filter(|line| line.contains("labels: 'ALERTS{"));
        assert!(expected.any(|line| line.contains(&named)), "{alert} is not tested");
    }
}

#[test]
fn what_counts_as_an_error_is_every_reason_of_status_5xx() {
    let mut codes: Vec<&str> = Reason::ALL
        .iter()
        .filter(|reason| reason.status() >= 500)
        .map(|reason| reason.code())
        .collect();
    codes.sort_unstable();
    assert_eq!(ERRORS, codes.join("|"), "tests/src/dashboards.rs");
    let availability: Vec<Rule> = rules("rules.yml")
        .into_iter()
        .filter(|rule| rule.record.as_ref().is_some_and(|name| name.contains(":ratio_rate")))
        .filter(|rule| rule.expr.contains("reason=~"))
        .collect();
    assert!(!availability.is_empty());
    for rule in availability {
        let record = rule.record.unwrap();
        assert!(rule.expr.contains(&format!("reason=~\"{ERRORS}\"")), "{record}");
    }
}
