//! What an operator may ask and do about tokens: count, list, look up, revoke. Behind the admin key.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use certs::OrganisationId;
use jiff::Timestamp;
use policies::ledger::{Cut, Revoked};
use policies::{Partition, TokenDigest, TokenKind, TokenName, TokenRecord};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Admin, authorised, client, unauthorised};
use crate::audit::Event;
use crate::clock;
use crate::store::{self, StoreError};

/// Octets of who does something.
const BY_BYTES_MAX: usize = 200;
/// Octets of why.
const BECAUSE_BYTES_MAX: usize = 500;
/// What is said to whom one of them is missing.
pub(super) const WHO_AND_WHY: &str =
    "by and because: who does it (at most 200 bytes), and why (at most 500)";

/// The routes.
pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route(client::TOKEN_FACT_PATH, post(fact))
        .route(client::HOLDERS_PATH, get(holders))
        .route(client::TOKENS_PATH, get(list))
        .route(client::REVOKE_PATH, post(revoke))
}

/// One live token, without anything that would open a door or name a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListedToken {
    /// SHA-256 of the token, in hexadecimal: it names the token and does not open anything.
    pub sha256: String,
    /// `access` or `refresh`.
    #[schemars(with = "String")]
    pub kind: TokenKind,
    /// The bank that issued it.
    pub codetab: String,
    /// Its scopes.
    pub scopes: BTreeSet<String>,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it dies.
    pub expires_at: Timestamp,
    /// When the customer was last strongly authenticated.
    pub strong_authentication_at: Timestamp,
}

impl ListedToken {
    fn of((token, record): &(TokenName, TokenRecord)) -> Self {
        Self {
            sha256: hex::encode(token.digest),
            kind: record.kind,
            codetab: record.codetab.clone(),
            scopes: record.scopes.clone(),
            issued_at: record.issued_at,
            expires_at: record.expires_at,
            strong_authentication_at: record.strong_authentication_at,
        }
    }
}

/// Whose tokens.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Whose {
    tpp: String,
}

/// Which tokens to revoke, who does it, and why.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    pub(super) tpp: String,
    /// The beginning of the SHA-256 of one of them; none: all.
    #[serde(default)]
    pub(super) sha256: Option<String>,
    pub(super) by: String,
    pub(super) because: String,
}

/// What the store says about a token, for `octroi explain`: the embedded store's file is held by
/// this process.
async fn fact(
    State(admin): State<Admin>,
    headers: HeaderMap,
    Json(question): Json<client::Question>,
) -> Response {
    if !authorised(admin.key.as_deref(), &headers) {
        return unauthorised();
    }
    let mut digest = TokenDigest::default();
    if hex::decode_to_slice(&question.sha256, &mut digest).is_err() {
        return bad("sha256: 64 hexadecimal digits are expected");
    }
    let Ok(id) = OrganisationId::new(&question.tpp) else { return bad("tpp: no organisation id") };
    let partition = question.ours.then(|| Partition::of(&id));
    let token = TokenName::new(digest, partition);
    let fact = admin.gateway.store.token(&token, &id, clock::now()).await;
    Json(client::Answer::of(&fact)).into_response()
}

/// Who holds how many live tokens, for `octroi register diff`.
async fn holders(State(admin): State<Admin>, headers: HeaderMap) -> Response {
    if !authorised(admin.key.as_deref(), &headers) {
        return unauthorised();
    }
    match admin.gateway.store.holders(clock::now()).await {
        Ok(holders) => {
            let named: BTreeMap<&str, usize> =
                holders.iter().map(|(id, tokens)| (id.as_str(), *tokens)).collect();
            Json(named).into_response()
        }
        Err(error) => unavailable(&error),
    }
}

async fn list(
    State(admin): State<Admin>,
    headers: HeaderMap,
    Query(whose): Query<Whose>,
) -> Response {
    if !authorised(admin.key.as_deref(), &headers) {
        return unauthorised();
    }
    let Ok(id) = OrganisationId::new(&whose.tpp) else { return bad("tpp: no organisation id") };
    match admin.gateway.store.tokens_of(&id, clock::now()).await {
        Ok(tokens) => Json(tokens.iter().map(ListedToken::of).collect::<Vec<_>>()).into_response(),
        Err(error) => unavailable(&error),
    }
}

/// Answers with what was revoked. A store that fails in the middle says so; what was revoked until
/// then stays revoked, and is in the log.
async fn revoke(
    State(admin): State<Admin>,
    headers: HeaderMap,
    Json(asked): Json<Revocation>,
) -> Response {
    if !authorised(admin.key.as_deref(), &headers) {
        return unauthorised();
    }
    let Ok(id) = OrganisationId::new(&asked.tpp) else { return bad("tpp: no organisation id") };
    let Some((by, because)) = signed_off(&asked.by, &asked.because) else {
        return bad(WHO_AND_WHY);
    };
    let tokens = match admin.gateway.store.tokens_of(&id, clock::now()).await {
        Ok(tokens) => tokens,
        Err(error) => return unavailable(&error),
    };
    let Some(sha256) = &asked.sha256 else {
        return revoke_all(&admin, &id, &tokens, (by, because)).await;
    };
    let begins = sha256.to_ascii_lowercase();
    let meant: Vec<_> =
        tokens.iter().filter(|(token, _)| hex::encode(token.digest).starts_with(&begins)).collect();
    if meant.len() != 1 {
        return bad("sha256: no token of this TPP begins so, or several do");
    }
    let mut revoked = Vec::new();
    for token in meant {
        match store::revoke(admin.gateway.store.as_ref(), &token.0, None).await {
            Ok(Revoked::Ended(_)) => {
                let listed = ListedToken::of(token);
                admin.gateway.audit.event(Event {
                    time: clock::now(),
                    event: "token_revoked",
                    subject: Some(id.as_str().to_owned()),
                    detail: format!("{}: {because}", listed.sha256),
                    by: vec![by.to_owned()],
                });
                revoked.push(listed);
            }
            // Somebody else was faster, or it was the other one of a pair.
            Ok(Revoked::Nothing | Revoked::OtherTpp) => {}
            Err(error) => return unavailable(&error),
        }
    }
    Json(revoked).into_response()
}

/// One write ends them all, those too that were issued while they were listed.
async fn revoke_all(
    admin: &Admin,
    id: &OrganisationId,
    tokens: &[(TokenName, TokenRecord)],
    (by, because): (&str, &str),
) -> Response {
    let now = clock::now();
    if let Err(error) = store::cut(admin.gateway.store.as_ref(), id, &Cut::Only, now).await {
        return unavailable(&error);
    }
    admin.gateway.audit.event(Event {
        time: now,
        event: "tokens_ended",
        subject: Some(id.as_str().to_owned()),
        detail: format!("all, {} of them live: {because}", tokens.len()),
        by: vec![by.to_owned()],
    });
    Json(tokens.iter().map(ListedToken::of).collect::<Vec<_>>()).into_response()
}

/// Who does something and why, if both are said.
pub(super) fn signed_off<'a>(by: &'a str, because: &'a str) -> Option<(&'a str, &'a str)> {
    let (by, because) = (by.trim(), because.trim());
    let said = |text: &str, max: usize| (1..=max).contains(&text.len());
    (said(by, BY_BYTES_MAX) && said(because, BECAUSE_BYTES_MAX)).then_some((by, because))
}

pub(super) fn bad(why: &str) -> Response {
    (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response()
}

pub(super) fn unavailable(error: &StoreError) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response()
}
