use super::*;

/// A history of cents and answers, a minute apart, each with an id of its own.
fn history(asked: &[(i64, bool)]) -> History {
    let mut history = History::default();
    for (number, (cents, yes)) in (0_u32..).zip(asked) {
        let answer = told(*yes);
        history.ask(Question { answer, ..question(i64::from(number) * 60, *cents, number) });
    }
    history
}

fn asked(history: &History, cents: i64) -> Option<Suspicion> {
    judge(history, &question(3_600, cents, 1_000), &rule())
}

fn refusal(sign: Sign) -> Option<Suspicion> {
    Some(Suspicion { sign, action: Action::Refuse })
}

/// A balance of 720, looked for by halves below 1,624.
fn search() -> History {
    history(&[(81_200, false), (40_600, true), (60_900, true), (71_050, true), (76_125, false)])
}

#[test]
fn a_search_by_halves_is_refused_where_the_next_answer_would_tell() {
    let search = search();
    assert_eq!(asked(&search, 73_587), refusal(Sign::Converging));
    assert_eq!(asked(&search, 72_000), refusal(Sign::Converging));
}

#[test]
fn an_amount_that_tells_nothing_new_is_answered_in_the_midst_of_a_search() {
    let search = search();
    for cents in [71_050, 65_000, 76_125, 90_000, 0] {
        assert_eq!(asked(&search, cents), None, "{cents}");
    }
}

#[test]
fn a_balance_that_moved_ends_the_suspicion() {
    let mut search = search();
    search.ask(Question { answer: told(true), ..question(400, 90_000, 50) });
    assert_eq!(asked(&search, 73_587), None);
}

#[test]
fn points_fade_and_retry_after_says_when() {
    let (search, rule) = (search(), rule());
    let again = question(3_600, 73_587, 1_000);
    let wait = retry_after(&search, &again, &rule);
    assert!(wait > Duration::from_secs(60) && wait < rule.window, "{wait:?}");
    let later = |seconds| question(3_600 + i64::try_from(seconds).unwrap(), 73_587, 1_000);
    let action = |seconds| judge(&search, &later(seconds), &rule).map(|found| found.action);
    assert_eq!(action(wait.as_secs() - 60), Some(Action::Refuse));
    assert_ne!(action(wait.as_secs()), Some(Action::Refuse));
}

#[test]
fn an_id_with_another_content_is_refused_and_with_the_same_it_is_not() {
    let history = history(&[(1_000, true)]);
    let same = question(10, 1_000, 0);
    assert_eq!(judge(&history, &same, &rule()), None);
    let other = Question { id: same.id, ..question(10, 1_001, 7) };
    assert_eq!(judge(&history, &other, &rule()), refusal(Sign::RepeatedId));
}

#[test]
fn more_amounts_than_a_day_of_shopping_has_are_slowed_and_then_refused() {
    let mut history = History::default();
    // All far below what is known to be there: only their number speaks.
    history.ask(Question { answer: told(true), ..question(0, 10_000_000, 0) });
    let actions: Vec<_> = (1..=35_u32)
        .map(|number| {
            let question = question(i64::from(number), i64::from(number) * 100, number);
            let found = judge(&history, &question, &rule());
            history.ask(Question { answer: told(true), ..question });
            found.inspect(|found| assert_eq!(found.sign, Sign::TooMany)).map(|found| found.action)
        })
        .collect();
    assert_eq!(actions.iter().filter(|action| action.is_none()).count(), 23);
    assert_eq!(actions.iter().filter(|action| **action == Some(Action::Slow)).count(), 6);
    assert_eq!(actions.last().unwrap(), &Some(Action::Refuse));
    let known = question(100, 500, 900);
    assert_eq!(judge(&history, &known, &rule()), None, "an amount asked before is no more news");
}

#[test]
fn a_search_digit_by_digit_is_named_so() {
    let digits = history(&[
        (100_000, true),
        (200_000, true),
        (300_000, true),
        (400_000, false),
        (310_000, true),
        (320_000, true),
        (330_000, true),
        (340_000, true),
    ]);
    assert_eq!(asked(&digits, 350_000), refusal(Sign::GrowingPrecision));
}

#[test]
fn a_customer_who_tries_less_and_less_is_answered() {
    let patient = history(&[(12_000, false), (10_000, false), (9_000, false)]);
    assert_eq!(asked(&patient, 8_000), None);
    assert_eq!(asked(&patient, 5_000), None);
    let stubborn = [(12_000, false), (10_000, false), (9_000, false), (8_000, true)];
    assert_eq!(asked(&history(&stubborn), 8_500), None);
    let closer = [stubborn.as_slice(), &[(8_500, false)]].concat();
    assert!(asked(&history(&closer), 8_200).is_some(), "the docs tell of this one");
}

#[test]
fn a_lost_answer_teaches_nothing_but_its_question_counts() {
    let mut search = History::default();
    for (number, cents) in (0..).zip([80_000, 40_000, 60_000, 70_000, 75_000]) {
        search.ask(question(0, cents, number));
    }
    assert_eq!(asked(&search, 73_587), None);
}

#[test]
fn a_part_of_the_questions_is_judged_more_strictly() {
    let half = rule().shared_by(2);
    let search = history(&[(80_000, false), (40_000, true), (60_000, true)]);
    let next = question(3_600, 65_000, 1_000);
    assert_eq!(judge(&search, &next, &rule()), None);
    assert_eq!(judge(&search, &next, &half).map(|found| found.action), Some(Action::Refuse));
    assert_eq!(half.questions_max, 15);
}

#[test]
fn a_question_that_is_asked_twice_at_once_is_judged_twice() {
    let mut search = search();
    search.ask(question(3_600, 73_587, 900));
    let found = asked(&search, 73_587);
    assert_eq!(found.map(|found| found.action), Some(Action::Refuse));
}
