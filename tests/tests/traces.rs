//! OpenTelemetry traces, as a collector receives them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::time::Duration;

use harness::collector::{Collector, attribute};
use harness::eventually;
use harness::gateway::{GILLES_IBAN, Gateway, free, upstream};
use harness::redis_server::RedisServer;
use harness::upstream::{Manner, Upstream};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

struct Scene {
    gateway: Gateway,
    redis: RedisServer,
    adapter: Upstream,
}

fn traced(endpoint: String, ratio: f64, trust_incoming: bool) -> Scene {
    let redis = RedisServer::start();
    let adapter = Upstream::start(Manner { delay: Duration::from_millis(20), ..Manner::default() });
    let gateway = Gateway::configured(|config| {
        config.insert("store".to_owned(), redis.settings().into());
        upstream(config, "17515", adapter.settings());
        let tracing = toml::Table::from_iter([
            ("endpoint".to_owned(), endpoint.into()),
            ("sample_ratio".to_owned(), ratio.into()),
            ("trust_incoming".to_owned(), trust_incoming.into()),
        ]);
        config.insert("tracing".to_owned(), tracing.into());
    });
    Scene { gateway, redis, adapter }
}

fn of_trace(collector: &Collector, trace: &str) -> Vec<Span> {
    let spans = collector.spans().into_iter();
    spans.filter(|span| hex::encode(&span.trace_id) == trace).collect()
}

#[test]
fn a_request_is_one_span_with_a_child_for_each_wait_and_its_trace_goes_on_to_the_adapter() {
    let collector = Collector::start();
    let scene = traced(collector.endpoint(), 1.0, false);
    let token = scene.redis.mint("the-token-of-a-trace", "gilles");
    let request = scene.gateway.request(&token).with("traceparent", TRACEPARENT);
    let answer = scene.gateway.tpp("funds-co").send(&request);
    assert_eq!(answer.status, 200);
    let record = scene.gateway.record_of(&answer);
    let trace = record["trace.id"].as_str().unwrap();
    let spans = eventually("the spans", || {
        let spans = of_trace(&collector, trace);
        (!spans.is_empty()).then_some(spans)
    });
    let (first, waits): (Vec<&Span>, Vec<&Span>) =
        spans.iter().partition(|span| span.parent_span_id.is_empty());
    let [first] = first[..] else { panic!("{spans:#?}") };
    assert_eq!(
        (first.kind(), first.name.as_str()),
        (SpanKind::Server, "POST funds-confirmation v1.6.2")
    );
    assert!(first.links.is_empty(), "what a stranger claims to be part of is not listened to");
    for (key, value) in [
        ("http.request.method", "POST"),
        ("http.response.status_code", "200"),
        ("octroi.codetab", "17515"),
        ("octroi.outcome", "allowed"),
        ("octroi.organization_id", "PSDFR-ACPR-99901"),
        ("octroi.request_id", record["http.request.id"].as_str().unwrap()),
    ] {
        assert_eq!(attribute(&first.attributes, key).as_deref(), Some(value), "{key}");
    }
    let names: BTreeSet<&str> = waits.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, BTreeSet::from(["audit", "store", "upstream"]));
    let ids: BTreeSet<&[u8]> = spans.iter().map(|span| &span.span_id[..]).collect();
    assert_eq!(ids.len(), spans.len(), "each span has an id of its own");
    for span in &waits {
        assert_eq!(span.parent_span_id, first.span_id);
        let within = first.start_time_unix_nano <= span.start_time_unix_nano
            && span.end_time_unix_nano <= first.end_time_unix_nano;
        assert!(within, "{span:#?} lies within {first:#?}");
    }
    let asked = waits.iter().find(|span| span.name == "upstream").unwrap();
    assert!(asked.end_time_unix_nano - asked.start_time_unix_nano >= 20_000_000);
    let address = scene.adapter.address.port().to_string();
    assert_eq!(attribute(&asked.attributes, "server.port"), Some(address));
    // The adapter's own spans become children of the span in which it was asked.
    let heard = scene.adapter.heard();
    let expected = format!("00-{trace}-{}-01", hex::encode(&asked.span_id));
    assert!(heard.iter().any(|heard| heard.values("traceparent") == [expected.as_str()]));
    for secret in [token.as_str(), GILLES_IBAN, "gilles"] {
        assert!(!collector.text().contains(secret), "{secret} was sent to the collector");
    }
}

#[test]
fn a_refusal_is_traced_with_its_reason_and_what_a_tpp_says_is_a_link_at_most() {
    let collector = Collector::start();
    let scene = traced(collector.endpoint(), 1.0, true);
    let mut request = scene.gateway.request("nobody-gave-this-token");
    request.path = format!("/accounts/{GILLES_IBAN}");
    let nowhere = scene.gateway.tpp("funds-co").send(&request);
    let unknown = scene.gateway.request("nobody-gave-this-token").with("traceparent", TRACEPARENT);
    let unknown = scene.gateway.tpp("funds-co").send(&unknown);
    for (answer, reason, links) in [(nowhere, "path_unknown", 0), (unknown, "token_unknown", 1)] {
        let record = scene.gateway.record_of(&answer);
        let trace = record["trace.id"].as_str().unwrap().to_owned();
        assert_ne!(trace, "0af7651916cd43dd8448eb211c80319c", "the trace is ours");
        let spans = eventually("the spans", || {
            let spans = of_trace(&collector, &trace);
            (!spans.is_empty()).then_some(spans)
        });
        let first = spans.iter().find(|span| span.parent_span_id.is_empty()).unwrap();
        assert_eq!(attribute(&first.attributes, "octroi.reason").as_deref(), Some(reason));
        assert_eq!(first.links.len(), links, "{reason}");
    }
    assert!(!collector.text().contains(GILLES_IBAN), "a path may hold anything");
}

#[test]
fn nobody_waits_for_a_collector_that_is_away_and_its_spans_are_counted() {
    let scene = traced(format!("http://{}/v1/traces", free()), 1.0, false);
    let token = scene.redis.mint("the-token-of-many-traces", "gilles");
    let mut connection = scene.gateway.tpp("funds-co").connect(harness::gateway::HOST).unwrap();
    for _ in 0..50 {
        let answer = connection.exchange(&scene.gateway.request(&token).octets()).unwrap();
        assert_eq!(answer.status, 200);
    }
    eventually("the spans that were not taken", || {
        let metrics = scene.gateway.metrics();
        let line = metrics.lines().find(|line| {
            line.contains("{outcome=\"failed\"}") && line.starts_with("octroi_spans_total")
        })?;
        (line.rsplit(' ').next()?.parse::<f64>().ok()? >= 50.0).then_some(())
    });
}

#[test]
fn what_is_not_sampled_is_not_sent_and_the_adapter_is_told_so() {
    let collector = Collector::start();
    let scene = traced(collector.endpoint(), 0.0, false);
    let token = scene.redis.mint("the-token-of-many-traces", "gilles");
    let request = scene.gateway.request(&token).with("traceparent", TRACEPARENT);
    assert_eq!(scene.gateway.tpp("funds-co").send(&request).status, 200);
    let heard = scene.adapter.heard();
    let told =
        heard.iter().flat_map(|heard| heard.values("traceparent")).next().unwrap().to_owned();
    assert!(told.ends_with("-00"), "{told}");
    drop(scene.gateway.leave());
    assert!(collector.spans().is_empty());
}
