//! Calls of every kind for a log that is judged once more.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use crate::client::Answer;
use crate::gateway::{Gateway, HOST, Place, path_text};
use crate::{eventually, run};

/// The TPPs of the sandbox that are let in or refused, each for its own reason.
pub const TPPS: [&str; 9] = [
    "funds-co",
    "multi-role",
    "account-info",
    "withdrawn",
    "unknown",
    "expired",
    "revoked",
    "untrusted",
    "no-psd2",
];

/// One call of each TPP, and those that go wrong after or beside the certificate. Gives their answers.
pub fn calls(gateway: &Gateway, token: &str) -> Vec<Answer> {
    let mut answers: Vec<Answer> =
        TPPS.iter().map(|tpp| gateway.tpp(tpp).send(&gateway.request(token))).collect();
    let client = gateway.tpp("funds-co");
    let mut other = gateway.request("a-token-that-nobody-issued");
    answers.push(client.send(&other));
    other.token = None;
    answers.push(client.send(&other));
    let changes: [&dyn Fn(&mut crate::client::Request); 5] = [
        &|request| request.path.push_str("?page=1"),
        &|request| request.path = "/nothing/here".to_owned(),
        &|request| request.method = "PUT".to_owned(),
        &|request| request.body = "{}".to_owned(),
        &|request| request.host = "www.99999.sandbox.api.localhost".to_owned(),
    ];
    for change in changes {
        let mut request = gateway.request(token);
        change(&mut request);
        answers.push(client.send(&request));
    }
    let request = gateway.request(token).octets();
    let mut elsewhere = client.connect("www.11315.sandbox.api.localhost").unwrap();
    answers.push(elsewhere.exchange(&request).unwrap());
    let mut own = gateway.request(token);
    (own.method, own.path) = ("GET".to_owned(), "/tpp/self".to_owned());
    own.body.clear();
    answers.push(client.send(&own));
    let mut office = gateway.request(token);
    (office.path, office.token) = ("/stet/psd2/oauth/token".to_owned(), None);
    office
        .headers
        .push(("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()));
    office.body = "grant_type=client_credentials".to_owned();
    answers.push(client.send(&office));
    answers.push(gateway.tpp("withdrawn").send(&office));
    let mut malformed = client.connect(HOST).unwrap();
    answers.extend(malformed.exchange(b"GET / HTTP/1.1\r\n\r\n").ok());
    answers
}

/// Waits until the log of `place` holds `count` records.
pub fn recorded(place: &Place, count: usize) {
    eventually("the records", || (place.audit().len() >= count).then_some(()));
}

/// `octroi <verb…> --output json`, with its exit code.
pub fn json(verb: &[&str]) -> (Value, Option<i32>) {
    let output = run(&[verb, &["--output", "json"]].concat());
    let value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{verb:?}: {}", told(&output)));
    (value, output.status.code())
}

/// Everything that it printed.
pub fn told(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// `octroi audit replay` over the log of `place`.
pub fn replay(config: &Path) -> (Value, Option<i32>) {
    json(&["audit", "replay", "--config", path_text(config)])
}

/// The files of the log of `place`, in order.
pub fn log_files(place: &Place) -> Vec<PathBuf> {
    let entries = fs::read_dir(place.file("audit")).unwrap();
    let named = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("access-");
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).filter(named).collect();
    files.sort();
    files
}

/// The lines of `text`, each sealed anew to the one before it: the hash of a line is that of the hash
/// before and of the line up to its own.
pub fn sealed(text: &str) -> String {
    let mut before = [0; 32];
    let mut sealed = String::new();
    for line in text.lines() {
        let (content, _) = line.rsplit_once(",\"octroi.hash\"").unwrap();
        before = certs::sha256(&[&before[..], content.as_bytes()].concat());
        sealed.push_str(&format!("{content},\"octroi.hash\":\"{}\"}}\n", hex::encode(before)));
    }
    sealed
}
