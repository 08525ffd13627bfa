//! The enrolment of applications.

use policies::Reason;
use serde_json::{Value, json};

use super::refusals::{CALLER, REGISTER, Refusals, SIGNATURE, TOKEN, Words};
use super::{Description, ENROLMENT, Listener, Operation, Proof, identified, parameter, text};

const JSON: &str = "application/json";
const COMMON: &[Reason] = &[Reason::QuotaExceeded, Reason::BodyTooLarge];
const SEALED: &[Reason] = &[
    Reason::OauthRequestInvalid,
    Reason::RegistrationInvalid,
    Reason::RedirectUriInvalid,
    Reason::TppSuspended,
];

pub(super) fn describe(description: &mut Description<'_>) {
    let Some(settings) = description.config.authorization.clone() else { return };
    let register = settings.paths.register;
    let one = format!("{register}/{{client_id}}");
    let asked = description.schema("Registration", asked());
    let told = description.schema("RegisteredApplication", told());

    let operation = operation("register", "Enrols an application")
        .saying("RFC 7591. Sealed with the first QSEALC in its own body.")
        .taking(signed())
        .body(JSON, json!({ "schema": asked }))
        .answers(201, answered("It is enrolled.", &told))
        .refuses(refusals(&[CALLER, COMMON, TOKEN, REGISTER, SIGNATURE, SEALED]));
    description.add(&register, "POST", operation);

    let known: &[&[Reason]] = &[CALLER, COMMON, TOKEN, REGISTER, &[Reason::ClientUnknown]];
    let operation = self::operation("register-show", "What an application is registered as")
        .saying("RFC 7592 §2.1.")
        .taking([client_id()])
        .answers(200, answered("The registration.", &told))
        .refuses(refusals(known));
    description.add(&one, "GET", operation);
    let operation = self::operation("register-change", "Replaces a registration")
        .saying("RFC 7592 §2.2. Sealed as the enrolment is.")
        .taking([client_id()])
        .taking(signed())
        .body(JSON, json!({ "schema": asked }))
        .answers(200, answered("The registration as it is now.", &told))
        .refuses(refusals(&[
            CALLER,
            COMMON,
            TOKEN,
            REGISTER,
            SIGNATURE,
            SEALED,
            &[Reason::ClientUnknown],
        ]));
    description.add(&one, "PUT", operation);
    let operation = self::operation("register-remove", "Removes an application")
        .saying("RFC 7592 §2.3. Its tokens end with it.")
        .taking([client_id()])
        .answers(204, json!({ "description": "It is gone.", "headers": identified() }))
        .refuses(refusals(known));
    description.add(&one, "DELETE", operation);
}

fn operation(id: &str, summary: &'static str) -> Operation {
    Operation::new(Listener::Tpp, ENROLMENT, id, summary).with(Proof::Token)
}

fn refusals<'a>(reasons: &'a [&'a [Reason]]) -> Refusals<'a> {
    Refusals { words: Words::Oauth, reasons }
}

fn answered(description: &str, schema: &Value) -> Value {
    json!({
        "description": description,
        "headers": identified(),
        "content": { JSON: { "schema": schema } },
    })
}

fn client_id() -> Value {
    let schema = json!({ "type": "string", "pattern": "^[A-Za-z0-9._~-]+$" });
    parameter("path", "client_id", true, "As the enrolment gave it.", &schema)
}

fn signed() -> [Value; 3] {
    let field = |name, description| parameter("header", name, false, description, &text());
    [
        field("Date", "Of the signature."),
        field("Digest", "Of the body (RFC 3230)."),
        field("Signature", "draft-cavage-http-signatures-12, or RFC 9421."),
    ]
}

fn asked() -> Value {
    json!({
        "type": "object",
        "description":
            "STET registration 1.0.5 and the bank group's words for it; what is not looked at is told as \
             `ignored`.",
        "required": ["client_name", "redirect_uris", "provider_legal_id", "jwks"],
        "properties": {
            "client_name": text(),
            "redirect_uris": { "type": "array", "minItems": 1, "items": text() },
            "provider_legal_id": {
                "type": "string", "description": "The organisation id of the QWAC, octet for octet.",
            },
            "scope": text(),
            "grant_types": { "type": "array", "items": text() },
            "jwks": {
                "type": "object",
                "required": ["keys"],
                "properties": { "keys": { "type": "array", "minItems": 1, "items": {
                    "type": "object",
                    "required": ["x5c"],
                    "properties": { "x5c": { "type": "array", "minItems": 1, "items": text() } },
                } } },
            },
        },
    })
}

fn told() -> Value {
    json!({
        "type": "object",
        "required": [
            "client_id", "client_id_issued_at", "client_name", "redirect_uris", "grant_types",
            "scope", "token_endpoint_auth_method", "provider_legal_id", "jwks",
            "registration_client_uri",
        ],
        "properties": {
            "client_id": text(),
            "client_id_issued_at": { "type": "integer" },
            "client_name": text(),
            "redirect_uris": { "type": "array", "items": text() },
            "grant_types": { "type": "array", "items": text() },
            "scope": text(),
            "token_endpoint_auth_method": { "const": "tls_client_auth" },
            "provider_legal_id": text(),
            "jwks": { "type": "object" },
            "registration_client_uri": text(),
            "ignored": { "type": "array", "items": text() },
        },
    })
}
