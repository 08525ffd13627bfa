//! The description of the interface as collections that people click through: Bruno's plain files, and
//! Postman's format 2.1.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use crate::description::{Description, Operation};

/// One request of a collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub folder: String,
    pub name: String,
    pub method: String,
    /// With a variable where the listener's address belongs: `{{tpp}}/tpp/self`.
    pub url: String,
    /// The variable of its bearer token.
    pub bearer: Option<String>,
    pub body: Option<Body>,
    /// What it may be answered with.
    pub statuses: Vec<u16>,
    pub summary: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    Json(String),
    Form(Vec<(String, String)>),
}

/// Each request that can be sent as it stands, in the order of the document.
pub fn entries(description: &Description) -> Vec<Entry> {
    let mut entries = Vec::new();
    for operation in description.operations() {
        let examples = operation.examples();
        if examples.is_empty() {
            entries.push(entry(description, operation, None));
        }
        for (name, example) in &examples {
            entries.push(entry(description, operation, Some((name, &example["value"]))));
        }
    }
    entries
}

fn entry(
    description: &Description,
    operation: Operation<'_>,
    example: Option<(&str, &Value)>,
) -> Entry {
    let value = operation.value;
    let text = |name: &str| value[name].as_str().unwrap().to_owned();
    let security = value["security"].as_array().unwrap();
    let needs = |scheme: &str| security.iter().any(|one| one.get(scheme).is_some());
    let bearer = [("access_token", "token"), ("admin_key", "admin_key")];
    let bearer = bearer.iter().find(|(scheme, _)| needs(scheme)).map(|(_, name)| *name);
    let responses = value["responses"].as_object().unwrap();
    let status = |text: &String| text.parse().unwrap();
    // An example tells which answer it gets; of any other request only that it is one of those.
    let promised = responses.iter().find(|(_, response)| {
        let content = description.resolved(response)["content"].as_object();
        let named = |content: &Value| {
            example.is_some_and(|(name, _)| content["examples"].get(name).is_some())
        };
        content.is_some_and(|all| all.values().any(named))
    });
    let statuses = match promised {
        Some((known, _)) => vec![status(known)],
        None => responses.keys().map(status).collect(),
    };
    let mut url = format!("{{{{{}}}}}{}", operation.listener(), operation.path);
    for name in ["client_id", "challenge", "code"] {
        url = url.replace(&format!("{{{name}}}"), "role_missing");
    }
    let body = example.map(|(_, value)| match operation.content().unwrap().0 {
        "application/json" => Body::Json(serde_json::to_string_pretty(value).unwrap()),
        _ => Body::Form(
            value
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
                .collect(),
        ),
    });
    let id = text("operationId");
    Entry {
        folder: value["tags"][0].as_str().unwrap().to_owned(),
        name: example.map_or_else(|| id.clone(), |(name, _)| format!("{id} {name}")),
        method: operation.method.to_ascii_uppercase(),
        url,
        bearer: bearer.map(str::to_owned),
        body,
        statuses,
        summary: text("summary"),
    }
}

/// Where the listeners of a sandbox are that was started as the book says.
const ADDRESSES: [(&str, &str); 3] = [
    ("tpp", "https://www.17515.sandbox.api.localhost:8443"),
    ("psu", "https://www.17515.sandbox.api.localhost:8444"),
    ("admin", "http://127.0.0.1:9443"),
];
const SECRETS: [&str; 2] = ["token", "admin_key"];

/// The files of a Bruno collection, by path.
pub fn bruno(entries: &[Entry]) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let certificate = json!({
        "domain": "www.17515.sandbox.api.localhost",
        "type": "cert",
        "certFilePath": "../../.octroi-sandbox/tpp/funds-co/qwac.pem",
        "keyFilePath": "../../.octroi-sandbox/tpp/funds-co/qwac.key",
        "passphrase": "",
    });
    let about = json!({
        "version": "1",
        "name": "Octroi sandbox",
        "type": "collection",
        "ignore": [],
        "clientCertificates": { "enabled": true, "certs": [certificate] },
    });
    let about = serde_json::to_string_pretty(&about).unwrap();
    files.insert("bruno.json".to_owned(), format!("{about}\n"));
    let mut environment = "vars {\n".to_owned();
    for (name, address) in ADDRESSES {
        writeln!(environment, "  {name}: {address}").unwrap();
    }
    writeln!(environment, "}}\nvars:secret [\n  {}\n]", SECRETS.join(",\n  ")).unwrap();
    files.insert("environments/sandbox.bru".to_owned(), environment);
    for (index, entry) in entries.iter().enumerate() {
        let path = format!("{}/{}.bru", entry.folder, entry.name);
        assert!(files.insert(path, entry.bruno(index + 1)).is_none(), "{}", entry.name);
    }
    files
}

impl Entry {
    fn bruno(&self, number: usize) -> String {
        let mut text = format!(
            "meta {{\n  name: {}\n  type: http\n  seq: {number}\n}}\n\n{} {{\n  url: {}\n  body: {}\n  auth: \
             {}\n}}\n",
            self.name,
            self.method.to_ascii_lowercase(),
            self.url,
            match self.body {
                Some(Body::Json(_)) => "json",
                Some(Body::Form(_)) => "formUrlEncoded",
                None => "none",
            },
            if self.bearer.is_some() { "bearer" } else { "none" },
        );
        if let Some(bearer) = &self.bearer {
            write!(text, "\nauth:bearer {{\n  token: {{{{{bearer}}}}}\n}}\n").unwrap();
        }
        match &self.body {
            Some(Body::Json(json)) => {
                let json = json.replace('\n', "\n  ");
                write!(text, "\nbody:json {{\n  {json}\n}}\n").unwrap();
            }
            Some(Body::Form(fields)) => {
                text.push_str("\nbody:form-urlencoded {\n");
                for (name, value) in fields {
                    writeln!(text, "  {name}: {value}").unwrap();
                }
                text.push_str("}\n");
            }
            None => {}
        }
        let statuses: Vec<String> = self.statuses.iter().map(u16::to_string).collect();
        let expected = match statuses.as_slice() {
            [one] => format!("eq {one}"),
            several => format!("in {}", several.join(", ")),
        };
        write!(text, "\nassert {{\n  res.status: {expected}\n}}\n\n").unwrap();
        // What is sent on is shown, not followed.
        write!(text, "settings {{\n  followRedirects: false\n}}\n\n").unwrap();
        write!(text, "docs {{\n  {}\n}}\n", self.summary).unwrap();
        text
    }

    /// Reads what [`Entry::bruno`] wrote, as Bruno does: blocks, and lines in them.
    pub fn of_bruno(folder: &str, text: &str) -> Self {
        let mut blocks: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut open: Option<&str> = None;
        for line in text.lines() {
            match (open, line) {
                (None, line) => {
                    open = line.strip_suffix(" {");
                    blocks.extend(open.map(|name| (name, Vec::new())));
                }
                (Some(_), "}") => open = None,
                (Some(name), line) => blocks.get_mut(name).unwrap().push(&line[2..]),
            }
        }
        let member = |block: &str, name: &str| {
            let lines = blocks.get(block)?.iter();
            let found = lines.filter_map(|line| line.split_once(": ")).find(|(n, _)| *n == name)?;
            Some(found.1.to_owned())
        };
        let method = ["get", "post", "put", "delete"].into_iter().find(|m| blocks.contains_key(m));
        let method = method.expect("a method");
        let body = match member(method, "body").as_deref() {
            Some("json") => Some(Body::Json(blocks["body:json"].join("\n"))),
            Some("formUrlEncoded") => {
                let fields = blocks["body:form-urlencoded"].iter();
                let fields = fields.map(|line| line.split_once(": ").unwrap());
                Some(Body::Form(fields.map(|(n, v)| (n.to_owned(), v.to_owned())).collect()))
            }
            _ => None,
        };
        let expected = member("assert", "res.status").unwrap();
        let (_, statuses) = expected.split_once(' ').unwrap();
        let bearer = member("auth:bearer", "token");
        Self {
            folder: folder.to_owned(),
            name: member("meta", "name").unwrap(),
            method: method.to_ascii_uppercase(),
            url: member(method, "url").unwrap(),
            bearer: bearer.map(|token| token.trim_matches(['{', '}']).to_owned()),
            body,
            statuses: statuses.split(", ").map(|status| status.parse().unwrap()).collect(),
            summary: blocks["docs"].join("\n"),
        }
    }

    fn postman(&self) -> Value {
        let listener = self.url.split("}}").next().unwrap();
        let path = self.url.split("}}").nth(1).unwrap();
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let mut request = json!({
            "method": self.method,
            "description": self.summary,
            "header": [],
            "url": { "raw": self.url, "host": [format!("{listener}}}}}")], "path": segments },
            "auth": match &self.bearer {
                Some(bearer) => json!({ "type": "bearer", "bearer": [
                    { "key": "token", "type": "string", "value": format!("{{{{{bearer}}}}}") },
                ] }),
                None => json!({ "type": "noauth" }),
            },
        });
        match &self.body {
            Some(Body::Json(json)) => {
                let media = json!({ "key": "Content-Type", "value": "application/json" });
                request["header"] = json!([media]);
                request["body"] = json!({ "mode": "raw", "raw": json });
            }
            Some(Body::Form(fields)) => {
                let fields: Vec<Value> = fields
                    .iter()
                    .map(|(name, value)| json!({ "key": name, "value": value }))
                    .collect();
                request["body"] = json!({ "mode": "urlencoded", "urlencoded": fields });
            }
            None => {}
        }
        let statuses: Vec<String> = self.statuses.iter().map(u16::to_string).collect();
        let test = format!(
            "pm.test('is answered as described', () => pm.expect([{}]).to.include(pm.response.code));",
            statuses.join(", ")
        );
        json!({
            "name": self.name,
            "request": request,
            "protocolProfileBehavior": { "followRedirects": false },
            "event": [{ "listen": "test", "script": {
                "type": "text/javascript", "exec": [test],
            } }],
        })
    }

    /// Reads what [`Entry::postman`] wrote.
    pub fn of_postman(folder: &str, item: &Value) -> Self {
        let request = &item["request"];
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let body = match request["body"]["mode"].as_str() {
            Some("raw") => Some(Body::Json(text(&request["body"]["raw"]))),
            Some("urlencoded") => {
                let fields = request["body"]["urlencoded"].as_array().unwrap().iter();
                Some(Body::Form(fields.map(|f| (text(&f["key"]), text(&f["value"]))).collect()))
            }
            _ => None,
        };
        let test = item["event"][0]["script"]["exec"][0].as_str().unwrap();
        let statuses = test.split(['[', ']']).nth(1).unwrap();
        let bearer = request["auth"]["bearer"][0]["value"].as_str();
        Self {
            folder: folder.to_owned(),
            name: text(&item["name"]),
            method: text(&request["method"]),
            url: text(&request["url"]["raw"]),
            bearer: bearer.map(|token| token.trim_matches(['{', '}']).to_owned()),
            body,
            statuses: statuses.split(", ").map(|status| status.parse().unwrap()).collect(),
            summary: text(&request["description"]),
        }
    }
}

/// A Postman collection, format 2.1.
pub fn postman(entries: &[Entry]) -> Value {
    let mut folders: Vec<(&str, Vec<Value>)> = Vec::new();
    for entry in entries {
        match folders.iter_mut().find(|(name, _)| *name == entry.folder) {
            Some((_, items)) => items.push(entry.postman()),
            None => folders.push((&entry.folder, vec![entry.postman()])),
        }
    }
    let items: Vec<Value> =
        folders.iter().map(|(name, items)| json!({ "name": name, "item": items })).collect();
    let addresses = ADDRESSES.map(|(name, address)| json!({ "key": name, "value": address }));
    let secrets = SECRETS.map(|name| json!({ "key": name, "value": "", "type": "secret" }));
    json!({
        "info": {
            "name": "Octroi sandbox",
            "description": "Made of docs/src/reference/openapi.json. Give Postman the client certificate \
                            (Settings, Certificates): .octroi-sandbox/tpp/funds-co/qwac.pem and qwac.key for \
                            www.17515.sandbox.api.localhost, and .octroi-sandbox/server-ca.pem as its CA.",
            "schema": "https://schema.getpostman.com/json/collection/v2.1.0/collection.json",
        },
        "variable": addresses.into_iter().chain(secrets).collect::<Vec<_>>(),
        "item": items,
    })
}
