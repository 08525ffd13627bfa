//! An authorization request (RFC 6749 §4.1.1): read, held against what its client enrolled, and, once
//! client and call-back are proven, answered there.

use certs::OrganisationId;
use jiff::Timestamp;
use policies::client::{Client, GrantType, RedirectUri};
use policies::{Reason, Refusal, Scope, World};
use serde::{Deserialize, Serialize};

use super::form::{Form, invalid};
use super::{AuthorizationServer, unavailable};
use crate::problem::{self, ascii};
use crate::store;

/// Characters of `state`: it comes back as it was sent.
const STATE_CHARS_MAX: usize = 1024;
/// Characters of an S256 challenge: SHA-256 in base64url.
const CHALLENGE_CHARS: usize = 43;

/// What a customer is asked to consent to.
#[derive(Clone, Serialize, Deserialize)]
pub struct AuthorizationRequest {
    /// The application.
    pub client_id: String,
    /// Its name, as customers are shown it.
    pub client_name: String,
    /// Whose it is.
    pub organisation_id: String,
    /// Where the answer goes: one of those that were enrolled.
    pub redirect_uri: String,
    /// What for: `cbpii` or `aisp`.
    pub scope: String,
    /// At which bank.
    pub codetab: String,
    /// Comes back with the answer.
    pub state: Option<String>,
    /// PKCE, S256.
    pub code_challenge: Option<String>,
}

/// Why a customer is not asked.
pub enum RequestFault {
    /// It is not known where an answer may go: the browser is told, and sent nowhere.
    Here(Refusal),
    /// The call-back is proven: it is told.
    There {
        /// The URL with the error.
        location: String,
        /// The same for the log.
        refusal: Refusal,
    },
}

/// Parameters of one request.
pub(super) struct Asked<'a> {
    pub(super) form: &'a Form,
    pub(super) codetab: &'a str,
    pub(super) world: &'a World,
    pub(super) now: Timestamp,
}

impl AuthorizationServer {
    /// Reads the query of `GET /authorize`, or the pushed request that it names.
    ///
    /// # Errors
    /// See [`RequestFault`].
    pub async fn read_request(
        &self,
        query: &str,
        codetab: &str,
        world: &World,
        now: Timestamp,
    ) -> Result<AuthorizationRequest, RequestFault> {
        let form = Form::read(query.as_bytes()).map_err(RequestFault::Here)?;
        if form.get("request_uri").is_some() {
            let request = self.pushed(&form, codetab, now).await.map_err(RequestFault::Here)?;
            let tpp = request.tpp().map_err(RequestFault::Here)?;
            self.not_suspended(&tpp).await.map_err(RequestFault::Here)?;
            return Ok(request);
        }
        let asked = Asked { form: &form, codetab, world, now };
        let client = self.asking_client(&form).await.map_err(RequestFault::Here)?;
        // Nobody's browser is sent to whom the bank has thrown out, not even with an error.
        self.not_suspended(&client.organisation_id).await.map_err(RequestFault::Here)?;
        let redirect_uri = call_back(&form, &client).map_err(RequestFault::Here)?;
        let judged = if self.settings.par_required {
            Err(invalid("push the request first (RFC 9126), and send its request_uri"))
        } else {
            self.judge(&asked, &client, redirect_uri)
        };
        judged.map_err(|refusal| {
            let state = form.get("state").filter(|state| acceptable_state(state));
            let location = self.error_location(redirect_uri, state, codetab, &refusal);
            RequestFault::There { location, refusal }
        })
    }

    /// Whether the bank lets a TPP ask at all.
    pub(super) async fn not_suspended(&self, tpp: &OrganisationId) -> Result<(), Refusal> {
        let suspension = store::suspension(self.store.as_ref(), tpp).await;
        match suspension.map_err(|error| unavailable(&error))? {
            Some(_) => Err(Refusal::new(Reason::TppSuspended)),
            None => Ok(()),
        }
    }

    /// The client that a request names.
    pub(super) async fn asking_client(&self, form: &Form) -> Result<Client, Refusal> {
        let client_id = form.required("client_id")?;
        let client = self.client(client_id).await.map_err(|error| unavailable(&error))?;
        client.ok_or_else(|| Refusal::new(Reason::ClientUnknown))
    }

    /// Everything about a request of `client` but where it comes from and where its answer goes.
    pub(super) fn judge(
        &self,
        asked: &Asked<'_>,
        client: &Client,
        redirect_uri: &RedirectUri,
    ) -> Result<AuthorizationRequest, Refusal> {
        let form = asked.form;
        match form.get("response_type") {
            Some("code") => {}
            Some(_) => {
                let refusal = invalid("response_type must be code");
                return Err(refusal.in_oauth("unsupported_response_type"));
            }
            None => return Err(invalid("the parameter response_type is missing")),
        }
        match form.get("response_mode") {
            None | Some("query") => {}
            Some(_) => return Err(invalid("response_mode must be query")),
        }
        form.absent("request", "request objects (RFC 9101) are not read here")
            .map_err(|refusal| refusal.in_oauth("request_not_supported"))?;
        if form.get("state").is_some_and(|state| !acceptable_state(state)) {
            return Err(invalid(format!("state may have {STATE_CHARS_MAX} characters of VSCHAR")));
        }
        let scope = self.scope(form, client)?;
        let code_challenge = self.code_challenge(form)?;
        if client.setting != self.settings.setting {
            return Err(Refusal::because(
                Reason::ClientUnknown,
                format!("this application is enrolled in {} only", client.setting.code()),
            ));
        }
        if !client.grant_types.contains(&GrantType::AuthorizationCode) {
            return Err(Refusal::because(
                Reason::GrantTypeUnsupported,
                "this application is not enrolled for authorization_code",
            ));
        }
        let id = &client.organisation_id;
        policies::may_be_sent_customers(id, scope, asked.world, asked.now)?;
        Ok(AuthorizationRequest {
            client_id: client.client_id.clone(),
            client_name: client.name.clone(),
            organisation_id: id.as_str().to_owned(),
            redirect_uri: redirect_uri.as_str().to_owned(),
            scope: scope.name().to_owned(),
            codetab: asked.codetab.to_owned(),
            state: form.get("state").map(str::to_owned),
            code_challenge,
        })
    }

    fn scope(&self, form: &Form, client: &Client) -> Result<Scope, Refusal> {
        let refused = |detail: &'static str| Refusal::because(Reason::ScopeInvalid, detail);
        let text = form.get("scope").ok_or_else(|| refused("the parameter scope is missing"))?;
        let scope = Scope::from_name(text).filter(|scope| self.settings.scopes.contains(scope));
        let scope =
            scope.ok_or_else(|| refused("ask for exactly one of the scopes that are offered"))?;
        if !client.scopes.contains(scope.name()) {
            return Err(refused("this application is not enrolled for the scope"));
        }
        Ok(scope)
    }

    fn code_challenge(&self, form: &Form) -> Result<Option<String>, Refusal> {
        let Some(challenge) = form.get("code_challenge") else {
            if form.get("code_challenge_method").is_some() {
                return Err(invalid("code_challenge_method without code_challenge"));
            }
            if self.settings.pkce_required {
                return Err(invalid("code_challenge is missing: PKCE (RFC 7636) is required here"));
            }
            return Ok(None);
        };
        // RFC 7636 §4.3: without a method it is `plain`, which protects nothing.
        if form.get("code_challenge_method") != Some("S256") {
            return Err(invalid("code_challenge_method must be S256"));
        }
        let url_safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if challenge.len() != CHALLENGE_CHARS || !challenge.bytes().all(url_safe) {
            return Err(invalid("code_challenge must be a SHA-256 in base64url without padding"));
        }
        Ok(Some(challenge.to_owned()))
    }

    /// Where an error goes, once client and call-back are proven (RFC 6749 §4.1.2.1, RFC 9207).
    pub(super) fn error_location(
        &self,
        redirect_uri: &RedirectUri,
        state: Option<&str>,
        codetab: &str,
        refusal: &Refusal,
    ) -> String {
        let error = match refusal.oauth_error() {
            // Said of a request at a token endpoint, where a client authenticates itself.
            "invalid_client" | "unsupported_grant_type" => "unauthorized_client",
            error => error,
        };
        let description = problem::detail(refusal);
        self.location(
            redirect_uri,
            state,
            codetab,
            &[("error", error), ("error_description", &ascii(&description))],
        )
    }

    /// The call-back with an answer, the state and the issuer.
    pub(super) fn location(
        &self,
        redirect_uri: &RedirectUri,
        state: Option<&str>,
        codetab: &str,
        answer: &[(&str, &str)],
    ) -> String {
        let issuer = self.settings.issuer.of(codetab);
        let mut pairs = answer.to_vec();
        pairs.extend(state.map(|state| ("state", state)));
        pairs.push(("iss", &issuer));
        redirect_uri.with_query(&pairs)
    }
}

/// The call-back of a request: exactly one of those that its client enrolled (RFC 9700 §2.1).
pub(super) fn call_back<'c>(form: &Form, client: &'c Client) -> Result<&'c RedirectUri, Refusal> {
    let sent = form.required("redirect_uri")?;
    client.redirect_uris.iter().find(|uri| uri.matches(sent)).ok_or_else(|| {
        invalid("redirect_uri is not one of those that the application enrolled, octet for octet")
    })
}

impl AuthorizationRequest {
    /// Whose application it is.
    pub(super) fn tpp(&self) -> Result<OrganisationId, Refusal> {
        OrganisationId::new(&self.organisation_id).map_err(|_| damaged())
    }

    /// The call-back, which was proven when the request was read.
    pub(super) fn call_back(
        &self,
        setting: policies::client::Setting,
    ) -> Result<RedirectUri, Refusal> {
        RedirectUri::enrol(&self.redirect_uri, setting).map_err(|_| damaged())
    }
}

fn damaged() -> Refusal {
    Refusal::because(Reason::StateUnavailable, "what was stored of the request cannot be read")
}

/// RFC 6749 appendix A.5: VSCHAR.
fn acceptable_state(state: &str) -> bool {
    state.len() <= STATE_CHARS_MAX && state.bytes().all(|byte| matches!(byte, 0x20..=0x7e))
}
