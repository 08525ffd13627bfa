//! The OpenAPI document that the program makes of its configuration, and a sandbox to hold it against.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use crate::client::{Answer, Client, read_answer};
use crate::gateway::{DOMAIN, Gateway, HOST, path_text};
use crate::oauth::{App, GILLES, form};
use crate::{oauth, run};

/// The ports of a sandbox that is started as the book says.
const USUAL: [u16; 3] = [8443, 8444, 9443];

/// The document.
pub struct Description(pub Value);

/// One method of one path.
#[derive(Clone, Copy)]
pub struct Operation<'d> {
    pub path: &'d str,
    pub method: &'d str,
    pub value: &'d Value,
}

impl Description {
    /// Of the configuration of a gateway.
    pub fn of(gateway: &Gateway) -> Self {
        let output = run(&["openapi", "--config", path_text(&gateway.config_file())]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self(serde_json::from_slice(&output.stdout).unwrap())
    }

    /// As if the gateway had the usual ports.
    pub fn usual(&self, gateway: &Gateway) -> Value {
        let mut text = self.0.to_string();
        let addresses = gateway.addresses;
        for (real, usual) in [addresses.tpp, addresses.psu, addresses.admin].iter().zip(USUAL) {
            text = text.replace(&format!(":{}", real.port()), &format!(":{usual}"));
        }
        serde_json::from_str(&text).unwrap()
    }

    pub fn operations(&self) -> impl Iterator<Item = Operation<'_>> {
        self.0["paths"].as_object().unwrap().iter().flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().iter();
            methods.map(move |(method, value)| Operation { path, method, value })
        })
    }

    /// What a reference stands for.
    pub fn resolved<'d>(&'d self, value: &'d Value) -> &'d Value {
        match value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')) {
            Some(pointer) => self.0.pointer(pointer).unwrap_or_else(|| panic!("no {pointer}")),
            None => value,
        }
    }

    /// What an operation may answer with this status.
    pub fn response<'d>(&'d self, operation: Operation<'d>, status: u16) -> Option<&'d Value> {
        Some(self.resolved(operation.value["responses"].get(status.to_string())?))
    }

    /// A validator of a schema of the document.
    pub fn validator(&self, schema: &Value) -> Validator {
        let mut whole = json!({ "components": self.0["components"] });
        let members = schema.as_object().unwrap().clone();
        whole.as_object_mut().unwrap().extend(members);
        let options = jsonschema::options().should_validate_formats(true);
        options.build(&whole).unwrap_or_else(|fault| panic!("{fault}: {schema}"))
    }

    /// Holds an answer against what is described.
    ///
    /// # Panics
    /// When another status, media type, header or body is described.
    #[track_caller]
    pub fn hold(&self, operation: Operation<'_>, answer: &Answer) {
        let place = format!("{} {}: {}", operation.method, operation.path, answer.status);
        let response = self
            .response(operation, answer.status)
            .unwrap_or_else(|| panic!("{place} is not described: {}", text(answer)));
        let headers = response["headers"].as_object().cloned().unwrap_or_default();
        for (name, header) in &headers {
            if header["required"] == true {
                assert!(answer.header(name).is_some(), "{place}: no {name}");
            }
        }
        let Some(content) = response["content"].as_object() else {
            assert!(answer.body.is_empty(), "{place}: no body is described: {}", text(answer));
            return;
        };
        let media = answer.header("content-type").unwrap_or_default();
        let media = media.split(';').next().unwrap_or_default().trim();
        let content = content.get(media).unwrap_or_else(|| panic!("{place}: {media}"));
        if media.ends_with("json") {
            let validator = self.validator(&content["schema"]);
            let body = answer.json();
            let faults: Vec<String> =
                validator.iter_errors(&body).map(|fault| fault.to_string()).collect();
            assert!(faults.is_empty(), "{place}: {faults:?}: {}", text(answer));
        }
    }
}

fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

impl Operation<'_> {
    pub fn listener(&self) -> &str {
        self.value["x-octroi-listener"].as_str().unwrap()
    }

    /// The media type of its request, and what stands under it.
    pub fn content(&self) -> Option<(&str, &Value)> {
        let content = self.value["requestBody"]["content"].as_object()?;
        content.iter().next().map(|(media, content)| (media.as_str(), content))
    }

    /// Requests that can be sent as they stand, by name.
    pub fn examples(&self) -> Map<String, Value> {
        let (_, content) = self.content().unwrap_or(("", &Value::Null));
        content["examples"].as_object().cloned().unwrap_or_default()
    }

    fn needs(&self, scheme: &str) -> bool {
        let security = self.value["security"].as_array().unwrap();
        security.iter().any(|one| one.get(scheme).is_some())
    }
}

/// Whoever asks what is described.
pub struct Caller<'g> {
    gateway: &'g Gateway,
    tpp: Client,
    psu: Client,
    token: String,
    admin_key: String,
}

impl<'g> Caller<'g> {
    pub fn of(gateway: &'g Gateway) -> Self {
        let app = App::of(gateway, "funds-co");
        let admin_key = std::fs::read_to_string(gateway.place().file("admin.key")).unwrap();
        Self {
            gateway,
            tpp: app.client.clone(),
            psu: app.psu.clone(),
            token: app.pair(GILLES).access,
            admin_key: admin_key.trim().to_owned(),
        }
    }

    /// Sends a request to the listener of an operation, with what that needs beside a body.
    pub fn send(
        &self,
        operation: Operation<'_>,
        asked: (&str, &str),
        fields: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let bearer = [("access_token", "token"), ("admin_key", "admin_key")];
        let bearer = bearer.into_iter().find(|(scheme, _)| operation.needs(scheme));
        self.ask((operation.listener(), bearer.map(|(_, name)| name)), asked, fields, body)
    }

    /// Asks a listener, with the bearer token of this name.
    pub fn ask(
        &self,
        (listener, bearer): (&str, Option<&str>),
        (method, path): (&str, &str),
        fields: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut fields = fields.to_vec();
        let bearer = bearer.map(|name| match name {
            "token" => format!("Bearer {}", self.token),
            "admin_key" => format!("Bearer {}", self.admin_key),
            other => panic!("{other} is no variable"),
        });
        fields.extend(bearer.as_deref().map(|bearer| ("Authorization", bearer)));
        let addresses = self.gateway.addresses;
        let at = |port: SocketAddr| format!("www.17515.{DOMAIN}:{}", port.port());
        match listener {
            "tpp" => {
                let octets = oauth::request(method, &at(addresses.tpp), path, &fields, body);
                self.tpp.connect(HOST).unwrap().exchange(&octets).unwrap()
            }
            "psu" => {
                let octets = oauth::request(method, &at(addresses.psu), path, &fields, body);
                self.psu.connect(HOST).unwrap().exchange(&octets).unwrap()
            }
            "admin" => {
                let host = addresses.admin.to_string();
                let octets = oauth::request(method, &host, path, &fields, body);
                let mut socket = TcpStream::connect(addresses.admin).unwrap();
                socket.write_all(&octets).unwrap();
                read_answer(&mut socket, &mut Vec::new()).unwrap()
            }
            other => panic!("{other} is no listener"),
        }
    }

    /// Sends one of an operation's own examples.
    pub fn send_example(&self, operation: Operation<'_>, example: &Value) -> Answer {
        let (media, _) = operation.content().unwrap();
        let body = written(media, &example["value"]);
        let method = operation.method.to_ascii_uppercase();
        self.send(operation, (&method, operation.path), &[("Content-Type", media)], &body)
    }
}

/// A value as a body of this media type.
pub fn written(media: &str, value: &Value) -> String {
    if media == "application/x-www-form-urlencoded" {
        let members = value.as_object().unwrap().iter();
        let members: Vec<(&str, &str)> =
            members.map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect();
        return form(&members);
    }
    value.to_string()
}
