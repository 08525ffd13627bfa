//! The bank as the gateway meets it: over TCP for its life, in process for its answers.

use axum::body::{Body, to_bytes};
use axum::http::Request;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tower::ServiceExt;

use super::*;
use crate::sandbox::persona::{ACCOUNTS, Persona};

const PATH: &str = "/stet/psd2/v1.6.2/funds-confirmations";

fn funds(iban: &str, amount: &str) -> String {
    let request = json!({
        "paymentCoverageRequestId": "MyCoverage123456",
        "instructedAmount": { "currency": "EUR", "amount": amount },
        "accountId": { "iban": iban },
    });
    request.to_string()
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn result(&self) -> bool {
        assert_eq!(self.status, StatusCode::OK, "{}", self.body);
        self.json()["result"].as_bool().unwrap()
    }

    #[track_caller]
    fn is_account_unknown(&self) {
        assert_eq!(self.status, StatusCode::NOT_FOUND, "{}", self.body);
        assert_eq!(self.headers[REASON], "account_unknown");
        let model = self.json();
        assert_eq!((&model["status"], &model["path"]), (&json!(404), &json!(PATH)));
        assert!(model["message"].as_str().unwrap().len() <= 140);
    }
}

async fn ask_bank(bank: &str, psu: &str, codetab: &str, body: &str) -> Answer {
    let request = Request::post(PATH)
        .header(PSU, psu)
        .header(CODETAB, codetab)
        .body(Body::from(body.to_owned()))
        .unwrap();
    let response = router(bank).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, BODY_BYTES_MAX).await.unwrap();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

async fn ask(persona: Persona, iban: &str, amount: &str) -> Answer {
    ask_bank("17515", persona.key(), "17515", &funds(iban, amount)).await
}

#[tokio::test]
async fn every_account_answers_yes_up_to_its_balance_and_no_beyond() {
    for account in ACCOUNTS {
        let cent = Decimal::new(1, 2);
        if account.balance >= cent {
            let exact = ask(account.persona, account.iban, &account.balance.to_string()).await;
            assert!(exact.result(), "{} exactly", account.iban);
        }
        let beyond = (account.balance + cent).max(cent).to_string();
        let beyond = ask(account.persona, account.iban, &beyond).await;
        assert!(!beyond.result(), "{} beyond", account.iban);
    }
}

#[tokio::test]
async fn lea_answers_no_to_any_positive_amount() {
    for amount in ["0.01", "1", "150.00", "9999999999999.99"] {
        let [account] = Persona::Lea.accounts().collect::<Vec<_>>()[..] else { panic!() };
        assert!(!ask(Persona::Lea, account.iban, amount).await.result(), "{amount}");
    }
}

#[tokio::test]
async fn asking_places_no_hold() {
    let iban = "FR7617515000920440878790811";
    for _ in 0..3 {
        assert!(ask(Persona::Gilles, iban, "11880.30").await.result());
    }
}

#[tokio::test]
async fn the_request_comes_back_byte_for_byte_with_the_path_as_its_link() {
    let sent = r#"{ "paymentCoverageRequestId":"é\u00e9", "instructedAmount" : {"currency":"EUR",
        "amount":"100.50"},"accountId":{"iban":"FR7617515000920440878790811"}}"#;
    let answer = ask_bank("17515", "gilles", "17515", sent).await;
    assert!(answer.result());
    assert!(answer.body.contains(sent), "{}", answer.body);
    assert_eq!(answer.json()["_links"], json!({ "self": { "href": PATH } }));
    assert_eq!(answer.headers[header::CONTENT_TYPE], "application/hal+json; charset=utf-8");
}

#[tokio::test]
async fn an_account_of_another_persona_is_unknown() {
    for account in ACCOUNTS {
        for persona in Persona::ALL.into_iter().filter(|other| *other != account.persona) {
            ask(persona, account.iban, "1").await.is_account_unknown();
        }
    }
}

#[tokio::test]
async fn an_account_is_unknown_to_any_other_bank_and_to_a_gateway_that_says_another() {
    let body = funds("FR7617515000920440878790811", "1");
    ask_bank("11315", "gilles", "11315", &body).await.is_account_unknown();
    ask_bank("17515", "gilles", "11315", &body).await.is_account_unknown();
    ask_bank("11315", "gilles", "17515", &body).await.is_account_unknown();
}

#[tokio::test]
async fn an_iban_that_nobody_has_is_unknown() {
    ask(Persona::Gilles, "FR1420041010050500013M02606", "1").await.is_account_unknown();
}

#[tokio::test]
async fn a_call_that_did_not_come_through_the_gateway_learns_nothing() {
    let request = Request::post(PATH).body(Body::from(funds("FR7617515000920440878790811", "1")));
    let response = router("17515").oneshot(request.unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_body_that_is_no_request_is_refused() {
    for body in ["", "{}", "[]", &funds("FR7617515000920440878790811", "-1")] {
        let answer = ask_bank("17515", "gilles", "17515", body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(answer.headers[REASON], "body_invalid");
    }
}

#[tokio::test]
async fn only_post_is_answered() {
    let request = Request::get(PATH).body(Body::empty()).unwrap();
    let response = router("17515").oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn each_codetab_has_a_listener_of_its_own_until_the_shutdown() {
    let (stop, stopped) = watch::channel(false);
    let codetabs = ["17515".to_owned(), "11315".to_owned()];
    let addresses = serve(&codetabs, stopped).await.unwrap();
    assert_eq!(addresses.len(), 2);
    for (address, status) in addresses.iter().zip(["200 OK", "404 Not Found"]) {
        let body = funds("FR7617515000920440878790811", "100");
        let request = format!(
            "POST {PATH} HTTP/1.1\r\nHost: bank\r\nConnection: close\r\nContent-Length: {}\r\n\
             {PSU}: gilles\r\n{CODETAB}: 17515\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        assert!(response.starts_with(&format!("HTTP/1.1 {status}")), "{response}");
    }
    stop.send_replace(true);
    for address in addresses {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    }
}
