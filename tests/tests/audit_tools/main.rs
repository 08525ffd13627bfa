//! The access log, for those who read it: `octroi audit` against logs that were tampered with in every way
//! that one can think of, and some that nobody would.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod forged;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use harness::octroi;
use octroi::audit::chain::{Chain, SigningKey};
use octroi_benches::audit_log::{Made, Plan};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

/// A small log of four files, and the key of its gateway beside it.
struct Log {
    place: tempfile::TempDir,
    made: Made,
}

impl Log {
    fn new(frame_lines: Option<u64>) -> Self {
        let place = tempfile::tempdir().unwrap();
        let plan = Plan { frame_lines, checkpoint_lines: 20, ..Plan::new(200, 4) };
        fs::create_dir(place.path().join("log")).unwrap();
        let made = plan.write(&place.path().join("log")).unwrap();
        fs::write(place.path().join("key.pem"), &made.public_pem).unwrap();
        Self { place, made }
    }

    fn directory(&self) -> PathBuf {
        self.place.path().join("log")
    }

    fn key(&self) -> String {
        self.place.path().join("key.pem").display().to_string()
    }

    /// A copy that may be broken.
    fn copy(&self) -> tempfile::TempDir {
        let copy = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(self.directory()).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
        copy
    }

    fn verify(&self, directory: &Path) -> Verified {
        Verified::of(&["audit", "verify", directory.to_str().unwrap(), "--key", &self.key()])
    }
}

struct Verified {
    code: Option<i32>,
    report: Value,
}

impl Verified {
    fn of(arguments: &[&str]) -> Self {
        let output = run(&[arguments, &["--output", "json"]].concat());
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let report = serde_json::from_slice(&output.stdout);
        Self { code: output.status.code(), report: report.unwrap_or_else(|_| panic!("{told}")) }
    }

    fn faults(&self) -> Vec<Fault> {
        let faults = self.report["faults"].as_array().unwrap().iter();
        let text = |fault: &Value, name: &str| fault[name].as_str().unwrap_or_default().to_owned();
        faults
            .map(|fault| Fault {
                file: text(fault, "file"),
                line: fault["line"].as_u64(),
                kind: text(fault, "kind"),
                detail: text(fault, "detail"),
            })
            .collect()
    }
}

#[derive(Debug)]
struct Fault {
    file: String,
    line: Option<u64>,
    kind: String,
    detail: String,
}

fn run(arguments: &[&str]) -> Output {
    Command::new(octroi())
        .args(arguments)
        .env("RUST_BACKTRACE", "0")
        .env("OCTROI_AUDIT_INDEXES", "/proc/no-such-place")
        .output()
        .unwrap()
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.file_name().unwrap().to_str().unwrap().starts_with("access-"));
    files.sort();
    files
}

fn name(file: &Path) -> String {
    file.file_name().unwrap().to_str().unwrap().trim_end_matches(".zst").to_owned()
}

fn lines(file: &Path) -> Vec<Vec<u8>> {
    let text = fs::read(file).unwrap();
    text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

#[test]
fn a_log_that_was_written_is_good_plain_and_compressed() {
    for frame_lines in [None, Some(7)] {
        let log = Log::new(frame_lines);
        let verified = log.verify(&log.directory());
        assert_eq!((verified.code, verified.report["fault_count"].as_u64()), (Some(0), Some(0)));
        assert_eq!(verified.report["lines"].as_u64(), Some(log.made.lines));
        assert_eq!(verified.report["requests"], 200);
        assert_eq!(verified.report["unsworn"], 0);
        let directory = log.directory().display().to_string();
        let output = run(&["audit", "verify", &directory]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("read from the log itself"), "{text}");
        let keys = run(&["audit", "key", "--directory", &directory]);
        assert_eq!(keys.stdout, log.made.public_pem);
    }
}

/// What was done to one file, and the lines (from 1) of which at least one must be named.
fn tamper(file: &Path, random: &mut StdRng) -> (String, Vec<u64>) {
    let mut all = lines(file);
    let count = all.len();
    let at = random.random_range(0..count);
    let here = at as u64 + 1;
    let (what, named) = match random.random_range(0..7) {
        0 | 1 => {
            let byte = random.random_range(0..all[at].len());
            let bit = 1 << random.random_range(0..8);
            all[at][byte] ^= bit;
            // A line that lost its end goes on into the next, a new end makes two of it.
            (format!("bit {bit} of byte {byte} flipped in line {here}"), vec![here, here + 1])
        }
        2 => {
            all.remove(at);
            (format!("line {here} removed"), vec![here])
        }
        3 => {
            let copied = random.random_range(0..count);
            all.insert(at, all[copied].clone());
            (format!("line {} inserted before line {here}", copied + 1), vec![here, here + 1])
        }
        4 => {
            all.insert(
                at,
                b"{\"@timestamp\":\"2026-11-22T00:00:00Z\",\"event.action\":\"request\"}\n"
                    .to_vec(),
            );
            (format!("a foreign line inserted before line {here}"), vec![here])
        }
        5 => {
            let other = random.random_range(0..count);
            if all[at] == all[other] {
                all.remove(at);
                (format!("line {here} removed"), vec![here])
            } else {
                all.swap(at, other);
                let other = other as u64 + 1;
                (
                    format!("lines {here} and {other} swapped"),
                    vec![here.min(other), here.min(other) + 1],
                )
            }
        }
        _ => {
            let mut whole = all.concat();
            let length = random.random_range(0..whole.len());
            whole.truncate(length);
            all = vec![whole];
            (format!("cut after {length} octets"), Vec::new())
        }
    };
    fs::write(file, all.concat()).unwrap();
    (what, named)
}

#[test]
fn each_of_a_thousand_random_faults_is_found_and_its_line_is_named() {
    let log = Log::new(None);
    std::thread::scope(|scope| {
        for part in 0..4_u64 {
            let log = &log;
            scope.spawn(move || {
                let mut random = StdRng::seed_from_u64(part);
                let mut kinds = std::collections::BTreeMap::<String, u32>::new();
                for _ in 0..250 {
                    let copy = log.copy();
                    let files = files(copy.path());
                    let file = &files[random.random_range(0..files.len())];
                    let (what, named) = tamper(file, &mut random);
                    let verified = log.verify(copy.path());
                    let faults = verified.faults();
                    let name = name(file);
                    assert_eq!(verified.code, Some(1), "{what} in {name}: {}", verified.report);
                    let told = faults.iter().any(|fault| {
                        let line = fault.line.is_some_and(|line| named.contains(&line));
                        let end = fault.kind == "truncated";
                        fault.file == name && (named.is_empty() || line || end)
                    });
                    assert!(told, "{what} in {name}: {faults:?}");
                    // One fault is no reason to distrust the rest.
                    assert!(faults.len() <= 5, "{what}: {faults:?}");
                    *kinds.entry(faults[0].kind.clone()).or_default() += 1;
                }
                assert!(kinds.len() > 3, "{kinds:?}");
            });
        }
    });
}

#[test]
fn one_changed_line_is_the_one_line_that_is_named() {
    let log = Log::new(None);
    let copy = log.copy();
    let file = &files(copy.path())[1];
    let text = fs::read_to_string(file).unwrap();
    let changed: Vec<String> = text
        .lines()
        .enumerate()
        .map(|(at, line)| match at {
            30 => line.replace("\"PSDFR-ACPR-", "\"PSDFR-ACPR-9"),
            _ => line.to_owned(),
        })
        .collect();
    assert_ne!(changed.join("\n") + "\n", text);
    fs::write(file, changed.join("\n") + "\n").unwrap();
    let verified = log.verify(copy.path());
    let faults = verified.faults();
    let [fault] = faults.as_slice() else { panic!("{faults:?}") };
    assert_eq!(
        (fault.file.as_str(), fault.line, fault.kind.as_str()),
        (name(file).as_str(), Some(31), "changed")
    );
    let bytes: usize = text.lines().take(30).map(|line| line.len() + 1).sum();
    assert_eq!(verified.report["faults"][0]["byte"].as_u64(), Some(bytes as u64));
    assert!(verified.report["faults"][0]["request_id"].as_str().unwrap().len() == 36);
}

/// Seals every line anew, as somebody without the key would after a change.
fn seal_anew(file: &Path, mut change: impl FnMut(usize, &str) -> Option<String>) {
    let text = fs::read_to_string(file).unwrap();
    let mut chain = Chain::default();
    let mut anew = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let Some(line) = change(at, line) else { continue };
        let content = line.rsplit_once(",\"event.sequence\":").unwrap().0;
        let start = anew.len();
        anew.extend_from_slice(content.as_bytes());
        anew.push(b'}');
        chain.seal(&mut anew, start);
    }
    fs::write(file, anew).unwrap();
}

#[test]
fn whoever_makes_all_hashes_anew_lacks_the_key() {
    let log = Log::new(None);
    let copy = log.copy();
    let file = &files(copy.path())[0];
    seal_anew(file, |at, line| {
        Some(if at == 5 { line.replace("PSDFR", "PSDBE") } else { line.to_owned() })
    });
    let faults = log.verify(copy.path()).faults();
    assert!(faults.iter().any(|fault| fault.kind == "rewritten"), "{faults:?}");

    // He also takes away every checkpoint in the file.
    let copy = log.copy();
    let file = &files(copy.path())[0];
    seal_anew(file, |at, line| {
        (at != 5 && !line.contains("audit_checkpoint")).then(|| line.to_owned())
    });
    let faults = log.verify(copy.path()).faults();
    assert!(faults.iter().any(|fault| fault.kind == "rewritten"), "{faults:?}");

    // And those beside it: the next file still knows where it stood.
    fs::remove_file(copy.path().join("checkpoints.jsonl")).unwrap();
    let faults = log.verify(copy.path()).faults();
    let told = |fault: &&Fault| fault.file == name(file) && fault.kind != "missing";
    assert!(faults.iter().any(|fault| told(&fault)), "{faults:?}");
}

#[test]
fn a_log_that_was_made_anew_with_another_key_is_found_by_who_has_the_first() {
    let log = Log::new(None);
    let forged = tempfile::tempdir().unwrap();
    let other = SigningKey::generate().unwrap();
    Plan::new(50, 2).write_signed(forged.path(), other).unwrap();
    let verified = log.verify(forged.path());
    assert_eq!(verified.code, Some(1));
    assert!(verified.faults().iter().any(|fault| fault.kind == "forged"));
    let trusting = Verified::of(&["audit", "verify", forged.path().to_str().unwrap()]);
    assert_eq!((trusting.code, trusting.report["keys_given"].as_bool()), (Some(0), Some(false)));
}

#[test]
fn a_file_that_is_gone_renamed_or_exchanged_is_told() {
    let log = Log::new(None);
    for gone in 0..4 {
        let copy = log.copy();
        let file = files(copy.path())[gone].clone();
        fs::remove_file(&file).unwrap();
        let faults = log.verify(copy.path()).faults();
        let told = faults.iter().any(|fault| fault.kind == "missing" && fault.file == name(&file));
        assert!(told, "file {gone}: {faults:?}");
    }
    let copy = log.copy();
    let all = files(copy.path());
    let (first, second) = (fs::read(&all[0]).unwrap(), fs::read(&all[1]).unwrap());
    fs::write(&all[0], second).unwrap();
    fs::write(&all[1], first).unwrap();
    let faults = log.verify(copy.path()).faults();
    assert!(faults.iter().filter(|fault| fault.kind == "renamed").count() == 2, "{faults:?}");
}

#[test]
fn a_tail_that_was_cut_off_is_missed_by_a_checkpoint_wherever_that_was_kept() {
    let log = Log::new(None);
    let copy = log.copy();
    let file = files(copy.path())[3].clone();
    let mut all = lines(&file);
    let kept = all
        .iter()
        .position(|line| line.windows(16).any(|word| word == b"audit_checkpoint"))
        .unwrap();
    all.truncate(kept + 1);
    fs::write(&file, all.concat()).unwrap();
    let faults = log.verify(copy.path()).faults();
    assert!(faults.iter().any(|fault| fault.kind == "truncated"), "{faults:?}");

    // With all the checkpoints behind it gone as well, nothing in the log tells.
    let list = copy.path().join("checkpoints.jsonl");
    let mut listed = lines(&list);
    let head = listed.last().unwrap().clone();
    let of_file = |line: &Vec<u8>| String::from_utf8_lossy(line).contains(&name(&file));
    let last = listed.iter().position(of_file).unwrap();
    listed.truncate(last + 1);
    fs::write(&list, listed.concat()).unwrap();
    assert_eq!(log.verify(copy.path()).code, Some(0), "it looks like a crash");

    // But for whoever kept one elsewhere.
    let kept = log.place.path().join("kept.json");
    fs::write(&kept, head).unwrap();
    let (directory, key) = (copy.path().to_str().unwrap(), log.key());
    let verified = Verified::of(&[
        "audit",
        "verify",
        directory,
        "--key",
        &key,
        "--head",
        kept.to_str().unwrap(),
    ]);
    let faults = verified.faults();
    assert!(
        faults.iter().any(|fault| fault.kind == "truncated" && fault.detail.contains("kept.json"))
    );
}

#[test]
fn checkpoints_are_good_for_their_own_file_only_and_none_may_go() {
    let log = Log::new(None);
    // One of another file in the place of one of this.
    let copy = log.copy();
    let all = files(copy.path());
    let find = |file: &Path| {
        lines(file)
            .iter()
            .position(|line| String::from_utf8_lossy(line).contains("audit_checkpoint"))
            .unwrap()
    };
    let foreign = String::from_utf8(lines(&all[1])[find(&all[1])].clone()).unwrap();
    let here = find(&all[0]);
    seal_anew(&all[0], |at, line| Some(if at == here { foreign.clone() } else { line.to_owned() }));
    let faults = log.verify(copy.path()).faults();
    let told = |fault: &Fault| fault.kind == "forged" && fault.line == Some(here as u64 + 1);
    assert!(faults.iter().any(told), "{faults:?}");

    for change in 0..3 {
        let copy = log.copy();
        let list = copy.path().join("checkpoints.jsonl");
        let mut listed = lines(&list);
        match change {
            0 => drop(listed.remove(2)),
            1 => listed.swap(1, 2),
            _ => listed[2][150] ^= 1,
        }
        fs::write(&list, listed.concat()).unwrap();
        let verified = log.verify(copy.path());
        assert_eq!(verified.code, Some(1), "change {change}: {:?}", verified.faults());
    }
    let copy = log.copy();
    fs::remove_file(copy.path().join("checkpoints.jsonl")).unwrap();
    assert!(log.verify(copy.path()).faults().iter().any(|fault| fault.kind == "missing"));
}

#[test]
fn a_crash_is_told_from_a_fault() {
    let log = Log::new(None);
    let copy = log.copy();
    let file = files(copy.path())[3].clone();
    // What a process leaves that was killed while it wrote: no end, a torn line, and no checkpoint yet.
    let mut all = lines(&file);
    let last =
        all.iter().rposition(|line| line.windows(16).any(|word| word == b"audit_checkpoint"));
    all.truncate(last.unwrap() - 1);
    let keep = all.last().unwrap().len() - 40;
    all.last_mut().unwrap().truncate(keep);
    fs::write(&file, all.concat()).unwrap();
    let list = copy.path().join("checkpoints.jsonl");
    let mut listed = lines(&list);
    listed.pop();
    fs::write(&list, listed.concat()).unwrap();
    let verified = log.verify(copy.path());
    let notes = verified.report["notes"].to_string();
    assert_eq!(verified.code, Some(0), "{:?}", verified.faults());
    assert!(notes.contains("torn") && notes.contains("not closed"), "{notes}");
}

#[test]
fn a_damaged_compressed_file_is_told_and_what_stands_behind_is_read() {
    let log = Log::new(Some(7));
    let copy = log.copy();
    let file = &files(copy.path())[1];
    let mut bytes = fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(file, bytes).unwrap();
    let verified = log.verify(copy.path());
    assert_eq!(verified.code, Some(1));
    let lines = verified.report["lines"].as_u64().unwrap();
    assert!(lines > log.made.lines - 20, "{lines} of {}", log.made.lines);
}
