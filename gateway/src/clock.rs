//! The one place where wall time enters the program; everything below takes it as an argument.
//!
//! The wall clock is followed wherever it goes but far back: what has expired stays expired. While the
//! wall clock is more than [`STEP`] behind a time that was once seen, the gateway's time goes on from
//! there at the pace of the steady clock, until the wall clock has caught up or the process is started
//! again.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// The longest step back that is followed: what NTP corrects without anybody noticing.
pub const STEP: Duration = Duration::from_secs(5);

/// Readings of the two clocks are not of the same instant; differences below this are that.
const READING_NS: i64 = 1_000_000;

static CLOCK: LazyLock<Clock> = LazyLock::new(Clock::begin);

/// The current instant.
#[must_use]
pub fn now() -> Timestamp {
    let (wall, lead) = CLOCK.read();
    let known = CLOCK.lead.load(Ordering::Relaxed);
    if lead > known.saturating_add(READING_NS) {
        CLOCK.lead.fetch_max(lead, Ordering::Relaxed);
    }
    going_on(wall, lead, known)
}

/// Nanoseconds since 1970 by the wall clock; by how much they are ahead of the steady clock now, and at
/// most, as far as it was followed.
struct Clock {
    origin: Instant,
    lead: AtomicI64,
}

impl Clock {
    fn begin() -> Self {
        let (wall, origin) = (Timestamp::now(), Instant::now());
        Self { origin, lead: AtomicI64::new(nanoseconds(wall)) }
    }

    /// The wall clock is read first: a pause between the two can only make it seem slower.
    fn read(&self) -> (Timestamp, i64) {
        let wall = Timestamp::now();
        let steady = i64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(i64::MAX);
        (wall, nanoseconds(wall).saturating_sub(steady))
    }
}

/// The gateway's time when the wall clock says `wall`, `lead` ahead of the steady clock, and was `known`
/// ahead of it before.
fn going_on(wall: Timestamp, lead: i64, known: i64) -> Timestamp {
    let back = SignedDuration::from_nanos(known.saturating_sub(lead));
    if back <= SignedDuration::try_from(STEP).unwrap_or(SignedDuration::ZERO) {
        return wall;
    }
    wall.checked_add(back).unwrap_or(wall)
}

/// Until the year 2262.
fn nanoseconds(instant: Timestamp) -> i64 {
    i64::try_from(instant.as_nanosecond()).unwrap_or(i64::MAX)
}

/// Looks at the two clocks from time to time and tells when the wall clock was set.
#[derive(Debug)]
pub struct Watch {
    lead: i64,
}

/// What a look at the clocks found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)]
pub struct Look {
    /// By how much the wall clock was set since the look before, where that is more than [`STEP`].
    pub stepped: Option<SignedDuration>,
    /// How far the wall clock is behind the gateway's time.
    pub behind: Duration,
}

impl Watch {
    /// Begins to watch.
    #[must_use]
    pub fn begin() -> Self {
        Self { lead: CLOCK.read().1 }
    }

    /// Looks.
    pub fn look(&mut self) -> Look {
        let (_, lead) = CLOCK.read();
        let known = CLOCK.lead.load(Ordering::Relaxed);
        let (look, follow) = Look::of(self.lead, lead, known);
        if follow {
            // A reader that raises it meanwhile is right.
            let _ = CLOCK.lead.compare_exchange(known, lead, Ordering::Relaxed, Ordering::Relaxed);
        }
        self.lead = lead;
        look
    }
}

impl Look {
    /// The look, and whether a short step back is followed for good.
    fn of(before: i64, lead: i64, known: i64) -> (Self, bool) {
        let step = SignedDuration::from_nanos(lead.saturating_sub(before));
        let stepped = (step.unsigned_abs() > STEP).then_some(step);
        let back = Duration::from_nanos(u64::try_from(known.saturating_sub(lead)).unwrap_or(0));
        let follow = back <= STEP;
        let behind = if follow { Duration::ZERO } else { back };
        (Self { stepped, behind }, follow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_step_ahead_is_followed_and_a_long_one_back_is_not() {
        let wall = at("2026-11-22T12:00:00Z");
        let known = 100 * SECOND;
        assert_eq!(going_on(wall, known + 3600 * SECOND, known), wall);
        assert_eq!(going_on(wall, known - 5 * SECOND, known), wall, "a short one is");
        let later = at("2026-11-22T13:00:00Z");
        assert_eq!(going_on(wall, known - 3600 * SECOND, known), later);
    }

    #[test]
    fn a_look_tells_long_steps_and_how_far_the_wall_clock_is_behind() {
        let (look, follow) = Look::of(0, -3600 * SECOND, 0);
        assert_eq!(look.stepped, Some(SignedDuration::from_hours(-1)));
        assert_eq!((look.behind, follow), (Duration::from_secs(3600), false));
        let (look, follow) = Look::of(-3600 * SECOND, -3600 * SECOND, 0);
        assert_eq!((look.stepped, follow), (None, false), "told once");
        let (look, follow) = Look::of(0, 400 * 86_400 * SECOND, 400 * 86_400 * SECOND);
        assert_eq!(look.stepped, Some(SignedDuration::from_hours(400 * 24)));
        assert_eq!((look.behind, follow), (Duration::ZERO, true));
        let (look, follow) = Look::of(0, -4 * SECOND, 0);
        assert_eq!((look.stepped, look.behind, follow), (None, Duration::ZERO, true));
    }

    #[test]
    fn time_goes_on() {
        let (first, second) = (now(), now());
        assert!(second.duration_since(first) < SignedDuration::from_secs(60));
        assert_eq!(Watch::begin().look(), Look { stepped: None, behind: Duration::ZERO });
    }
}
