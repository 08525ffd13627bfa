//! What faults of QTSPs and trusted lists cost, in figures for `docs/src/operating/revocation.md`:
//! `cargo test -p octroi-tests --test figures -- --ignored --nocapture --test-threads 1`.
//! They assert what must never happen, and print the rest: no time is held against a limit here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::fs;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use certs::test_qtsp::responder::{Reply, Said, SignedBy, TRY_LATER, refusal};
use harness::gateway::{HOST, path_text};
use harness::lists::{List, Signer};
use harness::load::{Asker, Load, Told, ms, percentile};
use harness::octroi;
use harness::process::memory;
use harness::qtsp::Mood;
use harness::watched::{Names, Watched, reply, seconds, watched};

/// What four connections saw while `fault` lasted.
struct Seen(Vec<Told>);

impl Seen {
    fn at(&self, share: f64) -> f64 {
        ms(percentile(&self.0, share))
    }

    fn refused(&self) -> usize {
        self.0.iter().filter(|told| told.status() != 200).count()
    }
}

fn load(case: &Watched, fault: impl FnOnce()) -> Seen {
    let asker = |_| {
        let octets = case.gateway.request(&case.token).octets();
        let request = Box::new(move |_| octets.clone());
        Asker { client: case.gateway.tpp("renewed"), host: HOST.to_owned(), request, kind: 0 }
    };
    let load = Load::start((0..4).map(asker).collect(), Some(400.0));
    fault();
    Seen(load.stop())
}

#[test]
#[ignore = "prints figures"]
fn a_revocation_takes_effect_within_the_refresh() {
    let mut took = Vec::new();
    for _ in 0..3 {
        let case = watched(Names::Responder);
        let mut connection = case.client.connect(HOST).unwrap();
        case.responds(reply(Said::Good));
        case.until(&mut connection, None);
        let revoked = Reply { this_update: seconds(0), ..reply(Said::Revoked(seconds(-60))) };
        case.responds(revoked);
        took.push(case.until(&mut connection, Some("certificate_revoked")));
    }
    println!("F11: refused on an open connection after {took:?}, with refresh = 1 s");
}

#[test]
#[ignore = "prints figures"]
fn a_broken_responder_costs_the_requests_nothing_while_an_answer_counts() {
    let case = watched(Names::Responder);
    case.responds(reply(Said::Good));
    case.until(&mut case.client.connect(HOST).unwrap(), None);
    let pid = case.gateway.pid();
    load(&case, || std::thread::sleep(Duration::from_secs(3)));
    let before = memory(pid, "VmRSS:");
    let calm = load(&case, || std::thread::sleep(Duration::from_secs(10)));
    println!("F12: calm: p50 {:.2} ms, p99 {:.2} ms, {before:.0} MiB", calm.at(0.5), calm.at(0.99));
    assert_eq!(calm.refused(), 0);
    let other = Reply { signed_by: SignedBy::Stranger, ..reply(Said::Good) };
    let future = Reply { this_update: seconds(7200), ..reply(Said::Good) };
    let answers = |reply: Reply| {
        let qtsp = Arc::clone(&case.qtsp);
        Mood::Answers(Arc::new(move |serial: &[u8]| qtsp.ocsp(serial, &reply).unwrap()))
    };
    for (name, mood) in [
        ("hangs", Mood::Hangs),
        ("500", Mood::Refuses(500)),
        ("tryLater", Mood::Says(refusal(TRY_LATER).unwrap())),
        ("malformed", Mood::Says(b"<html>".to_vec())),
        ("floods", Mood::Floods),
        ("redirects", Mood::Redirects(format!("{}/ocsp", case.publication.origin()))),
        ("wrong signer", answers(other)),
        ("from the future", answers(future)),
    ] {
        case.publication.set_ocsp(mood);
        let seen = load(&case, || std::thread::sleep(Duration::from_secs(10)));
        println!(
            "F12: {name}: p50 {:.2} ms, p99 {:.2} ms, {:+.1} MiB, {} refused of {}",
            seen.at(0.5),
            seen.at(0.99),
            memory(pid, "VmRSS:") - before,
            seen.refused(),
            seen.0.len()
        );
        assert_eq!(seen.refused(), 0, "the last good answer still counts");
    }
}

#[test]
#[ignore = "prints figures"]
fn a_list_of_sixty_thousand_is_taken_in_beside_the_requests() {
    let case = watched(Names::List);
    case.lists(&[], -60, 3600);
    case.until(&mut case.client.connect(HOST).unwrap(), None);
    let pid = case.gateway.pid();
    let calm = load(&case, || std::thread::sleep(Duration::from_secs(5)));
    let serial = |number: u32| {
        let mut octets = vec![0x5a; 16];
        octets[..4].copy_from_slice(&number.to_be_bytes());
        octets[0] |= 0x40;
        octets
    };
    let mut revoked: Vec<Vec<u8>> = (1..60_000).map(serial).collect();
    revoked.push(case.serial());
    let entries: Vec<_> = revoked.iter().map(|serial| (serial.clone(), seconds(-60))).collect();
    let list = case.qtsp.crl(&entries, seconds(0), seconds(3600)).unwrap();
    let octets = list.len();
    let mut took = Duration::ZERO;
    let seen = load(&case, || {
        let began = Instant::now();
        case.publication.set_crl(Mood::Says(list));
        case.until(&mut case.client.connect(HOST).unwrap(), Some("certificate_revoked"));
        took = began.elapsed();
        std::thread::sleep(Duration::from_secs(2));
    });
    println!(
        "F13: 60000 entries, {octets} octets: in force after {took:?} (refresh 1 s); longest answer \
         {:.1} ms (calm {:.1} ms); {:.0} MiB",
        seen.at(1.0),
        calm.at(1.0),
        memory(pid, "VmRSS:")
    );
}

#[test]
#[ignore = "prints figures"]
fn a_hostile_trusted_list_costs_the_importer_little() {
    let dir = tempfile::tempdir().unwrap();
    let signer = Signer::new(dir.path(), "lotl", 1000);
    let list = List {
        territory: "EU",
        sequence: 1,
        services: Vec::new(),
        pointers: vec![("IE", "https://lists.invalid/ie.xml".to_owned(), &signer)],
        hours: 1000,
    };
    let good = list.xml();
    let file = dir.path().join("lotl.xml");
    signer.sign(&good, &file);
    let signed = fs::read_to_string(&file).unwrap();
    let bomb = {
        let mut dtd = "<!DOCTYPE x [<!ENTITY a0 \"ha\">".to_owned();
        for level in 1..30 {
            let inner = format!("&a{};", level - 1).repeat(10);
            dtd.push_str(&format!("<!ENTITY a{level} \"{inner}\">"));
        }
        signed.replacen("?>", &format!("?>{dtd}]>"), 1)
    };
    let outside = signed.replacen("?>", "?><!DOCTYPE x SYSTEM \"http://127.0.0.1:9/x.dtd\">", 1);
    let names: String = (0..200_000).map(|n| format!(" xmlns:n{n}=\"u\"")).collect();
    let namespaces =
        signed.replacen("<SchemeInformation>", &format!("<SchemeInformation{names}>"), 1);
    let deep = signed.replacen(
        "<SchemeInformation>",
        &format!("{}<SchemeInformation>", "<x>".repeat(100_000)),
        1,
    );
    let big = signed.replacen(
        "</TrustServiceStatusList>",
        &format!("<!--{}--></TrustServiceStatusList>", "x".repeat(50 << 20)),
        1,
    );
    for (name, text) in [
        ("as signed", signed.clone()),
        ("entity bomb", bomb),
        ("external DTD", outside),
        ("200000 namespaces", namespaces),
        ("100000 deep", deep),
        ("50 MB", big),
    ] {
        fs::write(&file, text).unwrap();
        let began = Instant::now();
        let mut child = Command::new(octroi())
            .args(["trust", "import", "--signer", path_text(&signer.certificate)])
            .args(["--lotl", path_text(&file), "--dir", path_text(&dir.path().join(name))])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut peak = 0.0_f64;
        let status = loop {
            peak = peak.max(memory(child.id(), "VmHWM:"));
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        println!("F16: {name}: exit {:?}, {:?}, {peak:.0} MiB", status.code(), began.elapsed());
        let kept = dir.path().join(name).join("current").exists();
        assert_eq!(kept, name == "as signed", "{name}");
    }
}
