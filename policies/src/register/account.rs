//! Row accounting: every row that was read is used, not relevant, or rejected with its place and a
//! reason. None vanishes.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::record::shortened;
use crate::limits::REJECTED_ROWS_KEPT_MAX;

/// What became of the rows of one source: `read` is the sum of the other three.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Rows in the source.
    pub read: usize,
    /// Rows that say something about a firm that may call.
    pub used: usize,
    /// Sound rows that name nobody who could call: agents, branches, exclusions, firms without a CIB.
    pub not_relevant: usize,
    /// Rows that cannot be used.
    pub rejected: usize,
    /// The first [`REJECTED_ROWS_KEPT_MAX`] of these; not kept in snapshots.
    #[serde(skip)]
    pub rejections: Vec<Rejection>,
}

/// One row that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rejection {
    /// Its place among the rows, from 1.
    pub row: usize,
    /// The register's own name of it, where that could be read.
    pub code: Option<Box<str>>,
    /// Why.
    pub why: &'static str,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "row {}", self.row)?;
        if let Some(code) = &self.code {
            write!(f, " ({code})")?;
        }
        write!(f, ": {}", self.why)
    }
}

/// What became of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Used,
    NotRelevant,
    Rejected(&'static str),
}

/// Who is told of each rejected row.
pub type OnRejection<'a> = &'a mut dyn FnMut(&Rejection);

impl Account {
    /// Counts a row, and tells `told` if it was rejected.
    pub(super) fn enter(&mut self, fate: Fate, code: Option<&str>, told: OnRejection<'_>) {
        self.read += 1;
        match fate {
            Fate::Used => self.used += 1,
            Fate::NotRelevant => self.not_relevant += 1,
            Fate::Rejected(why) => {
                self.rejected += 1;
                let code = code.map(shortened);
                let rejection = Rejection { row: self.read, code, why };
                told(&rejection);
                if self.rejections.len() < REJECTED_ROWS_KEPT_MAX {
                    self.rejections.push(rejection);
                }
            }
        }
    }
}
