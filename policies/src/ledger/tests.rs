//! The steps one by one, on a store of the simplest kind.

mod consents;
mod cuts;
mod stored;

use certs::OrganisationId;
use jiff::{SignedDuration, Timestamp};

use super::pair::standing_place;
use super::*;
use crate::scope::Scope;
use crate::token::{Psu, TokenDigest, TokenRecord};

const LIVES: Lives = Lives { access_seconds: 3_600, consent_days: 180 };
const DAY: i64 = 24 * 60 * 60;
const CALL_BACK: &str = "https://tpp.example/cb";

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn after(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

fn tpp(number: u32) -> OrganisationId {
    OrganisationId::new(&format!("PSDFR-ACPR-{number}")).unwrap()
}

fn secret(text: &str) -> TokenDigest {
    certs::sha256(text.as_bytes())
}

fn code_record() -> CodeRecord {
    CodeRecord {
        organisation_id: tpp(1),
        client_id: "client".to_owned(),
        redirect_uri: CALL_BACK.to_owned(),
        code_challenge: None,
        scope: Scope::Aisp,
        codetab: "17515".to_owned(),
        psu: Psu::new("marie".to_owned()),
        consent_id: "consent".to_owned(),
        accounts: None,
        strong_authentication_at: now(),
        expires_at: after(60),
        epoch: 0,
    }
}

/// What the right client sends for the code `name`; its tokens are `access-<name>` and
/// `refresh-<name>`.
fn exchanging<'a>(name: &str, organisation_id: &'a OrganisationId) -> Exchange<'a> {
    Exchange {
        code: secret(name),
        organisation_id,
        client_id: "client",
        codetab: "17515",
        redirect_uri: Some(CALL_BACK),
        challenge: None,
        certificate: None,
        access: secret(&format!("access-{name}")),
        refresh: secret(&format!("refresh-{name}")),
    }
}

fn refreshing<'a>(refresh: &str, access: &str, id: &'a OrganisationId) -> Refresh<'a> {
    Refresh {
        refresh: secret(refresh),
        organisation_id: id,
        client_id: "client",
        codetab: "17515",
        scope: None,
        certificate: None,
        access: secret(access),
        rotated: None,
    }
}

/// Keeps everything for ever, and reads what a step asks for.
#[derive(Clone, Default, PartialEq, Debug)]
struct Keeper(HashMap<Place, Vec<u8>>);

type Answer = Result<Issued, GrantFault>;

impl Keeper {
    fn try_run<T>(&mut self, mut step: impl FnMut(&Book<'_>) -> Step<T>) -> Result<T, Kind> {
        let mut pages = HashMap::new();
        loop {
            match step(&Book::new(&pages)) {
                Ok((answer, changes)) => {
                    for write in changes.writes() {
                        match &write.page {
                            Some((page, _)) => self.0.insert(write.place, page.clone()),
                            None => self.0.remove(&write.place),
                        };
                    }
                    return Ok(answer);
                }
                Err(Pause::Damaged(kind)) => return Err(kind),
                Err(Pause::Unread(unread)) => {
                    assert!(!unread.is_empty(), "a step that waits for nothing never ends");
                    pages.extend(unread.iter().map(|place| (*place, self.0.get(place).cloned())));
                }
            }
        }
    }

    #[track_caller]
    fn run<T>(&mut self, step: impl FnMut(&Book<'_>) -> Step<T>) -> T {
        self.try_run(step).unwrap()
    }

    fn keep(&mut self, name: &str, record: CodeRecord) -> Result<(), GrantFault> {
        self.run(|book| keep_code(book, secret(name), record.clone()))
    }

    fn exchange(&mut self, asked: &Exchange<'_>, now: Timestamp) -> Answer {
        self.run(|book| exchange(book, asked, &LIVES, now))
    }

    fn refresh(&mut self, asked: &Refresh<'_>, now: Timestamp) -> Answer {
        self.run(|book| refresh(book, asked, &LIVES, now))
    }

    fn revoke(&mut self, token: &str, owner: Option<&OrganisationId>) -> Revoked {
        self.run(|book| revoke(book, secret(token), owner))
    }

    fn cut(&mut self, id: &OrganisationId, then: &Cut, now: Timestamp) -> Standing {
        self.run(|book| cut(book, id, then, now))
    }

    /// A consent from beginning to tokens.
    #[track_caller]
    fn consent(&mut self, name: &str, record: CodeRecord) -> Issued {
        let id = record.organisation_id.clone();
        self.keep(name, record).unwrap();
        self.exchange(&exchanging(name, &id), now()).unwrap()
    }

    fn record(&self, token: &str) -> Option<TokenRecord> {
        let page = self.0.get(&Place::new(Kind::Token, secret(token)))?;
        Some(TokenRecord::from_json(page).unwrap())
    }

    /// Whether a gateway would let it pass now.
    fn lives(&self, token: &str, now: Timestamp) -> bool {
        self.record(token).is_some_and(|record| {
            let standing = self.0.get(&standing_place(&record.organisation_id));
            let standing = Standing::from_json(standing.map(Vec::as_slice)).unwrap();
            record.expires_at > now && standing.allows(&record)
        })
    }

    fn live<'a>(&self, tokens: &[&'a str], now: Timestamp) -> Vec<&'a str> {
        tokens.iter().copied().filter(|token| self.lives(token, now)).collect()
    }
}
