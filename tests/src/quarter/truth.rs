//! The figures that calls make, by a model that looks at each of them.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::{ToSpan, tz};
use serde_json::{Value, json};

use crate::access_log::{Call, End};

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

pub fn rounded(value: f64, digits: i32) -> f64 {
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
pub fn holds(what: &str, told: &Value, calls: &[&Call]) -> f64 {
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
