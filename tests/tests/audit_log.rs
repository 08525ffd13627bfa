//! The access log can be believed: nobody is answered, and nothing goes to the bank, before it is
//! written down, whatever happens to the process and to its disk.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashSet;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use harness::audit;
use harness::disk::Disk;
use harness::eventually;
use harness::gateway::{Gateway, HOST, PATH, Place, upstream};
use harness::load::{Asker, Load, Told, ms, percentile, tally};
use harness::redis_server::RedisServer;
use harness::upstream::{Manner, Upstream};
use serde_json::Value;

fn audited(config: &mut toml::Table, settings: &[(&str, toml::Value)]) {
    let audit = config["audit"].as_table_mut().unwrap();
    for (name, value) in settings {
        audit.insert((*name).to_owned(), value.clone());
    }
}

fn askers(gateway: &Gateway, count: usize, token: &str) -> Vec<Asker> {
    let asker = |_| {
        let octets = gateway.request(token).octets();
        let request = Box::new(move |_| octets.clone());
        Asker { client: gateway.tpp("funds-co"), host: HOST.to_owned(), request, kind: 0 }
    };
    (0..count).map(asker).collect()
}

/// A token that is good for hours, and the sandbox that gave it, at rest.
fn scene() -> (Place, String) {
    let sandbox = Gateway::sandbox();
    let token = sandbox.token("funds-co", "gilles", &[]);
    (sandbox.leave(), token)
}

fn quick() -> Manner {
    Manner { delay: Duration::from_millis(2), ..Manner::default() }
}

/// Every line, and that the chain of each file holds.
#[track_caller]
fn lines(place: &Place) -> Vec<Value> {
    place.audit_files().iter().flat_map(|file| audit::chained(file)).collect()
}

fn ids_of(lines: &[Value], action: &str) -> HashSet<String> {
    let those = lines.iter().filter(|line| line["event.action"] == action);
    those.map(|line| line["http.request.id"].as_str().unwrap().to_owned()).collect()
}

/// What holds after every accident: who was answered stands in the log, and so does what the bank heard.
#[track_caller]
fn is_complete(place: &Place, told: &[Told], bank: &Upstream) {
    let lines = lines(place);
    let (requests, permits) = (ids_of(&lines, "request"), ids_of(&lines, "request_permitted"));
    for told in told {
        let Some(answer) = told.answer.as_ref().filter(|answer| answer.status != 503) else {
            continue;
        };
        let id = answer.header("octroi-request-id").unwrap();
        assert!(requests.contains(id), "{} {id} was answered, not recorded", answer.status);
    }
    for heard in bank.heard() {
        let id = heard.values("x-request-id")[0].to_owned();
        assert!(permits.contains(&id), "{id} went to the bank, and nothing says that it might");
    }
    let count = lines.iter().filter(|line| line["event.action"] == "request").count();
    assert_eq!(count, requests.len(), "no request has two records");
}

#[test]
fn whoever_has_read_the_end_of_an_answer_finds_its_record() {
    let (place, token) = scene();
    let bank = Upstream::start(quick());
    let settings = bank.settings();
    let gateway = Gateway::run_in(place, |config| upstream(config, "17515", settings));
    let mut connection = gateway.tpp("funds-co").connect(HOST).unwrap();
    let good = gateway.request(&token);
    let mut unknown = good.clone();
    unknown.token = Some("a-token-that-nobody-issued".to_owned());
    let mut astray = good.clone();
    astray.path = "/nothing/here".to_owned();
    for _ in 0..20 {
        for (request, outcome, status) in
            [(&good, "allowed", 200), (&unknown, "refused", 401), (&astray, "refused", 404)]
        {
            let answer = connection.exchange(&request.octets()).unwrap();
            assert_eq!(answer.status, status);
            let record = gateway.record_of(&answer);
            assert_eq!(record["octroi.outcome"], outcome);
            assert_eq!(record["http.response.status_code"], status);
            assert_eq!(record["http.response.body.bytes"], answer.body.len());
        }
    }
    let record = gateway.record_of(&connection.exchange(&good.octets()).unwrap());
    assert_eq!(record["octroi.role"], "PSP_IC");
    let timing = &record["octroi.timing"];
    let part = |name: &str| timing[name].as_u64().unwrap();
    let parts = part("gateway_us") + part("store_us") + part("upstream_us") + part("audit_us");
    assert_eq!(parts, part("total_us"), "{timing}");
    assert!(part("upstream_us") >= 2000, "{timing}");
    let digest = record["tls.client.hash.sha256"].as_str().unwrap();
    let kept = gateway.place().file("audit/certificates").join(digest).with_extension("pem");
    let kept = eventually("the certificate is kept", || std::fs::read(&kept).ok());
    let sent = std::fs::read(gateway.place().file("tpp/funds-co/qwac.pem")).unwrap();
    let first = |pem: &[u8]| openssl::x509::X509::stack_from_pem(pem).unwrap()[0].to_der().unwrap();
    assert_eq!(first(&kept), first(&sent));
}

#[test]
fn an_answer_over_http2_has_its_record_too() {
    let (place, token) = scene();
    let gateway = Gateway::run_in(place, |_| {});
    for (token, status) in [(token.as_str(), 200), ("nobodys", 401)] {
        let body = harness::gateway::body(harness::gateway::GILLES_IBAN, "100");
        let output = Command::new("curl")
            .args(["--silent", "--include", "--http2", "-d", &body])
            .args(["-H", &format!("Authorization: Bearer {token}")])
            .args(["-H", "Content-Type: application/json", "--cacert"])
            .arg(gateway.server_ca())
            .arg("--cert")
            .arg(gateway.place().file("tpp/funds-co/qwac.pem"))
            .arg("--key")
            .arg(gateway.place().file("tpp/funds-co/qwac.key"))
            .arg(format!("https://{HOST}:{}{PATH}", gateway.addresses.tpp.port()))
            .output()
            .unwrap();
        let records = gateway.place().audit();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(printed.starts_with(&format!("HTTP/2 {status}")), "{printed}");
        let id = printed.lines().find_map(|line| line.strip_prefix("octroi-request-id: ")).unwrap();
        let record = records.iter().find(|record| record["http.request.id"] == id).unwrap();
        assert_eq!(record["http.response.status_code"], status);
    }
}

#[test]
fn an_empty_answer_of_a_broken_bank_is_replaced_whole() {
    let (place, token) = scene();
    let status = "500 Oops";
    let bank = Upstream::start(Manner { status, body: String::new(), ..Manner::default() });
    let settings = bank.settings();
    let gateway = Gateway::run_in(place, |config| upstream(config, "17515", settings));
    let answer = gateway.tpp("funds-co").send(&gateway.request(&token));
    assert_eq!((answer.status, answer.code().as_str()), (503, "upstream_unavailable"));
    let record = gateway.record_of(&answer);
    assert_eq!(record["octroi.outcome"], "refused");
    assert_eq!(record["message"], "the bank's system answered with an error");
}

#[test]
fn a_panic_in_one_request_is_an_answer_and_a_record_and_nobody_elses_business() {
    let (place, token) = scene();
    let gateway = Gateway::run_in(place.under(&["env", "OCTROI_TEST_PANIC=1"]), |_| {});
    let load = Load::start(askers(&gateway, 4, &token), None);
    let mut connection = gateway.tpp("funds-co").connect(HOST).unwrap();
    let good = gateway.request(&token);
    let bad = good.clone().with("Octroi-Test-Panic", "1");
    for _ in 0..5 {
        let answer = connection.exchange(&bad.octets()).unwrap();
        assert_eq!((answer.status, answer.code().as_str()), (500, "internal_fault"));
        assert_eq!(gateway.record_of(&answer)["event.reason"], "internal_fault");
        assert_eq!(connection.exchange(&good.octets()).unwrap().status, 200);
    }
    let told = load.stop();
    assert_eq!(tally(&told).into_keys().collect::<Vec<_>>(), [(200, String::new())]);
    // Who was not started to be tested like this knows no such header.
    let gateway = Gateway::run_in(gateway.leave().under(&[]), |_| {});
    assert_eq!(gateway.tpp("funds-co").send(&bad).status, 200);
}

#[test]
fn while_the_disk_stands_still_no_answer_ends_and_nothing_more_goes_to_the_bank() {
    let Some(disk) = Disk::ext4(16) else { return };
    let (place, token) = scene();
    disk.hold_log_of(&place);
    let bank = Upstream::start(Manner { delay: Duration::from_millis(700), ..Manner::default() });
    let settings = bank.settings();
    let gateway = Gateway::run_in(place, |config| upstream(config, "17515", settings));
    let octets = gateway.request(&token).octets();
    let mut asking = gateway.tpp("funds-co").connect(HOST).unwrap();
    asking.write(&octets).unwrap();
    eventually("the bank has heard it", || (bank.heard().len() == 1).then_some(()));
    let frozen = disk.freeze();
    let reader = thread::spawn(move || (asking.read().unwrap(), Instant::now()));
    // Another one gets no line for its permit, so that it is refused.
    let mut another = gateway.tpp("funds-co").connect(HOST).unwrap();
    another.write(&octets).unwrap();
    let stalled = || gateway.metrics().contains("\noctroi_audit_failing 1\n");
    eventually("a disk that stands still is known", || stalled().then_some(()));
    assert!(!reader.is_finished(), "an answer left while its record could not be written");
    let thawed = Instant::now();
    drop(frozen);
    let (answer, at) = reader.join().unwrap();
    assert_eq!(answer.status, 200);
    assert!(at >= thawed);
    gateway.record_of(&answer);
    let refused = another.read().unwrap();
    let said = (refused.status, String::from_utf8_lossy(&refused.body));
    assert!(refused.status == 503 && said.1.contains("state_unavailable"), "{said:?}");
    assert_eq!(bank.heard().len(), 1, "nothing went to the bank without its line");
    let again = || gateway.tpp("funds-co").send(&gateway.request(&token));
    eventually("it goes on alone", || (again().status == 200).then_some(()));
}

#[test]
fn on_a_full_disk_nobody_is_admitted_without_a_line_and_it_recovers_alone() {
    let Some(disk) = Disk::tmpfs(1024) else { return };
    let (place, token) = scene();
    let figures = full_disk(&disk, place, &token, Duration::ZERO);
    eprintln!("{figures}");
}

/// F19: fills the disk under load for `at_least`, and frees it.
fn full_disk(disk: &Disk, place: Place, token: &str, at_least: Duration) -> String {
    disk.hold_log_of(&place);
    let bank = Upstream::start(quick());
    let settings = bank.settings();
    let gateway = Gateway::run_in(place, |config| upstream(config, "17515", settings));
    let load = Load::start(askers(&gateway, 8, token), Some(200.0));
    let answers = |status: u16, since: Instant| {
        let told = load.so_far();
        told.iter().filter(|told| told.asked >= since && told.status() == status).count()
    };
    let start = Instant::now();
    eventually("it serves", || (answers(200, start) > 40).then_some(()));
    disk.fill();
    let full = Instant::now();
    eventually("it refuses", || (answers(503, full) > 40).then_some(()));
    assert_eq!(gateway.admin("/readyz").status, 503);
    assert!(gateway.metrics().contains("\noctroi_audit_failing 1\n"));
    let closed = Instant::now();
    thread::sleep(at_least);
    assert_eq!(answers(200, closed), 0, "somebody was let in");
    disk.clear();
    let freed = Instant::now();
    eventually("it serves again", || (answers(200, freed) > 0).then_some(()));
    let back = freed.elapsed();
    eventually("it serves all again", || (answers(200, freed) > 40).then_some(()));
    let told = load.stop();
    let place = gateway.leave();
    is_complete(&place, &told, &bank);
    let events = place.events();
    let find = |action: &str| {
        let found = events.iter().find(|event| event["event.action"] == action);
        found.unwrap_or_else(|| panic!("no {action}: {events:?}"))["message"].to_string()
    };
    assert!(find("audit_full").contains("requests are refused until it can"));
    assert!(!find("audit_recovered").contains("; 0 requests"), "{}", find("audit_recovered"));
    let refused: Vec<&Told> = told.iter().filter(|told| told.status() == 503).collect();
    for told in &refused {
        assert_eq!(told.code(), "state_unavailable");
    }
    let cut = told.iter().filter(|told| told.answer.is_none()).count();
    format!(
        "full disk: {} answered 503 (p99 {:.1} ms), {cut} cut, back {:.0} ms after it was freed",
        refused.len(),
        ms(percentile(refused.iter().copied(), 0.99)),
        ms(back)
    )
}

#[test]
fn whoever_chose_to_go_on_without_a_log_is_told_what_that_cost() {
    let Some(disk) = Disk::tmpfs(1024) else { return };
    let (place, token) = scene();
    disk.hold_log_of(&place);
    let bank = Upstream::start(quick());
    let settings = bank.settings();
    let gateway = Gateway::run_in(place, |config| {
        upstream(config, "17515", settings);
        let loose = toml::Value::from("continue-and-alarm");
        audited(config, &[("when_unwritable", loose), ("queue_records_max", 20.into())]);
    });
    assert!(gateway.place().log().contains("audit.when_unwritable: "), "it is said at start");
    disk.fill();
    let mut connection = gateway.tpp("funds-co").connect(HOST).unwrap();
    let octets = gateway.request(&token).octets();
    let lost = || {
        let metrics = gateway.metrics();
        let line = metrics.lines().find_map(|l| l.strip_prefix("octroi_audit_lost_records_total "));
        line.and_then(|count| count.parse::<u64>().ok()).unwrap()
    };
    eventually("records are lost", || {
        assert_eq!(connection.exchange(&octets).unwrap().status, 200, "requests go on");
        (lost() > 5).then_some(())
    });
    disk.clear();
    let lost_in_all = lost();
    let events = || gateway.place().events().into_iter();
    let recovered = eventually("the log says so", || {
        events().find(|event| event["event.action"] == "audit_recovered")
    });
    let said = recovered["message"].as_str().unwrap();
    assert!(said.contains(&format!("{lost_in_all} records were lost")), "{said}");
    let answer = connection.exchange(&octets).unwrap();
    assert_eq!(answer.status, 200);
    eventually("records are written again", || {
        let id = answer.header("octroi-request-id").unwrap();
        ids_of(&lines(gateway.place()), "request").contains(id).then_some(())
    });
}

#[test]
fn killed_under_load_it_has_written_down_whatever_was_answered_and_whatever_went_to_the_bank() {
    eprintln!("{}", killed(5, &[]));
}

#[test]
#[ignore = "prints figures"]
fn killed_two_hundred_times() {
    println!("{}", killed(200, &[]));
    println!("fsync: {}", killed(20, &[("durability", "fsync".into())]));
}

/// F21: kills the gateway so often under load, and starts it again each time.
fn killed(times: usize, settings: &[(&str, toml::Value)]) -> String {
    let (mut place, token) = scene();
    let bank = Upstream::start(quick());
    let (mut told, mut ready, mut torn) = (Vec::new(), Vec::new(), 0);
    for round in 0..times {
        let behind = bank.settings();
        let begun = Instant::now();
        let gateway = Gateway::run_in(place, |config| {
            upstream(config, "17515", behind);
            audited(config, settings);
        });
        ready.push(begun.elapsed());
        let load = Load::start(askers(&gateway, 8, &token), None);
        let enough = 50 + round % 7 * 10;
        eventually("answers", || (load.count() > enough).then_some(()));
        place = gateway.kill();
        told.extend(load.stop());
        let last = place.audit_files().pop().unwrap();
        torn += usize::from(!std::fs::read(last).unwrap().ends_with(b"\n"));
    }
    is_complete(&place, &told, &bank);
    let answered = tally(&told);
    assert!(answered[&(200, String::new())] > times * 30, "{answered:?}");
    ready.sort();
    format!(
        "{times} kills: {answered:?}, {} deliveries, {torn} torn lines, ready after {:.0} ms at most",
        bank.heard().len(),
        ms(*ready.last().unwrap())
    )
}

#[test]
#[ignore = "prints figures"]
fn a_full_disk_in_figures() {
    let Some(disk) = Disk::tmpfs(1024) else { return };
    for _ in 0..3 {
        let (place, token) = scene();
        let figures = full_disk(&disk, place, &token, Duration::from_secs(5));
        println!("{figures}");
        let _ = std::fs::remove_dir_all(disk.path().join("audit"));
    }
}

const FROZEN: &str = "the disk frozen for 5 ms every 55 ms";
const SLOW: &str = "each fsync 5 ms longer";
/// The gateway is a child of the test all the same, and all its other calls go on undisturbed.
const SLOW_FSYNC: [&str; 10] = [
    "strace",
    "-D",
    "-f",
    "--seccomp-bpf",
    "-qq",
    "-o/dev/null",
    "-e",
    "trace=fsync,fdatasync",
    "-e",
    "inject=fsync,fdatasync:delay_exit=5000",
];

#[test]
#[ignore = "prints figures"]
fn a_disk_that_takes_its_time_in_figures() {
    let Some(disk) = Disk::ext4(256) else { return };
    let slow = Command::new("strace").arg("-V").output().is_ok_and(|told| told.status.success());
    if !slow {
        eprintln!("NOT TRIED: strace, which makes an fsync slow, is not here");
    }
    let cases = [("process", ""), ("fsync", ""), ("fsync", FROZEN), ("fsync", SLOW)];
    for (durability, fault) in cases.into_iter().filter(|(_, fault)| slow || *fault != SLOW) {
        let (mut place, _) = scene();
        // It is the disk of the log alone that is slow: the embedded store would be slow with it.
        let redis = RedisServer::start();
        let token = redis.mint(&"d".repeat(43), "gilles");
        if fault == SLOW {
            place = place.under(&SLOW_FSYNC);
        }
        let _ = std::fs::remove_dir_all(disk.path().join("audit"));
        disk.hold_log_of(&place);
        let manner = Manner { delay: Duration::from_millis(5), ..Manner::default() };
        let bank = Upstream::start(manner);
        let settings = bank.settings();
        let gateway = Gateway::run_in(place, |config| {
            upstream(config, "17515", settings);
            config.insert("store".to_owned(), redis.settings().into());
            audited(config, &[("durability", durability.into())]);
        });
        let load = Load::start(askers(&gateway, 16, &token), Some(200.0));
        let until = Instant::now() + Duration::from_secs(15);
        while Instant::now() < until {
            let frozen = (fault == FROZEN).then(|| disk.freeze());
            thread::sleep(Duration::from_millis(5));
            drop(frozen);
            thread::sleep(Duration::from_millis(50));
        }
        let told = load.stop();
        let (p50, p99) = (percentile(&told, 0.5), percentile(&told, 0.99));
        let metrics = gateway.metrics();
        let mean = |name: &str| {
            let value = |suffix: &str| {
                let name = format!("octroi_audit_{name}_duration_seconds_{suffix} ");
                let found = metrics.lines().find_map(|line| line.strip_prefix(&name));
                found.and_then(|value| value.parse::<f64>().ok()).unwrap_or_default()
            };
            1e3 * value("sum") / value("count").max(1.0)
        };
        println!(
            "{durability}, {fault}: p50 {:.1} ms, p99 {:.1} ms; a write {:.3} ms, an fsync {:.3} ms on average; {:?}",
            ms(p50),
            ms(p99),
            mean("write"),
            mean("fsync"),
            tally(&told)
        );
        let place = gateway.leave();
        is_complete(&place, &told, &bank);
    }
}
