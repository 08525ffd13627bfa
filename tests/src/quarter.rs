//! A quarter of two gateways' logs whose truth is known, because each call in it is.

mod truth;

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use crate::access_log::{AccessLog, Call, End};
use crate::run;

pub use truth::{holds, rounded};

pub const QUARTER: &str = "2025-Q4";
/// Two seconds of a bank's calendar, without its clock changes.
pub const DOMAIN: &str = "psd2.example-bank.fr";
pub const MAIN: &str = "17515";
pub const SMALL: &str = "30002";
/// What is open at the end.
pub const LOST: &str = "10107";

pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub fn after(at: Timestamp, ms: i64) -> Timestamp {
    at + SignedDuration::from_millis(ms)
}

/// The logs of two gateways and every call in them.
pub struct Quarter {
    dir: TempDir,
    pub calls: Vec<Call>,
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

    pub fn stage() -> Self {
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

    pub fn log(&self, number: usize) -> PathBuf {
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
                "octroi.codetab": MAIN, "octroi.outcome": "allowed", "http.response.status_code": 200,
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

    pub fn report(&self, more: &[&str]) -> Output {
        let logs = [self.log(1), self.log(2)];
        let to = self.to();
        let mut arguments = vec!["report", "--quarter", QUARTER, "--to", to.to_str().unwrap()];
        for log in &logs {
            arguments.extend(["--log", log.to_str().unwrap()]);
        }
        arguments.extend(more);
        run(&arguments)
    }

    pub fn to(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    pub fn json(&self) -> Value {
        let path = self.to().join(format!("statistics-{QUARTER}.json"));
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }
}
