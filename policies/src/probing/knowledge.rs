//! What a TPP knows of a balance after its questions, and how little chance explains of it.

use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;

use super::question::{Answer, Question};

/// A question without an answer is still being asked for so long; then its answer is lost, and nothing is
/// concluded from it.
const AWAITED_FOR: SignedDuration = SignedDuration::from_secs(60);

/// No single question is worth more: cents that fall together by chance are not five coincidences.
const POINTS_MAX: Decimal = Decimal::from_parts(5, 0, 0, false, 0);
/// Any question inside what is known is worth this much: a scan that only grazes it is a search, too.
const POINTS_MIN: Decimal = Decimal::from_parts(8, 0, 0, false, 1);
/// Whoever has never been refused asks for higher amounts now and then: it counts a third.
const OPEN_SHARE: Decimal = Decimal::from_parts(33, 0, 0, false, 2);
/// What another amount outside takes away.
const OUTSIDE: Decimal = Decimal::from_parts(125, 0, 0, false, 3);
/// What an hour takes away.
const FADED_PER_HOUR: Decimal = Decimal::from_parts(5, 0, 0, false, 1);
/// 1, as points have it.
const ONE: Decimal = Decimal::ONE;

/// The balance is at least `low`, and less than `high` where an amount was ever refused.
#[derive(Clone, Debug, Default)]
pub(super) struct Knowledge {
    low: Decimal,
    high: Option<Decimal>,
    points: Decimal,
    at: Option<Timestamp>,
    /// The amounts since the balance was last seen to move.
    amounts: Vec<Decimal>,
    /// Those of them that fell inside, in order.
    inside: Vec<Decimal>,
    /// Those that are still being asked.
    awaited: Vec<Decimal>,
}

/// What one more question would do.
pub(super) struct Step {
    pub(super) points: Decimal,
    /// How closely its asker could know the balance then, as a share of it; nothing, where the amount
    /// tells nothing new.
    pub(super) precision: Option<Decimal>,
}

impl Knowledge {
    /// What is known at `now` after `questions`.
    pub(super) fn of<'q>(questions: impl Iterator<Item = &'q Question>, now: Timestamp) -> Self {
        let mut known = Self::default();
        for question in questions {
            known.learn(question, now);
        }
        known
    }

    fn learn(&mut self, question: &Question, now: Timestamp) {
        let amount = question.amount;
        let lost = question.answer.is_none() && now.duration_since(question.at) > AWAITED_FOR;
        if lost {
            return;
        }
        let step = self.step(amount, question.at);
        self.points = step.points;
        self.at = Some(question.at);
        if step.precision.is_some() {
            self.inside.push(amount);
        }
        // What is still being asked is no knowledge: asked twice at once, it is judged twice.
        if question.answer.is_some() && !self.amounts.contains(&amount) {
            self.amounts.push(amount);
        }
        match question.answer {
            None => self.awaited.push(amount),
            Some(Answer::Yes) if self.high.is_some_and(|high| amount >= high) => {
                self.moved(amount);
                self.low = amount;
            }
            Some(Answer::Yes) => self.low = self.low.max(amount),
            Some(Answer::No) if amount <= self.low => {
                self.moved(amount);
                self.high = Some(amount);
            }
            Some(Answer::No) => {
                self.high = Some(self.high.map_or(amount, |high| high.min(amount)));
            }
        }
    }

    /// An answer contradicts the earlier ones: they speak of another balance.
    fn moved(&mut self, amount: Decimal) {
        *self = Self { at: self.at, amounts: vec![amount], ..Self::default() };
    }

    /// What a question for `amount` would do at `at`.
    pub(super) fn step(&self, amount: Decimal, at: Timestamp) -> Step {
        let faded = self.points - self.at.map_or(Decimal::ZERO, |last| faded(last, at));
        let points = faded.max(Decimal::ZERO);
        if self.amounts.contains(&amount) {
            return Step { points, precision: None };
        }
        let inside = amount > self.low && self.high.is_none_or(|high| amount < high);
        if !inside {
            return Step { points: (points - OUTSIDE).max(Decimal::ZERO), precision: None };
        }
        // Answers that are on their way count as the worst that they may be.
        let awaited = || self.awaited.iter().copied();
        let below = awaited().filter(|other| *other < amount);
        let above = awaited().filter(|other| *other > amount);
        let low = below.fold(self.low, Decimal::max);
        let high = above.chain(self.high).reduce(Decimal::min);
        let (worth, precision) = match high {
            Some(high) => between(low, amount, high),
            None => above_all(low, amount, self.at.is_none()),
        };
        Step { points: points + worth, precision: Some(precision) }
    }

    /// Were the amounts inside written with ever more digits, several of them at each?
    pub(super) fn digit_by_digit(&self) -> bool {
        let digits: Vec<u32> = self.inside.iter().map(digits).collect();
        let (mut finer, mut equal) = (0, 0);
        for pair in digits.windows(2) {
            match pair {
                [before, after] if after > before => finer += 1,
                [before, after] if after == before => equal += 1,
                _ => return false,
            }
        }
        finer >= 1 && equal > finer
    }
}

/// The worth and the precision of a question in the gap between an amount that is there and one that is
/// not. Near the edge of the gap it says little, so it is worth little.
fn between(low: Decimal, amount: Decimal, high: Decimal) -> (Decimal, Decimal) {
    let gap = high - low;
    let place = (amount - low) / gap;
    let central = (Decimal::from(6) * place * (ONE - place)).min(ONE);
    let worth = (bits(high / gap) * central).max(POINTS_MIN);
    let precision = ((amount - low) / amount).min((high - amount) / high);
    (worth, precision)
}

/// The same, where no amount was refused yet. The very first question says nothing about its asker.
fn above_all(low: Decimal, amount: Decimal, first: bool) -> (Decimal, Decimal) {
    let step = (amount - low) / amount;
    let worth = if first { Decimal::ZERO } else { bits(ONE / step).max(ONE) * OPEN_SHARE };
    (worth, step)
}

/// The logarithm to the base 2 of a ratio of 1 or more, at most [`POINTS_MAX`]; between powers a straight
/// line, which is never more than 0.09 off.
fn bits(ratio: Decimal) -> Decimal {
    let (mut whole, mut rest) = (Decimal::ZERO, ratio);
    while rest >= Decimal::TWO && whole < POINTS_MAX {
        rest /= Decimal::TWO;
        whole += ONE;
    }
    (whole + rest - ONE).min(POINTS_MAX)
}

fn faded(from: Timestamp, to: Timestamp) -> Decimal {
    let seconds = to.duration_since(from).as_secs().max(0);
    FADED_PER_HOUR * Decimal::from(seconds) / Decimal::from(3600)
}

/// How many digits an amount needs, counted from the thousand millions.
fn digits(amount: &Decimal) -> u32 {
    let mut unit = Decimal::from(1_000_000_000);
    let mut digits = 1;
    while unit > Decimal::new(1, 5) && !(*amount % unit).is_zero() {
        unit /= Decimal::TEN;
        digits += 1;
    }
    digits
}
