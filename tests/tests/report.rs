//! `octroi report` on a quarter whose truth is known: every figure of every day, bank and API equals
//! what a model says that looks at each call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use harness::access_log::{AccessLog, Call, End};
use harness::browser::Chromium;
use harness::run;
use jiff::civil::Date;
use jiff::tz::{self, TimeZone};
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

const QUARTER: &str = "2025-Q4";
/// Two seconds of a bank's calendar, without its clock changes.
const DOMAIN: &str = "psd2.example-bank.fr";
const MAIN: &str = "17515";
const SMALL: &str = "30002";
/// What is open at the end.
const LOST: &str = "10107";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn after(at: Timestamp, ms: i64) -> Timestamp {
    at + SignedDuration::from_millis(ms)
}

/// The logs of two gateways and every call in them.
struct Quarter {
    dir: TempDir,
    calls: Vec<Call>,
    seed: u64,
}

impl Quarter {
    /// Random, and the same every time.
    fn random(&mut self, below: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % below
    }

    fn call(&mut self, codetab: &'static str, at: Timestamp, took_ms: i64, end: End) {
        let kind = match (codetab, self.random(4)) {
            (MAIN, 0) => ("funds-confirmation", "v1.4.2", "PSP_IC"),
            (MAIN, 1) => ("accounts", "v1.6.2", "PSP_AI"),
            _ => ("funds-confirmation", "v1.6.2", "PSP_IC"),
        };
        self.call_of(kind, codetab, at, took_ms, end);
    }

    fn call_of(
        &mut self,
        (api, version, role): (&'static str, &'static str, &'static str),
        codetab: &'static str,
        at: Timestamp,
        took_ms: i64,
        end: End,
    ) {
        let id = (u128::from(self.random(u64::MAX)) << 64) | u128::from(self.random(u64::MAX));
        let id = Uuid::from_u128(id);
        let domain = DOMAIN;
        self.calls.push(Call { id, at, took_ms, codetab, api, version, role, domain, end });
    }

    /// Five calls of one API that time out, the last `span_ms` after the first.
    fn five(&mut self, codetab: &'static str, from: &str, span_ms: i64) {
        for offset in [0, span_ms / 4, span_ms / 3, span_ms / 2, span_ms] {
            let kind = ("funds-confirmation", "v1.6.2", "PSP_IC");
            self.call_of(kind, codetab, after(at(from), offset), 10_000, End::TimedOut);
        }
    }

    fn is_quiet(&self, codetab: &str, at: Timestamp) -> bool {
        // Around what is staged, nobody else calls.
        const STAGED: [(&str, &str, &str); 9] = [
            (MAIN, "2025-09-29T10:00:00Z", "2025-10-01T06:00:00Z"),
            (MAIN, "2025-10-05T10:00:00Z", "2025-10-05T10:05:00Z"),
            (MAIN, "2025-10-06T10:00:00Z", "2025-10-06T10:05:00Z"),
            (MAIN, "2025-10-07T10:00:00Z", "2025-10-07T10:05:00Z"),
            (MAIN, "2025-10-08T21:55:00Z", "2025-10-08T22:30:00Z"),
            (MAIN, "2025-10-25T20:00:00Z", "2025-10-26T08:00:00Z"),
            (MAIN, "2025-11-11T11:00:00Z", "2025-11-11T11:10:00Z"),
            (MAIN, "2025-12-31T22:59:00Z", "2025-12-31T23:10:00Z"),
            (LOST, "2025-12-30T12:00:00Z", "2026-02-01T00:00:00Z"),
        ];
        let staged = |(bank, from, to): &(&str, &str, &str)| {
            *bank == codetab && (self::at(from)..self::at(to)).contains(&at)
        };
        !STAGED.iter().any(staged)
    }

    fn stage() -> Self {
        let mut quarter = Self { dir: tempfile::tempdir().unwrap(), calls: Vec::new(), seed: 7 };
        // Everyday life, with a time-out now and then.
        for (codetab, minutes) in [(MAIN, 11), (SMALL, 97), (LOST, 61)] {
            let mut now = at("2025-09-28T00:00:00Z");
            while now < at("2026-01-02T12:00:00Z") {
                now += i64::from(minutes).minutes();
                let jitter = i64::try_from(quarter.random(600_000)).unwrap();
                let moment = after(now, jitter);
                let took = 20 + i64::try_from(quarter.random(400)).unwrap();
                // Sundays are quiet at the small bank: no figure but none.
                let is_sunday = |hours: i64| {
                    let date = (moment + hours.hours()).to_zoned(TimeZone::UTC).date();
                    date.weekday() == jiff::civil::Weekday::Sunday
                };
                let closed = codetab == SMALL && (is_sunday(0) || is_sunday(2));
                if closed || !quarter.is_quiet(codetab, moment) {
                    continue;
                }
                let end = match quarter.random(60) {
                    0 => End::TimedOut,
                    1 => End::Unavailable,
                    2 => End::Refused,
                    _ => End::Answered,
                };
                quarter.call(codetab, moment, took, end);
            }
        }
        // Down since before the quarter.
        quarter.five(MAIN, "2025-09-29T10:00:00Z", 8000);
        quarter.call(MAIN, at("2025-10-01T06:00:00.500Z"), 250, End::Answered);
        quarter.five(MAIN, "2025-10-05T10:00:00Z", 30_000);
        quarter.call(MAIN, at("2025-10-05T10:02:00Z"), 125, End::Answered);
        quarter.five(MAIN, "2025-10-06T10:00:00Z", 30_001);
        quarter.call(MAIN, at("2025-10-06T10:02:00Z"), 125, End::Answered);
        quarter.five(MAIN, "2025-10-07T10:00:00Z", 20_000);
        quarter.call(MAIN, at("2025-10-07T10:00:09Z"), 40, End::Answered);
        quarter.call(MAIN, at("2025-10-07T10:02:00Z"), 40, End::Answered);
        // Over midnight in Paris.
        quarter.five(MAIN, "2025-10-08T21:59:50Z", 20_000);
        quarter.call(MAIN, at("2025-10-08T22:00:30Z"), 2000, End::Unavailable);
        quarter.call(MAIN, at("2025-10-08T22:01:00Z"), 9000, End::Answered);
        quarter.call(MAIN, at("2025-10-08T22:01:01Z"), 500, End::Answered);
        // The night of 25 hours.
        quarter.five(MAIN, "2025-10-25T20:30:00Z", 1000);
        quarter.call(MAIN, at("2025-10-26T07:00:00Z"), 100, End::Answered);
        // A crash, and callers that wait in vain.
        for offset in [0, 10, 20] {
            quarter.call(MAIN, after(at("2025-11-11T11:00:00Z"), offset), 0, End::CutOff);
        }
        quarter.call(MAIN, at("2025-11-11T11:00:01Z"), 1000, End::GivenUp);
        quarter.call(MAIN, at("2025-11-11T11:00:01.100Z"), 999, End::GivenUp);
        quarter.call(MAIN, at("2025-11-11T11:00:02Z"), 5000, End::GivenUp);
        quarter.call(MAIN, at("2025-11-11T11:05:00Z"), 80, End::Answered);
        // Over the end of the quarter, which is midnight in Paris; and without an end.
        quarter.five(MAIN, "2025-12-31T22:59:45Z", 25_000);
        quarter.call(MAIN, at("2025-12-31T23:03:00Z"), 80, End::Answered);
        quarter.five(LOST, "2025-12-30T12:00:00Z", 100);
        // A flood of strangers changes nothing.
        for offset in 0..300 {
            quarter.call(SMALL, after(at("2025-11-03T09:00:00Z"), offset * 7), 1, End::Refused);
        }
        quarter.write();
        quarter
    }

    fn log(&self, number: usize) -> PathBuf {
        self.dir.path().join(format!("gateway-{number}"))
    }

    fn write(&mut self) {
        let mut logs = [1, 2].map(|n| AccessLog::new(&self.log(n), &format!("gw{n}.example/1")));
        for (number, call) in self.calls.iter().enumerate() {
            logs[number % 2].call(call);
        }
        // What counts nowhere: the sandbox, the fallback, probes.
        for day in 0..90_u32 {
            let now = at("2025-10-01T12:00:00Z") + (i64::from(day) * 24).hours();
            let odd = Call {
                id: Uuid::from_u128(u128::from(day)),
                at: now,
                took_ms: 9000,
                codetab: MAIN,
                api: "funds-confirmation",
                version: "v1.6.2",
                role: "PSP_IC",
                domain: "sandbox.api.localhost:8443",
                end: End::Answered,
            };
            logs[0].call(&odd);
            logs[1].event(now, json!({
                "@timestamp": now, "event.action": "request", "octroi.lane": "fallback",
                "octroi.codetab": MAIN, "octroi.api": "funds-confirmation", "octroi.version": "v1.6.2",
                "octroi.outcome": "allowed", "http.response.status_code": 200,
                "event.duration": 1_000_000, "url.domain": DOMAIN,
            }));
            for (offset, outcome) in [(0, "success"), (1, "failure")] {
                let now = after(now, offset);
                logs[0].event(now, json!({
                    "@timestamp": now, "event.action": "availability_probe", "octroi.codetab": MAIN,
                    "octroi.api": "funds-confirmation", "event.outcome": outcome,
                    "event.duration": 2_000_000, "octroi.interface": "dedicated",
                }));
            }
        }
        for log in logs {
            log.write();
        }
    }

    fn report(&self, more: &[&str]) -> Output {
        let logs = [self.log(1), self.log(2)];
        let to = self.to();
        let mut arguments = vec!["report", "--quarter", QUARTER, "--to", to.to_str().unwrap()];
        for log in &logs {
            arguments.extend(["--log", log.to_str().unwrap()]);
        }
        arguments.extend(more);
        run(&arguments)
    }

    fn to(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    fn json(&self) -> Value {
        let path = self.to().join(format!("statistics-{QUARTER}.json"));
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }
}

#[track_caller]
fn good(output: &Output) -> String {
    let said = String::from_utf8_lossy(&[&*output.stdout, &*output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    said
}

/// The days of the quarter in Paris, by the rule that this year's summer time ended on 26 October at
/// 01:00 UTC.
fn days() -> Vec<(Date, i64, i64)> {
    let offset = |date: Date| if date <= jiff::civil::date(2025, 10, 26) { 2 } else { 1 };
    let begins = |date: Date| {
        let zone = tz::offset(offset(date)).to_time_zone();
        date.to_zoned(zone).unwrap().timestamp().as_millisecond()
    };
    let first = jiff::civil::date(2025, 10, 1);
    let dates = first.series(1.day()).take_while(|date| date.year() == 2025);
    dates.map(|date| (date, begins(date), begins(date.tomorrow().unwrap()))).collect()
}

/// What the calls of `calls` say: intervals of downtime, by looking at each five in a row.
fn down(calls: &[&Call], until: i64) -> Vec<(i64, i64)> {
    #[derive(PartialEq, Eq, PartialOrd, Ord)]
    enum Heard {
        Silent,
        Success(i64),
        Error,
    }
    let mut heard: Vec<(i64, Heard)> = Vec::new();
    for call in calls {
        let received = call.at.as_millisecond();
        heard.push((
            received,
            match call.end {
                End::Answered => Heard::Success(received + call.took_ms),
                End::Unavailable => Heard::Error,
                End::TimedOut | End::CutOff => Heard::Silent,
                End::GivenUp if call.took_ms >= 1000 => Heard::Silent,
                End::GivenUp | End::Refused => continue,
            },
        ));
    }
    heard.sort();
    let mut found: Vec<(i64, i64)> = Vec::new();
    for (index, five) in heard.windows(5).enumerate() {
        if five.iter().all(|(_, heard)| *heard == Heard::Silent) && five[4].0 - five[0].0 <= 30_000
        {
            let ends = heard[index + 5..].iter().filter_map(|(_, heard)| match heard {
                Heard::Success(replied) => Some(*replied),
                _ => None,
            });
            let end = ends.min().unwrap_or(until).min(until);
            match found.last_mut() {
                Some(last) if five[0].0 <= last.1 => last.1 = last.1.max(end),
                _ => found.push((five[0].0, end)),
            }
        }
    }
    found
}

fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

/// The figures that these calls make on this day.
fn truth(
    calls: &[&Call],
    down: &[(i64, i64)],
    from: i64,
    to: i64,
) -> BTreeMap<&'static str, Value> {
    let of_day = calls.iter().filter(|call| (from..to).contains(&call.at.as_millisecond()));
    let (mut answered, mut failed, mut silent, mut refused, mut abandoned) = (0, 0, 0, 0, 0);
    let mut took: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for call in of_day {
        match call.end {
            End::Answered => {
                answered += 1;
                took.entry(call.role).or_default().push(call.took_ms);
            }
            End::Unavailable => failed += 1,
            End::TimedOut | End::CutOff => silent += 1,
            End::GivenUp if call.took_ms >= 1000 => silent += 1,
            End::GivenUp => abandoned += 1,
            End::Refused => refused += 1,
        }
    }
    let requests = answered + failed + silent;
    let ms: i64 = down.iter().map(|(a, b)| (b.min(&to) - a.max(&from)).max(0)).sum();
    let measured = requests > 0 || ms > 0;
    let mean = |role: &str| {
        let took = took.get(role)?;
        Some(rounded(took.iter().sum::<i64>() as f64 / took.len() as f64, 1))
    };
    let down_pct = rounded(ms as f64 * 100.0 / (to - from) as f64, 4);
    BTreeMap::from([
        ("requests", json!(requests)),
        ("answered", json!(answered)),
        ("failed", json!(failed)),
        ("unanswered", json!(silent)),
        ("refused", json!(refused)),
        ("abandoned", json!(abandoned)),
        (
            "error_rate_pct",
            json!(
                (requests > 0)
                    .then(|| rounded(f64::from(failed + silent) * 100.0 / f64::from(requests), 4))
            ),
        ),
        ("downtime_s", json!(measured.then(|| rounded(ms as f64 / 1000.0, 3)))),
        ("downtime_pct", json!(measured.then_some(down_pct))),
        ("uptime_pct", json!(measured.then(|| rounded(100.0 - down_pct, 4)))),
        ("avg_ms_cof", json!(mean("PSP_IC"))),
        ("avg_ms_aisp", json!(mean("PSP_AI"))),
        ("avg_ms_pisp", json!(mean("PSP_PI"))),
    ])
}

/// Holds the days of an interface against the calls, and gives its seconds down.
#[track_caller]
fn holds(what: &str, told: &Value, calls: &[&Call]) -> f64 {
    let days = days();
    let down = down(calls, days.last().unwrap().2);
    assert_eq!(told.as_array().unwrap().len(), days.len(), "{what}");
    for ((date, from, to), told) in days.iter().zip(told.as_array().unwrap()) {
        assert_eq!(told["date"], date.to_string());
        for (name, expected) in truth(calls, &down, *from, *to) {
            assert_eq!(told[name], expected, "{what}, {date}: {name}");
        }
    }
    let (begins, ends) = (days[0].1, days.last().unwrap().2);
    let within = down.iter().map(|(a, b)| (b.min(&ends) - a.max(&begins)).max(0));
    within.sum::<i64>() as f64 / 1000.0
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
