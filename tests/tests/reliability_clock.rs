//! The machine's clock is set while the gateway runs: F25 of the table in
//! `docs/src/operating/reliability.md`:
//! `cargo test -p octroi-tests --test reliability_clock -- --ignored --nocapture --test-threads 1`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::thread;
use std::time::{Duration, Instant};

use harness::bounds::{Bounds, RUNS};
use harness::client::Answer;
use harness::eventually;
use harness::false_clock::FalseClock;
use harness::gateway::{Gateway, HOST};
use harness::load::{Asker, Load, Told};
use harness::oauth::{App, GILLES};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

struct Scene {
    clock: FalseClock,
    gateway: Gateway,
}

/// A new consent; it ends the tokens of the one before.
fn token(gateway: &Gateway) -> String {
    App::of(gateway, "funds-co").pair(GILLES).access
}

impl Scene {
    fn start(change: impl FnOnce(&mut toml::Table)) -> Option<Self> {
        let Some(clock) = FalseClock::new() else {
            println!("skipped: libfaketime is not installed (Debian: faketime)");
            return None;
        };
        let command = clock.command();
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        let place = Gateway::sandbox().leave().under(&command);
        let gateway = Gateway::run_in(place, change);
        Some(Self { clock, gateway })
    }

    fn ask(&self, token: &str) -> Answer {
        self.gateway.tpp("funds-co").send(&self.gateway.request(token))
    }

    fn code(&self, token: &str) -> String {
        let answer = self.ask(token);
        if answer.status == 200 { String::new() } else { answer.code() }
    }

    fn stepped(&self, direction: &str) -> u64 {
        let metrics = self.gateway.metrics();
        let name = format!("octroi_clock_stepped_total{{direction=\"{direction}\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
        line.expect("the series is there from the beginning").parse().unwrap()
    }

    /// Sets the clock and waits until the gateway has told so.
    fn set(&self, seconds: i64, direction: &str) {
        let before = self.stepped(direction);
        self.clock.set(seconds);
        eventually("the step is told", || (self.stepped(direction) > before).then_some(()));
    }

    fn behind(&self) -> f64 {
        let metrics = self.gateway.metrics();
        let line = metrics.lines().find_map(|l| l.strip_prefix("octroi_clock_behind_seconds "));
        line.expect("the series is there").parse().unwrap()
    }
}

#[test]
fn what_expired_when_the_clock_went_ahead_stays_expired_when_it_is_set_back() {
    let Some(scene) = Scene::start(|_| {}) else { return };
    let first = token(&scene.gateway);
    assert_eq!(scene.code(&first), "");

    scene.set(HOUR + 60, "forwards");
    eventually("the token has expired", || (!scene.code(&first).is_empty()).then_some(()));
    scene.set(0, "backwards");
    assert!(scene.behind() > 3000.0, "{}", scene.behind());
    for _ in 0..20 {
        let code = scene.code(&first);
        assert!(["token_expired", "token_unknown"].contains(&code.as_str()), "{code}");
    }
    let fresh = token(&scene.gateway);
    for _ in 0..20 {
        assert_eq!(scene.code(&fresh), "", "who has a token is served at once");
    }

    let told = scene.gateway.place().events();
    let steps: Vec<_> =
        told.iter().filter(|event| event["event.action"] == "clock_stepped").collect();
    assert_eq!(steps.len(), 2, "{steps:?}");
    assert!(steps[1]["message"].as_str().unwrap().contains("backwards"), "{steps:?}");
    assert!(scene.gateway.place().log().contains("the wall clock was set backwards by"));
}

#[test]
fn a_certificate_that_expired_in_a_leap_of_400_days_stays_expired() {
    let Some(scene) = Scene::start(|_| {}) else { return };
    let first = token(&scene.gateway);
    assert_eq!(scene.code(&first), "");
    scene.set(400 * DAY, "forwards");
    let expired = || (scene.code(&first) == "certificate_expired").then_some(());
    eventually("the certificate has expired", expired);
    scene.set(0, "backwards");
    for _ in 0..20 {
        assert_eq!(scene.code(&first), "certificate_expired");
    }
}

#[test]
fn a_clock_that_is_set_back_an_hour_changes_nothing_for_anybody() {
    let Some(scene) = Scene::start(|_| {}) else { return };
    let first = token(&scene.gateway);
    assert_eq!(scene.code(&first), "");
    scene.set(-HOUR, "backwards");
    for _ in 0..20 {
        assert_eq!(scene.code(&first), "");
    }
    scene.set(0, "forwards");
    assert_eq!((scene.code(&first).as_str(), scene.behind()), ("", 0.0));
}

/// What one run of the reference load told, from each step of the clock to the next.
struct Run {
    told: Vec<Told>,
    steps: Vec<(i64, Instant)>,
}

fn run(steps: &[i64]) -> Option<Run> {
    let scene = Scene::start(|config| {
        let quota = toml::Table::from_iter([
            ("requests".to_owned(), 6000.into()),
            ("period".to_owned(), "1m".into()),
            ("burst".to_owned(), 100.into()),
        ]);
        config["quota"].as_table_mut().unwrap().insert("sandbox".to_owned(), quota.into());
    })?;
    let token = token(&scene.gateway);
    let octets = scene.gateway.request(&token).octets();
    let asker = |kind| {
        let octets = octets.clone();
        let client = scene.gateway.tpp("funds-co");
        Asker { client, host: HOST.to_owned(), request: Box::new(move |_| octets.clone()), kind }
    };
    let load = Load::start((0..16).map(asker).collect(), Some(200.0));
    thread::sleep(Duration::from_secs(3));
    let mut at = Vec::new();
    for (before, seconds) in std::iter::once(&0).chain(steps).zip(steps) {
        at.push((*seconds, Instant::now()));
        scene.set(*seconds, if seconds > before { "forwards" } else { "backwards" });
        thread::sleep(Duration::from_secs(5));
    }
    let told = load.stop();
    assert!(told.iter().all(|told| told.answer.is_some()), "every request is answered");
    Some(Run { told, steps: at })
}

#[test]
#[ignore = "prints figures"]
fn f25_the_clock_is_set() {
    let mut all = Vec::new();
    let cases: [(&str, &[i64]); 3] = [
        ("F25 an hour ahead and back", &[HOUR + 60, 0]),
        ("F25 400 days ahead and back", &[400 * DAY, 0]),
        ("F25 an hour back and ahead", &[-HOUR, 0]),
    ];
    for (name, steps) in cases {
        let mut bounds = Bounds::of(name);
        for _ in 0..RUNS {
            let Some(run) = run(steps) else { return };
            let slowest = run.told.iter().map(|told| told.took).max().unwrap_or_default();
            bounds.at_most("slowest reply", 1.0, "s", slowest.as_secs_f64());
            let (first, last) = (run.steps[0].1, run.steps[1].1);
            // The gateway notices within the second of the library, and the look of the keeper.
            let noticed = Duration::from_secs(2);
            let admitted = |from: Instant, to: Option<Instant>| {
                let within = |told: &&Told| {
                    told.asked > from && to.is_none_or(|to| told.asked < to) && told.status() == 200
                };
                run.told.iter().filter(within).count()
            };
            if steps[0] > 0 {
                let expired = admitted(first + noticed, Some(last)) + admitted(last, None);
                bounds.at_most("admitted after it had expired", 0.0, "", expired as f64);
            } else {
                // 100 a second are due; a limiter that waits for the clock would grant none.
                let granted = admitted(first + noticed, Some(last)) as f64;
                let seconds = last.saturating_duration_since(first + noticed).as_secs_f64();
                let missing = 100.0 * (1.0 - granted / (100.0 * seconds)).max(0.0);
                bounds.at_most("of the quota not granted", 5.0, "%", missing);
            }
        }
        all.push(bounds);
    }
    Bounds::hold_all(all);
}
