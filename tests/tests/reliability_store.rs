//! Redis dies, hangs, dawdles, babbles, or is out of reach for one gateway: F1 to F4 and F32 of the
//! table in `docs/src/operating/reliability.md`. Each fault is made twice: shortly, for what must
//! never happen, and under the reference load, for its figures:
//! `cargo test -p octroi-tests --test reliability_store -- --ignored --nocapture --test-threads 1`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use harness::bounds::{Bounds, RUNS};
use harness::eventually;
use harness::fault_proxy::Fault;
use harness::load::{Load, Told, ms, percentile};
use harness::namespace::Namespace;
use harness::outage::{FULL, Length, Outage, SHORT};
use harness::replicas::{CLIENTS, RATE, Replicas, number_of};

fn everybody(_: &Told) -> bool {
    true
}

// F1

fn redis_is_killed(length: Length) -> Outage {
    let outage = Outage::make(length, |scene| scene.redis.kill(), |scene| scene.redis.restart());
    assert_eq!(outage.stale(length.tolerated, everybody), 0, "an old decision opened the bank");
    outage
}

#[test]
fn nobody_gets_in_on_an_old_decision_while_redis_is_dead() {
    redis_is_killed(SHORT);
}

#[test]
#[ignore = "prints figures"]
fn f1_redis_is_killed() {
    let mut bounds = Bounds::of("F1");
    for _ in 0..RUNS {
        let outage = redis_is_killed(FULL);
        bounds.at_most("admitted on a decision older than 5 s", 0.0, "", 0.0);
        outage.measure(&mut bounds);
    }
    bounds.hold();
}

// F2

/// The three ways in which a server says nothing.
#[derive(Clone, Copy)]
enum Silence {
    Stopped,
    Blackhole,
    HalfOpen,
}

fn redis_is_silent(length: Length, silence: Silence) -> Outage {
    let set = |scene: &mut Replicas, fault| scene.ways.iter().for_each(|way| way.set(fault));
    let outage = Outage::make(
        length,
        |scene| match silence {
            Silence::Stopped => scene.redis.pause(),
            Silence::Blackhole => set(scene, Fault::Blackhole),
            Silence::HalfOpen => set(scene, Fault::HalfOpen),
        },
        |scene| match silence {
            Silence::Stopped => scene.redis.resume(),
            _ => set(scene, Fault::None),
        },
    );
    assert_eq!(outage.stale(length.tolerated, everybody), 0, "an old decision opened the bank");
    outage
}

#[test]
fn nobody_gets_in_on_an_old_decision_while_redis_is_stopped() {
    redis_is_silent(SHORT, Silence::Stopped);
}

#[test]
fn nobody_gets_in_on_an_old_decision_while_redis_swallows_every_question() {
    redis_is_silent(SHORT, Silence::Blackhole);
}

#[test]
fn nobody_gets_in_on_an_old_decision_while_connections_to_redis_are_half_open() {
    redis_is_silent(SHORT, Silence::HalfOpen);
}

#[test]
#[ignore = "prints figures"]
fn f2_redis_is_silent() {
    let mut all = Vec::new();
    for (name, silence) in [
        ("F2 SIGSTOP", Silence::Stopped),
        ("F2 blackhole", Silence::Blackhole),
        ("F2 half-open", Silence::HalfOpen),
    ] {
        let mut bounds = Bounds::of(name);
        for _ in 0..RUNS {
            let outage = redis_is_silent(FULL, silence);
            bounds.at_most("admitted on a decision older than 5 s", 0.0, "", 0.0);
            outage.measure(&mut bounds);
            let seconds = (outage.ended - outage.began).as_secs_f64();
            for dialled in &outage.dialled {
                // The first is dialled as the circuit opens.
                let probes = dialled.saturating_sub(1) as f64 / seconds;
                bounds.at_most("probes per second and gateway", 1.0, "", probes);
            }
            for (before, after) in &outage.descriptors {
                let more = after.abs_diff(*before) as f64;
                bounds.at_most("descriptors more or fewer afterwards", 5.0, "", more);
            }
        }
        all.push(bounds);
    }
    Bounds::hold_all(all);
}

// F3

/// Redis answers so much later: half of it on the way there, half on the way back.
fn redis_is_slow(later: Duration, length: Length) -> (Vec<Told>, Vec<Told>) {
    let scene = Replicas::start(|_| {});
    let load = scene.load();
    let calm = scene.calm(&load, length.calm);
    scene.ways.iter().for_each(|way| way.set(Fault::Delay(later / 2)));
    let began = Instant::now();
    thread::sleep(length.fault);
    let told = load.stop();
    let slow: Vec<Told> = told.into_iter().filter(|told| told.asked >= began).collect();
    for told in &slow {
        assert!(told.answer.is_some(), "every request is answered");
        let known = [(200, ""), (503, "state_unavailable")];
        assert!(known.contains(&(told.status(), told.code().as_str())), "{told:?}");
    }
    (calm, slow)
}

#[test]
fn a_slow_redis_is_waited_for() {
    let (_, slow) = redis_is_slow(Duration::from_millis(20), SHORT);
    assert!(slow.iter().any(|told| told.status() == 200));
}

#[test]
#[ignore = "prints figures"]
fn f3_redis_is_slow() {
    let mut all = Vec::new();
    for (name, delay) in [("F3 20 ms", 20), ("F3 80 ms", 80)] {
        let mut bounds = Bounds::of(name);
        for _ in 0..RUNS {
            let (calm, slow) = redis_is_slow(Duration::from_millis(delay), FULL);
            let refused = slow.iter().filter(|told| told.status() != 200).count();
            let most = ms(percentile(&calm, 0.99)) + 2.0 * delay as f64 + 10.0;
            bounds.at_most("errors", 0.0, "", refused as f64);
            bounds.at_most("p99 of replies", most, "ms", ms(percentile(&slow, 0.99)));
        }
        all.push(bounds);
    }
    Bounds::hold_all(all);
}

// F4

/// So many requests, each with a token of its own, while the replies of Redis are spoilt in turns.
/// How many were let in.
fn redis_babbles(requests: usize) -> usize {
    let scene = Replicas::start(|_| {});
    let token = |number: usize| format!("token-{number:037}");
    let is_stranger = |number: usize| number % 10 == 9;
    let mut connection = scene.redis.connection();
    let mut minting = redis::pipe();
    for number in (0..requests).filter(|number| !is_stranger(*number)) {
        let psu = format!("psu-{number}");
        let (key, record) = harness::redis_server::token_record(&token(number), &psu);
        minting.cmd("SET").arg(key).arg(record).ignore();
    }
    minting.exec(&mut connection).unwrap();

    let askers = (0..CLIENTS).map(|client| scene.asker_of(client % 2, 0, token));
    let load = Load::start(askers.collect(), Some(RATE));
    // A tenth of the time, so that the circuit is closed for most of the requests.
    let mut faults = [Fault::Garble(7), Fault::Cut(3), Fault::Garble(40)].into_iter().cycle();
    eventually("every token was used", || {
        let fault = faults.next().unwrap();
        for (fault, time) in [(fault, 20), (Fault::None, 180)] {
            scene.ways.iter().for_each(|way| way.set(fault));
            thread::sleep(Duration::from_millis(time));
        }
        (load.count() >= requests).then_some(())
    });
    let told = load.stop();
    let heard: HashMap<usize, _> =
        scene.banks[0].heard().into_iter().map(|heard| (number_of(&heard), heard)).collect();
    for (number, heard) in &heard {
        assert_eq!(
            heard.values("octroi-psu"),
            [format!("psu-{number}")],
            "another's reply was used"
        );
    }
    let mut admitted = 0;
    for told in told {
        assert!(told.answer.is_some(), "every request is answered");
        let has_none = is_stranger(told.number) || told.number >= requests;
        if told.status() == 200 {
            assert!(!has_none, "let in without a token");
            assert!(heard.contains_key(&told.number));
            admitted += 1;
        } else {
            // What cannot be read is refused for that, and only who has no token hears so.
            let known = ["state_unavailable", "token_unknown"];
            let code = told.code();
            assert!(known.contains(&code.as_str()), "{} {code}", told.status());
            assert!(code != "token_unknown" || has_none, "a spoilt reply made a token unknown");
        }
    }
    admitted
}

#[test]
fn a_reply_that_is_garbled_or_cut_is_used_for_nobody() {
    assert!(redis_babbles(600) > 0);
}

#[test]
#[ignore = "prints figures"]
fn f4_redis_babbles() {
    const REQUESTS: usize = 10_000;
    let mut bounds = Bounds::of("F4");
    for _ in 0..RUNS {
        let admitted = redis_babbles(REQUESTS);
        println!("F4: {admitted} of {REQUESTS} let in, each by its own record");
        bounds.at_most("replies used for another request, of 10000", 0.0, "", 0.0);
        bounds.at_most("wrong admits", 0.0, "", 0.0);
    }
    bounds.hold();
}

// F32

/// The clients of the gateway that is cut off.
fn cut_off(told: &Told) -> bool {
    told.client.is_multiple_of(2)
}

/// The first gateway is out of reach of Redis, the second is not: the link is pulled where there is
/// one, else connections are half-open.
fn one_gateway_is_cut_off(length: Length, namespace: Option<&Namespace>) -> Outage {
    let set = |scene: &mut Replicas, is_there| match namespace {
        Some(namespace) => namespace.link_redis(is_there),
        None => scene.ways[0].set(if is_there { Fault::None } else { Fault::HalfOpen }),
    };
    let scene = length.start(namespace);
    let outage =
        Outage::make_in(scene, length, |scene| set(scene, false), |scene| set(scene, true));
    assert_eq!(outage.stale(length.tolerated, cut_off), 0, "an old decision opened the bank");
    let others = outage.during().filter(|told| !cut_off(told) && told.status() == 200).count();
    assert!(others > 0, "the gateway that reaches Redis serves");
    outage
}

#[test]
fn a_gateway_that_is_cut_off_from_redis_closes_and_the_other_serves() {
    one_gateway_is_cut_off(SHORT, None);
}

#[test]
#[ignore = "prints figures"]
fn f32_one_gateway_is_cut_off() {
    let namespace = Namespace::start();
    let name = if namespace.is_some() { "F32 link pulled" } else { "F32 half-open" };
    let mut bounds = Bounds::of(name);
    for _ in 0..RUNS {
        let outage = one_gateway_is_cut_off(FULL, namespace.as_ref());
        bounds.at_most("admitted there on a decision older than 5 s", 0.0, "", 0.0);
        let other = outage.told.iter().filter(|told| !cut_off(told));
        let refused = other.filter(|told| told.status() == 503).count();
        bounds.at_most("refused at the other", 0.0, "", refused as f64);
        outage.measure(&mut bounds);
    }
    bounds.hold();
}
