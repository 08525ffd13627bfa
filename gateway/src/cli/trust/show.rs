//! `octroi trust list`, `diff` and `rollback`.

use std::io::Write;

use certs::Anchors;
use jiff::Timestamp;

use super::{Place, cannot, short};
use crate::cli::{Answer, Failure, Output};
use crate::trust::Change;

const LIST_EXAMPLE: &str = "Example:
  octroi trust list --dir trust
  octroi trust list --dir trust --all";

#[derive(Debug, clap::Args)]
#[command(after_help = LIST_EXAMPLE)]
pub(super) struct ListArgs {
    #[command(flatten)]
    place: Place,
    /// The snapshots instead of the CAs
    #[arg(long)]
    all: bool,
    /// As the lists are at this instant, RFC 3339 [default: now]
    #[arg(long, value_name = "INSTANT")]
    at: Option<Timestamp>,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

const DIFF_EXAMPLE: &str = "Example:
  octroi trust diff --dir trust 3f2a9c            (from that snapshot to the current one)
  octroi trust diff --dir trust 3f2a9c 91bb07

Exit code 0: nothing changed, 1: something did.";

#[derive(Debug, clap::Args)]
#[command(after_help = DIFF_EXAMPLE)]
pub(super) struct DiffArgs {
    #[command(flatten)]
    place: Place,
    /// The older snapshot, or how its name begins
    #[arg(value_name = "OLDER")]
    older: String,
    /// The newer one [default: the current]
    #[arg(value_name = "NEWER")]
    newer: Option<String>,
    /// As the lists are at this instant, RFC 3339 [default: now]
    #[arg(long, value_name = "INSTANT")]
    at: Option<Timestamp>,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

const ROLLBACK_EXAMPLE: &str = "Example:
  octroi trust rollback --dir trust 3f2a9c

A running gateway takes it in within seconds.";

#[derive(Debug, clap::Args)]
#[command(after_help = ROLLBACK_EXAMPLE)]
pub(super) struct RollbackArgs {
    #[command(flatten)]
    place: Place,
    /// The snapshot, or how its name begins
    #[arg(value_name = "SNAPSHOT")]
    to: String,
}

pub(super) fn list(args: &ListArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    let store = args.place.store()?;
    let current = store.current_name().map_err(|error| cannot(&error))?;
    if args.all {
        let all = store.all().map_err(|error| cannot(&error))?;
        for (name, snapshot) in &all {
            let lists: Vec<String> = snapshot
                .lists
                .iter()
                .map(|list| format!("{} {}", list.territory, list.sequence))
                .collect();
            let mark = if current.as_ref() == Some(name) { "current" } else { "" };
            let (made_at, lists) = (snapshot.made_at, lists.join(", "));
            writeln!(out, "{}  {made_at:.0}  {mark:<7}  {lists}", short(name))?;
        }
        return Ok(if all.is_empty() { Answer::No } else { Answer::Good });
    }
    let (name, snapshot) = store.current().map_err(|error| cannot(&error))?;
    let at = args.at.unwrap_or_else(Timestamp::now);
    let cas = snapshot.cas(at);
    if args.output == Output::Json {
        let report =
            serde_json::json!({ "snapshot": name, "at": at, "lists": snapshot.lists, "cas": cas });
        serde_json::to_writer_pretty(&mut *out, &report).map_err(std::io::Error::from)?;
        writeln!(out)?;
        return Ok(Answer::Good);
    }
    writeln!(out, "snapshot {} of {:.0}", short(&name), snapshot.made_at)?;
    for list in &snapshot.lists {
        let end = match list.next_update {
            Some(end) if end < at => format!("ENDED on {end:.0}: its CAs are not believed"),
            Some(end) => format!("until {end:.0}"),
            None => "closed: its CAs are not believed".to_owned(),
        };
        writeln!(
            out,
            "{:<8} number {}, of {:.0}, {end}",
            list.territory, list.sequence, list.issued
        )?;
    }
    for ca in &cas {
        let uses = match (ca.web, ca.seals) {
            (true, true) => "QWAC QSEALC",
            (true, false) => "QWAC",
            _ => "QSEALC",
        };
        let note =
            if ca.downgrades { "  (some of its certificates are not qualified)" } else { "" };
        writeln!(
            out,
            "{:<3} {uses:<11} {}  {}{note}",
            ca.territory,
            short(&ca.sha256),
            ca.subject
        )?;
    }
    Ok(Answer::Good)
}

pub(super) fn diff(args: &DiffArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    let store = args.place.store()?;
    let older = store.read(&args.older).map_err(|error| cannot(&error))?;
    let newer = match &args.newer {
        Some(name) => store.read(name),
        None => store.current().map(|(_, snapshot)| snapshot),
    };
    let newer = newer.map_err(|error| cannot(&error))?;
    let at = args.at.unwrap_or_else(Timestamp::now);
    let mut anchors = Anchors::default();
    newer.add_anchors(&mut anchors, certs::Use::Web, at);
    let changes = newer.changes_since(&older, at, &args.place.known_tpps(&anchors));
    if args.output == Output::Json {
        serde_json::to_writer_pretty(&mut *out, &changes).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        for change in &changes {
            write_change(change, out)?;
        }
    }
    Ok(if changes.is_empty() { Answer::Good } else { Answer::No })
}

pub(super) fn rollback(args: &RollbackArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    let store = args.place.store()?;
    let name = store.make_current(&args.to).map_err(|error| cannot(&error))?;
    writeln!(out, "current  {}", short(&name))?;
    Ok(Answer::Good)
}

pub(super) fn write_change(change: &Change, out: &mut dyn Write) -> std::io::Result<()> {
    let Change { change, ca, known_tpps } = change;
    let will = if *change == "added" { "will use it" } else { "came over it" };
    let tpps = match known_tpps {
        0 => String::new(),
        1 => format!("; one known TPP certificate {will}"),
        count => format!("; {count} known TPP certificates {will}"),
    };
    let uses = match (ca.web, ca.seals) {
        (true, true) => "QWACs and QSEALCs",
        (true, false) => "QWACs",
        _ => "QSEALCs",
    };
    writeln!(out, "{change:<8} {} for {uses}: {}{tpps}", ca.territory, ca.subject)
}
