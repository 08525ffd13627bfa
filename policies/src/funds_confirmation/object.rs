//! JSON values with their place in the body, so that an error can name member, line and column.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::fault::{BodyFault, Member, Wrong};

/// A body that is one JSON value.
pub(super) struct Body<'a> {
    text: &'a str,
    whole: &'a RawValue,
}

impl<'a> Body<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, BodyFault> {
        let whole: &RawValue = serde_json::from_slice(bytes)
            .map_err(|error| BodyFault::Json { line: error.line(), column: error.column() })?;
        // Valid JSON is valid UTF-8.
        let text =
            std::str::from_utf8(bytes).map_err(|_| BodyFault::Json { line: 1, column: 1 })?;
        Ok(Self { text, whole })
    }

    pub(super) fn whole(&self) -> Result<Value<'a>, BodyFault> {
        Ok(Value { body: self.text, raw: self.whole, member: Member::Body })
    }

    pub(super) fn required(
        &self,
        value: Option<Value<'a>>,
        member: Member,
    ) -> Result<Value<'a>, BodyFault> {
        value.ok_or(BodyFault::Missing(member))
    }
}

/// One value of the body.
#[derive(Clone, Copy)]
pub(super) struct Value<'a> {
    body: &'a str,
    raw: &'a RawValue,
    member: Member,
}

impl<'a> Value<'a> {
    /// The members of an object, each at most once and no other, in the order of `names`.
    pub(super) fn members<const N: usize>(
        &self,
        names: &[Member; N],
    ) -> Result<[Option<Self>; N], BodyFault> {
        if !self.raw.get().starts_with('{') {
            return Err(self.wrong(Wrong::NotObject));
        }
        let mut json = serde_json::Deserializer::from_str(self.raw.get());
        let found = json
            .deserialize_map(ObjectVisitor(names))
            .map_err(|error| BodyFault::Json { line: error.line(), column: error.column() })?;
        match found {
            Found { fault: None, values } => {
                let mut names = names.iter();
                Ok(values.map(|raw| {
                    let member = names.next().copied().unwrap_or(Member::Body);
                    raw.map(|raw| Value { body: self.body, raw, member })
                }))
            }
            Found { fault: Some((Some(member), raw)), .. } => {
                Err(Value { body: self.body, raw, member }.wrong(Wrong::Duplicate))
            }
            Found { fault: Some((None, raw)), .. } => {
                let place = Value { body: self.body, raw, member: self.member };
                Err(place.wrong(Wrong::UnknownMember))
            }
        }
    }

    pub(super) fn text(&self) -> Result<Cow<'a, str>, BodyFault> {
        if !self.raw.get().starts_with('"') {
            return Err(self.wrong(Wrong::NotString));
        }
        let text: Text<'a> =
            serde_json::from_str(self.raw.get()).map_err(|_| self.wrong(Wrong::NotString))?;
        Ok(text.0)
    }

    /// A text of `min` to `max` characters without control characters.
    pub(super) fn text_of(&self, min: usize, max: usize) -> Result<Cow<'a, str>, BodyFault> {
        let text = self.text()?;
        let fits = (min..=max).contains(&text.chars().count());
        if fits && !text.chars().any(char::is_control) {
            Ok(text)
        } else {
            Err(self.wrong(Wrong::Length { min, max }))
        }
    }

    pub(super) fn is_number(&self) -> bool {
        self.raw.get().starts_with(|first: char| first == '-' || first.is_ascii_digit())
    }

    pub(super) fn raw(&self) -> &'a str {
        self.raw.get()
    }

    pub(super) fn member(&self) -> Member {
        self.member
    }

    pub(super) fn wrong(&self, wrong: Wrong) -> BodyFault {
        // A raw value borrows from the body, so its address tells its offset.
        let offset = self.raw.get().as_ptr().addr().saturating_sub(self.body.as_ptr().addr());
        let before = self.body.as_bytes().get(..offset).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        BodyFault::Wrong { member: self.member, line, column, wrong }
    }
}

/// A string, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// What an object held: the known members, and the first fault with the value it stands at.
struct Found<'a, const N: usize> {
    values: [Option<&'a RawValue>; N],
    fault: Option<(Option<Member>, &'a RawValue)>,
}

struct ObjectVisitor<'n, const N: usize>(&'n [Member; N]);

impl<'de, const N: usize> Visitor<'de> for ObjectVisitor<'_, N> {
    type Value = Found<'de, N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = Found { values: [None; N], fault: None };
        while let Some(place) = map.next_key_seed(NameSeed(self.0))? {
            if found.fault.is_some() {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let raw = map.next_value::<&'de RawValue>()?;
            match place.and_then(|place| found.values.get_mut(place)) {
                Some(slot @ None) => *slot = Some(raw),
                Some(Some(_)) => {
                    found.fault = Some((place.and_then(|place| self.0.get(place).copied()), raw));
                }
                None => found.fault = Some((None, raw)),
            }
        }
        Ok(found)
    }
}

/// A member's name to its place among the known ones, without keeping the name.
struct NameSeed<'n, const N: usize>(&'n [Member; N]);

impl<'de, const N: usize> DeserializeSeed<'de> for NameSeed<'_, N> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<const N: usize> Visitor<'_> for NameSeed<'_, N> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|member| member.name() == name))
    }
}
