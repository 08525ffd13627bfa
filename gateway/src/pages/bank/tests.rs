//! Every page in every language, once with plain and once with hostile content.

use std::collections::BTreeSet;
use std::{env, fs};

use Language::{English, French};

use super::*;
use crate::pages::style::STYLE;

const HOSTILE: &str = "<script>alert('x')</script>\" onclick=\"x\" style=\"x\" & Co";
const ACCOUNTS: [ConsentAccount<'static>; 3] = [
    ConsentAccount {
        number: 4,
        label: "Compte chèques",
        holder: "Mr GILLES TESTUNID",
        iban: "FR7617515000920440878790811",
    },
    ConsentAccount {
        number: 5,
        label: "Compte joint",
        holder: "Mr GILLES TESTUNID",
        iban: "FR7617515000920402428687756",
    },
    ConsentAccount {
        number: 6,
        label: "Compte professionnel",
        holder: "Mr GILLES TESTUNID",
        iban: "FR7617515000920402428748381",
    },
];
const MESSAGES: [(&str, MessageKind<'static>); 7] = [
    ("timed-out", MessageKind::TimedOut),
    ("locked", MessageKind::Locked { minutes: 15 }),
    ("unknown", MessageKind::RequestUnknown),
    ("faulty", MessageKind::RequestFaulty("redirect_uri is not enrolled for this client_id")),
    ("browser", MessageKind::BrowserOther),
    ("refused", MessageKind::Refused),
    ("unavailable", MessageKind::Unavailable),
];

fn form(language: Language, tpp: &str) -> Form<'_> {
    let action = "/authorize/3f2a";
    Form { action, csrf: "c5rf", language, tpp, bank: "Caisse d’Île-de-France" }
}

fn consent<'a>(language: Language, tpp: &'a str, problem: Option<ConsentProblem>) -> Consent<'a> {
    Consent {
        form: form(language, tpp),
        scope: ConsentScope::Funds,
        accounts: &ACCOUNTS,
        days: 180,
        until: match language {
            French => "3\u{a0}juin\u{a0}2027",
            English => "3\u{a0}June\u{a0}2027",
        },
        problem,
    }
}

/// All pages with the name under which they are looked at.
fn pages(language: Language, tpp: &str) -> Vec<(String, String)> {
    let form = form(language, tpp);
    let mut pages = Vec::new();
    for (name, problem) in [
        ("login", None),
        ("login-unknown", Some(LoginProblem::Unknown)),
        ("login-locked", Some(LoginProblem::Locked { minutes: 1 })),
    ] {
        let login = if problem.is_some() { "9999999904" } else { "" };
        pages.push((name.to_owned(), Login { form, problem, login }.render()));
    }
    for (name, problem) in [
        ("code", None),
        ("code-wrong", Some(CodeProblem::Wrong { left: 2 })),
        ("code-expired", Some(CodeProblem::Expired)),
    ] {
        let phone = "06 •• •• •• 04";
        pages.push((name.to_owned(), Code { form, phone, problem }.render()));
    }
    let accounts = Consent { scope: ConsentScope::Accounts, ..consent(language, tpp, None) };
    pages.push(("consent".to_owned(), consent(language, tpp, None).render()));
    pages.push(("consent-accounts".to_owned(), accounts.render()));
    let none = consent(language, tpp, Some(ConsentProblem::NoneChosen));
    pages.push(("consent-none".to_owned(), none.render()));
    for (name, kind) in MESSAGES {
        let back = Some("https://funds-co.example/cb?error=access_denied&state=s");
        pages.push((format!("message-{name}"), Message { language, kind, back }.render()));
    }
    pages
}

fn every_page() -> Vec<(String, String)> {
    Language::ALL
        .into_iter()
        .flat_map(|language| ["Funds & Co", HOSTILE].map(|tpp| pages(language, tpp)))
        .flatten()
        .collect()
}

/// The values of an attribute, in order.
fn values<'a>(html: &'a str, attribute: &str) -> Vec<&'a str> {
    let begin = format!(" {attribute}=\"");
    html.split(begin.as_str()).skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
}

/// The tags, without the text between them.
fn tags(html: &str) -> Vec<&str> {
    html.split('<').skip(1).map(|rest| rest.split('>').next().unwrap()).collect()
}

#[test]
fn every_page_has_its_language_one_heading_and_a_title() {
    for language in Language::ALL {
        for (name, html) in pages(language, "Funds & Co") {
            assert!(html.starts_with("<!doctype html>"), "{name}");
            assert!(html.contains(&format!("<html lang=\"{}\">", language.code())), "{name}");
            assert_eq!(html.matches("<h1").count(), 1, "{name}");
            assert_eq!(html.matches("<main").count(), 1, "{name}");
            assert!(!html.contains("<title> "), "{name}");
            let faulty = html.contains("role=\"alert\"");
            let title = &html[html.find("<title>").unwrap()..html.find("</title>").unwrap()];
            assert_eq!(title.contains(language.texts().error()), faulty, "{name}");
        }
    }
}

#[test]
fn every_visible_input_has_a_label_and_every_reference_a_target() {
    for (name, html) in every_page() {
        let ids: Vec<&str> = values(&html, "id");
        assert_eq!(ids.len(), ids.iter().collect::<BTreeSet<_>>().len(), "{name}: ids twice");
        let labels = values(&html, "for");
        for input in tags(&html).into_iter().filter(|tag| tag.starts_with("input ")) {
            if !input.contains("type=\"hidden\"") {
                assert!(labels.contains(&values(input, "id")[0]), "{name}: {input}");
            }
        }
        let described = values(&html, "aria-describedby");
        let linked = values(&html, "href").into_iter().filter_map(|href| href.strip_prefix('#'));
        for id in described.iter().flat_map(|ids| ids.split(' ')).chain(labels).chain(linked) {
            assert!(ids.contains(&id), "{name}: #{id}");
        }
    }
}

#[test]
fn no_page_runs_or_loads_anything_or_lets_content_become_markup() {
    for (name, html) in every_page() {
        assert!(!html.contains("<script") && !html.contains("<style"), "{name}");
        for tag in tags(&html) {
            // The values of the tag's attributes are every second piece.
            for names in tag.split('"').step_by(2) {
                assert!(!names.contains(" style") && !names.contains(" on"), "{name}: {tag}");
            }
            assert!(!values(tag, "src").iter().any(|_| true), "{name}: {tag}");
        }
        for href in values(&html, "href") {
            let own = href.starts_with('/') || href.starts_with('#');
            assert!(own || href.starts_with("https://funds-co.example/cb?"), "{name}: {href}");
        }
    }
}

#[test]
fn every_form_is_protected_and_can_be_refused() {
    for (name, html) in every_page() {
        for form in html.split("<form").skip(1) {
            assert!(form.starts_with(" method=\"post\" action=\"/authorize/3f2a\">"), "{name}");
            assert!(form.contains("name=\"csrf\" value=\"c5rf\""), "{name}");
            assert!(form.contains("name=\"step\" value=\"refuse\""), "{name}");
        }
    }
}

#[test]
fn a_page_with_a_form_offers_the_other_language_in_that_language() {
    let html = Login { form: form(French, "x"), problem: None, login: "" }.render();
    let link = "<a href=\"/authorize/3f2a?lang=en\" lang=\"en\" hreflang=\"en\">English</a>";
    assert!(html.contains(link));
    assert!(
        Code { form: form(English, "x"), phone: "", problem: None }.render().contains("lang=fr")
    );
}

#[test]
fn accepting_and_refusing_look_alike_and_enter_does_neither() {
    let html = consent(French, "Funds-Co", None).render();
    let buttons: Vec<&str> =
        tags(&html).into_iter().filter(|tag| tag.starts_with("button")).collect();
    assert_eq!(
        buttons,
        [
            "button disabled hidden",
            "button name=\"step\" value=\"refuse\"",
            "button name=\"step\" value=\"accept\""
        ]
    );
}

#[test]
fn an_account_shows_its_holder_and_its_iban_in_groups_and_is_not_ticked_beforehand() {
    let html = consent(English, "Funds-Co", None).render();
    assert!(html.contains("FR76 1751 5000 9204 4087 8790 811<"));
    assert_eq!(html.matches("Mr GILLES TESTUNID").count(), 3);
    assert!(html.contains("name=\"account\" type=\"checkbox\" value=\"4\""));
    assert!(!html.contains("checked"));
}

#[test]
fn a_consent_says_how_long_it_lasts_and_to_whom_it_is_given() {
    let html = consent(French, "Funds-Co", None).render();
    assert!(html.contains("180\u{a0}jours, jusqu’au 3\u{a0}juin\u{a0}2027."));
    assert!(html.contains("<h1>Funds-Co demande votre accord</h1>"));
    let html = consent(English, "Funds-Co", None).render();
    assert!(html.contains("<h1>Funds-Co asks for your consent</h1>"));
    assert!(html.contains("answer yes or no"));
}

#[test]
fn numbers_agree_with_their_nouns() {
    let (french, english) = (French.texts(), English.texts());
    let wrong = |left| CodeProblem::Wrong { left };
    assert!(french.code_problem(wrong(1)).ends_with("Il vous reste 1\u{a0}essai."));
    assert!(french.code_problem(wrong(2)).ends_with("2\u{a0}essais."));
    assert!(french.code_problem(wrong(0)).ends_with("aucun essai."));
    assert!(english.code_problem(wrong(1)).ends_with("You have 1\u{a0}try left."));
    assert!(english.code_problem(wrong(0)).ends_with("no tries left."));
    let locked = LoginProblem::Locked { minutes: 1 };
    assert!(french.login_problem(locked).ends_with("dans 1\u{a0}minute."));
}

#[test]
fn a_faulty_request_is_explained_escaped_and_leads_nowhere() {
    let kind = MessageKind::RequestFaulty("<b>redirect_uri</b> is not enrolled");
    for back in [None, Some("https://funds-co.example/cb")] {
        let html = Message { language: French, kind, back }.render();
        assert!(html.contains("&#60;b&#62;redirect_uri&#60;/b&#62; is not enrolled"));
        assert!(!html.contains("<a "), "{back:?}");
    }
}

#[test]
fn only_a_web_address_is_linked() {
    let message = |back| Message { language: French, kind: MessageKind::Refused, back }.render();
    for back in [None, Some("javascript:alert(1)"), Some("/relative"), Some("data:text/html,x")] {
        assert!(!message(back).contains("<a "), "{back:?}");
    }
    assert!(
        message(Some("https://funds-co.example/cb?a=1&b=\""))
            .contains("href=\"https://funds-co.example/cb?a=1&#38;b=&#34;\"")
    );
}

#[test]
fn text_stands_out_from_its_ground_by_seven_to_one_and_controls_by_three() {
    let (light, dark) = STYLE.split_once("prefers-color-scheme: dark").unwrap();
    for scheme in [light, dark] {
        for (front, back, least) in [
            ("ink", "sheet", 7.0),
            ("ink", "ground", 7.0),
            ("ink", "tint", 7.0),
            ("soft", "sheet", 7.0),
            ("soft", "ground", 6.5),
            ("soft", "tint", 6.5),
            ("accent", "sheet", 7.0),
            ("accent", "ground", 7.0),
            ("accent-over", "tint", 7.0),
            ("on-accent", "accent", 7.0),
            ("on-accent", "accent-over", 7.0),
            ("bad", "bad-tint", 7.0),
            ("on-sand", "sand", 7.0),
            ("edge", "sheet", 3.0),
        ] {
            let contrast = contrast(colour(scheme, front), colour(scheme, back));
            assert!(contrast >= least, "{front} on {back}: {contrast:.2}");
        }
    }
}

fn colour(scheme: &str, name: &str) -> f64 {
    let value = scheme.split(&format!("--{name}: #")).nth(1).unwrap();
    let part = |at: usize| f64::from(u8::from_str_radix(&value[at..at + 2], 16).unwrap()) / 255.0;
    let linear = |c: f64| if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) };
    0.2126 * linear(part(0)) + 0.7152 * linear(part(2)) + 0.0722 * linear(part(4))
}

/// WCAG 2.2, "contrast ratio".
fn contrast(one: f64, other: f64) -> f64 {
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[test]
#[ignore = "writes every page to the directory OUT, to be looked at"]
fn pages_to_look_at() {
    let out = env::var("OUT").unwrap();
    let link = format!("<link rel=\"stylesheet\" href=\"{STYLE_PATH}\">");
    for language in Language::ALL {
        for (name, html) in pages(language, "Funds & Co") {
            let html = html.replace(&link, &format!("<style>{STYLE}</style>"));
            fs::write(format!("{out}/{name}-{}.html", language.code()), html).unwrap();
        }
    }
}
