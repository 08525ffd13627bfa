//! The bank's pages in a real browser, whose scripts are off: content security policy, cookies,
//! redirections and forms as customers have them. With `OCTROI_SCREENSHOTS` pictures of every page are
//! left in that directory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::PathBuf;

use harness::browser::Chromium;
use harness::eventually;
use harness::gateway::Gateway;
use harness::oauth::{App, GILLES, Pair, SMS_CODE};
use url::Url;

/// Looks at a page: it fits a phone, and leaves a picture.
fn picture(chromium: &mut Chromium, name: &str) {
    assert!(chromium.fits(), "{name} is wider than a phone");
    if let Some(dir) = std::env::var_os("OCTROI_SCREENSHOTS").map(PathBuf::from) {
        std::fs::create_dir_all(&dir).unwrap();
        chromium.picture(&dir.join(format!("{name}.png")));
    }
}

fn url(app: &App, more: &[(&str, &str)]) -> String {
    format!("{}{}", app.issuer, app.authorize_path(more))
}

/// A parameter of the call-back, once the browser is there.
fn came_back(chromium: &mut Chromium, app: &App) -> impl Fn(&str) -> Option<String> + use<> {
    let url = eventually("the call-back", || {
        let url = chromium.url();
        url.starts_with(&app.call_back).then_some(url)
    });
    chromium.wait_for("dl");
    move |name| {
        let url = Url::parse(&url).unwrap();
        url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
    }
}

#[test]
fn a_customer_mistypes_the_code_then_consents_and_the_tpp_asks_for_funds() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    let mut chromium = Chromium::start();
    for language in ["fr", "en"] {
        chromium.open(&url(&app, &[("state", "s"), ("ui_locales", language)]));
        chromium.wait_for("#login");
        picture(&mut chromium, &format!("{language}-1-login"));
        chromium.fill("#login", "123");
        chromium.click("button[value=login]");
        chromium.wait_for("[role=alert]");
        picture(&mut chromium, &format!("{language}-1-login-unknown"));
        // What was typed stands there still.
        chromium.open(&url(&app, &[("state", "s"), ("ui_locales", language)]));
        chromium.wait_for("#login[value='']");
        chromium.fill("#login", GILLES);
        chromium.click("button[value=login]");
        chromium.wait_for("#code");
        picture(&mut chromium, &format!("{language}-2-code"));
        chromium.fill("#code", "00000000");
        chromium.click("button[value=code]");
        chromium.wait_for("[role=alert]");
        picture(&mut chromium, &format!("{language}-2-code-wrong"));
        chromium.fill("#code", SMS_CODE);
        chromium.enter();
        chromium.wait_for("[name=account]");
        picture(&mut chromium, &format!("{language}-3-consent"));
        chromium.click("button[value=accept]");
        chromium.wait_for("[role=alert]");
        picture(&mut chromium, &format!("{language}-3-consent-none"));
        chromium.click("label[for=account-0]");
        chromium.click("button[value=accept]");
        let parameter = came_back(&mut chromium, &app);
        picture(&mut chromium, &format!("{language}-4-back"));
        assert_eq!(parameter("state").as_deref(), Some("s"));
        assert_eq!(parameter("iss").as_deref(), Some(app.issuer.as_str()));
        let pair = Pair::of(&app.exchange(&parameter("code").unwrap(), &[]));
        let answer = app.client.send(&gateway.request(&pair.access));
        assert_eq!(answer.json()["result"], true);
    }
}

#[test]
fn a_customer_refuses_and_the_tpp_is_told() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "multi-role");
    let mut chromium = Chromium::start();
    chromium.open(&url(&app, &[("state", "s"), ("scope", "aisp"), ("ui_locales", "fr")]));
    chromium.fill("#login", GILLES);
    chromium.enter();
    chromium.fill("#code", SMS_CODE);
    chromium.enter();
    chromium.wait_for("[name=account]");
    picture(&mut chromium, "fr-5-consent-accounts");
    chromium.click("button[value=refuse]");
    let parameter = came_back(&mut chromium, &app);
    assert_eq!(parameter("error").as_deref(), Some("access_denied"));
    assert_eq!(parameter("state").as_deref(), Some("s"));
    // A faulty request, and a login that gets locked, end at pages of the bank.
    chromium.open(&url(&app, &[("redirect_uri", "https://evil.example/")]));
    chromium.wait_for(".developer");
    picture(&mut chromium, "en-6-faulty");
    chromium.open(&url(&app, &[("ui_locales", "en")]));
    chromium.fill("#login", GILLES);
    chromium.enter();
    for _ in 0..2 {
        chromium.fill("#code", "00000000");
        chromium.enter();
        chromium.wait_for("[role=alert]");
    }
    chromium.fill("#code", "00000000");
    chromium.enter();
    chromium.wait_for("a.go");
    picture(&mut chromium, "en-7-locked");
    assert!(chromium.html().contains("locked"));
    chromium.click("a.go");
    let parameter = came_back(&mut chromium, &app);
    assert_eq!(parameter("error").as_deref(), Some("access_denied"));
}

#[test]
fn a_customer_who_takes_too_long_is_told_and_led_back() {
    let gateway = Gateway::configured(|config| {
        let server = config["authorization"].as_table_mut().unwrap();
        server.insert("interaction_life".to_owned(), "2s".into());
    });
    let app = App::of(&gateway, "funds-co");
    let mut chromium = Chromium::start();
    for language in ["fr", "en"] {
        let address = url(&app, &[("state", "s"), ("ui_locales", language)]);
        chromium.open(&address);
        chromium.wait_for("#login");
        let page = chromium.url();
        eventually("the time is up", || {
            chromium.open(&page);
            chromium.wait_for("h1");
            (!chromium.html().contains("name=\"login\"")).then_some(())
        });
        picture(&mut chromium, &format!("{language}-8-timed-out"));
        chromium.click("a.go");
        let parameter = came_back(&mut chromium, &app);
        assert_eq!(parameter("error").as_deref(), Some("access_denied"));
        assert_eq!(parameter("iss").as_deref(), Some(app.issuer.as_str()));
    }
}
