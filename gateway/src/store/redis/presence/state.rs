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
}

/// How this gateway may grant requests now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store::redis) enum Mode {
    /// No sign was answered yet.
    Unknown,
    /// By asking Redis; of `all` shares, those of the gateways that are present.
    Among(Shares),
    /// Out of its own share, for so long already.
    Alone { all: NonZeroU32, since: Duration },
    /// Not at all, for the moment.
    Nothing,
}

/// Gateways that share the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store::redis) struct Shares {
    pub(in crate::store::redis) present: NonZeroU32,
    pub(in crate::store::redis) all: NonZeroU32,
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
        let (shown, made, present, all, known) = match numbers.as_slice() {
            [0, shown] => return Some(Answer::Late { shown: *shown }),
            [1, shown, made, present, all, known] => (*shown, *made, *present, *all, *known == 1),
            _ => return None,
        };
        let (present, all) = (u32::try_from(present).ok()?, u32::try_from(all).ok()?);
        Some(Answer::Heard(Heard { shown, crowd: Crowd { made, present, all }, known }))
    }
}

impl State {
    pub(super) fn hear(&mut self, answer: &Heard, asked: Instant, share_for: Duration) {
        let before = std::mem::replace(&mut self.crowd, answer.crowd);
        if before.made != answer.crowd.made && before.all > answer.crowd.all {
            // Redis lost what it knew. The others are still there, and may be alone.
            let until = asked + PRESENCE_ALONE_AFTER + share_for + PRESENCE_SILENT_AFTER;
            self.forgotten = Some((before.all, until));
        }
        if !answer.known || self.among_since.is_none() {
            self.among_since = Some(asked);
        }
        self.answered = Some(asked);
        self.clock = Some((answer.shown, asked));
    }

    pub(super) fn all(&self, now: Instant) -> NonZeroU32 {
        let forgotten = self.forgotten.filter(|(_, until)| now < *until).map_or(0, |(all, _)| all);
        NonZeroU32::new(self.crowd.all.max(forgotten)).unwrap_or(NonZeroU32::MIN)
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
        if now.saturating_duration_since(answered) < PRESENCE_SILENT_AFTER {
            let present = NonZeroU32::new(self.crowd.present).unwrap_or(NonZeroU32::MIN);
            return Mode::Among(Shares { present: present.min(all), all });
        }
        if silent < PRESENCE_ALONE_AFTER {
            // Somebody else may have fallen silent, and this gateway has not heard of it.
            return Mode::Among(Shares { present: NonZeroU32::MIN, all });
        }
        let long_enough = answered.saturating_duration_since(among_since) >= PRESENCE_ALONE_AFTER;
        let since = silent.saturating_sub(PRESENCE_ALONE_AFTER);
        if long_enough && since < share_for { Mode::Alone { all, since } } else { Mode::Nothing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARE_FOR: Duration = Duration::from_secs(60);
    const MOMENT: Duration = Duration::from_millis(1);

    fn heard(present: u32, all: u32, made: u64) -> Heard {
        Heard { shown: 1, crowd: Crowd { made, present, all }, known: true }
    }

    fn give(state: &mut State, at: Instant, answer: Option<Heard>) {
        state.given = Some(at);
        if let Some(answer) = answer {
            state.hear(&answer, at, SHARE_FOR);
        }
    }

    fn shares(present: u32, all: u32) -> Mode {
        let number = |number| NonZeroU32::new(number).unwrap();
        Mode::Among(Shares { present: number(present), all: number(all) })
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
        assert_eq!(mode(Duration::ZERO), shares(3, 3));
        assert_eq!(mode(PRESENCE_SILENT_AFTER), shares(1, 3), "others may be silent by now");
        assert_eq!(mode(PRESENCE_ALONE_AFTER - MOMENT), shares(1, 3));
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
        assert_eq!(state.mode(tried, SHARE_FOR), shares(1, 2));
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
        assert_eq!(state.mode(start, SHARE_FOR), shares(1, 3));
        let later = start + PRESENCE_ALONE_AFTER + SHARE_FOR + PRESENCE_SILENT_AFTER;
        give(&mut state, later, Some(heard(1, 1, 8)));
        assert_eq!(state.mode(later, SHARE_FOR), shares(1, 1));
    }

    #[test]
    fn gateways_that_said_good_bye_keep_nothing() {
        let start = Instant::now();
        let mut state = State::default();
        give(&mut state, start, Some(heard(3, 3, 7)));
        give(&mut state, start, Some(heard(2, 2, 7)));
        assert_eq!(state.mode(start, SHARE_FOR), shares(2, 2));
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
