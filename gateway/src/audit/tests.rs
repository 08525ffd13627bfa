use std::sync::Arc;
use std::time::{Duration, Instant};

use policies::{Reason, Trail};
use uuid::Uuid;

use super::*;
use crate::clock;

const IBAN: &str = "FR7617515000920440878790811";

fn record() -> Record {
    Record {
        time: clock::now(),
        request_id: Uuid::now_v7(),
        tpp_request_id: Some("tpp\"\n1".to_owned()),
        trace_id: Uuid::new_v4(),
        client: Arc::new(Client {
            address: ([127, 0, 0, 1], 4711).into(),
            tls_version: "TLSv1.3",
            certificate_sha256: "07".repeat(32),
            certificate_serial: "0a0b".to_owned(),
            organisation_id: None,
        }),
        protocol: "HTTP/1.1",
        method: "POST".to_owned(),
        path: "/v1/funds-confirmations".to_owned(),
        host: "www.17515.sandbox.api.localhost".to_owned(),
        world: None,
        route: (None, None),
        outcome: Outcome::Refused,
        reason: Some(Reason::TokenMissing),
        detail: None,
        quota: None,
        trail: Trail::new(),
        status: 401,
        bytes_in: 0,
        bytes_out: 12,
        upstream: None,
        timing: Timing::default(),
        probing: None,
        answered_before: None,
        people: People { psu: Some("gilles".to_owned()), iban: Some(IBAN.to_owned()) },
    }
}

fn lines(directory: &std::path::Path) -> Vec<serde_json::Value> {
    let mut lines = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        lines.extend(text.lines().map(|line| serde_json::from_str(line).unwrap()));
    }
    lines
}

#[test]
fn every_record_becomes_one_line_and_closing_writes_them_all() {
    let directory = tempfile::tempdir().unwrap();
    let audit = Audit::open(directory.path(), &[1; 32], 5000).unwrap();
    let mut ids = Vec::new();
    for _ in 0..3000 {
        let record = record();
        ids.push(record.request_id.to_string());
        let slot = audit.reserve().unwrap();
        audit.write(record, slot);
    }
    audit.close();
    let written = lines(directory.path());
    let written: Vec<&str> =
        written.iter().map(|line| line["http.request.id"].as_str().unwrap()).collect();
    assert_eq!(written, ids);
    assert_eq!(audit.outstanding(), 0);
}

#[test]
fn people_stand_in_a_line_only_as_keyed_hmacs() {
    let directory = tempfile::tempdir().unwrap();
    for key in [[1; 32], [2; 32]] {
        let audit = Audit::open(directory.path(), &key, 10).unwrap();
        let slot = audit.reserve().unwrap();
        audit.write(record(), slot);
        audit.close();
    }
    let written = lines(directory.path());
    let hmacs: Vec<&str> =
        written.iter().map(|line| line["octroi.iban_hmac"].as_str().unwrap()).collect();
    assert_eq!(hmacs.len(), 2);
    assert_ne!(hmacs[0], hmacs[1], "another key must give another pseudonym");
    assert!(hmacs.iter().all(|hmac| hmac.len() == 64));
    let text = serde_json::to_string(&written).unwrap();
    assert!(!text.contains(IBAN) && !text.contains("gilles"));
    assert!(!format!("{:?}", record().people).contains(IBAN));
}

#[test]
fn no_more_slots_than_configured_are_given_and_each_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let audit = Audit::open(directory.path(), &[1; 32], 2).unwrap();
    let first = audit.reserve().unwrap();
    let second = audit.reserve();
    assert!(second.is_some());
    assert!(audit.reserve().is_none(), "a third request would go unrecorded");
    drop(first);
    assert!(audit.reserve().is_some());
}

#[test]
fn a_full_disk_refuses_new_slots_instead_of_losing_records() {
    let directory = tempfile::tempdir().unwrap();
    let today = clock::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let file = directory.path().join(format!("access-{today}.jsonl"));
    std::os::unix::fs::symlink("/dev/full", file).unwrap();
    let audit = Audit::open(directory.path(), &[1; 32], 10).unwrap();
    let slot = audit.reserve().unwrap();
    audit.write(record(), slot);
    let deadline = Instant::now() + Duration::from_secs(10);
    while !audit.is_failing() {
        assert!(Instant::now() < deadline, "the failed write was never noticed");
        std::thread::yield_now();
    }
    assert!(audit.reserve().is_none());
    assert_eq!(audit.outstanding(), 1, "the record is kept until it can be written");
}
