//! Quarters and days as the bank's calendar has them: days of 23, 24 and 25 hours.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// A quarter of a year, written `2026-Q4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quarter {
    year: i16,
    number: i8,
}

/// It is no quarter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no quarter: write the year and the number, for example 2026-Q4")]
pub struct QuarterError(String);

/// One day of the bank's calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day {
    /// Which.
    pub date: Date,
    /// Its midnight.
    pub begins: Timestamp,
    /// The next one.
    pub ends: Timestamp,
}

impl Day {
    /// The day `date` in `zone`; nothing at the end of time.
    #[must_use]
    pub fn of(date: Date, zone: &TimeZone) -> Option<Self> {
        let begins = date.to_zoned(zone.clone()).ok()?.timestamp();
        let ends = date.tomorrow().ok()?.to_zoned(zone.clone()).ok()?.timestamp();
        Some(Self { date, begins, ends })
    }

    /// Milliseconds of Unix time.
    #[must_use]
    pub fn begins_ms(&self) -> i64 {
        self.begins.as_millisecond()
    }

    /// Milliseconds of Unix time.
    #[must_use]
    pub fn ends_ms(&self) -> i64 {
        self.ends.as_millisecond()
    }

    /// How long it is: 86 400 000, but on the two days on which the clocks are changed.
    #[must_use]
    pub fn length_ms(&self) -> i64 {
        self.ends_ms() - self.begins_ms()
    }
}

impl Quarter {
    /// The quarter that holds this day.
    #[must_use]
    pub fn of(date: Date) -> Self {
        Self { year: date.year(), number: (date.month() - 1) / 3 + 1 }
    }

    /// Its first day.
    #[must_use]
    pub fn first(self) -> Date {
        Date::new(self.year, self.number * 3 - 2, 1).unwrap_or(Date::ZERO)
    }

    /// Its days, in order.
    #[must_use]
    pub fn days(self, zone: &TimeZone) -> Vec<Day> {
        let dates = self.first().series(1.day()).take_while(|date| Self::of(*date) == self);
        dates.filter_map(|date| Day::of(date, zone)).collect()
    }
}

impl FromStr for Quarter {
    type Err = QuarterError;

    fn from_str(text: &str) -> Result<Self, QuarterError> {
        let read = || {
            let (year, number) = text.split_once("-Q")?;
            let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
            let is_one = year.len() == 4 && number.len() == 1 && digits(year) && digits(number);
            let quarter = Self { year: year.parse().ok()?, number: number.parse().ok()? };
            (is_one && (1..=4).contains(&quarter.number)).then_some(quarter)
        };
        read().ok_or_else(|| QuarterError(text.to_owned()))
    }
}

impl fmt::Display for Quarter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-Q{}", self.year, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_has_its_days_in_the_banks_time() {
        let zone = TimeZone::get("Europe/Paris").unwrap();
        let quarter: Quarter = "2026-Q4".parse().unwrap();
        let days = quarter.days(&zone);
        assert_eq!(days.len(), 92);
        assert_eq!(quarter.to_string(), "2026-Q4");
        assert_eq!(days[0].begins.to_string(), "2026-09-30T22:00:00Z");
        assert_eq!(days[91].ends.to_string(), "2026-12-31T23:00:00Z");
        let hours = |days: &[Day], date: &str| {
            let day = days.iter().find(|day| day.date == date.parse().unwrap()).unwrap();
            day.length_ms() / 3_600_000
        };
        assert_eq!(hours(&days, "2026-10-25"), 25);
        assert_eq!(hours(&days, "2026-10-26"), 24);
        let spring = "2026-Q1".parse::<Quarter>().unwrap().days(&zone);
        assert_eq!((spring.len(), hours(&spring, "2026-03-29")), (90, 23));
        assert!(days.windows(2).all(|two| two[0].ends == two[1].begins));
    }

    #[test]
    fn anything_else_is_no_quarter() {
        for text in ["", "2026", "2026-Q0", "2026-Q5", "2026-q4", "26-Q4", "2026-Q+4", "+026-Q4"] {
            assert!(text.parse::<Quarter>().is_err(), "{text}");
        }
    }
}
