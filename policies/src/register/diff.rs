//! What changed between two snapshots.

use serde::{Deserialize, Serialize};

use super::record::Record;
use super::snapshot::Snapshot;

/// The records that are only in one of two snapshots. A record that changed is in both lists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Difference {
    /// Only in the older.
    pub removed: Vec<Record>,
    /// Only in the newer.
    pub added: Vec<Record>,
}

impl Difference {
    /// From `older` to `newer`. Both stand in their fixed order.
    #[must_use]
    pub fn between(older: &Snapshot, newer: &Snapshot) -> Self {
        let mut difference = Self::default();
        let (mut old, mut new) = (older.records.iter().peekable(), newer.records.iter().peekable());
        loop {
            match (old.peek(), new.peek()) {
                (None, None) => return difference,
                (Some(left), Some(right)) if left == right => {
                    old.next();
                    new.next();
                }
                (Some(left), right) if right.is_none_or(|right| left < right) => {
                    difference.removed.push((*left).clone());
                    old.next();
                }
                (_, Some(right)) => {
                    difference.added.push((*right).clone());
                    new.next();
                }
                (Some(_), None) => return difference,
            }
        }
    }

    /// The records of the newer snapshot, from those of the older.
    #[must_use]
    pub fn apply(&self, older: &[Record]) -> Vec<Record> {
        let kept = older.iter().filter(|record| self.removed.binary_search(record).is_err());
        let mut records: Vec<Record> = kept.chain(&self.added).cloned().collect();
        records.sort_unstable();
        records
    }

    /// Nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.added.is_empty()
    }
}
