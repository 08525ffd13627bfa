//! `octroi audit search` and `show` against a log whose every answer is known, because it is small enough
//! to be read whole.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use harness::octroi;
use octroi::audit::shelf;
use octroi_benches::audit_log::{Made, Plan, RARE_TPP};
use serde_json::Value;

struct Log {
    place: tempfile::TempDir,
    made: Made,
    /// Every line, in the order in which it was written.
    all: Vec<(String, u64, Value)>,
}

impl Log {
    fn new(frame_lines: Option<u64>) -> Self {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("log");
        fs::create_dir(&directory).unwrap();
        let plan = Plan { frame_lines, ..Plan::new(6_000, 2) };
        let made = plan.write(&directory).unwrap();
        let mut all = Vec::new();
        for file in shelf::files(&directory).unwrap() {
            let mut text = String::new();
            std::io::Read::read_to_string(&mut file.open().unwrap(), &mut text).unwrap();
            for (at, line) in text.lines().enumerate() {
                all.push((file.name(), at as u64 + 1, serde_json::from_str(line).unwrap()));
            }
        }
        Self { place, made, all }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let directory = self.place.path().join("log");
        run(&directory, &self.place.path().join("indexes"), arguments)
    }

    fn found(&self, conditions: &[&str]) -> Vec<Value> {
        let output = self.run(&[&["search", "--output", "jsonl"], conditions].concat());
        let found: Vec<Value> = output
            .stdout
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        let code = i32::from(found.is_empty());
        assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
        found
    }

    /// The same by reading all of it.
    fn expected(&self, holds: impl Fn(&Value) -> bool) -> Vec<Value> {
        let holds =
            |line: &&(String, u64, Value)| line.2["event.action"] == "request" && holds(&line.2);
        self.all.iter().filter(holds).map(|(_, _, line)| line.clone()).collect()
    }
}

fn run(directory: &Path, indexes: &Path, arguments: &[&str]) -> Output {
    Command::new(octroi())
        .args(["audit"])
        .args(arguments)
        .arg("--directory")
        .arg(directory)
        .env("OCTROI_AUDIT_INDEXES", indexes)
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap()
}

/// What a search should find.
type Wanted<'a> = Box<dyn Fn(&Value) -> bool + 'a>;

#[test]
fn a_search_finds_what_reading_all_of_it_finds_in_order_of_time() {
    for frame_lines in [None, Some(3000), Some(100_000)] {
        let log = Log::new(frame_lines);
        let one = log.expected(|line| line["event.reason"] == "consent_expired")[0].clone();
        let text = |member: &str| one[member].as_str().unwrap().to_owned();
        let (tpp, ip, time) = (text("organization.id"), text("client.ip"), text("@timestamp"));
        let (certificate, serial) =
            (text("tls.client.hash.sha256"), text("tls.client.x509.serial_number"));
        let (id, codetab) = (text("http.request.id"), text("octroi.codetab"));
        let later = log.all[log.all.len() / 2].2["@timestamp"].as_str().unwrap().to_owned();
        let cases: Vec<(Vec<&str>, Wanted<'_>)> = vec![
            (
                vec!["--reason", "token_expired"],
                Box::new(|line| line["event.reason"] == "token_expired"),
            ),
            (vec!["--tpp", RARE_TPP], Box::new(|line| line["organization.id"] == RARE_TPP)),
            (vec!["--tpp", &tpp], Box::new(|line| line["organization.id"] == tpp.as_str())),
            (vec!["--status", "429"], Box::new(|line| line["http.response.status_code"] == 429)),
            (
                vec!["--status", "4xx", "--codetab", &codetab],
                Box::new(|line| {
                    line["http.response.status_code"].as_u64().unwrap() / 100 == 4
                        && line["octroi.codetab"] == codetab.as_str()
                }),
            ),
            (vec!["--ip", &ip], Box::new(|line| line["client.ip"] == ip.as_str())),
            (
                vec!["--certificate", &certificate[..12]],
                Box::new(|line| line["tls.client.hash.sha256"] == certificate.as_str()),
            ),
            (
                vec!["--serial", &serial, "--outcome", "refused"],
                Box::new(|line| {
                    line["octroi.outcome"] == "refused"
                        && line["tls.client.x509.serial_number"] == serial.as_str()
                }),
            ),
            (vec!["--request-id", &id], Box::new(|line| line["http.request.id"] == id.as_str())),
            (
                vec!["--from", &time, "--to", &later, "--outcome", "refused"],
                Box::new(|line| {
                    let at: jiff::Timestamp = line["@timestamp"].as_str().unwrap().parse().unwrap();
                    line["octroi.outcome"] == "refused"
                        && at >= time.parse().unwrap()
                        && at < later.parse().unwrap()
                }),
            ),
            (vec!["--codetab", "99999"], Box::new(|_| false)),
        ];
        // The first time without an index, then with the one that was kept.
        for round in 0..2 {
            for (conditions, holds) in &cases {
                let (found, expected) = (log.found(conditions), log.expected(holds));
                assert_eq!(found.len(), expected.len(), "{conditions:?}, round {round}");
                assert!(found == expected, "{conditions:?}, round {round}");
            }
        }
        assert!(fs::read_dir(log.place.path().join("indexes")).unwrap().count() > 0);
        let counted = log.run(&["search", "--count", "--by", "reason", "--output", "json"]);
        let counted: Value = serde_json::from_slice(&counted.stdout).unwrap();
        assert_eq!(counted["token_expired"].as_u64(), Some(log.made.common));
        assert_eq!(
            counted[""].as_u64().unwrap() as usize,
            log.expected(|line| line["event.reason"].is_null()).len()
        );
        let both = log.run(&["search", "--count", "--tpp", &tpp, "--reason", "token_expired"]);
        let expected = log.expected(|line| {
            line["organization.id"] == tpp.as_str() && line["event.reason"] == "token_expired"
        });
        assert_eq!(String::from_utf8(both.stdout).unwrap().trim(), expected.len().to_string());
        let limited = log.run(&["search", "--limit", "3", "--output", "json"]);
        let limited: Value = serde_json::from_slice(&limited.stdout).unwrap();
        assert_eq!(limited.as_array().unwrap().as_slice(), &log.expected(|_| true)[..3]);
    }
}

#[test]
fn quiet_lines_are_found_when_they_are_asked_for_by_name() {
    let log = Log::new(Some(4096));
    let opened = log.found(&["--event", "audit_opened"]);
    assert_eq!(opened.len(), 2);
    let permitted =
        log.all.iter().filter(|(_, _, line)| line["event.action"] == "request_permitted");
    let counted = log.run(&["search", "--count", "--event", "request_permitted"]);
    let counted = String::from_utf8(counted.stdout).unwrap();
    assert_eq!(counted.trim(), permitted.count().to_string());
}

#[test]
fn no_index_that_somebody_made_up_hides_a_record() {
    let log = Log::new(None);
    let conditions = ["--reason", "quota_exceeded"];
    let expected = log.expected(|line| line["event.reason"] == "quota_exceeded");
    assert_eq!(log.found(&conditions), expected);
    let indexes = log.place.path().join("indexes");
    let kept: Vec<_> = fs::read_dir(&indexes).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(kept.len(), 1, "the last file may still grow");
    let good = fs::read(&kept[0]).unwrap();
    for at in (0..good.len()).step_by(good.len() / 10) {
        let mut bad = good.clone();
        bad[at] ^= 0x20;
        fs::write(&kept[0], bad).unwrap();
        assert_eq!(log.found(&conditions).len(), expected.len());
    }
    fs::write(&kept[0], &good[..good.len() / 2]).unwrap();
    assert_eq!(log.found(&conditions).len(), expected.len());
    // One that is sound and of another file: of this log before it was changed.
    let directory = log.place.path().join("log");
    let first = shelf::files(&directory).unwrap()[0].path.clone();
    let text = fs::read_to_string(&first).unwrap();
    let hidden = text.replacen(
        "\"event.reason\":\"token_expired\"",
        "\"event.reason\":\"quota_exceeded\"",
        1,
    );
    fs::write(&kept[0], &good).unwrap();
    fs::write(&first, hidden).unwrap();
    assert_eq!(log.found(&conditions).len(), expected.len() + 1);
    // What stands beside the log is not looked at; where others can write, nothing is kept.
    fs::write(directory.join("access-2026-11-22.000001.jsonl.idx"), &good).unwrap();
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&indexes, fs::Permissions::from_mode(0o777)).unwrap();
    fs::write(&kept[0], b"").unwrap();
    assert_eq!(log.found(&conditions).len(), expected.len() + 1);
    assert_eq!(fs::metadata(&kept[0]).unwrap().len(), 0);
}

#[test]
fn a_line_that_is_being_written_is_left_for_later() {
    let log = Log::new(None);
    let directory = log.place.path().join("log");
    let last = shelf::files(&directory).unwrap()[1].path.clone();
    let text = fs::read(&last).unwrap();
    fs::write(&last, &text[..text.len() - 700]).unwrap();
    let found = log.found(&["--reason", "token_expired"]).len() as u64;
    assert!(found >= log.made.common - 1, "{found} of {}", log.made.common);
}

#[test]
fn a_damaged_file_ends_in_an_error_and_the_rest_is_told() {
    let log = Log::new(Some(1000));
    let directory = log.place.path().join("log");
    let first = shelf::files(&directory).unwrap()[0].path.clone();
    let mut bytes = fs::read(&first).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4000].fill(0xFF);
    fs::write(&first, bytes).unwrap();
    let output = log.run(&["search", "--reason", "token_expired", "--output", "jsonl"]);
    let found = output.stdout.iter().filter(|byte| **byte == b'\n').count() as u64;
    assert!(found > log.made.common / 2 && found <= log.made.common, "{found}");
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{errors}");
    assert!(errors.contains("may lack lines"), "{errors}");
}

#[test]
fn the_story_of_a_call_tells_all_of_it_and_where_it_stands() {
    let log = Log::new(Some(4096));
    let (file, line, refused) =
        log.all.iter().find(|(_, _, line)| line["event.reason"] == "quota_exceeded").unwrap();
    let id = refused["http.request.id"].as_str().unwrap();
    let output = log.run(&["show", id]);
    let text = String::from_utf8(output.stdout).unwrap();
    for word in [
        id,
        refused["organization.id"].as_str().unwrap(),
        refused["tls.client.x509.serial_number"].as_str().unwrap(),
        "refused: quota_exceeded",
        "as PSP_IC",
        "regafi_register 2f00360e44cfac12, 18 h old",
        "quota            FAILED",
        "never: no upstream was contacted",
        "reasons/quota_exceeded",
        &format!("{file} line {line}: request"),
    ] {
        assert!(text.contains(word), "{word} in\n{text}");
    }
    let allowed = log.expected(|line| line["octroi.outcome"] == "allowed")[0].clone();
    let id = allowed["http.request.id"].as_str().unwrap();
    let text = String::from_utf8(log.run(&["show", id]).stdout).unwrap();
    assert!(
        text.contains("700 µs after the request") && text.contains("every other check passed"),
        "{text}"
    );
    let json = log.run(&["show", id, "--output", "json"]);
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 2);
    let unknown = log.run(&["show", "01a1fcac-2788-7342-b7d5-145123543671"]);
    assert_eq!(unknown.status.code(), Some(1));
}

#[test]
fn a_call_that_a_crash_cut_off_is_told_as_such() {
    let log = Log::new(None);
    let directory = log.place.path().join("log");
    let last = shelf::files(&directory).unwrap()[1].path.clone();
    let text = fs::read_to_string(&last).unwrap();
    let permitted = text.rfind("\"event.action\":\"request_permitted\"").unwrap();
    let end = permitted + text[permitted..].find('\n').unwrap() + 1;
    fs::write(&last, &text[..end]).unwrap();
    let line = text[..end].lines().last().unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    let text =
        String::from_utf8(log.run(&["show", line["http.request.id"].as_str().unwrap()]).stdout)
            .unwrap();
    assert!(text.contains("never finished"), "{text}");
}
