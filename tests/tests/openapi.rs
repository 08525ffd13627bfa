//! What the program says about its interface is what it does: every route is described, every described
//! operation is served, and the examples are answered as they stand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use harness::description::{Caller, Description, Operation};
use harness::gateway::Gateway;
use policies::Reason;
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

#[test]
fn the_page_of_the_book_is_the_description_of_the_sandbox() {
    let gateway = Gateway::sandbox();
    let described = Description::of(&gateway).usual(&gateway);
    let made = format!("{}\n", serde_json::to_string_pretty(&described).unwrap());
    let file = root().join("docs/src/reference/openapi.json");
    if std::env::var_os("OCTROI_BLESS").is_some() {
        fs::write(&file, &made).unwrap();
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    assert!(written == made, "docs/src/reference/openapi.json is out of date: OCTROI_BLESS=1");
}

#[test]
fn the_document_is_openapi_3_1_and_holds_together() {
    let gateway = Gateway::sandbox();
    let description = Description::of(&gateway);
    let schema = fs::read(root().join("tests/api/openapi-3.1.schema.json")).unwrap();
    let schema: Value = serde_json::from_slice(&schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let faults: Vec<String> =
        validator.iter_errors(&description.0).map(|f| f.to_string()).collect();
    assert!(faults.is_empty(), "{faults:?}");

    let mut ids = BTreeSet::new();
    for operation in description.operations() {
        let id = operation.value["operationId"].as_str().unwrap();
        assert!(ids.insert(id), "{id} stands twice");
        let named: Vec<&str> =
            operation.path.split('/').filter_map(|part| part.strip_prefix('{')).collect();
        let described = operation.value["parameters"].as_array().into_iter().flatten();
        let described: Vec<&str> = described
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        let named: Vec<&str> = named.iter().map(|name| name.trim_end_matches('}')).collect();
        assert_eq!(described, named, "{}", operation.path);
    }
    references(&description, &description.0);
}

/// Every reference leads somewhere.
fn references(description: &Description, value: &Value) {
    match value {
        Value::Object(members) => {
            if value["$ref"].is_string() {
                description.resolved(value);
            }
            members.values().for_each(|member| references(description, member));
        }
        Value::Array(items) => items.iter().for_each(|item| references(description, item)),
        _ => {}
    }
}

#[test]
fn every_reason_stands_in_the_description_of_a_gateway_that_has_everything_on() {
    let gateway = Gateway::sandbox();
    let mut config = gateway.config();
    let api = config["api"].as_array_mut().unwrap()[0].as_table_mut().unwrap();
    api.insert("signed".to_owned(), true.into());
    config.insert("signature".to_owned(), toml::Table::new().into());
    let guard = toml::Table::from_iter([("mode".to_owned(), "enforce".into())]);
    config.insert("balance_guard".to_owned(), guard.into());
    let file = gateway.place().file("everything.toml");
    fs::write(&file, toml::to_string(&config).unwrap()).unwrap();
    let output = harness::run(&["openapi", "--config", file.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    for reason in Reason::ALL {
        assert!(text.contains(&format!("- `{}`", reason.code())), "{reason} is nowhere described");
    }
}

/// A path with something in the place of its parameters.
fn filled(path: &str) -> String {
    let parts = path.split('/').map(|part| if part.starts_with('{') { "something" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "DELETE", "PATCH"];

#[test]
fn every_described_operation_is_served_and_no_other_method_of_its_path() {
    let gateway = Gateway::sandbox();
    let description = Description::of(&gateway);
    let caller = Caller::of(&gateway);
    let mut methods: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for operation in description.operations() {
        let known = methods.entry(operation.path).or_default();
        known.insert(operation.method.to_ascii_uppercase());
    }
    for operation in description.operations() {
        let path = filled(operation.path);
        let method = operation.method.to_ascii_uppercase();
        let answer = caller.send(operation, (&method, &path), &[], "");
        assert_ne!(answer.status, 405, "{method} {path}");
        let unknown = answer.header("content-type") == Some("application/problem+json")
            && answer.code() == "path_unknown";
        assert!(!unknown, "{method} {path} is not served");
        description.hold(operation, &answer);

        for other in METHODS.iter().filter(|other| !methods[operation.path].contains(**other)) {
            let answer = caller.send(operation, (other, &path), &[], "");
            assert_eq!(answer.status, 405, "{other} {path}");
            let allowed = answer.header("allow").unwrap_or_default();
            assert!(allowed.contains(method.as_str()), "{other} {path}: {allowed}");
        }
        let beside = format!("{}/beside/it", path.trim_end_matches('/'));
        let answer = caller.send(operation, (&method, &beside), &[], "");
        assert_eq!(answer.status, 404, "{beside}");
    }
}

#[test]
fn every_route_of_the_program_is_described() {
    let gateway = Gateway::sandbox();
    let description = Description::of(&gateway);
    let described: BTreeSet<&str> = description.operations().map(|one| one.path).collect();
    let mut served: BTreeSet<String> = BTreeSet::new();
    let config = gateway.config();
    for api in config["api"].as_array().unwrap() {
        for version in api["version"].as_array().unwrap() {
            let paths = version["paths"].as_array().unwrap().iter();
            served.extend(paths.map(|path| path.as_str().unwrap().to_owned()));
        }
    }
    routes(&root().join("gateway/src"), &mut served);
    served.insert("/tpp/self".to_owned());
    assert!(served.len() > 20, "{served:?}");
    let missing: Vec<&String> =
        served.iter().filter(|path| !described.contains(path.as_str())).collect();
    assert!(missing.is_empty(), "describe them in gateway/src/openapi: {missing:?}");
}

/// Paths that stand in a call of `route`, or are constants that do.
fn routes(folder: &Path, served: &mut BTreeSet<String>) {
    let literal = |rest: &str| {
        let path = rest.trim_start().strip_prefix('"')?.split('"').next()?;
        path.starts_with('/').then(|| path.to_owned())
    };
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            routes(&path, served);
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let product = text.split("#[cfg(test)]").next().unwrap();
        served.extend(product.split(".route(").skip(1).filter_map(literal));
        let constants = product.split("pub const ").skip(1).filter_map(|rest| {
            let (name, value) = rest.split_once(": &str =")?;
            name.ends_with("PATH").then(|| literal(value)).flatten()
        });
        served.extend(constants);
    }
}

/// Whether both are the same but for what varies, and for what a client need not rely on.
fn same(example: &Value, answered: &Value) {
    let mut expected = example["value"].clone();
    let mut answered = answered.clone();
    for varies in example["x-octroi-varies"].as_array().into_iter().flatten() {
        let name = varies.as_str().unwrap();
        for value in [&mut expected, &mut answered] {
            assert!(value[name].is_string(), "{name}: {value}");
            value[name] = Value::Null;
        }
    }
    assert_eq!(answered, expected);
}

#[test]
fn the_examples_are_answered_as_they_stand() {
    let gateway = Gateway::sandbox();
    let description = Description::of(&gateway);
    let caller = Caller::of(&gateway);
    let mut answered = 0;
    for operation in description.operations() {
        for (name, example) in operation.examples() {
            let (media, content) = operation.content().unwrap();
            if media == "application/json" {
                let validator = description.validator(&content["schema"]);
                let fits = validator.is_valid(&example["value"]);
                assert_eq!(fits, name != "another-currency", "{}: {name}", operation.path);
            }
            let answer = caller.send_example(operation, &example);
            description.hold(operation, &answer);
            if let Some(expected) = expected(&description, operation, &answer, &name) {
                same(&expected, &answer.json());
                answered += 1;
            }
        }
    }
    assert!(answered >= 20, "{answered}");
}

/// The answer that stands under the name of an example.
fn expected(
    description: &Description,
    operation: Operation<'_>,
    answer: &harness::client::Answer,
    name: &str,
) -> Option<Value> {
    let content = description.response(operation, answer.status)?["content"].as_object()?;
    let found = content.values().find_map(|content| content["examples"].get(name)).cloned();
    // An example that promises an answer is not answered otherwise.
    let promised = operation.value["responses"].as_object().unwrap().values().any(|response| {
        let content = description.resolved(response)["content"].as_object();
        content.is_some_and(|all| all.values().any(|one| one["examples"].get(name).is_some()))
    });
    assert!(found.is_some() || !promised, "{name} was answered {}", answer.status);
    found
}

#[test]
fn a_probe_without_any_other_program_learns_how_the_gateway_is() {
    let gateway = Gateway::sandbox();
    let address = gateway.addresses.admin.to_string();
    let asked =
        |more: &[&str]| harness::run(&[&["healthcheck", "--address", &address], more].concat());
    for more in [&[][..], &["--ready"]] {
        let output = asked(more);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(!output.stdout.is_empty());
    }
    drop(gateway);
    assert_eq!(asked(&[]).status.code(), Some(1), "nobody is there any more");
}
