//! What nobody may find in logs, metrics and errors, or learn from the time that an answer takes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Instant;

use harness::eventually;
use harness::gateway::{GILLES_IBAN, Gateway};
use harness::oauth::{
    App, CHALLENGE, GILLES, INTROSPECT, PAR, Pair, REVOKE, SMS_CODE, VERIFIER, form, request,
};
use harness::redis_server::RedisServer;

/// Whether `secret` stands in `text` as a word: eight digits alone may be part of a number.
fn stands(text: &str, secret: &str) -> bool {
    text.match_indices(secret).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + secret.len()..].chars().next();
        ![before, after].into_iter().flatten().any(|c| c.is_ascii_alphanumeric())
    })
}

#[test]
fn no_secret_of_the_flow_reaches_log_audit_metrics_or_errors() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    let pkce = [
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("state", "a-state-of-the-tpp"),
    ];
    let pushed = app.post(PAR, &app.asked(&pkce)).json();
    let reference = pushed["request_uri"].as_str().unwrap().rsplit_once(':').unwrap().1.to_owned();
    let mut secrets = vec![
        ("the SMS code", SMS_CODE.to_owned()),
        ("the login", GILLES.to_owned()),
        ("the persona", "gilles".to_owned()),
        ("the name", "TESTUNID".to_owned()),
        ("an IBAN", GILLES_IBAN.to_owned()),
        ("the verifier", VERIFIER.to_owned()),
        ("the state", "a-state-of-the-tpp".to_owned()),
        ("the reference", reference.clone()),
        ("a wrong code", "87654321".to_owned()),
    ];
    let (mut browser, page) = app.visit(&pkce);
    let page = browser.press(&page, "login", &[("login", "someone@mail.example")]).page();
    let page = browser.press(&page, "login", &[("login", GILLES)]).page();
    let page = browser.press(&page, "code", &[("code", "87654321")]).page();
    let page = browser.press(&page, "code", &[("code", SMS_CODE)]).page();
    secrets.push(("a mistyped login", "someone@mail.example".to_owned()));
    secrets.push(("the csrf", page.value("csrf")));
    secrets.extend(browser.cookies.values().map(|value| ("the cookie", value.clone())));
    secrets.push(("the challenge", page.path.split(['/', '?']).nth(2).unwrap().to_owned()));
    let accept = form(&[("csrf", &page.value("csrf")), ("step", "accept"), ("account", "0")]);
    let path = page.path.split('?').next().unwrap().to_owned();
    let accepted = browser.send("POST", &path, Some(&accept));
    let resume = accepted.header("location").unwrap().replace(&app.issuer, "");
    secrets.push(("the verifier of the way back", resume.rsplit_once('=').unwrap().1.to_owned()));
    let landed = browser.open(&resume);
    let code = landed.get("code").unwrap();
    let pair = Pair::of(&app.exchange(&code, &[("code_verifier", VERIFIER)]));
    let later = Pair::of(&app.refresh(&pair.refresh));
    assert_eq!(app.client.send(&gateway.request(&later.access)).status, 200);
    let mut errors = vec![
        app.exchange(&code, &[("code_verifier", VERIFIER)]),
        app.refresh(&pair.refresh),
        app.post(INTROSPECT, &[("token", &later.access)]),
        app.post(REVOKE, &[("token", &later.refresh)]),
        app.send("GET", &format!("/nothing?code={code}&token={}", later.access), &[], ""),
        app.browser().send("GET", &format!("/nothing?code={code}"), None),
        app.browser().send("GET", &format!("/login/{reference}"), None),
        browser.send("GET", &resume, None),
    ];
    errors
        .push(app.browser().open(&format!("{}&x={code}&x={code}", app.authorize_path(&[]))).answer);
    secrets.extend([
        ("the code", code),
        ("an access token", pair.access),
        ("the refresh token", pair.refresh),
        ("a later access token", later.access),
    ]);
    let last = app.send("GET", "/nothing", &[], "");
    gateway.record_of(&last);

    let place = gateway.place();
    let log: String = place.log().lines().filter(|line| line.starts_with('{')).collect();
    let errors: String =
        errors.iter().map(|a| String::from_utf8_lossy(&a.body).into_owned()).collect();
    for (place, text) in [
        ("log", log),
        ("audit", place.audit_text()),
        ("metrics", gateway.metrics()),
        ("errors", errors),
    ] {
        assert!(!text.is_empty());
        for (what, secret) in &secrets {
            assert!(!stands(&text, secret), "{what} stands in the {place}");
        }
    }
}

#[test]
fn a_token_that_looks_like_a_pattern_or_a_command_is_only_unknown() {
    let redis = RedisServer::start();
    let gateway = Gateway::configured(|config| {
        let store = toml::Table::from_iter([("redis".to_owned(), redis.url().into())]);
        config.insert("store".to_owned(), store.into());
    });
    let app = App::of(&gateway, "funds-co");
    let pair = app.pair(GILLES);
    let keys = || -> Vec<String> {
        let mut keys: Vec<String> =
            redis::cmd("KEYS").arg("*").query(&mut redis.connection()).unwrap();
        keys.sort();
        keys
    };
    let before = keys();
    for key in &before {
        assert!(!key.contains(&pair.access) && !key.contains("gilles"), "a key tells a secret");
    }
    for token in [
        "*",
        "octroi:token:*",
        "?",
        "[a-z]*",
        "{octroi}",
        "x\r\nFLUSHALL\r\n",
        "\"; redis.call('flushall') --",
        "octa_AAA*",
        "octa_",
        "octa_aaa",
        "\0",
        "é",
    ] {
        assert!(!app.is_active(token), "{token:?}");
        assert_eq!(app.post(REVOKE, &[("token", token)]).status, 200, "{token:?}");
        assert_eq!(app.refresh(token).code(), "grant_invalid", "{token:?}");
        assert_eq!(app.exchange(token, &[]).code(), "grant_invalid", "{token:?}");
        if token.bytes().all(|byte| byte.is_ascii_graphic()) {
            let answer = app.client.send(&gateway.request(token));
            assert_eq!(answer.status, 401, "{token:?}: {}", answer.json());
        }
    }
    let after = keys();
    assert!(
        before.iter().all(|key| after.contains(key)),
        "nothing was removed: {before:?} {after:?}"
    );
    assert!(app.is_active(&pair.access) && app.is_active(&pair.refresh));
}

/// Welch's t between two samples, after Reparaz et al., "dude, is my code constant time?".
fn welch(one: &[f64], other: &[f64]) -> f64 {
    let mean = |sample: &[f64]| sample.iter().sum::<f64>() / sample.len() as f64;
    let spread = |sample: &[f64]| {
        let middle = mean(sample);
        let squares: f64 = sample.iter().map(|value| (value - middle).powi(2)).sum();
        squares / (sample.len() as f64 - 1.0) / sample.len() as f64
    };
    (mean(one) - mean(other)) / (spread(one) + spread(other)).sqrt()
}

#[test]
fn the_time_to_refuse_a_token_is_told() {
    const PROBES: usize = 5_000;
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    let token = app.pair(GILLES).access;
    let mut connection = app.client.connect(&app.host).unwrap();
    let (mut near, mut far) = (Vec::new(), Vec::new());
    for number in 0..PROBES {
        // Nearly a live token, and nothing like it.
        let guess = match number % 2 {
            0 => format!("{}{number:04}", &token[..token.len() - 4]),
            _ => format!("{}{}", &token[..8], format!("{number:04}").repeat(11))[..token.len()]
                .to_owned(),
        };
        let octets = request(
            "POST",
            &app.host,
            harness::gateway::PATH,
            &[("Authorization", &format!("Bearer {guess}")), ("Content-Type", "application/json")],
            "{}",
        );
        let began = Instant::now();
        let answer = connection.exchange(&octets).unwrap();
        let took = began.elapsed().as_secs_f64();
        assert_eq!(answer.code(), "token_unknown");
        if number % 2 == 0 { near.push(took) } else { far.push(took) }
    }
    let crop = |sample: &mut Vec<f64>| {
        sample.sort_by(f64::total_cmp);
        sample.truncate(sample.len() * 9 / 10);
    };
    crop(&mut near);
    crop(&mut far);
    println!("{PROBES} probes: t = {:.2} between near and far guesses", welch(&near, &far));
    eventually("the records", || (!gateway.place().audit_text().is_empty()).then_some(()));
}
