//! The days that are counted, found by the instant.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use policies::statistics::Day;

use crate::audit::shelf::LogFile;

/// What is received before midnight may be answered, and recorded, after it: never later than this.
const RECORDED_WITHIN: SignedDuration = SignedDuration::from_mins(30);

/// Days in order, with gaps where others are already counted.
#[derive(Clone, Debug)]
pub(super) struct Calendar(Vec<Day>);

impl Calendar {
    /// These days.
    #[must_use]
    pub(super) fn new(mut days: Vec<Day>) -> Self {
        days.sort_unstable();
        Self(days)
    }

    /// In order.
    #[must_use]
    pub(super) fn days(&self) -> &[Day] {
        &self.0
    }

    /// The day of this instant, and the milliseconds of it that had passed.
    pub(super) fn place(&self, instant: Timestamp) -> Option<(usize, u32)> {
        let index = self.0.partition_point(|day| day.begins <= instant).checked_sub(1)?;
        let day = self.0.get(index).filter(|day| instant < day.ends)?;
        Some((index, u32::try_from(instant.as_millisecond() - day.begins_ms()).ok()?))
    }

    /// Whether records of any of these days may stand in the file.
    pub(super) fn meets(&self, file: &LogFile) -> bool {
        self.0.iter().any(|day| may_hold(file, day))
    }
}

/// Whether records of `day` may stand in `file`: a file holds what was recorded on its UTC day.
pub(super) fn may_hold(file: &LogFile, day: &Day) -> bool {
    let from = utc_date(day.begins);
    let to = utc_date(day.ends.saturating_add(RECORDED_WITHIN).unwrap_or(Timestamp::MAX));
    (from..=to).contains(&file.day)
}

/// Whether nothing more of `day` can be recorded, nor its files grow.
pub(super) fn is_over(day: &Day, now: Timestamp) -> bool {
    let last = utc_date(day.ends.saturating_add(RECORDED_WITHIN).unwrap_or(Timestamp::MAX));
    let closed = last.tomorrow().and_then(|date| date.to_zoned(TimeZone::UTC));
    closed.is_ok_and(|closed| closed.timestamp() < now)
}

fn utc_date(instant: Timestamp) -> Date {
    instant.to_zoned(TimeZone::UTC).date()
}
