//! Every member of the corpus meets the real binary: through a real TLS handshake in both refusal
//! modes, and through `octroi explain` where no TLS client would send it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

use harness::client::{Client, Request};
use harness::gateway::{Gateway, HOST, PATH, path_text};
use harness::run;
use policies::Reason;
use serde_json::Value;
use tempfile::TempDir;

struct Corpus {
    dir: TempDir,
    manifest: Value,
}

fn corpus() -> Corpus {
    let dir = tempfile::tempdir().unwrap();
    let made = run(&["cert", "issue", "--corpus", path_text(&dir.path().join("corpus"))]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let manifest = fs::read(dir.path().join("corpus/manifest.json")).unwrap();
    Corpus { manifest: serde_json::from_slice(&manifest).unwrap(), dir }
}

impl Corpus {
    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join("corpus").join(name)
    }

    fn members(&self) -> &[Value] {
        self.manifest["members"].as_array().unwrap()
    }

    /// A gateway that knows what the corpus' README says.
    fn gateway(&self, refusal: &str) -> Gateway {
        Gateway::configured(|config| {
            let listen = config["listen"].as_table_mut().unwrap();
            listen["tpp"].as_table_mut().unwrap().insert("refusal".to_owned(), refusal.into());
            let text = |name: &str| toml::Value::from(path_text(&self.file(name)));
            let crls = self.manifest["crls"].as_array().unwrap();
            let crls: Vec<toml::Value> =
                crls.iter().map(|name| text(name.as_str().unwrap())).collect();
            let trust = config["trust"].as_table_mut().unwrap();
            trust.insert("anchors".to_owned(), vec![text("anchors.pem")].into());
            trust.insert("intermediates".to_owned(), vec![text("intermediates.pem")].into());
            trust.insert("crls".to_owned(), crls.into());
            let mut eba = toml::Table::new();
            eba.insert("file".to_owned(), text("register.json"));
            let made_at = self.manifest["made_at"].as_str().unwrap();
            eba.insert("as_of".to_owned(), made_at.into());
            let register = config["register"].as_table_mut().unwrap();
            register.remove("regafi");
            register.remove("directory");
            register.insert("eba".to_owned(), eba.into());
        })
    }
}

/// No token is sent: whose certificate opens the gate is asked for one.
fn request() -> Request {
    Request {
        method: "POST".to_owned(),
        host: HOST.to_owned(),
        path: PATH.to_owned(),
        token: None,
        headers: Vec::new(),
        body: "{}".to_owned(),
    }
}

fn expected(member: &Value) -> &str {
    member["expect"]["reason"].as_str().unwrap_or("token_missing")
}

/// The reason code of the answer; none when the connection was cut.
fn presented(gateway: &Gateway, corpus: &Corpus, member: &Value) -> Option<String> {
    let file = |key: &str| corpus.file(member[key].as_str().unwrap());
    let client = Client::unchecked(gateway.addresses.tpp, &file("chain"), &file("key"));
    let mut connection = client.connect(HOST).ok()?;
    connection.exchange(&request().octets()).ok().map(|answer| answer.code())
}

fn presentable(corpus: &Corpus) -> impl Iterator<Item = &Value> {
    corpus.members().iter().filter(|member| member["presentable"] == true)
}

#[test]
fn every_presentable_member_gets_its_verdict_over_tls_and_is_told_why() {
    let corpus = corpus();
    let gateway = corpus.gateway("explain");
    let mut wrong = Vec::new();
    for member in presentable(&corpus) {
        let code = presented(&gateway, &corpus, member);
        if code.as_deref() != Some(expected(member)) {
            wrong.push(format!("{}: {code:?} for {}", member["name"], expected(member)));
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(presentable(&corpus).count() >= 200);
    for reason in corpus.members().iter().filter_map(|member| member["expect"]["reason"].as_str()) {
        assert!(Reason::from_code(reason).is_some(), "{reason} is no reason of ours");
    }
}

#[test]
fn in_handshake_mode_a_bad_certificate_is_cut_and_a_good_one_is_answered() {
    let corpus = corpus();
    let gateway = corpus.gateway("handshake");
    let mut wrong = Vec::new();
    for member in presentable(&corpus) {
        let code = presented(&gateway, &corpus, member);
        let cut = member["expect"]["cut_in_handshake"] == true;
        let expected = (!cut).then(|| expected(member));
        if code.as_deref() != expected {
            wrong.push(format!("{}: {code:?} for {expected:?}", member["name"]));
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_no_client_would_send_is_refused_offline_with_its_reason() {
    let corpus = corpus();
    let gateway = corpus.gateway("explain");
    let config = gateway.place().file("changed.toml");
    let others = corpus.members().iter().filter(|member| member["presentable"] == false);
    let mut wrong = Vec::new();
    for member in others.clone() {
        let chain = corpus.file(member["chain"].as_str().unwrap());
        let arguments = ["explain", "--output", "json", "--host", HOST, "--path", PATH];
        let (config, chain) = (path_text(&config), path_text(&chain));
        let output = run(&[&arguments[..], &["--config", config, "--certificate", chain]].concat());
        let unreadable = output.status.code() == Some(3);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let code = report["code"].as_str();
        if !unreadable && code != Some(expected(member)) {
            wrong.push(format!("{}: {code:?} for {}", member["name"], expected(member)));
        }
        assert_ne!(member["expect"]["verdict"], "accept");
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(others.count() >= 5);
}

#[test]
fn inspect_tells_the_lint_that_refuses_each_member() {
    let corpus = corpus();
    let with = |key: &str| {
        let key = key.to_owned();
        corpus.members().iter().filter(move |member| member["expect"][&key].is_string())
    };
    for (key, list) in [("lint", "refusals"), ("warning", "warnings")] {
        for member in with(key) {
            let chain = corpus.file(member["chain"].as_str().unwrap());
            let output =
                run(&["cert", "inspect", "--as", "qwac", "--output", "json", path_text(&chain)]);
            let report: Value = serde_json::from_slice(&output.stdout).unwrap();
            let found = report[list].as_array().unwrap();
            let code = &member["expect"][key];
            assert!(found.iter().any(|finding| finding["lint"] == *code), "{member}: {report}");
        }
    }
    let again = run(&["cert", "issue", "--corpus", path_text(Path::new(&corpus.file("")))]);
    assert_eq!(again.status.code(), Some(3), "an existing directory stays as it is");
}
