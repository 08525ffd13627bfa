//! `POST /token` (RFC 6749 §3.2): a code, a refresh token, or the certificate alone, for tokens.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use policies::client::{Client, GrantType};
use policies::ledger::{self, Book, Changes, Exchange, GrantFault, Issued, Refresh, Step};
use policies::{
    Approached, Partition, Reason, Refusal, Scope, SecretKind, TokenKind, TokenName, TokenRecord,
    Trail,
};
use serde::Serialize;

use super::form::{Form, invalid};
use super::secret::Secret;
use super::{
    Answer, AuthorizationServer, Call, REGISTERING_CLIENT, REGISTRATION_SCOPE, client_store,
    secret, unavailable,
};
use crate::store;

/// How long a token of the enrolment lives, seconds.
const REGISTRATION_SECONDS: i64 = 10 * 60;
/// Octets of a PKCE verifier (RFC 7636 §4.1).
const VERIFIER_CHARS: std::ops::RangeInclusive<usize> = 43..=128;

/// RFC 6749 §5.1.
#[derive(Serialize)]
struct TokenResponse<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    scope: String,
}

impl AuthorizationServer {
    pub(super) async fn token(&self, call: Call<'_>, trail: &mut Trail) -> Result<Answer, Refusal> {
        let form = Form::body(call.content_type, call.body)?;
        // The client's authentication is its certificate; another one beside it could contradict it.
        let why = "the client authenticates itself by its QWAC alone (tls_client_auth)";
        for name in ["client_secret", "client_assertion", "client_assertion_type"] {
            form.absent(name, why)?;
        }
        if call.authorization.is_some() {
            return Err(invalid(why));
        }
        match form.required("grant_type")? {
            "authorization_code" => self.exchange(&form, call, trail).await,
            "refresh_token" => self.refresh(&form, call, trail).await,
            "client_credentials" => self.client_credentials(&form, call, trail).await,
            _ => Err(Refusal::new(Reason::GrantTypeUnsupported)),
        }
    }

    async fn exchange(
        &self,
        form: &Form,
        call: Call<'_>,
        trail: &mut Trail,
    ) -> Result<Answer, Refusal> {
        form.absent("scope", "leave scope out: the code stands for the scope of its consent")?;
        let client = self.calling_client(form, &call.approached).await?;
        for_grant(&client, GrantType::AuthorizationCode)?;
        let code = TokenName::of(form.required("code")?.as_bytes());
        let verifier = form.get("code_verifier");
        if verifier.is_some_and(|verifier| !is_verifier(verifier)) {
            return Err(invalid("code_verifier must be 43 to 128 unreserved characters"));
        }
        let challenge = verifier.map(secret::challenge);
        let id = &call.approached.qwac().organisation_id;
        let partition = Partition::of(id);
        let access = secret::issue(SecretKind::Access, partition)?;
        let refresh = secret::issue(SecretKind::Refresh, partition)?;
        let asked = Exchange {
            code: code.digest,
            organisation_id: id,
            client_id: &client.client_id,
            codetab: &call.approached.codetab().code,
            redirect_uri: Some(form.required("redirect_uri")?),
            challenge: challenge.as_deref(),
            certificate: self.bound_to(&call),
            access: access.digest,
            refresh: refresh.digest,
        };
        let issued = self
            .issue(&client, call, trail, |book| {
                ledger::exchange(book, &asked, &self.settings.lives, call.now)
            })
            .await?;
        self.answer_with(&issued, &access, Some(&refresh.text), call)
    }

    async fn refresh(
        &self,
        form: &Form,
        call: Call<'_>,
        trail: &mut Trail,
    ) -> Result<Answer, Refusal> {
        let client = self.calling_client(form, &call.approached).await?;
        for_grant(&client, GrantType::RefreshToken)?;
        let sent = form.required("refresh_token")?;
        let id = &call.approached.qwac().organisation_id;
        let partition = Partition::of(id);
        let access = secret::issue(SecretKind::Access, partition)?;
        let rotated = match self.settings.rotate_refresh_tokens {
            true => Some(secret::issue(SecretKind::Refresh, partition)?),
            false => None,
        };
        let asked = Refresh {
            refresh: TokenName::of(sent.as_bytes()).digest,
            organisation_id: id,
            client_id: &client.client_id,
            codetab: &call.approached.codetab().code,
            certificate: self.bound_to(&call),
            access: access.digest,
            rotated: rotated.as_ref().map(|rotated| rotated.digest),
            scope: form.get("scope"),
        };
        let issued = self
            .issue(&client, call, trail, |book| {
                ledger::refresh(book, &asked, &self.settings.lives, call.now)
            })
            .await?;
        let refresh = rotated.as_ref().map_or(sent, |rotated| &rotated.text);
        self.answer_with(&issued, &access, Some(refresh), call)
    }

    async fn client_credentials(
        &self,
        form: &Form,
        call: Call<'_>,
        trail: &mut Trail,
    ) -> Result<Answer, Refusal> {
        let scope = form.required("scope")?;
        if form.required("client_id")? == REGISTERING_CLIENT {
            if scope != REGISTRATION_SCOPE {
                let detail = "PSD2_TPPRegister gets the scope manageRegistration only";
                return Err(Refusal::because(Reason::ScopeInvalid, detail));
            }
            return self.registration_token(call, trail).await;
        }
        let client = self.calling_client(form, &call.approached).await?;
        for_grant(&client, GrantType::ClientCredentials)?;
        if scope == REGISTRATION_SCOPE {
            return self.registration_token(call, trail).await;
        }
        let offered = Scope::from_name(scope)
            .filter(|scope| self.settings.client_credentials.contains(scope))
            .filter(|scope| client.scopes.contains(scope.name()));
        let scope = offered.ok_or_else(|| {
            let detail = "this scope is not given without a customer's consent";
            Refusal::because(Reason::ScopeInvalid, detail)
        })?;
        let lives = self.settings.lives.access_seconds;
        let (access, record) = self.own_record(&client.client_id, scope.name(), lives, call)?;
        let issued = self
            .issue(&client, call, trail, |book| {
                ledger::give(book, &record, scope.name(), access.digest)
            })
            .await?;
        self.answer_with(&issued, &access, None, call)
    }

    /// The token with which a TPP enrols: any TPP that the registers know as authorised gets one, and it
    /// opens nothing else.
    async fn registration_token(
        &self,
        call: Call<'_>,
        trail: &mut Trail,
    ) -> Result<Answer, Refusal> {
        call.approached.is_listed(call.now, trail)?;
        let (access, record) =
            self.own_record(REGISTERING_CLIENT, REGISTRATION_SCOPE, REGISTRATION_SECONDS, call)?;
        let partition = Some(Partition::of(&record.organisation_id));
        let given = store::transact(self.store.as_ref(), partition, |book| {
            ledger::give(book, &record, REGISTRATION_SCOPE, access.digest)
        });
        let issued = given.await.map_err(|error| unavailable(&error))?.map_err(refusal)?;
        self.answer_with(&issued, &access, None, call)
    }

    fn own_record(
        &self,
        client_id: &str,
        scope: &str,
        seconds: i64,
        call: Call<'_>,
    ) -> Result<(Secret, TokenRecord), Refusal> {
        let id = &call.approached.qwac().organisation_id;
        let access = secret::issue(SecretKind::Access, Partition::of(id))?;
        let life = SignedDuration::from_secs(seconds);
        let record = TokenRecord {
            kind: TokenKind::Access,
            organisation_id: id.clone(),
            client_id: client_id.to_owned(),
            scopes: BTreeSet::from([scope.to_owned()]),
            codetab: call.approached.codetab().code.clone(),
            psu: None,
            consent_id: None,
            issued_at: call.now,
            expires_at: call.now.checked_add(life).unwrap_or(call.now),
            // No customer: the instant is that of the certificate's proof.
            strong_authentication_at: call.now,
            certificate: self.bound_to(&call),
            granted: None,
        };
        Ok((access, record))
    }

    /// The certificate that access tokens are bound to, where they are (RFC 8705 §3).
    fn bound_to(&self, call: &Call<'_>) -> Option<[u8; 32]> {
        self.settings.bound_tokens.then_some(*call.certificate)
    }

    /// Makes the step if the client is still enrolled, and the certificate and the registers still
    /// allow what the tokens would open.
    async fn issue(
        &self,
        client: &Client,
        call: Call<'_>,
        trail: &mut Trail,
        mut step: impl FnMut(&Book<'_>) -> Step<Result<Issued, GrantFault>> + Send,
    ) -> Result<Issued, Refusal> {
        let Call { approached, now, .. } = call;
        let place = client_store::place(&client.client_id);
        let before = trail.clone();
        let partition = Some(Partition::of(&client.organisation_id));
        let issued = store::transact(self.store.as_ref(), partition, |book| {
            if book.read(place)?.is_none() {
                return Ok((Err(Refusal::new(Reason::ClientUnknown)), Changes::default()));
            }
            let (outcome, changes) = step(book)?;
            // The step may be taken several times; the checks of the last one count.
            *trail = before.clone();
            match outcome {
                Err(fault) => Ok((Err(refusal(fault)), changes)),
                Ok(issued) => match may(&approached, &issued, now, trail) {
                    Ok(()) => Ok((Ok(issued), changes)),
                    Err(refused) => Ok((Err(refused), Changes::default())),
                },
            }
        });
        issued.await.map_err(|error| unavailable(&error))?
    }

    fn answer_with(
        &self,
        issued: &Issued,
        access: &Secret,
        refresh: Option<&str>,
        call: Call<'_>,
    ) -> Result<Answer, Refusal> {
        let record = &issued.record;
        let consent = record.consent_id.as_deref().unwrap_or("no consent");
        let detail = format!(
            "{} for {} at {}: {consent}",
            record.scopes.iter().map(String::as_str).collect::<Vec<_>>().join(" "),
            record.client_id,
            record.codetab,
        );
        self.tell(call.now, "token_issued", record.organisation_id.as_str(), detail);
        let scopes: Vec<&str> = record.scopes.iter().map(String::as_str).collect();
        Ok(Answer::json(
            200,
            &TokenResponse {
                access_token: &access.text,
                token_type: "Bearer",
                expires_in: record.expires_at.duration_since(call.now).as_secs(),
                refresh_token: refresh,
                scope: scopes.join(" "),
            },
        ))
    }

    /// The client that a TPP says it is, if it is the TPP's own.
    pub(super) async fn calling_client(
        &self,
        form: &Form,
        approached: &Approached<'_>,
    ) -> Result<Client, Refusal> {
        let client_id = form.required("client_id")?;
        let id = &approached.qwac().organisation_id;
        let theirs = self.client_of(id, client_id).await.map_err(|error| unavailable(&error))?;
        if let Some(client) = theirs {
            return Ok(client);
        }
        let others = self.client(client_id).await.map_err(|error| unavailable(&error))?;
        let reason = others.map_or(Reason::ClientUnknown, |_| Reason::ClientOtherTpp);
        Err(Refusal::new(reason))
    }
}

fn may(
    approached: &Approached<'_>,
    issued: &Issued,
    now: jiff::Timestamp,
    trail: &mut Trail,
) -> Result<(), Refusal> {
    let scopes = issued.record.scopes.iter();
    scopes
        .filter_map(|name| Scope::from_name(name))
        .try_for_each(|scope| approached.may(scope, now, trail))
}

fn for_grant(client: &Client, grant: GrantType) -> Result<(), Refusal> {
    if client.grant_types.contains(&grant) {
        return Ok(());
    }
    let detail = format!("this application is not enrolled for {}", grant.code());
    Err(Refusal::because(Reason::GrantTypeUnsupported, detail).in_oauth("unauthorized_client"))
}

fn refusal(fault: GrantFault) -> Refusal {
    let reason = match fault {
        GrantFault::Suspended => Reason::TppSuspended,
        GrantFault::Scope => Reason::ScopeInvalid,
        _ => Reason::GrantInvalid,
    };
    Refusal::because(reason, fault.to_string())
}

fn is_verifier(text: &str) -> bool {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    VERIFIER_CHARS.contains(&text.len()) && text.bytes().all(unreserved)
}
