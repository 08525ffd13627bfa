//! The JSON Schema of `octroi.toml`, derived from the wire types: the one source of the known keys.

use std::sync::LazyLock;

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::Value;

use super::wire;

static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let settings = SchemaSettings::draft2020_12()
        .for_deserialize()
        .with_transform(RecursiveTransform(without_null));
    settings.into_generator().into_root_schema_for::<wire::Document>().to_value()
});

/// The published schema.
pub(super) fn schema() -> Value {
    SCHEMA.clone()
}

/// TOML has no null: a key that may be absent is an optional property, never a nullable one.
fn without_null(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    if object.get("default").is_some_and(Value::is_null) {
        object.remove("default");
    }
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(any)) = object.get_mut("anyOf") {
        any.retain(|node| node.get("type").is_none_or(|name| name != "null"));
        if let [Value::Object(only)] = any.as_slice() {
            let only = only.clone();
            object.remove("anyOf");
            for (keyword, value) in only {
                object.entry(keyword).or_insert(value);
            }
        }
    }
}

/// What the schema says of one place in the file.
#[derive(Clone, Copy)]
pub(super) struct Shape(&'static Value);

/// The kinds of value that the file uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Table,
    Array,
    Text,
    Date,
    Integer,
    Boolean,
}

impl Shape {
    pub(super) fn root() -> Self {
        Self(&SCHEMA)
    }

    /// A keyword of the place itself, else of the definition that it refers to.
    fn keyword(self, name: &str) -> Option<&'static Value> {
        self.0.get(name).or_else(|| self.definition()?.get(name))
    }

    fn definition(self) -> Option<&'static Value> {
        let name = self.0.get("$ref")?.as_str()?.strip_prefix("#/$defs/")?;
        SCHEMA.get("$defs")?.get(name)
    }

    /// `None`: the schema leaves the kind open.
    pub(super) fn kind(self) -> Option<Kind> {
        if self.keyword("oneOf").is_some() {
            return Some(Kind::Text);
        }
        match self.keyword("type")?.as_str()? {
            "object" => Some(Kind::Table),
            "array" => Some(Kind::Array),
            "string" if self.keyword("format").is_some() => Some(Kind::Date),
            "string" => Some(Kind::Text),
            "integer" => Some(Kind::Integer),
            "boolean" => Some(Kind::Boolean),
            _ => None,
        }
    }

    /// Of several shapes that a value may have, the one of its kind; else the first.
    pub(super) fn fitting(self, kind: Kind) -> Self {
        let any = self.keyword("anyOf").and_then(Value::as_array).into_iter().flatten().map(Self);
        let mut shapes = any.peekable();
        let first = shapes.peek().copied();
        shapes.find(|shape| shape.kind() == Some(kind)).or(first).unwrap_or(self)
    }

    /// The shape of a member, also of a table whose members have names of the operator's choice.
    pub(super) fn member(self, name: &str) -> Option<Self> {
        let known = self.keyword("properties").and_then(|known| known.get(name));
        let any = || self.keyword("additionalProperties").filter(|any| any.is_object());
        known.or_else(any).map(Self)
    }

    pub(super) fn members(self) -> impl Iterator<Item = (&'static str, Self)> {
        let known = self.keyword("properties").and_then(Value::as_object);
        known.into_iter().flatten().map(|(name, node)| (name.as_str(), Self(node)))
    }

    pub(super) fn required(self) -> impl Iterator<Item = &'static str> {
        let names = self.keyword("required").and_then(Value::as_array);
        names.into_iter().flatten().filter_map(Value::as_str)
    }

    pub(super) fn item(self) -> Option<Self> {
        self.keyword("items").map(Self)
    }

    /// The values of an enumeration; empty where any value may stand. A lone `const` is no
    /// enumeration: the rule behind it explains itself (`safety.rs`).
    pub(super) fn values(self) -> Vec<&'static str> {
        let described = self.keyword("oneOf").and_then(Value::as_array).into_iter().flatten();
        let described = described.filter_map(|value| value.get("const"));
        let plain = self.keyword("enum").and_then(Value::as_array).into_iter().flatten();
        described.chain(plain).filter_map(Value::as_str).collect()
    }

    /// The bounds of a number, both inclusive.
    pub(super) fn range(self) -> (Option<i64>, Option<i64>) {
        let bound = |name| self.keyword(name).and_then(Value::as_i64);
        (bound("minimum"), bound("maximum"))
    }

    /// The documentation, in one line.
    pub(super) fn description(self) -> String {
        let text = self.keyword("description").and_then(Value::as_str).unwrap_or_default();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}
