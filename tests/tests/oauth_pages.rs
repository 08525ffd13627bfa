//! Attacks on the customer's browser and on the customer's login: forged forms, frames, fixed
//! sessions, guessed codes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::thread;

use harness::client::Answer;
use harness::gateway::Gateway;
use harness::oauth::{AUTHORIZE, App, Browser, GILLES, LEA, PAR, Page, SMS_CODE, form};

/// The path of a page without its query.
fn path(page: &Page) -> &str {
    page.path.split('?').next().unwrap()
}

fn send(browser: &Browser, page: &Page, csrf: Option<&str>, fields: &[(&str, &str)]) -> Answer {
    let mut sent: Vec<(&str, &str)> = csrf.map(|csrf| ("csrf", csrf)).into_iter().collect();
    sent.extend(fields);
    browser.clone().send("POST", path(page), Some(&form(&sent)))
}

#[test]
fn a_forged_form_is_refused_at_every_step_and_changes_nothing() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    let (mut browser, mut page) = app.visit(&[]);
    let (_, others) = app.visit(&[]);
    let stranger = app.browser();
    for (step, fields) in [
        ("login", [("step", "login"), ("login", GILLES)]),
        ("code", [("step", "code"), ("code", SMS_CODE)]),
        ("accept", [("step", "accept"), ("account", "0")]),
    ] {
        let csrf = page.value("csrf");
        let wrong = format!("{}0", &csrf[..csrf.len() - 1]);
        let other = others.value("csrf");
        for forged in [None, Some(""), Some(&wrong[..]), Some(&csrf[1..]), Some(&other[..])] {
            if forged == Some(csrf.as_str()) {
                continue;
            }
            for fields in [fields, [("step", "refuse"), ("x", "")]] {
                assert_eq!(send(&browser, &page, forged, &fields).status, 403, "{step} {forged:?}");
            }
        }
        assert_eq!(send(&stranger, &page, Some(&csrf), &fields).status, 403, "{step}: no cookie");
        let mut mixed = app.browser();
        let (name, _) = browser.cookies.iter().next().unwrap();
        mixed.cookies.insert(name.clone(), "another-secret".to_owned());
        assert_eq!(send(&mixed, &page, Some(&csrf), &fields).status, 403, "{step}: another cookie");
        let (mut own, _) = app.visit(&[]);
        own.cookies = own.cookies.values().map(|value| (name.clone(), value.clone())).collect();
        assert_eq!(send(&own, &page, Some(&csrf), &fields).status, 403, "{step}: another visit's");
        let before = page.html.clone();
        page = browser.open(path(&page)).page();
        assert_eq!(page.html, before, "{step}: nothing has moved");
        if step == "accept" {
            break;
        }
        page = browser.press(&page, step, &fields[1..]).page();
    }
}

#[test]
fn a_visit_belongs_to_the_browser_that_began_it_from_the_first_page_to_the_call_back() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    // The attacker's challenge in the victim's browser: neither empty nor in a visit of its own.
    let (mut attacker, page) = app.visit(&[("state", "attacker's")]);
    let (mut victim, _) = app.visit(&[]);
    for browser in [&mut victim, &mut app.browser()] {
        assert_eq!(browser.open(path(&page)).page().status, 403);
    }
    // The victim's browser is not made to carry the attacker's code to the TPP.
    let page = attacker.log_in(&page, LEA);
    let csrf = page.value("csrf");
    let accepted = send(&attacker, &page, Some(&csrf), &[("step", "accept"), ("account", "0")]);
    let resume = accepted.header("location").unwrap().replace(&app.issuer, "");
    let refused = victim.open(&resume);
    assert_eq!(refused.answer.status, 403);
    assert!(refused.answer.header("location").is_none());
    let (challenge, _) = resume.split_once("&verifier=").unwrap();
    for wrong in [format!("{challenge}&verifier=x"), format!("{challenge}&verifier=")] {
        assert_eq!(attacker.open(&wrong).answer.status, 404);
    }
    assert!(attacker.open(&resume).get("code").is_some());
    assert_eq!(attacker.open(&resume).answer.status, 404, "a code is given once");
}

#[test]
fn a_step_cannot_be_left_out() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    let (mut browser, page) = app.visit(&[]);
    let accept = [("account", "0")];
    let page = browser.press(&page, "accept", &accept).page();
    assert!(page.html.contains("name=\"login\""), "accepting before the login shows the login");
    let page = browser.press(&page, "code", &[("code", SMS_CODE)]).page();
    assert!(page.html.contains("name=\"login\""));
    let page = browser.press(&page, "login", &[("login", GILLES)]).page();
    let page = browser.press(&page, "accept", &accept).page();
    assert!(page.html.contains("name=\"code\""), "accepting before the code shows the code");
    let page = browser.press(&page, "code", &[("code", SMS_CODE)]).page();
    // Another login begins again: the code was the first one's.
    let page = browser.press(&page, "login", &[("login", LEA)]).page();
    assert!(page.html.contains("name=\"code\""));
    let page = browser.press(&page, "accept", &accept).page();
    assert!(page.html.contains("name=\"code\""));
    let page = browser.press(&page, "nonsense", &[]).page();
    assert!(page.html.contains("name=\"code\""));
}

#[test]
fn codes_that_are_guessed_in_many_visits_at_once_are_counted_together() {
    const VISITS: usize = 24;
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    let visits: Vec<(Browser, Page)> = (0..VISITS)
        .map(|_| {
            let (mut browser, page) = app.visit(&[("ui_locales", "en")]);
            let page = browser.press(&page, "login", &[("login", GILLES)]).page();
            (browser, page)
        })
        .collect();
    let answers: Vec<Page> = thread::scope(|scope| {
        let tried: Vec<_> = visits
            .iter()
            .enumerate()
            .map(|(number, (browser, page))| {
                let guess = format!("{number:08}");
                let mut browser = browser.clone();
                scope.spawn(move || browser.press(page, "code", &[("code", &guess)]).page())
            })
            .collect();
        tried.into_iter().map(|tried| tried.join().unwrap()).collect()
    });
    let open = answers.iter().filter(|page| page.html.contains("left.")).count();
    let locked = answers.iter().filter(|page| page.html.contains("is locked")).count();
    assert!(open <= 2 && open + locked == VISITS, "{open} tries were left, {locked} locked");
    let (mut browser, page) = app.visit(&[("ui_locales", "en")]);
    let page = browser.press(&page, "login", &[("login", GILLES)]).page();
    assert!(page.html.contains("locked after several wrong codes"), "{}", page.html);
}

#[test]
fn a_right_code_opens_nothing_while_the_login_is_locked() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    let (mut waiting, before) = app.visit(&[("ui_locales", "en")]);
    let before = waiting.press(&before, "login", &[("login", GILLES)]).page();
    let (mut browser, page) = app.visit(&[]);
    let page = browser.press(&page, "login", &[("login", GILLES)]).page();
    for _ in 0..3 {
        let _ = browser.press(&page, "code", &[("code", "00000000")]);
    }
    let locked = waiting.press(&before, "code", &[("code", SMS_CODE)]).page();
    assert_eq!(locked.status, 403);
    assert!(locked.html.contains("Your login is locked"), "{}", locked.html);
}

/// Every kind of answer that a browser can be given.
fn answers(gateway: &Gateway) -> Vec<(String, Answer)> {
    let app = App::of(gateway, "funds-co");
    let (mut browser, login) = app.visit(&[]);
    let at = path(&login).to_owned();
    let mut answers = vec![("login".to_owned(), browser.send("GET", &at, None))];
    let code = browser.press(&login, "login", &[("login", GILLES)]).page();
    answers.push(("code".to_owned(), browser.send("GET", &at, None)));
    let _ = browser.press(&code, "code", &[("code", SMS_CODE)]);
    answers.push(("consent".to_owned(), browser.send("GET", &at, None)));
    let mut fresh = app.browser();
    answers.push(("begun".to_owned(), fresh.send("GET", &app.authorize_path(&[]), None)));
    let large = "x".repeat(20_000);
    for (method, path, body) in [
        ("GET", "/", None),
        ("GET", "/reasons/", None),
        ("GET", "/reasons/token_unknown", None),
        ("GET", "/reasons/nothing", None),
        ("GET", "/nothing", None),
        ("GET", "/callback?code=x&state=%3Cscript%3E", None),
        ("GET", AUTHORIZE, None),
        ("GET", at.as_str(), None),
        ("GET", "/login/unknown", None),
        ("GET", "/login/%ff", None),
        ("POST", at.as_str(), Some(large.as_str())),
        ("POST", at.as_str(), Some("csrf=%ff%fe")),
        ("POST", AUTHORIZE, Some("client_id=x")),
        ("POST", "/", Some("x=y")),
        ("PUT", at.as_str(), Some("x=y")),
        ("DELETE", at.as_str(), None),
        ("OPTIONS", at.as_str(), None),
        ("TRACE", at.as_str(), None),
        ("BREW", at.as_str(), None),
    ] {
        let answer = app.browser().send(method, path, body);
        answers.push((format!("{method} {}", path.replace(&at, "/login/…")), answer));
    }
    answers
}

#[test]
fn every_answer_forbids_scripts_frames_and_foreign_forms_and_none_is_a_307() {
    let gateway = Gateway::sandbox();
    for (what, answer) in answers(&gateway) {
        assert!(
            answer.status < 500 && ![301, 302, 307, 308].contains(&answer.status),
            "{what}: {}",
            answer.status
        );
        let value = |name: &str| answer.header(name).unwrap_or_default().to_owned();
        assert!(answer.header("access-control-allow-origin").is_none(), "{what}");
        assert!(answer.header("server").is_none(), "{what}");
        assert!(
            answer.headers.iter().filter(|(name, _)| name == "content-security-policy").count()
                <= 1
        );
        let policy = value("content-security-policy");
        if answer.body.is_empty() && answer.status != 303 {
            continue;
        }
        for part in
            ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action "]
        {
            assert!(policy.contains(part), "{what} ({}): {part} in {policy:?}", answer.status);
        }
        assert!(
            !policy.contains("script-src")
                && !policy.contains("unsafe-eval")
                && !policy.contains('*')
        );
        assert_eq!(value("x-frame-options"), "DENY", "{what}");
        assert_eq!(value("x-content-type-options"), "nosniff", "{what}");
        assert_eq!(value("referrer-policy"), "no-referrer", "{what}");
        let html = String::from_utf8(answer.body.clone()).unwrap();
        assert!(!html.contains("<script"), "{what}: {html}");
    }
}

#[test]
fn pages_with_secrets_are_kept_by_nobody_and_the_cookie_is_this_hosts_alone() {
    let gateway = Gateway::sandbox();
    for (what, answer) in answers(&gateway) {
        let secret = ["login", "code", "consent", "begun"].contains(&what.as_str())
            || what.contains("callback");
        if secret {
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
        }
        let Some(cookie) = answer.header("set-cookie") else { continue };
        assert!(cookie.starts_with("__Host-octroi-"), "{cookie}");
        for part in ["Secure", "HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=600"] {
            assert!(cookie.contains(part), "{part}: {cookie}");
        }
        assert!(!cookie.to_lowercase().contains("domain"), "{cookie}");
    }
}

#[test]
fn a_head_takes_neither_the_pushed_request_nor_the_code_away() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    let pushed = app.post(PAR, &app.asked(&[])).json();
    let request_uri = pushed["request_uri"].as_str().unwrap();
    let asked = app.authorize_path(&[("request_uri", request_uri)]);
    let mut browser = app.browser();
    assert_eq!(browser.send("HEAD", &asked, None).status, 405);
    let page = browser.open(&asked).page();
    let page = browser.log_in(&page, GILLES);
    let csrf = page.value("csrf");
    let accepted = send(&browser, &page, Some(&csrf), &[("step", "accept"), ("account", "0")]);
    let resume = accepted.header("location").unwrap().replace(&app.issuer, "");
    assert_eq!(browser.send("HEAD", &resume, None).status, 405);
    assert!(browser.open(&resume).get("code").is_some());
}

#[test]
fn strange_methods_decide_nothing() {
    let gateway = Gateway::sandbox();
    let app = App::of(&gateway, "funds-co");
    let (mut browser, page) = app.visit(&[]);
    let page = browser.log_in(&page, GILLES);
    let csrf = page.value("csrf");
    let sent = form(&[("csrf", &csrf), ("step", "accept"), ("account", "0")]);
    for method in ["PUT", "PATCH", "DELETE", "OPTIONS", "accept"] {
        let answer = browser.send(method, path(&page), Some(&sent));
        assert!((400..500).contains(&answer.status), "{method}: {}", answer.status);
    }
    let query = browser.send("GET", &format!("{}?{sent}", path(&page)), None);
    assert_eq!(query.status, 200, "a form in a query is no form");
    assert!(browser.press(&page, "accept", &[("account", "0")]).get("code").is_some());
}
