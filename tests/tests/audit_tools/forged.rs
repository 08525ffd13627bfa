//! What somebody makes up who may write in the directory and has no key.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Output;

use octroi::audit::chain::Chain;
use octroi_benches::audit_log::Plan;
use serde_json::Value;

use super::{Fault, Log, files, lines, name, run};

/// A file as somebody would write it who may write in the directory and has no key: with the true public
/// key in its header, and hashes of his own.
fn made_up(directory: &Path, name: &str, actions: &[Value]) {
    let header: Value = serde_json::from_slice(&lines(&files(directory)[0])[0]).unwrap();
    let opened = serde_json::json!({
        "@timestamp": header["@timestamp"], "event.action": "audit_opened", "octroi.file": name,
        "octroi.format": 1, "octroi.public_key": header["octroi.public_key"],
    });
    let (mut chain, mut text) = (Chain::default(), Vec::new());
    for line in std::iter::once(&opened).chain(actions) {
        let start = text.len();
        text.extend_from_slice(&serde_json::to_vec(line).unwrap());
        chain.seal(&mut text, start);
    }
    fs::write(directory.join(name), text).unwrap();
}

fn removal(file: &Path) -> Value {
    serde_json::json!({
        "@timestamp": "2026-11-22T23:00:00Z", "event.action": "audit_removed",
        "octroi.subject": name(file), "message": "removed because audit.keep_for is over",
    })
}

/// Ends the last file as a crash does, and seals `line` behind what is left.
fn add_behind(directory: &Path, line: &Value) {
    let last = files(directory)[3].clone();
    let mut all = lines(&last);
    let signed = |line: &Vec<u8>| String::from_utf8_lossy(line).contains("audit_checkpoint");
    all.truncate(all.iter().position(signed).unwrap() + 1);
    let (_, number, hash) = octroi::audit::chain::split(all.last().unwrap().trim_ascii()).unwrap();
    let mut added = serde_json::to_vec(line).unwrap();
    Chain::after(number, hash).seal(&mut added, 0);
    all.push(added);
    fs::write(&last, all.concat()).unwrap();
    // The list as it stood after that checkpoint.
    let list = directory.join("checkpoints.jsonl");
    let mut listed = lines(&list);
    let of_last = |line: &Vec<u8>| String::from_utf8_lossy(line).contains(&name(&last));
    let first = listed.iter().position(of_last).unwrap();
    listed.truncate(first + 1);
    fs::write(&list, listed.concat()).unwrap();
}

#[test]
fn no_removal_is_believed_that_the_gateway_has_not_signed() {
    let log = Log::new(None);
    for gone in [0, 1] {
        let copy = log.copy();
        let file = files(copy.path())[gone].clone();
        add_behind(copy.path(), &removal(&file));
        assert_eq!(log.verify(copy.path()).code, Some(0), "nothing is gone yet");
        fs::remove_file(&file).unwrap();
        let faults = log.verify(copy.path()).faults();
        let told = |fault: &Fault| fault.kind == "missing" && fault.file == name(&file);
        assert!(faults.iter().any(told), "file {gone}: {faults:?}");
    }
    // Nor in a file of his own.
    let copy = log.copy();
    let file = files(copy.path())[1].clone();
    made_up(copy.path(), "access-2026-12-31.000005.jsonl", &[removal(&file)]);
    fs::remove_file(&file).unwrap();
    let faults = log.verify(copy.path()).faults();
    assert!(
        faults.iter().any(|fault| fault.kind == "missing" && fault.file == name(&file)),
        "{faults:?}"
    );
}

#[test]
fn a_file_under_the_number_of_one_that_is_gone_does_not_stand_for_it() {
    let log = Log::new(None);
    for gone in 0..4 {
        let copy = log.copy();
        let file = files(copy.path())[gone].clone();
        fs::remove_file(&file).unwrap();
        let number = name(&file).split('.').nth(1).unwrap().to_owned();
        let stand_in = format!("access-2026-01-01.{number}.jsonl");
        if gone > 0 {
            made_up(copy.path(), &stand_in, &[]);
        } else {
            fs::write(copy.path().join(&stand_in), "").unwrap();
        }
        let faults = log.verify(copy.path()).faults();
        let told = |fault: &Fault| fault.kind == "missing" && fault.file == name(&file);
        assert!(faults.iter().any(told), "file {gone}: {faults:?}");
    }
}

#[test]
fn a_file_of_which_no_line_is_signed_is_none_of_the_gateways() {
    let log = Log::new(None);
    let copy = log.copy();
    let call = serde_json::json!({
        "@timestamp": "2026-11-22T23:00:00Z", "event.action": "request",
        "octroi.outcome": "allowed", "organization.id": "PSDFR-ACPR-1",
    });
    made_up(copy.path(), "access-2026-12-31.000005.jsonl", &[call]);
    let verified = log.verify(copy.path());
    let faults = verified.faults();
    let [fault] = faults.as_slice() else { panic!("{faults:?}") };
    assert_eq!((fault.kind.as_str(), verified.code), ("forged", Some(1)));
    assert!(fault.file.contains("000005"), "{fault:?}");
}

/// What each tool says of a directory in which somebody has left `strange` under the name of a file.
fn told_of(strange: &[u8], name: &str) -> Vec<(String, Output)> {
    let directory = tempfile::tempdir().unwrap();
    Plan::new(40, 1).write(directory.path()).unwrap();
    fs::write(directory.path().join(name), strange).unwrap();
    let at = directory.path().to_str().unwrap();
    let id = "01a1fcac-2788-7342-b7d5-145123543671";
    let report = directory.path().join("report");
    let report = report.to_str().unwrap();
    [
        vec!["audit", "verify", at],
        vec!["audit", "search", "--directory", at],
        vec!["audit", "search", "--directory", at, "--count", "--by", "reason"],
        vec!["audit", "show", id, "--directory", at],
        vec!["audit", "export", "--format", "ocsf", "--directory", at],
        vec!["audit", "export", "--format", "ecs", "--directory", at],
        vec!["audit", "key", "--directory", at],
        vec!["report", "--quarter", "2026-Q4", "--log", at, "--to", report],
    ]
    .iter()
    .map(|arguments| (arguments.join(" "), run(arguments)))
    .collect()
}

#[test]
fn nothing_that_somebody_leaves_in_the_directory_makes_a_reader_panic_or_grow() {
    let line = br#"{"@timestamp":"2026-11-22T00:00:00Z","event.action":"request"}"#;
    let twice =
        br#"{"@timestamp":"2026-11-22T00:00:00Z","event.action":"request","event.action":"x"}"#;
    let bomb = zstd::encode_all(std::io::repeat(b'{').take(96 << 20), 1).unwrap();
    let frames = [&b"\x28\xb5\x2f\xfd"[..]; 500].concat();
    let plain = "access-2026-11-10.000009.jsonl";
    let packed = "access-2026-11-10.000009.jsonl.zst";
    for (what, strange, name) in [
        ("nothing", Vec::new(), plain),
        ("nothing packed", Vec::new(), packed),
        ("twice", [&twice[..], b"\n"].concat(), plain),
        ("no UTF-8", b"{\"@timestamp\":\"\xff\xfe\"}\n\xff\n".to_vec(), plain),
        ("CRLF", [&line[..], b"\r\n", line, b"\r\n"].concat(), plain),
        ("a mark", [b"\xef\xbb\xbf", &line[..], b"\n"].concat(), plain),
        ("NUL", vec![0; 70_000], plain),
        ("deep", vec![b'['; 900_000], plain),
        ("deep in a line", [&b"{\"a\":"[..], &vec![b'['; 900_000], b"\n"].concat(), plain),
        ("a line without end", vec![b'x'; 8 << 20], plain),
        ("a bomb", bomb, packed),
        ("heads of frames", frames, packed),
        ("the highest number", Vec::new(), "access-2026-11-10.18446744073709551615.jsonl"),
    ] {
        for (command, output) in told_of(&strange, name) {
            let told = String::from_utf8_lossy(&output.stderr);
            let code = output.status.code();
            assert!(code.is_some_and(|code| code <= 3), "{what}: {command}: {code:?} {told:.400}");
            assert!(!told.contains("panicked"), "{what}: {command}: {told:.400}");
        }
    }
}
