//! What browsers ask at the PSU listener.

use policies::Reason;
use serde_json::{Value, json};

use super::{BROWSER, Description, Listener, Operation, parameter, text};
use crate::authorization::METADATA_PATH;
use crate::pages::style::STYLE_PATH;
use crate::roadmap::Roadmap;
use crate::sandbox::CALLBACK_PATH;

pub(super) fn describe(description: &mut Description<'_>) {
    let operation = operation("front", "What this host is").answers(200, page("The page."));
    description.add("/", "GET", operation);
    let operation = self::operation("reasons", "Every reason code").answers(200, page("The list."));
    description.add("/reasons/", "GET", operation);
    let codes: Vec<&str> = Reason::ALL.iter().map(|reason| reason.code()).collect();
    let code = json!({ "type": "string", "examples": codes });
    let operation = self::operation("reason", "What one reason means")
        .saying("Every refusal's `type` points here.")
        .taking([parameter("path", "code", true, "The reason.", &code)])
        .answers(200, page("The page."))
        .answers(404, page("There is no such reason."))
        .answers(400, plain("The path is not UTF-8."));
    description.add("/reasons/{code}", "GET", operation);
    let operation = self::operation("roadmap", "Which versions of the APIs come and go")
        .taking([parameter(
            "query",
            "lang",
            false,
            "`fr` or `en`; else as `Accept-Language` says.",
            &text(),
        )])
        .answers(200, page("The page."));
    description.add("/roadmap", "GET", operation);
    let schema = description.told::<Roadmap>();
    let roadmap = json!({ "description": "The roadmap.", "content": { "application/json": { "schema": schema } } });
    let operation = self::operation("roadmap-json", "The same for programs").answers(200, roadmap);
    description.add("/roadmap.json", "GET", operation);
    consents(description);
}

fn consents(description: &mut Description<'_>) {
    let Some(settings) = description.config.authorization.clone() else { return };
    let path = &settings.authorize_path;
    let asked = [
        ("response_type", "Only `code`."),
        ("client_id", "The application."),
        ("redirect_uri", "One that it enrolled."),
        ("scope", "`cbpii` (`piisp`) or `aisp`."),
        ("state", "Comes back as it was sent."),
        ("code_challenge", "PKCE (RFC 7636)."),
        ("code_challenge_method", "Only `S256`."),
        ("request_uri", "A pushed request (RFC 9126), instead of all others but `client_id`."),
        ("ui_locales", "`fr` or `en`."),
    ];
    let asked =
        asked.map(|(name, said)| parameter("query", name, name == "client_id", said, &text()));
    let operation = operation("authorize", "Where a TPP sends its customer for a consent")
        .saying(
            "RFC 6749 §4.1.1. Nothing is sent to a call-back that is not the application's own.",
        )
        .taking(asked)
        .answers(303, sent_on("To the login, or back to the TPP with `error`."))
        .answers(400, page("Nobody knows where to send the customer back to."))
        .answers(503, page("Not now."));
    description.add(path, "GET", operation);
    let operation = self::operation(
        "authorize-resume",
        "Where the bank's login page sends the customer back to",
    )
    .taking([
        parameter("query", "challenge", true, "As the login page was given it.", &text()),
        parameter("query", "verifier", true, "As it was given for its decision.", &text()),
    ])
    .answers(303, sent_on("To the TPP, with `code` or `error`."))
    .answers(403, page("Another browser began this."))
    .answers(404, page("There is nothing to resume."))
    .answers(410, page("Too late."))
    .answers(503, page("Not now."));
    description.add(&format!("{path}/resume"), "GET", operation);
    if settings.login_url.is_none() {
        sandbox(description);
    }
    // One path can be described once: the TPP listener, which describes it, is not the only one.
    let issuer = description.server(Listener::Psu);
    let place = format!("/{}/get/servers", METADATA_PATH.replace('/', "~1"));
    let mut paths = Value::Object(std::mem::take(&mut description.paths));
    if let Some(Value::Array(servers)) = paths.pointer_mut(&place) {
        servers.push(issuer);
    }
    if let Value::Object(paths) = paths {
        description.paths = paths;
    }
}

/// The sandbox bank's own pages.
fn sandbox(description: &mut Description<'_>) {
    let challenge = parameter("path", "challenge", true, "As the redirection gave it.", &text());
    let operation = operation("login", "The sandbox bank's login and consent")
        .taking([challenge.clone(), parameter("query", "lang", false, "`fr` or `en`.", &text())])
        .answers(200, page("The step that comes next."))
        .answers(303, sent_on("On, where nothing is left to ask."))
        .answers(400, plain("The path is not UTF-8."))
        .answers(403, page("Another browser began this."))
        .answers(404, page("There is no such visit."))
        .answers(410, page("Too late."))
        .answers(503, page("Not now."));
    description.add("/login/{challenge}", "GET", operation);
    let form = json!({
        "type": "object",
        "properties": {
            "csrf": text(), "lang": text(), "login": text(), "code": text(),
            "step": { "type": "string", "enum": ["login", "code", "accept", "refuse"] },
            "account": { "type": "array", "items": text() },
        },
    });
    let operation = self::operation("login-step", "One step of it")
        .taking([challenge])
        .body("application/x-www-form-urlencoded", json!({ "schema": form }))
        .answers(200, page("The step that comes next."))
        .answers(303, sent_on("Back to the TPP."))
        .answers(400, plain("The path is not UTF-8."))
        .answers(403, page("The form is not from this browser's page."))
        .answers(404, page("There is no such visit."))
        .answers(410, page("Too late."))
        .answers(413, plain("A form has at most 8 KiB."))
        .answers(503, page("Not now."));
    description.add("/login/{challenge}", "POST", operation);
    let css = json!({
        "description": "The style.", "content": { "text/css": { "schema": text() } },
    });
    let operation = self::operation("style", "How those pages look").answers(200, css);
    description.add(STYLE_PATH, "GET", operation);
    let operation = self::operation("callback", "Stands in for a TPP's own page")
        .answers(200, page("What came back."));
    description.add(CALLBACK_PATH, "GET", operation);
}

fn operation(id: &str, summary: &'static str) -> Operation {
    Operation::new(Listener::Psu, BROWSER, id, summary)
}

fn page(description: &str) -> Value {
    json!({ "description": description, "content": { "text/html": { "schema": text() } } })
}

fn plain(description: &str) -> Value {
    json!({ "description": description, "content": { "text/plain": { "schema": text() } } })
}

fn sent_on(description: &str) -> Value {
    json!({
        "description": description,
        "headers": { "Location": { "required": true, "schema": text() } },
    })
}
