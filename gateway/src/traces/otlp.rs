//! From what is known of a request to OTLP, with the names of the semantic conventions (1.38).

use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;

use super::{Traced, Wait, Waited, first_span, upstream_span};
use crate::audit::Outcome;

/// W3C Trace Context: kept.
const SAMPLED: u32 = 1;

/// The body of one export.
pub(super) fn request(service: &str, engine: &'static str, batch: &[Traced]) -> Vec<u8> {
    let spans = batch.iter().flat_map(|traced| spans(traced, engine)).collect();
    let resource = Resource {
        attributes: vec![
            text("service.name", service),
            text("service.version", env!("CARGO_PKG_VERSION")),
        ],
        ..Resource::default()
    };
    let scope = InstrumentationScope {
        name: "octroi".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let scope_spans = ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![scope_spans],
            ..ResourceSpans::default()
        }],
    }
    .encode_to_vec()
}

fn spans(traced: &Traced, engine: &'static str) -> Vec<Span> {
    let first = first_span(traced.request_id);
    let mut all = vec![of_request(traced, first)];
    for (number, wait) in (2_u64..).zip(&traced.waits) {
        let id = match wait.waited {
            Waited::Upstream => upstream_span(traced.request_id),
            Waited::Store | Waited::Audit => first ^ number,
        };
        all.push(of_wait(traced, wait, (first, id), engine));
    }
    all
}

fn of_request(traced: &Traced, id: u64) -> Span {
    let mut attributes = vec![
        text("http.request.method", traced.method),
        text("url.scheme", "https"),
        text("network.protocol.name", "http"),
        text("network.protocol.version", traced.protocol.trim_start_matches("HTTP/")),
        text("client.address", &traced.client.ip().to_string()),
        text("octroi.request_id", &traced.request_id.to_string()),
        text("octroi.outcome", traced.outcome.label()),
    ];
    let routes = traced.world.as_ref().map(|world| &world.routes);
    let (codetab, version) = traced.route;
    if let Some(codetab) = codetab.and_then(|index| routes?.codetabs().nth(index)) {
        attributes.push(text("octroi.codetab", &codetab.code));
    }
    let version = version.and_then(|index| routes?.versions().nth(index));
    let mut name = traced.method.to_owned();
    if let Some((api, version)) = version {
        // What a caller wrote as its path may hold anything; the API and version are ours.
        let route = format!("{} {}", api.name, version.name);
        name = format!("{name} {route}");
        attributes.push(text("http.route", &route));
        attributes.push(text("octroi.api", &api.name));
        attributes.push(text("octroi.version", &version.name));
    }
    if let Some(id) = &traced.organisation_id {
        attributes.push(text("octroi.organization_id", id.as_str()));
    }
    if traced.status != 0 {
        attributes.push(number("http.response.status_code", traced.status));
    }
    let failed = traced.status >= 500 || traced.outcome == Outcome::Aborted;
    if let Some(reason) = traced.reason {
        attributes.push(text("octroi.reason", reason.code()));
        if failed {
            attributes.push(text("error.type", reason.code()));
        }
    }
    let links = traced.incoming.iter().map(|incoming| Link {
        trace_id: incoming.trace_id.to_vec(),
        span_id: incoming.span_id.to_vec(),
        ..Link::default()
    });
    Span {
        trace_id: traced.trace_id.as_bytes().to_vec(),
        span_id: id.to_be_bytes().to_vec(),
        flags: SAMPLED,
        name,
        kind: SpanKind::Server.into(),
        start_time_unix_nano: instant(traced, traced.started),
        end_time_unix_nano: instant(traced, traced.started + traced.took),
        attributes,
        links: links.collect(),
        status: Some(status(failed)),
        ..Span::default()
    }
}

fn of_wait(traced: &Traced, wait: &Wait, (parent, id): (u64, u64), engine: &'static str) -> Span {
    let (name, kind, mut attributes) = match wait.waited {
        Waited::Store => ("store", SpanKind::Client, vec![text("db.system.name", engine)]),
        Waited::Audit => ("audit", SpanKind::Internal, Vec::new()),
        Waited::Upstream => {
            ("upstream", SpanKind::Client, vec![text("http.request.method", traced.method)])
        }
    };
    let mut failed = false;
    if wait.waited == Waited::Upstream {
        if let Some(address) = traced.upstream {
            attributes.push(text("server.address", &address.ip().to_string()));
            attributes.push(number("server.port", address.port()));
        }
        let reason = traced.reason.filter(|reason| reason.code().starts_with("upstream_"));
        if let Some(reason) = reason {
            failed = true;
            attributes.push(text("error.type", reason.code()));
        }
    }
    Span {
        trace_id: traced.trace_id.as_bytes().to_vec(),
        span_id: id.to_be_bytes().to_vec(),
        parent_span_id: parent.to_be_bytes().to_vec(),
        flags: SAMPLED,
        name: name.to_owned(),
        kind: kind.into(),
        start_time_unix_nano: instant(traced, wait.since),
        end_time_unix_nano: instant(traced, wait.since + wait.took),
        attributes,
        status: Some(status(failed)),
        ..Span::default()
    }
}

fn status(failed: bool) -> Status {
    let code = if failed { StatusCode::Error } else { StatusCode::Unset };
    Status { code: code.into(), message: String::new() }
}

/// An instant of the monotonic clock, as the wall clock was when the request began.
fn instant(traced: &Traced, instant: Instant) -> u64 {
    let since: Duration = instant.saturating_duration_since(traced.started);
    let began = u64::try_from(traced.at.as_nanosecond()).unwrap_or_default();
    began.saturating_add(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn number(key: &str, value: u16) -> KeyValue {
    attribute(key, Value::IntValue(value.into()))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}
