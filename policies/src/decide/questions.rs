//! A stage of its own, where an API is a funds confirmation and the guard is on: what was asked about the
//! account before.

use std::time::Duration;

use super::Steps;
use super::permit::Placeable;
use crate::check::{CheckName, Evidence, Source, Trail};
use crate::probing::{Action, Sign, Suspicion};
use crate::reason::Reason;
use crate::verdict::Refusal;

/// What the questions before this one say of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum QuestionsFact {
    /// Nothing.
    Quiet,
    /// It looks like a search.
    Raised {
        /// Why, and what to do.
        suspicion: Suspicion,
        /// When it would no longer be refused.
        retry_after: Duration,
    },
    /// They cannot be read.
    Unreadable,
}

/// Whether a suspicion has consequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum GuardMode {
    /// It is told in the record and in the metrics.
    Observe,
    /// It is acted upon.
    Enforce,
}

impl Placeable {
    /// Goes on with what the questions before this one say of it.
    ///
    /// # Errors
    /// `balance_probing`, `state_unavailable`: only in [`GuardMode::Enforce`].
    pub fn with_questions(
        self,
        fact: QuestionsFact,
        mode: GuardMode,
        trail: &mut Trail,
    ) -> Result<Self, Refusal> {
        if mode == GuardMode::Enforce
            && let Some((refusal, true)) = consequence(fact)
        {
            let looked_at = Evidence::of(Source::Questions);
            return Steps::strict(trail).take(CheckName::BalanceProbing, looked_at, Err(refusal));
        }
        observe(fact, trail);
        Ok(self)
    }
}

/// Notes what the questions before this one say of it, where that has no consequence.
pub fn observe(fact: QuestionsFact, trail: &mut Trail) {
    let warning = consequence(fact).map(|(refusal, _)| refusal.reason);
    let looked_at = Evidence::of(Source::Questions);
    Steps::strict(trail).pass(CheckName::BalanceProbing, looked_at, warning);
}

/// How it would be refused, and whether it is where that is enforced.
fn consequence(fact: QuestionsFact) -> Option<(Refusal, bool)> {
    match fact {
        QuestionsFact::Quiet => None,
        QuestionsFact::Raised { suspicion: Suspicion { sign, action }, retry_after } => {
            let seconds = u32::try_from(retry_after.as_secs()).unwrap_or(u32::MAX);
            let refusal = Refusal::because(Reason::BalanceProbing, sentence(sign));
            Some((refusal.retry_after(seconds), action == Action::Refuse))
        }
        QuestionsFact::Unreadable => {
            let what = "what was asked about this account before cannot be read";
            Some((Refusal::because(Reason::StateUnavailable, what), true))
        }
    }
}

const fn sentence(sign: Sign) -> &'static str {
    match sign {
        Sign::Converging | Sign::GrowingPrecision => {
            "the amounts asked about this account close in on its balance"
        }
        Sign::TooMany => "more different amounts were asked about this account than are answered",
        Sign::RepeatedId => {
            "this paymentCoverageRequestId was used before, for another question: give each its own"
        }
    }
}
