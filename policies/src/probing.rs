//! The balance-oracle guard: funds confirmation says yes or no to an amount, so whoever chooses the
//! amounts can find out the balance. What one TPP asked about one account is read as knowledge.
//!
//! From the answers the TPP knows an interval: the largest amount that was there and the smallest that
//! was not. A purchase falls into that interval by chance, and the narrower it is the rarer; a search
//! falls into it every time. Each question inside is worth *points*: about as many as bits of luck it
//! would take an ordinary purchase to fall there. Points fade with the hours. When there are many and the
//! answer could leave the TPP knowing the balance closely, the question is slowed down or refused.
//!
//! Pure: no clock, no I/O, and no float where there is money.

mod knowledge;
mod question;
mod stored;
#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;
use rust_decimal::Decimal;

use knowledge::Knowledge;

pub use question::{Answer, ContentDigest, History, Question, RequestIdDigest};
pub use stored::{LINE_BYTES_MAX, Unreadable, answer_line, question_line};

/// Questions of one history; older ones are forgotten.
pub const QUESTIONS_KEPT_MAX: usize = 64;

/// How much is too much. See `docs/src/operating/balance-guard.md` for what the figures mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// How long a question counts.
    pub window: Duration,
    /// Different amounts within the window that are answered; from four fifths of it they are slow.
    pub questions_max: usize,
    /// A share of the balance: an answer that cannot tell it more closely than this is no danger.
    pub precision: Decimal,
    /// Points from which a question that could tell the balance is answered slowly.
    pub slow_at: Decimal,
    /// Points from which it is refused.
    pub refuse_at: Decimal,
}

impl Rule {
    /// The rule for one of `shares` gateways that each see a part of the questions.
    #[must_use]
    pub fn shared_by(&self, shares: usize) -> Self {
        let divisor = Decimal::from(shares.max(1));
        Self {
            questions_max: (self.questions_max / shares.max(1)).max(1),
            slow_at: self.slow_at / divisor,
            refuse_at: self.refuse_at / divisor,
            ..self.clone()
        }
    }

    fn slow_questions(&self) -> usize {
        self.questions_max * 4 / 5
    }
}

/// What gives a search away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums)]
pub enum Sign {
    /// The amounts close in on the balance.
    Converging,
    /// They do, one decimal digit after the other.
    GrowingPrecision,
    /// More different amounts than card payments explain.
    TooMany,
    /// One `paymentCoverageRequestId` with two contents.
    RepeatedId,
}

impl Sign {
    /// Every one, in order.
    pub const ALL: [Self; 4] =
        [Self::Converging, Self::GrowingPrecision, Self::TooMany, Self::RepeatedId];

    /// As records and metrics write it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Converging => "converging",
            Self::GrowingPrecision => "growing_precision",
            Self::TooMany => "too_many",
            Self::RepeatedId => "repeated_id",
        }
    }
}

/// What the rule asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(clippy::exhaustive_enums)]
pub enum Action {
    /// The answer is held back for a moment.
    Slow,
    /// There is no answer.
    Refuse,
}

impl Action {
    /// Every one, in order.
    pub const ALL: [Self; 2] = [Self::Slow, Self::Refuse];

    /// As records and metrics write it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::Refuse => "refuse",
        }
    }
}

/// A question that looks like a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspicion {
    /// Why.
    pub sign: Sign,
    /// What to do about it.
    pub action: Action,
}

/// Judges a question by those before it; `history` does not hold it.
#[must_use]
pub fn judge(history: &History, question: &Question, rule: &Rule) -> Option<Suspicion> {
    judge_at(history, question, rule, question.at)
}

/// When the same question would no longer be refused, if nothing else is asked until then: a minute
/// after `question.at` at the earliest, and to the minute.
#[must_use]
pub fn retry_after(history: &History, question: &Question, rule: &Rule) -> Duration {
    let refused = |after: u64| {
        let at = question.at.checked_add(jiff::SignedDuration::from_secs(
            i64::try_from(after.saturating_mul(60)).unwrap_or(i64::MAX),
        ));
        let asked = at.ok().and_then(|at| judge_at(history, question, rule, at));
        asked.is_some_and(|suspicion| suspicion.action == Action::Refuse)
    };
    // After the window there is nothing left to judge by.
    let (mut refused_after, mut answered_after) = (0, rule.window.as_secs().div_ceil(60).max(1));
    while answered_after - refused_after > 1 {
        let middle = refused_after.midpoint(answered_after);
        if refused(middle) {
            refused_after = middle;
        } else {
            answered_after = middle;
        }
    }
    Duration::from_secs(answered_after * 60)
}

fn judge_at(
    history: &History,
    question: &Question,
    rule: &Rule,
    now: Timestamp,
) -> Option<Suspicion> {
    let window = jiff::SignedDuration::try_from(rule.window).unwrap_or(jiff::SignedDuration::MAX);
    let began = now.checked_sub(window).unwrap_or(Timestamp::MIN);
    let asked = || history.questions().filter(move |asked| asked.at > began);
    let suspicion = |sign, action| Some(Suspicion { sign, action });

    if asked().any(|asked| asked.id == question.id && asked.content != question.content) {
        return suspicion(Sign::RepeatedId, Action::Refuse);
    }

    let mut amounts: Vec<Decimal> = asked().map(|asked| asked.amount).collect();
    amounts.push(question.amount);
    amounts.sort_unstable();
    amounts.dedup();
    let known = asked().any(|asked| asked.amount == question.amount && asked.answer.is_some());
    if !known && amounts.len() > rule.questions_max {
        return suspicion(Sign::TooMany, Action::Refuse);
    }

    let knowledge = Knowledge::of(asked(), now);
    let step = knowledge.step(question.amount, now);
    if step.precision.is_some_and(|precision| precision <= rule.precision) {
        let sign =
            if knowledge.digit_by_digit() { Sign::GrowingPrecision } else { Sign::Converging };
        if step.points >= rule.refuse_at {
            return suspicion(sign, Action::Refuse);
        }
        if step.points >= rule.slow_at {
            return suspicion(sign, Action::Slow);
        }
    }
    if !known && amounts.len() > rule.slow_questions() {
        return suspicion(Sign::TooMany, Action::Slow);
    }
    None
}
