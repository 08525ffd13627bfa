//! Writes files of an access log as the documentation describes them, at any time of the past.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use openssl::sha::Sha256;
use serde_json::{Value, json};
use uuid::Uuid;

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// 200.
    Answered,
    /// 503 at once.
    Unavailable,
    /// 504.
    TimedOut,
    /// Its caller waited in vain.
    GivenUp,
    /// The gateway crashed: there is a permit and no record.
    CutOff,
    /// 401: the caller's fault.
    Refused,
}

/// A call.
#[derive(Clone, Debug)]
pub struct Call {
    pub id: Uuid,
    pub at: Timestamp,
    pub took_ms: i64,
    pub codetab: &'static str,
    pub api: &'static str,
    pub version: &'static str,
    pub role: &'static str,
    pub domain: &'static str,
    pub end: End,
}

impl Call {
    /// The lines that a gateway writes of it, each with the time of writing.
    fn lines(&self) -> Vec<(Timestamp, Value)> {
        let permitted = json!({
            "@timestamp": self.at, "event.action": "request_permitted",
            "http.request.id": self.id, "trace.id": self.id.simple().to_string(),
            "organization.id": "PSDFR-ACPR-12345", "octroi.codetab": self.codetab,
            "octroi.api": self.api, "octroi.version": self.version,
        });
        let (outcome, reason, status, upstream) = match self.end {
            End::Answered => ("allowed", None, 200, true),
            End::Unavailable => ("refused", Some("upstream_unavailable"), 503, false),
            End::TimedOut => ("refused", Some("upstream_timeout"), 504, true),
            End::GivenUp => ("aborted", None, 0, true),
            End::Refused => ("refused", Some("token_unknown"), 401, false),
            End::CutOff => return vec![(self.at, permitted)],
        };
        let mut record = json!({
            "@timestamp": self.at, "event.action": "request", "event.outcome": "success",
            "event.duration": self.took_ms * 1_000_000, "http.request.id": self.id,
            "client.ip": "192.0.2.7", "http.request.method": "POST",
            "url.domain": format!("www.{}.{}", self.codetab, self.domain),
            "url.path": "/stet/psd2/v1.6.2/funds-confirmations", "octroi.codetab": self.codetab,
            "octroi.api": self.api, "octroi.version": self.version, "octroi.outcome": outcome,
            "http.response.status_code": status,
            "octroi.timing": {"total_us": self.took_ms * 1000, "store_us": 0, "upstream_us": 0},
        });
        // A refusal may come before the role is known.
        if !matches!(self.end, End::Refused | End::Unavailable) {
            record["octroi.role"] = self.role.into();
        }
        if let Some(reason) = reason {
            record["event.reason"] = reason.into();
        }
        if upstream {
            record["server.address"] = "10.1.2.3:8080".into();
        }
        let ended = self.at + SignedDuration::from_millis(self.took_ms);
        match self.end {
            End::Refused => vec![(ended, record)],
            _ => vec![(self.at, permitted), (ended, record)],
        }
    }
}

/// The log of one gateway.
pub struct AccessLog {
    directory: PathBuf,
    gateway: String,
    lines: Vec<(Timestamp, Value)>,
}

impl AccessLog {
    pub fn new(directory: &Path, gateway: &str) -> Self {
        let directory = directory.to_owned();
        Self { directory, gateway: gateway.to_owned(), lines: Vec::new() }
    }

    pub fn call(&mut self, call: &Call) {
        self.lines.extend(call.lines());
    }

    pub fn event(&mut self, at: Timestamp, event: Value) {
        self.lines.push((at, event));
    }

    /// Writes one file for each UTC day; every third is compressed.
    pub fn write(mut self) {
        fs::create_dir_all(&self.directory).unwrap();
        self.lines.sort_by_key(|(at, _)| *at);
        let mut days: BTreeMap<_, Vec<Value>> = BTreeMap::new();
        for (at, line) in self.lines {
            days.entry(at.to_zoned(TimeZone::UTC).date()).or_default().push(line);
        }
        for (number, (day, lines)) in (1..).zip(days) {
            let name = format!("access-{day}.{number:06}.jsonl");
            let opened = json!({
                "@timestamp": lines[0]["@timestamp"], "event.action": "audit_opened",
                "ecs.version": "9.0.0", "octroi.format": 1, "octroi.file": name,
                "octroi.gateway": self.gateway, "octroi.previous": null,
            });
            // A file is opened before its first line, and after all that was received before midnight.
            let midnight = day.to_zoned(TimeZone::UTC).unwrap().timestamp();
            let mut opened = opened;
            opened["@timestamp"] = midnight.to_string().into();
            let mut text = Vec::new();
            let mut hash = [0; 32];
            for (sequence, line) in [opened].into_iter().chain(lines).enumerate() {
                seal(&line, sequence, &mut hash, &mut text);
            }
            let path = self.directory.join(name);
            if number % 3 == 0 {
                let packed = zstd::encode_all(text.as_slice(), 1).unwrap();
                fs::write(path.with_extension("jsonl.zst"), packed).unwrap();
            } else {
                fs::write(path, text).unwrap();
            }
        }
    }
}

/// A line of the chain, from the object that it is made of.
pub fn seal(line: &Value, sequence: usize, hash: &mut [u8; 32], text: &mut Vec<u8>) {
    let object = line.to_string();
    let object = object.strip_suffix('}').unwrap();
    let content = format!("{object},\"event.sequence\":{sequence}");
    let mut sha256 = Sha256::new();
    sha256.update(&*hash);
    sha256.update(content.as_bytes());
    *hash = sha256.finish();
    text.extend(format!("{content},\"octroi.hash\":\"{}\"}}\n", hex::encode(*hash)).bytes());
}
