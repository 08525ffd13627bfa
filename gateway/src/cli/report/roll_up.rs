//! `octroi report roll-up`.

use std::io::Write;

use jiff::Timestamp;

use super::{Place, bar};
use crate::cli::{Answer, Failure};
use crate::statistics::roll_up;

const EXAMPLE: &str = "Example:
  octroi report roll-up --log /var/log/octroi

Run it once a day, before old files of the log are removed: a day that is rolled up is counted without
its files. Each log keeps its roll-ups in its directory, in statistics/.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> Result<Answer, Failure> {
    let config = args.place.config()?;
    let (zone, name) = args.place.zone(config.as_ref())?;
    let bar = bar();
    for log in &args.place.logs()? {
        let begin = |bytes| bar.inc_length(bytes);
        let books = roll_up(log, (&zone, &name), Timestamp::now(), &begin, &|bytes| bar.inc(bytes));
        let books = books.map_err(Failure::cannot)?;
        if let Some(why) = books.not_kept {
            return Err(Failure::Cannot(format!("{}: {why}", log.display())));
        }
        writeln!(
            out,
            "{}: {} days rolled up, {} in all",
            log.display(),
            books.kept,
            books.days.len()
        )?;
    }
    bar.finish_and_clear();
    Ok(Answer::Good)
}
