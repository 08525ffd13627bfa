//! A line of the log in the words of others: the Open Cybersecurity Schema Framework, and the Elastic Common
//! Schema as nested objects.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// The version of OCSF that events are written in.
pub const OCSF_VERSION: &str = "1.6.0";
/// HTTP Activity, of the category Network Activity.
const CLASS: u64 = 4002;
const CATEGORY: u64 = 4;
/// What has a place of its own in OCSF; all else stands in `unmapped` under the name that it has here.
const MAPPED: &[&str] = &[
    "@timestamp",
    "event.action",
    "event.outcome",
    "event.duration",
    "event.reason",
    "event.sequence",
    "message",
    "http.request.id",
    "http.request.method",
    "http.request.body.bytes",
    "http.response.body.bytes",
    "http.response.status_code",
    "http.version",
    "trace.id",
    "client.ip",
    "client.port",
    "tls.version",
    "organization.id",
    "url.domain",
    "url.path",
    "octroi.outcome",
];

/// The record of a request as an event of HTTP Activity (class 4002) of OCSF 1.6, with the profiles
/// `security_control` and `trace`; nothing for another line. `file` is the file that it stands in.
#[must_use]
pub fn ocsf(line: &[u8], file: &str) -> Option<Value> {
    let line: Map<String, Value> = serde_json::from_slice(line).ok()?;
    let text = |name: &str| line.get(name).and_then(Value::as_str);
    let number = |name: &str| line.get(name).and_then(Value::as_u64);
    if text("event.action") != Some(super::REQUEST) {
        return None;
    }
    let time: Timestamp = text("@timestamp")?.parse().ok()?;
    let activity = activity(text("http.request.method").unwrap_or_default());
    // Status; what was done; what became of it.
    let (status, action, disposition, severity) = match text("octroi.outcome") {
        Some("allowed") => (1, 1, 1, 1),
        Some("refused") => (2, 2, 2, 2),
        _ => (99, 0, 0, 2),
    };
    let (host, port) = host(text("url.domain").unwrap_or_default());
    let mut event = json!({
        "activity_id": activity,
        "category_uid": CATEGORY,
        "class_uid": CLASS,
        "type_uid": CLASS * 100 + activity,
        "severity_id": severity,
        "status_id": status,
        "status": text("octroi.outcome"),
        "status_code": text("event.reason"),
        "status_detail": text("message"),
        "time": time.as_millisecond(),
        "duration": number("event.duration").map(|nanoseconds| nanoseconds / 1_000_000),
        "action_id": action,
        "disposition_id": disposition,
        "metadata": {
            "version": OCSF_VERSION,
            "product": {
                "name": "Octroi",
                "vendor_name": "Octroi",
                "version": env!("CARGO_PKG_VERSION"),
            },
            "profiles": ["security_control", "trace"],
            "uid": text("http.request.id"),
            "event_code": text("event.action"),
            "log_name": file,
            "original_time": text("@timestamp"),
            "sequence": number("event.sequence"),
        },
        "http_request": {
            "uid": text("http.request.id"),
            "http_method": text("http.request.method"),
            "version": text("http.version"),
            "body_length": number("http.request.body.bytes"),
            "url": {
                "scheme": "https",
                "hostname": host,
                "port": port,
                "path": text("url.path"),
            },
        },
        "http_response": response(&line),
        "src_endpoint": {
            "ip": text("client.ip"),
            "port": number("client.port"),
            "owner": text("organization.id").map(|id| json!({ "uid": id, "org": { "uid": id } })),
        },
        "dst_endpoint": { "hostname": host, "port": port },
        "tls": text("tls.version").map(|version| json!({ "version": version })),
        "trace": text("trace.id").map(|id| json!({ "uid": id })),
    });
    let mut unmapped = Map::new();
    for (name, value) in &line {
        if !MAPPED.contains(&name.as_str()) {
            unmapped.insert(name.clone(), value.clone());
        }
    }
    if let Some(event) = event.as_object_mut() {
        event.insert("unmapped".to_owned(), Value::Object(unmapped));
    }
    Some(without_nulls(event))
}

/// A status is required in a response: where none was sent, there was none.
fn response(line: &Map<String, Value>) -> Option<Value> {
    let number = |name: &str| line.get(name).and_then(Value::as_u64);
    let code = number("http.response.status_code").filter(|code| *code != 0)?;
    let waited = line.get("octroi.timing").and_then(|timing| timing.get("upstream_us"));
    let waited = waited.and_then(Value::as_u64).filter(|waited| *waited > 0);
    Some(json!({
        "code": code,
        "body_length": number("http.response.body.bytes"),
        "latency": waited.map(|waited| waited / 1000),
    }))
}

/// `activity_id`: by the method of HTTP.
fn activity(method: &str) -> u64 {
    match method {
        "CONNECT" => 1,
        "DELETE" => 2,
        "GET" => 3,
        "HEAD" => 4,
        "OPTIONS" => 5,
        "POST" => 6,
        "PUT" => 7,
        "TRACE" => 8,
        "PATCH" => 9,
        "" => 0,
        _ => 99,
    }
}

fn host(host: &str) -> (Option<&str>, Option<u16>) {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) => match port.parse() {
            Ok(port) => (name, Some(port)),
            Err(_) => (host, None),
        },
        None => (host, None),
    };
    ((!name.is_empty()).then_some(name), port)
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.into_iter().map(|(name, value)| (name, without_nulls(value)));
            let empty = |value: &Value| {
                value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty)
            };
            Value::Object(kept.filter(|(_, value)| !empty(value)).collect())
        }
        other => other,
    }
}

/// Any line as nested objects, with the hashes of a certificate in capitals, as the Elastic Common Schema
/// wants them.
#[must_use]
pub fn ecs(line: &[u8]) -> Option<Value> {
    let line: Map<String, Value> = serde_json::from_slice(line).ok()?;
    let mut root = Map::new();
    for (name, value) in line {
        let value = match (name.as_str(), value) {
            ("tls.client.hash.sha256" | "tls.client.x509.serial_number", Value::String(text)) => {
                Value::String(text.to_uppercase())
            }
            (_, value) => value,
        };
        insert(&mut root, &name, value);
    }
    Some(Value::Object(root))
}

/// Where a part of a name is a value already, what is left of the name stays as it is.
fn insert(into: &mut Map<String, Value>, name: &str, value: Value) {
    if let Some((first, rest)) = name.split_once('.') {
        let inner = into.entry(first).or_insert_with(|| Value::Object(Map::new()));
        if let Some(inner) = inner.as_object_mut() {
            insert(inner, rest, value);
            return;
        }
    }
    into.insert(name.to_owned(), value);
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: &str = r#"{"@timestamp":"2026-11-22T00:00:01.234567Z","event.action":"request","event.outcome":"failure","event.duration":41000000,"http.request.id":"01a1fcac-2788-7342-b7d5-145123543671","trace.id":"af9defd0a68f4511a854ff44937b49b5","client.ip":"10.0.0.7","client.port":5711,"tls.version":"1.3","tls.client.hash.sha256":"ab01","tls.client.x509.serial_number":"6f","organization.id":"PSDFR-A-1","http.version":"2","http.request.method":"POST","url.domain":"www.17515.example:8443","url.path":"/v1","octroi.codetab":"17515","octroi.outcome":"refused","event.reason":"token_expired","message":"told","http.response.status_code":401,"octroi.checks":[],"http.request.body.bytes":3,"http.response.body.bytes":5,"octroi.timing":{"total_us":41000,"store_us":0,"upstream_us":0},"event.sequence":7}"#;

    #[test]
    fn a_refusal_is_a_denied_http_activity() {
        let event = ocsf(REFUSED.as_bytes(), "f").unwrap();
        for (pointer, expected) in [
            ("/class_uid", json!(4002)),
            ("/category_uid", json!(4)),
            ("/activity_id", json!(6)),
            ("/type_uid", json!(400_206)),
            ("/time", json!(1_795_305_601_234_u64)),
            ("/severity_id", json!(2)),
            ("/status_id", json!(2)),
            ("/status_code", json!("token_expired")),
            ("/action_id", json!(2)),
            ("/disposition_id", json!(2)),
            ("/metadata/version", json!("1.6.0")),
            ("/metadata/sequence", json!(7)),
            ("/http_response/code", json!(401)),
            ("/dst_endpoint/hostname", json!("www.17515.example")),
            ("/http_request/url/port", json!(8443)),
            ("/src_endpoint/owner/org/uid", json!("PSDFR-A-1")),
            ("/tls/version", json!("1.3")),
            ("/duration", json!(41)),
            ("/unmapped/tls.client.hash.sha256", json!("ab01")),
            ("/unmapped/octroi.codetab", json!("17515")),
        ] {
            assert_eq!(event.pointer(pointer), Some(&expected), "{pointer}");
        }
        assert!(!event.to_string().contains("null"), "{event}");
    }

    #[test]
    fn what_is_no_request_is_no_http_activity() {
        assert!(
            ocsf(br#"{"@timestamp":"2026-11-22T00:00:01Z","event.action":"audit_closed"}"#, "f")
                .is_none()
        );
        assert!(ocsf(b"{", "f").is_none());
    }

    #[test]
    fn dotted_names_become_objects() {
        let nested = ecs(REFUSED.as_bytes()).unwrap();
        assert_eq!(nested.pointer("/http/response/status_code"), Some(&json!(401)));
        assert_eq!(nested.pointer("/http/response/body/bytes"), Some(&json!(5)));
        assert_eq!(nested.pointer("/tls/client/hash/sha256"), Some(&json!("AB01")));
        assert_eq!(nested.pointer("/octroi/timing/total_us"), Some(&json!(41_000)));
        let odd = ecs(br#"{"a":1,"a.b":2}"#).unwrap();
        assert_eq!(odd, json!({ "a": 1, "a.b": 2 }));
    }
}
