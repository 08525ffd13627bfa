//! The sandbox bank's login and consent, behind the same door as any bank's own: it is shown a
//! challenge, and accepts or rejects.
//!
//! A form counts only from the browser that began the visit, and only with what that browser was
//! given in the page (RFC 6749 §10.12).

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use subtle::ConstantTimeEq;
use url::form_urlencoded;

use super::authorize::ended;
use super::bank::{
    Code, CodeProblem, Consent, ConsentAccount, ConsentProblem, ConsentScope, Form, Login,
    LoginProblem, MessageKind,
};
use super::language::Language;
use super::style::{STYLE, STYLE_PATH};
use super::visit::{Consents, browser, language, message, page, parameter, send_on};
use crate::authorization::{Acceptance, DecideFault, Interaction, Lock, Progress};
use crate::clock;
use crate::sandbox::persona::{ACCOUNTS, Account, SMS_CODE};
use crate::store::StoreError;

/// How long a code that was "sent" is good for.
const CODE_LIFE: SignedDuration = SignedDuration::from_mins(5);
/// Bytes of a posted form.
const FORM_BYTES_MAX: usize = 8 * 1024;

/// The routes.
pub(super) fn routes(consents: Consents) -> Router {
    Router::new()
        .route("/login/{challenge}", get(show).post(take))
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .with_state(consents)
        .route(STYLE_PATH, get(style))
}

async fn style() -> ([(&'static str, &'static str); 3], &'static str) {
    let headers = [
        ("content-type", "text/css; charset=utf-8"),
        ("cache-control", "public, max-age=31536000, immutable"),
        ("x-content-type-options", "nosniff"),
    ];
    (headers, STYLE)
}

/// One customer's visit.
struct Visit<'a> {
    consents: &'a Consents,
    challenge: String,
    action: String,
    csrf: String,
    language: Language,
    interaction: Interaction,
    bank: String,
    now: Timestamp,
}

async fn show(
    State(consents): State<Consents>,
    Path(challenge): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let language = language(&headers, parameter(query.as_deref(), "lang").as_deref());
    match Visit::of(&consents, challenge, language, &headers).await {
        Ok(visit) => visit.show(None, None).await,
        Err(response) => response,
    }
}

async fn take(
    State(consents): State<Consents>,
    Path(challenge): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let posted = Posted::read(&body);
    let language = language(&headers, posted.get("lang"));
    let visit = match Visit::of(&consents, challenge, language, &headers).await {
        Ok(visit) => visit,
        Err(response) => return response,
    };
    let sent = posted.get("csrf").unwrap_or_default();
    if !bool::from(sent.as_bytes().ct_eq(visit.csrf.as_bytes())) {
        return message(language, StatusCode::FORBIDDEN, MessageKind::BrowserOther, None);
    }
    let taken = match posted.get("step") {
        Some("refuse") => visit.refuse().await,
        Some("login") => visit.login(posted.get("login").unwrap_or_default()).await,
        Some("code") => visit.code(posted.get("code").unwrap_or_default()).await,
        Some("accept") => visit.accept(&posted).await,
        _ => Ok(visit.show(None, None).await),
    };
    taken.unwrap_or_else(|error| unavailable(language, &error))
}

/// What a form sends.
struct Posted(Vec<(String, String)>);

impl Posted {
    fn read(body: &[u8]) -> Self {
        Self(form_urlencoded::parse(body).into_owned().collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    fn all<'p>(&'p self, name: &'p str) -> impl Iterator<Item = &'p str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl<'a> Visit<'a> {
    /// The visit behind a challenge, if it is this browser's and not over.
    async fn of(
        consents: &'a Consents,
        challenge: String,
        language: Language,
        headers: &HeaderMap,
    ) -> Result<Self, Response> {
        let unknown =
            || message(language, StatusCode::NOT_FOUND, MessageKind::RequestUnknown, None);
        let found = consents.server.interaction(&challenge).await;
        let interaction =
            found.map_err(|error| unavailable(language, &error))?.ok_or_else(unknown)?;
        let secret = browser(headers, &challenge).unwrap_or_default();
        if !interaction.began_in(&secret) {
            let status = StatusCode::FORBIDDEN;
            return Err(message(language, status, MessageKind::BrowserOther, None));
        }
        if interaction.is_decided() {
            return Err(unknown());
        }
        let now = clock::now();
        if interaction.ends_at() <= now {
            let fault = consents.server.finish(&challenge, "", Some(&secret), now).await;
            return Err(fault.map_or_else(|fault| ended(language, fault), |_| unknown()));
        }
        let codetab = &interaction.request.codetab;
        let bank = consents.banks.values().find(|bank| bank.code == *codetab);
        let bank = bank.map(|bank| bank.name.clone()).unwrap_or_default();
        let csrf = hex::encode(certs::sha256(format!("csrf {challenge} {secret}").as_bytes()));
        let action = format!("/login/{challenge}");
        Ok(Self { consents, challenge, action, csrf, language, interaction, bank, now })
    }

    fn form(&self) -> Form<'_> {
        Form {
            action: &self.action,
            csrf: &self.csrf,
            language: self.language,
            tpp: &self.interaction.request.client_name,
            bank: &self.bank,
        }
    }

    fn accounts(&self) -> Vec<&'static Account> {
        let login = self.interaction.progress.login.as_deref();
        let customer = ACCOUNTS.iter().find(|account| Some(account.login) == login);
        customer.map(|account| account.persona.accounts().collect()).unwrap_or_default()
    }

    /// The page of the step at which the customer is.
    async fn show(&self, code: Option<CodeProblem>, consent: Option<ConsentProblem>) -> Response {
        let progress = &self.interaction.progress;
        let call_back = Some(self.interaction.request.redirect_uri.as_str());
        let html = match (&progress.login, progress.authenticated_at) {
            (Some(_), Some(_)) => self.consent_page(consent),
            (Some(login), None) => {
                let phone = format!("06 •• •• •• {}", login.get(8..).unwrap_or("••"));
                Code { form: self.form(), phone: &phone, problem: code }.render()
            }
            (None, _) => Login { form: self.form(), problem: None, login: "" }.render(),
        };
        page(StatusCode::OK, html, call_back)
    }

    fn consent_page(&self, problem: Option<ConsentProblem>) -> String {
        let accounts = self.accounts();
        let products: Vec<String> =
            accounts.iter().map(|account| format!("Compte {}", account.segment)).collect();
        let listed: Vec<ConsentAccount<'_>> = accounts
            .iter()
            .zip(&products)
            .enumerate()
            .map(|(number, (account, label))| ConsentAccount {
                number,
                label,
                holder: account.holder,
                iban: account.iban,
            })
            .collect();
        let days = self.consents.server.settings().lives.consent_days;
        let until = self.now.checked_add(SignedDuration::from_hours(24 * days)).unwrap_or(self.now);
        let until = self.language.date(until.to_zoned(TimeZone::UTC).date());
        let scope = match self.interaction.request.scope.as_str() {
            "aisp" => ConsentScope::Accounts,
            _ => ConsentScope::Funds,
        };
        Consent {
            form: self.form(),
            scope,
            accounts: &listed,
            days: u32::try_from(days).unwrap_or(u32::MAX),
            until: &until,
            problem,
        }
        .render()
    }

    async fn login(mut self, login: &str) -> Result<Response, StoreError> {
        let login = login.trim();
        let problem = match ACCOUNTS.iter().any(|account| account.login == login) {
            false => Some(LoginProblem::Unknown),
            true => match self.consents.server.lock_of(login, self.now).await? {
                Lock::Locked { minutes } => Some(LoginProblem::Locked { minutes }),
                Lock::Open { .. } => None,
            },
        };
        if problem.is_some() {
            let html = Login { form: self.form(), problem, login }.render();
            let call_back = Some(self.interaction.request.redirect_uri.as_str());
            return Ok(page(StatusCode::OK, html, call_back));
        }
        self.advance(Progress {
            login: Some(login.to_owned()),
            code_sent_at: Some(self.now.as_second()),
            authenticated_at: None,
        })
        .await
    }

    async fn code(mut self, code: &str) -> Result<Response, StoreError> {
        let progress = self.interaction.progress.clone();
        let (Some(login), Some(sent_at)) = (progress.login.clone(), progress.code_sent_at) else {
            return Ok(self.show(None, None).await);
        };
        let server = &self.consents.server;
        let left = match server.try_once(&login, self.now).await? {
            Lock::Open { left } => left,
            Lock::Locked { minutes } => return self.locked(minutes).await,
        };
        let typed: String = code.split_whitespace().collect();
        if !bool::from(typed.as_bytes().ct_eq(SMS_CODE.as_bytes())) {
            return match left {
                0 | 1 => match server.lock_of(&login, self.now).await? {
                    Lock::Locked { minutes } => self.locked(minutes).await,
                    Lock::Open { left } => {
                        Ok(self.show(Some(CodeProblem::Wrong { left }), None).await)
                    }
                },
                left => Ok(self.show(Some(CodeProblem::Wrong { left: left - 1 }), None).await),
            };
        }
        server.succeeded(&login).await?;
        if self.now.as_second() - sent_at > CODE_LIFE.as_secs() {
            self.interaction.progress.code_sent_at = Some(self.now.as_second());
            server.advance(&self.challenge, &self.interaction.progress).await?;
            return Ok(self.show(Some(CodeProblem::Expired), None).await);
        }
        let authenticated_at = Some(self.now.as_second());
        self.advance(Progress { authenticated_at, ..progress }).await
    }

    /// Too many wrong codes: the visit ends at the call-back.
    async fn locked(&self, minutes: u32) -> Result<Response, StoreError> {
        let server = &self.consents.server;
        let why = "the customer's login is locked after too many wrong codes";
        let back = match server.reject(&self.challenge, "access_denied", why, self.now).await {
            Ok(location) => Some(location),
            Err(DecideFault::Store(error)) => return Err(error),
            Err(_) => None,
        };
        let status = StatusCode::FORBIDDEN;
        Ok(message(self.language, status, MessageKind::Locked { minutes }, back.as_deref()))
    }

    async fn accept(self, posted: &Posted) -> Result<Response, StoreError> {
        let Some(authenticated_at) = self.interaction.progress.authenticated_at else {
            return Ok(self.show(None, None).await);
        };
        let accounts = self.accounts();
        let chosen: Vec<&Account> = posted
            .all("account")
            .filter_map(|number| accounts.get(number.parse::<usize>().ok()?).copied())
            .collect();
        let Some(first) = chosen.first() else {
            return Ok(self.show(None, Some(ConsentProblem::NoneChosen)).await);
        };
        let acceptance = Acceptance {
            psu: first.persona.key().to_owned(),
            accounts: Some(chosen.iter().map(|account| account.iban.to_owned()).collect()),
            strong_authentication_at: Timestamp::from_second(authenticated_at).unwrap_or(self.now),
        };
        let accepted = self.consents.server.accept(&self.challenge, acceptance, self.now).await;
        self.decided(accepted)
    }

    async fn refuse(self) -> Result<Response, StoreError> {
        let why = "the customer refused";
        let server = &self.consents.server;
        let rejected = server.reject(&self.challenge, "access_denied", why, self.now).await;
        self.decided(rejected)
    }

    fn decided(&self, decided: Result<String, DecideFault>) -> Result<Response, StoreError> {
        match decided {
            Ok(location) => Ok(send_on(&location, None)),
            Err(DecideFault::Store(error)) => Err(error),
            Err(_) => {
                let status = StatusCode::NOT_FOUND;
                Ok(message(self.language, status, MessageKind::RequestUnknown, None))
            }
        }
    }

    /// Notes the step, and shows the next page by GET, so that going back and reloading are harmless.
    async fn advance(&mut self, progress: Progress) -> Result<Response, StoreError> {
        self.consents.server.advance(&self.challenge, &progress).await?;
        let location = format!("{}?lang={}", self.action, self.language.code());
        Ok(send_on(&location, None))
    }
}

fn unavailable(language: Language, error: &StoreError) -> Response {
    tracing::error!(%error, "a customer cannot be served");
    message(language, StatusCode::SERVICE_UNAVAILABLE, MessageKind::Unavailable, None)
}
