//! What other processes of this program ask a running gateway through its admin listener.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use certs::OrganisationId;
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use policies::{Source, TokenFact, TokenName, TokenRecord};
use reqwest::Method;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

use super::reload::Reloaded;
use super::tokens::{ListedToken, Revocation};
use super::tpps::{Application, Decided, Decision, Removal, Removed};
use crate::authorization::ListedTpp;
use crate::config::{AdminListener, Config};
use crate::store::Holders;

/// Where a token is looked up.
pub const TOKEN_FACT_PATH: &str = "/tokens/fact";
/// Where live tokens are counted.
pub const HOLDERS_PATH: &str = "/tokens/holders";
/// Where the live tokens of a TPP are listed.
pub const TOKENS_PATH: &str = "/tokens";
/// Where they are revoked.
pub const REVOKE_PATH: &str = "/tokens/revoke";
/// Where TPPs are listed.
pub const TPPS_PATH: &str = "/tpps";
/// Where one is suspended.
pub const SUSPEND_PATH: &str = "/tpps/suspend";
/// Where that ends.
pub const RESUME_PATH: &str = "/tpps/resume";
/// Where applications are removed.
pub const REMOVE_PATH: &str = "/tpps/remove";
/// Where one is enrolled.
pub const ADD_PATH: &str = "/tpps/add";
/// Where the configuration is read again.
pub const RELOAD_PATH: &str = "/reload";
/// It is on this machine or near: it answers at once or not at all.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Which token.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "TokenQuestion")]
pub struct Question {
    /// In hexadecimal: the token itself stays where it is.
    pub(super) sha256: String,
    /// Who would present it.
    pub(super) tpp: String,
    /// Whether our own authorization server issued it.
    pub(super) ours: bool,
}

/// What the store says about it.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "TokenAnswer")]
pub struct Answer {
    fact: Fact,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    record: Option<Box<RawValue>>,
}

#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "TokenFact")]
enum Fact {
    Live,
    Unknown,
    Suspended,
    Unreadable,
    Unavailable,
}

impl Answer {
    pub(super) fn of(fact: &TokenFact) -> Self {
        let (fact, record) = match fact {
            TokenFact::Live { record, .. } => {
                let json = String::from_utf8(record.to_json()).ok();
                (Fact::Live, json.and_then(|json| RawValue::from_string(json).ok()))
            }
            TokenFact::Unknown => (Fact::Unknown, None),
            TokenFact::Suspended => (Fact::Suspended, None),
            TokenFact::Unreadable => (Fact::Unreadable, None),
            TokenFact::Unavailable => (Fact::Unavailable, None),
        };
        Self { fact, record }
    }

    fn into_fact(self, at: Timestamp) -> TokenFact {
        let record = self.record.map(|record| TokenRecord::from_json(record.get().as_bytes()));
        match (self.fact, record) {
            (Fact::Live, Some(Ok(record))) => {
                TokenFact::Live { record: Arc::new(record), as_of: at, source: Source::TokenStore }
            }
            (Fact::Unknown, _) => TokenFact::Unknown,
            (Fact::Suspended, _) => TokenFact::Suspended,
            (Fact::Live | Fact::Unreadable, _) => TokenFact::Unreadable,
            (Fact::Unavailable, _) => TokenFact::Unavailable,
        }
    }
}

/// Why the running gateway did not tell.
#[derive(Debug, Error)]
pub enum AskError {
    /// It has no key, so it answers nobody.
    #[error(
        "a running gateway holds the store, and without listen.admin.key_file it cannot be asked. \
         To mend: set listen.admin.key_file (or, for explain, give the record with --token-record)"
    )]
    NoKey,
    /// It does not do what was asked.
    #[error("the running gateway refuses: {0}")]
    Refused(String),
    /// It does not answer, or has another key.
    #[error(
        "the admin listener of the gateway at {address} does not tell: {source}. To mend: start the \
         gateway with this configuration (or, for explain, give the record with --token-record)"
    )]
    NoAnswer {
        /// Where it was asked.
        address: SocketAddr,
        /// What the connection says.
        source: reqwest::Error,
    },
}

/// Asks the gateway that runs with `config` what its store says about a token.
///
/// # Errors
/// It cannot be asked.
pub async fn token_fact(
    config: &Config,
    token: &TokenName,
    organisation_id: &OrganisationId,
    at: Timestamp,
) -> Result<TokenFact, AskError> {
    let question = Question {
        sha256: hex::encode(token.digest),
        tpp: organisation_id.as_str().to_owned(),
        ours: token.partition.is_some(),
    };
    let answer: Answer =
        ask(config, TOKEN_FACT_PATH, |request| request.json(&question), Method::POST).await?;
    Ok(answer.into_fact(at))
}

/// Asks the gateway that runs with `config` who holds live tokens.
///
/// # Errors
/// It cannot be asked.
pub async fn holders(config: &Config) -> Result<Holders, AskError> {
    let named: BTreeMap<String, usize> =
        ask(config, HOLDERS_PATH, |request| request, Method::GET).await?;
    let known = |(id, tokens): (String, usize)| Some((OrganisationId::new(&id).ok()?, tokens));
    Ok(named.into_iter().filter_map(known).collect())
}

/// Asks the gateway that runs with `config` which live tokens a TPP holds.
///
/// # Errors
/// It cannot be asked.
pub async fn tokens(config: &Config, tpp: &str) -> Result<Vec<ListedToken>, AskError> {
    let path = format!("{TOKENS_PATH}?tpp={}", utf8_percent_encode(tpp, NON_ALPHANUMERIC));
    ask(config, &path, |request| request, Method::GET).await
}

/// Has the gateway that runs with `config` revoke tokens of a TPP: the one whose SHA-256 begins so,
/// or all. Gives back those that were live.
///
/// # Errors
/// It cannot be asked, or refuses.
pub async fn revoke(
    config: &Config,
    tpp: &str,
    sha256: Option<&str>,
    (by, because): (&str, &str),
) -> Result<Vec<ListedToken>, AskError> {
    let revocation = Revocation {
        tpp: tpp.to_owned(),
        sha256: sha256.map(str::to_owned),
        by: by.to_owned(),
        because: because.to_owned(),
    };
    ask(config, REVOKE_PATH, |request| request.json(&revocation), Method::POST).await
}

/// Asks the gateway that runs with `config` which TPPs have enrolled, or were suspended.
///
/// # Errors
/// It cannot be asked.
pub async fn tpps(config: &Config) -> Result<Vec<ListedTpp>, AskError> {
    ask(config, TPPS_PATH, |request| request, Method::GET).await
}

/// Has the gateway that runs with `config` suspend a TPP, or end its suspension.
///
/// # Errors
/// It cannot be asked, or refuses.
pub async fn suspend(
    config: &Config,
    tpp: &str,
    suspends: bool,
    (by, because): (&str, &str),
) -> Result<Decided, AskError> {
    let path = if suspends { SUSPEND_PATH } else { RESUME_PATH };
    let (tpp, by, because) = (tpp.to_owned(), by.to_owned(), because.to_owned());
    let decision = Decision { tpp, by, because };
    ask(config, path, |request| request.json(&decision), Method::POST).await
}

/// Has the gateway that runs with `config` remove the application of this client id, or those of this
/// organisation id.
///
/// # Errors
/// It cannot be asked, or refuses.
pub async fn remove(
    config: &Config,
    which: &str,
    all: bool,
    (by, because): (&str, &str),
) -> Result<Vec<Removed>, AskError> {
    let (which, by, because) = (which.to_owned(), by.to_owned(), because.to_owned());
    let removal = Removal { which, all, by, because };
    ask(config, REMOVE_PATH, |request| request.json(&removal), Method::POST).await
}

/// Has the gateway that runs with `config` enrol an application.
///
/// # Errors
/// It cannot be asked, or refuses.
pub async fn add(config: &Config, application: &Application) -> Result<Removed, AskError> {
    ask(config, ADD_PATH, |request| request.json(application), Method::POST).await
}

/// Has the gateway with this admin listener read its configuration again.
///
/// # Errors
/// It cannot be asked.
pub async fn reload(admin: &AdminListener) -> Result<Reloaded, AskError> {
    ask_at(admin, RELOAD_PATH, |request| request, Method::POST).await
}

async fn ask<T: DeserializeOwned>(
    config: &Config,
    path: &str,
    with: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    method: Method,
) -> Result<T, AskError> {
    ask_at(&config.listen.admin, path, with, method).await
}

async fn ask_at<T: DeserializeOwned>(
    admin: &AdminListener,
    path: &str,
    with: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    method: Method,
) -> Result<T, AskError> {
    let address = admin.address;
    let key = admin.key.as_ref().ok_or(AskError::NoKey)?;
    let unanswered = |source| AskError::NoAnswer { address, source };
    // A proxy of the environment does not know this machine's loopback.
    let client = reqwest::Client::builder().no_proxy().timeout(ANSWER_TIMEOUT).build();
    let request = client
        .map_err(unanswered)?
        .request(method, format!("http://{address}{path}"))
        .bearer_auth(String::from_utf8_lossy(key.expose()));
    let response = with(request).send().await.map_err(unanswered)?;
    if response.status() == reqwest::StatusCode::BAD_REQUEST {
        let why = response.text().await.map_err(unanswered)?;
        return Err(AskError::Refused(why.trim().to_owned()));
    }
    // What is wrong with what was asked for is an answer.
    if response.status() == reqwest::StatusCode::UNPROCESSABLE_ENTITY {
        return response.json().await.map_err(unanswered);
    }
    let response = response.error_for_status().map_err(unanswered)?;
    response.json().await.map_err(unanswered)
}
