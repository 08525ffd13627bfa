//! `octroi audit search`.

use std::collections::BTreeMap;
use std::io::{self, Write};

use clap::ValueEnum;
use comfy_table::{CellAlignment, Table, presets};
use jiff::Timestamp;
use policies::Reason;

use super::place::{Bar, Indexes, Place};
use super::threads;
use crate::audit::Entry;
use crate::audit::search::{Field, Filter, Hit, Outcome, Query, Search};
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
    place: Place,
    #[command(flatten)]
    indexes: Indexes,
    #[command(flatten)]
    conditions: Conditions,
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

/// What is looked for.
#[derive(Debug, clap::Args)]
pub(super) struct Conditions {
    /// The organisation id of a TPP
    #[arg(long, value_name = "OID")]
    tpp: Option<String>,
    /// The code of a reason
    #[arg(long, value_name = "CODE", value_parser = reason)]
    reason: Option<String>,
    /// How it ended
    #[arg(long, value_parser = ["allowed", "refused", "aborted"])]
    outcome: Option<String>,
    /// The bank
    #[arg(long, value_name = "CODETAB")]
    codetab: Option<String>,
    /// The API
    #[arg(long, value_name = "NAME")]
    api: Option<String>,
    /// Its version
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    /// The HTTP status, such as 403, or 4xx
    #[arg(long, value_name = "STATUS", value_parser = status)]
    status: Option<String>,
    /// The id of a request
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// A client certificate: its SHA-256, or how it begins
    #[arg(long, value_name = "SHA256")]
    certificate: Option<String>,
    /// A client certificate: its serial number in hexadecimal
    #[arg(long, value_name = "HEX")]
    serial: Option<String>,
    /// The address of a client
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<std::net::IpAddr>,
    /// What an event is about: a snapshot, an organisation id
    #[arg(long, value_name = "TEXT")]
    subject: Option<String>,
    /// Which event, or `request`
    #[arg(long, value_name = "NAME")]
    event: Option<String>,
    /// Not before
    #[arg(long, value_name = "INSTANT")]
    from: Option<Timestamp>,
    /// Before
    #[arg(long, value_name = "INSTANT")]
    to: Option<Timestamp>,
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

fn reason(code: &str) -> Result<String, String> {
    match Reason::from_code(code) {
        Some(_) => Ok(code.to_owned()),
        None => Err(
            "no code of a reason; `octroi audit search --count --by reason` tells which there are"
                .to_owned(),
        ),
    }
}

fn status(text: &str) -> Result<String, String> {
    let class = text.strip_suffix("xx").unwrap_or(text);
    let digits = class.bytes().all(|byte| byte.is_ascii_digit());
    let fits = match class.len() {
        1 => text.len() == 3,
        3 => text.len() == 3,
        _ => text == "0",
    };
    let why = "no status: 200 to 599, 0 where none was sent, or such as 4xx";
    if digits && fits { Ok(text.to_owned()) } else { Err(why.to_owned()) }
}

impl Conditions {
    pub(super) fn query(&self) -> Query {
        let mut query = Query::within(self.from, self.to);
        let ip = self.ip.map(|ip| ip.to_string());
        for (field, value) in [
            (Field::Tpp, &self.tpp),
            (Field::Reason, &self.reason),
            (Field::Outcome, &self.outcome),
            (Field::Codetab, &self.codetab),
            (Field::Api, &self.api),
            (Field::Version, &self.version),
            (Field::RequestId, &self.request_id),
            (Field::Serial, &self.serial),
            (Field::Ip, &ip),
            (Field::Subject, &self.subject),
            (Field::Event, &self.event),
        ] {
            if let Some(value) = value {
                query.add(Filter::new(field, value, false));
            }
        }
        if let Some(sha256) = &self.certificate {
            query.add(Filter::new(Field::Certificate, &sha256.to_lowercase(), sha256.len() < 64));
        }
        if let Some(status) = &self.status {
            let class = status.strip_suffix("xx");
            query.add(Filter::new(Field::Status, class.unwrap_or(status), class.is_some()));
        }
        query
    }
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
            Self::Ip => Field::Ip,
            Self::Certificate => Field::Certificate,
        }
    }
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> Result<Answer, Failure> {
    let files = args.place.files()?;
    let kept = args.indexes.kept();
    let search = Search { files: &files, kept: kept.as_ref(), threads: threads() };
    let query = args.conditions.query();
    let bar = Bar::new(0, "searching");
    if args.count {
        let by = args.by.map(By::field);
        let (counts, outcome) = search.count(&query, by, &bar)?;
        drop(bar);
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
    let outcome = search.find(&query, &bar, &mut each)?;
    drop(bar);
    if args.output == Form::Json {
        writeln!(out, "{}", if found == 0 { "[]" } else { "]" })?;
    }
    tell(&outcome, found)
}

/// What it cost, and whether there was any.
pub(super) fn tell(outcome: &Outcome, found: u64) -> Result<Answer, Failure> {
    let cost = &outcome.cost;
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    let indexed = match cost.indexed {
        0 => String::new(),
        files => format!("; made an index of {files} files"),
    };
    eprintln!(
        "{found} found; read {} blocks ({:.1} MB), skipped {} ({:.1} MB){indexed}",
        cost.blocks_read,
        megabytes(cost.bytes_read),
        cost.blocks_skipped,
        megabytes(cost.bytes_skipped),
    );
    if !outcome.troubles.is_empty() {
        let troubles = outcome.troubles.join("\n  ");
        return Err(Failure::Cannot(format!(
            "not all of the log could be read, the answer may lack lines:\n  {troubles}"
        )));
    }
    Ok(if found == 0 { Answer::No } else { Answer::Good })
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
