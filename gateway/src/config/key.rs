//! The path of a key in the file, and the line on which it stands.

use std::collections::BTreeMap;
use std::fmt;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A key as a path from the root: `listen.tpp.address`, `codetab[2].upstream`. The root is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(String);

impl Key {
    pub(super) fn root() -> Self {
        Self::default()
    }

    pub(super) fn child(&self, name: &str) -> Self {
        if self.0.is_empty() { Self(name.to_owned()) } else { Self(format!("{}.{name}", self.0)) }
    }

    pub(super) fn item(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The key that holds this one; `None` for the root.
    fn parent(&self) -> Option<Self> {
        if self.0.is_empty() {
            return None;
        }
        let end = self.0.rfind(['.', '[']).unwrap_or(0);
        Some(Self(self.0.get(..end).unwrap_or_default().to_owned()))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where each key of the file stands.
#[derive(Debug, Default)]
pub(super) struct Lines(BTreeMap<Key, usize>);

impl Lines {
    pub(super) fn of(text: &str, root: &DeTable<'_>) -> Self {
        let ends = line_ends(text);
        let mut lines = Self::default();
        lines.table(&Key::root(), root, &ends);
        lines
    }

    /// The line of a key, or of the nearest table around it.
    pub(super) fn line(&self, key: &Key) -> Option<usize> {
        match self.0.get(key) {
            Some(line) => Some(*line),
            None => self.line(&key.parent()?),
        }
    }

    fn table(&mut self, key: &Key, table: &DeTable<'_>, ends: &[usize]) {
        for (name, value) in table {
            let child = key.child(name.get_ref());
            self.0.insert(child.clone(), line_at(ends, name.span().start));
            self.value(&child, value, ends);
        }
    }

    fn value(&mut self, key: &Key, value: &Spanned<DeValue<'_>>, ends: &[usize]) {
        match value.get_ref() {
            DeValue::Table(table) => self.table(key, table, ends),
            DeValue::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let child = key.item(index);
                    self.0.insert(child.clone(), line_at(ends, item.span().start));
                    self.value(&child, item, ends);
                }
            }
            _ => {}
        }
    }
}

/// Line and column, both from 1, of a byte offset.
pub(super) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count();
    (line_at(&line_ends(text), offset), column.saturating_add(1))
}

fn line_ends(text: &str) -> Vec<usize> {
    memchr::memchr_iter(b'\n', text.as_bytes()).collect()
}

fn line_at(ends: &[usize], offset: usize) -> usize {
    ends.partition_point(|end| *end < offset).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use toml::de::DeTable;

    use super::{Key, Lines, position};

    #[test]
    fn a_missing_key_is_reported_on_the_line_of_its_table() {
        let text = "a = 1\n\n[[codetab]]\ncode = \"1\"\n[[codetab]]\n  name = \"x\"\n";
        let table = DeTable::parse(text).unwrap();
        let lines = Lines::of(text, table.get_ref());
        let second = Key::root().child("codetab").item(1);
        assert_eq!(lines.line(&second.child("name")), Some(6));
        assert_eq!(lines.line(&second.child("code")), lines.line(&second));
        assert_eq!(lines.line(&second), Some(5));
        assert_eq!(lines.line(&Key::root().child("listen")), None);
    }

    #[test]
    fn a_position_counts_characters_from_one() {
        assert_eq!(position("a\né=x", 4), (2, 2));
        assert_eq!(position("", 0), (1, 1));
        assert_eq!(position("é", 1), (1, 2));
    }
}
