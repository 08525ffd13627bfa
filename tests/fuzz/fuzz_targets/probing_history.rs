//! The stored history of the questions about one account, and its judgement.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use policies::probing::{History, QUESTIONS_KEPT_MAX, Rule, judge, retry_after};

fuzz_target!(|data: &[u8]| {
    let Ok(history) = History::read(data.split(|byte| *byte == b'\n')) else { return };
    assert!(history.questions().count() <= QUESTIONS_KEPT_MAX);
    let rule = Rule {
        window: Duration::from_secs(24 * 3600),
        questions_max: 30,
        precision: "0.1".parse().unwrap(),
        slow_at: 6.into(),
        refuse_at: "6.5".parse().unwrap(),
    };
    for question in history.questions().take(4) {
        if judge(&history, question, &rule).is_some() {
            assert!(retry_after(&history, question, &rule) >= Duration::from_secs(60));
        }
    }
});
