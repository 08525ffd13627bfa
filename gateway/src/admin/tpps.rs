//! What an operator may ask and do about TPPs: list, suspend, resume, and enrol or remove their
//! applications. Behind the admin key; who did it and why stands in the log.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use certs::OrganisationId;
use jiff::Timestamp;
use policies::client::{Client, ClientRecordError, RedirectUri, Setting};
use policies::ledger::{Cut, Suspension};
use policies::{Scope, limits};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::tokens::{bad, signed_off, unavailable};
use super::{Admin, authorised, client, unauthorised};
use crate::audit::Event;
use crate::authorization::{self, AuthorizationServer, EnrolFault, named};
use crate::clock;
use crate::store;

const NO_SERVER: &str =
    "this gateway enrols nobody: it has no [authorization], the bank's own server does";

/// The routes.
pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route(client::TPPS_PATH, get(list))
        .route(client::SUSPEND_PATH, post(suspend))
        .route(client::RESUME_PATH, post(resume))
        .route(client::REMOVE_PATH, post(remove))
        .route(client::ADD_PATH, post(add))
}

/// Which TPP, who decides, and why.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    pub(super) tpp: String,
    pub(super) by: String,
    pub(super) because: String,
}

/// What a suspension or its end found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Decided {
    /// Whether it was otherwise before.
    pub changed: bool,
    /// Live tokens that ended.
    pub tokens: usize,
}

/// Which applications to remove, who does it, and why.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Removal {
    /// A client id, or the organisation id of a TPP.
    pub(super) which: String,
    /// All of that organisation id.
    pub(super) all: bool,
    pub(super) by: String,
    pub(super) because: String,
}

/// An application that was removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Removed {
    /// Its client id.
    pub client_id: String,
    /// Its live tokens that ended.
    pub tokens: usize,
}

/// An application that a person enrols, as a portal would.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Application {
    /// Whose it is.
    pub organisation_id: String,
    /// Under which id it asks for tokens; none: its organisation id.
    pub client_id: Option<String>,
    /// As customers are shown it.
    pub name: String,
    /// Where its customers may be sent.
    pub redirect_uris: Vec<String>,
    /// What it may ask for.
    pub scopes: Vec<String>,
    /// Who enrols it.
    pub by: String,
    /// Why.
    pub because: String,
}

async fn list(State(admin): State<Admin>, headers: HeaderMap) -> Response {
    if !authorised(admin.key.as_deref(), &headers) {
        return unauthorised();
    }
    match authorization::listed(admin.gateway.store.as_ref()).await {
        Ok(tpps) => Json(tpps).into_response(),
        Err(error) => unavailable(&error),
    }
}

async fn suspend(
    State(admin): State<Admin>,
    headers: HeaderMap,
    Json(asked): Json<Decision>,
) -> Response {
    decide(&admin, &headers, &asked, true).await
}

async fn resume(
    State(admin): State<Admin>,
    headers: HeaderMap,
    Json(asked): Json<Decision>,
) -> Response {
    decide(&admin, &headers, &asked, false).await
}

async fn decide(admin: &Admin, headers: &HeaderMap, asked: &Decision, suspends: bool) -> Response {
    if !authorised(admin.key.as_deref(), headers) {
        return unauthorised();
    }
    let Ok(id) = OrganisationId::new(&asked.tpp) else { return bad("tpp: no organisation id") };
    let Some((by, because)) = signed_off(&asked.by, &asked.because) else {
        return bad(super::tokens::WHO_AND_WHY);
    };
    let (store, now) = (admin.gateway.store.as_ref(), clock::now());
    let before = match store::suspension(store, &id).await {
        Ok(before) => before,
        Err(error) => return unavailable(&error),
    };
    if before.is_none() && !suspends {
        return Json(Decided { changed: false, tokens: 0 }).into_response();
    }
    let tokens = match store.tokens_of(&id, now).await {
        Ok(tokens) => tokens.len(),
        Err(error) => return unavailable(&error),
    };
    let then = if suspends {
        Cut::Suspend(Suspension { by: by.to_owned(), because: because.to_owned() })
    } else {
        Cut::Resume
    };
    if let Err(error) = store::cut(store, &id, &then, now).await {
        return unavailable(&error);
    }
    let event = if suspends { "tpp_suspended" } else { "tpp_resumed" };
    tell(admin, event, &id, because.to_owned(), by);
    Json(Decided { changed: before.is_some() != suspends, tokens }).into_response()
}

async fn remove(
    State(admin): State<Admin>,
    headers: HeaderMap,
    Json(asked): Json<Removal>,
) -> Response {
    if !authorised(admin.key.as_deref(), &headers) {
        return unauthorised();
    }
    let settings = admin.gateway.settings();
    let Some(server) = &settings.authorization else { return bad(NO_SERVER) };
    let Some((by, because)) = signed_off(&asked.by, &asked.because) else {
        return bad(super::tokens::WHO_AND_WHY);
    };
    let meant = match meant(server, &asked).await {
        Ok(meant) => meant,
        Err(response) => return response,
    };
    let mut removed = Vec::new();
    for client in meant {
        match server.remove(&client, clock::now()).await {
            Ok(tokens) => {
                let detail = format!("{}; tokens ended: {tokens}: {because}", named(&client));
                tell(&admin, "client_removed", &client.organisation_id, detail, by);
                removed.push(Removed { client_id: client.client_id, tokens });
            }
            Err(error) => return unavailable(&error),
        }
    }
    Json(removed).into_response()
}

/// The applications that a removal is about. One name may be that of a TPP and of one of its
/// applications: then nobody guesses.
async fn meant(server: &AuthorizationServer, asked: &Removal) -> Result<Vec<Client>, Response> {
    let mut clients = server.clients().await.map_err(|error| unavailable(&error))?;
    let theirs = |client: &Client| client.organisation_id.as_str() == asked.which;
    if asked.all || clients.iter().filter(|client| theirs(client)).count() == 1 {
        clients.retain(theirs);
        return Ok(clients);
    }
    let (several, own) =
        (clients.iter().any(theirs), clients.iter().any(|client| client.client_id == asked.which));
    if several && !own {
        return Err(bad("this TPP has several applications: name one, or ask for all"));
    }
    clients.retain(|client| client.client_id == asked.which);
    Ok(clients)
}

async fn add(
    State(admin): State<Admin>,
    headers: HeaderMap,
    Json(asked): Json<Application>,
) -> Response {
    if !authorised(admin.key.as_deref(), &headers) {
        return unauthorised();
    }
    let settings = admin.gateway.settings();
    let Some(server) = &settings.authorization else { return bad(NO_SERVER) };
    let Some((by, because)) = signed_off(&asked.by, &asked.because) else {
        return bad(super::tokens::WHO_AND_WHY);
    };
    let client = match read(&asked, server.settings().setting, clock::now()) {
        Ok(client) => client,
        Err(why) => return bad(&why),
    };
    match server.enrol(&client, None).await {
        Ok(()) => {}
        Err(EnrolFault::Store(error)) => return unavailable(&error),
        Err(EnrolFault::Changed) => return bad(&EnrolFault::IdTaken.to_string()),
        Err(fault) => return bad(&fault.to_string()),
    }
    let detail = format!("{}: {because}", named(&client));
    tell(&admin, "client_enrolled", &client.organisation_id, detail, by);
    Json(Removed { client_id: client.client_id, tokens: 0 }).into_response()
}

/// The application, if a record of it could be read again.
fn read(asked: &Application, setting: Setting, now: Timestamp) -> Result<Client, String> {
    let id = OrganisationId::new(&asked.organisation_id)
        .map_err(|fault| format!("organisation_id: {fault}"))?;
    let mut redirect_uris = Vec::new();
    for text in &asked.redirect_uris {
        let uri = RedirectUri::enrol(text, setting)
            .map_err(|fault| format!("redirect_uri cannot be enrolled: {fault}"))?;
        if !redirect_uris.contains(&uri) {
            redirect_uris.push(uri);
        }
    }
    let scope = |name: &String| {
        let scope = Scope::from_name(name).map(|scope| scope.name().to_owned());
        scope.ok_or_else(|| format!("scope: write {}", Scope::ALL.map(Scope::name).join(" or ")))
    };
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let client_id = asked.client_id.clone().unwrap_or_else(|| id.as_str().to_owned());
    if !client_id.bytes().all(|byte| byte.is_ascii_graphic() && !b"/%?#\"\\".contains(&byte)) {
        return Err(
            "client_id: visible ASCII without blanks, quotes or / % ? # \\; give one with \
                    --client-id"
                .to_owned(),
        );
    }
    let client = Client {
        redirect_uris,
        scopes: asked.scopes.iter().map(scope).collect::<Result<_, _>>()?,
        ..Client::by_a_person(client_id, id, asked.name.clone(), setting, now)
    };
    match Client::from_json(&client.to_json()) {
        Ok(read) => Ok(read),
        Err(ClientRecordError::Member("name")) => Err(format!(
            "name: 1 to {} characters that can be seen, on one line",
            limits::CLIENT_NAME_CHARACTERS_MAX
        )),
        Err(ClientRecordError::Member("redirect_uris")) => {
            Err(format!("redirect_uri: give 1 to {}", limits::REDIRECT_URIS_MAX))
        }
        Err(fault) => Err(fault.to_string()),
    }
}

fn tell(admin: &Admin, event: &'static str, id: &OrganisationId, detail: String, by: &str) {
    let (subject, by) = (Some(id.as_str().to_owned()), vec![by.to_owned()]);
    admin.gateway.audit.event(Event { time: clock::now(), event, subject, detail, by });
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn asked() -> Application {
        Application {
            organisation_id: "PSDFR-ACPR-99901".to_owned(),
            client_id: None,
            name: "Coffee".to_owned(),
            redirect_uris: vec!["https://tpp.example/cb".to_owned()],
            scopes: vec!["cbpii".to_owned(), "piisp".to_owned()],
            by: "Ada".to_owned(),
            because: "asked by letter".to_owned(),
        }
    }

    fn read(asked: &Application) -> Result<Client, String> {
        super::read(asked, Setting::Production, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn an_application_that_a_person_enrols_bears_its_organisation_id_unless_another_is_given() {
        let client = read(&asked()).unwrap();
        assert_eq!(client.client_id, "PSDFR-ACPR-99901");
        assert_eq!(client.scopes, BTreeSet::from(["cbpii".to_owned()]));
        let other = Application { client_id: Some("1X".to_owned()), ..asked() };
        assert_eq!(read(&other).unwrap().client_id, "1X");
    }

    #[test]
    fn what_could_not_be_read_again_is_refused_with_its_member() {
        type Bend = fn(&mut Application);
        let bends: [(&str, Bend); 7] = [
            ("organisation_id", |asked| asked.organisation_id = String::new()),
            ("client_id", |asked| asked.client_id = Some("a/b".to_owned())),
            ("client_id", |asked| asked.client_id = Some(String::new())),
            ("name", |asked| asked.name = "\u{202e}".to_owned()),
            ("redirect_uri", |asked| asked.redirect_uris = vec!["http://tpp.example".to_owned()]),
            ("redirect_uri", |asked| asked.redirect_uris.clear()),
            ("scope", |asked| asked.scopes = vec!["pisp".to_owned()]),
        ];
        for (member, bend) in bends {
            let mut bent = asked();
            bend(&mut bent);
            let why = read(&bent).unwrap_err();
            assert!(why.contains(member), "{member}: {why}");
        }
    }
}
