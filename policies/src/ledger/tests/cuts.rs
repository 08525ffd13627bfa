//! TPPs that are suspended, resumed and cut off.

use super::*;

fn suspension() -> Cut {
    Cut::Suspend(Suspension { by: "ops".to_owned(), because: "withdrawn".to_owned() })
}

fn external(issued_at: Timestamp) -> TokenRecord {
    let mut keeper = Keeper::default();
    keeper.consent("c1", code_record());
    TokenRecord { issued_at, granted: None, ..keeper.record("access-c1").unwrap() }
}

#[test]
fn nothing_that_was_given_before_a_cut_lives_after_it() {
    let id = tpp(1);
    for steps in [vec![Cut::Only], vec![suspension()], vec![suspension(), Cut::Resume]] {
        let mut keeper = Keeper::default();
        keeper.consent("c1", code_record());
        keeper.keep("c2", code_record()).unwrap();
        for (number, step) in steps.iter().enumerate() {
            let before = keeper.cut(&id, step, after(1));
            assert_eq!(before.epoch, number as u64);
            assert_eq!(keeper.live(&["access-c1", "refresh-c1"], now()), [""; 0]);
        }
        assert!(keeper.exchange(&exchanging("c2", &id), after(2)).is_err());
        let refreshed = keeper.refresh(&refreshing("refresh-c1", "a2", &id), after(2));
        assert!(refreshed.is_err(), "{refreshed:?}");
        assert_eq!(keeper.live(&["access-c2", "refresh-c2", "a2"], after(2)), [""; 0]);
    }
}

#[test]
fn a_suspended_tpp_gets_nothing_until_it_is_resumed() {
    let (mut keeper, id) = (Keeper::default(), tpp(1));
    keeper.consent("c1", code_record());
    keeper.keep("c2", code_record()).unwrap();
    let record = TokenRecord { psu: None, granted: None, ..keeper.record("access-c1").unwrap() };
    keeper.cut(&id, &suspension(), after(1));
    assert_eq!(keeper.keep("c3", code_record()), Err(GrantFault::Suspended));
    assert_eq!(keeper.exchange(&exchanging("c2", &id), after(1)), Err(GrantFault::Suspended));
    let refreshed = keeper.refresh(&refreshing("refresh-c1", "a2", &id), after(1));
    assert_eq!(refreshed, Err(GrantFault::Suspended));
    let given = keeper.run(|book| give(book, &record, "aisp", secret("g1")));
    assert_eq!(given, Err(GrantFault::Suspended));

    keeper.cut(&id, &Cut::Only, after(2));
    assert!(keeper.keep("c3", code_record()).is_err(), "a cut alone resumes nobody");
    keeper.cut(&id, &Cut::Resume, after(3));
    keeper.consent("c4", code_record());
    keeper.run(|book| give(book, &record, "aisp", secret("g2"))).unwrap();
    let all = ["access-c1", "access-c2", "a2", "access-c4", "refresh-c4", "g2"];
    assert_eq!(keeper.live(&all, after(3)), ["access-c4", "refresh-c4", "g2"]);
}

#[test]
fn a_cut_of_one_tpp_is_none_of_another() {
    let mut keeper = Keeper::default();
    keeper.consent("c1", code_record());
    keeper.consent("c2", CodeRecord { organisation_id: tpp(2), ..code_record() });
    keeper.cut(&tpp(1), &suspension(), now());
    let all = ["access-c1", "refresh-c1", "access-c2", "refresh-c2"];
    assert_eq!(keeper.live(&all, now()), all[2..]);
}

#[test]
fn a_consent_after_a_cut_replaces_what_the_cut_ended() {
    let (mut keeper, id) = (Keeper::default(), tpp(1));
    keeper.consent("c1", code_record());
    keeper.cut(&id, &Cut::Only, now());
    keeper.consent("c2", code_record());
    assert!(keeper.record("access-c1").is_none() && keeper.record("refresh-c1").is_none());
    assert_eq!(keeper.exchange(&exchanging("c1", &id), now()), Err(GrantFault::Replayed));
    assert_eq!(keeper.live(&["access-c2", "refresh-c2"], now()).len(), 2);
}

#[test]
fn a_token_of_another_authorization_server_lives_if_it_was_issued_after_the_cut() {
    let (mut keeper, id) = (Keeper::default(), tpp(1));
    assert!(Standing::default().allows(&external(after(-DAY))));
    keeper.cut(&id, &Cut::Only, after(10));
    let standing = keeper.run(|book| Ok((read_standing(book, &id)?, Changes::default())));
    assert_eq!(standing.cut_at, Some(after(10)));
    for (issued, lives) in [(9, false), (10, false), (11, true)] {
        assert_eq!(standing.allows(&external(after(issued))), lives, "{issued}");
    }
    let suspended = Standing {
        suspended: Some(Suspension { by: String::new(), because: String::new() }),
        ..standing
    };
    assert!(!suspended.allows(&external(after(11))));
}

#[test]
fn a_cut_by_a_clock_that_lags_brings_no_token_back() {
    let (mut keeper, id) = (Keeper::default(), tpp(1));
    keeper.cut(&id, &suspension(), after(10));
    keeper.cut(&id, &Cut::Resume, after(5));
    let standing = keeper.run(|book| Ok((read_standing(book, &id)?, Changes::default())));
    assert!(!standing.allows(&external(after(7))), "the first cut has ended it");
    assert!(standing.allows(&external(after(11))));
}
