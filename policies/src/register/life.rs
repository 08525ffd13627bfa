//! When an authorisation was given and taken: the alternating dates of the EBA's `ENT_AUT`.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// Dates of change in order, at least one: the first, third, … give, the second, fourth, … take
/// away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Date>", into = "Vec<Date>")]
pub struct Life(Box<[Date]>);

/// What a life says about one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Authorised, since that day.
    Authorised(Date),
    /// No longer authorised, since that day.
    Withdrawn(Date),
    /// Not authorised yet.
    NotYet(Date),
}

impl Life {
    /// `None` for no dates, or dates that go back: such a record says nothing.
    #[must_use]
    pub fn new(dates: Vec<Date>) -> Option<Self> {
        let ordered = dates.is_sorted();
        (ordered && !dates.is_empty()).then(|| Self(dates.into()))
    }

    /// The dates of change.
    #[must_use]
    pub fn dates(&self) -> &[Date] {
        &self.0
    }

    /// The stage on `day`. A withdrawal counts from its own day on.
    pub(super) fn on(&self, day: Date) -> Option<Stage> {
        let passed = self.0.iter().take_while(|date| **date <= day).count();
        let Some(last) = passed.checked_sub(1) else {
            return self.0.first().map(|first| Stage::NotYet(*first));
        };
        let since = *self.0.get(last)?;
        Some(if passed % 2 == 1 { Stage::Authorised(since) } else { Stage::Withdrawn(since) })
    }
}

impl TryFrom<Vec<Date>> for Life {
    type Error = &'static str;

    fn try_from(dates: Vec<Date>) -> Result<Self, Self::Error> {
        Self::new(dates).ok_or("the dates of an authorisation are in order, and there is one")
    }
}

impl From<Life> for Vec<Date> {
    fn from(life: Life) -> Self {
        life.0.into_vec()
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn each_date_turns_the_authorisation_on_its_own_day() {
        let life = Life::new(vec![
            date(2019, 1, 10),
            date(2020, 2, 1),
            date(2021, 3, 1),
            date(2022, 4, 1),
        ])
        .unwrap();
        for (day, stage) in [
            (date(2019, 1, 9), Stage::NotYet(date(2019, 1, 10))),
            (date(2019, 1, 10), Stage::Authorised(date(2019, 1, 10))),
            (date(2020, 1, 31), Stage::Authorised(date(2019, 1, 10))),
            (date(2020, 2, 1), Stage::Withdrawn(date(2020, 2, 1))),
            (date(2021, 3, 1), Stage::Authorised(date(2021, 3, 1))),
            (date(2026, 1, 1), Stage::Withdrawn(date(2022, 4, 1))),
        ] {
            assert_eq!(life.on(day), Some(stage), "{day}");
        }
    }

    #[test]
    fn given_and_taken_on_one_day_is_taken() {
        let life = Life::new(vec![date(2020, 2, 1), date(2020, 2, 1)]).unwrap();
        assert_eq!(life.on(date(2020, 2, 1)), Some(Stage::Withdrawn(date(2020, 2, 1))));
    }

    #[test]
    fn no_dates_and_dates_that_go_back_say_nothing() {
        assert_eq!(Life::new(vec![]), None);
        assert_eq!(Life::new(vec![date(2021, 1, 1), date(2020, 1, 1)]), None);
    }
}
