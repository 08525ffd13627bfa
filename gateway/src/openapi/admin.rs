//! The admin listener: probes, and what operators and the bank's own login page ask.

use serde_json::{Value, json};

use super::{ADMIN, Description, Listener, Operation, PROBES, Proof, parameter, text};
use crate::admin::{
    Application, Decided, Decision, Question, Readiness, Rejection, Removal, Removed, Revocation,
    SendOn, TokenAnswer,
};
use crate::admin::{ListedToken, client};
use crate::authorization::{Acceptance, ListedTpp, Shown};

pub(super) fn describe(description: &mut Description<'_>) {
    probes(description);
    if description.config.listen.admin.key.is_none() {
        return;
    }
    reload(description);
    tokens(description);
    tpps(description);
    if description.config.authorization.is_some() {
        consents(description);
    }
}

fn probes(description: &mut Description<'_>) {
    let operation = Operation::new(Listener::Admin, PROBES, "healthz", "Whether the process works")
        .answers(200, plain("It does."));
    description.add("/healthz", "GET", operation);
    let schema = description.told::<Readiness>();
    let operation =
        Operation::new(Listener::Admin, PROBES, "readyz", "Whether new traffic may be sent here")
            .answers(200, answered("It may.", &schema))
            .answers(503, answered("It may not; the body says which part.", &schema));
    description.add("/readyz", "GET", operation);
    let operation = Operation::new(Listener::Admin, PROBES, "metrics", "Prometheus text")
        .answers(200, plain("Every series."));
    description.add("/metrics", "GET", operation);
}

fn reload(description: &mut Description<'_>) {
    let outcome = |outcomes: Value| {
        json!({
            "type": "object",
            "required": ["outcome"],
            "properties": {
                "outcome": { "enum": outcomes },
                "changes": { "description": "What is another now, and what needs a restart." },
                "problems": { "type": "array", "items": { "type": "object" } },
            },
        })
    };
    let operation = keyed("reload", "Has the configuration read again")
        .saying("It is taken whole, or the old one stays.")
        .answers(200, answered("What came of it.", &outcome(json!(["taken", "unchanged"]))))
        .answers(422, answered("It is refused, and why.", &outcome(json!(["refused"]))))
        .answers(503, plain("The gateway is leaving."));
    description.add(client::RELOAD_PATH, "POST", operation);
}

fn tokens(description: &mut Description<'_>) {
    let (asked, told) = (description.heard::<Question>(), description.told::<TokenAnswer>());
    let operation = posted("token-fact", "What the store says about a token", &asked)
        .answers(200, answered("What it says.", &told));
    description.add(client::TOKEN_FACT_PATH, "POST", operation);
    let counted = json!({ "type": "object", "additionalProperties": { "type": "integer" } });
    let operation = keyed("token-holders", "Who holds live tokens, and how many")
        .answers(200, answered("By organisation id.", &counted))
        .answers(503, plain("The store does not answer."));
    description.add(client::HOLDERS_PATH, "GET", operation);
    let listed = description.told::<Vec<ListedToken>>();
    let operation = keyed("token-list", "The live tokens of a TPP")
        .taking([parameter("query", "tpp", true, "Its organisation id.", &text())])
        .answers(200, answered("Without the tokens themselves.", &listed))
        .answers(400, plain("No organisation id."))
        .answers(503, plain("The store does not answer."));
    description.add(client::TOKENS_PATH, "GET", operation);
    let asked = description.heard::<Revocation>();
    let operation = posted("token-revoke", "Ends one token of a TPP, or all", &asked)
        .answers(200, answered("Those that were live.", &listed));
    description.add(client::REVOKE_PATH, "POST", operation);
}

fn tpps(description: &mut Description<'_>) {
    let listed = description.told::<Vec<ListedTpp>>();
    let operation = keyed("tpp-list", "Enrolled and suspended TPPs")
        .answers(200, answered("All of them.", &listed))
        .answers(503, plain("The store does not answer."));
    description.add(client::TPPS_PATH, "GET", operation);
    let (asked, told) = (description.heard::<Decision>(), description.told::<Decided>());
    for (path, id, summary) in [
        (client::SUSPEND_PATH, "tpp-suspend", "Suspends a TPP: all its tokens are dead"),
        (client::RESUME_PATH, "tpp-resume", "Ends a suspension"),
    ] {
        let operation = posted(id, summary, &asked).answers(200, answered("What changed.", &told));
        description.add(path, "POST", operation);
    }
    let asked = description.heard::<Removal>();
    let told = description.told::<Vec<Removed>>();
    let operation = posted("tpp-remove", "Removes applications and their tokens", &asked)
        .answers(200, answered("Those that were there.", &told));
    description.add(client::REMOVE_PATH, "POST", operation);
    let (asked, told) = (description.heard::<Application>(), description.told::<Removed>());
    let operation = posted("tpp-add", "Enrols an application that came by letter", &asked)
        .answers(200, answered("It is enrolled.", &told));
    description.add(client::ADD_PATH, "POST", operation);
}

fn consents(description: &mut Description<'_>) {
    let one = "/authorization/requests/{challenge}";
    let challenge =
        || parameter("path", "challenge", true, "As the login page was given it.", &text());
    let unknown = || plain("No customer is waiting under this challenge.");
    let shown = description.told::<Shown>();
    let operation = keyed("consent-show", "What a customer is asked to consent to")
        .taking([challenge()])
        .answers(200, answered("What the bank's login page shows.", &shown))
        .answers(400, plain("The path is not UTF-8."))
        .answers(404, unknown())
        .answers(503, plain("The store does not answer."));
    description.add(one, "GET", operation);
    let told = description.told::<SendOn>();
    let (accepted, rejected) =
        (description.heard::<Acceptance>(), description.heard::<Rejection>());
    for (verb, id, summary, asked) in [
        ("accept", "consent-accept", "The customer consented", accepted),
        ("reject", "consent-reject", "The customer, or the bank, did not", rejected),
    ] {
        let operation = posted(id, summary, &asked)
            .taking([challenge()])
            .answers(200, answered("Where to send the browser.", &told))
            .answers(404, unknown());
        description.add(&format!("{one}/{verb}"), "POST", operation);
    }
    let form = json!({
        "type": "object", "required": ["token"], "properties": { "token": text() },
    });
    let told = json!({
        "type": "object",
        "required": ["active"],
        "properties": {
            "active": { "type": "boolean" },
            "organisation_id": text(),
            "codetab": text(),
            "consent_id": { "type": ["string", "null"] },
            "sub": { "type": ["string", "null"], "description": "The bank's reference of the customer." },
        },
    });
    let operation = keyed("introspect-for-adapter", "What any token is, for an adapter")
        .body("application/x-www-form-urlencoded", json!({ "schema": form }))
        .answers(200, answered("RFC 7662, with the customer and the consent.", &told));
    let operation = faults(operation);
    description.add("/authorization/introspect", "POST", operation);
}

fn keyed(id: &str, summary: &'static str) -> Operation {
    let refused = json!({
        "description": "The admin key is needed.",
        "headers": { "WWW-Authenticate": { "required": true, "schema": text() } },
        "content": { "text/plain": { "schema": text() } },
    });
    Operation::new(Listener::Admin, ADMIN, id, summary).with(Proof::AdminKey).answers(401, refused)
}

/// With a JSON body.
fn posted(id: &str, summary: &'static str, schema: &Value) -> Operation {
    faults(keyed(id, summary).body("application/json", json!({ "schema": schema })))
}

/// What can be wrong with any body.
fn faults(operation: Operation) -> Operation {
    operation
        .answers(400, plain("The body cannot be read, or a member is not what it must be: the answer says which."))
        .answers(413, plain("The body is too large."))
        .answers(415, plain("The body is of another media type."))
        .answers(422, plain("A member is missing or not of its type."))
        .answers(503, plain("The store does not answer."))
}

fn answered(description: &str, schema: &Value) -> Value {
    json!({
        "description": description, "content": { "application/json": { "schema": schema } },
    })
}

fn plain(description: &str) -> Value {
    json!({ "description": description, "content": { "text/plain": { "schema": text() } } })
}
