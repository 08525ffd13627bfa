//! A bank's adapter is down, hangs, trickles or stops in the middle: F17 and F18 of the table in
//! `docs/src/operating/reliability.md`. Each fault is made twice: shortly, for what must never
//! happen, and under the reference load, for its figures:
//! `cargo test -p octroi-tests --test reliability_upstream -- --ignored --nocapture --test-threads 1`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::thread;
use std::time::{Duration, Instant};

use harness::bounds::{Bounds, RUNS};
use harness::eventually;
use harness::fault_proxy::Fault;
use harness::gateway::{Gateway, upstream};
use harness::load::{Load, Told, ms, percentile, tally};
use harness::process::memory;
use harness::replicas::{BANK, CODETABS, Replicas, heard_twice};
use harness::upstream::{Manner, Upstream};

/// The bank that is reached through a fault proxy, and the one that is reached directly.
const PROXIED: usize = 0;
const DIRECT: usize = 1;

/// What a client is told of a bank that fails.
const UNAVAILABLE: (u16, &str) = (503, "upstream_unavailable");
const TIMEOUT: (u16, &str) = (504, "upstream_timeout");
/// An answer that began and did not end.
const CUT: (u16, &str) = (0, "");

/// How long the parts of a test are, and how long an answer may take.
#[derive(Clone, Copy)]
struct Length {
    calm: Duration,
    fault: Duration,
    deadline: Duration,
}

const SHORT: Length = Length {
    calm: Duration::from_millis(300),
    fault: Duration::from_millis(2500),
    deadline: Duration::from_secs(1),
};
const FULL: Length = Length {
    calm: Duration::from_secs(5),
    fault: Duration::from_secs(14),
    deadline: Duration::from_secs(10),
};

/// What was seen while one bank failed.
struct Failure {
    /// Before and after.
    calm: Vec<Told>,
    /// Of the bank that failed, from then on.
    failing: Vec<Told>,
    /// Of the other, while it did.
    other: Vec<Told>,
    ended: Instant,
    /// MiB more in each gateway.
    grown: Vec<f64>,
}

impl Failure {
    fn make(
        bank: usize,
        length: Length,
        begin: impl FnOnce(&mut Replicas),
        during: impl FnOnce(&Replicas, &Load),
        end: impl FnOnce(&mut Replicas),
    ) -> Self {
        let deadline = format!("{}ms", length.deadline.as_millis());
        let mut scene = Replicas::start(|config| {
            for codetab in config["codetab"].as_array_mut().unwrap() {
                let upstream = codetab["upstream"].as_table_mut().unwrap();
                upstream.insert("response_timeout".to_owned(), deadline.clone().into());
            }
        });
        let load = scene.load_on_both();
        let mut calm = scene.calm(&load, length.calm);
        let resident = |scene: &Replicas| -> Vec<f64> {
            let resident = |gateway: &Gateway| memory(gateway.pid(), "VmRSS:");
            scene.gateways.iter().map(resident).collect()
        };
        let before = resident(&scene);
        begin(&mut scene);
        let began = Instant::now();
        during(&scene, &load);
        thread::sleep(length.fault.saturating_sub(began.elapsed()));
        let grown = resident(&scene).iter().zip(before).map(|(now, before)| now - before).collect();
        end(&mut scene);
        let ended = Instant::now();
        calm.extend(scene.calm(&load, length.calm));
        let told = load.stop();
        scene.nobody_panicked();
        for bank in &scene.banks {
            assert_eq!(heard_twice(bank), Vec::<usize>::new(), "delivered twice");
        }
        let since: Vec<Told> = told.into_iter().filter(|told| told.asked >= began).collect();
        let (failing, mut other): (Vec<_>, Vec<_>) =
            since.into_iter().partition(|told| told.kind == bank);
        other.retain(|told| told.asked < ended);
        assert!(other.iter().any(|told| told.status() == 200), "{:?}", tally(&other));
        // On a machine that is busy with other tests Redis may be late.
        let known = [(200, ""), (503, "state_unavailable")];
        let is_served = |told: &Told| known.contains(&(told.status(), told.code().as_str()));
        assert!(other.iter().all(is_served), "{:?}", tally(&other));
        Self { calm, failing, other, ended, grown }
    }

    /// Nothing but these was said for the bank that failed.
    #[track_caller]
    fn says(&self, known: &[(u16, &str)]) {
        for ((status, code), count) in tally(&self.failing) {
            let store = (503, "state_unavailable");
            let known = [known, &[(200, ""), store]].concat();
            assert!(known.contains(&(status, code.as_str())), "{count} times {status} {code}");
        }
    }

    fn measure(&self, bounds: &mut Bounds) {
        let kind = self.other.first().map_or(0, |told| told.kind);
        let calm = percentile(self.calm.iter().filter(|told| told.kind == kind), 0.99);
        let now = percentile(&self.other, 0.99);
        println!("p99 at the other bank: calm {:.1} ms, now {:.1} ms", ms(calm), ms(now));
        let errors = self.other.iter().filter(|told| told.status() != 200).count();
        bounds.at_most("errors at the other bank", 0.0, "", errors as f64);
        let times = ms(now) / ms(calm);
        bounds.at_most("p99 at the other bank, beside calm", 1.5, "times", times);
        bounds.at_most("delivered twice", 0.0, "", 0.0);
        let grown = self.grown.iter().copied().fold(0.0, f64::max);
        bounds.at_most("memory of a gateway, more than before", 16.0, "MiB", grown);
    }

    /// From the end of the fault to the last answer that is none of the bank's.
    fn recovery(&self) -> Duration {
        let refused = |told: &&Told| told.asked >= self.ended && told.status() != 200;
        let last = self.failing.iter().rfind(refused);
        last.map(|told| (told.asked + told.took) - self.ended).unwrap_or_default()
    }

    fn slowest(&self) -> Duration {
        self.failing.iter().map(|told| told.took).max().unwrap_or_default()
    }
}

/// A bank of these manners, but for what they say otherwise.
fn ordinary() -> Manner {
    Manner { delay: BANK, ..Manner::default() }
}

// F17

fn a_bank_is_down(length: Length) -> Failure {
    let failure = Failure::make(
        DIRECT,
        length,
        |scene| scene.banks[DIRECT].close(),
        |_, _| {},
        |scene| scene.banks[DIRECT].reopen(ordinary()),
    );
    failure.says(&[UNAVAILABLE]);
    failure
}

#[test]
fn a_bank_that_is_down_is_told_apart_from_its_neighbour_and_hears_nothing_twice() {
    let failure = a_bank_is_down(SHORT);
    let refused = failure.failing.iter().filter(|told| told.status() == 503);
    let mut answers = refused.filter_map(|told| told.answer.as_ref());
    assert!(answers.clone().count() > 0);
    assert!(answers.all(|answer| answer.header("retry-after").is_some()));
}

#[test]
#[ignore = "prints figures"]
fn f17_a_bank_is_down() {
    let mut bounds = Bounds::of("F17");
    for _ in 0..RUNS {
        let failure = a_bank_is_down(FULL);
        bounds.at_most(
            "slowest reply for the bank that is down",
            1.0,
            "s",
            failure.slowest().as_secs_f64(),
        );
        failure.measure(&mut bounds);
        println!("F17: served again after {:.2} s", failure.recovery().as_secs_f64());
    }
    bounds.hold();
}

// F18

/// The ways in which an adapter fails to answer.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// It takes the question and thinks for too long.
    Slow,
    /// Connections come about, and nobody is behind them.
    HalfOpen,
    /// An octet each second, from the first one of the head.
    Trickle,
    /// An octet each second of the body, after a head that comes at once.
    TricklingBody,
    /// It stops in the middle of the body.
    Cut,
}

fn a_bank_fails(length: Length, way: Way) -> Failure {
    let manner = match way {
        Way::Slow => Manner { delay: 3 * length.deadline, ..Manner::default() },
        Way::TricklingBody => Manner { pause: length.deadline / 10, ..Manner::default() },
        _ => ordinary(),
    };
    let fault = match way {
        Way::HalfOpen => Fault::HalfOpen,
        Way::Trickle => Fault::Throttle(1),
        // The head of an answer has some seventy octets, its body some sixty.
        Way::Cut => Fault::Cut(100),
        Way::Slow | Way::TricklingBody => Fault::None,
    };
    let is_open = format!("octroi_upstream_circuit_open{{codetab=\"{}\"}} 1", CODETABS[PROXIED]);
    let failure = Failure::make(
        PROXIED,
        length,
        |scene| {
            scene.banks[PROXIED].reopen(manner);
            scene.to_bank.set(fault);
        },
        |scene, _| {
            for gateway in &scene.gateways {
                eventually("the circuit opens", || {
                    gateway.metrics().contains(&is_open).then_some(())
                });
            }
        },
        |scene| {
            scene.to_bank.set(Fault::None);
            scene.banks[PROXIED].reopen(ordinary());
        },
    );
    match way {
        Way::Cut | Way::TricklingBody => failure.says(&[CUT, UNAVAILABLE, TIMEOUT]),
        Way::Slow | Way::HalfOpen | Way::Trickle => failure.says(&[UNAVAILABLE, TIMEOUT]),
    }
    failure
}

#[test]
fn a_bank_that_thinks_for_too_long_harms_no_other() {
    a_bank_fails(SHORT, Way::Slow);
}

#[test]
fn a_bank_behind_half_open_connections_harms_no_other() {
    a_bank_fails(SHORT, Way::HalfOpen);
}

#[test]
fn a_bank_that_trickles_harms_no_other() {
    a_bank_fails(SHORT, Way::Trickle);
}

#[test]
fn a_bank_that_trickles_after_a_head_that_came_at_once_harms_no_other() {
    a_bank_fails(SHORT, Way::TricklingBody);
}

#[test]
fn a_bank_that_stops_in_the_middle_harms_no_other() {
    a_bank_fails(SHORT, Way::Cut);
}

#[test]
#[ignore = "prints figures"]
fn f18_a_bank_fails() {
    let mut all = Vec::new();
    for (name, way) in [
        ("F18 slow", Way::Slow),
        ("F18 half-open", Way::HalfOpen),
        ("F18 trickle", Way::Trickle),
        ("F18 trickling body", Way::TricklingBody),
        ("F18 cut in the body", Way::Cut),
    ] {
        let mut bounds = Bounds::of(name);
        for _ in 0..RUNS {
            let failure = a_bank_fails(FULL, way);
            let most = FULL.deadline.as_secs_f64() + 0.5;
            bounds.at_most("slowest reply", most, "s", failure.slowest().as_secs_f64());
            failure.measure(&mut bounds);
            println!("{name}: served again after {:.2} s", failure.recovery().as_secs_f64());
        }
        all.push(bounds);
    }
    Bounds::hold_all(all);
}

#[test]
fn an_answer_that_is_cut_short_is_recorded_as_such_with_its_reason() {
    let scene = Replicas::start(|_| {});
    let gateway = &scene.gateways[0];
    let asker = scene.asker(0, PROXIED);
    scene.to_bank.set(Fault::Cut(100));
    let mut connection = asker.client.connect(&asker.host).unwrap();
    connection.write(&(asker.request)(0)).unwrap();
    assert!(connection.read().is_err(), "a client can tell that the answer is not whole");
    let record = eventually("its record", || gateway.place().audit().into_iter().next());
    assert_eq!(
        (&record["octroi.outcome"], &record["event.reason"]),
        (&"aborted".into(), &"upstream_unavailable".into()),
        "{record:#}"
    );
}

#[test]
fn who_was_told_to_continue_is_told_that_the_bank_is_late_too() {
    let sandbox = Gateway::sandbox();
    let token = sandbox.token("funds-co", "gilles", &[]);
    let bank = Upstream::start(Manner { delay: Duration::from_secs(5), ..Manner::default() });
    let mut settings = bank.settings();
    settings.insert("response_timeout".to_owned(), "1s".into());
    let gateway = Gateway::run_in(sandbox.leave(), |config| upstream(config, "17515", settings));
    let request = gateway.request(&token).with("Expect", "100-continue");
    let answer = gateway.tpp("funds-co").send(&request);
    assert_eq!((answer.status, answer.code().as_str()), TIMEOUT);
}
