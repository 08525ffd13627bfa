//! `octroi register fetch`.

use std::io::Write;

use jiff::Timestamp;
use policies::register::Rejection;

use super::{Place, impact, short};
use crate::cli::progress::bar;
use crate::cli::{Answer, Failure, run as runs};
use crate::fetch::Fetcher;
use crate::register::{Downloads, Held, Parts, build};

const EXAMPLE: &str = "Example:
  octroi register fetch --config octroi.toml

What has a URL is fetched, if it changed; then all files are read. A running gateway takes the result
in within seconds. Exit code 0: it is in force, 1: the gate holds it, 3: nothing changed.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    /// Tell what would change, and put nothing in force
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> Result<Answer, Failure> {
    let config = args.place.config()?;
    let settings = &config.register;
    let directory = Place::directory(&config)?;
    let Some(_lock) = directory.lock().map_err(Failure::cannot)? else {
        let why = "another process is fetching into this directory; try again in a while";
        return Err(Failure::Cannot(why.to_owned()));
    };
    let downloads = Downloads::below(directory.path());
    let now = Timestamp::now();
    if let (Some(fetch), true) = (&settings.fetch, settings.urls().next().is_some()) {
        let fetcher = Fetcher::new(fetch.allow.clone()).map_err(Failure::cannot)?;
        let bar = bar(0, "fetching");
        let progress = |octets: u64, total: Option<u64>| {
            if let Some(total) = total {
                bar.set_length(total);
            }
            bar.set_position(octets);
        };
        let fetched = runs::runtime(1)?
            .block_on(downloads.fetch(settings, &fetcher, now, &progress))
            .map_err(|error| Failure::Cannot(format!("{error}; nothing changed")))?;
        bar.finish_and_clear();
        writeln!(out, "{}", if fetched { "fetched" } else { "nothing new was published" })?;
    }
    let parts = Parts::of(settings, |url| downloads.find(url)).map_err(Failure::cannot)?;
    let bar = bar(parts.octets(), "reading");
    let newer = build(&parts, &mut |_: &Rejection| {}, &|octets| bar.inc(octets))
        .map_err(|error| Failure::Cannot(format!("{error}; nothing changed")))?;
    bar.finish_and_clear();
    for source in &newer.sources {
        let account = &source.account;
        writeln!(
            out,
            "{} ({}, {:.0}): {} rows read, {} used, {} not relevant, {} rejected",
            source.origin.code(),
            source.file,
            source.as_of,
            account.read,
            account.used,
            account.not_relevant,
            account.rejected
        )?;
    }
    let archive = directory.archive();
    let current = archive.current_name().map_err(Failure::cannot)?;
    let older = match &current {
        Some(name) => Some(archive.read(name).map_err(Failure::cannot)?),
        None => None,
    };
    let mut why = Vec::new();
    let mut found = None;
    if let Some(older) = &older {
        let impact = impact(&config, older, &newer, now)?;
        writeln!(out, "{impact}")?;
        why = impact.holds(older, &newer, settings.gate);
        found = Some(impact);
    }
    if args.dry_run {
        why.iter().try_for_each(|hold| writeln!(out, "would be held: {hold}"))?;
        writeln!(out, "nothing was changed")?;
        return Ok(if why.is_empty() { Answer::Good } else { Answer::No });
    }
    let name = archive.keep(&newer).map_err(Failure::cannot)?;
    if current.as_deref() == Some(name.as_str()) {
        writeln!(out, "in force  {} (as before)", short(&name))?;
        return Ok(Answer::Good);
    }
    if why.is_empty() {
        directory.take(&name, "octroi register fetch", now).map_err(Failure::cannot)?;
        directory.release().map_err(Failure::cannot)?;
        directory.prune(settings.kept_for, now).map_err(Failure::cannot)?;
        writeln!(out, "in force  {}", short(&name))?;
        return Ok(Answer::Good);
    }
    why.iter().try_for_each(|hold| writeln!(out, "held: {hold}"))?;
    let accept = short(&name).to_owned();
    let impact = found.unwrap_or_default();
    directory.hold(&Held { snapshot: name, at: now, why, impact }).map_err(Failure::cannot)?;
    writeln!(out, "to put it in force all the same: octroi register accept {accept} --by YOU")?;
    Ok(Answer::No)
}
