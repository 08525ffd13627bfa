//! What a gateway knows of the others, and what it may grant by that.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use redis::Value;

use crate::store::limits::{PRESENCE_ALONE_AFTER, PRESENCE_SILENT_AFTER};

#[derive(Debug, Default)]
pub(super) struct State {
    /// When the last sign that was answered was asked for.
    pub(super) answered: Option<Instant>,
    /// When the last sign that Redis may have seen was given.
    pub(super) given: Option<Instant>,
    /// Since when this gateway is among the others.
    among_since: Option<Instant>,
    crowd: Crowd,
    /// How many gateways the last sign spoke of.
    pub(super) told: u32,
    /// How many there were before Redis forgot them, and until when that counts.
    forgotten: Option<(u32, Instant)>,
    /// What was granted alone is being told.
    pub(super) returning: bool,
    /// What the clock of Redis showed, in microseconds, and when.
    pub(super) clock: Option<(u64, Instant)>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Crowd {
    made: u64,
    pub(super) present: u32,
    pub(super) all: u32,
    silent: Silent,
}

/// What gateways that are silent may grant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::store::redis) struct Silent {
    /// Of each limit.
    pub(in crate::store::redis) millionths: u32,
    /// The fewest parts by which one of them divides: a limit that cannot be divided by so many is
    /// granted by none of them.
    pub(in crate::store::redis) least: u32,
}

/// A gateway that is the only one grants half alone: another may come that cannot tell whether it is dead,
/// and must not stand before nothing.
pub(super) const PARTS_MIN: NonZeroU32 = NonZeroU32::MIN.saturating_add(1);

/// The whole of a limit.
pub(in crate::store::redis) const MILLION: u32 = 1_000_000;

/// How this gateway may grant requests now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store::redis) enum Mode {
    /// No sign was answered yet.
    Unknown,
    /// By asking Redis, without what silent gateways may grant.
    Among(Silent),
    /// Out of its own share, for so long already.
    Alone { all: NonZeroU32, since: Duration },
    /// Not at all, for the moment.
    Nothing,
}

pub(super) enum Answer {
    Heard(Heard),
    /// The sign came too late and was not counted: the clock of Redis shows another time than was
    /// thought here.
    Late {
        shown: u64,
    },
}

#[derive(Debug)]
pub(super) struct Heard {
    shown: u64,
    pub(super) crowd: Crowd,
    known: bool,
}

impl Answer {
    pub(super) fn read(value: &Value) -> Option<Self> {
        let Value::Array(parts) = value else { return None };
        let number = |part: &Value| match part {
            Value::Int(number) => u64::try_from(*number).ok(),
            _ => None,
        };
        let numbers: Vec<u64> = parts.iter().map_while(number).collect();
        match numbers.as_slice() {
            [0, shown] => Some(Answer::Late { shown: *shown }),
            [1, shown, made, rest @ ..] => {
                let rest: Option<Vec<u32>> =
                    rest.iter().map(|number| u32::try_from(*number).ok()).collect();
                let [present, all, known, millionths, least] = rest?[..] else { return None };
                let silent = Silent { millionths, least };
                let crowd = Crowd { made: *made, present, all, silent };
                Some(Answer::Heard(Heard { shown: *shown, crowd, known: known == 1 }))
            }
            _ => None,
        }
    }
}

impl State {
    pub(super) fn hear(&mut self, answer: &Heard, asked: Instant, share_for: Duration) {
        let before = std::mem::replace(&mut self.crowd, answer.crowd);
        if before.made != answer.crowd.made && before.all > answer.crowd.all {
            // Redis lost what it knew. The others are still there, and may be alone.
            let until = asked + PRESENCE_ALONE_AFTER + share_for + PRESENCE_SILENT_AFTER;
            let earlier = self.forgotten.filter(|(_, until)| asked < *until);
            let all = before.all.max(earlier.map_or(0, |(all, _)| all));
            self.forgotten = Some((all, until));
        }
        if !answer.known || self.among_since.is_none() {
            self.among_since = Some(asked);
        }
        self.answered = Some(asked);
        self.clock = Some((answer.shown, asked));
    }

    pub(super) fn all(&self, now: Instant) -> NonZeroU32 {
        let forgotten = self.forgotten_by(now).unwrap_or_default();
        NonZeroU32::new(self.crowd.all.max(forgotten)).unwrap_or(NonZeroU32::MIN)
    }

    fn forgotten_by(&self, now: Instant) -> Option<u32> {
        self.forgotten.filter(|(_, until)| now < *until).map(|(all, _)| all)
    }

    /// What the silent ones may grant, those included that Redis forgot.
    fn silent(&self, now: Instant) -> Silent {
        match self.forgotten_by(now).filter(|all| *all > self.crowd.present) {
            Some(all) => parts_of(all - self.crowd.present, all.max(PARTS_MIN.get())),
            None => self.crowd.silent,
        }
    }

    pub(super) fn mode(&self, now: Instant, share_for: Duration) -> Mode {
        let (Some(answered), Some(given), Some(among_since)) =
            (self.answered, self.given, self.among_since)
        else {
            return Mode::Unknown;
        };
        if self.returning {
            return Mode::Nothing;
        }
        let all = self.all(now);
        let silent = now.saturating_duration_since(given);
        let unanswered = now.saturating_duration_since(answered);
        if unanswered < PRESENCE_SILENT_AFTER {
            return Mode::Among(self.silent(now));
        }
        if silent < PRESENCE_ALONE_AFTER {
            // Somebody else may have fallen silent, and this gateway has not heard of it.
            let doubtful = parts_of(all.get() - 1, all.get());
            let heard = self.silent(now);
            let millionths = doubtful.millionths.max(heard.millionths);
            return Mode::Among(Silent { millionths, least: u32::from(millionths > 0) });
        }
        let long_enough = answered.saturating_duration_since(among_since) >= PRESENCE_ALONE_AFTER;
        let since = silent.saturating_sub(PRESENCE_ALONE_AFTER);
        // The others take it for gone by the last sign that Redis saw.
        let in_time = unanswered < PRESENCE_ALONE_AFTER + share_for;
        // The others leave as much alone as the last sign spoke of.
        let parts = NonZeroU32::new(self.told).unwrap_or(PARTS_MIN);
        let all = all.max(parts).max(PARTS_MIN);
        if long_enough && in_time { Mode::Alone { all, since } } else { Mode::Nothing }
    }
}

/// So many of `all` equal parts.
fn parts_of(number: u32, all: u32) -> Silent {
    let each = MILLION.div_ceil(all.max(1));
    Silent { millionths: each.saturating_mul(number), least: u32::from(number > 0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARE_FOR: Duration = Duration::from_secs(60);
    const MOMENT: Duration = Duration::from_millis(1);

    fn heard(present: u32, all: u32, made: u64) -> Heard {
        let silent = Silent { least: all, ..parts_of(all - present, all) };
        Heard { shown: 1, crowd: Crowd { made, present, all, silent }, known: true }
    }

    fn give(state: &mut State, at: Instant, answer: Option<Heard>) {
        state.given = Some(at);
        if let Some(answer) = answer {
            state.hear(&answer, at, SHARE_FOR);
        }
    }

    /// Among so many of all, as far as it is known.
    #[track_caller]
    fn is_among(mode: Mode, present: u32, all: u32) {
        let Mode::Among(silent) = mode else { panic!("{mode:?}") };
        assert_eq!(silent.millionths, parts_of(all - present, all).millionths);
    }

    #[test]
    fn a_gateway_grants_alone_only_after_the_others_must_have_noticed_and_not_for_ever() {
        let start = Instant::now();
        let mut state = State::default();
        assert_eq!(state.mode(start, SHARE_FOR), Mode::Unknown);
        give(&mut state, start, Some(heard(3, 3, 7)));
        let lost = start + PRESENCE_ALONE_AFTER;
        give(&mut state, lost, Some(heard(3, 3, 7)));
        let mode = |after: Duration| state.mode(lost + after, SHARE_FOR);
        is_among(mode(Duration::ZERO), 3, 3);
        is_among(mode(PRESENCE_SILENT_AFTER), 1, 3);
        is_among(mode(PRESENCE_ALONE_AFTER - MOMENT), 1, 3);
        let all = NonZeroU32::new(3).unwrap();
        assert_eq!(mode(PRESENCE_ALONE_AFTER), Mode::Alone { all, since: Duration::ZERO });
        let last = SHARE_FOR - MOMENT;
        assert_eq!(mode(PRESENCE_ALONE_AFTER + last), Mode::Alone { all, since: last });
        assert_eq!(mode(PRESENCE_ALONE_AFTER + SHARE_FOR), Mode::Nothing);
    }

    #[test]
    fn a_sign_that_was_given_and_not_answered_puts_off_the_time_alone() {
        let start = Instant::now();
        let mut state = State::default();
        give(&mut state, start, Some(heard(2, 2, 7)));
        let (lost, tried) = (start + PRESENCE_ALONE_AFTER, start + 2 * PRESENCE_ALONE_AFTER);
        give(&mut state, lost, Some(heard(2, 2, 7)));
        give(&mut state, tried, None);
        is_among(state.mode(tried, SHARE_FOR), 1, 2);
        let alone = state.mode(tried + PRESENCE_ALONE_AFTER, SHARE_FOR);
        assert!(matches!(alone, Mode::Alone { .. }), "{alone:?}");
    }

    #[test]
    fn a_gateway_that_has_just_come_has_no_share() {
        let start = Instant::now();
        let mut state = State::default();
        give(&mut state, start, Some(heard(2, 2, 7)));
        assert_eq!(state.mode(start + PRESENCE_ALONE_AFTER, SHARE_FOR), Mode::Nothing);
    }

    #[test]
    fn gateways_that_redis_forgot_keep_their_shares_for_a_while() {
        let start = Instant::now();
        let mut state = State::default();
        give(&mut state, start, Some(heard(3, 3, 7)));
        give(&mut state, start, Some(heard(1, 1, 8)));
        is_among(state.mode(start, SHARE_FOR), 1, 3);
        let later = start + PRESENCE_ALONE_AFTER + SHARE_FOR + PRESENCE_SILENT_AFTER;
        give(&mut state, later, Some(heard(1, 1, 8)));
        is_among(state.mode(later, SHARE_FOR), 1, 1);
    }

    #[test]
    fn gateways_that_said_good_bye_keep_nothing() {
        let start = Instant::now();
        let mut state = State::default();
        give(&mut state, start, Some(heard(3, 3, 7)));
        give(&mut state, start, Some(heard(2, 2, 7)));
        is_among(state.mode(start, SHARE_FOR), 2, 2);
    }

    #[test]
    fn while_it_tells_what_it_granted_it_grants_nothing() {
        let start = Instant::now();
        let mut state = State { returning: true, ..State::default() };
        give(&mut state, start, Some(heard(3, 3, 7)));
        assert_eq!(state.mode(start, SHARE_FOR), Mode::Nothing);
    }

    #[test]
    fn a_sign_that_came_too_late_tells_the_time_of_redis() {
        let late = Value::Array(vec![Value::Int(0), Value::Int(7)]);
        assert!(matches!(Answer::read(&late), Some(Answer::Late { shown: 7 })));
        for other in [vec![], vec![Value::Int(1); 5], vec![Value::Int(-1); 6], vec![Value::Nil; 6]]
        {
            assert!(Answer::read(&Value::Array(other)).is_none());
        }
    }
}
