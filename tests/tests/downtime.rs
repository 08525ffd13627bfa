//! Whether a bank's interface is down now, as the gateway learns it from what becomes of requests, and the
//! evidence of it in the log.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use harness::eventually;
use harness::gateway::{Gateway, upstream};
use harness::upstream::{Manner, Upstream};
use serde_json::Value;

const DOWN: &str = "octroi_dedicated_interface_down{codetab=\"17515\"} 1";
const UP: &str = "octroi_dedicated_interface_down{codetab=\"17515\"} 0";

fn event(gateway: &Gateway, name: &str) -> Value {
    eventually(name, || {
        gateway.place().events().into_iter().find(|event| event["event.action"] == name)
    })
}

#[test]
fn five_requests_that_hang_turn_the_interface_down_until_one_is_answered() {
    let hangs = Manner { delay: Duration::from_secs(3600), ..Manner::default() };
    let mut bank = Upstream::start(hangs);
    let sandbox = Gateway::sandbox();
    let token = sandbox.token("funds-co", "gilles", &[]);
    let gateway = Gateway::run_in(sandbox.leave(), |config| {
        let mut settings = bank.settings();
        settings.insert("response_timeout".to_owned(), "200ms".into());
        upstream(config, "17515", settings);
    });
    let tpp = gateway.tpp("funds-co");
    assert!(gateway.metrics().contains(UP));
    let mut late = Vec::new();
    for number in 1..=5 {
        let answer = tpp.send(&gateway.request(&token));
        assert_eq!((answer.status, answer.code().as_str()), (504, "upstream_timeout"));
        late.push(answer.header("octroi-request-id").unwrap().to_owned());
        assert_eq!(gateway.metrics().contains(DOWN), number == 5, "after {number}");
    }
    let down = event(&gateway, "dedicated_interface_down");
    assert_eq!(down["octroi.subject"], "17515");
    let detail = down["message"].as_str().unwrap();
    assert!(late.iter().all(|id| detail.contains(id.as_str())), "{detail}");
    let first = gateway
        .place()
        .audit()
        .into_iter()
        .find(|record| record["http.request.id"].as_str() == late.first().map(String::as_str));
    let received = first.unwrap()["@timestamp"].as_str().unwrap()[..23].to_owned();
    assert!(detail.contains(&received), "since the receipt of the first: {detail}");

    bank.reopen(Manner::default());
    let answered = eventually("an answer", || {
        let answer = tpp.send(&gateway.request(&token));
        // A quick error is a reply, and does not make the interface serve.
        assert_eq!(gateway.metrics().contains(UP), answer.status == 200);
        (answer.status == 200).then_some(answer)
    });
    let up = event(&gateway, "dedicated_interface_up");
    let detail = up["message"].as_str().unwrap();
    assert!(detail.contains(answered.header("octroi-request-id").unwrap()), "{detail}");
    assert!(detail.contains(&received) && detail.contains(&late[4]), "{detail}");
}

#[test]
fn refusals_and_callers_mistakes_say_nothing_about_the_interface() {
    let gateway = Gateway::sandbox();
    let tpp = gateway.tpp("funds-co");
    for _ in 0..6 {
        assert_eq!(tpp.send(&gateway.request("a-token-of-no-importance")).status, 401);
    }
    assert!(gateway.metrics().contains(UP));
    assert_eq!(
        gateway
            .place()
            .events()
            .iter()
            .filter(|e| { e["event.action"] == "dedicated_interface_down" })
            .count(),
        0
    );
}
