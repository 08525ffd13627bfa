//! `octroi audit search`.

use std::collections::BTreeMap;
use std::io::{self, Write};

use clap::ValueEnum;
use comfy_table::{CellAlignment, Table, presets};

use super::asked::{Asked, tell};
use super::place::Bar;
use crate::audit::Entry;
use crate::audit::search::{Field, Hit, Query, Search};
use crate::audit::shelf::LogFile;
use crate::cli::{Answer, Failure, printable};

const EXAMPLE: &str = "Example:
  octroi audit search --config octroi.toml --tpp PSDFR-ACPR-16948 --from 2026-11-22T00:00:00Z
  octroi audit search --config octroi.toml --outcome refused --count --by reason
  octroi audit search --directory /mnt/evidence/audit --reason token_expired --output jsonl

Shows records of requests and events, not what the log says about itself; --event shows those as well.
Instants are RFC 3339; --from is included, --to is not. With --output jsonl each line is as it stands in
the log. The first search makes an index of each file that is complete, and keeps it for the next.
Exit code 0: there are some, 1: none.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Args {
    #[command(flatten)]
    asked: Asked,
    /// At most so many, the earliest
    #[arg(long, value_name = "NUMBER")]
    limit: Option<u64>,
    /// Only tell how many
    #[arg(long)]
    count: bool,
    /// How many of each
    #[arg(long, value_name = "MEMBER", requires = "count", value_enum)]
    by: Option<By>,
    /// For people; one JSON value; or a JSON value on each line
    #[arg(long, value_enum, default_value_t)]
    output: Form,
}

/// What is counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
enum By {
    Tpp,
    Reason,
    Outcome,
    Codetab,
    Api,
    Version,
    Status,
    Event,
    Lane,
    Ip,
    Certificate,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Form {
    #[default]
    Text,
    Json,
    Jsonl,
}

impl By {
    const fn field(self) -> Field {
        match self {
            Self::Tpp => Field::Tpp,
            Self::Reason => Field::Reason,
            Self::Outcome => Field::Outcome,
            Self::Codetab => Field::Codetab,
            Self::Api => Field::Api,
            Self::Version => Field::Version,
            Self::Status => Field::Status,
            Self::Event => Field::Event,
            Self::Lane => Field::Lane,
            Self::Ip => Field::Ip,
            Self::Certificate => Field::Certificate,
        }
    }
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> Result<Answer, Failure> {
    let files = args.asked.files()?;
    if args.count {
        let by = args.by.map(By::field);
        let count_all =
            |search: &Search<'_>, query: &Query, bar: &Bar| search.count(query, by, bar);
        let (counts, outcome) = args.asked.ask(&files, "searching", count_all)?;
        let all = counts.values().sum::<u64>();
        count(&counts, args.by.is_some(), args.output, out)?;
        return tell(&outcome, all);
    }
    let mut found = 0;
    let mut each = |hit: Hit| {
        if args.limit.is_some_and(|limit| found >= limit) {
            return Ok(false);
        }
        match args.output {
            Form::Text => writeln!(out, "{}", line(&hit, &files))?,
            Form::Json => {
                out.write_all(if found == 0 { b"[" } else { b",\n" })?;
                out.write_all(&hit.bytes)?;
            }
            Form::Jsonl => {
                out.write_all(&hit.bytes)?;
                out.write_all(b"\n")?;
            }
        }
        found += 1;
        Ok(true)
    };
    let find = |search: &Search<'_>, query: &Query, bar: &Bar| search.find(query, bar, &mut each);
    let outcome = args.asked.ask(&files, "searching", find)?;
    if args.output == Form::Json {
        writeln!(out, "{}", if found == 0 { "[]" } else { "]" })?;
    }
    tell(&outcome, found)
}

fn count(
    counts: &BTreeMap<String, u64>,
    by: bool,
    output: Form,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let mut counts: Vec<(&str, u64)> =
        counts.iter().map(|(value, count)| (value.as_str(), *count)).collect();
    counts.sort_by_key(|(value, count)| (std::cmp::Reverse(*count), *value));
    let bare = |value: &str| {
        let text = serde_json::from_str::<String>(value).unwrap_or_else(|_| value.to_owned());
        printable(&text)
    };
    let all = || counts.iter().map(|(_, count)| count).sum::<u64>();
    match (output, by) {
        (Form::Text, false) => writeln!(out, "{}", all())?,
        (_, false) => writeln!(out, "{}", serde_json::json!({ "count": all() }))?,
        (Form::Text, true) => {
            let mut table = Table::new();
            table.load_style(presets::NOTHING);
            for (value, count) in &counts {
                let value = if value.is_empty() { "-".to_owned() } else { bare(value) };
                table.add_row([value, count.to_string()]);
            }
            if let Some(column) = table.column_mut(1) {
                column.set_cell_alignment(CellAlignment::Right);
            }
            writeln!(out, "{table}")?;
        }
        (_, true) => {
            let counts: serde_json::Map<String, serde_json::Value> = counts
                .iter()
                .map(|(value, count)| (bare(value), serde_json::json!(count)))
                .collect();
            serde_json::to_writer_pretty(&mut *out, &counts).map_err(io::Error::from)?;
            writeln!(out)?;
        }
    }
    Ok(())
}

/// One line for people.
fn line(hit: &Hit, files: &[LogFile]) -> String {
    let time = hit.time;
    let Ok(entry) = Entry::read(&hit.bytes) else {
        let name = files.get(hit.file).map(LogFile::name).unwrap_or_default();
        return format!("{time:.3}  {name} line {}: not as the gateway writes it", hit.line + 1);
    };
    let text = |text: &Option<std::borrow::Cow<'_, str>>| match text {
        Some(text) => printable(text),
        None => "-".to_owned(),
    };
    if !entry.is_request() {
        let action = printable(&entry.action);
        let about = entry.subject.as_ref().or(entry.organisation_id.as_ref());
        let about = about.or(entry.request_id.as_ref()).cloned();
        let said = entry.message.as_deref().map(printable).unwrap_or_default();
        return format!("{time:.3}  {action}  {}  {said}", text(&about)).trim_end().to_owned();
    }
    let api = match (&entry.api, &entry.version) {
        (Some(api), Some(version)) => format!("{} {}", printable(api), printable(version)),
        _ => format!("{} {}", printable(&entry.method), printable(&entry.path)),
    };
    format!(
        "{time:.3}  {:<7}  {}  {:<22}  {:<24}  {:<6}  {api}  {}",
        printable(&entry.outcome),
        entry.status,
        text(&entry.reason),
        text(&entry.organisation_id),
        text(&entry.codetab),
        text(&entry.request_id),
    )
}
