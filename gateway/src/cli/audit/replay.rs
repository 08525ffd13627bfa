//! `octroi audit replay`.

use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use comfy_table::{Table, presets};
use jiff::Timestamp;
use serde::Serialize;

use crate::cli::{Answer, Failure, Output, printable, progress};
use crate::config::Config;
use crate::replay::{self, Replay, Replayed, Span};
use crate::world::Past;

const EXAMPLE: &str = "Example:
  octroi audit replay --config octroi.toml
  octroi audit replay --config octroi.toml --from 2026-11-21T00:00:00Z --to 2026-11-22T00:00:00Z

Each record is judged by the code of the gateway in the world that judged it: the configuration, anchors,
revocations and registers of then, which lie in `worlds` beside the log. What comes after the token
counts as recorded. What cannot be judged once more is counted by its cause, never as equal.
Exit code 0: all that was judged came out as recorded, 1: something did not, 4: nothing differs, and of
some records that were judged the certificate or the world is not there any more (0 with --accept-lost).";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(in crate::cli) struct Args {
    /// The configuration of the gateway: where its log and its registers are
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The directory of the log [default: that of the configuration]
    #[arg(long, value_name = "DIR")]
    log: Option<PathBuf>,
    /// Only records from this instant on, RFC 3339
    #[arg(long, value_name = "INSTANT")]
    from: Option<Timestamp>,
    /// Only records before this instant
    #[arg(long, value_name = "INSTANT")]
    to: Option<Timestamp>,
    /// Exit code 0 also where records cannot be judged once more, because what judged them was not kept
    #[arg(long)]
    accept_lost: bool,
    /// Differences that are told, at most
    #[arg(long, value_name = "N", default_value_t = 20)]
    differences: usize,
    /// Threads that judge
    #[arg(long, value_name = "N", default_value_t = 2)]
    threads: usize,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// The JSON form.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    replayed: &'a Replayed,
    /// Of those that were not replayed: what was judged, by what is not there any more.
    lost: u64,
    seconds: f64,
}

pub(in crate::cli) fn run(args: &Args, out: &mut dyn Write) -> Result<Answer, Failure> {
    let config = Config::load(&args.config).map_err(Failure::cannot)?;
    let directory = args.log.as_deref().unwrap_or(&config.audit.directory);
    let register = config.register.directory.as_deref();
    let past = Past::open(directory, register).map_err(Failure::cannot)?;
    let span = Span { from: args.from, to: args.to };
    let bar = progress::bar(replay::bytes(directory, span).map_err(Failure::cannot)?, "replaying");
    let (threads, told_max) = (args.threads.max(1), args.differences);
    let replay = Replay { directory, span, past: &past, threads, told_max };
    let began = Instant::now();
    let replayed = replay.run(&|bytes| bar.inc(bytes)).map_err(Failure::cannot)?;
    bar.finish_and_clear();
    let (lost, seconds) = (replayed.lost(), began.elapsed().as_secs_f64());
    let report = Report { replayed: &replayed, lost, seconds };
    match args.output {
        Output::Json => {
            serde_json::to_writer_pretty(&mut *out, &report).map_err(std::io::Error::from)?;
            writeln!(out)?;
        }
        Output::Text => text(&report, out)?,
    }
    Ok(match (replayed.is_equal(), lost) {
        (false, _) => Answer::No,
        (true, 1..) if !args.accept_lost => Answer::Partly,
        (true, _) => Answer::Good,
    })
}

fn text(report: &Report<'_>, out: &mut dyn Write) -> std::io::Result<()> {
    let replayed = report.replayed;
    writeln!(out, "{} records in {:.1} s", replayed.records, report.seconds)?;
    writeln!(out, "  {} came out as recorded", replayed.equal)?;
    if replayed.later_as_recorded > 0 {
        let later = replayed.later_as_recorded;
        writeln!(
            out,
            "    of these {later} were refused after the token: that counts as recorded"
        )?;
    }
    writeln!(out, "  {} came out differently", replayed.different)?;
    for (cause, count) in &replayed.not_replayed {
        writeln!(out, "  {count} could not be judged once more: {}", cause.words())?;
    }
    for why in &replayed.unfit {
        writeln!(out, "    {why}")?;
    }
    if report.lost > 0 {
        let lost = report.lost;
        writeln!(out, "  of {lost} nobody can tell any more whether they were judged rightly")?;
    }
    if replayed.differences.is_empty() {
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["where", "request", "check", "recorded", "comes out"]);
    for one in &replayed.differences {
        table.add_row([
            &format!("{}:{}", one.file, one.line),
            &printable(one.request_id.as_deref().unwrap_or("-")),
            one.check,
            &printable(&one.recorded),
            &printable(&one.replayed),
        ]);
    }
    writeln!(out, "\n{table}")
}
