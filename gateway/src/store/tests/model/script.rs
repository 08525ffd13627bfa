//! Random requests, mostly sensible ones, the same for the same seed.

use policies::Scope;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{Caller, DAY, Holder, LIVES, Request, TPPS, Then, Whose};

/// How long a code lives, seconds.
const CODE_LIFE: i64 = 60;

/// A code or refresh token, and what its right use looks like.
#[derive(Clone, Copy, Debug)]
struct Secret {
    number: u32,
    whose: Whose,
    client: u8,
    challenge: Option<u8>,
}

pub(super) struct Script {
    rng: StdRng,
    now: i64,
    next: u32,
    codes: Vec<Secret>,
    refreshes: Vec<Secret>,
    tokens: Vec<(u32, Holder)>,
    suspended: [bool; TPPS],
}

impl Script {
    pub(super) fn of(seed: u64) -> Self {
        Script {
            rng: StdRng::seed_from_u64(seed),
            now: 0,
            next: 0,
            codes: Vec::new(),
            refreshes: Vec::new(),
            tokens: Vec::new(),
            suspended: [false; TPPS],
        }
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }

    fn number(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    /// The clock goes on, mostly by little, and sometimes back: replicas have clocks of their own.
    fn pass(&mut self) {
        let step = match self.rng.random_range(0..100) {
            0..74 => 0,
            74..88 => self.rng.random_range(1..CODE_LIFE / 2),
            88..92 => self.rng.random_range(CODE_LIFE..2 * LIVES.access_seconds),
            92..94 => self.rng.random_range(DAY - 2..2 * DAY),
            94..95 => self.rng.random_range(170 * DAY..=200 * DAY),
            // To the second at which a consent ends that began when the history did.
            95..96 => 180 * DAY - self.now.min(180 * DAY),
            _ => -self.rng.random_range(1..5),
        };
        self.now += step;
    }

    fn whose(&mut self) -> Whose {
        Whose {
            psu: Some(u8::from(self.chance(25)) + 1),
            tpp: if self.chance(60) { 0 } else { self.rng.random_range(0..TPPS) },
            scope: if self.chance(75) { Scope::Aisp } else { Scope::Cbpii },
            bank: u8::from(self.chance(20)),
        }
    }

    /// One of the last few, mostly.
    fn recent<T: Copy>(&mut self, of: impl Fn(&Self) -> &Vec<T>) -> Option<T> {
        let reach = if self.chance(80) { 3 } else { usize::MAX };
        let count = of(self).len();
        let back = self.rng.random_range(1..=count.min(reach).max(1));
        of(self).get(count.checked_sub(back)?).copied()
    }

    fn caller(&mut self, secret: Secret, wrong: bool) -> Caller {
        let mut by =
            Caller { tpp: secret.whose.tpp, client: secret.client, bank: secret.whose.bank };
        if wrong {
            match self.rng.random_range(0..3) {
                0 => by.tpp = (by.tpp + self.rng.random_range(1..TPPS)) % TPPS,
                1 => by.client = 1 - by.client,
                _ => by.bank = 1 - by.bank,
            }
        }
        by
    }

    fn keep(&mut self) -> Request {
        let (code, whose) = (self.number(), self.whose());
        let (client, challenge) = (u8::from(self.chance(20)), self.chance(50).then_some(0));
        let age = match self.rng.random_range(0..100) {
            0..70 => 0,
            70..85 => self.rng.random_range(-30..1_000),
            85..95 => 180 * DAY - self.rng.random_range(0..2 * CODE_LIFE),
            _ => self.rng.random_range(0..200 * DAY),
        };
        self.codes.push(Secret { number: code, whose, client, challenge });
        let (authenticated, ends) = (self.now - age, self.now + CODE_LIFE);
        Request::Keep { code, whose, client, challenge, authenticated, ends }
    }

    fn exchange(&mut self) -> Option<Request> {
        let code = self.recent(|script| &script.codes)?;
        let slip = if self.chance(25) { self.rng.random_range(0..3) } else { 3 };
        let by = self.caller(code, slip == 0);
        let uri = match slip {
            1 => self.chance(50).then_some(1),
            _ => Some(0),
        };
        let challenge = match slip {
            2 => [None, Some(0), Some(1)][self.rng.random_range(0..3)],
            _ => code.challenge,
        };
        let (access, refresh) = (self.number(), self.number());
        let of = Holder { tpp: code.whose.tpp, external: false };
        self.tokens.extend([(access, of), (refresh, of)]);
        self.refreshes.push(Secret { number: refresh, challenge: None, ..code });
        Some(Request::Exchange { code: code.number, by, uri, challenge, access, refresh })
    }

    fn refresh(&mut self) -> Option<Request> {
        let used = self.recent(|script| &script.refreshes)?;
        let wrong = self.chance(15);
        let by = self.caller(used, wrong);
        let (access, rotated) = (self.number(), self.number());
        let rotated = self.chance(40).then_some(rotated);
        let of = Holder { tpp: used.whose.tpp, external: false };
        self.tokens.push((access, of));
        if let Some(rotated) = rotated {
            self.tokens.push((rotated, of));
            self.refreshes.push(Secret { number: rotated, ..used });
        }
        Some(Request::Refresh { refresh: used.number, by, access, rotated })
    }

    fn request(&mut self) -> Option<Request> {
        match self.rng.random_range(0..100) {
            0..20 => Some(self.keep()),
            20..46 => self.exchange(),
            46..70 => self.refresh(),
            70..79 => {
                let (token, of) = self.recent(|script| &script.tokens)?;
                let by = match self.rng.random_range(0..10) {
                    0..3 => None,
                    3..7 => Some(of.tpp),
                    _ => Some(self.rng.random_range(0..TPPS)),
                };
                Some(Request::Revoke { token, of, by })
            }
            79..85 => {
                let tpp = self.whose().tpp;
                let then = match self.rng.random_range(0..6) {
                    0 => Then::Stay,
                    _ if self.suspended[tpp] => Then::Resume,
                    1..4 => Then::Suspend,
                    _ => Then::Resume,
                };
                self.suspended[tpp] = match then {
                    Then::Suspend => true,
                    Then::Resume => false,
                    Then::Stay => self.suspended[tpp],
                };
                Some(Request::Cut { tpp, then })
            }
            85..90 => {
                let (access, whose) = (self.number(), Whose { psu: None, ..self.whose() });
                self.tokens.push((access, Holder { tpp: whose.tpp, external: false }));
                Some(Request::Give { whose, access, ends: self.now + LIVES.access_seconds })
            }
            90..96 => {
                let (token, tpp) = (self.number(), self.whose().tpp);
                self.tokens.push((token, Holder { tpp, external: true }));
                let issued = self.now - self.rng.random_range(-2..10);
                Some(Request::Put { token, tpp, issued, ends: self.now + LIVES.access_seconds })
            }
            _ => Some(Request::Sweep),
        }
    }
}

/// Requests, each with its instant.
impl Iterator for Script {
    type Item = (i64, Request);

    fn next(&mut self) -> Option<(i64, Request)> {
        self.pass();
        loop {
            if let Some(request) = self.request() {
                return Some((self.now, request));
            }
        }
    }
}
