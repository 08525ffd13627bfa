//! Whether what was published, and the roll-ups that are kept, are what the records say.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::books::{Books, BooksError};
use super::quarterly::Made;
use super::rollup::Rollup;

/// Differences of one file that are told; the rest is counted.
const TOLD_MAX: usize = 20;

/// What is not as the records say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The file.
    pub file: String,
    /// Which figure, and both values.
    pub what: String,
    /// Why, as far as it can be told.
    pub why: String,
}

/// Holds the kept roll-ups against those made anew.
///
/// # Errors
/// A kept one cannot be read.
pub fn rollups(made: &Made) -> Result<Vec<Difference>, BooksError> {
    let mut found = Vec::new();
    for books in &made.books {
        for (path, kept) in Books::kept(&books.directory, &made.around)? {
            let anew = books.days.get(&kept.date).map(|(_, anew)| anew);
            found.extend(rollup(books, &path, &kept, anew));
        }
    }
    Ok(found)
}

fn rollup(books: &Books, path: &Path, kept: &Rollup, anew: Option<&Rollup>) -> Vec<Difference> {
    let file = path.display().to_string();
    let why = changed(books, kept).unwrap_or_else(|| {
        "the log is what it was when the roll-up was made: the roll-up was changed".to_owned()
    });
    let Some(anew) = anew else {
        let what = "the day cannot be counted again: the log has no file of it any more".to_owned();
        return vec![Difference { file, what, why }];
    };
    let mut kept_value = serde_json::to_value(kept).unwrap_or_default();
    let mut anew_value = serde_json::to_value(anew).unwrap_or_default();
    for value in [&mut kept_value, &mut anew_value] {
        // Told by `why`; a file may have been closed since.
        value.as_object_mut().map(|members| members.remove("files"));
    }
    let mut found = differences(&file, &kept_value, &anew_value, &why);
    if found.is_empty()
        && let Some(why) = changed(books, kept)
    {
        found.push(Difference { file, what: "the figures are the same".to_owned(), why });
    }
    found
}

/// The file of the log that is not what the roll-up was made of.
fn changed(books: &Books, kept: &Rollup) -> Option<String> {
    kept.files.iter().find_map(|file| match books.hashes.get(&file.name) {
        None => Some(format!("{} is not in the log any more", file.name)),
        Some(Some(hash)) if *hash == file.hash => None,
        Some(_) => Some(format!(
            "{} is not what it was: line {} had the hash {}…; `octroi audit verify` says more",
            file.name,
            file.sequence,
            file.hash.get(..16).unwrap_or(&file.hash)
        )),
    })
}

/// Holds a report that was published against the one made anew.
#[must_use]
pub fn report(file: &str, published: &Value, made: &Made) -> Vec<Difference> {
    let mut anew = serde_json::to_value(&made.report).unwrap_or_default();
    let mut published = published.clone();
    let take = |value: &mut Value| {
        let sources = value.as_object_mut().and_then(|members| members.remove("sources"));
        sources.unwrap_or_default()
    };
    let (told, found) = (take(&mut published), take(&mut anew));
    let why = "the records say otherwise";
    let mut differences = differences(file, &published, &anew, why);
    // What was read then may have been closed since: the roll-ups know, and were verified.
    let known: BTreeSet<String> = made
        .books
        .iter()
        .flat_map(|books| Books::kept(&books.directory, &made.around).unwrap_or_default())
        .flat_map(|(_, kept)| kept.files)
        .map(|file| format!("{} {} {}", file.name, file.sequence, file.hash))
        .chain(files(&found))
        .collect();
    for one in files(&told).filter(|one| !known.contains(one)).take(TOLD_MAX) {
        let what = format!("it names as a source: {one}");
        let why = "the log has no such file with such a last line".to_owned();
        differences.push(Difference { file: file.to_owned(), what, why });
    }
    differences
}

fn files(sources: &Value) -> impl Iterator<Item = String> {
    let days = sources.as_array().into_iter().flatten();
    let files = days.filter_map(|day| day["files"].as_array()).flatten();
    files.map(|file| {
        let text = |name: &str| file[name].as_str().unwrap_or_default();
        format!("{} {} {}", text("name"), file["sequence"], text("hash"))
    })
}

fn differences(file: &str, kept: &Value, anew: &Value, why: &str) -> Vec<Difference> {
    let mut found = Vec::new();
    walk("", kept, anew, &mut found);
    let more = found.len().saturating_sub(TOLD_MAX);
    found.truncate(TOLD_MAX);
    if more > 0 {
        found.push(format!("and {more} more"));
    }
    let difference = |what| Difference { file: file.to_owned(), what, why: why.to_owned() };
    found.into_iter().map(difference).collect()
}

/// Every leaf that differs, by its path; a list is named by what its members call themselves.
fn walk(path: &str, kept: &Value, anew: &Value, found: &mut Vec<String>) {
    match (kept, anew) {
        (Value::Object(kept), Value::Object(anew)) => {
            let names: BTreeSet<&String> = kept.keys().chain(anew.keys()).collect();
            for name in names {
                let of = |members: &serde_json::Map<String, Value>| {
                    members.get(name).cloned().unwrap_or_default()
                };
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                walk(&path, &of(kept), &of(anew), found);
            }
        }
        (Value::Array(kept), Value::Array(anew)) if kept.len() == anew.len() => {
            for (at, (kept, anew)) in kept.iter().zip(anew).enumerate() {
                let name = name(kept).unwrap_or_else(|| at.to_string());
                walk(&format!("{path}[{name}]"), kept, anew, found);
            }
        }
        (kept, anew) if kept == anew => {}
        (kept, anew) => {
            found.push(format!("{path} is {}, and is {} by the records", short(kept), short(anew)))
        }
    }
}

fn name(value: &Value) -> Option<String> {
    let text = |name: &str| value[name].as_str();
    let parts: Vec<&str> = ["codetab", "api", "version", "service", "date", "from"]
        .into_iter()
        .filter_map(text)
        .collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

fn short(value: &Value) -> String {
    match value {
        Value::Array(list) => format!("a list of {}", list.len()),
        other => other.to_string(),
    }
}
