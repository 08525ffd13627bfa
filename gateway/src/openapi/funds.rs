//! The APIs that go to the bank's system: STET's payment coverage, in each configured version.

use jiff::Timestamp;
use policies::limits::FUNDS_REQUEST_BYTES_MAX;
use policies::{AmountForm, Api, ApiVersion, BodyRule, FundsRequest, Reason, Refusal, on};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::refusals::{CALLER, QUOTA, REGISTER, Refusals, SIGNATURE, TOKEN, UPSTREAM, Words};
use super::{Description, FUNDS, Listener, Operation, Proof, identified, parameter, text};
use crate::problem::{self, About};

/// What a request of a TPP's customer carries; without it the request counts as unattended.
const ATTENDED: &str = "PSU-IP-Address";

pub(super) fn describe(description: &mut Description<'_>) {
    let apis = description.config.apis.clone();
    for api in &apis {
        for version in &api.versions {
            for (index, path) in version.paths.iter().enumerate() {
                let operation = operation(description, api, version, (index, path));
                description.add(path, api.method.name(), operation);
            }
        }
    }
}

fn operation(
    description: &mut Description<'_>,
    api: &Api,
    version: &ApiVersion,
    (index, path): (usize, &str),
) -> Operation {
    let id = match index {
        0 => format!("{}-{}", api.name, version.name),
        _ => format!("{}-{}-{}", api.name, version.name, index + 1),
    };
    let mut reasons = vec![
        CALLER,
        &[Reason::VersionRetired, Reason::VersionBrownOut, Reason::RoleMissing],
        REGISTER,
        TOKEN,
        &[Reason::ConsentExpired],
        QUOTA,
        &[Reason::BodyInvalid, Reason::BodyTooLarge],
        UPSTREAM,
    ];
    if api.signed {
        reasons.push(SIGNATURE);
    }
    if description.config.balance_guard.is_some() {
        reasons.push(&[Reason::BalanceProbing]);
    }
    if api.body == BodyRule::FundsConfirmation {
        reasons.push(&[Reason::CurrencyUnsupported, Reason::IbanInvalid]);
    }
    let summary = match api.body {
        BodyRule::FundsConfirmation => "Whether an amount is available on an account",
        BodyRule::None => "An API of the bank's system",
    };
    let operation = Operation::new(Listener::Tpp, FUNDS, &id, summary)
        .saying(said(api, version))
        .leaving(version.life.deprecated.is_some())
        .with(Proof::Token)
        .taking([
            parameter("header", "X-Request-ID", false, REQUEST_ID, &text()),
            parameter("header", ATTENDED, false, "Of the customer, where one is present.", &text()),
        ])
        .refuses(Refusals { words: Words::Problem, reasons: &reasons });
    if api.body != BodyRule::FundsConfirmation {
        let any =
            json!({ "description": "As the bank's system answers.", "headers": identified() });
        return operation.answers(200, any);
    }
    let examples = Examples::of(description, version.amount, path);
    let name = match version.amount {
        AmountForm::String => "PaymentCoverageRequest",
        AmountForm::StringOrNumber => "PaymentCoverageRequestWithNumbers",
    };
    let request = description.schema(name, request(version.amount));
    let report = description.schema(&format!("{name}Report"), report(&request));
    let mut operation = operation
        .body("application/json", json!({ "schema": request, "examples": examples.asked }))
        .answers(
            200,
            json!({
                "description": "The answer of the bank. No hold is placed.",
                "headers": identified(),
                "content": { "application/hal+json": {
                    "schema": report, "examples": examples.granted,
                } },
            }),
        );
    for (status, examples) in examples.refused {
        let place = format!("/{status}/content/application~1problem+json");
        let mut responses = Value::Object(std::mem::take(&mut operation.responses));
        if let Some(Value::Object(content)) = responses.pointer_mut(&place) {
            content.insert("examples".to_owned(), examples.into());
        }
        if let Value::Object(responses) = responses {
            operation.responses = responses;
        }
    }
    operation
}

const REQUEST_ID: &str = "Names the request in the answer and in the bank's log; 1 to 70 letters, digits, `-`, `_`, `.`, \
     `:`. Another one is replaced by ours.";

fn said(api: &Api, version: &ApiVersion) -> String {
    let roles: Vec<&str> = api.required_roles.iter().map(certs::PspRole::code).collect();
    let mut text = format!(
        "Version {} of `{}`. The QWAC needs one of the roles {}, the token one of the scopes {}.",
        version.name,
        api.name,
        roles.join(", "),
        api.scopes.join(", "),
    );
    if api.signed {
        text.push_str(" The request is signed with the TPP's QSEALC.");
    }
    let life = &version.life;
    if let Some(day) = life.deprecated {
        text.push_str(&format!(" Deprecated from {}.", on(day)));
    }
    if let Some(day) = life.sunset {
        let then =
            if life.kept_alive { "and answers on here" } else { "and answers 410 from then" };
        text.push_str(&format!(" This version ends on {} {then}.", on(day)));
    }
    if let Some(successor) = &version.successor {
        text.push_str(&format!(" Its successor is {successor}."));
    }
    text
}

/// Unicode's control characters are these.
const NO_CONTROLS: &str = r"^[^\u0000-\u001F\u007F-\u009F]*$";

/// STET PSD2 API part 3: PaymentCoverageRequestResource, as the policies read it.
fn request(form: AmountForm) -> Value {
    let decimal = json!({ "type": "string", "pattern": r"^[0-9]{1,13}(\.[0-9]{0,5})?$" });
    let amount = match form {
        AmountForm::String => decimal,
        AmountForm::StringOrNumber => json!({ "anyOf": [
            decimal,
            { "type": "number", "minimum": 0, "exclusiveMaximum": 10_000_000_000_000_u64,
              "description": "With at most five digits after the point, and no exponent." },
        ] }),
    };
    let euro = json!({ "type": "string", "const": "EUR" });
    json!({
        "type": "object",
        "description": format!(
            "STET PaymentCoverageRequestResource; at most {FUNDS_REQUEST_BYTES_MAX} bytes, each member once."
        ),
        "required": ["paymentCoverageRequestId", "instructedAmount", "accountId"],
        "additionalProperties": false,
        "properties": {
            "paymentCoverageRequestId": {
                "type": "string", "minLength": 1, "maxLength": 35, "pattern": NO_CONTROLS,
            },
            "payee": { "type": "string", "maxLength": 70, "pattern": NO_CONTROLS },
            "instructedAmount": {
                "type": "object",
                "required": ["currency", "amount"],
                "additionalProperties": false,
                "properties": { "currency": euro, "amount": amount },
            },
            "accountId": {
                "type": "object",
                "required": ["iban"],
                "additionalProperties": false,
                "properties": {
                    "iban": {
                        "type": "string", "pattern": "^[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}$",
                        "description": "ISO 13616 in its electronic form; its check digits are checked.",
                    },
                    "currency": euro,
                },
            },
        },
    })
}

/// STET HalPaymentCoverageReport.
fn report(request: &Value) -> Value {
    json!({
        "type": "object",
        "required": ["request", "result", "_links"],
        "properties": {
            "request": request,
            "result": { "type": "boolean", "description": "Whether the amount is available now." },
            "_links": {
                "type": "object",
                "required": ["self"],
                "properties": { "self": {
                    "type": "object", "required": ["href"], "properties": { "href": text() },
                } },
            },
        },
    })
}

/// Requests that can be sent as they stand, with what is answered, under the same name in both places.
#[derive(Default)]
struct Examples {
    asked: Map<String, Value>,
    granted: Map<String, Value>,
    refused: Vec<(u16, Map<String, Value>)>,
}

impl Examples {
    /// Of the sandbox's personas. What another bank would answer is not known here.
    fn of(description: &Description<'_>, form: AmountForm, path: &str) -> Self {
        let mut examples = Self::default();
        let said = |currency: &str, amount: &str, iban: &str| {
            json!({
                "paymentCoverageRequestId": "MyCoverage123456",
                "instructedAmount": { "currency": currency, "amount": amount },
                "accountId": { "iban": iban },
            })
        };
        if description.config.sandbox.is_none() {
            let value = said("EUR", "100", "FR7612345987650123456789014");
            examples.asked.insert("a-question".to_owned(), json!({ "value": value }));
            return examples;
        }
        for (name, amount, result) in [("covered", "100", true), ("not-covered", "20000", false)] {
            let request = said("EUR", amount, ACCOUNT);
            let links = json!({ "self": { "href": path } });
            let answer = json!({ "request": request, "result": result, "_links": links });
            examples.asked.insert(name.to_owned(), json!({ "value": request }));
            examples.granted.insert(name.to_owned(), json!({ "value": answer }));
        }
        let bad = [
            ("another-currency", said("USD", "100", ACCOUNT)),
            ("iban-with-wrong-check-digits", said("EUR", "100", "FR7717515000920440878790811")),
            ("account-without-consent", said("EUR", "100", "FR7617515000920400430518020")),
        ];
        let base = &description.config.problem_type_base;
        for (name, request) in bad {
            let body = request.to_string();
            let refusal = match FundsRequest::parse(body.as_bytes(), form) {
                Err(fault) => Refusal::from(fault),
                Ok(_) => Refusal::new(Reason::AccountUnknown),
            };
            let about = About { request_id: Uuid::nil(), path, now: Timestamp::UNIX_EPOCH };
            let answer: Value =
                serde_json::from_slice(&problem::body(&refusal, base, about)).unwrap_or_default();
            examples.asked.insert(name.to_owned(), json!({ "value": request }));
            let status = refusal.reason.status();
            let example =
                json!({ "value": answer, "x-octroi-varies": ["request_id", "timestamp"] });
            match examples.refused.iter_mut().find(|(known, _)| *known == status) {
                Some((_, known)) => drop(known.insert(name.to_owned(), example)),
                None => {
                    let first = Map::from_iter([(name.to_owned(), example)]);
                    examples.refused.push((status, first));
                }
            }
        }
        examples
    }
}

/// GILLES' first account.
const ACCOUNT: &str = "FR7617515000920440878790811";
