//! What an operator may see of live tokens, and how they are revoked.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::process::Output;

use harness::gateway::{Gateway, HOST, path_text};
use harness::redis_server::RedisServer;
use harness::{eventually, run};
use serde_json::Value;

fn token(verb: &[&str], gateway: &Gateway, file: &str) -> Output {
    let config = gateway.place().file(file);
    run(&[&["token"], verb, &["--config", path_text(&config)]].concat())
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// The same on both engines: what is listed, and what a revocation does to an open connection.
fn listed_and_revoked(gateway: &Gateway, file: &str, tokens: &[String; 2]) {
    let tpp = ["--tpp", "PSDFR-ACPR-99901"];
    let list = token(&[&["list", "--output", "json"], &tpp[..]].concat(), gateway, file);
    assert!(list.status.success(), "{}", text(&list));
    let listed: Vec<Value> = serde_json::from_slice(&list.stdout).unwrap();
    let access = listed.iter().filter(|one| one["kind"] == "access").count();
    assert_eq!(access, 2, "{listed:#?}");
    for secret in tokens {
        let digest = hex::encode(certs::sha256(secret.as_bytes()));
        assert!(listed.iter().any(|one| one["sha256"] == *digest), "{listed:#?}");
    }
    let shown = text(&list);
    assert!(!tokens.iter().any(|secret| shown.contains(secret.as_str())), "{shown}");
    assert!(!shown.contains("gilles") && !shown.contains("lea"), "no people: {shown}");

    let mut connection = gateway.tpp("funds-co").connect(HOST).unwrap();
    let mut code = |secret: &str| {
        let answer = connection.exchange(&gateway.request(secret).octets()).unwrap();
        if answer.status == 200 { "200".to_owned() } else { answer.code() }
    };
    let [first, second] = tokens;
    assert_eq!(code(first), "200");
    let digest = hex::encode(certs::sha256(first.as_bytes()));
    let who = ["--by", "Ada", "--because", "the customer called"];
    let one = ["revoke", "--token", &digest[..10]];
    for without in [&who[..2], &who[2..]] {
        let refused = token(&[&one[..], &tpp, without].concat(), gateway, file);
        assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
    }
    let nobody = ["revoke", "--token", "ffffffffffff"];
    let refused = token(&[&nobody[..], &tpp, &who].concat(), gateway, file);
    assert_eq!(refused.status.code(), Some(3), "{}", text(&refused));
    let done = token(&[&one[..], &tpp, &who].concat(), gateway, file);
    assert!(done.status.success(), "{}", text(&done));
    assert_eq!(code(first), "token_unknown");
    let events = eventually("the event in the log", || {
        let events = gateway.place().events();
        let found: Vec<Value> =
            events.into_iter().filter(|event| event["event.action"] == "token_revoked").collect();
        (!found.is_empty()).then_some(found)
    });
    assert_eq!(events.len(), 1);
    assert_eq!(
        (&events[0]["octroi.by"][0], &events[0]["octroi.subject"]),
        (&"Ada".into(), &tpp[1].into())
    );
    assert!(events[0]["message"].as_str().unwrap().ends_with("the customer called"));

    let all = token(&[&["revoke", "--all"], &tpp[..], &who].concat(), gateway, file);
    assert!(all.status.success(), "{}", text(&all));
    assert_eq!(code(second), "token_unknown");
    eventually("the event in the log", || {
        let ended = |event: &Value| {
            event["event.action"] == "tokens_ended" && event["octroi.by"][0] == "Ada"
        };
        gateway.place().events().iter().any(ended).then_some(())
    });
    let again = token(&[&["revoke", "--all"], &tpp[..], &who].concat(), gateway, file);
    assert_eq!(again.status.code(), Some(1));
    assert_eq!(token(&[&["list"], &tpp[..]].concat(), gateway, file).status.code(), Some(1));
}

#[test]
fn live_tokens_of_the_embedded_store_are_listed_without_secrets_and_revoked_at_once() {
    let gateway = Gateway::sandbox();
    let tokens = ["gilles", "lea"].map(|persona| gateway.token("funds-co", persona, &[]));
    let _ = gateway.token("multi-role", "gilles", &[]);
    listed_and_revoked(&gateway, "octroi.toml", &tokens);
}

#[test]
fn live_tokens_in_redis_are_listed_without_secrets_and_revoked_at_once() {
    let redis = RedisServer::start();
    let gateway = Gateway::configured(|config| {
        let store = toml::Table::from_iter([("redis".to_owned(), redis.url().into())]);
        config.insert("store".to_owned(), store.into());
    });
    let tokens = [
        redis.mint("0123456789abcdefghijklmnopqrstuvwxyzABCDEFG", "gilles"),
        redis.mint("GFEDCBAzyxwvutsrqponmlkjihgfedcba9876543210", "lea"),
    ];
    let digest = hex::encode(certs::sha256(b"somebody else's"));
    let other = serde_json::json!({
        "v": 1, "kind": "access", "organisation_id": "PSDDE-BAFIN-99999902", "client_id": "x",
        "scopes": ["cbpii"], "codetab": "17515", "issued_at": 1, "expires_at": 4_000_000_000_i64,
        "strong_authentication_at": 1,
    });
    let mut connection = redis.connection();
    let set = |key: &str, value: &str| {
        redis::cmd("SET").arg(key).arg(value).exec(&mut redis.connection()).unwrap();
    };
    set(&format!("octroi:token:{digest}"), &other.to_string());
    // What nobody of us wrote does not stop the walk.
    set("octroi:token:nonsense", "nonsense");
    set(&format!("octroi:token:{}", "0".repeat(64)), "nonsense");
    for number in 0..2000 {
        set(&format!("something:else:{number}"), "x");
    }
    listed_and_revoked(&gateway, "changed.toml", &tokens);
    let left: bool =
        redis::cmd("EXISTS").arg(format!("octroi:token:{digest}")).query(&mut connection).unwrap();
    assert!(left, "another TPP's token stays");
}

#[test]
fn nobody_without_the_admin_key_lists_or_revokes() {
    let gateway = Gateway::sandbox();
    for path in ["/tokens?tpp=PSDFR-ACPR-99901", "/tokens/holders"] {
        let answer = gateway.admin(path);
        assert_eq!(answer.status, 401, "{path}");
    }
    let config = gateway.place().file("octroi.toml");
    let place = gateway.leave();
    let output = run(&[
        "token",
        "list",
        "--tpp",
        "PSDFR-ACPR-99901",
        "--config",
        path_text(&place.file("octroi.toml")),
    ]);
    assert_eq!(output.status.code(), Some(3), "{}: nobody runs", config.display());
    assert!(text(&output).contains("start the gateway"), "{}", text(&output));
}
