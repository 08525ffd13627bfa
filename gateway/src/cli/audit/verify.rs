//! `octroi audit verify`.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::audit::chain::{Checkpoint, VerifyingKeys};
use crate::audit::search::Progress;
use crate::audit::shelf::LogFile;
use crate::audit::verify::{CHECKPOINTS, Fault, Report, Set, Trust};
use crate::cli::{Answer, Failure, Output, files, printable};
use crate::config::Config;

use super::place::Bar;
use super::threads;

const EXAMPLE: &str = "Example:
  octroi audit key --config octroi.toml > gateway-key.pem     (once, and kept elsewhere)
  octroi audit verify --config octroi.toml --key gateway-key.pem
  octroi audit verify /mnt/evidence/audit --key gateway-key.pem --head kept-checkpoint.json

Without --key, the keys in the log itself are believed: then a log that somebody has made anew as a whole,
with a key of his own, looks good. --head names a file with a checkpoint that was kept elsewhere, one line
of checkpoints.jsonl: then lines that were cut off together with their checkpoints are missed.
Exit code 0: the log is what was written, 1: it is not.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
#[command(group = clap::ArgGroup::new("log").required(true).multiple(false).args(["paths", "config", "directory"]))]
pub(super) struct Args {
    /// The directory of a log, or some of its files
    #[arg(value_name = "DIR or FILES")]
    paths: Vec<PathBuf>,
    /// The configuration of the gateway
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The directory of the log
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// A public key of the gateway; several where it had several
    #[arg(long, value_name = "PEM")]
    key: Vec<PathBuf>,
    /// A checkpoint that was kept elsewhere
    #[arg(long, value_name = "FILE")]
    head: Vec<PathBuf>,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> Result<Answer, Failure> {
    let set = set(args)?;
    if set.files.is_empty() && set.checkpoints.is_none() {
        return Err(Failure::Cannot("no file of a log stands there".to_owned()));
    }
    let mut keys = VerifyingKeys::default();
    for path in &args.key {
        let told = |error| Failure::Cannot(format!("{}: {error}", path.display()));
        keys.add_pem(&files::read(path)?).map_err(told)?;
    }
    let mut heads = Vec::new();
    for path in &args.head {
        heads.extend(read_heads(path)?);
    }
    let bar = Bar::new(set.stored_bytes(), "verifying");
    let trust = Trust { keys, heads, threads: threads() };
    let report = set.verify(trust, &|bytes| bar.read(bytes)).map_err(Failure::cannot)?;
    drop(bar);
    match args.output {
        Output::Json => {
            serde_json::to_writer_pretty(&mut *out, &report).map_err(std::io::Error::from)?;
            writeln!(out)?;
        }
        Output::Text => write(&report, out)?,
    }
    Ok(if report.fault_count == 0 { Answer::Good } else { Answer::No })
}

fn set(args: &Args) -> Result<Set, Failure> {
    let whole = |directory: &Path| {
        let told = |error| Failure::Cannot(format!("{}: {error}", directory.display()));
        Set::of_directory(directory).map_err(told)
    };
    if let Some(directory) = &args.directory {
        return whole(directory);
    }
    if let Some(config) = &args.config {
        return whole(&Config::load(config).map_err(Failure::cannot)?.audit.directory);
    }
    if let [directory] = args.paths.as_slice()
        && directory.is_dir()
    {
        return whole(directory);
    }
    let mut set = Set::default();
    for path in &args.paths {
        if path.file_name().is_some_and(|name| name == CHECKPOINTS) {
            set.checkpoints = Some(path.clone());
            continue;
        }
        let file = LogFile::of(path).filter(|_| path.exists());
        set.files.push(file.ok_or_else(|| {
            Failure::Cannot(format!(
                "{} is not there, or has not the name of a file of a log",
                path.display()
            ))
        })?);
    }
    set.files.sort_by_key(|file| file.number);
    Ok(set)
}

fn read_heads(path: &Path) -> Result<Vec<(String, Checkpoint)>, Failure> {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let text = files::read(path)?;
    let heads = serde_json::Deserializer::from_slice(&text).into_iter::<Checkpoint>();
    let heads: Result<Vec<_>, _> = heads.map(|head| Ok((name.clone(), head?))).collect();
    let heads: Vec<(String, Checkpoint)> = heads.map_err(|error: serde_json::Error| {
        Failure::Cannot(format!("{name}: no checkpoint: {error}"))
    })?;
    if heads.is_empty() {
        return Err(Failure::Cannot(format!("{name}: no checkpoint stands in it")));
    }
    Ok(heads)
}

fn write(report: &Report, out: &mut dyn Write) -> Result<(), Failure> {
    for fault in &report.faults {
        writeln!(out, "{}", sentence(fault))?;
    }
    let more = report.fault_count - report.faults.len() as u64;
    if more > 0 {
        writeln!(out, "and {more} faults more")?;
    }
    if !report.faults.is_empty() {
        writeln!(out)?;
    }
    for note in &report.notes {
        writeln!(out, "note: {}: {}", note.file, printable(&note.detail))?;
    }
    writeln!(out, "files        {}", report.files)?;
    writeln!(out, "lines        {} ({:.1} MB)", report.lines, report.bytes as f64 / 1e6)?;
    writeln!(out, "requests     {}", report.requests)?;
    if let Some((first, last)) = report.span {
        writeln!(out, "from         {first:.0}")?;
        writeln!(out, "to           {last:.0}")?;
    }
    let (within, beside) = (report.checkpoints, report.listed);
    writeln!(out, "checkpoints  {within} in the files, {beside} in {CHECKPOINTS}")?;
    writeln!(
        out,
        "not signed   {} lines behind the last checkpoint of their file",
        report.unsworn
    )?;
    let keys = report.keys.join(" ");
    match report.keys_given {
        true => {
            writeln!(out, "keys         {keys} in the log, held against those that were given")?
        }
        false => writeln!(
            out,
            "keys         {keys}, read from the log itself: name --key to know that it is the gateway's"
        )?,
    }
    match report.fault_count {
        0 if report.unsworn == 0 => writeln!(out, "good: every line is what was written")?,
        0 => writeln!(
            out,
            "good: every signed line is what was written; {} hold together and are not signed yet",
            report.unsworn
        )?,
        1 => writeln!(out, "NOT GOOD: 1 fault")?,
        count => writeln!(out, "NOT GOOD: {count} faults")?,
    }
    Ok(())
}

fn sentence(fault: &Fault) -> String {
    let mut text = fault.file.clone();
    if let (Some(line), Some(byte)) = (fault.line, fault.byte) {
        text.push_str(&format!(" line {line} (byte {byte})"));
    }
    text.push_str(&format!(": {}", fault.kind.code()));
    if let Some(time) = fault.time {
        text.push_str(&format!(", {time:.3}"));
    }
    if let Some(request) = &fault.request_id {
        text.push_str(&format!(", request {request}"));
    }
    text.push_str(": ");
    text.push_str(&printable(&fault.detail));
    text
}
