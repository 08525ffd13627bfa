use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use policies::{Reason, Trail};
use prometheus::Registry;
use uuid::Uuid;

use super::chain::{Chain, Checkpoint, VerifyingKeys};
use super::shelf::{Line, LogFile};
use super::verify::{Set, Trust};
use super::*;
use crate::clock;
use crate::config::{AuditSettings, Durability, Secret, WhenUnwritable};

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
            server_name: None,
            organisation_id: None,
        }),
        protocol: "HTTP/1.1",
        method: "POST".to_owned(),
        path: "/v1/funds-confirmations".to_owned(),
        host: "www.17515.sandbox.api.localhost".to_owned(),
        world: None,
        route: (None, None),
        lane: policies::Lane::Dedicated,
        role: None,
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

fn settings(directory: &Path) -> AuditSettings {
    AuditSettings {
        directory: directory.to_owned(),
        key: Secret::new([1; 32]),
        signing_key: None,
        queue_records_max: 5000,
        durability: Durability::Process,
        when_unwritable: WhenUnwritable::Refuse,
        checkpoint_records: 1000,
        checkpoint_every: Duration::from_secs(60),
        file_bytes_max: 1 << 30,
        compress: false,
        keep_for: None,
    }
}

fn open(settings: &AuditSettings) -> Audit {
    Audit::open(settings, AuditMetrics::new(&Registry::new()).unwrap()).unwrap()
}

fn write(audit: &Audit) -> String {
    let record = record();
    let id = record.request_id.to_string();
    let slot = audit.reserve().unwrap();
    audit.write(record, slot, None);
    id
}

/// Every line of every file, each chain checked on the way.
fn files(directory: &Path) -> Vec<Vec<serde_json::Value>> {
    let files = shelf::files(directory).unwrap();
    let lines = files.iter().map(|file| {
        let (mut reader, mut line) = (file.open().unwrap(), Vec::new());
        let (mut chain, mut lines) = (Chain::default(), Vec::new());
        while shelf::read_line(&mut *reader, &mut line).unwrap() == Line::Whole {
            chain.check(&line).unwrap();
            lines.push(serde_json::from_slice(&line).unwrap());
        }
        lines
    });
    lines.collect()
}

fn actions(lines: &[serde_json::Value]) -> Vec<&str> {
    lines.iter().map(|line| line["event.action"].as_str().unwrap()).collect()
}

fn ids(lines: &[serde_json::Value]) -> Vec<&str> {
    let requests = lines.iter().filter(|line| line["event.action"] == REQUEST);
    requests.map(|line| line["http.request.id"].as_str().unwrap()).collect()
}

#[test]
fn every_record_becomes_one_line_and_closing_writes_them_all() {
    let directory = tempfile::tempdir().unwrap();
    let audit = open(&settings(directory.path()));
    let written: Vec<String> = (0..3000).map(|_| write(&audit)).collect();
    audit.close();
    let files = files(directory.path());
    assert_eq!(files.len(), 1);
    assert_eq!(ids(&files[0]), written);
    assert_eq!(audit.outstanding(), 0);
    let actions = actions(&files[0]);
    assert_eq!(actions[0], "audit_opened");
    assert_eq!(actions[actions.len() - 2..], ["audit_closed", "audit_checkpoint"]);
}

#[test]
fn people_stand_in_a_line_only_as_keyed_hmacs() {
    let directory = tempfile::tempdir().unwrap();
    for key in [[1; 32], [2; 32]] {
        let audit = open(&AuditSettings { key: Secret::new(key), ..settings(directory.path()) });
        write(&audit);
        audit.close();
    }
    let files = files(directory.path());
    let records: Vec<_> = files.iter().flatten().filter(|l| l["event.action"] == REQUEST).collect();
    assert_eq!(records.len(), 2);
    for member in ["octroi.iban_hmac", "octroi.hmac_key"] {
        assert_ne!(records[0][member], records[1][member], "another key, another {member}");
    }
    assert_eq!(records[0]["octroi.iban_hmac"].as_str().unwrap().len(), 64);
    assert_eq!(records[0]["octroi.hmac_key"], files[0][0]["octroi.hmac_key"]);
    let text = serde_json::to_string(&files).unwrap();
    assert!(!text.contains(IBAN) && !text.contains("gilles"));
    assert!(!format!("{:?}", record().people).contains(IBAN));
}

#[test]
fn no_more_slots_than_configured_are_given_and_each_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let audit = open(&AuditSettings { queue_records_max: 2, ..settings(directory.path()) });
    let first = audit.reserve().unwrap();
    let second = audit.reserve();
    assert!(second.is_some());
    assert!(audit.reserve().is_none(), "a third request would go unrecorded");
    drop(first);
    assert!(audit.reserve().is_some());
}

#[test]
fn each_file_names_the_last_line_of_the_one_before_it() {
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let audit = open(&AuditSettings { file_bytes_max: 4096, ..settings(directory.path()) });
        for _ in 0..20 {
            write(&audit);
            eventually(|| audit.outstanding() == 0);
        }
        audit.close();
    }
    let files = files(directory.path());
    assert!(files.len() > 6, "{} files", files.len());
    assert!(files[0][0]["octroi.previous"].is_null());
    for pair in files.windows(2) {
        let (last, link) = (pair[0].last().unwrap(), &pair[1][0]["octroi.previous"]);
        assert_eq!(link["file"], pair[0][0]["octroi.file"]);
        assert_eq!(link["sequence"], last["event.sequence"]);
        assert_eq!(link["hash"], last["octroi.hash"]);
    }
    assert_eq!(files.iter().map(|file| ids(file).len()).sum::<usize>(), 40);
}

#[test]
fn a_torn_last_line_is_left_as_it_is_and_the_next_file_goes_on_after_the_whole_ones() {
    let directory = tempfile::tempdir().unwrap();
    let audit = open(&settings(directory.path()));
    write(&audit);
    audit.close();
    let path = shelf::files(directory.path()).unwrap()[0].path.clone();
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, [&whole[..], b"{\"torn\":"].concat()).unwrap();
    open(&settings(directory.path())).close();
    let files = files(directory.path());
    assert_eq!(files[1][0]["octroi.previous"]["hash"], files[0].last().unwrap()["octroi.hash"]);
    assert!(std::fs::read(&path).unwrap().ends_with(b"{\"torn\":"));
}

#[test]
fn checkpoints_are_signed_in_the_file_and_stand_beside_it_too() {
    let directory = tempfile::tempdir().unwrap();
    let audit = open(&AuditSettings { checkpoint_records: 10, ..settings(directory.path()) });
    for _ in 0..25 {
        write(&audit);
        eventually(|| audit.outstanding() == 0);
    }
    audit.close();
    let files = files(directory.path());
    let mut keys = VerifyingKeys::default();
    let public = files[0][0]["octroi.public_key"].as_str().unwrap();
    keys.add_raw(&STANDARD.decode(public).unwrap()).unwrap();
    let beside = std::fs::read_to_string(directory.path().join("checkpoints.jsonl")).unwrap();
    let beside: Vec<Checkpoint> =
        beside.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let inside = files[0].iter().filter(|line| line["event.action"] == "audit_checkpoint");
    let inside: Vec<Checkpoint> =
        inside.map(|line| serde_json::from_value(line.clone()).unwrap()).collect();
    assert_eq!(inside, beside);
    assert!(inside.len() >= 3, "{inside:?}");
    for checkpoint in &inside {
        keys.verify(checkpoint).unwrap();
        let covered = &files[0][usize::try_from(checkpoint.sequence).unwrap()];
        assert_eq!(covered["octroi.hash"], checkpoint.hash);
    }
}

#[test]
fn the_key_that_signs_is_made_once_and_is_nobody_elses_to_read() {
    let directory = tempfile::tempdir().unwrap();
    let key = || {
        open(&settings(directory.path())).close();
        std::fs::read(directory.path().join("signing-key.pem")).unwrap()
    };
    assert_eq!(key(), key());
    let mode = directory.path().join("signing-key.pem").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn an_answer_is_held_until_its_record_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let audit = open(&settings(directory.path()));
    let (hold, slot) = (Arc::new(Hold::default()), audit.reserve().unwrap());
    let record = record();
    let id = record.request_id.to_string();
    audit.write(record, slot, Some(&hold));
    let word = futures_util::future::poll_fn(|cx| hold.poll(cx));
    runtime().block_on(word).unwrap();
    let text = std::fs::read_to_string(&shelf::files(directory.path()).unwrap()[0].path).unwrap();
    assert!(text.contains(&id), "{text}");
}

#[test]
fn closed_files_are_compressed_in_frames_of_their_own_and_read_as_before() {
    let directory = tempfile::tempdir().unwrap();
    let settings = AuditSettings { compress: true, ..settings(directory.path()) };
    let audit = open(&settings);
    let mut written: Vec<String> = (0..4500).map(|_| write(&audit)).collect();
    audit.close();
    let audit = open(&settings);
    let first = || shelf::files(directory.path()).unwrap().remove(0);
    eventually(|| first().compressed);
    written.push(write(&audit));
    audit.close();
    let files = files(directory.path());
    let ids: Vec<&str> = files.iter().flat_map(|file| ids(file)).collect();
    assert_eq!(ids, written);
    let packed = std::fs::read(first().path).unwrap();
    let frames = packed.windows(4).filter(|four| four == &[0x28, 0xb5, 0x2f, 0xfd]).count();
    assert!(frames >= 2, "{frames} frames of 4096 lines");
}

#[test]
fn a_file_whose_time_is_over_is_removed_after_the_log_has_told_it() {
    let directory = tempfile::tempdir().unwrap();
    let day = Duration::from_secs(24 * 60 * 60);
    let settings = AuditSettings { keep_for: Some(day), ..settings(directory.path()) };
    let audit = open(&settings);
    write(&audit);
    audit.close();
    let old = shelf::files(directory.path()).unwrap().remove(0);
    let last = files(directory.path())[0].last().unwrap()["octroi.hash"].to_string();
    let name = LogFile::name_of(jiff::civil::date(2026, 1, 1), old.number);
    std::fs::rename(&old.path, directory.path().join(&name)).unwrap();
    let audit = open(&settings);
    eventually(|| !directory.path().join(&name).exists());
    audit.close();
    let files = files(directory.path());
    let told = files[0].iter().find(|line| line["event.action"] == "audit_removed").unwrap();
    assert_eq!(told["octroi.subject"], name.as_str());
    assert!(told["message"].as_str().unwrap().contains(last.trim_matches('"')), "{told}");
    let signed = files[0].iter().filter(|line| line["event.action"] == "audit_checkpoint");
    let signed = signed.filter_map(|line| line["octroi.checkpoint.sequence"].as_u64()).next();
    assert!(signed.is_some(), "the file's first line is signed");
    let next = files[0].iter().skip_while(|line| *line != told).nth(1).unwrap();
    assert_eq!(next["octroi.checkpoint.sequence"], told["event.sequence"], "signed before it goes");
}

#[test]
fn a_file_that_somebody_takes_away_while_it_is_written_is_told_and_another_is_begun() {
    for moves in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let audit = open(&settings(directory.path()));
        write(&audit);
        eventually(|| audit.outstanding() == 0);
        let gone = shelf::files(directory.path()).unwrap().remove(0);
        match moves {
            true => std::fs::rename(&gone.path, elsewhere.path().join("moved")).unwrap(),
            false => std::fs::remove_file(&gone.path).unwrap(),
        }
        eventually(|| {
            write(&audit);
            std::thread::sleep(Duration::from_millis(20));
            !shelf::files(directory.path()).unwrap().is_empty()
        });
        let last = write(&audit);
        audit.close();
        let files = files(directory.path());
        assert_eq!(files[0][0]["octroi.previous"]["file"], gone.name());
        let told = files[0].iter().find(|line| line["event.action"] == "audit_file_gone").unwrap();
        assert_eq!(told["octroi.subject"], gone.name());
        assert!(ids(&files[0]).contains(&last.as_str()));
    }
}

#[test]
fn a_list_of_checkpoints_that_a_full_disk_tore_holds_each_of_them_once() {
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("checkpoints.jsonl");
    let audit = open(&AuditSettings { checkpoint_records: 2, ..settings(directory.path()) });
    let mut torn = std::fs::OpenOptions::new().append(true).open(&list).unwrap();
    for _ in 0..6 {
        std::io::Write::write_all(&mut torn, b"{\"@timestamp\":\"20").unwrap();
        write(&audit);
        eventually(|| audit.outstanding() == 0);
    }
    audit.close();
    let report = Set::of_directory(directory.path()).unwrap();
    let report = report.verify(Trust::default(), &|_| {}).unwrap();
    assert_eq!((report.fault_count, report.notes.len()), (0, 0), "{report:?}");
    assert!(report.checkpoints > 3 && report.listed == report.checkpoints, "{report:?}");
}

#[test]
fn two_gateways_in_one_directory_write_files_of_their_own_and_leave_each_others_alone() {
    let directory = tempfile::tempdir().unwrap();
    let settings = AuditSettings { compress: true, ..settings(directory.path()) };
    let logs = [open(&settings), open(&settings), open(&settings)];
    for log in &logs {
        write(log);
    }
    eventually(|| logs.iter().all(|log| log.outstanding() == 0));
    let kept = shelf::files(directory.path()).unwrap();
    assert_eq!(kept.iter().map(|file| file.compressed).collect::<Vec<_>>(), [false; 3]);
    logs.iter().for_each(Audit::close);
    let files = files(directory.path());
    assert_eq!(files.iter().map(|file| ids(file).len()).collect::<Vec<_>>(), [1; 3]);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[track_caller]
fn eventually(holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "it never came to be");
        std::thread::yield_now();
    }
}
