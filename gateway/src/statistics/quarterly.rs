//! From directories and a quarter to a report: which days are asked about, and which around them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use policies::statistics::{Day, Quarter, Service};

use super::books::{Books, BooksError, Opening};
use super::calendar;
use super::counting::Question;
use super::customer::{self, CustomerFault};
use super::evidence;
use super::figures::Report;
use super::rollup::RollupError;

/// So many days before the quarter are looked at for a downtime that reaches into it.
const LEAD_IN_DAYS_MAX: usize = 31;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Inquiry {
    /// Which.
    pub quarter: Quarter,
    /// The logs, one directory for each gateway.
    pub logs: Vec<PathBuf>,
    /// Whose midnights.
    pub zone: TimeZone,
    /// Its name.
    pub zone_name: String,
    /// Days that are over by it are counted.
    pub as_of: Timestamp,
    /// Test traffic instead of the bank's.
    pub sandbox: bool,
    /// Probes are evidence of downtime.
    pub probe_counts: bool,
    /// The service of each API that has one.
    pub services: BTreeMap<String, Service>,
    /// The name of each bank.
    pub names: BTreeMap<String, String>,
    /// The customer interface.
    pub customer: Option<PathBuf>,
    /// Believe no roll-up.
    pub anew: bool,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum InquiryError {
    /// The logs or their roll-ups.
    #[error(transparent)]
    Books(#[from] BooksError),
    /// A roll-up.
    #[error(transparent)]
    Rollup(#[from] RollupError),
    /// The customer interface.
    #[error(transparent)]
    Customer(#[from] CustomerFault),
    /// One log under two names.
    #[error(
        "{} and {} both hold {file}, with the same last line: one is a copy of the other, and \
         its requests would count twice; name one of them",
        first.display(), second.display()
    )]
    Twice {
        /// A log.
        first: PathBuf,
        /// Another.
        second: PathBuf,
        /// What they share.
        file: String,
    },
    /// Nothing to count.
    #[error("no day of {quarter} is over yet in {zone}; the first ends at {ends}")]
    TooEarly {
        /// Which.
        quarter: Quarter,
        /// Whose.
        zone: String,
        /// When.
        ends: Timestamp,
    },
}

/// A report and the books that it was made from.
#[derive(Debug)]
pub struct Made {
    /// The figures.
    pub report: Report,
    /// One for each log.
    pub books: Vec<Books>,
    /// The days that the books are of.
    pub around: Vec<Day>,
}

impl Inquiry {
    /// Counts. `begin` is told of bytes that will be read, `progress` as they are.
    ///
    /// # Errors
    /// A log, a roll-up or a file cannot be read; the quarter has not begun.
    pub fn make(
        &self,
        begin: &dyn Fn(u64),
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Made, InquiryError> {
        let all = self.quarter.days(&self.zone);
        let over = |day: &&Day| calendar::is_over(day, self.as_of);
        let days: Vec<Day> = all.iter().filter(over).copied().collect();
        let (Some(first), Some(last), Some(whole)) = (days.first(), days.last(), all.last()) else {
            let ends = all.first().map_or(Timestamp::MAX, |day| day.ends);
            let zone = self.zone_name.clone();
            return Err(InquiryError::TooEarly { quarter: self.quarter, zone, ends });
        };
        let after = last.date.tomorrow().ok().and_then(|date| Day::of(date, &self.zone));
        let mut around: Vec<Day> = days.iter().copied().chain(after).collect();
        let open = |around: &[Day], directory: &PathBuf| {
            let opening = Opening {
                days: around,
                time_zone: &self.zone_name,
                now: self.as_of,
                anew: self.anew,
            };
            Books::open(directory, opening, begin, progress)
        };
        let mut books: Vec<Books> =
            self.logs.iter().map(|log| open(&around, log)).collect::<Result<_, _>>()?;
        // A downtime may have begun before the quarter: back to a day on which it cannot have.
        let mut unsettled = self.codetabs(&books);
        let lead_in = first.date.yesterday().ok().into_iter();
        let lead_in = lead_in.flat_map(|date| date.series((-1).day())).take(LEAD_IN_DAYS_MAX);
        for date in lead_in {
            let Some(day) = Day::of(date, &self.zone).filter(|_| !unsettled.is_empty()) else {
                break;
            };
            let mut found = false;
            for (books, log) in books.iter_mut().zip(&self.logs) {
                let before = open(&[day], log)?;
                found |= before.days.contains_key(&date);
                books.absorb(before);
            }
            if !found {
                break;
            }
            around.insert(0, day);
            settle(&mut unsettled, &books, date)?;
        }
        different(&books)?;
        let question = Question {
            books: &books,
            quarter: self.quarter.to_string(),
            days: &days,
            around: &around,
            span: (first.begins, whole.ends),
            time_zone: self.zone_name.clone(),
            as_of: self.as_of,
            sandbox: self.sandbox,
            probe_counts: self.probe_counts,
            services: self.services.clone(),
            names: self.names.clone(),
        };
        let (mut report, counted) = question.count()?;
        report.banks = evidence::prove(counted, &books, &days, question.until_ms());
        if let Some(path) = &self.customer {
            customer::join(path, &mut report.banks)?;
        }
        Ok(Made { report, books, around })
    }

    fn codetabs(&self, books: &[Books]) -> BTreeSet<String> {
        let pages = books.iter().flat_map(|books| books.days.values());
        let kinds = pages.flat_map(|(_, page)| &page.kinds).map(|of_day| &of_day.kind);
        kinds.filter(|kind| kind.sandbox == self.sandbox).map(|kind| kind.codetab.clone()).collect()
    }
}

/// No file of one log stands in another one as well.
fn different(books: &[Books]) -> Result<(), InquiryError> {
    let mut seen: BTreeMap<(&str, &str), &Books> = BTreeMap::new();
    for one in books {
        for file in one.days.values().flat_map(|(_, page)| &page.files) {
            if file.hash.is_empty() {
                continue;
            }
            let before = seen.insert((&file.name, &file.hash), one);
            if let Some(before) = before.filter(|before| before.directory != one.directory) {
                let (first, second) = (before.directory.clone(), one.directory.clone());
                return Err(InquiryError::Twice { first, second, file: file.name.clone() });
            }
        }
    }
    Ok(())
}

/// Strikes out the banks that were up at the end of the day: their last unanswered request was received
/// before one that was answered.
fn settle(
    unsettled: &mut BTreeSet<String>,
    books: &[Books],
    date: Date,
) -> Result<(), RollupError> {
    let mut ends: BTreeMap<String, (Option<u32>, Option<u32>)> = BTreeMap::new();
    for (path, page) in books.iter().filter_map(|books| books.days.get(&date)) {
        for of_day in page.kinds.iter().filter(|of_day| unsettled.contains(&of_day.kind.codetab)) {
            let (silent, answered) = ends.entry(of_day.kind.codetab.clone()).or_default();
            *silent = (*silent).max(of_day.unanswered.last().map(|(at_ms, _)| *at_ms));
            let replies = page.replies(path, of_day.replies)?;
            let last = replies.iter().rev().find(|reply| reply.is_successful());
            *answered = (*answered).max(last.map(|reply| reply.at_ms()));
        }
    }
    for (codetab, (silent, answered)) in ends {
        if answered > silent {
            unsettled.remove(&codetab);
        }
    }
    Ok(())
}

/// Makes the roll-ups of all days of a log that are over and have none. Tells how many.
///
/// # Errors
/// The log cannot be read.
pub fn roll_up(
    directory: &Path,
    (zone, zone_name): (&TimeZone, &str),
    now: Timestamp,
    begin: &dyn Fn(u64),
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Books, BooksError> {
    let files = crate::audit::shelf::files(directory).map_err(|source| {
        super::GatheringError::Directory { path: directory.to_owned(), source }
    })?;
    let today = now.to_zoned(zone.clone()).date();
    // Local midnights lie up to half a day beside those of UTC.
    let first = files.iter().map(|file| file.day).min().and_then(|day| day.yesterday().ok());
    let dates = first.into_iter().flat_map(|first| first.series(1.day()));
    let days = dates.take_while(|date| *date < today).filter_map(|date| Day::of(date, zone));
    let days: Vec<Day> = days.filter(|day| calendar::is_over(day, now)).collect();
    let opening = Opening { days: &days, time_zone: zone_name, now, anew: false };
    Books::open(directory, opening, begin, progress)
}
