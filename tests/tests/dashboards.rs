//! The Grafana dashboards are what their definition says, and Grafana can use them.
//! `OCTROI_BLESS=1 cargo test -p octroi-tests --test dashboards` writes them anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use harness::dashboards::{self, Kind};
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

#[test]
fn the_dashboards_on_disk_are_made_from_their_definition() {
    let folder = root().join("deploy/grafana");
    let mut made = BTreeSet::new();
    for dashboard in dashboards::all() {
        let file = folder.join(format!("{}.json", dashboard.uid));
        let text = serde_json::to_string_pretty(&dashboard.json()).unwrap() + "\n";
        if std::env::var_os("OCTROI_BLESS").is_some() {
            fs::write(&file, &text).unwrap();
        }
        let written = fs::read_to_string(&file).unwrap_or_default();
        assert!(written == text, "{} is out of date: run with OCTROI_BLESS=1", file.display());
        made.insert(file);
    }
    let found = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let found: BTreeSet<PathBuf> =
        found.filter(|path| path.extension().is_some_and(|end| end == "json")).collect();
    assert_eq!(found, made, "no dashboard that is not made");
}

#[test]
fn every_panel_says_what_it_shows_in_which_unit_and_fits_beside_the_others() {
    for dashboard in dashboards::all() {
        let json = dashboard.json();
        assert!(json["schemaVersion"].as_u64().unwrap() >= 39);
        let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
        for panel in json["panels"].as_array().unwrap() {
            let title = panel["title"].as_str().unwrap();
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}");
            let at = |name: &str| panel["gridPos"][name].as_u64().unwrap();
            assert!(at("x") + at("w") <= 24, "{title} is too wide");
            for x in at("x")..at("x") + at("w") {
                for y in at("y")..at("y") + at("h") {
                    assert!(taken.insert((x, y)), "{title} lies over another panel");
                }
            }
            if panel["type"] == "row" {
                continue;
            }
            assert!(!panel["description"].as_str().unwrap().is_empty(), "{title}");
            if panel["type"] == "text" {
                continue;
            }
            assert!(!panel["fieldConfig"]["defaults"]["unit"].as_str().unwrap().is_empty());
            assert!(!panel["targets"].as_array().unwrap().is_empty(), "{title} asks nothing");
        }
        for row in &dashboard.rows {
            for panel in row.panels.iter().filter(|panel| !matches!(panel.kind, Kind::Text)) {
                for alert in panel.alerts {
                    let page = root().join(format!("docs/src/runbooks/{alert}.md"));
                    assert!(page.exists(), "{}: {}", panel.title, page.display());
                }
            }
        }
    }
}

#[test]
fn every_query_uses_only_the_variables_that_its_dashboard_has() {
    for dashboard in dashboards::all() {
        let json = dashboard.json();
        let names = json["templating"]["list"].as_array().unwrap().iter();
        let mut known: Vec<&str> = names.filter_map(|variable| variable["name"].as_str()).collect();
        known.push("__rate_interval");
        let queries = json["panels"].as_array().unwrap().iter().flat_map(|panel| {
            let none = Vec::new();
            panel["targets"].as_array().unwrap_or(&none).clone()
        });
        for query in queries {
            let expr = query["expr"].as_str().unwrap();
            for rest in expr.split('$').skip(1) {
                let name: String =
                    rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                assert!(known.contains(&name.as_str()), "{expr}: {name}");
            }
            assert_eq!(query["datasource"]["uid"], Value::from("${datasource}"));
        }
    }
}
