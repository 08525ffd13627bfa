//! Tokens of the sandbox, got as a TPP gets them: this process is the customer's browser and the TPP
//! in one, and goes through the real pages and the real endpoints (RFC 6749 §4.1, RFC 8705).

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, Identity, Response, StatusCode, Url};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;
use url::form_urlencoded;

use super::clients::CALLBACK_PATH;
use super::persona::{Persona, SMS_CODE};
use super::ready::Ready;
use super::{DOMAIN, SandboxError, files};

/// The sandbox is on this machine: it answers at once or not at all.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Pages between the first request and the call-back.
const STEPS_MAX: usize = 8;

/// RFC 6749 §5.1. It holds secrets, so it has no `Debug`.
#[derive(Serialize, Deserialize)]
pub struct TokenResponse {
    /// The bearer token.
    pub access_token: String,
    /// Always `Bearer`.
    pub token_type: String,
    /// Seconds from now.
    pub expires_in: u64,
    /// The refresh token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// The scope that was granted.
    pub scope: String,
}

/// Whose token, for what, at which bank.
#[derive(Clone, Copy, Debug)]
pub(super) struct TokenRequest<'a> {
    /// Where its `qwac.pem` and `qwac.key` are.
    pub(super) tpp: &'a Path,
    /// Its client id.
    pub(super) client_id: &'a str,
    /// Who consents.
    pub(super) persona: Persona,
    /// To what.
    pub(super) scope: &'a str,
    /// At which bank.
    pub(super) codetab: &'a str,
}

/// Why the flow ends without a token. No variant shows a secret.
#[derive(Debug, Error)]
pub enum FlowError {
    /// A file of the sandbox.
    #[error(transparent)]
    File(#[from] SandboxError),
    /// Nobody answers.
    #[error("{0}")]
    Unreachable(#[from] reqwest::Error),
    /// The authorization server refuses.
    #[error("{step}: {error}: {description}")]
    Refused {
        /// Where.
        step: &'static str,
        /// RFC 6749 §4.1.2.1, §5.2.
        error: String,
        /// In words.
        description: String,
    },
    /// A page is not what it should be.
    #[error("{step}: the answer ({status}) is not what a sandbox gives")]
    Unexpected {
        /// Where.
        step: &'static str,
        /// Its status.
        status: StatusCode,
    },
}

/// Goes through the flow at the sandbox in `dir`.
///
/// # Errors
/// See [`FlowError`].
pub(super) async fn flow(
    dir: &Path,
    ready: &Ready,
    request: TokenRequest<'_>,
) -> Result<TokenResponse, FlowError> {
    let host = format!("www.{}.{DOMAIN}", request.codetab);
    let flow = Flow {
        issuer: format!("https://{host}:{}", ready.psu.port()),
        tpp_url: format!("https://{host}:{}", ready.tpp.port()),
        call_back: format!("https://localhost:{}{CALLBACK_PATH}", ready.psu.port()),
        browser: client(dir, &host, ready.psu)?.build()?,
        request,
    };
    let code = flow.consent().await?;
    let identity = [
        files::read(&request.tpp.join("qwac.pem"))?.unwrap_or_default(),
        files::read(&request.tpp.join("qwac.key"))?.unwrap_or_default(),
    ];
    let [certificate, key] = identity;
    let identity = Identity::from_pkcs8_pem(&certificate, &key)?;
    let tpp = client(dir, &host, ready.tpp)?.identity(identity).build()?;
    flow.redeem(&tpp, &code).await
}

/// A client that finds the sandbox's host names on this machine, whatever resolves here.
fn client(dir: &Path, host: &str, address: SocketAddr) -> Result<ClientBuilder, FlowError> {
    let ca = files::read(&dir.join("server-ca.pem"))?.unwrap_or_default();
    Ok(Client::builder()
        .no_proxy()
        .timeout(ANSWER_TIMEOUT)
        .redirect(Policy::none())
        .add_root_certificate(Certificate::from_pem(&ca)?)
        .resolve(host, address))
}

struct Flow<'a> {
    issuer: String,
    tpp_url: String,
    call_back: String,
    browser: Client,
    request: TokenRequest<'a>,
}

impl Flow<'_> {
    /// From `GET /authorize` to the code at the call-back.
    async fn consent(&self) -> Result<String, FlowError> {
        let query = form(&[
            ("response_type", "code"),
            ("client_id", self.request.client_id),
            ("redirect_uri", &self.call_back),
            ("scope", self.request.scope),
        ]);
        let authorize = format!("{}/stet/psd2/oauth/authorize?{query}", self.issuer);
        let answer = self.browser.get(authorize).send().await?;
        let cookie = cookie(&answer);
        let mut location = location("authorize", answer)?;
        for _ in 0..STEPS_MAX {
            if location.starts_with(&self.call_back) {
                return code(&location);
            }
            let page = self.absolute(&location);
            let answer = self.browser.get(&page).header(COOKIE, &cookie).send().await?;
            if answer.status().is_redirection() {
                location = self::location("resume", answer)?;
                continue;
            }
            location = self.fill_in(&page, answer, &cookie).await?;
        }
        Err(unexpected("consent", StatusCode::LOOP_DETECTED))
    }

    /// Answers a page as the persona would.
    async fn fill_in(
        &self,
        page: &str,
        answer: Response,
        cookie: &str,
    ) -> Result<String, FlowError> {
        const STEP: &str = "the bank's page";
        let status = answer.status();
        let html = answer.text().await?;
        let unexpected = || unexpected(STEP, status);
        let csrf = value(&html, "name=\"csrf\"").ok_or_else(unexpected)?;
        let account = self.request.persona.accounts().next().ok_or_else(unexpected)?;
        let mut fields = vec![("csrf", csrf)];
        if html.contains("name=\"login\"") {
            fields.extend([("step", "login"), ("login", account.login)]);
        } else if html.contains("name=\"code\"") {
            fields.extend([("step", "code"), ("code", SMS_CODE)]);
        } else {
            fields.push(("step", "accept"));
            let boxes = html.split("<input").filter(|input| input.contains("name=\"account\""));
            fields.extend(boxes.filter_map(|input| value(input, "")).map(|n| ("account", n)));
        }
        let post = self.browser.post(page).header(COOKIE, cookie);
        let post = post.header("content-type", "application/x-www-form-urlencoded");
        location(STEP, post.body(form(&fields)).send().await?)
    }

    async fn redeem(&self, tpp: &Client, code: &str) -> Result<TokenResponse, FlowError> {
        const STEP: &str = "token";
        let body = form(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.call_back),
            ("client_id", self.request.client_id),
        ]);
        let post = tpp.post(format!("{}/stet/psd2/oauth/token", self.tpp_url));
        let post = post.header("content-type", "application/x-www-form-urlencoded");
        let answer = post.body(body).send().await?;
        let status = answer.status();
        let body = answer.bytes().await?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|_| unexpected(STEP, status));
        }
        let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
        let member = |name: &str| problem.get(name).and_then(Value::as_str).map(str::to_owned);
        match (member("code").or_else(|| member("error")), member("error_description")) {
            (Some(error), Some(description)) => {
                Err(FlowError::Refused { step: STEP, error, description })
            }
            _ => Err(unexpected(STEP, status)),
        }
    }

    fn absolute(&self, location: &str) -> String {
        match location.starts_with('/') {
            true => format!("{}{location}", self.issuer),
            false => location.to_owned(),
        }
    }
}

fn form(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// What the browser is given to keep, as it sends it back.
fn cookie(answer: &Response) -> String {
    let line = answer.headers().get(SET_COOKIE).and_then(|line| line.to_str().ok());
    line.and_then(|line| line.split(';').next()).unwrap_or_default().to_owned()
}

fn location(step: &'static str, answer: Response) -> Result<String, FlowError> {
    let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    location.map(str::to_owned).ok_or_else(|| unexpected(step, answer.status()))
}

/// What came to the call-back.
fn code(location: &str) -> Result<String, FlowError> {
    let url = Url::parse(location).ok();
    let parameter = |name: &str| {
        let found = url.as_ref()?.query_pairs().find(|(known, _)| known == name);
        found.map(|(_, value)| value.into_owned())
    };
    parameter("code").ok_or_else(|| FlowError::Refused {
        step: "authorize",
        error: parameter("error").unwrap_or_default(),
        description: parameter("error_description").unwrap_or_default(),
    })
}

/// The `value` of the first input after `mark`. The page is our own.
fn value<'h>(html: &'h str, mark: &str) -> Option<&'h str> {
    let rest = html.get(html.find(mark)?..)?;
    let rest = rest.split_once("value=\"")?.1;
    rest.split_once('"').map(|(value, _)| value)
}

fn unexpected(step: &'static str, status: StatusCode) -> FlowError {
    FlowError::Unexpected { step, status }
}
