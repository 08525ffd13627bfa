//! Attacks on codes and tokens at the token endpoint (RFC 9700 §4): replay, injection, downgrade,
//! confusion, races.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::thread;

use harness::client::Answer;
use harness::eventually;
use harness::gateway::{Gateway, PATH};
use harness::oauth::{
    App, CHALLENGE, GILLES, INTROSPECT, LEA, PAR, Pair, REVOKE, TOKEN, VERIFIER, form,
};

const PKCE: [(&str, &str); 2] = [("code_challenge", CHALLENGE), ("code_challenge_method", "S256")];
const WRONG_VERIFIER: &str = "wrong-wrong-wrong-wrong-wrong-wrong-wrong-wrong";

#[track_caller]
fn refused(answer: &Answer, status: u16, error: &str, code: &str) -> String {
    let told = answer.json();
    assert_eq!(
        (answer.status, told["error"].as_str(), told["code"].as_str()),
        (status, Some(error), Some(code)),
        "{told}"
    );
    assert!(told.get("access_token").is_none());
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    told["error_description"].as_str().unwrap().to_owned()
}

#[test]
fn a_code_that_is_used_again_ends_what_it_gave() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    let code = app.code(GILLES);
    let pair = Pair::of(&app.exchange(&code, &[]));
    let told = refused(&app.exchange(&code, &[]), 400, "invalid_grant", "grant_invalid");
    assert!(told.contains("was used before"), "{told}");
    assert!(!app.is_active(&pair.access) && !app.is_active(&pair.refresh));
    refused(&app.refresh(&pair.refresh), 400, "invalid_grant", "grant_invalid");
}

#[test]
fn a_code_that_is_used_again_after_a_refresh_ends_the_refreshed_tokens_too() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    let code = app.code(GILLES);
    let pair = Pair::of(&app.exchange(&code, &[]));
    let later = Pair::of(&app.refresh(&pair.refresh));
    refused(&app.exchange(&code, &[]), 400, "invalid_grant", "grant_invalid");
    assert!(!app.is_active(&later.access) && !app.is_active(&later.refresh));
}

#[test]
fn an_old_code_that_is_used_again_leaves_a_later_consent_alone() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    let code = app.code(GILLES);
    let _ = Pair::of(&app.exchange(&code, &[]));
    let later = app.pair(GILLES);
    refused(&app.exchange(&code, &[]), 400, "invalid_grant", "grant_invalid");
    assert!(app.is_active(&later.access) && app.is_active(&later.refresh));
}

#[test]
fn a_code_is_nobodys_but_the_application_that_asked_for_it_and_stays_good_for_it() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    let thief = App::of(&gateway, "multi-role");
    let code = app.code(GILLES);
    refused(&thief.exchange(&code, &[]), 400, "invalid_grant", "grant_invalid");
    let pretends = thief.exchange(&code, &[("client_id", &app.client_id)]);
    assert_eq!(pretends.json()["error"], "invalid_client");
    assert_eq!(pretends.code(), "client_other_tpp");
    let nobody = thief.exchange(&code, &[("client_id", "PSDFR-ACPR-1")]);
    assert_eq!(nobody.code(), "client_unknown");
    let other_bank = App::at(&gateway, "multi-role", "11315");
    refused(&other_bank.exchange(&code, &[]), 400, "invalid_grant", "grant_invalid");
    assert!(app.is_active(&Pair::of(&app.exchange(&code, &[])).access), "the thief burnt nothing");
}

#[test]
fn a_code_of_one_bank_is_refused_and_burnt_at_another() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    let elsewhere = App::at(&gateway, "funds-co", "11315");
    let code = app.code(GILLES);
    let told = refused(&elsewhere.exchange(&code, &[]), 400, "invalid_grant", "grant_invalid");
    assert!(told.contains("another bank"), "{told}");
    refused(&app.exchange(&code, &[]), 400, "invalid_grant", "grant_invalid");
    let pair = app.pair(GILLES);
    refused(&elsewhere.refresh(&pair.refresh), 400, "invalid_grant", "grant_invalid");
    assert!(app.is_active(&pair.refresh), "a refresh token at the wrong host burns nothing");
}

#[test]
fn a_code_without_its_verifier_gives_nothing_and_is_burnt() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    for (sent, part) in
        [("", "does not fit"), (WRONG_VERIFIER, "does not fit"), (CHALLENGE, "does not fit")]
    {
        let code = app.consent(GILLES, &PKCE).get("code").unwrap();
        let told = refused(
            &app.exchange(&code, &[("code_verifier", sent)]),
            400,
            "invalid_grant",
            "grant_invalid",
        );
        assert!(told.contains(part), "{told}");
        let late = app.exchange(&code, &[("code_verifier", VERIFIER)]);
        refused(&late, 400, "invalid_grant", "grant_invalid");
    }
    for malformed in ["short", &"x".repeat(129), &format!("{}é", "x".repeat(43))] {
        let code = app.consent(GILLES, &PKCE).get("code").unwrap();
        let answer = app.exchange(&code, &[("code_verifier", malformed)]);
        refused(&answer, 400, "invalid_request", "oauth_request_invalid");
        Pair::of(&app.exchange(&code, &[("code_verifier", VERIFIER)]));
    }
}

#[test]
fn a_verifier_where_the_challenge_was_stripped_gives_nothing() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    let code = app.code(GILLES);
    let answer = app.exchange(&code, &[("code_verifier", VERIFIER)]);
    let told = refused(&answer, 400, "invalid_grant", "grant_invalid");
    assert!(told.contains("had no code_challenge"), "{told}");
}

#[test]
fn a_challenge_by_plain_or_without_a_method_is_refused_at_once() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    let long = format!("{CHALLENGE}A");
    for more in [
        [("code_challenge", CHALLENGE), ("code_challenge_method", "plain")],
        [("code_challenge", CHALLENGE), ("code_challenge_method", "")],
        [("code_challenge", CHALLENGE), ("code_challenge_method", "s256")],
        [("code_challenge", ""), ("code_challenge_method", "S256")],
        [("code_challenge", &CHALLENGE[1..]), ("code_challenge_method", "S256")],
        [("code_challenge", &long), ("code_challenge_method", "S256")],
    ] {
        let landed = app.browser().open(&app.authorize_path(&more));
        assert_eq!(
            landed.get("error").as_deref(),
            Some("invalid_request"),
            "{more:?}: {}",
            landed.at
        );
        assert_eq!(landed.get("iss").as_deref(), Some(app.issuer.as_str()));
        refused(&app.post(PAR, &app.asked(&more)), 400, "invalid_request", "oauth_request_invalid");
    }
}

#[test]
fn where_pkce_and_pushing_are_required_nothing_goes_without() {
    let gateway = Gateway::configured(|config| {
        let server = config["authorization"].as_table_mut().unwrap();
        server.insert("pkce_required".to_owned(), true.into());
        server.insert("par_required".to_owned(), true.into());
    });
    let app = App::of(&gateway, "funds-co");
    let plain = app.browser().open(&app.authorize_path(&PKCE));
    assert_eq!(plain.get("error").as_deref(), Some("invalid_request"), "{}", plain.at);
    refused(&app.post(PAR, &app.asked(&[])), 400, "invalid_request", "oauth_request_invalid");
    let pushed = app.post(PAR, &app.asked(&PKCE)).json();
    let request_uri = pushed["request_uri"].as_str().unwrap();
    let other = App::of(&gateway, "multi-role");
    for client_id in [other.client_id.as_str(), ""] {
        let more = [("request_uri", request_uri), ("client_id", client_id)];
        assert_eq!(app.browser().open(&app.authorize_path(&more)).page().status, 400);
    }
    let elsewhere = App::at(&gateway, "funds-co", "11315");
    let more = [("request_uri", request_uri)];
    assert_eq!(elsewhere.browser().open(&elsewhere.authorize_path(&more)).page().status, 400);
    // Nothing beside the reference counts.
    let beside = [
        ("request_uri", request_uri),
        ("redirect_uri", "https://evil.example/"),
        ("scope", "aisp"),
        ("code_challenge", WRONG_VERIFIER),
    ];
    let landed = app.consent(GILLES, &beside);
    assert!(landed.at.starts_with(&app.call_back), "{}", landed.at);
    let answer = app.exchange(&landed.get("code").unwrap(), &[("code_verifier", VERIFIER)]);
    assert_eq!(answer.json()["scope"], "cbpii");
}

#[test]
fn the_scope_is_the_consents_and_is_not_asked_for_again() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    let code = app.code(GILLES);
    let answer = app.exchange(&code, &[("scope", "cbpii")]);
    let told = refused(&answer, 400, "invalid_request", "oauth_request_invalid");
    assert_eq!(told, "leave scope out: the code stands for the scope of its consent");
    let pair = Pair::of(&app.exchange(&code, &[]));
    let refresh = |scope: &str| {
        let grant = ("grant_type", "refresh_token");
        let client_id = ("client_id", app.client_id.as_str());
        let token = ("refresh_token", pair.refresh.as_str());
        app.post(TOKEN, &[grant, client_id, token, ("scope", scope)])
    };
    for scope in ["aisp", "aisp cbpii", "CBPII", "manageRegistration"] {
        refused(&refresh(scope), 400, "invalid_scope", "scope_invalid");
    }
    assert!(app.is_active(&pair.access), "what is refused changes nothing");
    assert_eq!(refresh("cbpii").json()["scope"], "cbpii", "RFC 6749 §6: the same may be named");
}

#[test]
fn a_refresh_token_is_the_tpps_under_each_of_its_certificates_and_nobody_elses() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    let thief = App::of(&gateway, "multi-role");
    let pair = app.pair(GILLES);
    refused(&thief.refresh(&pair.refresh), 400, "invalid_grant", "grant_invalid");
    let pretends = App { client_id: app.client_id.clone(), ..thief.clone() };
    assert_eq!(pretends.refresh(&pair.refresh).code(), "client_other_tpp");
    assert!(!thief.is_active(&pair.access) && !thief.is_active(&pair.refresh));
    assert_eq!(thief.post(REVOKE, &[("token", &pair.refresh)]).status, 200);
    assert!(app.is_active(&pair.access) && app.is_active(&pair.refresh), "the thief ended nothing");
    let renewed = App::of(&gateway, "renewed");
    let later = Pair::of(&renewed.refresh(&pair.refresh));
    assert_eq!(app.client.send(&gateway.request(&later.access)).status, 200);
    assert_eq!(app.client.send(&gateway.request(&pair.access)).code(), "token_unknown");
}

#[test]
fn a_bound_token_opens_nothing_under_another_certificate_of_its_tpp() {
    let gateway = Gateway::configured(|config| {
        let server = config["authorization"].as_table_mut().unwrap();
        server.insert("bound_tokens".to_owned(), true.into());
    });
    let app = App::of(&gateway, "funds-co");
    let renewed = App::of(&gateway, "renewed");
    let metadata = app.send("GET", "/.well-known/oauth-authorization-server", &[], "").json();
    assert_eq!(metadata["tls_client_certificate_bound_access_tokens"], true);
    let pair = app.pair(GILLES);
    assert_eq!(app.client.send(&gateway.request(&pair.access)).status, 200);
    let stolen = renewed.client.send(&gateway.request(&pair.access));
    assert_eq!(stolen.status, 401, "{}", stolen.json());
    assert!(stolen.header("www-authenticate").unwrap().contains("invalid_token"));
    let known = app.post(INTROSPECT, &[("token", &pair.access)]).json();
    assert_eq!(known["cnf"]["x5t#S256"].as_str().unwrap().len(), 43);
    let later = Pair::of(&renewed.refresh(&pair.refresh));
    assert_eq!(renewed.client.send(&gateway.request(&later.access)).status, 200);
    assert_eq!(app.client.send(&gateway.request(&later.access)).status, 401);
}

#[test]
fn a_rotated_refresh_token_that_is_used_again_ends_what_came_of_it() {
    let gateway = Gateway::configured(|config| {
        let server = config["authorization"].as_table_mut().unwrap();
        server.insert("rotate_refresh_tokens".to_owned(), true.into());
    });
    let app = App::of(&gateway, "funds-co");
    let first = app.pair(GILLES);
    let second = Pair::of(&app.refresh(&first.refresh));
    assert_ne!(second.refresh, first.refresh);
    let third = Pair::of(&app.refresh(&second.refresh));
    refused(&app.refresh(&first.refresh), 400, "invalid_grant", "grant_invalid");
    assert!(!app.is_active(&third.access) && !app.is_active(&third.refresh));
}

#[test]
fn each_secret_is_good_for_one_thing() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    let pair = app.pair(GILLES);
    refused(&app.refresh(&pair.access), 400, "invalid_grant", "grant_invalid");
    refused(&app.exchange(&pair.refresh, &[]), 400, "invalid_grant", "grant_invalid");
    let code = app.code(LEA);
    refused(&app.refresh(&code), 400, "invalid_grant", "grant_invalid");
    for wrong in [&pair.refresh, &code] {
        let answer = app.client.send(&gateway.request(wrong));
        assert_eq!(answer.status, 401, "{}", answer.json());
    }
    assert!(!app.is_active(&code));
    assert_eq!(app.post(REVOKE, &[("token", &code)]).status, 200);
    Pair::of(&app.exchange(&code, &[]));
}

#[test]
fn ending_either_token_ends_both() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    for ends in [|pair: &Pair| pair.access.clone(), |pair: &Pair| pair.refresh.clone()] {
        let pair = app.pair(GILLES);
        let mut connection = app.client.connect(&app.host).unwrap();
        let ask = gateway.request(&pair.access).octets();
        assert_eq!(connection.exchange(&ask).unwrap().status, 200);
        assert_eq!(app.post(REVOKE, &[("token", &ends(&pair))]).status, 200);
        assert_eq!(connection.exchange(&ask).unwrap().code(), "token_unknown");
        refused(&app.refresh(&pair.refresh), 400, "invalid_grant", "grant_invalid");
        assert!(!app.is_active(&pair.access) && !app.is_active(&pair.refresh));
    }
}

/// What many threads are answered at once.
fn at_once(count: usize, ask: impl Fn() -> Answer + Send + Sync) -> Vec<Answer> {
    thread::scope(|scope| {
        let asked: Vec<_> = (0..count).map(|_| scope.spawn(&ask)).collect();
        asked.into_iter().map(|asked| asked.join().unwrap()).collect()
    })
}

#[test]
fn of_many_refreshes_at_once_one_access_token_survives() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    let pair = app.pair(GILLES);
    let answers = at_once(24, || app.refresh(&pair.refresh));
    let given: BTreeSet<String> = answers.iter().map(|answer| Pair::of(answer).access).collect();
    assert_eq!(given.len(), answers.len(), "each answer has a token of its own");
    let alive = given.iter().filter(|access| app.is_active(access)).count();
    assert_eq!(
        (alive, app.is_active(&pair.access), app.is_active(&pair.refresh)),
        (1, false, true)
    );
}

#[test]
fn of_many_exchanges_of_one_code_at_once_at_most_one_gives_and_the_replays_end_it() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    let code = app.code(GILLES);
    let answers = at_once(24, || app.exchange(&code, &[]));
    let given: Vec<Pair> = answers.iter().filter(|a| a.status == 200).map(Pair::of).collect();
    let [pair] = given.as_slice() else { panic!("{} pairs for one code", given.len()) };
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        refused(answer, 400, "invalid_grant", "grant_invalid");
    }
    assert!(!app.is_active(&pair.access) && !app.is_active(&pair.refresh));
}

#[test]
fn refreshes_and_revocations_at_once_leave_nothing_alive() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    for _ in 0..5 {
        let pair = app.pair(GILLES);
        let given = thread::scope(|scope| {
            let refreshing = scope.spawn(|| at_once(8, || app.refresh(&pair.refresh)));
            let revoked = app.post(REVOKE, &[("token", &pair.refresh)]);
            assert_eq!(revoked.status, 200);
            refreshing.join().unwrap()
        });
        for answer in given.iter().filter(|answer| answer.status == 200) {
            assert!(!app.is_active(&Pair::of(answer).access), "a token outlived its revocation");
        }
        refused(&app.refresh(&pair.refresh), 400, "invalid_grant", "grant_invalid");
    }
}

#[test]
fn tokens_in_a_query_open_nothing() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    let pair = app.pair(GILLES);
    let mut request = gateway.request("");
    request.token = None;
    request.path = format!("{PATH}?access_token={}", pair.access);
    let answer = app.client.send(&request);
    assert!((400..500).contains(&answer.status), "{}", answer.status);
    request.path = PATH.to_owned();
    request.body = form(&[("access_token", &pair.access)]);
    assert_eq!(app.client.send(&request).code(), "token_missing");
    let query = form(&[
        ("grant_type", "refresh_token"),
        ("client_id", &app.client_id),
        ("refresh_token", &pair.refresh),
    ]);
    for path in [TOKEN, INTROSPECT, REVOKE, PAR] {
        let asked = format!("{path}?{query}");
        let answer = app.send("GET", &asked, &[], "");
        assert!((400..500).contains(&answer.status), "GET {path}: {}", answer.status);
        let answer = app.post(&asked, &[]);
        assert!((400..500).contains(&answer.status), "POST {path}?…: {}", answer.status);
    }
    eventually("the records", || (gateway.place().audit().len() > 8).then_some(()));
    assert!(!gateway.place().audit_text().contains(&pair.refresh));
}
