//! The endpoints of the authorization server at the TPP listener.

use policies::Reason;
use serde_json::{Map, Value, json};

use super::refusals::{CALLER, REGISTER, Refusals, Words};
use super::{Description, Listener, OAUTH, Operation, identified, text};
use crate::authorization::METADATA_PATH;

const FORM: &str = "application/x-www-form-urlencoded";
/// Of every endpoint that takes a form.
const FORMS: &[Reason] =
    &[Reason::OauthRequestInvalid, Reason::BodyTooLarge, Reason::QuotaExceeded];
/// The example of a token that is not there.
const NO_TOKEN: &str = "a-token-that-is-none";
const CLIENT: &[Reason] = &[Reason::ClientUnknown, Reason::ClientOtherTpp, Reason::TppSuspended];

pub(super) fn describe(description: &mut Description<'_>) {
    let Some(settings) = description.config.authorization.clone() else { return };
    let paths = &settings.paths;
    description.add(&paths.token, "POST", token());
    description.add(&paths.par, "POST", pushed());
    description.add(&paths.revoke, "POST", revocation());
    description.add(&paths.introspect, "POST", introspection());
    description.add(METADATA_PATH, "GET", metadata());
}

/// A form with these members, of which the first are required.
fn form(required: usize, members: &[(&str, &str, Value)]) -> Value {
    let names: Vec<&str> = members.iter().take(required).map(|(name, ..)| *name).collect();
    let properties: Map<String, Value> = members
        .iter()
        .map(|(name, description, schema)| {
            let mut schema = schema.clone();
            if let Some(schema) = schema.as_object_mut() {
                schema.insert("description".to_owned(), (*description).into());
            }
            ((*name).to_owned(), schema)
        })
        .collect();
    json!({ "type": "object", "required": names, "properties": properties })
}

fn answered(description: &str, schema: &Value) -> Value {
    json!({
        "description": description,
        "headers": identified(),
        "content": { "application/json": { "schema": schema } },
    })
}

/// An answer of JSON, and one as it is given.
fn shown(description: &str, schema: &Value, name: &str, example: &Value) -> Value {
    let mut answer = answered(description, schema);
    answer["content"]["application/json"]["examples"] = json!({ name: example });
    answer
}

fn some() -> Value {
    json!({ "type": "string", "minLength": 1 })
}

fn token() -> Operation {
    let asked = form(
        1,
        &[
            (
                "grant_type",
                "What is brought for a token.",
                json!({ "type": "string", "enum": [
                    "authorization_code", "refresh_token", "client_credentials",
                ] }),
            ),
            ("client_id", "The application.", some()),
            ("code", "Of the call-back; good once.", some()),
            ("redirect_uri", "The one of the authorization request.", some()),
            (
                "code_verifier",
                "PKCE (RFC 7636).",
                json!({
                    "type": "string", "pattern": "^[A-Za-z0-9._~-]{43,128}$",
                }),
            ),
            ("refresh_token", "Of an earlier answer.", some()),
            ("scope", "Not with a code: that stands for its own.", some()),
        ],
    );
    let told = json!({
        "type": "object",
        "required": ["access_token", "token_type", "expires_in", "scope"],
        "properties": {
            "access_token": text(),
            "token_type": { "const": "Bearer" },
            "expires_in": { "type": "integer", "description": "Seconds." },
            "refresh_token": text(),
            "scope": text(),
        },
    });
    let enrolling = json!({
        "grant_type": "client_credentials",
        "client_id": crate::authorization::REGISTERING_CLIENT,
        "scope": crate::authorization::REGISTRATION_SCOPE,
    });
    let example = json!({
        "value": {
            "access_token": "…", "token_type": "Bearer", "expires_in": 600,
            "scope": crate::authorization::REGISTRATION_SCOPE,
        },
        "x-octroi-varies": ["access_token"],
    });
    let answer = shown("Tokens (RFC 6749 §5.1).", &told, "to-enrol", &example);
    Operation::new(
        Listener::Tpp,
        OAUTH,
        "token",
        "Tokens for a code, a refresh token, or the QWAC alone",
    )
    .saying(
        "RFC 6749 §3.2. The client authenticates by its QWAC (`tls_client_auth`, RFC 8705); client \
             secrets and assertions are refused.",
    )
    .body(FORM, json!({ "schema": asked, "examples": { "to-enrol": { "value": enrolling } } }))
    .answers(200, answer)
    .refuses(Refusals {
        words: Words::Oauth,
        reasons: &[
            CALLER,
            FORMS,
            CLIENT,
            &[
                Reason::GrantInvalid,
                Reason::GrantTypeUnsupported,
                Reason::ScopeInvalid,
                Reason::RoleMissing,
            ],
            REGISTER,
        ],
    })
}

fn pushed() -> Operation {
    let asked = form(
        4,
        &[
            ("response_type", "Only `code`.", json!({ "const": "code" })),
            ("client_id", "The application.", some()),
            ("redirect_uri", "One that it enrolled, character for character.", some()),
            ("scope", "`cbpii` (`piisp`) or `aisp`.", some()),
            ("state", "Comes back as it was sent.", json!({ "type": "string", "maxLength": 1024 })),
            ("code_challenge", "PKCE (RFC 7636).", some()),
            ("code_challenge_method", "Only `S256`.", json!({ "const": "S256" })),
        ],
    );
    let told = json!({
        "type": "object",
        "required": ["request_uri", "expires_in"],
        "properties": { "request_uri": text(), "expires_in": { "type": "integer" } },
    });
    Operation::new(
        Listener::Tpp,
        OAUTH,
        "par",
        "An authorization request, pushed before the browser comes",
    )
    .saying("RFC 9126. The reference is good once, for 90 seconds.")
    .body(FORM, json!({ "schema": asked }))
    .answers(201, answered("A reference for the browser's `request_uri`.", &told))
    .refuses(Refusals {
        words: Words::Oauth,
        reasons: &[
            CALLER,
            FORMS,
            CLIENT,
            &[Reason::ScopeInvalid, Reason::GrantTypeUnsupported, Reason::RoleMissing],
            REGISTER,
        ],
    })
}

/// What asks about a token, at the end of one or for its content.
fn about_token(name: &'static str, title: &'static str, source: &'static str) -> Operation {
    let asked = form(
        1,
        &[
            ("token", "An access token or a refresh token.", some()),
            ("token_type_hint", "Not looked at.", text()),
        ],
    );
    let examples = json!({ NO_TOKEN: { "value": { "token": "none" } } });
    Operation::new(Listener::Tpp, OAUTH, name, title)
        .saying(source)
        .body(FORM, json!({ "schema": asked, "examples": examples }))
        .refuses(Refusals { words: Words::Oauth, reasons: &[CALLER, FORMS] })
}

fn revocation() -> Operation {
    let done = json!({
        "description": "It is dead: it was ended, was none, or was another TPP's.",
        "headers": identified(),
    });
    about_token("revoke", "The end of a token and its pair", "RFC 7009.").answers(200, done)
}

fn introspection() -> Operation {
    let told = json!({
        "type": "object",
        "required": ["active"],
        "properties": {
            "active": { "type": "boolean" },
            "scope": text(),
            "client_id": text(),
            "token_type": text(),
            "exp": { "type": "integer" },
            "iat": { "type": "integer" },
            "auth_time": { "type": "integer" },
            "iss": text(),
            "cnf": { "type": "object", "properties": { "x5t#S256": text() } },
        },
    });
    let words = "Only of the TPP's own tokens; all others are not active.";
    let answer = shown(words, &told, NO_TOKEN, &json!({ "value": { "active": false } }));
    about_token("introspect", "What a token is", "RFC 7662.").answers(200, answer)
}

fn metadata() -> Operation {
    let told = json!({
        "type": "object",
        "required": ["issuer", "authorization_endpoint", "token_endpoint"],
        "properties": {
            "issuer": text(), "authorization_endpoint": text(), "token_endpoint": text(),
        },
    });
    Operation::new(Listener::Tpp, OAUTH, "metadata", "What this authorization server is")
        .saying("RFC 8414. The same is answered at the issuer, for which no certificate is needed.")
        .answers(200, answered("The metadata.", &told))
        .refuses(Refusals { words: Words::Oauth, reasons: &[CALLER, &[Reason::QuotaExceeded]] })
}
