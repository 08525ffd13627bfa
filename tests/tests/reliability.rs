//! Cold keys, revocations and a slow machine: F8 to F10 and F28 of the table in
//! `docs/src/operating/reliability.md`:
//! `cargo test -p octroi-tests --test reliability -- --ignored --nocapture --test-threads 1`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use certs::test_qtsp::responder::Said;
use harness::bounds::{Bounds, RUNS};
use harness::client::Connection;
use harness::fault_proxy::Fault;
use harness::gateway::{Gateway, HOST, path_text};
use harness::load::{ms, percentile, tally};
use harness::oauth::{App, GILLES, REVOKE};
use harness::process::Slowed;
use harness::qtsp::Mood;
use harness::replicas::{Replicas, one_bank};
use harness::watched::{Names, reply, watched};
use harness::{eventually, run};

// F8

/// All at once, each over its own connection; how many were told what.
fn at_once(connections: Vec<(Connection, Vec<u8>)>) -> Vec<(u16, String)> {
    let gate = Arc::new(Barrier::new(connections.len()));
    let clients: Vec<_> = connections
        .into_iter()
        .map(|(mut connection, octets)| {
            let gate = Arc::clone(&gate);
            thread::spawn(move || {
                gate.wait();
                let answer = connection.exchange(&octets).unwrap();
                let code = if answer.status == 200 { String::new() } else { answer.code() };
                (answer.status, code)
            })
        })
        .collect();
    clients.into_iter().map(|client| client.join().unwrap()).collect()
}

/// So many at once may be too many for the bank, which is not what this is about.
fn is_known((status, code): &(u16, String), other: &str) -> bool {
    *status == 200 || code == "upstream_unavailable" || (!other.is_empty() && code == other)
}

/// How often Redis was asked for one token that so many requests brought at once.
fn a_cold_token(requests: usize) -> u64 {
    let scene = Replicas::start(|config| config["store"]["timeout"] = "10s".into());
    // What is read before Redis tells of changes is read again a second later: that is another matter.
    let first = scene.redis.mint("a-token-that-every-gateway-knows-already", "gilles");
    for (at, gateway) in scene.gateways.iter().enumerate() {
        let asker = scene.asker_with(at, 0, &first);
        let mut connection = asker.client.connect(&asker.host).unwrap();
        connection.exchange(&(asker.request)(0)).unwrap();
        eventually("Redis tells of changes", || {
            gateway.metrics().lines().any(|line| line == "octroi_store_tracking 1").then_some(())
        });
    }
    scene.redis.between_walks(|turn| {
        let token = scene.redis.mint(&format!("a-token-that-no-gateway-has-seen-{turn}"), "gilles");
        let asker = |client: usize| scene.asker_with(client % scene.gateways.len(), 0, &token);
        let connections = (0..requests).map(asker).enumerate().map(|(number, asker)| {
            (asker.client.connect(&asker.host).unwrap(), (asker.request)(number))
        });
        let connections = connections.collect();
        // So that all of them come while the first question is under way.
        scene.ways.iter().for_each(|way| way.set(Fault::Delay(Duration::from_millis(50))));
        let before = scene.redis.calls(&["mget"]);
        let told = at_once(connections);
        let asked = scene.redis.calls(&["mget"]) - before;
        scene.ways.iter().for_each(|way| way.set(Fault::None));
        assert!(told.iter().all(|told| is_known(told, "")), "{told:?}");
        assert!(told.iter().any(|(status, _)| *status == 200), "{told:?}");
        asked
    })
}

#[test]
fn a_cold_token_is_asked_for_once_by_each_gateway_however_many_bring_it() {
    assert_eq!(a_cold_token(40), 2);
}

/// How many questions to a responder were under way at most while so many requests came with one
/// certificate that nobody had seen.
fn a_cold_certificate(requests: usize) -> usize {
    let case = watched(Names::Responder);
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (qtsp, counting, counted) = (Arc::clone(&case.qtsp), now, Arc::clone(&most));
    case.publication.set_ocsp(Mood::Answers(Arc::new(move |serial: &[u8]| {
        let under_way = counting.fetch_add(1, Ordering::SeqCst) + 1;
        counted.fetch_max(under_way, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(500));
        counting.fetch_sub(1, Ordering::SeqCst);
        qtsp.ocsp(serial, &reply(Said::Good)).unwrap()
    })));
    let octets = case.gateway.request(&case.token).octets();
    let connect = |_| (case.client.connect(HOST).unwrap(), octets.clone());
    let told = at_once((0..requests).map(connect).collect());
    // Those who come before the first answer are told to come again.
    assert!(told.iter().all(|told| is_known(told, "revocation_unknown")), "{told:?}");
    case.until(&mut case.client.connect(HOST).unwrap(), None);
    most.load(Ordering::SeqCst)
}

#[test]
fn a_cold_certificate_is_asked_for_once_at_a_time_however_many_bring_it() {
    assert_eq!(a_cold_certificate(40), 1);
}

#[test]
#[ignore = "prints figures"]
fn f8_five_hundred_at_once() {
    let mut bounds = Bounds::of("F8");
    for _ in 0..RUNS {
        let asked = a_cold_token(500) as f64;
        bounds.at_most("questions for one cold token, each gateway", 1.0, "", asked / 2.0);
        let under_way = a_cold_certificate(500) as f64;
        bounds.at_most("OCSP questions under way for one cold certificate", 1.0, "", under_way);
    }
    bounds.hold();
}

// F9: beside what `two_gateways.rs` holds to a second with Redis telling of every change.

/// Revokes tokens at the first gateway while open connections to both go on asking. How long each
/// still served, at the slower of the two.
fn revocations(rounds: usize, is_cut: bool, under_load: bool) -> Vec<Duration> {
    let scene = Replicas::start(|config| {
        one_bank(config);
        // A consent takes many answers of Redis, and none of them may be late here.
        config["store"]["timeout"] = "2s".into();
    });
    let load = under_load.then(|| scene.load());
    let app = App::of(&scene.gateways[0], "funds-co");
    if is_cut {
        // Only the connections on which Redis tells of changes.
        scene.ways.iter().for_each(|way| way.set_where("HELLO", Fault::Blackhole));
        for gateway in &scene.gateways {
            eventually("nothing is told any more", || {
                gateway.metrics().contains("octroi_store_tracking 0").then_some(())
            });
        }
    }
    let connect = |gateway: &Gateway| gateway.tpp("funds-co").connect(HOST).unwrap();
    let mut connections: Vec<_> = scene.gateways.iter().map(connect).collect();
    let took = (0..rounds).map(|_| {
        let pair = app.pair(GILLES);
        let octets = scene.gateways[0].request(&pair.access).octets();
        for connection in &mut connections {
            assert_eq!(connection.exchange(&octets).unwrap().status, 200);
        }
        assert_eq!(app.post(REVOKE, &[("token", &pair.refresh)]).status, 200);
        let revoked = Instant::now();
        for connection in &mut connections {
            eventually("it is refused", || {
                (connection.exchange(&octets).unwrap().status == 401).then_some(())
            });
        }
        revoked.elapsed()
    });
    let took = took.collect();
    drop(load.map(harness::load::Load::stop));
    took
}

#[test]
fn a_revocation_counts_at_the_other_gateway_though_redis_tells_of_no_change() {
    revocations(3, true, false);
}

#[test]
#[ignore = "prints figures"]
fn f9_a_revocation_reaches_the_other_gateway() {
    const ROUNDS: usize = 40;
    let mut all = Vec::new();
    for (name, is_cut) in [("F9", false), ("F9 without word of changes", true)] {
        let mut bounds = Bounds::of(name);
        for _ in 0..RUNS {
            let mut took = revocations(ROUNDS, is_cut, true);
            took.sort();
            let p99 = took[ROUNDS * 99 / 100];
            if !is_cut {
                bounds.at_most("last admit after the revocation, p99", 1.0, "s", p99.as_secs_f64());
            }
            let worst = took[ROUNDS - 1].as_secs_f64();
            bounds.at_most("last admit after the revocation, worst", 5.0, "s", worst);
        }
        all.push(bounds);
    }
    Bounds::hold_all(all);
}

// F10

/// An operator suspends a TPP at the first gateway while open connections to both go on asking.
fn suspensions(rounds: usize, is_cut: bool) -> Vec<Duration> {
    const OWNER: &str = "PSDFR-ACPR-99901";
    let scene = Replicas::start(one_bank);
    if is_cut {
        scene.ways.iter().for_each(|way| way.set_where("HELLO", Fault::Blackhole));
    }
    let config = scene.gateways[0].config_file();
    let decide = |verb: &str| {
        let who = ["--by", "Ada", "--because", "incident 4711", "--config", path_text(&config)];
        let output = run(&[&["tpp", verb, OWNER], &who[..]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let connect = |gateway: &Gateway| gateway.tpp("funds-co").connect(HOST).unwrap();
    let mut connections: Vec<_> = scene.gateways.iter().map(connect).collect();
    let took = (0..rounds).map(|round| {
        let token = format!("token-{round:037}");
        for connection in &mut connections {
            // A token that was issued in the second of the suspension ended with it.
            eventually("it serves again", || {
                scene.redis.mint(&token, "gilles");
                let octets = scene.gateways[0].request(&token).octets();
                (connection.exchange(&octets).unwrap().status == 200).then_some(())
            });
        }
        let octets = scene.gateways[0].request(&token).octets();
        let began = Instant::now();
        decide("suspend");
        for connection in &mut connections {
            eventually("it is refused", || {
                let answer = connection.exchange(&octets).unwrap();
                (answer.status == 403 && answer.code() == "tpp_suspended").then_some(())
            });
        }
        let took = began.elapsed();
        decide("resume");
        took
    });
    took.collect()
}

#[test]
fn a_tpp_that_is_suspended_at_one_gateway_is_refused_on_open_connections_to_the_other() {
    suspensions(2, false);
}

#[test]
fn a_suspension_counts_at_the_other_gateway_though_redis_tells_of_no_change() {
    suspensions(2, true);
}

#[test]
#[ignore = "prints figures"]
fn f10_a_suspension_reaches_the_other_gateway() {
    let mut all = Vec::new();
    for (name, is_cut) in [("F10", false), ("F10 without word of changes", true)] {
        let mut bounds = Bounds::of(name);
        for _ in 0..RUNS {
            let worst = suspensions(10, is_cut).into_iter().max().unwrap_or_default();
            // The command that suspends is part of it.
            bounds.at_most("last admit after the command began", 5.0, "s", worst.as_secs_f64());
        }
        all.push(bounds);
    }
    Bounds::hold_all(all);
}

// F28

/// The reference load on gateways that have half of a processor together.
fn half_a_processor(length: Duration) -> (Vec<harness::load::Told>, &'static str) {
    let scene = Replicas::start(|_| {});
    let load = scene.load();
    scene.calm(&load, Duration::ZERO);
    let processes: Vec<u32> = scene.gateways.iter().map(Gateway::pid).collect();
    let slowed = Slowed::start(&processes);
    let began = Instant::now();
    thread::sleep(length);
    let how = slowed.how();
    drop(slowed);
    let mut told = load.stop();
    told.retain(|told| told.asked > began);
    for told in &told {
        assert!(told.answer.is_some(), "every request is answered");
        let known = [(200, ""), (503, "state_unavailable"), (503, "upstream_unavailable")];
        let known = known.contains(&(told.status(), told.code().as_str()));
        assert!(known || told.status() == 504, "{told:?}");
    }
    (told, how)
}

#[test]
fn on_half_a_processor_every_request_is_answered() {
    half_a_processor(Duration::from_secs(2));
}

#[test]
#[ignore = "prints figures"]
fn f28_half_a_processor() {
    let mut bounds = Bounds::of("F28");
    for _ in 0..RUNS {
        let (told, how) = half_a_processor(Duration::from_secs(20));
        println!("F28 by {how}: {:?}", tally(&told));
        let admitted = told.iter().filter(|told| told.status() == 200);
        bounds.at_most("p99 of the admitted", 1.0, "s", percentile(admitted, 0.99).as_secs_f64());
        let late = told.iter().filter(|told| told.took > Duration::from_secs(5)).count();
        bounds.at_most("replies later than 5 s", 0.0, "", late as f64);
        println!("F28: p50 {:.1} ms", ms(percentile(&told, 0.5)));
    }
    bounds.hold();
}
