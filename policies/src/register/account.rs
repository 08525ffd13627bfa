//! Row accounting: every row that was read is accepted, set aside for a named reason, or rejected
//! with its place. None vanishes.

use std::fmt;

use crate::limits::REJECTED_ROWS_KEPT_MAX;

/// What became of the rows of one source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Rows in the source.
    pub read: usize,
    /// Rows that an organisation can be found by.
    pub accepted: usize,
    /// Sound rows that name nobody who could call: agents, branches, firms without a CIB.
    pub set_aside: usize,
    /// Rows that cannot be used.
    pub rejected: usize,
    /// The first [`REJECTED_ROWS_KEPT_MAX`] of these.
    pub rejections: Vec<Rejection>,
}

/// One row that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Its place among the rows, from 1.
    pub row: usize,
    /// Why.
    pub why: &'static str,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "row {}: {}", self.row, self.why)
    }
}

/// What became of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Accepted,
    SetAside,
    Rejected(&'static str),
}

impl Account {
    pub(super) fn enter(&mut self, fate: Fate) {
        self.read += 1;
        match fate {
            Fate::Accepted => self.accepted += 1,
            Fate::SetAside => self.set_aside += 1,
            Fate::Rejected(why) => {
                self.rejected += 1;
                if self.rejections.len() < REJECTED_ROWS_KEPT_MAX {
                    self.rejections.push(Rejection { row: self.read, why });
                }
            }
        }
    }
}
