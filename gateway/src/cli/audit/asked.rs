//! What is looked for in which log, and how it is asked: of whoever shows it, and of whoever exports it.

use std::io;

use jiff::Timestamp;
use policies::Reason;

use super::place::{Bar, Indexes, Place};
use super::threads;
use crate::audit::search::{Field, Filter, Outcome, Query, Search};
use crate::audit::shelf::LogFile;
use crate::cli::{Answer, Failure};

/// The log, and what of it.
#[derive(Debug, clap::Args)]
pub(super) struct Asked {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    indexes: Indexes,
    #[command(flatten)]
    conditions: Conditions,
}

impl Asked {
    /// The files of the log.
    pub(super) fn files(&self) -> Result<Vec<LogFile>, Failure> {
        self.place.files()
    }

    /// Has `ask` put the question to `files`, with a bar that says what is being done.
    pub(super) fn ask<T>(
        &self,
        files: &[LogFile],
        doing: &'static str,
        ask: impl FnOnce(&Search<'_>, &Query, &Bar) -> io::Result<T>,
    ) -> Result<T, Failure> {
        let kept = self.indexes.kept();
        let search = Search { files, kept: kept.as_ref(), threads: threads() };
        Ok(ask(&search, &self.conditions.query(), &Bar::new(0, doing))?)
    }
}

/// What is looked for.
#[derive(Debug, clap::Args)]
struct Conditions {
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
    /// Which interface of the bank, other than the dedicated one
    #[arg(long, value_parser = ["fallback"])]
    lane: Option<String>,
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

impl Conditions {
    fn query(&self) -> Query {
        let mut query = Query::within(self.from, self.to);
        let ip = self.ip.map(|ip| ip.to_string());
        for (field, value) in [
            (Field::Tpp, &self.tpp),
            (Field::Reason, &self.reason),
            (Field::Outcome, &self.outcome),
            (Field::Codetab, &self.codetab),
            (Field::Api, &self.api),
            (Field::Version, &self.version),
            (Field::Lane, &self.lane),
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
