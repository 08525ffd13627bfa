//! Codes, refreshes and revocations.

use super::*;

#[test]
fn a_code_gives_one_pair_and_its_second_use_ends_it() {
    let mut keeper = Keeper::default();
    let issued = keeper.consent("c1", code_record());
    assert_eq!(issued.consent_ends, after(180 * DAY));
    assert_eq!(issued.record.expires_at, after(3_600));
    let tokens = ["access-c1", "refresh-c1"];
    assert_eq!(keeper.live(&tokens, now()), tokens);

    let id = tpp(1);
    assert_eq!(keeper.exchange(&exchanging("c1", &id), after(1)), Err(GrantFault::Replayed));
    assert_eq!(keeper.live(&tokens, now()), [""; 0]);
    assert_eq!(keeper.exchange(&exchanging("c1", &id), after(2)), Err(GrantFault::Replayed));
}

#[test]
fn the_second_use_of_a_code_ends_also_what_was_refreshed_since() {
    let mut keeper = Keeper::default();
    keeper.consent("c1", code_record());
    let id = tpp(1);
    let rotating = Refresh { rotated: Some(secret("r2")), ..refreshing("refresh-c1", "a2", &id) };
    keeper.refresh(&rotating, after(5)).unwrap();
    assert_eq!(keeper.live(&["a2", "r2"], after(5)), ["a2", "r2"]);
    assert_eq!(keeper.exchange(&exchanging("c1", &id), after(6)), Err(GrantFault::Replayed));
    assert_eq!(keeper.live(&["a2", "r2"], after(6)), [""; 0]);
}

#[test]
fn the_second_use_of_a_code_leaves_a_later_consent_alone() {
    let mut keeper = Keeper::default();
    keeper.consent("c1", code_record());
    keeper.consent("c2", code_record());
    let all = ["access-c1", "refresh-c1", "access-c2", "refresh-c2"];
    assert_eq!(keeper.live(&all, now()), all[2..], "a later consent takes the place of the first");
    let id = tpp(1);
    assert_eq!(keeper.exchange(&exchanging("c1", &id), after(1)), Err(GrantFault::Replayed));
    assert_eq!(keeper.live(&all, now()), all[2..]);
}

#[test]
fn a_code_in_the_hands_of_another_tpp_or_client_changes_nothing_used_or_not() {
    let (mut keeper, mine, theirs) = (Keeper::default(), tpp(1), tpp(2));
    keeper.keep("c1", code_record()).unwrap();
    let strangers = [
        exchanging("c1", &theirs),
        Exchange { client_id: "other", ..exchanging("c1", &mine) },
        Exchange { redirect_uri: None, ..exchanging("c1", &theirs) },
    ];
    for used in [false, true] {
        if used {
            keeper.exchange(&exchanging("c1", &mine), after(1)).unwrap();
        }
        let before = keeper.clone();
        for stranger in &strangers {
            assert_eq!(keeper.exchange(stranger, after(2)), Err(GrantFault::OtherClient));
            assert_eq!(keeper, before, "{stranger:?}, used: {used}");
        }
    }
}

#[test]
fn what_the_right_client_gets_wrong_burns_the_code() {
    let (id, challenged) = (tpp(1), Some("challenge"));
    let with = |code_challenge: Option<&str>| CodeRecord {
        code_challenge: code_challenge.map(str::to_owned),
        ..code_record()
    };
    let right = exchanging("c1", &id);
    let wrong = [
        (with(None), Exchange { redirect_uri: None, ..right }, GrantFault::RedirectUri),
        (
            with(None),
            Exchange { redirect_uri: Some("https://tpp.example/cb/"), ..right },
            GrantFault::RedirectUri,
        ),
        (with(challenged), Exchange { challenge: Some("other"), ..right }, GrantFault::Verifier),
        // The downgrades: the verifier left out, and the challenge stripped from the request.
        (with(challenged), right, GrantFault::Verifier),
        (with(None), Exchange { challenge: challenged, ..right }, GrantFault::Downgrade),
        (with(None), Exchange { codetab: "30002", ..right }, GrantFault::OtherBank),
    ];
    for (record, asked, fault) in wrong {
        let mut keeper = Keeper::default();
        let proper = Exchange { challenge: record.code_challenge.as_deref(), ..right };
        keeper.keep("c1", record.clone()).unwrap();
        assert_eq!(keeper.exchange(&asked, now()), Err(fault));
        assert_eq!(keeper.exchange(&proper, now()), Err(GrantFault::Unknown), "{asked:?}");
        assert!(keeper.0.is_empty(), "a code that was burnt leaves nothing behind");
        keeper.keep("c1", record.clone()).unwrap();
        assert!(keeper.exchange(&proper, now()).is_ok());
    }
}

#[test]
fn a_code_that_goes_wrong_leaves_the_pair_of_an_earlier_consent_alone() {
    let (mut keeper, id) = (Keeper::default(), tpp(1));
    keeper.consent("c1", code_record());
    keeper.keep("c2", code_record()).unwrap();
    let asked = Exchange { redirect_uri: None, ..exchanging("c2", &id) };
    assert_eq!(keeper.exchange(&asked, now()), Err(GrantFault::RedirectUri));
    assert_eq!(keeper.live(&["access-c1", "refresh-c1"], now()).len(), 2);
}

#[test]
fn a_code_dies_to_the_second() {
    let (mut keeper, id) = (Keeper::default(), tpp(1));
    keeper.keep("c1", code_record()).unwrap();
    keeper.keep("c2", code_record()).unwrap();
    assert!(keeper.exchange(&exchanging("c1", &id), after(59)).is_ok());
    assert_eq!(keeper.exchange(&exchanging("c2", &id), after(60)), Err(GrantFault::Expired));
    assert_eq!(keeper.exchange(&exchanging("c2", &id), after(59)), Err(GrantFault::Unknown));
}

#[test]
fn a_consent_is_over_after_180_days_to_the_second() {
    let (mut keeper, id) = (Keeper::default(), tpp(1));
    keeper.consent("c1", code_record());
    let last = after(180 * DAY - 1);
    let issued = keeper.refresh(&refreshing("refresh-c1", "a2", &id), last).unwrap();
    assert_eq!(issued.record.expires_at, after(180 * DAY), "no access token outlives its consent");
    let tokens = ["a2", "refresh-c1"];
    assert_eq!(keeper.live(&tokens, last), tokens);
    let over = after(180 * DAY);
    assert_eq!(keeper.live(&tokens, over), [""; 0]);
    let asked = refreshing("refresh-c1", "a3", &id);
    assert_eq!(keeper.refresh(&asked, over), Err(GrantFault::ConsentOver));
    assert_eq!(keeper.refresh(&asked, last), Err(GrantFault::Unknown), "it is gone for good");
}

#[test]
fn a_code_of_an_old_authentication_gives_nothing() {
    let (mut keeper, id) = (Keeper::default(), tpp(1));
    for (name, age, whole) in [("young", 180 * DAY - 60, 60), ("old", 180 * DAY, 0)] {
        let record = CodeRecord { strong_authentication_at: after(-age), ..code_record() };
        keeper.keep(name, record).unwrap();
        match keeper.exchange(&exchanging(name, &id), now()) {
            Ok(issued) => assert_eq!(issued.record.expires_at, after(whole), "{name}"),
            Err(fault) => assert_eq!((name, fault), ("old", GrantFault::ConsentOver)),
        }
    }
    assert_eq!(keeper.live(&["access-young", "access-old"], now()), ["access-young"]);
}

#[test]
fn fewer_days_of_consent_count_for_what_was_given_before() {
    let (mut keeper, id) = (Keeper::default(), tpp(1));
    keeper.consent("c1", code_record());
    let shorter = Lives { consent_days: 90, ..LIVES };
    let asked = refreshing("refresh-c1", "a2", &id);
    let step = |book: &Book<'_>, now| refresh(book, &asked, &shorter, now);
    let issued = keeper.run(|book| step(book, after(90 * DAY - 10))).unwrap();
    assert_eq!(issued.record.expires_at, after(90 * DAY));
    let over = keeper.run(|book| step(book, after(90 * DAY)));
    assert_eq!(over, Err(GrantFault::ConsentOver));
}

#[test]
fn more_days_of_consent_prolong_nothing_that_was_given_before() {
    let (mut keeper, id) = (Keeper::default(), tpp(1));
    keeper.consent("c1", code_record());
    let longer = Lives { consent_days: 365, ..LIVES };
    let asked = refreshing("refresh-c1", "a2", &id);
    let over = keeper.run(|book| refresh(book, &asked, &longer, after(180 * DAY)));
    assert_eq!(over, Err(GrantFault::ConsentOver));
}

#[test]
fn a_refresh_ends_the_access_token_before_it_and_keeps_the_refresh_token() {
    let (mut keeper, id) = (Keeper::default(), tpp(1));
    keeper.consent("c1", code_record());
    for (refreshed, access) in ["a2", "a3"].into_iter().enumerate() {
        let at = after(10 + i64::try_from(refreshed).unwrap());
        keeper.refresh(&refreshing("refresh-c1", access, &id), at).unwrap();
        let all = ["access-c1", "a2", "a3", "refresh-c1"];
        assert_eq!(keeper.live(&all, at), [access, "refresh-c1"]);
    }
    let record = keeper.record("a3").unwrap();
    assert_eq!(record.strong_authentication_at, now(), "a refresh is no authentication");
}

#[test]
fn a_rotated_refresh_token_is_spent_and_its_second_use_ends_the_family() {
    let (mut keeper, id) = (Keeper::default(), tpp(1));
    keeper.consent("c1", code_record());
    let first = Refresh { rotated: Some(secret("r2")), ..refreshing("refresh-c1", "a2", &id) };
    let second = Refresh { rotated: Some(secret("r3")), ..refreshing("r2", "a3", &id) };
    keeper.refresh(&first, after(1)).unwrap();
    assert_eq!(keeper.record("r2").unwrap().expires_at, after(180 * DAY));
    keeper.refresh(&second, after(2)).unwrap();
    let all = ["access-c1", "refresh-c1", "a2", "r2", "a3", "r3"];
    assert_eq!(keeper.live(&all, after(2)), ["a3", "r3"]);

    let before = keeper.clone();
    let (theirs, other) = (tpp(2), Refresh { client_id: "other", ..first });
    for stranger in [Refresh { organisation_id: &theirs, ..first }, other] {
        assert_eq!(keeper.refresh(&stranger, after(3)), Err(GrantFault::OtherClient));
        assert_eq!(keeper, before);
    }
    assert_eq!(keeper.refresh(&first, after(3)), Err(GrantFault::Replayed));
    assert_eq!(keeper.live(&all, after(3)), [""; 0]);
}

#[test]
fn the_second_use_of_a_rotated_refresh_token_leaves_a_later_consent_alone() {
    let (mut keeper, id) = (Keeper::default(), tpp(1));
    keeper.consent("c1", code_record());
    let first = Refresh { rotated: Some(secret("r2")), ..refreshing("refresh-c1", "a2", &id) };
    keeper.refresh(&first, after(1)).unwrap();
    keeper.consent("c2", code_record());
    assert_eq!(keeper.refresh(&first, after(3)), Err(GrantFault::Replayed));
    let all = ["a2", "r2", "access-c2", "refresh-c2"];
    assert_eq!(keeper.live(&all, after(3)), all[2..]);
}

#[test]
fn a_refresh_token_gives_nothing_to_strangers_at_another_bank_or_when_it_is_none() {
    let (mut keeper, mine, theirs) = (Keeper::default(), tpp(1), tpp(2));
    keeper.consent("c1", code_record());
    let right = refreshing("refresh-c1", "a2", &mine);
    let before = keeper.clone();
    for (asked, fault) in [
        (Refresh { organisation_id: &theirs, ..right }, GrantFault::OtherClient),
        (Refresh { client_id: "other", ..right }, GrantFault::OtherClient),
        (Refresh { codetab: "30002", ..right }, GrantFault::OtherBank),
        (refreshing("access-c1", "a2", &mine), GrantFault::Unknown),
        (refreshing("never", "a2", &mine), GrantFault::Unknown),
    ] {
        assert_eq!(keeper.refresh(&asked, after(1)), Err(fault));
        assert_eq!(keeper, before, "{asked:?}");
    }
}

#[test]
fn revoking_either_token_ends_both() {
    for token in ["access-c1", "refresh-c1"] {
        for owner in [None, Some(tpp(1))] {
            let mut keeper = Keeper::default();
            keeper.consent("c1", code_record());
            let revoked = keeper.revoke(token, owner.as_ref());
            assert!(matches!(revoked, Revoked::Ended(Some(_))), "{revoked:?}");
            assert_eq!(keeper.live(&["access-c1", "refresh-c1"], now()), [""; 0], "{token}");
            assert_eq!(keeper.revoke(token, owner.as_ref()), Revoked::Nothing);
        }
    }
}

#[test]
fn another_tpp_revokes_nothing() {
    let mut keeper = Keeper::default();
    keeper.consent("c1", code_record());
    let before = keeper.clone();
    for token in ["access-c1", "refresh-c1"] {
        assert_eq!(keeper.revoke(token, Some(&tpp(2))), Revoked::OtherTpp);
        assert_eq!(keeper, before);
    }
}

#[test]
fn each_customer_tpp_scope_and_bank_has_a_pair_of_its_own() {
    let mut keeper = Keeper::default();
    let psu = |name: &str| Psu::new(name.to_owned());
    let records = [
        code_record(),
        CodeRecord { psu: psu("jean"), ..code_record() },
        CodeRecord { organisation_id: tpp(2), ..code_record() },
        CodeRecord { scope: Scope::Cbpii, ..code_record() },
        CodeRecord { codetab: "30002".to_owned(), ..code_record() },
        // The same letters, divided otherwise.
        CodeRecord { codetab: "17515m".to_owned(), psu: psu("arie"), ..code_record() },
    ];
    for (number, record) in records.iter().enumerate() {
        let (id, name) = (record.organisation_id.clone(), format!("c{number}"));
        keeper.keep(&name, record.clone()).unwrap();
        let asked = Exchange { codetab: &record.codetab, ..exchanging(&name, &id) };
        keeper.exchange(&asked, now()).unwrap();
    }
    for number in 0..records.len() {
        assert!(keeper.lives(&format!("access-c{number}"), now()), "{number}");
        assert!(keeper.lives(&format!("refresh-c{number}"), now()), "{number}");
    }
    keeper.revoke("access-c0", None);
    assert!((1..records.len()).all(|number| keeper.lives(&format!("refresh-c{number}"), now())));
}

#[test]
fn a_token_without_a_customer_takes_the_place_of_the_one_before_and_of_no_consent() {
    let mut keeper = Keeper::default();
    keeper.consent("c1", code_record());
    let record = TokenRecord { psu: None, granted: None, ..keeper.record("access-c1").unwrap() };
    for access in ["g1", "g2"] {
        keeper.run(|book| give(book, &record, "aisp", secret(access))).unwrap();
    }
    let all = ["access-c1", "refresh-c1", "g1", "g2"];
    assert_eq!(keeper.live(&all, now()), ["access-c1", "refresh-c1", "g2"]);
    keeper.revoke("g2", Some(&tpp(1)));
    assert_eq!(keeper.live(&all, now()), all[..2]);
}

#[test]
fn a_refresh_may_name_the_scope_of_its_consent_and_no_other() {
    let (mut keeper, id) = (Keeper::default(), tpp(1));
    keeper.consent("c1", code_record());
    let named = |scope| Refresh { scope: Some(scope), ..refreshing("refresh-c1", "a2", &id) };
    for scope in ["cbpii", "aisp cbpii", "cbpii aisp", "AISP", " ", "aisp "] {
        let before = keeper.clone();
        assert_eq!(keeper.refresh(&named(scope), after(1)), Err(GrantFault::Scope), "{scope:?}");
        assert_eq!(keeper, before, "{scope:?}");
    }
    assert!(keeper.refresh(&named("aisp"), after(1)).is_ok());
    assert_eq!(keeper.live(&["access-c1", "a2"], after(1)), ["a2"]);
}

#[test]
fn an_access_token_is_bound_to_the_certificate_that_got_it_and_a_refresh_binds_anew() {
    let (mut keeper, id) = (Keeper::default(), tpp(1));
    keeper.consent("c1", code_record());
    let renewed = Refresh { certificate: Some([2; 32]), ..refreshing("refresh-c1", "a2", &id) };
    let issued = keeper.refresh(&renewed, after(1)).unwrap();
    assert_eq!(issued.record.certificate, Some([2; 32]));
    let unbound = refreshing("refresh-c1", "a3", &id);
    assert_eq!(keeper.refresh(&unbound, after(2)).unwrap().record.certificate, None);
}
