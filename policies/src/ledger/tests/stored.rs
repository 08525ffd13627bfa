//! The stored forms: read back as they were written, and damage changes nothing.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::limits::LEDGER_RECORD_BYTES_MAX;

#[test]
fn a_damaged_record_stops_the_step_and_changes_nothing() {
    let (mut keeper, id) = (Keeper::default(), tpp(1));
    keeper.consent("c1", code_record());
    keeper.keep("c2", code_record()).unwrap();
    keeper.cut(&tpp(2), &Cut::Only, now());
    let grant = *keeper.0.keys().find(|place| place.kind == Kind::Grant).unwrap();
    let damaged = |place: Place| {
        let mut keeper = keeper.clone();
        keeper.0.insert(place, b"{\"v\":1".to_vec());
        keeper
    };
    let named = |kind, name| Place::new(kind, secret(name));
    let (once, again) = (exchanging("c2", &id), exchanging("c1", &id));
    let refreshing = refreshing("refresh-c1", "a2", &id);
    type Told = Result<Changes, Pause>;
    type Steps<'a> = &'a [&'a dyn Fn(&Book<'_>) -> Told];
    let keep = |book: &Book<'_>| -> Told { Ok(keep_code(book, secret("c3"), code_record())?.1) };
    let exchange_it = |book: &Book<'_>| -> Told { Ok(exchange(book, &once, &LIVES, now())?.1) };
    let replay = |book: &Book<'_>| -> Told { Ok(exchange(book, &again, &LIVES, now())?.1) };
    let refresh_it = |book: &Book<'_>| -> Told { Ok(refresh(book, &refreshing, &LIVES, now())?.1) };
    let own = |book: &Book<'_>| -> Told { Ok(revoke(book, secret("refresh-c1"), Some(&id))?.1) };
    let any = |book: &Book<'_>| -> Told { Ok(revoke(book, secret("access-c1"), None)?.1) };
    let resume = |book: &Book<'_>| -> Told { Ok(cut(book, &id, &Cut::Resume, now())?.1) };
    let cases: [(Place, Steps<'_>); 5] = [
        (named(Kind::Code, "c2"), &[&exchange_it]),
        (named(Kind::Spent, "c1"), &[&replay]),
        (named(Kind::Token, "refresh-c1"), &[&refresh_it, &own]),
        (grant, &[&exchange_it, &replay, &refresh_it, &any]),
        (standing_place(&id), &[&keep, &exchange_it, &refresh_it, &resume]),
    ];
    for (place, steps) in cases {
        for step in steps {
            let mut keeper = damaged(place);
            let before = keeper.clone();
            let ended = keeper.try_run(|book| Ok(((), step(book)?)));
            assert_eq!(ended, Err(place.kind));
            assert_eq!(keeper, before);
        }
    }
}

#[test]
fn the_bank_may_take_away_a_token_that_nobody_can_read() {
    let mut keeper = Keeper::default();
    keeper.0.insert(Place::new(Kind::Token, secret("odd")), b"odd".to_vec());
    assert_eq!(keeper.revoke("odd", None), Revoked::Ended(None));
    assert!(keeper.0.is_empty());
}

#[test]
fn a_record_of_another_version_or_beyond_its_bound_is_none() {
    let json = String::from_utf8(code_record().to_json()).unwrap();
    assert!(CodeRecord::from_json(json.as_bytes()).is_ok());
    assert!(CodeRecord::from_json(json.replace("\"v\":1", "\"v\":2").as_bytes()).is_err());
    assert!(CodeRecord::from_json(json.replace("\"v\":1,", "").as_bytes()).is_err());
    let padded = json + &" ".repeat(LEDGER_RECORD_BYTES_MAX);
    assert!(CodeRecord::from_json(padded.as_bytes()).is_err());
    assert_eq!(Standing::from_json(None), Ok(Standing::default()));
    assert!(Standing::from_json(Some(b"")).is_err(), "an empty record is not the lack of one");
}

prop_compose! {
    fn codes()(
        texts in prop::array::uniform4(".{0,64}"),
        code_challenge in prop::option::of("[A-Za-z0-9_-]{43}"),
        codetab in "[0-9]{5}",
        scope in prop::sample::select(Scope::ALL.as_slice()),
        accounts in prop::option::of(prop::collection::btree_set(any::<[u8; 32]>(), 0..5)),
        times in any::<[i32; 2]>(),
        epoch: u64,
        number in 1..99_999_u32,
    ) -> CodeRecord {
        let [client_id, redirect_uri, psu, consent_id] = texts;
        let [strong_authentication_at, expires_at] = times.map(|time| after(i64::from(time)));
        CodeRecord {
            organisation_id: tpp(number), client_id, redirect_uri, code_challenge, scope, codetab,
            psu: Psu::new(psu), consent_id, accounts, strong_authentication_at, expires_at, epoch,
        }
    }
}

prop_compose! {
    fn standings()(
        number in prop::option::of(1..99_999_u32),
        epoch: u64,
        cut_at in prop::option::of(any::<i32>()),
        suspended in prop::option::of((".{0,40}", ".{0,40}")),
    ) -> Standing {
        Standing {
            organisation_id: number.map(tpp),
            epoch,
            cut_at: cut_at.map(|at| after(i64::from(at))),
            suspended: suspended.map(|(by, because)| Suspension { by, because }),
        }
    }
}

/// Bytes of any kind, and ones that are nearly a record.
fn damage() -> impl Strategy<Value = Vec<u8>> {
    let nearly = (codes(), standings(), any::<usize>(), any::<u8>(), any::<bool>());
    let nearly = nearly.prop_map(|(code, standing, place, byte, of_code)| {
        let mut json = if of_code { code.to_json() } else { standing.to_json() };
        let place = place % json.len();
        json[place] = byte;
        json
    });
    prop_oneof![prop::collection::vec(any::<u8>(), 0..300), nearly]
}

proptest! {
    #[test]
    fn every_record_is_read_back_as_it_was_written(
        code in codes(), standing in standings(),
        access: [u8; 32], refresh: Option<[u8; 32]>, lineage: [u8; 32],
    ) {
        prop_assert_eq!(CodeRecord::from_json(&code.to_json()), Ok(code));
        prop_assert_eq!(Standing::from_json(Some(&standing.to_json())), Ok(standing));
        let grant = GrantRecord { access, refresh, lineage };
        prop_assert_eq!(GrantRecord::from_json(&grant.to_json()), Ok(grant));
    }

    #[test]
    fn bytes_of_any_kind_are_a_record_that_can_be_written_again_or_a_fault(bytes in damage()) {
        if let Ok(code) = CodeRecord::from_json(&bytes) {
            prop_assert_eq!(CodeRecord::from_json(&code.to_json()), Ok(code));
        }
        if let Ok(standing) = Standing::from_json(Some(&bytes)) {
            prop_assert_eq!(Standing::from_json(Some(&standing.to_json())), Ok(standing));
        }
        if let Ok(grant) = GrantRecord::from_json(&bytes) {
            prop_assert_eq!(GrantRecord::from_json(&grant.to_json()), Ok(grant));
        }
    }

    #[test]
    fn accounts_are_handed_from_the_code_to_every_token(
        accounts in prop::option::of(prop::collection::btree_set(any::<[u8; 32]>(), 1..64)),
    ) {
        let (mut keeper, id) = (Keeper::default(), tpp(1));
        keeper.consent("c1", CodeRecord { accounts: accounts.clone(), ..code_record() });
        keeper.refresh(&refreshing("refresh-c1", "a2", &id), after(1)).unwrap();
        let of = |token| -> Option<BTreeSet<[u8; 32]>> {
            keeper.record(token).unwrap().granted.unwrap().accounts
        };
        prop_assert_eq!(of("a2"), accounts.clone());
        prop_assert_eq!(of("refresh-c1"), accounts);
    }
}
