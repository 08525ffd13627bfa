//! Attacks on where a browser is sent (RFC 9700 §4.1, §4.4, §4.11): only to a call-back that was
//! enrolled, octet for octet, with the state as it came and the issuer's name.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use harness::gateway::Gateway;
use harness::oauth::{AUTHORIZE, App, CHALLENGE, GILLES, LEA, PAR, Pair, TOKEN, VERIFIER, form};

/// What is nearly `https://localhost:PORT/callback`.
fn variants(port: &str) -> Vec<String> {
    let good = format!("https://localhost:{port}/callback");
    let mut variants: Vec<String> = [
        "",
        "/",
        "//",
        "/.",
        "/..",
        "/../callback",
        "/x",
        "x",
        "?",
        "?x=1",
        "?code=1",
        "?state=x&iss=y",
        "#",
        "#x",
        ";x",
        "%20",
        " ",
        "%00",
        "\0",
        "\t",
        "\n",
        "\r\n",
        "\\",
        "%2F",
        "%0d%0aSet-Cookie:x=y",
        "\u{e9}",
        "\u{200b}",
        "\u{202e}",
        "&x",
    ]
    .iter()
    .skip(1)
    .map(|suffix| format!("{good}{suffix}"))
    .collect();
    variants.extend([" ", "\t", "\u{feff}", "%20"].map(|prefix| format!("{prefix}{good}")));
    variants.extend(
        [
            "http://localhost:PORT/callback",
            "HTTPS://localhost:PORT/callback",
            "https:localhost:PORT/callback",
            "https:/localhost:PORT/callback",
            "https:///localhost:PORT/callback",
            "https:\\\\localhost:PORT\\callback",
            "//localhost:PORT/callback",
            "/callback",
            "callback",
            "localhost:PORT/callback",
            "https://LOCALHOST:PORT/callback",
            "https://localhost.:PORT/callback",
            "https://localhost/callback",
            "https://localhost:443/callback",
            "https://localhost:0PORT/callback",
            "https://localhost:PORT/Callback",
            "https://localhost:PORT/CALLBACK",
            "https://localhost:PORT//callback",
            "https://localhost:PORT/./callback",
            "https://localhost:PORT/x/../callback",
            "https://localhost:PORT/%63allback",
            "https://localhost:PORT/callbac",
            "https://localhost:PORT/",
            "https://localhost:PORT",
            "https://localhost:PORT\\@evil.example/callback",
            "https://localhost:PORT@evil.example/callback",
            "https://evil.example@localhost:PORT/callback",
            "https://@localhost:PORT/callback",
            "https://user:pass@localhost:PORT/callback",
            "https://evil.localhost:PORT/callback",
            "https://localhost.evil.example:PORT/callback",
            "https://evil.example/callback",
            "https://evil.example/?x=https://localhost:PORT/callback",
            "https://evil.example#https://localhost:PORT/callback",
            "https://xn--lcalhost-54a:PORT/callback",
            "https://l\u{43e}calhost:PORT/callback",
            "https://\u{ff4c}ocalhost:PORT/callback",
            "https://local%68ost:PORT/callback",
            "https://localhost%00.evil.example:PORT/callback",
            "https://127.0.0.1:PORT/callback",
            "https://[::1]:PORT/callback",
            "https://2130706433:PORT/callback",
            "https://*:PORT/callback",
            "javascript:alert(1)//localhost:PORT/callback",
            "data:text/html,https://localhost:PORT/callback",
            "urn:ietf:wg:oauth:2.0:oob",
            "com.tpp.app:/callback",
            "https%3A%2F%2Flocalhost%3APORT%2Fcallback",
        ]
        .map(|variant| variant.replace("PORT", port)),
    );
    variants
}

#[test]
fn a_call_back_that_is_nearly_the_enrolled_one_gets_a_page_and_never_a_redirection() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    let port = gateway.addresses.psu.port().to_string();
    let variants = variants(&port);
    assert!(variants.len() >= 52, "{}", variants.len());
    for variant in &variants {
        for state in ["s", "\r\n"] {
            let more = [("redirect_uri", variant.as_str()), ("state", state)];
            let landed = app.browser().open(&app.authorize_path(&more));
            assert_eq!(landed.answer.status, 400, "{variant:?}");
            assert!(landed.answer.header("location").is_none(), "{variant:?}");
            assert!(landed.answer.header("set-cookie").is_none(), "{variant:?}");
            let page = landed.page();
            assert!(
                !page.html.contains("evil") && !page.html.contains("href=\"http"),
                "{variant:?}"
            );
        }
        let more = [("redirect_uri", variant.as_str())];
        assert_eq!(app.post(PAR, &app.asked(&more)).code(), "oauth_request_invalid", "{variant:?}");
    }
    for missing in ["redirect_uri", "client_id"] {
        let landed = app.browser().open(&app.authorize_path(&[(missing, "")]));
        assert_eq!(landed.page().status, 400, "{missing}");
    }
}

#[test]
fn a_code_is_exchanged_only_with_the_call_back_it_was_sent_to() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    let port = gateway.addresses.psu.port().to_string();
    for variant in &variants(&port) {
        let code = app.code(GILLES);
        let refused = app.exchange(&code, &[("redirect_uri", variant)]);
        assert_eq!(refused.code(), "grant_invalid", "{variant:?}");
        let burnt = app.exchange(&code, &[]);
        assert_eq!(burnt.code(), "grant_invalid", "{variant:?}: the code was in wrong hands");
    }
}

#[test]
fn a_code_outlives_a_request_that_is_no_request() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    let code = app.code(GILLES);
    // RFC 6749 §3.2: a parameter without a value is as one that is not there.
    let refused = app.exchange(&code, &[("redirect_uri", "")]);
    assert_eq!(refused.json()["error"], "invalid_request");
    assert_eq!(app.exchange(&code, &[]).status, 200);
}

#[test]
fn parameters_that_stand_twice_are_refused_here_and_nobody_is_sent_anywhere() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    let pkce = [("code_challenge", CHALLENGE), ("code_challenge_method", "S256"), ("state", "s")];
    let good = app.authorize_path(&pkce);
    for name in ["client_id", "redirect_uri", "response_type", "scope", "state", "code_challenge"] {
        let values = ["https%3A%2F%2Fevil.example%2F", "", "x"].map(str::to_owned);
        let same = form(&app.asked(&pkce))
            .split('&')
            .find_map(|pair| pair.strip_prefix(&format!("{name}=")).map(str::to_owned));
        for value in values.into_iter().chain(same) {
            let encoded = format!("%{:x}{}", name.as_bytes()[0], &name[1..]);
            for twice in [
                format!("{good}&{name}={value}"),
                format!("{good}&{encoded}={value}"),
                good.replacen('?', &format!("?{name}={value}&"), 1),
            ] {
                let landed = app.browser().open(&twice);
                assert!(landed.answer.header("location").is_none(), "{twice}");
                assert_eq!(landed.answer.status, 400, "{twice}");
            }
        }
        let mut pushed = app.asked(&pkce);
        pushed.push((name, "x"));
        let pushed = app.post(PAR, &pushed);
        assert_eq!(
            (pushed.status, pushed.code().as_str()),
            (400, "oauth_request_invalid"),
            "{name}"
        );
    }
    let code = app.consent(GILLES, &pkce[..2]).get("code").unwrap();
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("client_id", app.client_id.as_str()),
        ("redirect_uri", app.call_back.as_str()),
        ("code_verifier", VERIFIER),
    ];
    for (name, value) in fields {
        for again in [value, "", "x"] {
            let mut twice = fields.to_vec();
            twice.push((name, again));
            let refused = app.post(TOKEN, &twice);
            assert_eq!((refused.status, refused.code().as_str()), (400, "oauth_request_invalid"));
            assert_eq!(refused.json()["error"], "invalid_request");
        }
    }
    Pair::of(&app.post(TOKEN, &fields));
}

#[test]
fn every_answer_at_the_call_back_names_the_issuer_of_its_bank() {
    let gateway = Gateway::sandbox();
    for codetab in ["17515", "11315", "42559"] {
        let app = App::at(&gateway, "funds-co", codetab);
        let good = app.consent(LEA, &[("state", "s")]);
        let (mut browser, page) = app.visit(&[("state", "s")]);
        let refused = browser.press(&page, "refuse", &[]);
        let faulty = [
            (("response_type", "token"), "unsupported_response_type"),
            (("response_type", "code id_token"), "unsupported_response_type"),
            (("response_type", ""), "invalid_request"),
            (("response_mode", "fragment"), "invalid_request"),
            (("response_mode", "form_post"), "invalid_request"),
            (("request", "eyJhbGciOiJub25lIn0.e30."), "request_not_supported"),
            (("scope", ""), "invalid_scope"),
            (("scope", "admin"), "invalid_scope"),
            (("scope", "cbpii cbpii"), "invalid_scope"),
        ];
        let faulty = faulty.map(|(more, error)| {
            let landed = app.browser().open(&app.authorize_path(&[("state", "s"), more]));
            assert_eq!(landed.get("error").as_deref(), Some(error), "{more:?}");
            landed
        });
        for landed in faulty.iter().chain([&good, &refused]) {
            assert!(landed.at.starts_with(&format!("{}?", app.call_back)), "{}", landed.at);
            assert_eq!(landed.get("iss").as_deref(), Some(app.issuer.as_str()), "{}", landed.at);
            assert_eq!(landed.get("state").as_deref(), Some("s"), "{}", landed.at);
            assert_eq!(landed.get("code").is_some(), landed.get("error").is_none());
            assert!(!landed.at.contains('#'), "{}", landed.at);
        }
    }
}

#[test]
fn a_state_comes_back_as_it_was_or_not_at_all_and_makes_no_header() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    let long = "x".repeat(1024);
    for state in [
        "a&error=x&code=forged#frag",
        "%0d%0aSet-Cookie: a=b",
        "<script>alert(1)</script>",
        "'\"\\;=?/",
        long.as_str(),
    ] {
        let landed = app.consent(GILLES, &[("state", state)]);
        assert_eq!(landed.get("state").as_deref(), Some(state), "{}", landed.at);
        assert!(landed.get("code").is_some() && landed.get("error").is_none());
    }
    let longer = "x".repeat(1025);
    for state in
        ["a\r\nSet-Cookie: a=b", "a\nb", "\0", "\u{e9}", "\u{2028}", "\u{7f}", longer.as_str()]
    {
        let landed = app.browser().open(&app.authorize_path(&[("state", state)]));
        assert_eq!(
            landed.get("error").as_deref(),
            Some("invalid_request"),
            "{state:?}: {}",
            landed.at
        );
        assert!(landed.get("state").is_none() && landed.answer.header("set-cookie").is_none());
        assert!(landed.at.is_ascii() && !landed.at.contains(['\r', '\n']));
    }
}

#[test]
fn no_parameter_of_the_pages_leads_elsewhere() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    let evil = form(&[
        ("redirect_uri", "https://evil.example/"),
        ("back", "https://evil.example/"),
        ("next", "//evil.example"),
        ("location", "https://evil.example"),
        ("lang", "https://evil.example"),
        ("login_url", "https://evil.example"),
    ]);
    let (mut browser, page) = app.visit(&[]);
    let path = page.path.split('?').next().unwrap().to_owned();
    let page = browser.open(&format!("{path}?{evil}")).page();
    assert_eq!(page.status, 200);
    assert!(!page.html.contains("evil"), "{}", page.html);
    let page = browser.log_in(&page, GILLES);
    let fields =
        [("account", "0"), ("redirect_uri", "https://evil.example/"), ("back", "//evil.example")];
    let (csrf, lang) = (page.value("csrf"), "https://evil.example");
    let mut sent = vec![("csrf", csrf.as_str()), ("lang", lang), ("step", "accept")];
    sent.extend(fields);
    let answer = browser.send("POST", &path, Some(&form(&sent)));
    assert_eq!(answer.status, 303);
    let resume = answer.header("location").unwrap().to_owned();
    let resume = resume.strip_prefix(&app.issuer).unwrap().to_owned();
    let landed = browser.open(&format!("{resume}&{evil}"));
    assert!(landed.at.starts_with(&format!("{}?code=", app.call_back)), "{}", landed.at);
    for path in [
        "//evil.example/",
        "/\\evil.example",
        "/login//evil.example",
        "/login/https:%2F%2Fevil.example",
        &format!("{AUTHORIZE}/"),
        &format!("{AUTHORIZE}/resume?challenge=//evil.example&verifier=x"),
        &format!("{AUTHORIZE}/resume"),
    ] {
        let answer = app.browser().send("GET", path, None);
        assert!(
            answer.header("location").is_none() && (400..500).contains(&answer.status),
            "{path}: {}",
            answer.status
        );
    }
}
