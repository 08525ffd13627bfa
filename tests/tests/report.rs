//! `octroi report` on a quarter whose truth is known: every figure of every day, bank and API equals
//! what a model says that looks at each call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use harness::access_log::{AccessLog, Call, End};
use harness::browser::Chromium;
use harness::quarter::{LOST, MAIN, QUARTER, Quarter, SMALL, after, at, holds, rounded};
use harness::run;
use serde_json::{Value, json};
use uuid::Uuid;

#[track_caller]
fn good(output: &Output) -> String {
    let said = String::from_utf8_lossy(&[&*output.stdout, &*output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    said
}

#[test]
fn every_figure_of_a_quarter_is_the_truth_and_a_changed_one_is_found() {
    let quarter = Quarter::stage();
    good(&quarter.report(&[]));
    let report = quarter.json();
    assert_eq!((&report["complete"], &report["sandbox"]), (&json!(true), &json!(false)));
    let banks = report["banks"].as_array().unwrap();
    assert_eq!(banks.iter().map(|bank| &bank["codetab"]).collect::<Vec<_>>(), [LOST, MAIN, SMALL]);
    for bank in banks {
        let codetab = bank["codetab"].as_str().unwrap();
        let calls: Vec<&Call> =
            quarter.calls.iter().filter(|call| call.codetab == codetab).collect();
        let seconds = holds(codetab, &bank["days"], &calls);
        assert_eq!(bank["total"]["downtime_s"], json!(rounded(seconds, 3)), "{codetab}");
        let mut kinds = BTreeSet::new();
        for api in bank["apis"].as_array().unwrap() {
            let is_of = |call: &&&Call| call.api == api["api"] && call.version == api["version"];
            let of_api: Vec<&Call> = calls.iter().filter(is_of).copied().collect();
            holds(&format!("{codetab} {}", api["api"]), &api["days"], &of_api);
            kinds.insert((api["api"].to_string(), api["version"].to_string()));
            let service = if api["api"] == "accounts" { "AIS" } else { "CBPII" };
            assert_eq!(api["service"], service);
        }
        assert_eq!(kinds.len(), bank["apis"].as_array().unwrap().len(), "one row for each");
    }
    staged(&banks[1]);
    evidence(&quarter, &banks[1]);
    // The small bank is closed on Sundays: nothing was measured, not 0.
    let sunday = &banks[2]["days"][4];
    assert_eq!((&sunday["date"], &sunday["uptime_pct"]), (&json!("2025-10-05"), &Value::Null));
    let table = fs::read_to_string(quarter.to().join("statistics-2025-Q4.csv")).unwrap();
    assert!(table.contains("\n2025-10-05;30002;;;;API;;;;;;;;;\n"), "empty");
    assert!(table.contains("\n2025-10-05;17515;;;;API;99.861;0.139;120.125;"), "in a row");

    // From the roll-ups: the same, to the byte but for the time.
    let before = report;
    good(&quarter.report(&[]));
    let mut again = quarter.json();
    again["as_of"] = before["as_of"].clone();
    assert!(again == before, "roll-ups tell what the log told");

    assert!(good(&quarter.report(&["--verify"])).contains("every figure is what the records"));
    verify_finds_what_was_changed(&quarter);
}

/// The cases that were staged, by figures that were worked out by hand.
fn staged(bank: &Value) {
    let day = |date: &str| {
        let days = bank["days"].as_array().unwrap();
        days.iter().find(|day| day["date"] == date).unwrap()["downtime_s"].as_f64().unwrap()
    };
    // Midnight in Paris is 22:00 UTC; up again at 06:00:00.750 UTC.
    assert_eq!(day("2025-10-01"), 8.0 * 3600.0 + 0.750, "since before the quarter");
    assert_eq!(day("2025-10-05"), 120.125, "five in 30.000 s");
    assert_eq!(day("2025-10-06"), 0.0, "five in 30.001 s");
    assert_eq!(day("2025-10-07"), 0.0, "one success in between");
    assert_eq!((day("2025-10-08"), day("2025-10-09")), (10.0, 61.5), "over midnight");
    // 20:30 to 22:00 UTC, then 22:00 to 07:00:00.100.
    assert_eq!((day("2025-10-25"), day("2025-10-26")), (5400.0, 32_400.1), "a night of 25 hours");
    let night = bank["days"].as_array().unwrap().iter().find(|day| day["date"] == "2025-10-26");
    assert_eq!(night.unwrap()["downtime_pct"], json!(36.0001), "of 90 000 s");
    assert_eq!(day("2025-11-11"), 300.08, "three of a crash, two that waited in vain");
    assert_eq!(day("2025-12-31"), 15.0, "over the end of the quarter");
}

/// Each downtime names the five and the reply, and the files that hold them.
fn evidence(quarter: &Quarter, bank: &Value) {
    let downtimes = bank["downtimes"].as_array().unwrap();
    assert_eq!(downtimes.len(), 6);
    for downtime in downtimes {
        let proof =
            downtime["unanswered"].as_array().unwrap().iter().chain([&downtime["ended_by"]]);
        for proof in proof {
            let id = proof["request_id"].as_str().unwrap();
            let call = quarter.calls.iter().find(|call| call.id.to_string() == id).unwrap();
            let ended = call.end == End::Answered;
            assert_eq!(ended, proof == &downtime["ended_by"], "{id}");
            let file = proof["file"].as_str().unwrap();
            let holds = |number| {
                let path = quarter.log(number).join(file);
                let packed = path.with_extension("jsonl.zst");
                let text =
                    fs::read(&path).or_else(|_| fs::File::open(packed).and_then(zstd::decode_all));
                text.is_ok_and(|text| String::from_utf8(text).unwrap().contains(id))
            };
            assert!(holds(1) || holds(2), "{id} stands in {file}");
        }
    }
    let at = |index: usize, name: &str| downtimes[index][name].as_str().unwrap();
    assert_eq!(at(1, "from"), "2025-10-05T10:00:00Z");
    assert_eq!(at(1, "until"), "2025-10-05T10:02:00.125Z");
    assert_eq!(
        at(2, "until"),
        "2025-10-08T22:01:01.5Z",
        "the earlier reply, not the earlier request"
    );
}

fn verify_finds_what_was_changed(quarter: &Quarter) {
    let finds = |what: &str| {
        let output = quarter.report(&["--verify"]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(
            output.status.code(),
            Some(1),
            "{said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(said.contains(what), "{what}: {said}");
        said
    };
    let change = |path: &Path, from: &str, to: &str| {
        let before = fs::read_to_string(path).unwrap();
        assert!(before.contains(from), "{from}");
        fs::write(path, before.replacen(from, to, 1)).unwrap();
        before
    };
    let table = quarter.to().join("statistics-2025-Q4.csv");
    let before = change(&table, "99.861;0.139", "99.991;0.139");
    assert!(finds("99.991;0.139").contains("this file was changed"));
    fs::write(&table, before).unwrap();

    let published = quarter.to().join("statistics-2025-Q4.json");
    let before = change(&published, "120.125", "20.125");
    finds("banks[17515].days[2025-10-05].downtime_s is 20.125, and is 120.125 by the records");
    fs::write(&published, before).unwrap();

    let rollup = quarter.log(1).join("statistics/2025-10-10.gw1_example_1.json");
    let kept: Value = serde_json::from_slice(&fs::read(&rollup).unwrap()).unwrap();
    let answered = &kept["kinds"][0]["answered"];
    let (from, to) = (format!("\"answered\":{answered}"), "\"answered\":999");
    let before = change(&rollup, &from, to);
    let said = finds(&format!("answered is 999, and is {answered} by the records"));
    assert!(said.contains("the roll-up was changed"), "{said}");
    fs::write(&rollup, before).unwrap();

    // A record is changed after the roll-up was made.
    let log = fs::read_dir(quarter.log(2)).unwrap().map(|entry| entry.unwrap().path());
    let plain = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "jsonl");
    let in_october = |path: &PathBuf| path.to_str().unwrap().contains("access-2025-10-1");
    let log = log.into_iter().filter(plain).find(in_october).unwrap();
    let status = "\"http.response.status_code\":";
    let before = change(&log, &format!("{status}200"), &format!("{status}500"));
    let said = finds("by the records");
    assert!(said.contains("is not what it was"), "{said}");
    // One that changes no figure is found by its hash.
    fs::write(&log, before.replacen("192.0.2.7", "192.0.2.8", 1)).unwrap();
    finds("the figures are the same");
    fs::write(&log, before).unwrap();
    good(&quarter.report(&["--verify"]));
}

/// A log of one day of a sandbox, and of nothing else.
fn sandbox_log(dir: &Path) {
    let mut log = AccessLog::new(dir, "sandbox");
    for number in 0..40_u32 {
        log.call(&Call {
            id: Uuid::from_u128(u128::from(number) + 1),
            at: after(at("2025-11-03T10:00:00Z"), i64::from(number) * 60_000),
            took_ms: 30,
            codetab: MAIN,
            api: "funds-confirmation",
            version: "v1.6.2",
            role: "PSP_IC",
            domain: "sandbox.api.localhost:8443",
            end: End::Answered,
        });
    }
    log.write();
}

#[test]
fn test_traffic_is_left_out_and_shown_only_under_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let (log, to) = (dir.path().join("log"), dir.path().join("out"));
    sandbox_log(&log);
    let report = |more: &[&str]| {
        let mut arguments = vec!["report", "--quarter", QUARTER, "--log", log.to_str().unwrap()];
        arguments.extend(["--to", to.to_str().unwrap()]);
        arguments.extend(more);
        good(&run(&arguments));
    };
    let json = |name: &str| -> Value {
        serde_json::from_slice(&fs::read(to.join(name)).unwrap()).unwrap()
    };
    report(&[]);
    assert_eq!(json("statistics-2025-Q4.json")["banks"], json!([]));
    report(&["--sandbox"]);
    let told = json("statistics-2025-Q4-SANDBOX.json");
    assert_eq!(told["sandbox"], true);
    assert_eq!(told["banks"][0]["total"]["requests"], 40);
    for (language, mark) in [("fr", "BAC À SABLE"), ("en", "SANDBOX")] {
        let page = to.join(format!("statistics-2025-Q4-SANDBOX.{language}.html"));
        assert!(fs::read_to_string(page).unwrap().contains(&format!("<strong>{mark}</strong>")));
    }
}

#[test]
fn the_page_loads_nothing_and_fits_a_phone() {
    let dir = tempfile::tempdir().unwrap();
    let (log, to) = (dir.path().join("log"), dir.path().join("out"));
    sandbox_log(&log);
    let customers = dir.path().join("customers.csv");
    fs::write(&customers, "date;codetab;channel;uptime_pct\n2025-11-03;17515;<b>web</b>;99,5\n")
        .unwrap();
    let (log, to_text) = (log.to_str().unwrap(), to.to_str().unwrap());
    let asked = ["report", "--quarter", QUARTER, "--log", log, "--to", to_text, "--sandbox"];
    let customers = ["--customer-interface", customers.to_str().unwrap()];
    good(&run(&[&asked[..], &customers[..]].concat()));
    let mut browser = Chromium::start();
    for language in ["fr", "en"] {
        let page = to.join(format!("statistics-2025-Q4-SANDBOX.{language}.html"));
        let html = fs::read_to_string(&page).unwrap();
        for loading in ["http:", "https:", "src=", "<script", "@import", "url(", "<link", "<b>"] {
            assert!(!html.contains(loading), "{loading}");
        }
        assert_eq!(html.matches("<svg class=\"chart\"").count(), 4);
        browser.open(&format!("file://{}", page.display()));
        browser.wait_for(&format!("html[lang={language}] section#bank-17515 table.days"));
        assert!(browser.fits(), "{language}");
    }
}

#[test]
fn a_wrong_customer_file_or_zone_is_refused_and_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let (log, to) = (dir.path().join("log"), dir.path().join("out"));
    sandbox_log(&log);
    let customers = dir.path().join("customers.csv");
    fs::write(&customers, "date,codetab,channel\n2025-11-31,17515,web\n").unwrap();
    let (log, to_text) = (log.to_str().unwrap(), to.to_str().unwrap());
    let asked = ["report", "--quarter", QUARTER, "--log", log, "--to", to_text];
    let said = |more: &[&str], code: i32| {
        let output = run(&[&asked[..], more].concat());
        assert_eq!(output.status.code(), Some(code));
        String::from_utf8(output.stderr).unwrap()
    };
    let told = said(&["--customer-interface", customers.to_str().unwrap()], 3);
    assert!(told.contains("customers.csv, line 2, column 1 (date): \"2025-11-31\""), "{told}");
    assert!(said(&["--time-zone", "Europe/Pariss"], 2).contains("Europe/Paris"));
    assert!(!to.exists());
}

#[test]
fn a_day_without_a_log_is_said_and_is_no_uptime() {
    let dir = tempfile::tempdir().unwrap();
    let (log, other, to) =
        (dir.path().join("log"), dir.path().join("other"), dir.path().join("out"));
    sandbox_log(&log);
    let mut later = AccessLog::new(&other, "other");
    later.call(&Call {
        id: Uuid::from_u128(99),
        at: at("2025-11-04T10:00:00Z"),
        took_ms: 30,
        codetab: MAIN,
        api: "funds-confirmation",
        version: "v1.6.2",
        role: "PSP_IC",
        domain: "sandbox.api.localhost:8443",
        end: End::Answered,
    });
    later.write();
    let (log, other) = (log.to_str().unwrap(), other.to_str().unwrap());
    let arguments = [
        "report",
        "--quarter",
        QUARTER,
        "--sandbox",
        "--to",
        to.to_str().unwrap(),
        "--time-zone",
        "UTC",
    ];
    let said = good(&run(&[&arguments[..], &["--log", log, "--log", other]].concat()));
    assert!(said.contains("of 92 days, from 2025-10-01 to 2025-12-31"), "{said}");
    let report: Value =
        serde_json::from_slice(&fs::read(to.join("statistics-2025-Q4-SANDBOX.json")).unwrap())
            .unwrap();
    let of = |date: &str| {
        let days = report["unmeasured"].as_array().unwrap().iter();
        days.filter(|day| day["date"] == date).map(|day| day["without"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(of("2025-11-03"), [json!(1)], "the other one has nothing of it");
    assert_eq!(of("2025-11-20"), [json!(2)]);
    let total = &report["banks"][0]["total"];
    assert_eq!((&total["uptime_pct"], &total["requests"]), (&json!(100.0), &json!(41)));
    let page = fs::read_to_string(to.join("statistics-2025-Q4-SANDBOX.en.html")).unwrap();
    assert!(page.contains("what they lack is in no figure"), "{page}");
}

#[test]
fn a_copy_of_a_log_beside_it_is_refused_and_counts_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let (log, copy, to) = (dir.path().join("log"), dir.path().join("copy"), dir.path().join("out"));
    sandbox_log(&log);
    fs::create_dir(&copy).unwrap();
    for entry in fs::read_dir(&log).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    let (log, copy) = (log.to_str().unwrap(), copy.to_str().unwrap());
    let to_text = to.to_str().unwrap();
    let arguments = ["report", "--quarter", QUARTER, "--log", log, "--log", copy, "--to", to_text];
    let output = run(&arguments);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(told.contains("one is a copy of the other"), "{told}");
    assert!(!to.exists());
}
