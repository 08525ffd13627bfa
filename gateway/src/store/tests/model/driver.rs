//! The same requests, as a gateway makes them of a store.

use certs::OrganisationId;
use policies::ledger::{
    CodeRecord, Cut, Exchange, GrantFault, Issued, Refresh, Revoked, Suspension, cut, exchange,
    give, keep_code, refresh,
};
use policies::{Partition, Psu, Scope, TokenFact, TokenKind, TokenName, TokenRecord};

use super::{Caller, Fact, Holder, LIVES, Names, Request, Then, Told, Whose, at, begin};
use crate::store::{Store, StoreError, revoke, transact};

impl Names {
    pub(super) async fn apply(
        &self,
        store: &dyn Store,
        now: i64,
        request: &Request,
    ) -> Result<Told, StoreError> {
        let now = at(now);
        match *request {
            Request::Keep { code, whose, client, challenge, authenticated, ends } => {
                let record = CodeRecord {
                    organisation_id: self.tpp(whose.tpp).clone(),
                    client_id: client_id(client),
                    redirect_uri: call_back(0),
                    code_challenge: challenge.map(challenge_text),
                    scope: whose.scope,
                    codetab: bank(whose.bank),
                    psu: Psu::new(psu(whose)),
                    consent_id: code.to_string(),
                    accounts: None,
                    strong_authentication_at: at(authenticated),
                    expires_at: at(ends),
                    epoch: 0,
                };
                let place = Some(self.partition(whose.tpp));
                let kept = transact(store, place, |book| {
                    keep_code(book, self.secret(code), record.clone())
                });
                Ok(if kept.await?.is_ok() { Told::Done } else { Told::Refused })
            }
            Request::Exchange { code, by, uri, challenge, access, refresh } => {
                let (client, bank) = (client_id(by.client), bank(by.bank));
                let (uri, challenge) = (uri.map(call_back), challenge.map(challenge_text));
                let asked = Exchange {
                    code: self.secret(code),
                    organisation_id: self.tpp(by.tpp),
                    client_id: &client,
                    codetab: &bank,
                    redirect_uri: uri.as_deref(),
                    challenge: challenge.as_deref(),
                    certificate: None,
                    access: self.secret(access),
                    refresh: self.secret(refresh),
                };
                let place = Some(self.partition(by.tpp));
                transact(store, place, |book| exchange(book, &asked, &LIVES, now)).await.map(told)
            }
            Request::Refresh { refresh: token, by, access, rotated } => {
                self.refresh(store, now, (token, by, access, rotated)).await
            }
            Request::Give { whose, access, ends } => {
                let record = TokenRecord {
                    scopes: [whose.scope.name().to_owned()].into(),
                    codetab: bank(whose.bank),
                    ..own_record(self.tpp(whose.tpp), now, at(ends))
                };
                let given = transact(store, Some(self.partition(whose.tpp)), |book| {
                    give(book, &record, whose.scope.name(), self.secret(access))
                });
                given.await.map(told)
            }
            Request::Put { token, tpp, issued, ends } => {
                let record = own_record(self.tpp(tpp), at(issued), at(ends));
                let name = self.token_name(token, Holder { tpp, external: true });
                store.put_token(&name, &record).await.map(|()| Told::Done)
            }
            Request::Revoke { token, of, by } => {
                let owner = by.map(|by| self.tpp(by));
                let revoked = revoke(store, &self.token_name(token, of), owner).await?;
                Ok(match revoked {
                    Revoked::Ended(_) => Told::Done,
                    Revoked::OtherTpp | Revoked::Nothing => Told::Refused,
                })
            }
            Request::Cut { tpp, then } => {
                let suspension = Suspension { by: "test".to_owned(), because: "test".to_owned() };
                let then = match then {
                    Then::Suspend => Cut::Suspend(suspension),
                    Then::Resume => Cut::Resume,
                    Then::Stay => Cut::Only,
                };
                let place = Some(self.partition(tpp));
                transact(store, place, |book| cut(book, self.tpp(tpp), &then, now)).await?;
                Ok(Told::Done)
            }
            Request::Sweep => store.sweep(now).await.map(|_| Told::Done),
        }
    }

    async fn refresh(
        &self,
        store: &dyn Store,
        now: jiff::Timestamp,
        (token, by, access, rotated): (u32, Caller, u32, Option<u32>),
    ) -> Result<Told, StoreError> {
        let (client, bank) = (client_id(by.client), bank(by.bank));
        let asked = Refresh {
            refresh: self.secret(token),
            organisation_id: self.tpp(by.tpp),
            client_id: &client,
            codetab: &bank,
            scope: None,
            certificate: None,
            access: self.secret(access),
            rotated: rotated.map(|rotated| self.secret(rotated)),
        };
        let place = Some(self.partition(by.tpp));
        transact(store, place, |book| refresh(book, &asked, &LIVES, now)).await.map(told)
    }

    /// What the store says of a token to the TPP that holds it, and what `policies` make of it.
    pub(super) async fn fact(
        &self,
        store: &dyn Store,
        (token, of): (u32, Holder),
        now: i64,
    ) -> Result<Fact, String> {
        let (name, now) = (self.token_name(token, of), at(now));
        match store.token(&name, self.tpp(of.tpp), now).await {
            TokenFact::Live { record, .. } if record.organisation_id != *self.tpp(of.tpp) => {
                Err(format!("{token} is told as another TPP's"))
            }
            TokenFact::Live { record, .. } if record.expires_at <= now => Ok(Fact::Expired),
            TokenFact::Live { record, .. } => {
                Ok(Fact::Live { ends: record.expires_at.duration_since(begin()).as_secs() })
            }
            TokenFact::Unknown => Ok(Fact::Unknown),
            TokenFact::Suspended => Ok(Fact::Suspended),
            fact @ (TokenFact::Unreadable | TokenFact::Unavailable) => {
                Err(format!("{token}: {fact:?}"))
            }
        }
    }

    pub(super) fn token_name(&self, token: u32, of: Holder) -> TokenName {
        let partition: Option<Partition> = (!of.external).then(|| self.partition(of.tpp));
        TokenName::new(self.secret(token), partition)
    }
}

fn told(answer: Result<Issued, GrantFault>) -> Told {
    match answer {
        Ok(_) => Told::Done,
        Err(GrantFault::Replayed) => Told::Replayed,
        Err(_) => Told::Refused,
    }
}

fn own_record(
    organisation_id: &OrganisationId,
    issued_at: jiff::Timestamp,
    expires_at: jiff::Timestamp,
) -> TokenRecord {
    TokenRecord {
        kind: TokenKind::Access,
        organisation_id: organisation_id.clone(),
        client_id: client_id(0),
        scopes: [Scope::Aisp.name().to_owned()].into(),
        codetab: bank(0),
        psu: None,
        consent_id: None,
        issued_at,
        expires_at,
        strong_authentication_at: issued_at,
        certificate: None,
        granted: None,
    }
}

pub(super) fn client_id(client: u8) -> String {
    format!("client-{client}")
}

fn call_back(uri: u8) -> String {
    format!("https://tpp.example/{uri}")
}

fn challenge_text(challenge: u8) -> String {
    format!("challenge-{challenge}")
}

pub(super) fn bank(bank: u8) -> String {
    format!("{:05}", 10_000 + u32::from(bank))
}

fn psu(whose: Whose) -> String {
    format!("psu-{}", whose.psu.unwrap_or_default())
}
