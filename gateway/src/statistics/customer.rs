//! The customer interface (RTS art. 32(4) asks for it beside the dedicated one): a CSV that the bank's web
//! and mobile teams give.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::civil::Date;

use super::figures::{Bank, COLUMNS, Customer, CustomerDay, CustomerFigures, DayFigures, rounded};

/// The columns that are needed; those of the figures may be missing, and an empty field is not known.
const NEEDED: [&str; 3] = ["date", "codetab", "channel"];
const COUNT: usize = NEEDED.len() + COLUMNS.len();
/// Every bank of a group of a thousand, for two channels, for a quarter.
const BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CustomerFault {
    /// It cannot be read.
    #[error("{}: {why}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A field.
    #[error("{}, line {line}, column {column} ({name}): {what}; {mend}", path.display())]
    Field {
        /// Which file.
        path: PathBuf,
        /// From 1.
        line: u64,
        /// From 1.
        column: usize,
        /// As the first line calls it.
        name: String,
        /// What is wrong.
        what: String,
        /// What to write.
        mend: &'static str,
    },
}

/// A row, without what it is about.
type Rows = BTreeMap<(String, String), BTreeMap<Date, CustomerFigures>>;

/// Reads the file and puts each bank's rows of these days on it. Fields are parted by semicolons or commas,
/// as the first line is; with semicolons a decimal comma is a point.
///
/// # Errors
/// The first field that is wrong, with its place.
pub(super) fn join(path: &Path, banks: &mut [Bank]) -> Result<(), CustomerFault> {
    let rows = read(path)?;
    for bank in banks {
        let dates: Vec<Date> = bank.days.iter().map(|day: &DayFigures| day.date).collect();
        for ((codetab, channel), days) in &rows {
            if *codetab != bank.codetab {
                continue;
            }
            let days: Vec<CustomerDay> = days
                .iter()
                .filter(|(date, _)| dates.contains(date))
                .map(|(date, figures)| CustomerDay { date: *date, figures: figures.clone() })
                .collect();
            let total = total(&days);
            bank.customer.push(Customer { channel: channel.clone(), total, days });
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Rows, CustomerFault> {
    let file = |why: String| CustomerFault::File { path: path.to_owned(), why };
    let length = std::fs::metadata(path).map_err(|error| file(error.to_string()))?.len();
    if length > BYTES_MAX {
        return Err(file(format!("larger than {BYTES_MAX} bytes")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| file(error.to_string()))?;
    // Spreadsheets begin a file in UTF-8 with a mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let first = text.lines().next().unwrap_or_default();
    let delimiter = if first.contains(';') { b';' } else { b',' };
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| file(error.to_string()))?.clone();
    let table = Table { path, header: &header, decimal_comma: delimiter == b';', row: None };
    let places = table.places()?;
    let mut rows = Rows::new();
    for record in reader.into_records() {
        let record = record.map_err(|error| file(error.to_string()))?;
        let table = Table { row: Some(&record), ..table };
        let row = Row { table: &table, places: &places };
        let (date, codetab, channel, figures) = row.read()?;
        let days = rows.entry((codetab, channel)).or_default();
        if days.insert(date, figures).is_some() {
            let what = format!("{date} stands there twice for this codetab and channel");
            return Err(table.fault(0, what, "keep one of the two lines"));
        }
    }
    Ok(rows)
}

#[derive(Clone, Copy)]
struct Table<'a> {
    path: &'a Path,
    header: &'a csv::StringRecord,
    decimal_comma: bool,
    row: Option<&'a csv::StringRecord>,
}

impl Table<'_> {
    /// Where each of [`columns`] is.
    fn places(&self) -> Result<[Option<usize>; COUNT], CustomerFault> {
        let mut places = [None; COUNT];
        for (at, name) in self.header.iter().enumerate() {
            let known = columns().position(|column| column == name.trim());
            let Some(place) = known.and_then(|known| places.get_mut(known)) else {
                let what = "no such column".to_owned();
                return Err(self.fault(at, what, "the columns are listed in the documentation"));
            };
            if place.replace(at).is_some() {
                return Err(self.fault(at, "the column is there twice".to_owned(), "remove one"));
            }
        }
        for (column, place) in NEEDED.iter().zip(&places) {
            if place.is_none() {
                let what = format!("the column `{column}` is missing");
                return Err(self.fault(self.header.len(), what, "add it to the first line"));
            }
        }
        Ok(places)
    }

    fn fault(&self, at: usize, what: String, mend: &'static str) -> CustomerFault {
        let line = self.row.and_then(|row| row.position()).map_or(1, csv::Position::line);
        CustomerFault::Field {
            path: self.path.to_owned(),
            line,
            column: at + 1,
            name: self.header.get(at).unwrap_or_default().to_owned(),
            what,
            mend,
        }
    }
}

/// All columns, in the order of their places.
fn columns() -> impl Iterator<Item = &'static str> {
    NEEDED.into_iter().chain(COLUMNS)
}

struct Row<'a> {
    table: &'a Table<'a>,
    places: &'a [Option<usize>; COUNT],
}

impl Row<'_> {
    fn read(&self) -> Result<(Date, String, String, CustomerFigures), CustomerFault> {
        let (at, date) = self.needed("date")?;
        let date = date.parse::<Date>().ok().filter(|read| read.to_string() == date);
        let date = date.ok_or_else(|| self.wrong(at, "a day", "write it as 2026-10-01"))?;
        let (at, codetab) = self.needed("codetab")?;
        if codetab.len() != 5 || !codetab.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(self.wrong(at, "a bank code", "write exactly 5 digits"));
        }
        let (at, channel) = self.needed("channel")?;
        if channel.is_empty() || channel.eq_ignore_ascii_case("api") {
            return Err(self.wrong(at, "a customer interface", "write web, mobile, or its name"));
        }
        let mut figures = CustomerFigures {
            uptime_pct: self.percent("uptime_pct")?,
            downtime_pct: self.percent("downtime_pct")?,
            downtime_s: self.number("downtime_s", f64::MAX)?,
            avg_ms_pisp: self.number("avg_ms_pisp", f64::MAX)?,
            avg_ms_aisp: self.number("avg_ms_aisp", f64::MAX)?,
            avg_ms_cof: self.number("avg_ms_cof", f64::MAX)?,
            requests: self.count("requests")?,
            errors: self.count("errors")?,
            error_rate_pct: self.percent("error_rate_pct")?,
        };
        complete(&mut figures);
        Ok((date, codetab.to_owned(), channel.to_owned(), figures))
    }

    fn field(&self, name: &str) -> (usize, &str) {
        let at = columns().position(|column| column == name);
        let at = at.and_then(|at| self.places.get(at).copied().flatten()).unwrap_or(usize::MAX);
        (at, self.table.row.and_then(|row| row.get(at)).unwrap_or_default().trim())
    }

    fn needed(&self, name: &str) -> Result<(usize, &str), CustomerFault> {
        let (at, text) = self.field(name);
        if text.is_empty() {
            return Err(self.table.fault(at, "is empty".to_owned(), "this column is needed"));
        }
        Ok((at, text))
    }

    fn percent(&self, name: &str) -> Result<Option<f64>, CustomerFault> {
        self.number(name, 100.0)
    }

    fn number(&self, name: &str, most: f64) -> Result<Option<f64>, CustomerFault> {
        let (at, text) = self.field(name);
        if text.is_empty() {
            return Ok(None);
        }
        let point = if self.table.decimal_comma { text.replace(',', ".") } else { text.to_owned() };
        let plain = point.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let number = point.parse::<f64>().ok().filter(|number| plain && *number <= most);
        let mend = "write a number such as 99.95, or nothing where it is not known";
        number.map(Some).ok_or_else(|| self.wrong(at, "a number of that kind", mend))
    }

    fn count(&self, name: &str) -> Result<Option<u64>, CustomerFault> {
        let (at, text) = self.field(name);
        if text.is_empty() {
            return Ok(None);
        }
        let mend = "write digits only, or nothing where it is not known";
        text.parse().map(Some).map_err(|_| self.wrong(at, "a count", mend))
    }

    fn wrong(&self, at: usize, expected: &str, mend: &'static str) -> CustomerFault {
        let text = self.table.row.and_then(|row| row.get(at)).unwrap_or_default();
        let shown: String = text.chars().take(40).collect();
        self.table.fault(at, format!("{shown:?} is not {expected}"), mend)
    }
}

/// What follows from what was given.
fn complete(figures: &mut CustomerFigures) {
    const DAY_S: f64 = 86_400.0;
    let down = figures.downtime_s.map(|seconds| (seconds * 100.0 / DAY_S).min(100.0));
    let down = figures.downtime_pct.or(figures.uptime_pct.map(|up| 100.0 - up)).or(down);
    figures.downtime_pct = down.map(|down| rounded(down, 4));
    figures.uptime_pct = figures.uptime_pct.or(down.map(|down| rounded(100.0 - down, 4)));
    if let (None, Some(errors), Some(requests)) =
        (figures.error_rate_pct, figures.errors, figures.requests.filter(|count| *count > 0))
    {
        figures.error_rate_pct = Some(rounded(errors as f64 * 100.0 / requests as f64, 4));
    }
}

/// The mean of the days; times weighed by requests where all days tell these.
fn total(days: &[CustomerDay]) -> CustomerFigures {
    let mean = |of: fn(&CustomerFigures) -> Option<f64>, digits| {
        let told: Vec<(f64, f64)> = days
            .iter()
            .filter_map(|day| {
                Some((of(&day.figures)?, day.figures.requests.map_or(0.0, |n| n as f64)))
            })
            .collect();
        let weighed = told.iter().all(|(_, requests)| *requests > 0.0);
        let weight = |requests: f64| if weighed { requests } else { 1.0 };
        let all: f64 = told.iter().map(|(_, requests)| weight(*requests)).sum();
        let sum: f64 = told.iter().map(|(value, requests)| value * weight(*requests)).sum();
        (all > 0.0).then(|| rounded(sum / all, digits))
    };
    let time = |of: fn(&CustomerFigures) -> Option<f64>| {
        let told: Vec<f64> = days.iter().filter_map(|day| of(&day.figures)).collect();
        (!told.is_empty()).then(|| rounded(told.iter().sum::<f64>() / told.len() as f64, 4))
    };
    let sum = |of: fn(&CustomerFigures) -> Option<u64>| {
        let told: Vec<u64> = days.iter().filter_map(|day| of(&day.figures)).collect();
        (!told.is_empty()).then(|| told.iter().sum())
    };
    let seconds: Vec<f64> = days.iter().filter_map(|day| day.figures.downtime_s).collect();
    CustomerFigures {
        uptime_pct: time(|figures| figures.uptime_pct),
        downtime_pct: time(|figures| figures.downtime_pct),
        downtime_s: (!seconds.is_empty()).then(|| rounded(seconds.iter().sum(), 3)),
        avg_ms_pisp: mean(|figures| figures.avg_ms_pisp, 1),
        avg_ms_aisp: mean(|figures| figures.avg_ms_aisp, 1),
        avg_ms_cof: mean(|figures| figures.avg_ms_cof, 1),
        requests: sum(|figures| figures.requests),
        errors: sum(|figures| figures.errors),
        error_rate_pct: mean(|figures| figures.error_rate_pct, 4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Result<Rows, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read(file.path()).map_err(|fault| fault.to_string())
    }

    #[test]
    fn what_was_not_told_follows_or_stays_unknown() {
        let text = "\u{feff}date;codetab;channel;downtime_s;requests;errors;avg_ms_aisp\r\n\
                    2026-10-01;17515;web;864;1000;5;\"120,5\"\r\n2026-10-02;17515;web;;;;\r\n";
        let rows = rows(text).unwrap();
        let days = &rows[&("17515".to_owned(), "web".to_owned())];
        let first = &days[&"2026-10-01".parse().unwrap()];
        assert_eq!((first.uptime_pct, first.downtime_pct), (Some(99.0), Some(1.0)));
        assert_eq!((first.error_rate_pct, first.avg_ms_aisp), (Some(0.5), Some(120.5)));
        assert_eq!(days[&"2026-10-02".parse().unwrap()], CustomerFigures::default());
    }

    #[test]
    fn a_wrong_field_is_named_with_line_and_column() {
        for (text, place) in [
            (
                "date,codetab,channel\n2026-10-01,17515,web\n01/10/2026,17515,web\n",
                "line 3, column 1 (date)",
            ),
            ("date,codetab,channel\n2026-10-01,1751,web\n", "line 2, column 2 (codetab)"),
            ("date,codetab,channel\n2026-10-01,17515,API\n", "line 2, column 3 (channel)"),
            (
                "date,codetab,channel,uptime_pct\n2026-10-01,17515,web,101\n",
                "line 2, column 4 (uptime_pct)",
            ),
            (
                "date,codetab,channel,uptime_pct\n2026-10-01,17515,web,-1\n",
                "line 2, column 4 (uptime_pct)",
            ),
            (
                "date,codetab,channel,requests\n2026-10-01,17515,web,1.5\n",
                "line 2, column 4 (requests)",
            ),
            ("date,codetab,channel,uptim\n", "line 1, column 4 (uptim): no such column"),
            ("date,codetab\n", "the column `channel` is missing"),
            (
                "date,codetab,channel\n2026-10-01,17515,web\n2026-10-01,17515,web\n",
                "line 3, column 1",
            ),
            ("date,codetab,channel\n2026-10-01,,web\n", "line 2, column 2 (codetab): is empty"),
        ] {
            let fault = rows(text).unwrap_err();
            assert!(fault.contains(place), "{text}: {fault}");
        }
    }
}
