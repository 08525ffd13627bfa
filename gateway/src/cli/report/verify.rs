//! `octroi report --verify`.

use std::io::Write;
use std::path::Path;

use serde_json::Value;

use super::{files, stem};
use crate::cli::{Answer, Failure};
use crate::statistics::{Difference, Inquiry, Made, verify_report, verify_rollups};

/// When the report that stands there was made.
pub(super) fn as_of(inquiry: &Inquiry, to: &Path) -> Result<jiff::Timestamp, Failure> {
    let (path, report) = published(inquiry, to)?;
    let as_of = report["as_of"].as_str().and_then(|text| text.parse().ok());
    as_of.ok_or_else(|| {
        Failure::Cannot(format!("{path}: not a report of octroi: it has no `as_of`"))
    })
}

fn published(inquiry: &Inquiry, to: &Path) -> Result<(String, Value), Failure> {
    let path = to.join(format!("{}.json", stem(&inquiry.quarter.to_string(), inquiry.sandbox)));
    let shown = path.display().to_string();
    let bytes =
        std::fs::read(&path).map_err(|error| Failure::Cannot(format!("{shown}: {error}")))?;
    let report = serde_json::from_slice(&bytes)
        .map_err(|error| Failure::Cannot(format!("{shown}: not a report of octroi: {error}")))?;
    Ok((shown, report))
}

/// Tells every difference between what stands there and what the records say.
pub(super) fn run(
    inquiry: &Inquiry,
    made: &Made,
    to: &Path,
    out: &mut dyn Write,
) -> Result<Answer, Failure> {
    let mut found = verify_rollups(made).map_err(Failure::cannot)?;
    let (path, report) = published(inquiry, to)?;
    let of_report = verify_report(&path, &report, made);
    let same = of_report.is_empty();
    found.extend(of_report);
    for (name, bytes) in files(made, &inquiry.zone, None)? {
        let path = to.join(&name);
        // The JSON file was held against the records figure by figure.
        if name.ends_with(".json") || !path.exists() {
            continue;
        }
        let written = std::fs::read(&path).map_err(Failure::cannot)?;
        // The pages name the sources as they were.
        let is_page = name.ends_with(".html") && report["sources"] != sources(made);
        if written != bytes && !is_page {
            let what = first_difference(&written, &bytes);
            let why = if same { "this file was changed" } else { "see the JSON file" };
            found.push(Difference { file: path.display().to_string(), what, why: why.to_owned() });
        }
    }
    for Difference { file, what, why } in &found {
        writeln!(out, "{file}: {what}\n  {why}")?;
    }
    if found.is_empty() {
        let days: usize = made.books.iter().map(|books| books.days.len()).sum();
        writeln!(out, "every figure is what the records of {days} days say")?;
        return Ok(Answer::Good);
    }
    Ok(Answer::No)
}

fn sources(made: &Made) -> Value {
    serde_json::to_value(&made.report.sources).unwrap_or_default()
}

fn first_difference(written: &[u8], anew: &[u8]) -> String {
    let (written, anew) = (String::from_utf8_lossy(written), String::from_utf8_lossy(anew));
    let lines = written.lines().zip(anew.lines());
    let found = lines.enumerate().find(|(_, (written, anew))| written != anew);
    found.map_or_else(
        || "it is longer or shorter than it would be".to_owned(),
        |(at, (written, anew))| {
            let shown = |line: &str| line.chars().take(160).collect::<String>();
            format!("line {} is\n  {}\n  and would be\n  {}", at + 1, shown(written), shown(anew))
        },
    )
}
