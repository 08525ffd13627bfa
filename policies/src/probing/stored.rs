//! How a history is stored: lines, each one event, oldest first, so that several gateways can append
//! without reading. Version 1:
//!
//! ```text
//! 1 q 1795219200000 100.05 5d41402abc4b2a76b9719d911017c592 7d793037a0760186574b0282f2f435e7
//! 1 a 5d41402abc4b2a76b9719d911017c592 7d793037a0760186574b0282f2f435e7 y
//! ```
//!
//! `q`: asked, with milliseconds since 1970, euros, and the digests of the id and of the content. `a`:
//! the newest question with these digests was answered `y`es or `n`o, or got no answer (`x`). A line that
//! cannot be read makes the history unreadable: what it said might have been the search.

use std::str::FromStr;

use jiff::Timestamp;
use rust_decimal::Decimal;
use thiserror::Error;

use super::question::{Answer, ContentDigest, History, Question, RequestIdDigest};

/// A line, bytes.
pub const LINE_BYTES_MAX: usize = 160;

/// A line is not of this form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a line of the history of questions cannot be read")]
pub struct Unreadable;

/// What is stored when a question is asked.
#[must_use]
pub fn question_line(question: &Question) -> String {
    format!(
        "1 q {} {} {} {}",
        question.at.as_millisecond(),
        question.amount.normalize(),
        hex::encode(question.id.0),
        hex::encode(question.content.0)
    )
}

/// What is stored when it is answered; `None`: its asker learned nothing.
#[must_use]
pub fn answer_line(
    id: &RequestIdDigest,
    content: &ContentDigest,
    answer: Option<Answer>,
) -> String {
    let word = match answer {
        Some(Answer::Yes) => 'y',
        Some(Answer::No) => 'n',
        None => 'x',
    };
    format!("1 a {} {} {word}", hex::encode(id.0), hex::encode(content.0))
}

impl History {
    /// Reads what was stored.
    ///
    /// # Errors
    /// A line is foreign.
    pub fn read<'l>(lines: impl IntoIterator<Item = &'l [u8]>) -> Result<Self, Unreadable> {
        let mut history = Self::default();
        for line in lines {
            history.take(line).ok_or(Unreadable)?;
        }
        Ok(history)
    }

    fn take(&mut self, line: &[u8]) -> Option<()> {
        if line.len() > LINE_BYTES_MAX {
            return None;
        }
        let words: Vec<&str> = std::str::from_utf8(line).ok()?.split(' ').collect();
        match words.as_slice() {
            ["1", "q", at, amount, id, content] => self.ask(Question {
                at: Timestamp::from_millisecond(at.parse().ok()?).ok()?,
                amount: euros(amount)?,
                id: RequestIdDigest(digest(id)?),
                content: ContentDigest(digest(content)?),
                answer: None,
            }),
            ["1", "a", id, content, word] => {
                let answer = match *word {
                    "y" => Some(Answer::Yes),
                    "n" => Some(Answer::No),
                    "x" => None,
                    _ => return None,
                };
                let (id, content) = (RequestIdDigest(digest(id)?), ContentDigest(digest(content)?));
                self.answered(&id, &content, answer);
            }
            _ => return None,
        }
        Some(())
    }
}

/// As [`crate::FundsRequest`] reads them: 13 digits and 5 after the point.
fn euros(text: &str) -> Option<Decimal> {
    let amount = Decimal::from_str(text).ok()?;
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let fits = amount.scale() <= 5 && amount < Decimal::from(10_000_000_000_000_u64);
    (plain && fits).then_some(amount)
}

fn digest(text: &str) -> Option<[u8; 16]> {
    let mut digest = [0; 16];
    hex::decode_to_slice(text, &mut digest).ok()?;
    Some(digest)
}
