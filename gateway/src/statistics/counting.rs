//! The quarter of all directories, from their books.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::thread;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use policies::statistics::{Day, Downtime, Reply, Service, Silence, Watch, may_be_down, union};

use super::books::Books;
use super::figures::{
    ApiFigures, Bank, DayFigures, FORMAT, Figures, Group, Report, SourceDay, SourceFile, Sum,
    Unmeasured,
};
use super::reading::Kind;
use super::rollup::{KindOfDay, Rollup, RollupError};
use crate::audit::shelf::LogFile;

/// What is asked of the books.
#[derive(Debug)]
pub(super) struct Question<'a> {
    /// Of all gateways.
    pub books: &'a [Books],
    /// `2026-Q4`.
    pub quarter: String,
    /// The days of the quarter that are over.
    pub days: &'a [Day],
    /// The same with the days around it, which downtimes may come from and go to.
    pub around: &'a [Day],
    /// The whole quarter.
    pub span: (Timestamp, Timestamp),
    /// By its name.
    pub time_zone: String,
    /// Now, or when the report that is verified was made.
    pub as_of: Timestamp,
    /// Count test traffic, and nothing else.
    pub sandbox: bool,
    /// Probes are evidence of downtime.
    pub probe_counts: bool,
    /// What the configuration says about APIs: the service of each that has one.
    pub services: BTreeMap<String, Service>,
    /// What the configuration says about banks.
    pub names: BTreeMap<String, String>,
}

/// An API, version and service.
type ApiKey = (String, String, Service);

/// A bank with its downtimes, before they are put in words.
#[derive(Debug)]
pub(super) struct Counted {
    /// The figures; downtimes and customers are still missing.
    pub bank: Bank,
    /// When it was down.
    pub downtimes: Vec<Downtime>,
}

/// A roll-up and where it is.
type Page<'a> = (&'a PathBuf, &'a Rollup);

impl Question<'_> {
    /// Counts.
    ///
    /// # Errors
    /// A roll-up cannot be read.
    pub(super) fn count(&self) -> Result<(Report, Vec<Counted>), RollupError> {
        let services = self.services();
        let codetabs: Vec<String> = self.codetabs().into_iter().collect();
        let count = |codetab: &String| self.bank(codetab, &services);
        let counted = in_parallel(&codetabs, &count)?;
        let mut banks = Vec::new();
        let mut group = GroupSums::default();
        for (bank, sums, downtimes) in counted {
            group.join(&sums);
            banks.push(Counted { bank, downtimes });
        }
        let report = Report {
            format: FORMAT,
            quarter: self.quarter.clone(),
            time_zone: self.time_zone.clone(),
            begins: self.span.0,
            ends: self.span.1,
            as_of: self.as_of,
            complete: self.days.last().is_some_and(|day| day.ends == self.span.1),
            sandbox: self.sandbox,
            probe_counts: self.probe_counts,
            group: group.figures(self.days),
            banks: Vec::new(),
            unmeasured: self.unmeasured(),
            sources: self.sources(),
        };
        Ok((report, banks))
    }

    /// Until when an open downtime counts.
    #[must_use]
    pub(super) fn until_ms(&self) -> i64 {
        self.days.last().map_or(0, |day| day.ends_ms())
    }

    fn pages(&self, date: Date) -> impl Iterator<Item = Page<'_>> {
        self.books
            .iter()
            .filter_map(move |books| books.days.get(&date).map(|(path, page)| (path, page)))
    }

    fn kinds(&self) -> impl Iterator<Item = &Kind> {
        let pages = self.around.iter().flat_map(|day| self.pages(day.date));
        let kinds = pages.flat_map(|(_, page)| &page.kinds).map(|of_day| &of_day.kind);
        kinds.filter(|kind| kind.sandbox == self.sandbox)
    }

    fn codetabs(&self) -> BTreeSet<String> {
        self.kinds().map(|kind| kind.codetab.clone()).collect()
    }

    /// A record that was refused before its role was known belongs to the service of its API, where that
    /// has only one: as configured, else as all other records have it.
    fn services(&self) -> BTreeMap<String, Service> {
        let mut seen: BTreeMap<&str, BTreeSet<Service>> = BTreeMap::new();
        for kind in self.kinds().filter(|kind| kind.service != Service::Other) {
            seen.entry(&kind.api).or_default().insert(kind.service);
        }
        let only = seen.into_iter().filter(|(_, services)| services.len() == 1);
        let mut services: BTreeMap<String, Service> =
            only.filter_map(|(api, services)| Some((api.to_owned(), *services.first()?))).collect();
        services.extend(self.services.clone());
        services
    }

    fn bank(
        &self,
        codetab: &str,
        services: &BTreeMap<String, Service>,
    ) -> Result<(Bank, BankSums, Vec<Downtime>), RollupError> {
        let key = |kind: &Kind| -> Option<ApiKey> {
            let of_bank = kind.codetab == codetab && kind.sandbox == self.sandbox;
            let service = match kind.service {
                Service::Other => services.get(&kind.api).copied().unwrap_or(Service::Other),
                known => known,
            };
            of_bank.then(|| (kind.api.clone(), kind.version.clone(), service))
        };
        let keys: BTreeSet<ApiKey> = self.kinds().filter_map(key).collect();
        let probed = self.probe_counts.then_some(codetab);
        let whole = Interface { question: self, is_of: &|kind| key(kind).is_some(), probed };
        let downtimes = whole.downtimes()?;
        let mut sums =
            BankSums { total: whole.days(&downtimes, &key, Some(codetab)), apis: BTreeMap::new() };
        for wanted in keys {
            let is_of = |kind: &Kind| key(kind).as_ref() == Some(&wanted);
            let part = Interface { question: self, is_of: &is_of, probed: None };
            let days = part.days(&part.downtimes()?, &key, None);
            sums.apis.insert(wanted, days);
        }
        let (total, days) = over(&sums.total, self.days);
        let bank = Bank {
            codetab: codetab.to_owned(),
            name: self.names.get(codetab).cloned(),
            total,
            days,
            apis: apis(&sums.apis, self.days),
            downtimes: Vec::new(),
            customer: Vec::new(),
        };
        Ok((bank, sums, downtimes))
    }

    fn unmeasured(&self) -> Vec<Unmeasured> {
        let logs = self.books.len();
        let days = self.days.iter().map(|day| {
            let without =
                logs - self.pages(day.date).filter(|(_, page)| is_whole(page, day)).count();
            Unmeasured { date: day.date, without, logs }
        });
        days.filter(|day| day.without > 0).collect()
    }

    fn sources(&self) -> Vec<SourceDay> {
        let pages = self.around.iter().flat_map(|day| self.pages(day.date));
        let source = |(_, page): Page<'_>| SourceDay {
            date: page.date,
            gateway: page.gateway.clone(),
            files: page
                .files
                .iter()
                .map(|file| SourceFile {
                    name: file.name.clone(),
                    sequence: file.sequence,
                    hash: file.hash.clone(),
                    unreadable: file.unreadable,
                })
                .collect(),
        };
        pages.map(source).collect()
    }
}

/// The days of a bank, and of each of its APIs.
#[derive(Debug, Default)]
struct BankSums {
    total: Vec<Sum>,
    apis: BTreeMap<ApiKey, Vec<Sum>>,
}

#[derive(Default)]
struct GroupSums {
    total: Vec<Sum>,
    apis: BTreeMap<ApiKey, Vec<Sum>>,
    /// The quarter of each interface, joined.
    quarter: Sum,
    api_quarters: BTreeMap<ApiKey, Sum>,
}

impl GroupSums {
    fn join(&mut self, bank: &BankSums) {
        join_days(&mut self.total, &bank.total);
        self.quarter.join(&quarter(&bank.total));
        for (key, days) in &bank.apis {
            join_days(self.apis.entry(key.clone()).or_default(), days);
            self.api_quarters.entry(key.clone()).or_default().join(&quarter(days));
        }
    }

    fn figures(&self, days: &[Day]) -> Group {
        let mut apis = apis(&self.apis, days);
        for (api, sum) in apis.iter_mut().zip(self.api_quarters.values()) {
            api.total = sum.figures();
        }
        Group { total: self.quarter.figures(), days: over(&self.total, days).1, apis }
    }
}

fn join_days(all: &mut Vec<Sum>, days: &[Sum]) {
    all.resize_with(all.len().max(days.len()), Sum::default);
    all.iter_mut().zip(days).for_each(|(sum, day)| sum.join(day));
}

fn quarter(days: &[Sum]) -> Sum {
    let mut all = Sum::default();
    days.iter().for_each(|day| all.follow(day));
    all
}

fn over(sums: &[Sum], days: &[Day]) -> (Figures, Vec<DayFigures>) {
    let figures = days
        .iter()
        .zip(sums)
        .map(|(day, sum)| DayFigures { date: day.date, figures: sum.figures() });
    (quarter(sums).figures(), figures.collect())
}

fn apis(sums: &BTreeMap<ApiKey, Vec<Sum>>, days: &[Day]) -> Vec<ApiFigures> {
    let figures = |((api, version, service), sums): (&ApiKey, &Vec<Sum>)| {
        let (total, days) = over(sums, days);
        let service = service.code().to_owned();
        ApiFigures { api: api.clone(), version: version.clone(), service, total, days }
    };
    sums.iter().map(figures).collect()
}

/// Whether there is a file of each UTC day that the day lies in: a gateway that runs begins one at every
/// midnight.
fn is_whole(page: &Rollup, day: &Day) -> bool {
    let date = |instant: Timestamp| instant.to_zoned(TimeZone::UTC).date();
    let last = day.ends.checked_sub(SignedDuration::from_nanos(1)).map_or(day.begins, |last| last);
    let days = page.files.iter().filter_map(|file| LogFile::of(Path::new(&file.name)));
    let days: BTreeSet<Date> = days.map(|file| file.day).collect();
    date(day.begins)
        .series(1.day())
        .take_while(|one| *one <= date(last))
        .all(|one| days.contains(&one))
}

/// Whatever one watch hears: a bank, or one of its APIs.
struct Interface<'a> {
    question: &'a Question<'a>,
    is_of: &'a dyn Fn(&Kind) -> bool,
    /// The bank whose probes it hears, too.
    probed: Option<&'a str>,
}

impl Interface<'_> {
    fn of_day<'q>(&'q self, page: &'q Rollup) -> impl Iterator<Item = &'q KindOfDay> {
        page.kinds.iter().filter(|of_day| (self.is_of)(&of_day.kind))
    }

    /// Its downtimes. Replies are read only where they can matter: where five requests in a row may have
    /// been unanswered, and from there until one was answered.
    fn downtimes(&self) -> Result<Vec<Downtime>, RollupError> {
        let days = self.question.around;
        let silences: Vec<Vec<Silence>> =
            days.iter().map(|day| self.silences(day)).collect::<Result<_, _>>()?;
        let mut watch = Watch::default();
        for (index, day) in days.iter().enumerate() {
            let now = silences.get(index).map_or(&[][..], Vec::as_slice);
            if watch.is_open() || self.may_be_down(&silences, index) {
                watch.hear(day.begins_ms(), now, &self.replies(day)?);
            } else {
                watch.hear(day.begins_ms(), now, &[]);
            }
        }
        Ok(watch.finish())
    }

    /// With the nights before and after: a row may go on over midnight.
    fn may_be_down(&self, silences: &[Vec<Silence>], index: usize) -> bool {
        let from = index.saturating_sub(1);
        let days = self.question.around.iter().zip(silences).skip(from).take(index + 2 - from);
        let received = days.flat_map(|(day, silences)| {
            silences.iter().map(|silence| day.begins_ms() + i64::from(silence.at_ms))
        });
        may_be_down(&received.collect::<Vec<_>>())
    }

    fn silences(&self, day: &Day) -> Result<Vec<Silence>, RollupError> {
        let mut silences = Vec::new();
        for (path, page) in self.question.pages(day.date) {
            for of_day in self.of_day(page) {
                silences.extend(of_day.stretch().silences);
            }
            if let Some(codetab) = self.probed {
                let failed = page.probes(path, codetab)?.into_iter();
                let failed = failed.filter(|probe| !probe.is_successful());
                silences.extend(failed.map(|probe| Silence { at_ms: probe.at_ms(), id: 0 }));
            }
        }
        silences.sort();
        Ok(silences)
    }

    fn replies(&self, day: &Day) -> Result<Vec<Reply>, RollupError> {
        let mut replies = Vec::new();
        for (path, page) in self.question.pages(day.date) {
            for of_day in self.of_day(page) {
                replies.extend(page.replies(path, of_day.replies)?);
            }
            if let Some(codetab) = self.probed {
                let probes = page.probes(path, codetab)?.into_iter();
                replies.extend(probes.filter(|probe| probe.is_successful()));
            }
        }
        replies.sort();
        Ok(replies)
    }

    /// What each day of the quarter adds up to.
    fn days(
        &self,
        downtimes: &[Downtime],
        key: &dyn Fn(&Kind) -> Option<ApiKey>,
        codetab: Option<&str>,
    ) -> Vec<Sum> {
        let down = union(downtimes, self.question.until_ms());
        let day = |day: &Day| {
            let mut sum = Sum::default();
            for (_, page) in self.question.pages(day.date) {
                for of_day in self.of_day(page) {
                    let service =
                        key(&of_day.kind).map_or(Service::Other, |(_, _, service)| service);
                    sum.note(service, &of_day.tally.into());
                }
                for probes in page.probes.iter().filter(|probes| Some(&*probes.codetab) == codetab)
                {
                    sum.probes = (sum.probes.0 + probes.sent, sum.probes.1 + probes.failed);
                }
                for fallback in page.fallback.iter().filter(|one| Some(&*one.codetab) == codetab) {
                    sum.fallback += fallback.requests;
                }
            }
            let within = |(from, to): &(i64, i64)| {
                ((*to).min(day.ends_ms()) - (*from).max(day.begins_ms())).max(0)
            };
            let down: i64 = down.iter().map(within).sum();
            if down > 0 || sum.tally().requests() > 0 {
                sum.down = Some((down, day.length_ms()));
                sum.interfaces = 1;
            }
            sum
        };
        self.question.days.iter().map(day).collect()
    }
}

/// In the order of `items`, on as many threads as there are processors.
fn in_parallel<T: Sync, R: Send, E: Send>(
    items: &[T],
    work: &(dyn Fn(&T) -> Result<R, E> + Sync),
) -> Result<Vec<R>, E> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let share = items.len().div_ceil(threads).max(1);
    thread::scope(|scope| {
        let spawn = |part| scope.spawn(move || <[T]>::iter(part).map(work).collect::<Vec<_>>());
        let running: Vec<_> = items.chunks(share).map(spawn).collect();
        let joined = running.into_iter().flat_map(|thread| match thread.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.collect()
    })
}
