//! Consent, code, tokens and their end, as a TPP and the browser of its customer meet them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use harness::client::Answer;
use harness::eventually;
use harness::gateway::{GILLES_IBAN, Gateway, body};
use harness::oauth::{
    App, CHALLENGE, GILLES, INTROSPECT, LEA, PAR, Pair, REVOKE, SMS_CODE, TOKEN, VERIFIER,
};
use serde_json::Value;

const JOINT_IBAN: &str = "FR7617515000920402428687756";

fn funds(gateway: &Gateway, app: &App, token: &str, iban: &str) -> Answer {
    let mut request = gateway.request(token);
    request.host = app.host.clone();
    request.body = body(iban, "100");
    app.client.send(&request)
}

#[test]
fn a_pushed_request_with_pkce_ends_in_tokens_that_are_used_refreshed_and_revoked() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    let pkce = [("code_challenge", CHALLENGE), ("code_challenge_method", "S256")];
    let state = "a state & more=%20~ +";
    let pushed = app.post(PAR, &app.asked(&[pkce[0], pkce[1], ("state", state)]));
    assert_eq!(pushed.status, 201, "{}", pushed.json());
    let request_uri = pushed.json()["request_uri"].as_str().unwrap().to_owned();
    assert!(request_uri.starts_with("urn:ietf:params:oauth:request_uri:"), "{request_uri}");
    assert_eq!(pushed.json()["expires_in"], 90);

    let by_reference = harness::oauth::form(&[
        ("client_id", app.client_id.as_str()),
        ("request_uri", request_uri.as_str()),
    ]);
    let path = format!("{}?{by_reference}", harness::oauth::AUTHORIZE);
    let mut browser = app.browser();
    let page = browser.open(&path).page();
    assert_eq!(app.browser().open(&path).page().status, 400, "a reference is good once");
    let landed = browser.consent(page, GILLES, None);
    assert!(landed.at.starts_with(&format!("{}?", app.call_back)), "{}", landed.at);
    assert_eq!(landed.get("state").as_deref(), Some(state));
    assert_eq!(landed.get("iss").as_deref(), Some(app.issuer.as_str()));
    assert!(browser.cookies.is_empty(), "the visit leaves nothing behind: {:?}", browser.cookies);

    let answer = app.exchange(&landed.get("code").unwrap(), &[("code_verifier", VERIFIER)]);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let told = answer.json();
    assert_eq!((&told["token_type"], &told["scope"]), (&"Bearer".into(), &"cbpii".into()));
    assert_eq!(told["expires_in"], 3600);
    let first = Pair::of(&answer);
    assert_eq!(funds(&gateway, &app, &first.access, GILLES_IBAN).json()["result"], true);

    let second = Pair::of(&app.refresh(&first.refresh));
    assert_eq!(second.refresh, first.refresh, "the refresh token stays");
    assert_eq!(funds(&gateway, &app, &first.access, GILLES_IBAN).code(), "token_unknown");
    assert_eq!(funds(&gateway, &app, &second.access, GILLES_IBAN).status, 200);

    let known = app.post(INTROSPECT, &[("token", &second.access)]).json();
    assert_eq!(known["active"], true, "{known}");
    assert_eq!(known["scope"], "cbpii");
    assert_eq!(known["client_id"], app.client_id);
    assert_eq!(known["iss"], app.issuer);
    assert!(known.get("sub").is_none() && known.get("username").is_none(), "nobody is named");
    assert!(app.is_active(&second.refresh) && !app.is_active(&first.access));

    let revoked = app.post(REVOKE, &[("token", &second.access), ("token_type_hint", "nonsense")]);
    assert_eq!((revoked.status, revoked.body.len()), (200, 0));
    assert_eq!(funds(&gateway, &app, &second.access, GILLES_IBAN).code(), "token_unknown");
    assert_eq!(app.post(REVOKE, &[("token", &second.access)]).status, 200, "again is the same");
}

#[test]
fn a_consent_opens_the_chosen_account_and_no_other_of_the_same_customer() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    let (mut browser, page) = app.visit(&[("ui_locales", "en")]);
    let page = browser.log_in(&page, GILLES);
    for text in ["11880", "11 880", "11\u{a0}880", "11,880", "880.30", "880,30", "5879", "€"] {
        assert!(!page.html.contains(text), "the page shows no balance: {text}");
    }
    let unchosen = browser.press(&page, "accept", &[]).page();
    assert!(unchosen.html.contains("You have chosen no account"), "{}", unchosen.html);
    for stranger in ["7", "-1", "x", "99999999999999999999"] {
        let page = browser.press(&page, "accept", &[("account", stranger)]).page();
        assert!(page.html.contains("You have chosen no account"), "{stranger}");
    }
    let landed = browser.press(&page, "accept", &[("account", "1")]);
    let pair = Pair::of(&app.exchange(&landed.get("code").unwrap(), &[]));
    let chosen = funds(&gateway, &app, &pair.access, JOINT_IBAN);
    assert_eq!((chosen.status, &chosen.json()["result"]), (200, &false.into()));
    let other = funds(&gateway, &app, &pair.access, GILLES_IBAN);
    assert_eq!((other.status, other.code().as_str()), (404, "account_unknown"));
    let refreshed = Pair::of(&app.refresh(&pair.refresh));
    assert_eq!(funds(&gateway, &app, &refreshed.access, GILLES_IBAN).status, 404);
}

#[test]
fn a_later_consent_ends_the_tokens_of_the_one_before_and_no_others() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "multi-role");
    let (gilles, lea) = (app.pair(GILLES), app.pair(LEA));
    let elsewhere = App::at(&gateway, "multi-role", "11315");
    let there = elsewhere.pair(GILLES);
    let accounts = app.consent(GILLES, &[("scope", "aisp")]).get("code").unwrap();
    let accounts = Pair::of(&app.exchange(&accounts, &[]));
    let funds_co = App::of(&gateway, "funds-co").pair(GILLES);
    let again = app.pair(GILLES);
    for dead in [&gilles.access, &gilles.refresh] {
        assert!(!app.is_active(dead));
    }
    assert_eq!(app.refresh(&gilles.refresh).code(), "grant_invalid");
    for alive in [&lea, &accounts, &again] {
        assert!(app.is_active(&alive.access) && app.is_active(&alive.refresh));
    }
    assert!(elsewhere.is_active(&there.access));
    assert!(App::of(&gateway, "funds-co").is_active(&funds_co.access));
}

#[test]
fn piisp_is_cbpii_and_aisp_opens_no_funds() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "multi-role");
    let code = app.consent(LEA, &[("scope", "piisp")]).get("code").unwrap();
    let answer = app.exchange(&code, &[]);
    assert_eq!(answer.json()["scope"], "cbpii");
    let answer = funds(&gateway, &app, &Pair::of(&answer).access, harness::gateway::LEA_IBAN);
    assert_eq!(answer.status, 200);

    let code = app.consent(GILLES, &[("scope", "aisp")]).get("code").unwrap();
    let answer = app.exchange(&code, &[]);
    assert_eq!(answer.json()["scope"], "aisp");
    let refused = funds(&gateway, &app, &Pair::of(&answer).access, GILLES_IBAN);
    assert_eq!((refused.status, refused.code().as_str()), (403, "token_scope"));
    let both = app.consent_refused(&[("scope", "cbpii aisp")]);
    assert_eq!(both, "invalid_scope");
    let roleless = App::of(&gateway, "funds-co").consent_refused(&[("scope", "aisp")]);
    assert_eq!(roleless, "unauthorized_client");
}

/// What comes to the call-back at once.
trait Refused {
    fn consent_refused(&self, more: &[(&str, &str)]) -> String;
}

impl Refused for App {
    fn consent_refused(&self, more: &[(&str, &str)]) -> String {
        let mut more = more.to_vec();
        more.push(("state", "s"));
        let landed = self.browser().open(&self.authorize_path(&more));
        assert!(landed.at.starts_with(&self.call_back), "{}", landed.at);
        assert_eq!(landed.get("state").as_deref(), Some("s"));
        assert_eq!(landed.get("iss").as_deref(), Some(self.issuer.as_str()));
        assert!(landed.get("code").is_none());
        landed.get("error").unwrap()
    }
}

#[test]
fn a_refusal_at_any_step_comes_to_the_call_back_with_state_and_issuer() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    for step in 0..3 {
        let (mut browser, mut page) = app.visit(&[("state", "xyz")]);
        if step > 0 {
            page = browser.press(&page, "login", &[("login", GILLES)]).page();
        }
        if step > 1 {
            page = browser.press(&page, "code", &[("code", SMS_CODE)]).page();
        }
        let landed = browser.press(&page, "refuse", &[]);
        let error = [landed.get("error"), landed.get("state"), landed.get("iss")];
        let expected = ["access_denied", "xyz", app.issuer.as_str()];
        assert_eq!(error.map(Option::unwrap), expected, "step {step}");
        assert!(landed.get("code").is_none());
        assert_eq!(browser.open(&page.path).page().status, 404, "the visit is over");
    }
}

#[test]
fn three_wrong_codes_lock_the_login_in_every_browser_and_are_told_to_the_call_back() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    let (mut browser, page) = app.visit(&[("ui_locales", "en"), ("state", "xyz")]);
    let mut page = browser.press(&page, "login", &[("login", GILLES)]).page();
    for left in ["2\u{a0}tries left", "1\u{a0}try left"] {
        page = browser.press(&page, "code", &[("code", "00000000")]).page();
        assert!(page.html.contains(left), "{left}: {}", page.html);
    }
    let locked = browser.press(&page, "code", &[("code", "00000000")]).page();
    assert_eq!(locked.status, 403);
    assert!(locked.html.contains("Your login is locked"), "{}", locked.html);
    let path = locked.link().replace(&app.issuer, "");
    let landed = browser.open(&path);
    assert_eq!(landed.get("error").as_deref(), Some("access_denied"), "{}", landed.at);
    assert_eq!(landed.get("state").as_deref(), Some("xyz"));
    assert_eq!(landed.get("iss").as_deref(), Some(app.issuer.as_str()));

    let (mut other, page) = app.visit(&[("ui_locales", "en")]);
    let page = other.press(&page, "login", &[("login", GILLES)]).page();
    assert!(page.html.contains("locked") && page.html.contains("15\u{a0}minutes"), "{}", page.html);
    let landed = other.consent(page, LEA, None);
    assert!(landed.get("code").is_some(), "another customer is not locked");
}

#[test]
fn a_right_code_forgets_the_wrong_ones_before() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    for _ in 0..3 {
        let (mut browser, page) = app.visit(&[]);
        let page = browser.press(&page, "login", &[("login", GILLES)]).page();
        let page = browser.press(&page, "code", &[("code", "00000000")]).page();
        let page = browser.press(&page, "code", &[("code", "99999999")]).page();
        let page = browser.press(&page, "code", &[("code", " 1234 5678 ")]).page();
        assert!(page.html.contains("name=\"account\""), "{}", page.html);
    }
}

#[test]
fn who_takes_too_long_is_told_so_and_sent_back_without_a_consent() {
    let gateway = Gateway::configured(|config| {
        let server = config["authorization"].as_table_mut().unwrap();
        server.insert("interaction_life".to_owned(), "1s".into());
    });
    let app = App::of(&gateway, "funds-co");
    let (mut browser, page) = app.visit(&[("ui_locales", "en"), ("state", "xyz")]);
    let over = eventually("the time is up", || {
        let page = browser.open(&page.path).page();
        (page.status != 200).then_some(page)
    });
    assert_eq!(over.status, 410);
    assert!(over.html.contains("Time is up"), "{}", over.html);
    let link = over.link();
    assert!(link.starts_with(&format!("{}?error=access_denied&", app.call_back)), "{link}");
    assert!(link.contains("state=xyz") && link.contains("iss=https%3A%2F%2Fwww.17515."), "{link}");
    assert_eq!(browser.open(&page.path).page().status, 404);
    let timed_out =
        gateway.place().events().iter().any(|e| e["event.action"] == "consent_timed_out");
    assert!(timed_out);
}

#[test]
fn client_credentials_give_nothing_that_is_not_configured() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    let ask = |client_id: &str, scope: &str| {
        let grant = ("grant_type", "client_credentials");
        app.post(TOKEN, &[grant, ("client_id", client_id), ("scope", scope)])
    };
    for scope in ["cbpii", "aisp", "piisp", "openid", "cbpii aisp", "CBPII"] {
        let refused = ask(&app.client_id, scope);
        assert_eq!((refused.status, &refused.json()["error"]), (400, &"invalid_scope".into()));
    }
    assert_eq!(ask("PSD2_TPPRegister", "cbpii").json()["error"], "invalid_scope");
    let answer = ask("PSD2_TPPRegister", "manageRegistration");
    assert_eq!(answer.status, 200, "{}", answer.json());
    assert!(answer.json().get("refresh_token").is_none());
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(funds(&gateway, &app, &token, GILLES_IBAN).code(), "token_scope");
}

#[test]
fn the_metadata_are_the_same_at_both_listeners_and_every_endpoint_in_them_answers() {
    const PATH: &str = "/.well-known/oauth-authorization-server";
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    let answer = app.send("GET", PATH, &[], "");
    let metadata = answer.json();
    assert_eq!(metadata["issuer"], app.issuer);
    assert_eq!(app.browser().send("GET", PATH, None).json(), metadata);
    assert_eq!(
        metadata["token_endpoint_auth_methods_supported"],
        serde_json::json!(["tls_client_auth"])
    );
    assert_eq!(metadata["code_challenge_methods_supported"], serde_json::json!(["S256"]));
    assert_eq!(metadata["authorization_response_iss_parameter_supported"], true);

    let authorize = metadata["authorization_endpoint"].as_str().unwrap();
    let path = authorize.strip_prefix(&app.issuer).unwrap();
    assert_eq!(app.browser().open(path).page().status, 400);
    let port = gateway.addresses.tpp.port();
    let base = format!("https://{}:{port}", app.host);
    let mut called = 0;
    for (name, value) in metadata.as_object().unwrap() {
        let Some(name) = name.strip_suffix("_endpoint").filter(|name| *name != "authorization")
        else {
            continue;
        };
        let path = value.as_str().unwrap().strip_prefix(&base).unwrap_or_else(|| panic!("{value}"));
        called += 1;
        if name == "registration" {
            assert_eq!(app.post(path, &[]).code(), "token_missing");
            continue;
        }
        let answer = app.post(path, &[]);
        assert_eq!(answer.json()["code"], "oauth_request_invalid", "{name}");
        assert_eq!(metadata["mtls_endpoint_aliases"][format!("{name}_endpoint")], *value);
    }
    assert_eq!(called, metadata["mtls_endpoint_aliases"].as_object().unwrap().len());
    let grants: Vec<&Value> =
        metadata["grant_types_supported"].as_array().unwrap().iter().collect();
    for grant in grants {
        let answer = app.post(TOKEN, &[("grant_type", grant.as_str().unwrap())]);
        assert_eq!(
            answer.json()["code"],
            "oauth_request_invalid",
            "{grant}: a parameter is missing"
        );
    }
    assert_eq!(
        app.post(TOKEN, &[("grant_type", "password")]).json()["error"],
        "unsupported_grant_type"
    );
}

#[test]
fn the_pages_speak_french_and_english() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    for (accept, chosen, lang) in [
        (None, "", "fr"),
        (Some("en-GB,en;q=0.9"), "", "en"),
        (Some("en"), "fr", "fr"),
        (Some("fr"), "en", "en"),
        (Some("de"), "de", "fr"),
    ] {
        let mut browser = app.browser();
        browser.accept = accept.map(str::to_owned);
        let mut page = browser.open(&app.authorize_path(&[("ui_locales", chosen)])).page();
        for step in ["login", "code", "consent"] {
            assert!(
                page.html.contains(&format!("<html lang=\"{lang}\">")),
                "{step}: {}",
                page.html
            );
            assert!(page.html.contains("Funds &#38; Co SAS"), "{step}: who asks is named");
            page = match step {
                "login" => browser.press(&page, "login", &[("login", GILLES)]).page(),
                "code" => browser.press(&page, "code", &[("code", SMS_CODE)]).page(),
                _ => page,
            };
        }
        let other = if lang == "fr" { "en" } else { "fr" };
        let path = page.path.split('?').next().unwrap();
        let page = browser.open(&format!("{path}?lang={other}")).page();
        assert!(page.html.contains(&format!("<html lang=\"{other}\">")));
        assert!(page.html.contains("name=\"account\""), "the step stays");
    }
}
