//! The adapter that the book builds is a working one: it is taken out of the page and put behind a gateway.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::fs;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use harness::eventually;
use harness::gateway::{GILLES_IBAN, Gateway, LEA_IBAN, PATH, body, free, upstream};
use harness::oauth::{App, GILLES};
use serde_json::Value;

const PAGE: &str = include_str!("../../docs/src/adapter-howto.md");

/// The code block of a language.
fn block(language: &str) -> &'static str {
    let begin = format!("```{language}\n");
    let rest = PAGE.split_once(&begin).unwrap_or_else(|| panic!("no {language} block")).1;
    rest.split_once("```").unwrap().0
}

/// Ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_adapter_of_the_book_answers_out_of_the_file_of_the_core() {
    if Command::new("python3").arg("--version").output().is_err() {
        println!("skipped: there is no python3");
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let file = place.path().join(name);
        fs::write(&file, text).unwrap();
        file
    };
    let (program, accounts) =
        (write("adapter.py", block("python")), write("accounts", block("text")));
    let address = free();
    let adapter = Command::new("python3")
        .arg(&program)
        .arg(address.port().to_string())
        .arg(&accounts)
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let _adapter = Running(adapter);
    eventually("the adapter listens", || TcpStream::connect(address).ok());

    let mut codetab: toml::Table = block("toml").parse().unwrap();
    let codetab = codetab["codetab"].as_array_mut().unwrap()[0].as_table_mut().unwrap();
    assert_eq!(codetab["code"].as_str(), Some("17515"));
    let settings = codetab["upstream"].as_table_mut().unwrap();
    settings["addresses"] = vec![address.to_string()].into();
    let settings = settings.clone();
    let gateway = Gateway::configured(|config| upstream(config, "17515", settings));
    let app = App::of(&gateway, "funds-co");
    let token = app.pair(GILLES).access;
    let ask = |iban: &str, amount: &str| {
        let mut request = gateway.request(&token);
        request.body = body(iban, amount);
        app.client.send(&request)
    };
    for (amount, covered) in [("100", true), ("11880.30", true), ("11880.31", false)] {
        let answer = ask(GILLES_IBAN, amount);
        assert_eq!(answer.status, 200, "{}", answer.json());
        assert_eq!(answer.json()["result"], covered, "{amount}");
        let sent: Value = serde_json::from_str(&body(GILLES_IBAN, amount)).unwrap();
        assert_eq!(answer.json()["request"], sent);
        assert_eq!(answer.json()["_links"]["self"]["href"], PATH);
    }
    let refused = ask(LEA_IBAN, "1");
    assert_eq!((refused.status, refused.code().as_str()), (404, "account_unknown"));
}
