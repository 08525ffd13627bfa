//! The description of the interface (OpenAPI 3.1), made of what a configuration really serves: paths,
//! bodies, and every reason that each of them can be refused with.

mod admin;
mod authorization;
mod enrolment;
mod funds;
mod own;
mod pages;
mod refusals;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::config::Config;
use crate::problem;
use refusals::Refusals;

/// The version of the specification that the document follows.
const OPENAPI: &str = "3.1.0";

/// The description of what `config` serves.
#[must_use]
pub fn document(config: &Config) -> Value {
    let mut description = Description::new(config);
    funds::describe(&mut description);
    own::describe(&mut description);
    authorization::describe(&mut description);
    enrolment::describe(&mut description);
    pages::describe(&mut description);
    admin::describe(&mut description);
    description.finish()
}

/// Where an operation is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listener {
    /// By TPPs, with a client certificate.
    Tpp,
    /// By browsers.
    Psu,
    /// By the bank's own people and probes.
    Admin,
}

impl Listener {
    const fn code(self) -> &'static str {
        match self {
            Self::Tpp => "tpp",
            Self::Psu => "psu",
            Self::Admin => "admin",
        }
    }
}

/// What must be shown beside the certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    /// Nothing: at the TPP listener that is the certificate alone.
    Nothing,
    /// A bearer token.
    Token,
    /// The key of the admin listener.
    AdminKey,
}

/// One method of one path.
struct Operation {
    listener: Listener,
    id: String,
    tag: &'static str,
    summary: &'static str,
    description: String,
    is_deprecated: bool,
    proof: Proof,
    parameters: Vec<Value>,
    body: Option<Value>,
    responses: Map<String, Value>,
}

impl Operation {
    fn new(listener: Listener, tag: &'static str, id: &str, summary: &'static str) -> Self {
        Self {
            listener,
            id: id.to_owned(),
            tag,
            summary,
            description: String::new(),
            is_deprecated: false,
            proof: Proof::Nothing,
            parameters: Vec::new(),
            body: None,
            responses: Map::new(),
        }
    }

    fn saying(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    fn leaving(mut self, is_deprecated: bool) -> Self {
        self.is_deprecated = is_deprecated;
        self
    }

    fn with(mut self, proof: Proof) -> Self {
        self.proof = proof;
        self
    }

    fn taking(mut self, parameters: impl IntoIterator<Item = Value>) -> Self {
        self.parameters.extend(parameters);
        self
    }

    fn body(mut self, media: &str, content: Value) -> Self {
        self.body = Some(json!({ "required": true, "content": { media: content } }));
        self
    }

    fn answers(mut self, status: u16, response: Value) -> Self {
        self.responses.insert(status.to_string(), response);
        self
    }

    fn refuses(mut self, refusals: Refusals<'_>) -> Self {
        for (status, response) in refusals.responses() {
            self.responses.insert(status.to_string(), response);
        }
        self
    }
}

/// The document as it grows.
struct Description<'c> {
    config: &'c Config,
    paths: Map<String, Value>,
    /// Of what is answered, and of what is asked.
    answered: SchemaGenerator,
    asked: SchemaGenerator,
    schemas: Map<String, Value>,
}

impl<'c> Description<'c> {
    fn new(config: &'c Config) -> Self {
        let settings = || {
            let mut settings = SchemaSettings::draft2020_12();
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
            settings
        };
        let mut description = Self {
            config,
            paths: Map::new(),
            answered: settings().for_serialize().into_generator(),
            asked: settings().for_deserialize().into_generator(),
            schemas: Map::new(),
        };
        problem::describe(&mut description.answered);
        description
    }

    /// The schema of a type that answers carry.
    fn told<T: JsonSchema>(&mut self) -> Value {
        self.answered.subschema_for::<T>().to_value()
    }

    /// The schema of a type that requests carry.
    fn heard<T: JsonSchema>(&mut self) -> Value {
        self.asked.subschema_for::<T>().to_value()
    }

    /// A schema that stands for no type of ours, by its name.
    fn schema(&mut self, name: &str, schema: Value) -> Value {
        self.schemas.insert(name.to_owned(), schema);
        json!({ "$ref": format!("#/components/schemas/{name}") })
    }

    fn add(&mut self, path: &str, method: &str, operation: Operation) {
        let mut security = Map::new();
        if operation.listener == Listener::Tpp {
            security.insert("qwac".to_owned(), json!([]));
        }
        match operation.proof {
            Proof::Nothing => {}
            Proof::Token => drop(security.insert("access_token".to_owned(), json!([]))),
            Proof::AdminKey => drop(security.insert("admin_key".to_owned(), json!([]))),
        }
        let security = if security.is_empty() { json!([]) } else { json!([security]) };
        let mut described = json!({
            "operationId": operation.id,
            "tags": [operation.tag],
            "summary": operation.summary,
            "security": security,
            "servers": [self.server(operation.listener)],
            "x-octroi-listener": operation.listener.code(),
            "responses": operation.responses,
        });
        if let Some(members) = described.as_object_mut() {
            if !operation.description.is_empty() {
                members.insert("description".to_owned(), operation.description.into());
            }
            if operation.is_deprecated {
                members.insert("deprecated".to_owned(), true.into());
            }
            if !operation.parameters.is_empty() {
                members.insert("parameters".to_owned(), operation.parameters.into());
            }
            if let Some(body) = operation.body {
                members.insert("requestBody".to_owned(), body);
            }
        }
        let place = self.paths.entry(path.to_owned()).or_insert_with(|| json!({}));
        if let Some(place) = place.as_object_mut() {
            place.insert(method.to_ascii_lowercase(), described);
        }
    }

    fn server(&self, listener: Listener) -> Value {
        let config = self.config;
        let authorization = config.authorization.as_ref();
        let variable = "{codetab}";
        let url = match listener {
            Listener::Admin => format!("http://{}", config.listen.admin.address),
            Listener::Psu => authorization.map_or_else(
                || config.listen.psu.public_url.trim_end_matches('/').to_owned(),
                |settings| settings.issuer.of(variable),
            ),
            Listener::Tpp => authorization.map_or_else(
                || {
                    let open = config.domains.iter().find(|domain| domain.closed.is_none());
                    let host = open.or(config.domains.first()).map(|domain| domain.host(variable));
                    format!("https://{}", host.unwrap_or_default())
                },
                |settings| settings.tpp_url.of(variable),
            ),
        };
        if !url.contains(variable) {
            return json!({ "url": url });
        }
        let bank = json!({ "description": "The bank.", "default": example_codetab(config) });
        json!({ "url": url, "variables": { "codetab": bank } })
    }

    fn finish(mut self) -> Value {
        let responses = refusals::shared(&mut self.paths);
        let mut servers = [Listener::Tpp, Listener::Psu, Listener::Admin].map(|l| self.server(l));
        let codes: Vec<&str> =
            self.config.codetabs.iter().map(|known| known.codetab.code.as_str()).collect();
        for bank in servers.iter_mut().filter_map(|server| server.pointer_mut("/variables/codetab"))
        {
            bank["enum"] = json!(codes);
        }
        let mut schemas = self.schemas;
        schemas.extend(self.answered.take_definitions(true));
        schemas.extend(self.asked.take_definitions(true));
        json!({
            "openapi": OPENAPI,
            "info": {
                "title": "Octroi",
                "version": env!("CARGO_PKG_VERSION"),
                "summary": "A bank's PSD2 interface behind Octroi",
                "description": ABOUT,
                "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            },
            "tags": TAGS.iter().map(|(name, description)| json!({
                "name": name, "description": description,
            })).collect::<Vec<_>>(),
            "servers": servers,
            "paths": self.paths,
            "components": {
                "schemas": schemas,
                "responses": responses,
                "securitySchemes": {
                    "qwac": {
                        "type": "mutualTLS",
                        "description": "The TPP's QWAC (ETSI TS 119 495) as the TLS client certificate.",
                    },
                    "access_token": {
                        "type": "http",
                        "scheme": "bearer",
                        "description": "A token of the token endpoint (RFC 6750).",
                    },
                    "admin_key": {
                        "type": "http",
                        "scheme": "bearer",
                        "description": "The key in `listen.admin.key_file`.",
                    },
                },
            },
        })
    }
}

const ABOUT: &str = "What this gateway serves, made of its configuration by `octroi openapi`. `x-octroi-listener` says \
     at which of the three listeners an operation is answered: `tpp` (a client certificate is \
     required), `psu` (browsers) or `admin` (not for the outside). Every refusal names its reason in \
     `code`.";

const FUNDS: &str = "Funds confirmation";
const TPP: &str = "TPP";
const OAUTH: &str = "OAuth";
const ENROLMENT: &str = "Enrolment";
const BROWSER: &str = "Browser";
const PROBES: &str = "Probes";
const ADMIN: &str = "Admin";

const TAGS: [(&str, &str); 7] = [
    (FUNDS, "Whether an amount is available (PSD2, article 65; STET)."),
    (TPP, "What a TPP may learn about itself."),
    (OAUTH, "Consents and tokens (RFC 6749); the client authenticates by its QWAC."),
    (ENROLMENT, "Applications of a TPP (RFC 7591, RFC 7592, STET registration)."),
    (BROWSER, "Pages for customers and developers."),
    (PROBES, "Health and metrics, at the admin listener."),
    (ADMIN, "What operators, and the bank's own login page, may ask. At the admin listener."),
];

/// The bank of the personas in a sandbox.
fn example_codetab(config: &Config) -> &str {
    match config.sandbox {
        Some(_) => crate::sandbox::persona::Persona::Gilles.codetab(),
        None => config.codetabs.first().map_or("", |known| known.codetab.code.as_str()),
    }
}

/// A parameter that is a text.
fn parameter(place: &str, name: &str, required: bool, description: &str, schema: &Value) -> Value {
    json!({
        "name": name, "in": place, "required": required, "description": description,
        "schema": schema,
    })
}

/// A text.
fn text() -> Value {
    json!({ "type": "string" })
}

/// The header fields by which each answer to a TPP names its request.
fn identified() -> Value {
    json!({
        "X-Request-ID": {
            "description": "As the TPP sent it, else ours.", "required": true, "schema": text(),
        },
        "Octroi-Request-Id": {
            "description": "Ours; it stands in the bank's access log.", "required": true,
            "schema": { "type": "string", "format": "uuid" },
        },
    })
}
