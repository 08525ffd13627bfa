//! The hand-over of a customer to the bank's own login and consent page, as that page's server sees it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::Write as _;
use std::net::TcpStream;

use harness::client::{Answer, read_answer};
use harness::eventually;
use harness::gateway::{GILLES_IBAN, Gateway, body};
use harness::oauth::{App, Browser, Landed, Pair, form, request};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

const PAGE: &str = "https://login.example-bank.fr/psd2";
const JOINT_IBAN: &str = "FR7617515000920402428687756";

/// The server behind the bank's page.
struct Bank {
    gateway: Gateway,
    app: App,
    key: String,
}

impl Bank {
    fn open() -> Self {
        let gateway = Gateway::configured(|config| {
            let server = config["authorization"].as_table_mut().unwrap();
            server.insert("login_url".to_owned(), PAGE.into());
        });
        let key = std::fs::read_to_string(gateway.place().file("admin.key")).unwrap();
        let app = App::of(&gateway, "funds-co");
        Self { gateway, app, key: key.trim().to_owned() }
    }

    /// A question to the admin listener; `key` is empty for none.
    fn ask(&self, method: &str, path: &str, key: &str, (form, body): (&str, &str)) -> Answer {
        let address = self.gateway.addresses.admin;
        let bearer = format!("Bearer {key}");
        let mut fields = vec![("Connection", "close"), ("Content-Type", form)];
        fields.extend((!key.is_empty()).then_some(("Authorization", bearer.as_str())));
        let mut socket = TcpStream::connect(address).unwrap();
        let octets = request(method, &address.to_string(), path, &fields, body);
        socket.write_all(&octets).unwrap();
        read_answer(&mut socket, &mut Vec::new()).unwrap()
    }

    /// A customer who was sent here, and the challenge that came to the page.
    #[track_caller]
    fn arrived(&self) -> (Browser, String) {
        let mut browser = self.app.browser();
        let landed = browser.open(&self.app.authorize_path(&[("state", "s")]));
        assert!(landed.at.starts_with(&format!("{PAGE}?challenge=")), "{}", landed.at);
        (browser, landed.get("challenge").unwrap())
    }

    fn shown(&self, challenge: &str) -> Answer {
        self.ask("GET", &format!("/authorization/requests/{challenge}"), &self.key, ("", ""))
    }

    fn decide(&self, challenge: &str, verb: &str, said: &Value) -> Answer {
        let path = format!("/authorization/requests/{challenge}/{verb}");
        self.ask("POST", &path, &self.key, ("application/json", &said.to_string()))
    }

    /// Where the browser is to go: the path at the gateway.
    #[track_caller]
    fn way_back(&self, answer: &Answer) -> String {
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        let to = answer.json()["redirect_to"].as_str().unwrap().to_owned();
        to.strip_prefix(&self.app.issuer).unwrap_or_else(|| panic!("{to} is not ours")).to_owned()
    }

    fn funds(&self, token: &str, iban: &str) -> Answer {
        let mut asked = self.gateway.request(token);
        asked.body = body(iban, "100");
        self.app.client.send(&asked)
    }
}

fn accepted_at(instant: Timestamp) -> Value {
    json!({
        "psu": "gilles",
        "accounts": [GILLES_IBAN],
        "strong_authentication_at": instant.to_string(),
    })
}

#[track_caller]
fn at_call_back<'a>(app: &App, landed: &'a Landed) -> &'a Landed {
    assert!(landed.at.starts_with(&format!("{}?", app.call_back)), "{}", landed.at);
    assert_eq!(landed.get("state").as_deref(), Some("s"));
    assert_eq!(landed.get("iss").as_deref(), Some(app.issuer.as_str()));
    landed
}

#[test]
fn the_page_learns_who_asks_for_what_and_its_consent_opens_the_chosen_account() {
    let bank = Bank::open();
    let (mut browser, challenge) = bank.arrived();
    let shown = bank.shown(&challenge).json();
    for (name, value) in [
        ("client_id", json!("PSDFR-ACPR-99901")),
        ("organisation_id", json!("PSDFR-ACPR-99901")),
        ("scope", json!("cbpii")),
        ("codetab", json!("17515")),
        ("redirect_uri", json!(bank.app.call_back)),
        ("consent_days", json!(180)),
    ] {
        assert_eq!(shown[name], value, "{name} of {shown:#}");
    }
    assert!(!shown["client_name"].as_str().unwrap().is_empty(), "{shown:#}");

    let answer = bank.decide(&challenge, "accept", &accepted_at(Timestamp::now()));
    let back = bank.way_back(&answer);
    let code = at_call_back(&bank.app, &browser.open(&back)).get("code").unwrap();
    assert!(browser.cookies.is_empty(), "{:?}", browser.cookies);
    assert_eq!(browser.open(&back).page().status, 404, "the way back is gone once");
    assert_eq!(bank.shown(&challenge).status, 404);

    let pair = Pair::of(&bank.app.exchange(&code, &[]));
    assert_eq!(bank.funds(&pair.access, GILLES_IBAN).json()["result"], true);
    assert_eq!(bank.funds(&pair.access, JOINT_IBAN).code(), "account_unknown");

    let form = form(&[("token", &pair.access)]);
    let ask = |key| {
        let form = ("application/x-www-form-urlencoded", form.as_str());
        bank.ask("POST", "/authorization/introspect", key, form)
    };
    let known = ask(&bank.key).json();
    assert_eq!((&known["active"], &known["sub"]), (&true.into(), &"gilles".into()), "{known:#}");
    assert_eq!(ask("").status, 401);
    assert_eq!(ask("another").status, 401);
}

#[test]
fn a_rejection_comes_to_the_call_back_with_the_words_of_the_page() {
    let bank = Bank::open();
    for (error, description) in [
        ("access_denied", "the customer refused"),
        ("temporarily_unavailable", ""),
        ("server_error", "caf\u{e9}\r\nSet-Cookie: \"x\"\\"),
    ] {
        let (mut browser, challenge) = bank.arrived();
        let said = json!({ "error": error, "error_description": description });
        let back = bank.way_back(&bank.decide(&challenge, "reject", &said));
        let landed = browser.open(&back);
        assert_eq!(at_call_back(&bank.app, &landed).get("error").as_deref(), Some(error));
        assert_eq!(landed.get("code"), None);
        let told = landed.get("error_description").unwrap_or_default();
        let allowed = |c: char| matches!(c, ' ' | '!' | '#'..='[' | ']'..='~');
        assert!(told.chars().all(allowed), "RFC 6749 \u{a7}4.1.2.1: {told:?}");
    }
}

#[test]
fn a_decision_is_worth_nothing_in_another_browser_and_counts_once() {
    let bank = Bank::open();
    let (mut browser, challenge) = bank.arrived();
    let accepted = accepted_at(Timestamp::now());
    let back = bank.way_back(&bank.decide(&challenge, "accept", &accepted));
    assert_eq!(bank.decide(&challenge, "accept", &accepted).status, 404);
    let refused = json!({ "error": "access_denied" });
    assert_eq!(bank.decide(&challenge, "reject", &refused).status, 404);

    let (mut other, _) = bank.arrived();
    assert_eq!(other.open(&back).page().status, 403);
    assert_eq!(bank.app.browser().open(&back).page().status, 403);
    let (path, _) = back.split_once("verifier=").unwrap();
    assert_eq!(browser.open(&format!("{path}verifier=guessed")).page().status, 404);
    let landed = browser.open(&back);
    Pair::of(&bank.app.exchange(&at_call_back(&bank.app, &landed).get("code").unwrap(), &[]));
}

#[test]
fn of_many_that_come_back_at_once_one_gets_a_code() {
    let bank = Bank::open();
    let (browser, challenge) = bank.arrived();
    let back = bank.way_back(&bank.decide(&challenge, "accept", &accepted_at(Timestamp::now())));
    let landed: Vec<Landed> = std::thread::scope(|scope| {
        let come = || scope.spawn(|| browser.clone().open(&back));
        let coming: Vec<_> = (0..16).map(|_| come()).collect();
        coming.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let codes: Vec<String> = landed.iter().filter_map(|landed| landed.get("code")).collect();
    assert_eq!(codes.len(), 1, "{landed:?}");
    let late = landed.into_iter().filter(|landed| landed.at.starts_with('/'));
    assert_eq!(late.filter(|landed| landed.answer.status == 404).count(), 15);
    Pair::of(&bank.app.exchange(&codes[0], &[]));
    let given = |event: &Value| event["event.action"] == "consent_given";
    let given = eventually("the consent is recorded", || {
        let given = bank.gateway.place().events().into_iter().filter(given).count();
        (given > 0).then_some(given)
    });
    assert_eq!(given, 1);
}

#[test]
fn what_the_page_says_is_checked_and_a_fault_decides_nothing() {
    let bank = Bank::open();
    let (mut browser, challenge) = bank.arrived();
    let now = Timestamp::now();
    let ago = |hours| (now - SignedDuration::from_hours(hours)).to_string();
    let mut good = accepted_at(now);
    good["strong_authentication_at"] = json!(ago(24 * 180 - 1));
    for (name, value, status) in [
        ("psu", json!(""), 400),
        ("psu", json!("x".repeat(257)), 400),
        ("psu", json!("gil\nles"), 400),
        ("psu", json!(7), 422),
        ("accounts", json!([]), 400),
        ("accounts", json!(["FR7617515000920440878790812"]), 400),
        ("accounts", json!(["gilles"]), 400),
        ("accounts", json!(vec![GILLES_IBAN; 65]), 400),
        ("strong_authentication_at", json!(ago(-1)), 400),
        ("strong_authentication_at", json!(ago(24 * 180)), 400),
        ("strong_authentication_at", json!("yesterday"), 422),
        ("scope", json!("aisp"), 422),
    ] {
        let mut said = good.clone();
        said[name] = value;
        let answer = bank.decide(&challenge, "accept", &said);
        assert_eq!(answer.status, status, "{said}");
    }
    for error in ["", "invalid_scope", "access_denied\r\n"] {
        let answer = bank.decide(&challenge, "reject", &json!({ "error": error }));
        assert_eq!(answer.status, 400, "{error:?}");
    }
    let accept = format!("/authorization/requests/{challenge}/accept");
    let (form, text) = ("application/json", good.to_string());
    for key in ["", "another", &bank.key[1..]] {
        assert_eq!(bank.ask("POST", &accept, key, (form, &text)).status, 401, "without the key");
    }
    let never = "A".repeat(challenge.len());
    for unknown in ["x", never.as_str(), &format!("{challenge}A"), &challenge.to_lowercase()] {
        assert_eq!(bank.shown(unknown).status, 404, "{unknown}");
        assert_eq!(bank.decide(unknown, "accept", &good).status, 404, "{unknown}");
    }
    assert_eq!(bank.shown(&challenge).status, 200, "the customer still waits");
    let back = bank.way_back(&bank.decide(&challenge, "accept", &good));
    at_call_back(&bank.app, &browser.open(&back)).get("code").unwrap();
}

#[test]
fn a_consent_ends_180_days_after_the_authentication_that_the_page_named() {
    let bank = Bank::open();
    let (mut browser, challenge) = bank.arrived();
    let left = SignedDuration::from_secs(12);
    let authenticated = Timestamp::now() - SignedDuration::from_hours(24 * 180) + left;
    let answer = bank.decide(&challenge, "accept", &accepted_at(authenticated));
    let landed = browser.open(&bank.way_back(&answer));
    let code = at_call_back(&bank.app, &landed).get("code").unwrap();
    let exchanged = bank.app.exchange(&code, &[]);
    let seconds = exchanged.json()["expires_in"].as_i64().unwrap();
    assert!((0..=12).contains(&seconds), "the token ends with the consent: {seconds}");
    let pair = Pair::of(&exchanged);
    let refreshed = bank.app.refresh(&pair.refresh);
    let pair = if refreshed.status == 200 { Pair::of(&refreshed) } else { pair };
    let code = eventually("the end of the consent", || {
        let answer = bank.funds(&pair.access, GILLES_IBAN);
        (answer.status != 200).then(|| answer.code())
    });
    assert!(["token_expired", "consent_expired"].contains(&code.as_str()), "{code}");
    let refused = bank.app.refresh(&pair.refresh);
    assert_eq!(refused.json()["error"], "invalid_grant", "no refresh after 180 days");
    assert!(!bank.app.is_active(&pair.refresh));
}
