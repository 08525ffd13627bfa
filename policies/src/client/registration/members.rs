//! Taking the members of an object one by one, so that what is left over can be named.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::super::TextFault;
use super::fault::RegistrationFault;
use crate::limits::IGNORED_MEMBERS_MAX;

const NAME_CHARACTERS_MAX: usize = 40;

/// The members of an object that have not been taken yet. `null` is the same as nothing: the bank's
/// own answers write it so.
pub(super) struct Members<'v> {
    left: BTreeMap<&'v str, &'v Value>,
    ignored: Vec<String>,
}

impl<'v> Members<'v> {
    pub(super) fn of(value: &'v Value) -> Result<Self, RegistrationFault> {
        Self::inside(value, "the body")
    }

    pub(super) fn inside(
        value: &'v Value,
        member: &'static str,
    ) -> Result<Self, RegistrationFault> {
        let shape = RegistrationFault::Shape { member, shape: "a JSON object" };
        value.as_object().map(Self::of_object).ok_or(shape)
    }

    pub(super) fn of_object(object: &'v Map<String, Value>) -> Self {
        let present = object.iter().filter(|(_, value)| !value.is_null());
        let left = present.map(|(name, value)| (name.as_str(), value)).collect();
        Self { left, ignored: Vec::new() }
    }

    pub(super) fn take(&mut self, member: &str) -> Option<&'v Value> {
        self.left.remove(member)
    }

    pub(super) fn text(
        &mut self,
        member: &'static str,
    ) -> Result<Option<&'v str>, RegistrationFault> {
        let shape = RegistrationFault::Shape { member, shape: "a text" };
        self.take(member).map(|value| value.as_str().ok_or(shape)).transpose()
    }

    pub(super) fn required(&mut self, member: &'static str) -> Result<&'v str, RegistrationFault> {
        self.text(member)?.ok_or(RegistrationFault::Missing(member))
    }

    /// An array of texts; empty without a word.
    pub(super) fn texts(
        &mut self,
        member: &'static str,
    ) -> Result<Vec<&'v str>, RegistrationFault> {
        let texts = match self.take(member) {
            None => Some(Vec::new()),
            Some(Value::Array(items)) => items.iter().map(Value::as_str).collect(),
            Some(_) => None,
        };
        texts.ok_or(RegistrationFault::Shape { member, shape: "an array of texts" })
    }

    pub(super) fn object(&mut self, member: &'static str) -> Result<Self, RegistrationFault> {
        let value = self.take(member).ok_or(RegistrationFault::Missing(member))?;
        Self::inside(value, member)
    }

    /// A text that is kept as it is, if it is there and not empty.
    pub(super) fn kept(
        &mut self,
        member: &'static str,
        rule: impl Fn(&str) -> Result<(), TextFault>,
    ) -> Result<Option<String>, RegistrationFault> {
        let Some(text) = self.text(member)?.filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        self.judge(member, rule(text))?;
        Ok(Some(text.to_owned()))
    }

    /// The same under either of two names, the first before the second.
    pub(super) fn either(
        &mut self,
        names: [&'static str; 2],
        rule: impl Fn(&str) -> Result<(), TextFault>,
    ) -> Result<Option<String>, RegistrationFault> {
        let [first, second] = names;
        match self.kept(first, &rule)? {
            Some(text) => Ok(Some(text)),
            None => self.kept(second, &rule),
        }
    }

    pub(super) fn judge(
        &self,
        member: &'static str,
        judged: Result<(), TextFault>,
    ) -> Result<(), RegistrationFault> {
        judged.map_err(|fault| RegistrationFault::Text { member, fault })
    }

    /// A member that may only be there without saying anything.
    pub(super) fn absent(
        &mut self,
        member: &'static str,
        fault: RegistrationFault,
    ) -> Result<(), RegistrationFault> {
        match self.take(member) {
            None => Ok(()),
            Some(Value::String(text)) if text.is_empty() => Ok(()),
            Some(_) => Err(fault),
        }
    }

    pub(super) fn ignore(&mut self, what: &str) {
        if !self.ignored.iter().any(|ignored| ignored == what) {
            self.ignored.push(what.to_owned());
        }
    }

    pub(super) fn ignored_within(&mut self, member: &str, inner: Self) {
        for name in inner.ignored() {
            self.ignore(&format!("{member}.{name}"));
        }
    }

    /// What was ignored, then what nobody took, in the order of the names.
    pub(super) fn ignored(mut self) -> Vec<String> {
        self.ignored.extend(self.left.keys().copied().map(harmless));
        self.ignored.truncate(IGNORED_MEMBERS_MAX);
        self.ignored
    }
}

/// A stranger's name, fit to be repeated to him and in a log.
pub(super) fn harmless(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "_-#.".contains(c) { c } else { '?' };
    name.chars().map(plain).take(NAME_CHARACTERS_MAX).collect()
}
