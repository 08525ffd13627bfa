//! JSON of strangers: bounded in depth, and no name twice in one object (RFC 8259 §4).

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::fault::RegistrationFault;
use crate::limits::REGISTRATION_DEPTH_MAX;

#[derive(Clone, Copy)]
enum Stop {
    Duplicate,
    TooDeep,
}

/// Reads one JSON value and nothing after it.
pub(super) fn read(body: &[u8]) -> Result<Value, RegistrationFault> {
    let stop = Cell::new(None);
    let mut json = serde_json::Deserializer::from_slice(body);
    let seed = Level { depth: 0, stop: &stop };
    let value = seed.deserialize(&mut json).and_then(|value| json.end().map(|()| value));
    value.map_err(|error| {
        let (line, column) = (error.line(), error.column());
        match stop.get() {
            Some(Stop::Duplicate) => RegistrationFault::Duplicate { line, column },
            Some(Stop::TooDeep) => RegistrationFault::TooDeep,
            None => RegistrationFault::Json { line, column },
        }
    })
}

#[derive(Clone, Copy)]
struct Level<'s> {
    depth: usize,
    stop: &'s Cell<Option<Stop>>,
}

impl Level<'_> {
    fn within<E: Error>(self) -> Result<Self, E> {
        if self.depth < REGISTRATION_DEPTH_MAX {
            Ok(Self { depth: self.depth + 1, ..self })
        } else {
            self.stop.set(Some(Stop::TooDeep));
            Err(E::custom("too deep"))
        }
    }
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.within()?;
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.within()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.contains_key(&name) {
                self.stop.set(Some(Stop::Duplicate));
                return Err(A::Error::custom("twice"));
            }
            object.insert(name, members.next_value_seed(inner)?);
        }
        Ok(Value::Object(object))
    }
}
