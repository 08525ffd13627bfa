//! `octroi audit show`.

use std::fmt::Write as _;
use std::io::Write;

use jiff::Timestamp;
use policies::{CheckName, Reason};
use serde::Serialize;
use serde_json::Value;

use super::place::{Bar, Indexes, Place};
use super::threads;
use crate::audit::search::{Hit, Search};
use crate::audit::shelf::LogFile;
use crate::audit::{Entry, REQUEST};
use crate::cli::{Answer, Failure, Output, printable};

const EXAMPLE: &str = "Example:
  octroi audit show 01a1fcac-2788-7342-b7d5-145123543671 --config octroi.toml

The id is `request_id` of the answer and its Octroi-Request-ID.
Exit code 0: the log knows it, 1: it does not.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    indexes: Indexes,
    /// The id of the request
    #[arg(value_name = "REQUEST-ID")]
    id: uuid::Uuid,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// The JSON form.
#[derive(Serialize)]
struct Found {
    file: String,
    /// Counted from 1.
    line: u64,
    entry: Value,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> Result<Answer, Failure> {
    let files = args.place.files()?;
    let kept = args.indexes.kept();
    let search = Search { files: &files, kept: kept.as_ref(), threads: threads() };
    let id = args.id.to_string();
    let bar = Bar::new(0, "searching");
    let (hits, troubles) = search.request(&id, request_time(args.id), &bar)?;
    drop(bar);
    for trouble in &troubles {
        eprintln!("octroi: {trouble}");
    }
    if hits.is_empty() {
        if !troubles.is_empty() {
            return Err(Failure::Cannot("not all of the log could be read".to_owned()));
        }
        writeln!(out, "the log does not know request {id}")?;
        return Ok(Answer::No);
    }
    match args.output {
        Output::Json => {
            let found: Vec<Found> = hits.iter().map(|hit| found(hit, &files)).collect();
            serde_json::to_writer_pretty(&mut *out, &found).map_err(std::io::Error::from)?;
            writeln!(out)?;
        }
        Output::Text => write!(out, "{}", story(&id, &hits, &files)?)?,
    }
    Ok(Answer::Good)
}

/// An id of version 7 tells when it was made.
fn request_time(id: uuid::Uuid) -> Option<Timestamp> {
    let (seconds, nanoseconds) = id.get_timestamp()?.to_unix();
    Timestamp::new(i64::try_from(seconds).ok()?, i32::try_from(nanoseconds).ok()?).ok()
}

fn found(hit: &Hit, files: &[LogFile]) -> Found {
    Found {
        file: files.get(hit.file).map(LogFile::name).unwrap_or_default(),
        line: hit.line + 1,
        entry: serde_json::from_slice(&hit.bytes).unwrap_or_default(),
    }
}

fn story(id: &str, hits: &[Hit], files: &[LogFile]) -> Result<String, Failure> {
    let broken = |error| {
        Failure::Cannot(format!("the line of {id} is not as the gateway writes it: {error}"))
    };
    let mut entries = Vec::new();
    for hit in hits {
        entries.push((hit, Entry::read(&hit.bytes).map_err(broken)?));
    }
    let mut text = format!("request {id}\n");
    let permitted = entries.iter().find(|(_, entry)| entry.action == "request_permitted");
    let record = entries.iter().find(|(_, entry)| entry.action == REQUEST);
    match record {
        Some((hit, entry)) => {
            let all: Value = serde_json::from_slice(&hit.bytes).unwrap_or_default();
            tell_record(&mut text, entry, &all, permitted.map(|(_, permitted)| permitted));
        }
        None => tell_cut_off(&mut text, permitted.map(|(_, permitted)| permitted)),
    }
    for (hit, entry) in &entries {
        let file = files.get(hit.file).map(LogFile::name).unwrap_or_default();
        let action = printable(&entry.action);
        field(&mut text, "stands in", &format!("{file} line {}: {action}", hit.line + 1));
    }
    Ok(text)
}

fn tell_record(text: &mut String, entry: &Entry<'_>, all: &Value, permitted: Option<&Entry<'_>>) {
    let reason = entry.reason.as_deref();
    let because = reason.map(|reason| format!(": {}", printable(reason))).unwrap_or_default();
    field(text, "when", &entry.time.to_string());
    field(text, "verdict", &format!("{}{because}", printable(&entry.outcome)));
    if let Some(message) = &entry.message {
        field(text, "", &printable(message));
    }
    tell_who(text, entry, all);
    tell_what(text, entry, all);
    tell_checks(text, entry);
    let answered = match entry.status {
        0 => "nothing: no answer was begun".to_owned(),
        status => format!("{status}, {} octets", number(all, "http.response.body.bytes")),
    };
    field(text, "got", &answered);
    if let Some(before) = all.get("octroi.answered_before").and_then(Value::as_str) {
        let before = printable(before);
        field(
            text,
            "",
            &format!("the same question was asked at {before}; this is that answer again"),
        );
    }
    if let Some(quota) = all.get("octroi.quota").and_then(Value::as_str) {
        field(text, "limit", &printable(quota));
    }
    if let Some(probing) = all.get("octroi.probing").filter(|probing| probing.is_object()) {
        field(text, "probing", &printable(&probing.to_string()));
    }
    tell_time(text, entry, permitted);
    if let Some(reason) = reason.and_then(Reason::from_code) {
        field(
            text,
            "reason",
            &format!("{} ({} can mend it)", reason.title(), reason.blame().code()),
        );
        field(text, "", reason.sentence());
        field(text, "to mend", reason.mend());
        field(text, "page", &format!("reasons/{}", reason.code()));
    }
}

fn tell_who(text: &mut String, entry: &Entry<'_>, all: &Value) {
    let who =
        entry.organisation_id.as_deref().map_or("nobody: no organisation id".to_owned(), printable);
    let role = entry.role.as_deref().map(|role| format!(" as {}", printable(role)));
    field(text, "who", &format!("{who}{}", role.unwrap_or_default()));
    if let Some(serial) = &entry.certificate_serial {
        field(text, "", &format!("certificate {}", printable(serial)));
    }
    if let Some(sha256) = &entry.certificate_sha256 {
        field(text, "", &format!("SHA-256 {}", printable(sha256)));
    }
    if let Some(client) = entry.client {
        let tls = all.get("tls.version").and_then(Value::as_str).map(printable);
        let tls = tls.map(|tls| format!(", TLS {tls}")).unwrap_or_default();
        field(text, "", &format!("from {client} port {}{tls}", number(all, "client.port")));
    }
    for (member, what) in [("octroi.psu_hmac", "customer"), ("octroi.iban_hmac", "account")] {
        if let Some(hmac) = all.get(member).and_then(Value::as_str) {
            field(text, "", &format!("{what} (HMAC) {}", printable(hmac)));
        }
    }
}

fn tell_what(text: &mut String, entry: &Entry<'_>, all: &Value) {
    let version = all.get("http.version").and_then(Value::as_str).unwrap_or_default();
    let (method, host, path) =
        (printable(&entry.method), printable(&entry.host), printable(&entry.path));
    field(text, "asked", &format!("{method} https://{host}{path} (HTTP/{})", printable(version)));
    let api = match (&entry.api, &entry.version) {
        (Some(api), Some(version)) => format!("{} {}", printable(api), printable(version)),
        _ => "no API".to_owned(),
    };
    let bank = entry.codetab.as_deref().map(|bank| format!(" of bank {}", printable(bank)));
    field(text, "", &format!("{api}{}", bank.unwrap_or_default()));
    field(text, "", &format!("{} octets of body", number(all, "http.request.body.bytes")));
    if let Some(id) = all.get("octroi.tpp_request_id").and_then(Value::as_str) {
        field(text, "", &format!("the TPP calls it {}", printable(id)));
    }
    if let Some(trace) = &entry.trace_id {
        field(text, "trace", &printable(trace));
    }
    if all.get("octroi.lane").and_then(Value::as_str) == Some("fallback") {
        field(text, "lane", "the fallback (RTS article 33)");
    }
}

/// Checks without a version or age of their own are not in the record; they stand between those that are.
fn tell_checks(text: &mut String, entry: &Entry<'_>) {
    let mut heading = "checks";
    let failed = entry.checks.iter().find(|check| !check.passed);
    for name in CheckName::ALL.iter().map(|name| name.code()) {
        let Some(check) = entry.checks.iter().find(|check| check.check == name) else { continue };
        let word = match (check.passed, &check.warning) {
            (false, _) => "FAILED".to_owned(),
            (true, Some(warning)) => format!("let pass in spite of {}", printable(warning)),
            (true, None) => "passed".to_owned(),
        };
        let version = check.version.as_deref().map(|version| format!(" {}", printable(version)));
        let age = check.as_of.map(|as_of| format!(", {} old", age(entry.time, as_of)));
        let looked = format!(
            "{name:<16} {word}: {}{}{}",
            printable(&check.source),
            version.unwrap_or_default(),
            age.unwrap_or_default()
        );
        field(text, heading, &looked);
        heading = "";
    }
    let rest = match failed {
        Some(failed) => format!(
            "every check before {} passed, none behind it was made",
            printable(&failed.check)
        ),
        None if entry.outcome == "refused" => "the refusal is none of a check's".to_owned(),
        None => "every other check passed".to_owned(),
    };
    field(text, heading, &rest);
}

fn tell_time(text: &mut String, entry: &Entry<'_>, permitted: Option<&Entry<'_>>) {
    let timing = entry.timing;
    let gateway =
        timing.total_us.saturating_sub(timing.store_us).saturating_sub(timing.upstream_us);
    field(
        text,
        "time",
        &format!(
            "{} in all: {} in the gateway and on the way to the TPP, {} for the store, {} for the upstream",
            micros(timing.total_us),
            micros(gateway),
            micros(timing.store_us),
            micros(timing.upstream_us)
        ),
    );
    if let Some(upstream) = &entry.upstream {
        field(text, "upstream", &printable(upstream));
    }
    match permitted {
        Some(permitted) => {
            let after = permitted.time.duration_since(entry.time).as_micros();
            let after = micros(u64::try_from(after).unwrap_or_default());
            field(text, "permitted", &format!("{} ({after} after the request)", permitted.time));
        }
        None => field(text, "permitted", "never: no upstream was contacted"),
    }
}

fn tell_cut_off(text: &mut String, permitted: Option<&Entry<'_>>) {
    let Some(permitted) = permitted else {
        field(text, "verdict", "only events name it: there is no record of it");
        return;
    };
    field(text, "when", &permitted.time.to_string());
    field(
        text,
        "verdict",
        "permitted, and never finished: it is under way, or a crash cut it off. Whether the upstream got it \
         is not known, and nothing was answered in full",
    );
    let who = permitted.organisation_id.as_deref().map(printable).unwrap_or_default();
    field(text, "who", &who);
    let word = |text: &Option<std::borrow::Cow<'_, str>>| {
        text.as_deref().map(printable).unwrap_or_default()
    };
    field(
        text,
        "asked",
        &format!(
            "{} {} of bank {}",
            word(&permitted.api),
            word(&permitted.version),
            word(&permitted.codetab)
        ),
    );
}

fn field(text: &mut String, name: &str, value: &str) {
    // Writing to memory does not fail.
    let _ = writeln!(text, "  {name:<10} {value}");
}

fn number(all: &Value, member: &str) -> u64 {
    all.get(member).and_then(Value::as_u64).unwrap_or_default()
}

fn micros(micros: u64) -> String {
    match micros {
        0..10_000 => format!("{micros} µs"),
        10_000..10_000_000 => format!("{:.1} ms", micros as f64 / 1e3),
        _ => format!("{:.1} s", micros as f64 / 1e6),
    }
}

fn age(now: Timestamp, then: Timestamp) -> String {
    let seconds = now.duration_since(then).as_secs();
    match seconds {
        ..0 => "0 s".to_owned(),
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}
