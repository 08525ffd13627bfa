//! Too few descriptors, too little memory: F26 and F27 of the table in
//! `docs/src/operating/reliability.md`:
//! `cargo test -p octroi-tests --test reliability_process -- --ignored --nocapture --test-threads 1`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use harness::bounds::{Bounds, RUNS};
use harness::client::{Client, Connection};
use harness::gateway::{Gateway, HOST, PATH, upstream};
use harness::oauth::{App, GILLES};
use harness::process::{Capped, descriptors, memory, processor_seconds};
use harness::upstream::{Manner, Upstream};
use harness::{eventually, run};

// F26

const LIMIT: usize = 256;

struct Few {
    gateway: Gateway,
    token: String,
    _bank: Upstream,
}

impl Few {
    fn start() -> Self {
        let bank = Upstream::start(Manner::default());
        let command = format!("--nofile={LIMIT}:{LIMIT}");
        let place = Gateway::sandbox().leave().under(&["prlimit", &command]);
        let settings = bank.settings();
        let gateway = Gateway::run_in(place, |config| {
            config["codetab"]
                .as_array_mut()
                .unwrap()
                .retain(|c| c["code"].as_str() == Some("17515"));
            upstream(config, "17515", settings);
        });
        let token = App::of(&gateway, "funds-co").pair(GILLES).access;
        Self { gateway, token, _bank: bank }
    }

    fn ask(&self, connection: &mut Connection) -> Option<String> {
        let answer = connection.exchange(&self.gateway.request(&self.token).octets()).ok()?;
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        Some(answer.header("octroi-request-id").unwrap().to_owned())
    }

    fn ask_anew(&self) -> Option<String> {
        let mut connection = self.gateway.tpp("funds-co").connect(HOST).ok()?;
        self.ask(&mut connection)
    }
}

/// What a crowd at the door did.
struct Crowded {
    /// Of one processor, while they stood there.
    processor: f64,
    recovery: Duration,
    unaudited: usize,
}

fn crowd(connects: usize, length: Duration) -> Crowded {
    let few = Few::start();
    let pid = few.gateway.pid();
    assert!(few.gateway.place().log().contains("RLIMIT_NOFILE is too low"), "the operator is told");
    let mut kept = few.gateway.tpp("funds-co").connect(HOST).unwrap();
    let mut asked = vec![few.ask(&mut kept).unwrap()];
    let sockets: Vec<TcpStream> =
        (0..connects).filter_map(|_| TcpStream::connect(few.gateway.addresses.tpp).ok()).collect();
    let (began, used) = (Instant::now(), processor_seconds(pid));
    while began.elapsed() < length {
        asked.push(few.ask(&mut kept).expect("who is inside stays inside"));
        assert!(descriptors(pid) < LIMIT - 8, "some are kept: {}", descriptors(pid));
        thread::sleep(Duration::from_millis(50));
    }
    let processor = (processor_seconds(pid) - used) / began.elapsed().as_secs_f64();
    drop(sockets);
    let left = Instant::now();
    asked.push(eventually("a newcomer is served again", || few.ask_anew()));
    let recovery = left.elapsed();
    let place = few.gateway.leave();
    let records = place.audit();
    let unaudited = asked
        .iter()
        .filter(|id| !records.iter().any(|record| record["http.request.id"] == id.as_str()))
        .count();
    Crowded { processor, recovery, unaudited }
}

#[test]
fn a_crowd_at_the_door_of_a_gateway_with_few_descriptors_does_not_disturb_those_inside() {
    let crowded = crowd(400, Duration::from_secs(1));
    assert_eq!(crowded.unaudited, 0);
}

#[test]
fn a_gateway_that_could_serve_nobody_says_how_many_descriptors_it_needs() {
    let place = Gateway::sandbox().leave();
    let octroi = harness::octroi();
    let output = std::process::Command::new("prlimit")
        .args(["--nofile=64:64", harness::gateway::path_text(&octroi), "run", "--config"])
        .arg(place.file("octroi.toml"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("RLIMIT_NOFILE is 64") && told.contains("LimitNOFILE="), "{told}");
    assert!(run(&["version"]).status.success());
}

#[test]
#[ignore = "prints figures"]
fn f26_few_descriptors() {
    let mut bounds = Bounds::of("F26");
    for _ in 0..RUNS {
        let crowded = crowd(1000, Duration::from_secs(5));
        bounds.at_most("of a processor", 50.0, "%", crowded.processor * 100.0);
        bounds.at_most("answered without a record", 0.0, "", crowded.unaudited as f64);
        bounds.at_most("served again after", 5.0, "s", crowded.recovery.as_secs_f64());
    }
    bounds.hold();
}

// F27

const MIB: usize = 1024 * 1024;

/// A body of 1 MiB, announced or in chunks.
fn large(token: &str, chunked: bool) -> (Vec<u8>, Vec<u8>) {
    let framing = match chunked {
        true => "Transfer-Encoding: chunked".to_owned(),
        false => format!("Content-Length: {MIB}"),
    };
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {token}\r\nContent-Type: \
         application/json\r\n{framing}\r\n\r\n"
    );
    let body = match chunked {
        true => {
            let mut body = format!("{MIB:x}\r\n").into_bytes();
            body.extend(std::iter::repeat_n(b' ', MIB));
            body.extend(b"\r\n0\r\n\r\n");
            body
        }
        false => vec![b' '; MIB],
    };
    (head.into_bytes(), body)
}

/// How many of a crowd were told what.
#[derive(Default)]
struct Refused {
    too_large: usize,
    unavailable: usize,
    /// The connection was cut before an answer could be read.
    cut: usize,
}

/// Opens all connections, then sends on all of them what does not fit.
fn flood(client: &Client, token: &str, connections: usize) -> Refused {
    const THREADS: usize = 8;
    let senders: Vec<_> = (0..THREADS)
        .map(|number| {
            let (client, token) = (client.clone(), token.to_owned());
            let count = connections / THREADS;
            thread::spawn(move || {
                let (head, body) = large(&token, number % 2 == 0);
                let mut open: Vec<Connection> =
                    (0..count).filter_map(|_| client.connect(HOST).ok()).collect();
                let mut refused = Refused { cut: count - open.len(), ..Refused::default() };
                // The first part of each before the rest of any.
                for connection in &mut open {
                    let _ = connection.write(&head);
                    let _ = connection.write(&body[..8 * 1024]);
                }
                for connection in &mut open {
                    let _ = connection.write(&body[8 * 1024..]);
                    match connection.read().map(|answer| answer.status) {
                        Ok(413) => refused.too_large += 1,
                        Ok(503) => refused.unavailable += 1,
                        Ok(other) => panic!("{other}"),
                        Err(_) => refused.cut += 1,
                    }
                }
                refused
            })
        })
        .collect();
    let mut all = Refused::default();
    for sender in senders {
        let refused = sender.join().unwrap();
        all.too_large += refused.too_large;
        all.unavailable += refused.unavailable;
        all.cut += refused.cut;
    }
    all
}

/// How many the kernel killed, the most memory in MiB, and what the clients were told.
fn capped(mib: u64, connections: usize) -> Option<(u64, f64, Refused)> {
    let Some(group) = Capped::at(mib * 1024 * 1024) else {
        println!("skipped: no control group with a bound on memory can be made here");
        return None;
    };
    let command = group.command();
    let command = command.each_ref().map(String::as_str);
    let gateway = Gateway::run_in(Gateway::sandbox().leave().under(&command), |_| {});
    let token = App::of(&gateway, "funds-co").pair(GILLES).access;
    let client = gateway.tpp("funds-co");
    let refused = flood(&client, &token, connections);
    let most = memory(gateway.pid(), "VmHWM:");
    let answer = client.send(&gateway.request(&token));
    assert_eq!(answer.status, 200, "it serves as before");
    drop(gateway);
    Some((group.kills(), most, refused))
}

#[test]
fn bodies_that_are_too_large_cost_no_memory() {
    let Some((kills, _, refused)) = capped(256, 160) else { return };
    assert_eq!(kills, 0);
    assert!(refused.too_large > 0, "some are told so before their connection ends");
}

#[test]
#[ignore = "prints figures"]
fn f27_little_memory() {
    let mut bounds = Bounds::of("F27");
    for _ in 0..RUNS {
        let Some((kills, most, refused)) = capped(256, 2000) else { return };
        println!(
            "F27: {} × 413, {} × 503, {} cut before they read an answer",
            refused.too_large, refused.unavailable, refused.cut
        );
        bounds.at_most("killed", 0.0, "", kills as f64);
        bounds.at_most("memory", 256.0, "MiB", most);
    }
    bounds.hold();
}
