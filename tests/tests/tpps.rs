//! What an operator sees of TPPs, and decides about them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::process::Output;

use harness::gateway::{Gateway, HOST, path_text};
use harness::oauth::{App, PAR};
use harness::redis_server::RedisServer;
use harness::registers::Scene;
use harness::{eventually, run};
use serde_json::Value;

const OWNER: &str = "PSDFR-ACPR-99901";
const WHO: [&str; 4] = ["--by", "Ada", "--because", "incident 4711"];

struct Bank<'a> {
    gateway: &'a Gateway,
    file: &'a str,
}

impl Bank<'_> {
    fn tpp(&self, verb: &[&str]) -> Output {
        let config = self.gateway.place().file(self.file);
        run(&[&["tpp"], verb, &["--config", path_text(&config)]].concat())
    }

    fn show(&self, tpp: &str) -> Value {
        let output = self.tpp(&["show", tpp, "--output", "json"]);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output)))
    }

    #[track_caller]
    fn event(&self, event: &str) -> Value {
        let found = eventually(event, || {
            let events = self.gateway.place().events();
            let found: Vec<Value> =
                events.into_iter().filter(|line| line["event.action"] == event).collect();
            found.last().cloned()
        });
        assert_eq!(found["octroi.by"][0], "Ada", "{found:#}");
        assert!(found["message"].as_str().unwrap().ends_with("incident 4711"), "{found:#}");
        found
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

#[track_caller]
fn good(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(output));
    text(output)
}

/// The same on both engines; `token` is live and of `funds-co`.
fn whole_life(bank: &Bank<'_>, token: &str) {
    let gateway = bank.gateway;
    let list = bank.tpp(&["list", "--output", "json"]);
    let listed: Value = serde_json::from_slice(&list.stdout).unwrap();
    let named = |tpp: &Value| tpp["organisation_id"] == OWNER;
    let known = listed["tpps"].as_array().unwrap().iter().find(|tpp| named(tpp)).unwrap();
    assert_eq!(known["applications"][0]["client_id"], OWNER);
    assert!(good(&bank.tpp(&["list"])).contains("Funds & Co"));

    let shown = bank.show(OWNER);
    assert!(shown["live_tokens"].as_u64().unwrap() > 0 && shown["suspended"].is_null());
    assert_eq!(shown["register"], "authorised");
    assert_eq!(bank.tpp(&["show", "PSDFR-ACPR-1"]).status.code(), Some(1));

    let mut connection = gateway.tpp("funds-co").connect(HOST).unwrap();
    let mut code = |secret: &str| {
        let answer = connection.exchange(&gateway.request(secret).octets()).unwrap();
        if answer.status == 200 { "200".to_owned() } else { answer.code() }
    };
    assert_eq!(code(token), "200");
    assert_eq!(bank.tpp(&["suspend", OWNER, "--by", "Ada"]).status.code(), Some(2));
    assert_eq!(bank.tpp(&[&["resume", OWNER], &WHO[..]].concat()).status.code(), Some(1));
    assert_eq!(code(token), "200", "who was not suspended loses nothing by being resumed");
    good(&bank.tpp(&[&["suspend", OWNER], &WHO[..]].concat()));
    assert_eq!(code(token), "tpp_suspended");
    assert_eq!(bank.event("tpp_suspended")["octroi.subject"], OWNER);
    let shown = bank.show(OWNER);
    assert_eq!(shown["live_tokens"], 0);
    assert_eq!(shown["suspended"]["because"], "incident 4711");
    assert!(good(&bank.tpp(&["list"])).contains("suspended by Ada"));
    let form = "grant_type=client_credentials&client_id=PSD2_TPPRegister&scope=manageRegistration";
    let octets = format!(
        "POST /stet/psd2/oauth/token HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: \
         application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    let ask = || {
        let mut connection = gateway.tpp("funds-co").connect(HOST).unwrap();
        connection.exchange(octets.as_bytes()).unwrap()
    };
    let refused = ask();
    assert_eq!((refused.status, refused.code().as_str()), (403, "tpp_suspended"));
    let app = App::of(gateway, "funds-co");
    let landed = app.browser().open(&app.authorize_path(&[("state", "s")]));
    assert_eq!(landed.page().status, 400, "no customer logs in for it, and none is sent to it");
    assert_eq!(app.post(PAR, &app.asked(&[])).code(), "tpp_suspended");

    good(&bank.tpp(&[&["resume", OWNER], &WHO[..]].concat()));
    bank.event("tpp_resumed");
    assert_eq!(code(token), "token_unknown", "tokens of before stay ended");
    assert_eq!(ask().status, 200);

    let add = ["add", "--organisation-id", OWNER, "--client-id", "1COFFEE", "--name", "Coffee"];
    let uri = ["--redirect-uri", "https://tpp.example/cb"];
    good(&bank.tpp(&[&add[..], &uri, &WHO].concat()));
    bank.event("client_enrolled");
    assert_eq!(bank.show(OWNER)["applications"].as_array().unwrap().len(), 2);
    let again = bank.tpp(&[&add[..], &uri, &WHO].concat());
    assert_eq!(again.status.code(), Some(3), "{}", text(&again));
    let local = ["--redirect-uri", "ftp://tpp.example/cb"];
    let refused = bank.tpp(&[&add[..], &local, &WHO].concat());
    assert_eq!(refused.status.code(), Some(3), "{}", text(&refused));

    good(&bank.tpp(&[&["remove", "1COFFEE"], &WHO[..]].concat()));
    bank.event("client_removed");
    assert_eq!(bank.tpp(&[&["remove", "1COFFEE"], &WHO[..]].concat()).status.code(), Some(1));
    good(&bank.tpp(&[&["remove", OWNER], &WHO[..]].concat()));
    assert_eq!(bank.show(OWNER)["applications"].as_array().unwrap().len(), 0);
}

#[test]
fn a_tpp_is_shown_suspended_resumed_and_removed_with_the_embedded_store() {
    let gateway = Gateway::sandbox();
    let token = gateway.token("funds-co", "gilles", &[]);
    whole_life(&Bank { gateway: &gateway, file: "octroi.toml" }, &token);
    // Without a gateway the file is free, and may be read but not decided upon.
    let place = gateway.leave();
    let config = place.file("octroi.toml");
    let offline =
        |verb: &[&str]| run(&[&["tpp"], verb, &["--config", path_text(&config)]].concat());
    assert!(good(&offline(&["list"])).contains("PSDDE-BAFIN-99999902"));
    let refused = offline(&[&["suspend", OWNER], &WHO[..]].concat());
    assert_eq!(refused.status.code(), Some(3), "{}", text(&refused));
}

#[test]
fn a_tpp_is_shown_suspended_resumed_and_removed_with_redis() {
    let redis = RedisServer::start();
    let gateway = Gateway::configured(|config| {
        let store = toml::Table::from_iter([("redis".to_owned(), redis.url().into())]);
        config.insert("store".to_owned(), store.into());
    });
    let token = redis.mint("0123456789abcdefghijklmnopqrstuvwxyzABCDEFG", "gilles");
    whole_life(&Bank { gateway: &gateway, file: "changed.toml" }, &token);
}

#[test]
fn a_tpp_whose_authorisation_ends_has_no_token_even_when_it_is_authorised_anew() {
    let scene = Scene::open();
    let mut connection = scene.connect();
    scene.until(&mut connection, None);
    scene.publish(scene.without(&[harness::registers::SIREN]));
    scene.until(&mut connection, Some("register_withdrawn"));
    let ended =
        eventually("the end of its tokens", || scene.events("tokens_ended").into_iter().next());
    assert_eq!(ended["octroi.subject"], OWNER);
    assert!(ended["message"].as_str().unwrap().contains("ended on"), "{ended:#}");
    scene.publish(&scene.eba);
    scene.until(&mut connection, Some("token_unknown"));
}

#[test]
fn nobody_without_the_admin_key_learns_or_decides_anything_about_tpps() {
    let gateway = Gateway::sandbox();
    assert_eq!(gateway.admin("/tpps").status, 401);
}
