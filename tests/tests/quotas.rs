//! Limits as a TPP meets them: several on one API, by account, by attendance, at once, and over two
//! gateways.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use harness::client::{Answer, Request};
use harness::eventually;
use harness::gateway::{GILLES_IBAN, Gateway, HOST, LEA_IBAN, PATH, body, upstream};
use harness::redis_server::RedisServer;
use harness::upstream::{Manner, Upstream};

/// A gateway whose API is counted by these limits, and a token for it.
fn limited(limits: &str) -> (Gateway, String) {
    let sandbox = Gateway::sandbox();
    let token = sandbox.fresh_token("funds-co", "gilles", &[]);
    (Gateway::run_in(sandbox.leave(), |config| set(config, limits)), token)
}

fn set(config: &mut toml::Table, limits: &str) {
    let quotas: toml::Table = limits.parse().unwrap();
    let names: Vec<toml::Value> = quotas.keys().map(|name| name.clone().into()).collect();
    config["quota"].as_table_mut().unwrap().extend(quotas);
    for api in config["api"].as_array_mut().unwrap() {
        api.as_table_mut().unwrap().insert("quota".to_owned(), names.clone().into());
    }
}

fn asking(gateway: &Gateway, token: &str, iban: &str) -> Request {
    Request { body: body(iban, "10.00"), ..gateway.request(token) }
}

fn ask(gateway: &Gateway, request: &Request) -> Answer {
    gateway.tpp("funds-co").send(request)
}

#[test]
fn the_limit_that_refused_is_named_to_the_tpp_and_in_the_record_and_the_metric() {
    let (gateway, token) = limited(
        "wide = { requests = 100, period = \"1m\" }\n\
         narrow = { requests = 2, period = \"1h\", per = [\"tpp\", \"codetab\"] }",
    );
    let request = asking(&gateway, &token, GILLES_IBAN);
    for left in ["1", "0"] {
        let answer = ask(&gateway, &request);
        assert_eq!(answer.status, 200);
        let state = answer.header("ratelimit").unwrap();
        assert!(state.contains(&format!("\"narrow\";r={left};t=")), "{state}");
        assert!(state.contains("\"wide\";r=9"), "{state}");
        let policy = answer.header("ratelimit-policy").unwrap();
        assert_eq!(policy, "\"narrow\";q=2;w=3600, \"wide\";q=100;w=60");
    }
    let answer = ask(&gateway, &request);
    assert_eq!((answer.status, answer.code().as_str()), (429, "quota_exceeded"));
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1_700..=1_800).contains(&wait), "{wait}");
    assert_eq!(answer.header("ratelimit"), Some(&*format!("\"narrow\";r=0;t={wait}")));
    let told = answer.json();
    assert_eq!(told["violated-policies"], serde_json::json!(["narrow"]));
    assert_eq!(told["quota"]["name"], "narrow");
    assert_eq!(told["quota"]["limit"], 2);
    assert_eq!(told["quota"]["left"], 0);
    assert!(told["quota"]["until"].is_string());
    assert_eq!(gateway.record_of(&answer)["octroi.quota"], "narrow");
    assert!(gateway.metrics().contains("octroi_quota_refused_total{quota=\"narrow\"} 1"));
}

/// RTS (EU) 2018/389 art. 36(5): four times in 24 hours without the customer, for each account.
#[test]
fn unattended_calls_about_one_account_are_counted_and_attended_ones_are_not() {
    let (gateway, token) = limited(
        "all = { requests = 1000, period = \"1m\" }\n\
         [unattended]\nrequests = 4\nperiod = \"24h\"\nexact = true\n\
         per = [\"tpp\", \"account\"]\ncounts = \"unattended\"",
    );
    let (alone, other) =
        (asking(&gateway, &token, GILLES_IBAN), asking(&gateway, &token, LEA_IBAN));
    for _ in 0..4 {
        assert_eq!(ask(&gateway, &alone).status, 200);
    }
    let refused = ask(&gateway, &alone);
    assert_eq!((refused.status, refused.code().as_str()), (429, "quota_exceeded"));
    let told = refused.json();
    let detail = told["detail"].as_str().unwrap();
    assert!(detail.contains("0 of 4 unattended calls in 24 h left until"), "{detail}");
    assert_eq!(told["quota"]["counts"], "unattended");
    assert!(!detail.contains(GILLES_IBAN));

    let with_customer = alone.clone().with("PSU-IP-Address", "192.0.2.7");
    assert_eq!(ask(&gateway, &with_customer).status, 200);
    let pretended = alone.clone().with("PSU-IP-Address", "yes");
    assert_eq!(ask(&gateway, &pretended).status, 429, "what is no address is nobody's");
    let told = ask(&gateway, &other).code();
    assert_eq!(told, "account_unknown", "of another account the bank is asked");
}

#[test]
fn one_bank_takes_so_many_at_once_and_the_others_go_on() {
    let sandbox = Gateway::sandbox();
    let token = sandbox.fresh_token("funds-co", "gilles", &[]);
    let manner = Manner { delay: Duration::from_secs(3), ..Manner::default() };
    let bank = Upstream::start(manner);
    let settings = bank.settings();
    let gateway = Gateway::run_in(sandbox.leave(), |config| {
        set(config, "rate = { requests = 1000, period = \"1m\" }\ncore = { concurrent = 2 }");
        upstream(config, "17515", settings);
    });
    let request = gateway.request(&token);
    let mut held: Vec<_> = (0..2).map(|_| gateway.tpp("funds-co").connect(HOST).unwrap()).collect();
    for connection in &mut held {
        connection.write(&request.octets()).unwrap();
    }
    eventually("the bank has both", || (bank.heard().len() == 2).then_some(()));
    let refused = ask(&gateway, &request);
    assert_eq!((refused.status, refused.code().as_str()), (503, "upstream_busy"));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(gateway.record_of(&refused)["octroi.quota"], "core");
    for connection in &mut held {
        assert_eq!(connection.read().unwrap().status, 200);
    }
    let mut connection = gateway.tpp("funds-co").connect(HOST).unwrap();
    connection.write(&request.octets()).unwrap();
    eventually("the place is free again", || (bank.heard().len() == 3).then_some(()));
}

#[test]
fn two_gateways_count_one_account_together() {
    let redis = RedisServer::start();
    let place = Gateway::sandbox().leave();
    let copy = place.copy();
    let run = |place| {
        Gateway::run_in(place, |config| {
            config.insert("store".to_owned(), redis.settings().into());
            set(
                config,
                "rate = { requests = 1000, period = \"1m\", lease = \"150ms\" }\n\
                 account = { requests = 3, period = \"1h\", per = [\"account\"], exact = true }",
            );
        })
    };
    let gateways = [run(place), run(copy)];
    let token = redis.mint("0123456789abcdefghijklmnopqrstuvwxyzABCDEFG", "gilles");
    let statuses: Vec<u16> = (0..4)
        .map(|number| {
            let gateway = &gateways[number % 2];
            ask(gateway, &asking(gateway, &token, GILLES_IBAN)).status
        })
        .collect();
    assert_eq!(statuses, [200, 200, 200, 503], "all TPPs share it, so nobody is to blame");
    let listed: Vec<String> =
        redis::cmd("KEYS").arg("octroi:quota:*").query(&mut redis.connection()).unwrap();
    assert!(listed.iter().all(|key| !key.contains("FR76") && !key.contains("99901")), "{listed:?}");
}

#[test]
fn the_path_of_a_refused_call_is_still_told_apart() {
    let (gateway, token) = limited("one = { requests = 1, period = \"1h\" }");
    let mut request = asking(&gateway, &token, GILLES_IBAN);
    assert_eq!(ask(&gateway, &request).status, 200);
    request.path = PATH.replace("v1.6.2", "v1.4.2");
    let answer = ask(&gateway, &request);
    assert_eq!(answer.status, 429, "versions of one API are counted together");
}
