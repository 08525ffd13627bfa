//! Holds the file against the schema: unknown keys, missing keys, wrong kinds, values out of range.
//!
//! What is wrong is reported and taken out, so that the rest of the file is still read and judged.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::key::Key;
use super::problem::quoted;
use super::reading::Reading;
use super::schema::{Kind, Shape};

/// How alike two keys must be (0 to 1, Damerau-Levenshtein) for one to be offered for the other.
const LIKENESS_MIN: f64 = 0.5;

/// Reports every departure of `table` from `shape` and removes it.
pub(super) fn examine(table: &mut DeTable<'_>, shape: Shape, key: &Key, reading: &mut Reading<'_>) {
    for name in shape.required() {
        if !table.contains_key(name) {
            let about = shape.member(name).map(Shape::description).unwrap_or_default();
            reading.refuse(&key.child(name), "is missing", format!("add `{name}`: {about}"));
        }
    }
    let mut unfit = Vec::new();
    for (name, value) in table.iter_mut() {
        let place = key.child(name.get_ref());
        let fit = match shape.member(name.get_ref()) {
            Some(member) => fits(value, member, &place, reading),
            None => {
                let mend = known_instead(name.get_ref(), shape, key);
                reading.refuse(&place, "is not a known key", mend);
                false
            }
        };
        if !fit {
            unfit.push(name.get_ref().clone());
        }
    }
    for name in unfit {
        table.remove(name.as_ref());
    }
}

/// Whether a value is of its kind; what lies inside is examined on the way.
fn fits(
    value: &mut Spanned<DeValue<'_>>,
    shape: Shape,
    key: &Key,
    reading: &mut Reading<'_>,
) -> bool {
    let shape = shape.fitting(kind_of(value.get_ref()));
    let Some(kind) = shape.kind() else { return true };
    match (kind, value.get_mut()) {
        (Kind::Table, DeValue::Table(table)) => {
            examine(table, shape, key, reading);
            true
        }
        (Kind::Array, DeValue::Array(items)) => {
            let Some(shape) = shape.item() else { return true };
            let mut all = true;
            for (index, item) in items.iter_mut().enumerate() {
                all &= fits(item, shape, &key.item(index), reading);
            }
            all
        }
        (Kind::Text, DeValue::String(text)) => is_listed(text, shape, key, reading),
        (Kind::Integer, DeValue::Integer(number)) => {
            let number = i64::from_str_radix(number.as_str(), number.radix()).ok();
            is_in_range(number, shape, key, reading)
        }
        (Kind::Date, DeValue::Datetime(_) | DeValue::String(_))
        | (Kind::Boolean, DeValue::Boolean(_)) => true,
        (_, other) => {
            let what = format!("is of the wrong kind: {}", other.type_str());
            reading.refuse(key, what, format!("write {}", wording(kind)));
            false
        }
    }
}

fn kind_of(value: &DeValue<'_>) -> Kind {
    match value {
        DeValue::Table(_) => Kind::Table,
        DeValue::Array(_) => Kind::Array,
        DeValue::String(_) => Kind::Text,
        DeValue::Integer(_) | DeValue::Float(_) => Kind::Integer,
        DeValue::Datetime(_) => Kind::Date,
        DeValue::Boolean(_) => Kind::Boolean,
    }
}

fn is_listed(text: &str, shape: Shape, key: &Key, reading: &mut Reading<'_>) -> bool {
    let values = shape.values();
    if values.is_empty() || values.contains(&text) {
        return true;
    }
    let listed = values.iter().map(|value| quoted(value)).collect::<Vec<_>>().join(", ");
    reading.refuse(key, format!("is {}", quoted(text)), format!("write one of {listed}"));
    false
}

fn is_in_range(number: Option<i64>, shape: Shape, key: &Key, reading: &mut Reading<'_>) -> bool {
    let (minimum, maximum) = shape.range();
    let (minimum, maximum) = (minimum.unwrap_or(i64::MIN), maximum.unwrap_or(i64::MAX));
    if number.is_some_and(|number| (minimum..=maximum).contains(&number)) {
        return true;
    }
    let what = match number {
        Some(number) => format!("is {number}"),
        None => "is not a number of 64 bits".to_owned(),
    };
    reading.refuse(key, what, format!("write a number between {minimum} and {maximum}"));
    false
}

fn wording(kind: Kind) -> &'static str {
    match kind {
        Kind::Table => "a table",
        Kind::Array => "a list, in square brackets",
        Kind::Text => "a text, in quotes",
        Kind::Date => "a date, for example 2025-09-28 or 2026-08-16T00:00:16Z",
        Kind::Integer => "a whole number, without quotes",
        Kind::Boolean => "true or false, without quotes",
    }
}

/// The nearest known key: beside the unknown one, else the same name elsewhere in the file.
fn known_instead(name: &str, shape: Shape, key: &Key) -> String {
    let alike = |known: &str| strsim::normalized_damerau_levenshtein(name, known);
    let nearest = shape.members().map(|(known, _)| (alike(known), known));
    let nearest = nearest.max_by(|one, other| one.0.total_cmp(&other.0));
    if let Some((_, known)) = nearest.filter(|(likeness, _)| *likeness >= LIKENESS_MIN) {
        return format!("the nearest known key is `{known}`");
    }
    let elsewhere = places(name, Shape::root(), &Key::root());
    if let Some(place) = elsewhere.iter().min_by_key(|place| place.as_str().len()) {
        return format!("it is known as `{place}`");
    }
    let known = shape.members().map(|(known, _)| known).collect::<Vec<_>>().join(", ");
    match key.as_str() {
        "" => format!("the file knows {known}"),
        table => format!("`{table}` knows {known}"),
    }
}

/// Every place in the file where a key of this name may stand.
fn places(name: &str, shape: Shape, key: &Key) -> Vec<Key> {
    let here = shape.members().filter(|(known, _)| *known == name).map(|_| key.child(name));
    let deeper = shape.members().flat_map(|(known, member)| {
        places(name, member.item().unwrap_or(member), &key.child(known))
    });
    here.chain(deeper).collect()
}
