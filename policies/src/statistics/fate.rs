//! What became of a request, as the statistics see it.

use crate::reason::{Blame, Reason};

/// Whoever goes away sooner than this has not waited for an answer. Without it, five callers that hang up at
/// once would make the interface "down".
pub const PATIENCE_MS: u32 = 1000;

/// How a request ended, as its record has it.
#[derive(Clone, Copy, Debug)]
pub struct Closing<'a> {
    /// The answer was written to its last byte.
    pub is_whole: bool,
    /// The bank was asked, or was about to be.
    pub is_permitted: bool,
    /// Why it was refused.
    pub reason: Option<&'a str>,
    /// 0 where none was sent.
    pub status: u16,
    /// From its receipt to its end.
    pub took_ms: u32,
}

/// What a request counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum Fate {
    /// It was answered, and not with an error of the bank's side.
    Answered,
    /// It was answered with an error of the bank's side: a 5xx other than 504. A reply all the same.
    Failed,
    /// It was not replied to: a time-out (504), an answer that broke off, a caller that waited in vain, a
    /// crash.
    Silent,
    /// The caller's own fault turned it back before the bank was asked. In no denominator: floods of such
    /// requests change no figure.
    Refused,
    /// The caller left before an answer could be expected, or while it was being told one. In no
    /// denominator.
    Abandoned,
}

impl Fate {
    /// A permit without a record: a crash cut it off.
    pub const CUT_OFF: Self = Self::Silent;

    /// Judges one record.
    #[must_use]
    pub fn of(closing: &Closing<'_>) -> Self {
        const GATEWAY_TIMEOUT: u16 = 504;
        let reason = closing.reason.and_then(Reason::from_code);
        let is_callers = reason.is_some_and(is_callers);
        if !closing.is_whole {
            return match (closing.reason.is_some(), closing.is_permitted) {
                _ if is_callers => Self::Abandoned,
                // The adapter failed in the midst of its answer.
                (true, _) => Self::Silent,
                (false, true) if closing.status == 0 && closing.took_ms >= PATIENCE_MS => {
                    Self::Silent
                }
                (false, _) => Self::Abandoned,
            };
        }
        match closing.status {
            GATEWAY_TIMEOUT => Self::Silent,
            500.. => Self::Failed,
            _ if closing.reason.is_none() => Self::Answered,
            // The bank itself said so.
            _ if closing.is_permitted && reason.is_some_and(Reason::is_upstream_reportable) => {
                Self::Answered
            }
            _ => Self::Refused,
        }
    }

    /// Whether it counts among the requests.
    #[must_use]
    pub const fn counts(self) -> bool {
        matches!(self, Self::Answered | Self::Failed | Self::Silent)
    }
}

/// Refused for what the caller did, or for what nobody here can mend: never with a 5xx.
fn is_callers(reason: Reason) -> bool {
    match reason.blame() {
        Blame::Tpp => true,
        Blame::Bank => false,
        Blame::Either => reason.status() < 500,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(reason: Option<&str>, status: u16) -> Fate {
        let is_permitted = reason.is_none();
        Fate::of(&Closing { is_whole: true, is_permitted, reason, status, took_ms: 5 })
    }

    fn cut(is_permitted: bool, reason: Option<&str>, status: u16, took_ms: u32) -> Fate {
        Fate::of(&Closing { is_whole: false, is_permitted, reason, status, took_ms })
    }

    #[test]
    fn every_reason_is_the_banks_error_or_no_request_and_the_table_of_blame_agrees() {
        for reason in Reason::ALL {
            let fate = whole(Some(reason.code()), reason.status());
            match reason.blame() {
                Blame::Tpp => assert_eq!(fate, Fate::Refused, "{reason}"),
                Blame::Bank => {
                    assert!(matches!(fate, Fate::Failed | Fate::Silent), "{reason}: {fate:?}");
                }
                Blame::Either => assert_eq!(fate.counts(), reason.status() >= 500, "{reason}"),
            }
        }
        assert_eq!(whole(Some("upstream_timeout"), 504), Fate::Silent);
        assert_eq!(whole(Some("upstream_unavailable"), 503), Fate::Failed);
    }

    #[test]
    fn what_the_bank_answered_is_an_answer_even_where_it_is_no() {
        assert_eq!(whole(None, 200), Fate::Answered);
        assert_eq!(whole(None, 404), Fate::Answered);
        assert_eq!(whole(None, 500), Fate::Failed);
        assert_eq!(whole(None, 504), Fate::Silent, "the adapter's own time-out");
        let asked = Closing {
            is_whole: true,
            is_permitted: true,
            reason: Some("account_unknown"),
            status: 404,
            took_ms: 5,
        };
        assert_eq!(Fate::of(&asked), Fate::Answered);
        assert_eq!(Fate::of(&Closing { is_permitted: false, ..asked }), Fate::Refused);
    }

    #[test]
    fn who_waited_in_vain_counts_and_who_hung_up_at_once_does_not() {
        assert_eq!(cut(true, None, 0, PATIENCE_MS), Fate::Silent);
        assert_eq!(cut(true, None, 0, PATIENCE_MS - 1), Fate::Abandoned);
        assert_eq!(cut(false, None, 0, 20_000), Fate::Abandoned, "the bank was never asked");
        assert_eq!(cut(true, None, 200, 5000), Fate::Abandoned, "it was being answered");
        assert_eq!(cut(true, Some("upstream_timeout"), 200, 10_000), Fate::Silent);
        assert_eq!(cut(false, Some("token_unknown"), 0, 10_000), Fate::Abandoned);
    }

    #[test]
    fn a_reason_of_a_later_version_is_judged_by_its_status() {
        assert_eq!(whole(Some("of_tomorrow"), 503), Fate::Failed);
        assert_eq!(whole(Some("of_tomorrow"), 403), Fate::Refused);
    }
}
