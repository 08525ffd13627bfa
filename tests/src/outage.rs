//! Two gateways under the reference load while Redis is away from some of them: what became of every request.

use std::thread;
use std::time::{Duration, Instant};

use crate::bounds::Bounds;
use crate::eventually;
use crate::load::{Load, Told, ms, percentile, tally};
use crate::namespace::Namespace;
use crate::process::descriptors;
use crate::replicas::{CLIENTS, RATE, Replicas};

/// A kind of client beside those of the banks: its token is nobody's.
pub const STRANGER: usize = 9;

/// How long the parts of a test are.
#[derive(Clone, Copy)]
pub struct Length {
    /// How old a token may be that serves while Redis is away.
    pub tolerated: Duration,
    pub calm: Duration,
    pub fault: Duration,
    pub after: Duration,
}

pub const SHORT: Length = Length {
    tolerated: Duration::from_secs(1),
    calm: Duration::from_millis(500),
    fault: Duration::from_millis(2500),
    after: Duration::ZERO,
};
pub const FULL: Length = Length {
    tolerated: Duration::from_secs(5),
    calm: Duration::from_secs(3),
    fault: Duration::from_secs(10),
    after: Duration::from_secs(4),
};

impl Length {
    pub fn start(self, namespace: Option<&Namespace>) -> Replicas {
        let tolerated = format!("{}ms", self.tolerated.as_millis());
        Replicas::start_in(namespace, |config| {
            config["store"]["tolerated_for"] = tolerated.clone().into();
        })
    }
}

/// What was seen while Redis was away from some of the gateways.
pub struct Outage {
    pub told: Vec<Told>,
    pub began: Instant,
    pub ended: Instant,
    pub descriptors: Vec<(usize, usize)>,
    /// Connections to Redis while it was away, each gateway; those for invalidations not counted.
    pub dialled: Vec<usize>,
}

impl Outage {
    /// Makes one under the reference load, of which two clients have no token.
    pub fn make(
        length: Length,
        begin: impl FnOnce(&mut Replicas),
        end: impl FnOnce(&mut Replicas),
    ) -> Self {
        Self::make_in(length.start(None), length, begin, end)
    }

    pub fn make_in(
        mut scene: Replicas,
        length: Length,
        begin: impl FnOnce(&mut Replicas),
        end: impl FnOnce(&mut Replicas),
    ) -> Self {
        let askers = (0..CLIENTS).map(|client| {
            let gateway = client % scene.gateways.len();
            if client >= scene.gateways.len() {
                return scene.asker(gateway, 0);
            }
            let mut stranger = scene.asker_with(gateway, 0, "a-token-that-nobody-issued");
            stranger.kind = STRANGER;
            stranger
        });
        let load = Load::start(askers.collect(), Some(RATE));
        let serves = |load: &Load, scene: &Replicas| {
            let before = load.count();
            eventually("every client with a token is served", || {
                let told = load.so_far();
                let last = &told[told.len().saturating_sub(2 * CLIENTS).max(before)..];
                let good = last.iter().filter(|told| told.kind != STRANGER);
                (last.len() == 2 * CLIENTS && good.clone().all(|told| told.status() == 200))
                    .then_some(())
            });
            scene.gateways.iter().map(|gateway| descriptors(gateway.pid())).collect::<Vec<_>>()
        };
        serves(&load, &scene);
        thread::sleep(length.calm);
        let before = serves(&load, &scene);
        begin(&mut scene);
        let began = Instant::now();
        thread::sleep(length.fault);
        let dialled = scene.ways.iter().map(|way| way.accepted_without("HELLO", began)).collect();
        end(&mut scene);
        let ended = Instant::now();
        let after = serves(&load, &scene);
        thread::sleep(length.after);
        let told = load.stop();
        scene.nobody_panicked();
        let descriptors = before.into_iter().zip(after).collect();
        let outage = Self { told, began, ended, descriptors, dialled };
        outage.nobody_got_in();
        outage
    }

    /// What must never happen, however slow the machine is.
    fn nobody_got_in(&self) {
        for told in &self.told {
            let answer = told.answer.as_ref().expect("every request is answered");
            let code = told.code();
            match (told.kind, answer.status) {
                (STRANGER, 401) => assert_eq!(code, "token_unknown"),
                (STRANGER, 200) => panic!("a token that nobody issued opened the bank"),
                (_, 200) => {}
                (_, status) => {
                    assert_eq!((status, code.as_str()), (503, "state_unavailable"));
                    assert!(answer.header("retry-after").is_some());
                }
            }
        }
        assert!(tally(&self.told).contains_key(&(503, "state_unavailable".to_owned())));
    }

    pub fn stale(&self, tolerated: Duration, is_hit: impl Fn(&Told) -> bool) -> usize {
        let over = self.began + tolerated;
        let stale = |told: &&Told| told.asked > over && told.asked < self.ended && is_hit(told);
        self.told.iter().filter(stale).filter(|told| told.status() == 200).count()
    }

    pub fn during(&self) -> impl Iterator<Item = &Told> + Clone {
        self.told.iter().filter(|told| told.asked >= self.began && told.asked < self.ended)
    }

    /// From the end of the fault to the last refusal.
    pub fn recovery(&self) -> Duration {
        let refused = |told: &&Told| told.asked >= self.ended && told.status() == 503;
        let last = self.told.iter().rfind(refused);
        last.map(|told| (told.asked + told.took) - self.ended).unwrap_or_default()
    }

    pub fn measure(&self, bounds: &mut Bounds) {
        let hangs = self.told.iter().filter(|told| told.took > Duration::from_secs(1)).count();
        bounds.at_most(
            "p99 of replies while away",
            250.0,
            "ms",
            ms(percentile(self.during(), 0.99)),
        );
        bounds.at_most("replies later than 1 s", 0.0, "", hangs as f64);
        bounds.at_most("all served again after", 2.0, "s", self.recovery().as_secs_f64());
    }
}
