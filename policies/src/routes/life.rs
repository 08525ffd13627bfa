//! The life of an API version: announced, deprecated, browned out, ended (RTS (EU) 2018/389 art. 30(4)).

use std::fmt;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// Calendar months between the publication of a change and the change (RTS art. 30(4)).
const NOTICE_MONTHS: i32 = 3;

/// When a version begins and how it ends. Where a day was written it stands for its first instant, in UTC.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Life {
    /// Before it the version is as if it were not there.
    pub introduced: Option<Timestamp>,
    /// When its end was published.
    pub announced: Option<Timestamp>,
    /// From then on nobody should begin to use it (RFC 9745).
    pub deprecated: Option<Timestamp>,
    /// From then on it answers 410 (RFC 8594).
    pub sunset: Option<Timestamp>,
    /// Answers on after its end, as a sandbox may.
    pub kept_alive: bool,
    /// When it answers as it will after its end.
    pub brown_outs: Vec<BrownOut>,
    /// The page about its end, an https URL.
    pub documentation: Option<String>,
    /// Why its end comes sooner than the notice that is due.
    pub emergency: Option<String>,
}

/// A time in which a version answers as if it had ended, so that whoever still uses it notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)]
pub struct BrownOut {
    /// Its first instant.
    pub from: Timestamp,
    /// The first instant after it.
    pub to: Timestamp,
}

/// Where a version stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum LifeStage {
    /// Not yet begun.
    Planned,
    /// It serves, and no end has come near.
    Active,
    /// It serves; nobody should begin to use it.
    Deprecated,
    /// It answers as if it had ended.
    BrownOut {
        /// The first instant at which it serves again.
        until: Timestamp,
    },
    /// It has ended, and serves all the same.
    KeptAlive,
    /// It has ended.
    Retired {
        /// When.
        since: Timestamp,
    },
}

impl LifeStage {
    /// As reports write it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Active => "active",
            Self::Deprecated => "deprecated",
            Self::BrownOut { .. } => "brown_out",
            Self::KeptAlive => "kept_alive",
            Self::Retired { .. } => "retired",
        }
    }
}

/// Why a life cannot be lived, and at which of its members.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LifeFault {
    /// Two dates in the wrong order.
    #[error("{later} must come after {earlier}")]
    Order {
        /// The member that must be before.
        earlier: &'static str,
        /// The member that must be after.
        later: &'static str,
    },
    /// An end that nobody was told of.
    #[error("nobody was told of the end: `announced` and `deprecated` are missing")]
    Unannounced,
    /// Less than three months.
    #[error(
        "{NOTICE_MONTHS} months of notice (RTS (EU) 2018/389 art. 30(4)) last until {}; it cannot end before",
        on(*.earliest)
    )]
    Notice {
        /// The first instant after the notice.
        earliest: Timestamp,
    },
    /// Not within the time in which the version is deprecated.
    #[error("brown-out {0} is not within the time from `deprecated` to `sunset`")]
    BrownOutOutside(usize),
    /// Takes the version away before the notice of its end is over.
    #[error(
        "brown-out {number} comes within the {NOTICE_MONTHS} months of notice (RTS (EU) 2018/389 art. \
         30(4)), which last until {}",
        on(*.earliest)
    )]
    BrownOutInNotice {
        /// Which one, from 1.
        number: usize,
        /// The first instant after the notice.
        earliest: Timestamp,
    },
    /// Ends before it begins, or begins before the one before it ends.
    #[error("brown-out {0} ends before it begins, or begins before the one before it has ended")]
    BrownOutOrder(usize),
    /// Whoever is browned out must have somewhere to go.
    #[error("a brown-out needs a successor that serves meanwhile")]
    NoSuccessor,
    /// A gap between two versions.
    #[error("its successor begins only on {}", on(*.0))]
    Gap(Timestamp),
}

impl LifeFault {
    /// The member of the configuration at which it is mended.
    #[must_use]
    pub const fn member(&self) -> &'static str {
        match self {
            Self::Order { later, .. } => later,
            Self::Unannounced => "announced",
            Self::Notice { .. } => "sunset",
            Self::BrownOutOutside(_) | Self::BrownOutInNotice { .. } | Self::BrownOutOrder(_) => {
                "brown_out"
            }
            Self::NoSuccessor | Self::Gap(_) => "successor",
        }
    }
}

impl Life {
    /// Where the version stands at `now`.
    #[must_use]
    pub fn stage(&self, now: Timestamp) -> LifeStage {
        let reached = |instant: Option<Timestamp>| instant.filter(|instant| now >= *instant);
        if self.introduced.is_some_and(|introduced| now < introduced) {
            return LifeStage::Planned;
        }
        if let Some(since) = reached(self.sunset) {
            return if self.kept_alive {
                LifeStage::KeptAlive
            } else {
                LifeStage::Retired { since }
            };
        }
        let browned = self.brown_outs.iter().find(|window| window.from <= now && now < window.to);
        match (browned, reached(self.deprecated)) {
            (Some(window), _) => LifeStage::BrownOut { until: window.to },
            (None, Some(_)) => LifeStage::Deprecated,
            (None, None) => LifeStage::Active,
        }
    }

    /// The first instant at which the version may end: three calendar months after its end was published,
    /// counted as Regulation (EEC, Euratom) 1182/71 art. 3 counts. The day of the publication is none of
    /// them; the last is the day of the same number three months later, or the last of that month; it
    /// counts to its end.
    #[must_use]
    pub fn notice_ends(&self) -> Option<Timestamp> {
        let told = self.announced.or(self.deprecated)?;
        let day = told.to_zoned(TimeZone::UTC).date();
        let last = day.checked_add(NOTICE_MONTHS.months()).ok()?;
        let after = last.tomorrow().ok()?.to_zoned(TimeZone::UTC).ok()?;
        Some(after.timestamp())
    }

    /// Everything that is wrong with it, given the life of its successor.
    #[must_use]
    pub fn faults(&self, successor: Option<&Self>) -> Vec<LifeFault> {
        let mut faults = Vec::new();
        let members = [
            ("introduced", self.introduced),
            ("announced", self.announced),
            ("deprecated", self.deprecated),
            ("sunset", self.sunset),
        ];
        for (index, (earlier, before)) in members.iter().enumerate() {
            for (later, after) in members.iter().skip(index + 1) {
                let (Some(before), Some(after)) = (before, after) else { continue };
                // What is published may be deprecated at once; nothing may end at the instant it begins.
                let ends = *later == "sunset";
                if after < before || (ends && after == before) {
                    faults.push(LifeFault::Order { earlier, later });
                }
            }
        }
        faults.extend(self.sunset.and_then(|sunset| self.hasty(sunset)));
        self.brown_out_faults(successor, &mut faults);
        let begins = successor.and_then(|successor| successor.introduced);
        if let (Some(sunset), Some(begins)) = (self.sunset, begins)
            && begins > sunset
        {
            faults.push(LifeFault::Gap(begins));
        }
        faults
    }

    fn hasty(&self, sunset: Timestamp) -> Option<LifeFault> {
        if self.emergency.is_some() {
            return None;
        }
        match self.notice_ends() {
            None => Some(LifeFault::Unannounced),
            Some(earliest) if sunset < earliest => Some(LifeFault::Notice { earliest }),
            Some(_) => None,
        }
    }

    fn brown_out_faults(&self, successor: Option<&Self>, faults: &mut Vec<LifeFault>) {
        let Some(first) = self.brown_outs.first() else { return };
        let last = self.brown_outs.last().unwrap_or(first);
        let serves = successor.is_some_and(|successor| {
            let ends = successor.sunset.filter(|_| !successor.kept_alive);
            successor.introduced.is_none_or(|introduced| introduced <= first.from)
                && ends.is_none_or(|ends| last.to <= ends)
        });
        if !serves {
            faults.push(LifeFault::NoSuccessor);
        }
        let mut before: Option<Timestamp> = None;
        for (index, window) in self.brown_outs.iter().enumerate() {
            let within = self.deprecated.is_some_and(|deprecated| deprecated <= window.from)
                && self.sunset.is_some_and(|sunset| window.to <= sunset);
            let earliest = self.notice_ends().filter(|_| self.emergency.is_none());
            let hasty = earliest.filter(|earliest| window.from < *earliest);
            match hasty {
                _ if !within => faults.push(LifeFault::BrownOutOutside(index + 1)),
                Some(earliest) => {
                    faults.push(LifeFault::BrownOutInNotice { number: index + 1, earliest });
                }
                None => {}
            }
            if window.to <= window.from || before.is_some_and(|before| window.from < before) {
                faults.push(LifeFault::BrownOutOrder(index + 1));
            }
            before = Some(window.to);
        }
    }
}

/// An instant as people write it: the day alone where it is the first instant of one, in UTC.
#[must_use]
pub fn on(instant: Timestamp) -> impl fmt::Display {
    struct On(Timestamp);
    impl fmt::Display for On {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let zoned = self.0.to_zoned(TimeZone::UTC);
            match zoned.time() == jiff::civil::Time::midnight() {
                true => write!(f, "{}", zoned.date()),
                false => write!(f, "{}", self.0),
            }
        }
    }
    On(instant)
}

#[cfg(test)]
mod tests;
