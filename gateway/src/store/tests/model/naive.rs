//! The rules as one would tell them, on plain sets and maps.

use std::collections::{BTreeMap, BTreeSet};

use super::{Caller, DAY, Fact, LIVES, Request, TPPS, Then, Told, Whose};
use crate::store::Store;

#[derive(Clone, Debug)]
struct Code {
    whose: Whose,
    client: u8,
    challenge: Option<u8>,
    authenticated: i64,
    ends: i64,
    cuts: u32,
}

#[derive(Clone, Debug)]
struct Token {
    is_refresh: bool,
    whose: Whose,
    client: u8,
    /// The code it came of, or itself.
    family: u32,
    authenticated: i64,
    ends: i64,
    cuts: u32,
    /// When another authorization server issued it.
    external: Option<i64>,
}

/// A code or refresh token that was used.
#[derive(Clone, Debug)]
struct Spent {
    tpp: usize,
    client: u8,
    family: u32,
    kept_until: i64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    codes: BTreeMap<u32, Code>,
    tokens: BTreeMap<u32, Token>,
    spent: BTreeMap<u32, Spent>,
    cuts: [Vec<i64>; TPPS],
    suspended: BTreeSet<usize>,
    /// Redis forgets by its own clock, which no history moves.
    never_forgets: bool,
}

impl Model {
    pub(super) fn of(store: &dyn Store) -> Self {
        Model { never_forgets: store.name() == "redis", ..Model::default() }
    }

    pub(super) fn apply(&mut self, now: i64, request: &Request) -> Told {
        match *request {
            Request::Keep { code, whose, client, challenge, authenticated, ends } => {
                if self.suspended.contains(&whose.tpp) {
                    return Told::Refused;
                }
                let cuts = self.cuts_of(whose.tpp);
                let kept = Code { whose, client, challenge, authenticated, ends, cuts };
                self.codes.insert(code, kept);
                Told::Done
            }
            Request::Exchange { code, by, uri, challenge, access, refresh } => {
                let Some(kept) = self.codes.get(&code).cloned() else {
                    return self.used_again(code, by);
                };
                if (kept.whose.tpp, kept.client) != (by.tpp, by.client) {
                    return Told::Refused;
                }
                self.codes.remove(&code);
                let over = consent_ends(kept.authenticated);
                let right = !self.suspended.contains(&by.tpp)
                    && kept.cuts == self.cuts_of(by.tpp)
                    && now < kept.ends
                    && now < over
                    && kept.whose.bank == by.bank
                    && uri == Some(0)
                    && challenge == kept.challenge;
                if !right {
                    return Told::Refused;
                }
                self.replace(kept.whose);
                let token = Token {
                    is_refresh: true,
                    whose: kept.whose,
                    client: kept.client,
                    family: code,
                    authenticated: kept.authenticated,
                    ends: over,
                    cuts: kept.cuts,
                    external: None,
                };
                self.tokens.insert(refresh, token.clone());
                let ends = over.min(now + LIVES.access_seconds);
                self.tokens.insert(access, Token { is_refresh: false, ends, ..token });
                self.spend(code, by, code, now + DAY);
                Told::Done
            }
            Request::Refresh { refresh, by, access, rotated } => {
                let Some(old) = self.tokens.get(&refresh).cloned() else {
                    return self.used_again(refresh, by);
                };
                let theirs = old.is_refresh
                    && (old.whose.tpp, old.client) == (by.tpp, by.client)
                    && old.whose.bank == by.bank
                    && !self.suspended.contains(&by.tpp)
                    && old.cuts == self.cuts_of(by.tpp);
                if !theirs {
                    return Told::Refused;
                }
                if now >= old.ends {
                    self.end_family(old.family);
                    return Told::Refused;
                }
                self.tokens.retain(|_, token| token.is_refresh || token.family != old.family);
                let ends = old.ends.min(now + LIVES.access_seconds);
                self.tokens.insert(access, Token { is_refresh: false, ends, ..old.clone() });
                if let Some(rotated) = rotated {
                    self.tokens.remove(&refresh);
                    self.spend(refresh, by, old.family, old.ends);
                    self.tokens.insert(rotated, old);
                }
                Told::Done
            }
            Request::Give { whose, access, ends } => {
                if self.suspended.contains(&whose.tpp) {
                    return Told::Refused;
                }
                self.replace(whose);
                let token = Token {
                    is_refresh: false,
                    whose,
                    client: 0,
                    family: access,
                    authenticated: now,
                    ends,
                    cuts: self.cuts_of(whose.tpp),
                    external: None,
                };
                self.tokens.insert(access, token);
                Told::Done
            }
            Request::Put { token, tpp, issued, ends } => {
                let whose = Whose { psu: None, tpp, scope: policies::Scope::Aisp, bank: 0 };
                let put = Token {
                    is_refresh: false,
                    whose,
                    client: 0,
                    family: token,
                    authenticated: issued,
                    ends,
                    cuts: 0,
                    external: Some(issued),
                };
                self.tokens.insert(token, put);
                Told::Done
            }
            Request::Revoke { token, by, .. } => {
                let Some(revoked) = self.tokens.get(&token) else { return Told::Refused };
                if by.is_some_and(|by| by != revoked.whose.tpp) {
                    return Told::Refused;
                }
                self.end_family(revoked.family);
                Told::Done
            }
            Request::Cut { tpp, then } => {
                self.cuts[tpp].push(now);
                match then {
                    Then::Suspend => drop(self.suspended.insert(tpp)),
                    Then::Resume => drop(self.suspended.remove(&tpp)),
                    Then::Stay => (),
                }
                Told::Done
            }
            Request::Sweep => {
                if !self.never_forgets {
                    self.tokens.retain(|_, token| token.ends + DAY >= now);
                    self.spent.retain(|_, spent| spent.kept_until >= now);
                }
                Told::Done
            }
        }
    }

    /// What a gateway must be told of a token.
    pub(super) fn fact(&self, token: u32, now: i64) -> Fact {
        let Some(token) = self.tokens.get(&token) else { return Fact::Unknown };
        let tpp = token.whose.tpp;
        let cut_since = match token.external {
            Some(issued) => self.cuts[tpp].iter().any(|cut| issued <= *cut),
            None => token.cuts != self.cuts_of(tpp),
        };
        if self.suspended.contains(&tpp) {
            Fact::Suspended
        } else if cut_since {
            Fact::Unknown
        } else if token.ends <= now {
            Fact::Expired
        } else {
            Fact::Live { ends: token.ends }
        }
    }

    /// The rules themselves, on what the store said lives.
    pub(super) fn broken_rule(&self, live: &[u32], now: i64) -> Option<String> {
        let mut pairs = BTreeSet::new();
        for number in live {
            let token = self.tokens.get(number)?;
            if token.external.is_none() && !pairs.insert((token.whose, token.is_refresh)) {
                return Some(format!("{:?} has two tokens of a kind", token.whose));
            }
            if token.whose.psu.is_some() && now >= consent_ends(token.authenticated) {
                return Some(format!("{number} outlives its consent"));
            }
            if self.suspended.contains(&token.whose.tpp) {
                return Some(format!("{number} lives, and its TPP is suspended"));
            }
        }
        None
    }

    fn cuts_of(&self, tpp: usize) -> u32 {
        self.cuts[tpp].len() as u32
    }

    fn used_again(&mut self, secret: u32, by: Caller) -> Told {
        match self.spent.get(&secret) {
            Some(spent) if (spent.tpp, spent.client) == (by.tpp, by.client) => {
                self.end_family(spent.family);
                Told::Replayed
            }
            _ => Told::Refused,
        }
    }

    fn spend(&mut self, secret: u32, by: Caller, family: u32, kept_until: i64) {
        let spent = Spent { tpp: by.tpp, client: by.client, family, kept_until };
        self.spent.insert(secret, spent);
    }

    fn end_family(&mut self, family: u32) {
        self.tokens.retain(|_, token| token.family != family);
    }

    fn replace(&mut self, whose: Whose) {
        self.tokens.retain(|_, token| token.external.is_some() || token.whose != whose);
    }
}

fn consent_ends(authenticated: i64) -> i64 {
    authenticated + LIVES.consent_days * DAY
}
