use proptest::prelude::*;

use super::*;

fn any_question() -> impl Strategy<Value = Question> {
    let instant = 0_i64..4_000_000_000_000;
    let amount = (0_i64..1_000_000_000_000_000_000, 0_u32..=5);
    (instant, amount, any::<[u8; 16]>(), any::<[u8; 16]>()).prop_map(
        |(at, (units, scale), id, content)| Question {
            at: Timestamp::from_millisecond(at).unwrap(),
            amount: Decimal::new(units % 10_i64.pow(13 + scale), scale),
            id: RequestIdDigest(id),
            content: ContentDigest(content),
            answer: None,
        },
    )
}

fn any_answer() -> impl Strategy<Value = Option<Answer>> {
    prop_oneof![Just(None), Just(Some(Answer::Yes)), Just(Some(Answer::No))]
}

proptest! {
    #[test]
    fn what_is_stored_is_read_again(
        asked in proptest::collection::vec((any_question(), any_answer()), 0..80),
    ) {
        let mut expected = History::default();
        let mut lines = Vec::new();
        for (question, answer) in &asked {
            lines.push(question_line(question));
            expected.ask(question.clone());
            lines.push(answer_line(&question.id, &question.content, *answer));
            expected.answered(&question.id, &question.content, *answer);
        }
        prop_assert!(lines.iter().all(|line| line.len() <= LINE_BYTES_MAX));
        let read = History::read(lines.iter().map(String::as_bytes));
        prop_assert_eq!(read.as_ref(), Ok(&expected));
        prop_assert!(expected.questions().count() <= QUESTIONS_KEPT_MAX);
        // Whatever was stored can be judged.
        for (question, _) in asked.iter().take(3) {
            let found = judge(&expected, question, &rule());
            prop_assert!(found.is_none() || retry_after(&expected, question, &rule()) >= Duration::from_secs(60));
        }
    }

    #[test]
    fn a_foreign_line_makes_the_history_unreadable(line in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assume!(!line.starts_with(b"1 "));
        prop_assert_eq!(History::read([line.as_slice()]), Err(Unreadable));
    }
}

#[test]
fn amounts_that_no_request_has_are_not_read() {
    let line = question_line(&question(0, 100, 1));
    assert!(History::read([line.as_bytes()]).is_ok());
    for amount in ["-1", "+1", "1e3", "10000000000000", "0.000001", "", "1_0", "NaN"] {
        let line = line.replacen(" 1 ", &format!(" {amount} "), 1);
        assert_eq!(History::read([line.as_bytes()]), Err(Unreadable), "{line}");
    }
}

#[test]
fn a_question_without_an_answer_is_forgotten() {
    let question = question(0, 100, 1);
    let lines = [question_line(&question), answer_line(&question.id, &question.content, None)];
    let history = History::read(lines.iter().map(String::as_bytes)).unwrap();
    assert_eq!(history.questions().count(), 0);
}
