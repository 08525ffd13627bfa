//! What one TPP asked about one account, and what it was answered.

use std::fmt;

use jiff::Timestamp;
use rust_decimal::Decimal;

use super::QUESTIONS_KEPT_MAX;

macro_rules! digest {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub [u8; 16]);

        impl fmt::Debug for $name {
            /// Not shown: whoever knows the content could confirm it.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "([redacted])"))
            }
        }
    };
}

digest! {
    /// Half a SHA-256 of a `paymentCoverageRequestId`.
    RequestIdDigest
}
digest! {
    /// Half a SHA-256 of everything that a request asks, whatever its spacing and order of members.
    ContentDigest
}

/// One question about one account.
#[derive(Clone, PartialEq, Eq)]
pub struct Question {
    /// When it was asked.
    pub at: Timestamp,
    /// Euros.
    pub amount: Decimal,
    /// Its name, given by the TPP.
    pub id: RequestIdDigest,
    /// All of it.
    pub content: ContentDigest,
    /// What the TPP was told.
    pub answer: Option<Answer>,
}

impl fmt::Debug for Question {
    /// Without the amount, which is a person's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Question").field("at", &self.at).finish_non_exhaustive()
    }
}

/// What the TPP was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum Answer {
    /// The amount is there.
    Yes,
    /// It is not.
    No,
}

/// The questions of one TPP about one account, in the order in which they were asked; the newest
/// [`QUESTIONS_KEPT_MAX`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    questions: Vec<Question>,
}

impl History {
    /// In the order in which they were asked.
    pub fn questions(&self) -> impl DoubleEndedIterator<Item = &Question> {
        self.questions.iter()
    }

    /// Adds the newest question.
    pub fn ask(&mut self, question: Question) {
        if self.questions.len() >= QUESTIONS_KEPT_MAX {
            self.questions.remove(0);
        }
        self.questions.push(question);
    }

    /// Notes what the newest question with this name and content was answered. `None` forgets the
    /// question: its asker learned nothing.
    pub fn answered(
        &mut self,
        id: &RequestIdDigest,
        content: &ContentDigest,
        answer: Option<Answer>,
    ) {
        let place = self.questions.iter().rposition(|asked| {
            asked.id == *id && asked.content == *content && asked.answer.is_none()
        });
        match (place, answer) {
            (Some(place), None) => drop(self.questions.remove(place)),
            (Some(place), Some(_)) => {
                if let Some(asked) = self.questions.get_mut(place) {
                    asked.answer = answer;
                }
            }
            (None, _) => {}
        }
    }
}
