//! The guard before searches of every kind, and before ordinary shops.

mod adversary;
mod judging;
mod shop;
mod storing;

use std::time::Duration;

use super::*;

/// As the configuration has it by default.
pub(super) fn rule() -> Rule {
    Rule {
        window: Duration::from_secs(24 * 3600),
        questions_max: 30,
        precision: Decimal::new(10, 2),
        slow_at: Decimal::new(60, 1),
        refuse_at: Decimal::new(65, 1),
    }
}

/// A question with an id of its own: what is asked is its amount in cents.
pub(super) fn question(seconds: i64, cents: i64, number: u32) -> Question {
    let amount = Decimal::new(cents, 2);
    let mut content = [0; 16];
    content[..8].copy_from_slice(&cents.to_be_bytes());
    content[8..12].copy_from_slice(&number.to_be_bytes());
    let mut id = [0; 16];
    id[..4].copy_from_slice(&number.to_be_bytes());
    Question {
        at: Timestamp::from_second(1_795_219_200 + seconds).unwrap(),
        amount,
        id: RequestIdDigest(id),
        content: ContentDigest(content),
        answer: None,
    }
}

pub(super) fn told(yes: bool) -> Option<Answer> {
    Some(if yes { Answer::Yes } else { Answer::No })
}
