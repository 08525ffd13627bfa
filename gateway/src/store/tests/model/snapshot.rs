//! Everything that a store holds, and which of the rules it breaks.

use std::collections::{HashMap, HashSet};

use certs::OrganisationId;
use jiff::SignedDuration;
use policies::ledger::{CodeRecord, GrantRecord, Kind, Standing};
use policies::{TokenDigest, TokenKind, TokenRecord};
use redis::{Connection, Script};

use super::{DAY, LIVES};
use crate::store::Store;

#[derive(Debug, Default)]
pub(super) struct Snapshot {
    tokens: HashMap<TokenDigest, TokenRecord>,
    grants: HashMap<[u8; 32], GrantRecord>,
    standings: HashMap<OrganisationId, Standing>,
    codes: HashMap<TokenDigest, CodeRecord>,
    spent: HashSet<TokenDigest>,
}

impl Snapshot {
    /// What lies in a store that nobody changes meanwhile.
    pub(super) async fn of(store: &dyn Store) -> Self {
        let mut snapshot = Self::default();
        for kind in [Kind::Token, Kind::Grant, Kind::Standing, Kind::Code, Kind::Spent] {
            store.each(kind, &mut |id, page| snapshot.note(kind, id, page)).await.unwrap();
        }
        snapshot
    }

    /// What lies in Redis at one instant, whoever is changing it.
    pub(super) fn of_redis(connection: &mut Connection) -> Self {
        let all = Script::new(
            "local all = {}
             for _, key in ipairs(redis.call('KEYS', 'octroi:*')) do
               all[#all + 1] = key
               all[#all + 1] = redis.call('GET', key)
             end
             return all",
        );
        let all: Vec<Vec<u8>> = all.invoke(connection).unwrap();
        let mut snapshot = Self::default();
        for row in all.chunks_exact(2) {
            let key = str::from_utf8(&row[0]).unwrap();
            if key == "octroi:layout" {
                continue;
            }
            let mut parts = key.rsplit(':');
            let mut id = [0; 32];
            hex::decode_to_slice(parts.next().unwrap(), &mut id).unwrap();
            let kind = parts.next().unwrap();
            let kind = Kind::ALL.into_iter().find(|known| known.code() == kind).unwrap();
            snapshot.note(kind, id, &row[1]);
        }
        snapshot
    }

    fn note(&mut self, kind: Kind, id: [u8; 32], page: &[u8]) {
        match kind {
            Kind::Token => {
                self.tokens.insert(id, TokenRecord::from_json(page).unwrap());
            }
            Kind::Grant => {
                self.grants.insert(id, GrantRecord::from_json(page).unwrap());
            }
            Kind::Standing => {
                let standing = Standing::from_json(Some(page)).unwrap();
                self.standings.insert(standing.organisation_id.clone().unwrap(), standing);
            }
            Kind::Code => {
                self.codes.insert(id, CodeRecord::from_json(page).unwrap());
            }
            Kind::Spent => {
                self.spent.insert(id);
            }
            _ => (),
        }
    }

    pub(super) fn tokens(&self) -> usize {
        self.tokens.len()
    }

    pub(super) fn grants(&self) -> usize {
        self.grants.len()
    }

    #[track_caller]
    pub(super) fn assert_sound(&self) {
        let faults: Vec<String> = self.faults().collect();
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }

    fn faults(&self) -> impl Iterator<Item = String> {
        let tokens = self.tokens.iter().filter_map(|(id, token)| self.fault_of(id, token));
        let spent = self.codes.keys().filter(|code| self.spent.contains(*code));
        let spent =
            spent.map(|code| format!("the code {} was used and is there", hex::encode(code)));
        tokens.chain(self.pairs()).chain(spent)
    }

    fn fault_of(&self, id: &TokenDigest, token: &TokenRecord) -> Option<String> {
        let granted = token.granted.as_ref()?;
        let fault = |what: &str| Some(format!("the token {} {what}: {token:?}", hex::encode(id)));
        let Some(pair) = self.grants.get(&granted.grant) else {
            return fault("belongs to no grant");
        };
        let named = match token.kind {
            TokenKind::Access => Some(pair.access),
            TokenKind::Refresh => pair.refresh,
        };
        if named != Some(*id) {
            return fault("is not the one that its grant names");
        }
        let days = SignedDuration::from_secs(LIVES.consent_days * DAY);
        if token.psu.is_some() && token.expires_at > token.strong_authentication_at + days {
            return fault("outlives its strong authentication");
        }
        let standing = self.standings.get(&token.organisation_id);
        if standing.is_some_and(|now| now.suspended.is_some() && now.epoch == granted.epoch) {
            return fault("was given to a TPP that is suspended");
        }
        None
    }

    /// Grants with more than one token of a kind that lives.
    fn pairs(&self) -> impl Iterator<Item = String> {
        let mut counts: HashMap<([u8; 32], &str), usize> = HashMap::new();
        for token in self.tokens.values() {
            let standing = self.standings.get(&token.organisation_id);
            if let Some(granted) = &token.granted
                && standing.is_none_or(|standing| standing.allows(token))
            {
                *counts.entry((granted.grant, token.kind.code())).or_default() += 1;
            }
        }
        let many = counts.into_iter().filter(|(_, count)| *count > 1);
        many.map(|((grant, kind), count)| {
            format!("the grant {} has {count} {kind} tokens", hex::encode(grant))
        })
    }
}
